//! Machines and the GPUs of a recorded host: everything but the start of a guest with a real one, which nobody here has.

use std::sync::Arc;

use dewpoint_engine::{
    Engine, Error, GpuAddress, GpuState, HostGpu, HostGpus, MachineSpec, Power, PowerState,
    conformance::{self, Bench},
    qemu::{Accelerator, HOST, QemuEngine},
};
use dewpoint_gpu::recorded::{RecordedHost, Step};

use crate::lab::{ID, Lab, spec};

/// The lab's engine anew, on the GPUs of a recorded host.
async fn on(lab: &mut Lab, host: &RecordedHost) {
    lab.config.gpus = host.gpus(&lab.config.data_dir);
    lab.engine = Arc::new(QemuEngine::open(lab.config.clone()).await.expect("an engine"));
}

async fn gpus(engine: &dyn Engine) -> Vec<HostGpu> {
    match engine.hosts().await.expect("hosts").remove(0).gpus {
        HostGpus::These(gpus) => gpus,
        HostGpus::Plenty => panic!("a real host's are known by name"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_passes_the_suite_for_gpus_on_a_recorded_host() {
    let Some(mut lab) = Lab::open("the_engine_passes_the_suite_for_gpus_on_a_recorded_host").await else { return };
    let host = RecordedHost::new("hgx_h100");
    on(&mut lab, &host).await;
    let bench = Bench::new(lab.engine.clone(), |_| MachineSpec { nics: Vec::new(), ..spec() });
    conformance::gpus::all(&bench).await;
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_gpu_is_shown_with_the_way_back_after_a_restart() {
    let Some(mut lab) = Lab::open("a_parked_gpu_is_shown_with_the_way_back_after_a_restart").await else { return };
    let host = RecordedHost::new("two_rtx");
    on(&mut lab, &host).await;
    let gpu: GpuAddress = "0000:41:00.0".parse().expect("an address");
    let states: Vec<bool> = gpus(&*lab.engine).await.iter().map(|gpu| gpu.state == GpuState::Ready).collect();
    assert_eq!(states, [false, true], "the console's is not");
    lab.engine.take_gpus(ID, &[gpu]).await.expect("taken");
    host.kernel().fail(Step::Reset, None, 1);
    let parked = lab.engine.give_back_gpus(ID).await.expect("given back");
    assert_eq!(parked.iter().map(|parked| parked.gpu).collect::<Vec<_>>(), [gpu]);

    on(&mut lab, &host).await;
    let GpuState::Parked(why) = gpus(&*lab.engine).await.remove(1).state else { panic!("it is parked") };
    assert!(why.contains("was not reset") && why.contains("`dew doctor --unpark 0000:41:00.0`"), "{why}");
    let refused = lab.engine.take_gpus(ID, &[gpu]).await.expect_err("nobody gets it");
    assert!(matches!(refused, Error::GpuUnusable { gpu: at, .. } if at == gpu), "{refused:?}");
    for _ in 0..2 {
        lab.engine.put_back_gpu(HOST, &gpu).await.expect("it can be reset again, and is with its driver");
    }
    assert_eq!(gpus(&*lab.engine).await.remove(1).state, GpuState::Ready);
    lab.close().await;
}

/// The host is a written-down one, so there is no card that QEMU could open: it ends, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_leaves_the_gpu_with_its_machine() {
    let Some(mut lab) = Lab::open("a_start_that_fails_leaves_the_gpu_with_its_machine").await else { return };
    let host = RecordedHost::new("two_rtx");
    lab.config.accelerator = Some(Accelerator::Kvm);
    on(&mut lab, &host).await;
    let spec = MachineSpec { gpus: vec!["0000:41:00.0".parse().expect("an address")], nics: Vec::new(), ..spec() };
    lab.engine.ensure(ID, &spec).await.expect("it is made");
    // As after a restart of the host: the start takes what the spec names.
    let refused = lab.engine.power(ID, Power::On).await.expect_err("there is no such card");
    assert!(matches!(&refused, Error::Died { .. }), "{refused}");
    assert_eq!(lab.power().await, PowerState::Off);
    let held = lab.config.gpus.ledger().expect("a ledger").held;
    assert_eq!(held.iter().map(|held| (held.machine, held.functions.len())).collect::<Vec<_>>(), [(ID.0, 2)]);
    if nix::unistd::geteuid().is_root() {
        let given = host.kernel().groups();
        assert!(matches!(given.as_slice(), [(15, user)] if *user != 0), "{given:?}");
    }
    assert_eq!(lab.engine.give_back_gpus(ID).await.expect("it is off"), []);
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_with_a_gpu_is_not_started_without_kvm() {
    let Some(mut lab) = Lab::open("a_guest_with_a_gpu_is_not_started_without_kvm").await else { return };
    let host = RecordedHost::new("mi300x");
    on(&mut lab, &host).await;
    let gpu = gpus(&*lab.engine).await[0].address;
    let spec = MachineSpec { gpus: vec![gpu], nics: Vec::new(), ..spec() };
    lab.engine.ensure(ID, &spec).await.expect("it is made");
    lab.engine.take_gpus(ID, &spec.gpus).await.expect("taken");
    let refused = lab.engine.power(ID, Power::On).await.expect_err("the lab has no KVM").to_string();
    assert!(refused.contains("guests run without KVM here"), "{refused}");
    lab.close().await;
}
