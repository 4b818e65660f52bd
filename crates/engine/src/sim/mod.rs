//! The simulator: a full engine whose machines are rows in a file of its own.
//!
//! It keeps them apart from the control plane's store and writes them in transactions of its own, so that a crash leaves the
//! same gaps as with a hypervisor; many instant machines share one write. It is as fast as its delays, which pass on the
//! injected clock, and fails when told to ([`Faults`]).

mod console;
mod disks;
mod faults;
mod gpus;
mod machines;
mod survey;

pub use faults::{Fault, Faults, Moment};
pub use machines::Stepper;
pub use survey::{copy, survey};

use std::{
    net::Ipv4Addr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use console::Echoes;
use dewpoint_clock::Clock;
use dewpoint_network::Plan;
use dewpoint_pages::Closing;
use disks::NO_MACHINE;
use machines::Machines;
use tokio::sync::broadcast;

use crate::{
    Access, Console, Engine, Error, GpuAddress, Host, HostGpus, ImageName, MachineId, MachineSpec, Networking,
    Observed, Operation, ParkedGpu, Power, PowerState, Readiness, UserDataOutcome,
};

/// How long the simulator takes for what a hypervisor takes long for. All zero by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    /// Making a machine's disks.
    pub ensure: Duration,
    /// From power on to a running guest.
    pub power_on: Duration,
    /// Pulling the plug.
    pub power_off: Duration,
    /// A guest's own shutdown.
    pub shutdown: Duration,
    /// Removing a machine.
    pub destroy: Duration,
    /// Taking a snapshot of a machine or a volume.
    pub snapshot: Duration,
    /// Fetching an image.
    pub import: Duration,
    /// Giving a volume to a machine or taking it away.
    pub attach: Duration,
    /// Putting changes of the network in force.
    pub network: Duration,
    /// From a running guest to one that answers and has run its user data.
    pub ready: Duration,
}

/// What the simulator pretends to have: one host with room for everything, every image and an agent, unless told otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Equipment {
    /// Its hosts.
    pub hosts: Vec<Host>,
    /// Base images that are not there.
    pub missing_images: Vec<ImageName>,
    /// Whether guests run a Droplet agent.
    pub droplet_agent: bool,
    /// Whether machines nobody has a key to are given passwords, as real ones are.
    pub passwords: bool,
    /// Whether it follows plans of the network as an engine with real links does; the last one can be looked at.
    pub network: bool,
}

impl Default for Equipment {
    fn default() -> Self {
        let host = Host { name: HOST.into(), vcpus: u32::MAX, memory_mib: u64::MAX, gpus: HostGpus::Plenty };
        Self { hosts: vec![host], missing_images: Vec::new(), droplet_agent: true, passwords: false, network: false }
    }
}

/// The simulator.
#[derive(Debug)]
pub struct SimEngine {
    machines: Machines,
    equipment: Equipment,
    clock: Arc<dyn Clock>,
    delays: Mutex<Delays>,
    faults: Arc<Faults>,
    /// The network that is in force.
    plan: Mutex<Plan>,
    changes: broadcast::Sender<MachineId>,
    echoes: Echoes,
}

/// The name of the simulator's one host by default.
const HOST: &str = "sim-1";

