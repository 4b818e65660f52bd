//! GPUs of this host for its machines: `dewpoint-gpu` does the work, here it is asked for machines by number, away from the
//! threads that serve others.

use std::collections::BTreeSet;

use dewpoint_gpu::{GpuHost, Handed, Obstacle, Seen, State};
use tracing::{info, warn};

use super::{Inner, passthrough::Passed, user::QemuUser};
use crate::{Error, GpuAddress, GpuState, HostGpu, HostGpus, MachineId, MachineSpec, ParkedGpu};

impl Inner {
    /// Every GPU of this host.
    pub(super) async fn host_gpus(&self) -> Result<HostGpus, Error> {
        let seen = self.with_gpus(GpuHost::look).await?;
        Ok(HostGpus::These(seen.into_iter().map(host_gpu).collect()))
    }

    /// The machines that have any.
    pub(super) async fn machines_with_gpus(&self) -> Result<BTreeSet<MachineId>, Error> {
        let ledger = self.with_gpus(GpuHost::ledger).await?;
        Ok(ledger.held.iter().map(|held| MachineId(held.machine)).collect())
    }

    pub(super) async fn take_gpus(&self, id: MachineId, gpus: &[GpuAddress]) -> Result<(), Error> {
        let gpus = gpus.to_vec();
        self.with_gpus(move |host| host.take(id.0, &gpus)).await
    }

    /// Fails while the machine runs.
    pub(super) async fn give_back_gpus(&self, id: MachineId) -> Result<Vec<ParkedGpu>, Error> {
        let runs = match self.machine(id) {
            Ok((dir, machine)) => self.running(&dir, &machine)?.is_some(),
            Err(Error::NoSuchMachine(_)) => false,
            Err(error) => return Err(error),
        };
        if runs {
            return Err(Error::host("take back a machine's GPUs", format_args!("machine {id} is running")));
        }
        self.return_gpus(id).await
    }

    /// The same of a machine that is known not to run.
    pub(super) async fn return_gpus(&self, id: MachineId) -> Result<Vec<ParkedGpu>, Error> {
        let now = self.config.clock.now();
        let parked = self.with_gpus(move |host| host.give_back(id.0, now)).await?;
        for parked in &parked {
            warn!(machine.id = %id, gpu = %parked.device, "GPU {} is parked after machine {id}: {}", parked.device, parked.why);
        }
        Ok(parked.into_iter().map(|parked| ParkedGpu { gpu: parked.device, why: parked.why }).collect())
    }

    /// An operator says that a parked GPU is whole again. One that is not parked is fine.
    pub(super) async fn put_back_gpu(&self, gpu: GpuAddress) -> Result<(), Error> {
        let now = self.config.clock.now();
        let done = self.with_gpus(move |host| match host.put_back(gpu, now) {
            Err(dewpoint_gpu::Error::NotParked(_)) => Ok(false),
            done => done.map(|()| true),
        });
        if done.await? {
            info!(gpu = %gpu, "GPU {gpu} is not parked any more");
        }
        Ok(())
    }

    /// What a machine's process gets at its start. They are taken again, which does nothing unless the host was started anew.
    pub(super) async fn gpus_to_start_with(
        &self,
        id: MachineId,
        spec: &MachineSpec,
        user: Option<&QemuUser>,
    ) -> Result<Passed, Error> {
        self.take_gpus(id, &spec.gpus).await?;
        if spec.gpus.is_empty() {
            return Ok(Passed::default());
        }
        let (order, uid) = (spec.gpus.clone(), user.map(|user| user.uid));
        self.with_gpus(move |host| passed(host, id, &order, uid)).await
    }

    async fn with_gpus<T: Send + 'static>(
        &self,
        work: impl FnOnce(&GpuHost) -> Result<T, dewpoint_gpu::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let host = self.config.gpus.clone();
        let done = tokio::task::spawn_blocking(move || work(&host)).await;
        done.map_err(|error| Error::host("see to GPUs", error))?.map_err(engine_error)
    }
}

/// What a machine that has taken `order` is handed, its files the user's.
pub(super) fn passed(
    host: &GpuHost,
    id: MachineId,
    order: &[GpuAddress],
    user: Option<u32>,
) -> Result<Passed, dewpoint_gpu::Error> {
    let mut devices = host.hand_over(id.0, user)?;
    // The spec's order; what goes with them comes last.
    devices.sort_by_key(|device| order.iter().position(|gpu| *gpu == address(device)).unwrap_or(order.len()));
    let gpus = devices.iter().filter(|device| order.contains(&address(device)));
    let on: BTreeSet<u32> = gpus.filter_map(|device| device.functions[0].node).collect();
    let nodes = host.inventory()?.nodes;
    let several = nodes.len() > 1;
    let nodes = nodes.into_iter().filter(|node| several && on.contains(&node.number)).collect();
    Ok(Passed { devices, nodes })
}

fn address(device: &Handed) -> GpuAddress {
    device.functions[0].address
}

fn host_gpu(seen: Seen) -> HostGpu {
    let Seen { gpu, state, .. } = seen;
    let state = match state {
        State::Ready => GpuState::Ready,
        State::Unusable(found) => GpuState::Unusable(Obstacle::all(&found)),
        State::Parked(parked) => GpuState::Parked(format!(
            "parked since {}: {}; when it is repaired, put it back with `dew doctor --unpark {}`",
            parked.at, parked.why, gpu.address
        )),
    };
    HostGpu { address: gpu.address, model: gpu.model, memory_mib: gpu.memory_mib, node: gpu.node, state }
}

fn engine_error(error: dewpoint_gpu::Error) -> Error {
    use dewpoint_gpu::Error as Gpu;
    match error {
        Gpu::Unusable { gpu, why } => Error::GpuUnusable { gpu, why },
        Gpu::Taken { gpu, machine } => Error::GpuTaken { gpu, machine: MachineId(machine) },
        Gpu::HasOthers(machine) => Error::SpecConflict(MachineId(machine)),
        Gpu::NotParked(_) | Gpu::StaysParked { .. } => Error::host("put a GPU back", error),
        Gpu::Io(error) => Error::host("see to GPUs", error),
    }
}
