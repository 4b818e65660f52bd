//! What every engine must do with GPUs: for benches whose host has at least two that are ready and nobody's.

use super::Bench;
use crate::{Error, GpuAddress, GpuState, HostGpus, MachineId, MachineSpec, Power};

/// Runs every check of this module but [`a_running_machine_keeps_its_gpus`], which needs machines that can start with them.
pub async fn all(bench: &Bench) {
    taking_is_idempotent(bench).await;
    a_gpu_is_one_machines(bench).await;
    taking_is_all_or_nothing(bench).await;
    a_machine_with_others_gives_them_back_first(bench).await;
    giving_back_is_idempotent(bench).await;
    a_gpu_that_is_not_there_is_refused(bench).await;
    removing_a_machine_gives_its_gpus_back(bench).await;
    a_machine_that_only_has_gpus_is_listed_and_can_be_removed(bench).await;
    a_machine_that_is_off_can_get_other_gpus(bench).await;
}

/// Two GPUs of the host that the bench's machines are made for.
async fn two(bench: &Bench, host: &str) -> [GpuAddress; 2] {
    let hosts = bench.engine.hosts().await.expect("hosts");
    let host = hosts.into_iter().find(|found| found.name == host).expect("the spec's host");
    let HostGpus::These(gpus) = host.gpus else { panic!("the bench's host has GPUs with addresses") };
    let mut ready = gpus.into_iter().filter(|gpu| gpu.state == GpuState::Ready).map(|gpu| gpu.address);
    [ready.next().expect("a GPU that is ready"), ready.next().expect("two GPUs that are ready")]
}

async fn taken(bench: &Bench) -> (MachineId, MachineSpec, [GpuAddress; 2]) {
    let (id, spec) = bench.fresh();
    let gpus = two(bench, &spec.host).await;
    let spec = MachineSpec { gpus: vec![gpus[0]], ..spec };
    bench.engine.ensure(id, &spec).await.expect("the machine is made");
    bench.engine.take_gpus(id, &spec.gpus).await.expect("the GPU is taken");
    (id, spec, gpus)
}

async fn returned(bench: &Bench, id: MachineId) {
    assert_eq!(bench.engine.give_back_gpus(id).await.expect("they are given back"), []);
}

/// [`crate::Engine::take_gpus`] of what the machine has is success, and the host shows it as ready all along.
pub async fn taking_is_idempotent(bench: &Bench) {
    let (id, spec, gpus) = taken(bench).await;
    bench.engine.take_gpus(id, &spec.gpus).await.expect("it has it already");
    assert_eq!(two(bench, &spec.host).await, gpus);
    bench.gone(id).await;
}

/// No second machine gets it while the first has it.
pub async fn a_gpu_is_one_machines(bench: &Bench) {
    let (id, spec, [gpu, _]) = taken(bench).await;
    let (other, _) = bench.made().await;
    let refused = bench.engine.take_gpus(other, &spec.gpus).await;
    assert!(matches!(refused, Err(Error::GpuTaken { gpu: at, machine }) if (at, machine) == (gpu, id)), "{refused:?}");
    bench.gone(id).await;
    bench.engine.take_gpus(other, &spec.gpus).await.expect("it is free now");
    bench.gone(other).await;
}

/// Of two GPUs one of which is another machine's, neither is taken.
pub async fn taking_is_all_or_nothing(bench: &Bench) {
    let (id, _, [first, second]) = taken(bench).await;
    let ((both, _), (one, _)) = (bench.made().await, bench.made().await);
    assert!(bench.engine.take_gpus(both, &[second, first]).await.is_err());
    bench.engine.take_gpus(one, &[second]).await.expect("nobody has the other");
    for machine in [id, both, one] {
        bench.gone(machine).await;
    }
}

/// [`crate::Engine::take_gpus`] does not exchange what a machine has.
pub async fn a_machine_with_others_gives_them_back_first(bench: &Bench) {
    let (id, _, [_, second]) = taken(bench).await;
    let refused = bench.engine.take_gpus(id, &[second]).await;
    assert!(matches!(refused, Err(Error::SpecConflict(at)) if at == id), "{refused:?}");
    returned(bench, id).await;
    bench.engine.take_gpus(id, &[second]).await.expect("it has no other now");
    bench.gone(id).await;
}

/// [`crate::Engine::give_back_gpus`] of nothing is success, also for a machine that never was.
pub async fn giving_back_is_idempotent(bench: &Bench) {
    let (id, _, _) = taken(bench).await;
    returned(bench, id).await;
    returned(bench, id).await;
    returned(bench, bench.fresh().0).await;
    bench.gone(id).await;
}

/// A GPU that the host does not have is refused by name.
pub async fn a_gpu_that_is_not_there_is_refused(bench: &Bench) {
    let (id, spec) = bench.made().await;
    let nowhere: GpuAddress = "ffff:ff:1f.7".parse().expect("an address");
    let refused = bench.engine.take_gpus(id, &[two(bench, &spec.host).await[0], nowhere]).await;
    assert!(matches!(&refused, Err(Error::GpuUnusable { gpu, .. }) if *gpu == nowhere), "{refused:?}");
    returned(bench, id).await;
    bench.engine.take_gpus(id, &[]).await.expect("it has none, and wants none");
    bench.gone(id).await;
}

/// What a removed machine had is free, and giving it back again finds nothing to do.
pub async fn removing_a_machine_gives_its_gpus_back(bench: &Bench) {
    let (id, spec, _) = taken(bench).await;
    bench.gone(id).await;
    returned(bench, id).await;
    let (other, _) = bench.made().await;
    bench.engine.take_gpus(other, &spec.gpus).await.expect("it is free");
    bench.gone(other).await;
}

/// GPUs may be taken before the machine is made: it is listed, so that whoever looks for what nobody needs finds it.
pub async fn a_machine_that_only_has_gpus_is_listed_and_can_be_removed(bench: &Bench) {
    let (id, spec) = bench.fresh();
    let [gpu, _] = two(bench, &spec.host).await;
    bench.engine.take_gpus(id, &[gpu]).await.expect("the GPU is taken");
    assert!(bench.engine.machines().await.expect("a list").contains(&id));
    bench.gone(id).await;
    let (other, _) = bench.made().await;
    bench.engine.take_gpus(other, &[gpu]).await.expect("it is free");
    bench.gone(other).await;
}

/// [`crate::Engine::change`] gives a machine that is off other GPUs in its spec, or none.
pub async fn a_machine_that_is_off_can_get_other_gpus(bench: &Bench) {
    let (id, spec, [_, second]) = taken(bench).await;
    returned(bench, id).await;
    for gpus in [vec![second], Vec::new()] {
        let spec = MachineSpec { gpus, ..spec.clone() };
        bench.engine.change(id, &spec).await.expect("it is off");
        bench.engine.ensure(id, &spec).await.expect("it is as it was told to be");
    }
    bench.gone(id).await;
}

/// What a running guest has is not taken from it.
pub async fn a_running_machine_keeps_its_gpus(bench: &Bench) {
    let (id, spec, [gpu, _]) = taken(bench).await;
    bench.engine.power(id, Power::On).await.expect("it starts");
    assert!(bench.engine.give_back_gpus(id).await.is_err());
    let (other, _) = bench.made().await;
    let refused = bench.engine.take_gpus(other, &spec.gpus).await;
    assert!(matches!(refused, Err(Error::GpuTaken { gpu: at, .. }) if at == gpu), "{refused:?}");
    bench.engine.power(id, Power::Off).await.expect("it goes off");
    returned(bench, id).await;
    for machine in [id, other] {
        bench.gone(machine).await;
    }
}
