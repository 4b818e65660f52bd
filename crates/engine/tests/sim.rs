//! The simulator, put through the suite of all engines.

use std::sync::Arc;

use dewpoint_clock::SystemClock;
use dewpoint_engine::{
    Engine, ImageName, Ipv4Link, MacAddress, MachineId, MachineSpec, Nic, NicKind,
    conformance::{self, Bench},
    sim::SimEngine,
};

#[tokio::test(flavor = "multi_thread")]
async fn the_simulator_passes_the_suite_of_all_engines() {
    let top = tempfile::tempdir().expect("a directory");
    let engine = SimEngine::open(&top.path().join("machines"), Arc::new(SystemClock)).expect("an engine");
    let host = engine.hosts().await.expect("hosts")[0].name.clone();
    let networking = engine.networking();
    let spec = move |id: MachineId| {
        let tail = u8::try_from(id.0).expect("a suite has few machines");
        let ipv4 = Ipv4Link {
            address: [100, 64, 0, tail].into(),
            netmask: networking.netmask,
            gateway: Some(networking.gateway),
        };
        let mac = MacAddress([2, 0, 0, 0, 0, tail]);
        MachineSpec {
            hostname: format!("web-{id}"),
            host: host.clone(),
            vcpus: 1,
            memory_mib: 512,
            disk_gib: 10,
            image: ImageName::new("ubuntu-24-04-x64").expect("a name"),
            ssh_keys: Vec::new(),
            user_data: None,
            password_hash: None,
            nics: vec![Nic { kind: NicKind::Public, mac, ipv4: Some(ipv4), ipv6: None }],
            gpus: Vec::new(),
        }
    };
    let bench = Bench::new(Arc::new(engine), spec);
    conformance::all(&bench).await;
    conformance::storage::all(&bench).await;
}