impl SimEngine {
    /// Opens the simulator's file, making it if it is not there. Machines of an earlier run are still there, as they were.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        Ok(Self::of(Machines::open(path)?, clock))
    }

    /// The same without a thread of its own: calls wait until they are carried out by hand, one by one. For simulations that
    /// can be repeated; its file is not synced.
    pub fn open_stepped(path: &Path, clock: Arc<dyn Clock>) -> Result<(Self, Stepper), Error> {
        let (machines, stepper) = Machines::open_stepped(path)?;
        Ok((Self::of(machines, clock), stepper))
    }

    fn of(machines: Machines, clock: Arc<dyn Clock>) -> Self {
        Self {
            machines,
            equipment: Equipment::default(),
            clock,
            delays: Mutex::default(),
            faults: Arc::default(),
            plan: Mutex::default(),
            changes: broadcast::Sender::new(1024),
            echoes: Echoes::default(),
        }
    }

    /// Whether the file in `path` is as it was written, if it is there. Changes nothing, which [`SimEngine::open`] does only then.
    pub fn verify(path: &Path) -> Result<(), Error> {
        machines::verify(path).map(drop)
    }

    /// Tells when its file is closed: the simulator dropped, its thread ended.
    pub fn closing(&self) -> Closing {
        self.machines.closing()
    }

    /// The same simulator with only this to offer.
    #[must_use]
    pub fn equipped(self, equipment: Equipment) -> Self {
        Self { equipment, ..self }
    }

    /// Where faults are ordered.
    pub fn faults(&self) -> &Arc<Faults> {
        &self.faults
    }

    /// Sets how long things take from now on.
    pub fn set_delays(&self, delays: Delays) {
        if let Ok(mut current) = self.delays.lock() {
            *current = delays;
        }
    }

    /// What a machine was made from, or was given since; `None` when there is no such machine.
    pub async fn spec(&self, id: MachineId) -> Result<Option<MachineSpec>, Error> {
        self.machines.spec(id).await
    }

    /// Makes a machine go off as if its guest had done it.
    pub async fn guest_powers_off(&self, id: MachineId) -> Result<(), Error> {
        self.machines.set_power(id, None).await?;
        self.echoes.end(id);
        // Nobody listening is fine: what is true can be observed at any time.
        let _ = self.changes.send(id);
        Ok(())
    }

    /// Makes a machine be gone as if someone had removed it; no such machine is success.
    pub async fn vanish(&self, id: MachineId) -> Result<(), Error> {
        self.machines.remove(id).await?;
        self.echoes.forget(id);
        let _ = self.changes.send(id);
        Ok(())
    }

    /// Ends every console and forgets what was written: the machines were replaced by others.
    pub fn forget_consoles(&self) {
        self.echoes.forget_all();
    }

    /// Lets a GPU of a host be missing, as if somebody had pulled it out, or be there again. Of a host that names its GPUs.
    pub async fn lose_gpu(&self, host: &str, gpu: GpuAddress, missing: bool) -> Result<(), Error> {
        self.machines.lose_gpu(host, gpu, missing).await
    }

    /// Lets the next reset of a GPU fail: it is parked then.
    pub async fn spoil_gpu(&self, host: &str, gpu: GpuAddress) -> Result<(), Error> {
        self.machines.spoil_gpu(host, gpu).await
    }

    /// The network that is in force, where it follows plans.
    pub fn plan(&self) -> Plan {
        self.plan.lock().map(|plan| plan.clone()).unwrap_or_default()
    }

    /// How long things take now.
    pub fn delays(&self) -> Delays {
        self.delays.lock().map(|delays| *delays).unwrap_or_default()
    }

    async fn pause(&self, pick: impl FnOnce(&Delays) -> Duration) {
        let delay = pick(&self.delays());
        if !delay.is_zero() {
            self.clock.sleep_until(self.clock.now() + delay).await;
        }
    }
}

