//! The simulator, put through the suite of all engines.

use std::sync::Arc;

use dewpoint_clock::SystemClock;
use dewpoint_engine::{
    Engine, Error, GpuAddress, GpuState, Host, HostGpu, HostGpus, ImageName, Ipv4Link, MacAddress, MachineId,
    MachineSpec, Nic, NicKind,
    conformance::{self, Bench},
    sim::{Equipment, SimEngine},
};

async fn bench_of(engine: SimEngine) -> Bench {
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
    Bench::new(Arc::new(engine), spec)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulator_passes_the_suite_of_all_engines() {
    let top = tempfile::tempdir().expect("a directory");
    let engine = SimEngine::open(&top.path().join("machines"), Arc::new(SystemClock)).expect("an engine");
    let bench = bench_of(engine).await;
    conformance::all(&bench).await;
    conformance::storage::all(&bench).await;
}

fn address(text: &str) -> GpuAddress {
    text.parse().expect("an address")
}

fn gpu_host() -> Equipment {
    let gpu = |text: &str| HostGpu {
        address: address(text),
        model: "nvidia_h100".to_owned(),
        memory_mib: 81_920,
        node: Some(0),
        state: GpuState::Ready,
    };
    let gpus = HostGpus::These(["0000:17:00.0", "0000:65:00.0"].map(gpu).into());
    let host = Host { name: "metal".to_owned(), vcpus: 64, memory_mib: 1 << 20, gpus };
    Equipment { hosts: vec![host], ..Equipment::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulator_passes_the_suite_for_gpus_on_a_host_that_names_its_own() {
    let top = tempfile::tempdir().expect("a directory");
    let engine = SimEngine::open(&top.path().join("machines"), Arc::new(SystemClock)).expect("an engine");
    let bench = bench_of(engine.equipped(gpu_host())).await;
    conformance::gpus::all(&bench).await;
    conformance::gpus::a_running_machine_keeps_its_gpus(&bench).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gpu_is_parked_when_its_reset_fails_and_missing_when_it_is_lost_also_after_a_restart() {
    let top = tempfile::tempdir().expect("a directory");
    let open = || {
        let engine = SimEngine::open(&top.path().join("machines"), Arc::new(SystemClock)).expect("an engine");
        engine.equipped(gpu_host())
    };
    let states = async |engine: &SimEngine| -> Vec<GpuState> {
        let HostGpus::These(gpus) = engine.hosts().await.expect("hosts").remove(0).gpus else { panic!("its own") };
        gpus.into_iter().map(|gpu| gpu.state).collect()
    };
    let (id, first, second) = (MachineId(1), address("0000:17:00.0"), address("0000:65:00.0"));
    let engine = open();
    engine.take_gpus(id, &[first]).await.expect("it is free");
    engine.spoil_gpu("metal", first).await.expect("noted");
    for _ in 0..2 {
        let parked = engine.give_back_gpus(id).await.expect("given back");
        assert_eq!(parked.iter().map(|parked| parked.gpu).collect::<Vec<_>>(), [first], "told as often as it is asked");
    }
    engine.lose_gpu("metal", second, true).await.expect("noted");
    drop(engine);
    let engine = open();
    assert!(matches!(states(&engine).await[..], [GpuState::Parked(_)]));
    for gpu in [first, second] {
        let refused = engine.take_gpus(MachineId(2), &[gpu]).await;
        assert!(matches!(&refused, Err(Error::GpuUnusable { gpu: at, .. }) if *at == gpu), "{refused:?}");
    }
    engine.put_back_gpu("metal", &first).await.expect("it is put back");
    engine.lose_gpu("metal", second, false).await.expect("noted");
    assert_eq!(states(&engine).await, [GpuState::Ready, GpuState::Ready]);
    engine.take_gpus(MachineId(2), &[first, second]).await.expect("both are free");
}