#[async_trait::async_trait]
impl Engine for SimEngine {
    fn name(&self) -> &'static str {
        "sim"
    }

    async fn hosts(&self) -> Result<Vec<Host>, Error> {
        self.machines.hosts(&self.equipment.hosts).await
    }

    fn networking(&self) -> Networking {
        Networking {
            pool: (Ipv4Addr::new(100, 64, 0, 0), 10),
            netmask: Ipv4Addr::new(255, 192, 0, 0),
            gateway: Ipv4Addr::new(100, 64, 0, 1),
        }
    }

    fn has_image(&self, image: &ImageName) -> bool {
        !self.equipment.missing_images.contains(image)
    }

    fn image_hint(&self, image: &ImageName) -> Option<String> {
        (!self.has_image(image)).then(|| format!("dew image add {image} --file FILE"))
    }

    fn has_droplet_agent(&self) -> bool {
        self.equipment.droplet_agent
    }

    fn sets_passwords(&self) -> bool {
        self.equipment.passwords
    }

    fn is_ready_at_once(&self) -> bool {
        self.delays().ready.is_zero()
    }

    async fn ensure(&self, id: MachineId, spec: &MachineSpec) -> Result<(), Error> {
        self.faults.check(Operation::Ensure, id, Moment::Before)?;
        self.pause(|delays| delays.ensure).await;
        self.machines.ensure(id, spec).await?;
        self.faults.check(Operation::Ensure, id, Moment::After)
    }

    async fn power(&self, id: MachineId, power: Power) -> Result<(), Error> {
        let operation = match power {
            Power::On => Operation::PowerOn,
            Power::Off => Operation::PowerOff,
            Power::Shutdown => Operation::Shutdown,
        };
        self.faults.check(operation, id, Moment::Before)?;
        self.pause(|delays| match power {
            Power::On => delays.power_on,
            Power::Off => delays.power_off,
            Power::Shutdown => delays.shutdown,
        })
        .await;
        let started = match power {
            Power::On => Some(self.clock.now()),
            Power::Off | Power::Shutdown => None,
        };
        self.machines.set_power(id, started).await?;
        if started.is_none() {
            self.echoes.end(id);
        }
        self.faults.check(operation, id, Moment::After)
    }

    async fn change(&self, id: MachineId, spec: &MachineSpec) -> Result<(), Error> {
        self.faults.check(Operation::Change, id, Moment::Before)?;
        self.machines.change(id, spec).await?;
        self.faults.check(Operation::Change, id, Moment::After)
    }

    async fn rebuild(&self, id: MachineId, spec: &MachineSpec) -> Result<(), Error> {
        self.faults.check(Operation::Rebuild, id, Moment::Before)?;
        self.pause(|delays| delays.ensure).await;
        self.machines.rebuild(id, spec).await?;
        self.faults.check(Operation::Rebuild, id, Moment::After)
    }

    async fn set_password(&self, id: MachineId, hash: &str) -> Result<(), Error> {
        self.faults.check(Operation::SetPassword, id, Moment::Before)?;
        self.machines.set_password(id, hash).await?;
        self.faults.check(Operation::SetPassword, id, Moment::After)
    }

    async fn observe(&self, id: MachineId) -> Result<Option<Observed>, Error> {
        self.machines.observe(id).await
    }

    async fn readiness(&self, id: MachineId) -> Result<Readiness, Error> {
        let observed = self.machines.observe(id).await?.ok_or(Error::NoSuchMachine(id))?;
        let running = observed.power == PowerState::On;
        let ready_at = observed.started_at.map(|started| started + self.delays().ready);
        Ok(match running && ready_at.is_some_and(|ready_at| ready_at <= self.clock.now()) {
            true => Readiness { ssh: true, user_data: UserDataOutcome::Done },
            false => Readiness { ssh: false, user_data: UserDataOutcome::Pending },
        })
    }

    async fn access(&self, id: MachineId) -> Result<Access, Error> {
        self.machines.observe(id).await?.ok_or(Error::NoSuchMachine(id))?;
        Ok(Access::default())
    }

    async fn console(&self, id: MachineId) -> Result<Option<Console>, Error> {
        let observed = self.machines.observe(id).await?.ok_or(Error::NoSuchMachine(id))?;
        Ok(Some(self.echoes.of(id, observed.power == PowerState::On)))
    }

    fn has_network(&self) -> bool {
        self.equipment.network
    }

    async fn apply_network(&self, plan: &Plan) -> Result<(), Error> {
        self.faults.check(Operation::ApplyNetwork, NO_MACHINE, Moment::Before)?;
        self.pause(|delays| delays.network).await;
        if let Ok(mut in_force) = self.plan.lock() {
            in_force.clone_from(plan);
        }
        self.faults.check(Operation::ApplyNetwork, NO_MACHINE, Moment::After)
    }

    async fn take_gpus(&self, id: MachineId, gpus: &[GpuAddress]) -> Result<(), Error> {
        self.faults.check(Operation::TakeGpus, id, Moment::Before)?;
        self.machines.take_gpus(id, &self.equipment.hosts, gpus).await?;
        self.faults.check(Operation::TakeGpus, id, Moment::After)
    }

    async fn give_back_gpus(&self, id: MachineId) -> Result<Vec<ParkedGpu>, Error> {
        self.faults.check(Operation::GiveBackGpus, id, Moment::Before)?;
        if self.machines.observe(id).await?.is_some_and(|seen| seen.power == PowerState::On) {
            return Err(Error::host("take GPUs back", format_args!("machine {id} is running")));
        }
        let parked = self.machines.give_back_gpus(id).await?;
        self.faults.check(Operation::GiveBackGpus, id, Moment::After)?;
        Ok(parked)
    }

    async fn put_back_gpu(&self, host: &str, gpu: &GpuAddress) -> Result<(), Error> {
        self.machines.put_back_gpu(host, *gpu).await
    }

    async fn destroy(&self, id: MachineId) -> Result<(), Error> {
        self.faults.check(Operation::Destroy, id, Moment::Before)?;
        self.pause(|delays| delays.destroy).await;
        self.machines.remove(id).await?;
        self.echoes.forget(id);
        self.faults.check(Operation::Destroy, id, Moment::After)
    }

    async fn machines(&self) -> Result<Vec<MachineId>, Error> {
        self.machines.list().await
    }

    fn changes(&self) -> broadcast::Receiver<MachineId> {
        self.changes.subscribe()
    }
}
