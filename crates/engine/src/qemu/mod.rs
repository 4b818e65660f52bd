//! Machines as QEMU processes on this host, one each, without a daemon between.
//!
//! ```text
//!            ensure                 power On                    guest or host ends it
//! (nothing) ────────> off: files ────────────> on: process ─────────────────────────> off: files
//!     ^                  │ destroy                │ destroy, power Off, Shutdown
//!     └──────────────────┴────────────────────────┘
//! ```
//!
//! Nothing about a machine is kept in memory that matters: what it is lies in its directory ([`layout`]), whether it runs is
//! asked of the host ([`process`]). So a server may end and start again at any time; its machines go on and are found again
//! (a systemd unit needs `KillMode=process`).

mod accel;
mod agent;
mod change;
mod command;
mod config;
mod console;
mod contain;
mod disk;
#[doc(hidden)]
pub mod doors;
mod gpus;
pub mod images;
mod import;
mod layers;
mod layout;
mod make;
mod network;
mod passthrough;
mod power;
mod process;
mod qmp;
mod readiness;
mod record;
mod seed;
mod slots;
mod snapshot;
mod storage;
mod survey;
mod user;
mod volumes;
mod watch;

pub use accel::{Acceleration, Accelerator};
pub use config::{Probe, QemuConfig};
pub use contain::Held;
pub use import::ImportLimits;
pub use network::real::RealNetwork;
pub use survey::{records, survey};

use std::{fmt, fs, io, net::IpAddr, path::Path, sync::Arc, time::Duration};

use dewpoint_network::Plan;
use ipnet::Ipv4Net;
use tokio::sync::{OnceCell, broadcast};
use tracing::{info, warn};

use self::{
    config::{Ground, rom},
    contain::Containment,
    images::ImageStore,
    import::Importer,
    layers::{Layers, Pinned},
    layout::{Layout, MachineDir, io_error, names},
    network::{Links, public_address, real::RealLinks},
    process::Process,
    readiness::Banners,
    record::{MachineRecord, RunRecord},
    slots::{Slot, Slots},
    user::QemuUser,
    watch::{Subject, Watch},
};
use crate::{
    Access, Console, Engine, Error, Forward, GpuAddress, Host, ImageName, LOG_BYTES, MachineId, MachineSpec,
    MetadataListener, Networking, Observed, ParkedGpu, Power, PowerState, Readiness, UserDataOutcome, VolumeId,
    console::Consoles,
};

/// The only host this engine has.
pub const HOST: &str = "local";

/// How long an SSH server may take to show its banner when it is asked for.
const BANNER_LIMIT: Duration = Duration::from_secs(1);

/// How long a banner that was seen counts as seen: asking costs a guest without KVM a second's work.
const BANNER_AGE: Duration = Duration::from_secs(30);

/// The engine. Cheap to drop: machines go on running.
pub struct QemuEngine {
    inner: Arc<Inner>,
}

/// What the engine's tasks share.
struct Inner {
    config: QemuConfig,
    layout: Layout,
    /// Base images.
    images: ImageStore,
    /// The engine's own.
    layers: Layers,
    imports: Importer,
    /// What machines' links are plugged into.
    links: Links,
    /// Who has what is no running machine's; `None` when the server is not root: QEMU then runs as the server does.
    user: Option<QemuUser>,
    /// What holds machines' processes.
    containment: Containment,
    version: String,
    acceleration: OnceCell<Acceleration>,
    /// A running machine's has the watch over it.
    machine_slots: Slots<MachineId, Option<Watch>>,
    volume_slots: Slots<VolumeId, ()>,
    attached: volumes::Attached,
    banners: Arc<Banners>,
    changes: broadcast::Sender<MachineId>,
    consoles: Arc<Consoles>,
}

impl fmt::Debug for QemuEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QemuEngine").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl QemuEngine {
    /// Opens the engine on a data dir, and takes up the machines that run there.
    ///
    /// Fails, with a sentence an operator can act on, when QEMU is missing or too old, cannot run a guest, or its user cannot
    /// walk to the data dir. Returns in a fifth of a second: whether KVM works is found out behind it, before the first start.
    pub async fn open(config: QemuConfig) -> Result<Self, Error> {
        let Ground { layout, containment, version } = Ground::check(&config).await?;
        containment.log();
        let user = containment.user.clone();
        let links = match config.network.clone() {
            None => Links::Loopback,
            Some(network) => Links::Real(RealLinks::open(network).await?),
        };
        let holders = vec![layout.root().to_path_buf(), layout.volumes()];
        let inner = Inner {
            images: ImageStore::new(&config.image_dir),
            layers: Layers::open(&config, holders, user.clone())?,
            imports: Importer::open(&config, user.clone())?,
            links,
            config,
            layout,
            user,
            containment,
            version,
            acceleration: OnceCell::new(),
            machine_slots: Slots::default(),
            volume_slots: Slots::default(),
            attached: volumes::Attached::default(),
            banners: Arc::default(),
            changes: broadcast::channel(1024).0,
            consoles: Arc::default(),
        };
        let engine = Self { inner: Arc::new(inner) };
        engine.inner.tidy_volumes()?;
        engine.inner.take_up_running().await?;
        if let Err(error) = engine.inner.layers.search().await {
            warn!(error = %error, "Layers that nothing needs were not looked for");
        }
        let inner = engine.inner.clone();
        tokio::spawn(async move {
            let Acceleration { accelerator, reason } = inner.acceleration().await;
            info!("{} runs guests under {accelerator}: {reason}", inner.version);
        });
        Ok(engine)
    }

    /// Says what [`QemuEngine::open`] would find, without taking anything up; for an operator beside a running server.
    pub async fn probe(config: &QemuConfig) -> Result<Probe, Error> {
        let Ground { layout, containment, version } = Ground::check(config).await?;
        let acceleration = accel::choose(config.accelerator, &rom(&layout), &containment).await;
        Ok(Probe { version, acceleration, held: containment.held() })
    }

    /// Which accelerator machines run under, and why. The first call may take the two seconds a hanging KVM is given.
    pub async fn acceleration(&self) -> Acceleration {
        self.inner.acceleration().await.clone()
    }

    /// What holds machines' processes here, part by part.
    pub fn held(&self) -> Vec<Held> {
        self.inner.containment.held()
    }

    /// The public addresses of its machines' links, where those are real.
    pub fn real_pool(&self) -> Option<Ipv4Net> {
        self.inner.links.real().map(RealLinks::public_v4)
    }

    /// What QEMU calls itself.
    pub fn version(&self) -> &str {
        &self.inner.version
    }
}

impl Inner {
    async fn acceleration(&self) -> &Acceleration {
        let choose = || async { accel::choose(self.config.accelerator, &rom(&self.layout), &self.containment).await };
        self.acceleration.get_or_init(choose).await
    }

    fn slot(&self, id: MachineId) -> Slot<Option<Watch>> {
        self.machine_slots.get(id)
    }

    /// The files of an image, a base image or an own one. Fails with [`Error::ImageMissing`] or [`Error::ImageInvalid`].
    async fn base_files(&self, image: &ImageName) -> Result<Pinned, Error> {
        if image.is_own() {
            self.layers.base_files(image).await
        } else {
            Ok(Pinned::base(self.images.base_files(image)?))
        }
    }

    /// A wholly made machine, or [`Error::NoSuchMachine`].
    fn machine(&self, id: MachineId) -> Result<(MachineDir, MachineRecord), Error> {
        let dir = self.layout.machine(id);
        let record = dir.read(names::MACHINE)?.ok_or(Error::NoSuchMachine(id))?;
        Ok((dir, record))
    }

    /// The machine's live process with what was written down at its start; `None` only when it is sure that there is none.
    fn running(&self, dir: &MachineDir, machine: &MachineRecord) -> Result<Option<(RunRecord, Process)>, Error> {
        let Some(mut run) = dir.read::<RunRecord>(names::RUN)? else { return Ok(None) };
        let failed = |error: io::Error| Error::Host {
            operation: "find out whether a machine runs",
            problem: error.to_string(),
            transient: true,
        };
        if run.process.is_none() {
            // The server died between the start and its record, or before the start.
            run.process = process::search(Path::new("/proc"), machine.uuid).map_err(failed)?;
            if run.process.is_some() {
                dir.write(names::RUN, &run)?;
            }
        }
        let Some(identity) = run.process else { return Ok(None) };
        Ok(Process::find(identity, machine.uuid).map_err(failed)?.map(|process| (run, process)))
    }

    fn subject(&self, id: MachineId, dir: &MachineDir, machine: &MachineRecord, run: &RunRecord) -> Subject {
        let ssh = self.access(machine, run).into_iter().find(|forward| forward.guest_port == 22);
        let ssh = ssh.map(|forward| forward.host);
        let cgroup = self.containment.cgroups.as_ref().ok().map(|cgroups| cgroups.of(machine.uuid));
        Subject {
            id,
            dir: dir.clone(),
            ssh,
            believed: run.real,
            cgroup,
            banners: self.banners.clone(),
            changes: self.changes.clone(),
            consoles: self.consoles.clone(),
        }
    }

    /// Where the ports of a machine are found from this host.
    fn access(&self, machine: &MachineRecord, run: &RunRecord) -> Vec<Forward> {
        match (run.real, public_address(&machine.spec)) {
            (false, _) => run.forwards.iter().copied().map(Into::into).collect(),
            (true, Some(address)) => vec![Forward { guest_port: 22, host: (address, 22).into() }],
            (true, None) => Vec::new(),
        }
    }

    async fn take_up_running(self: &Arc<Self>) -> Result<(), Error> {
        for id in self.layout.list()? {
            let slot = self.slot(id);
            let mut watch = slot.lock().await;
            let Ok((dir, machine)) = self.machine(id) else { continue };
            if let Err(error) = self.settle_root_disk(id, &dir, &machine).await {
                warn!(machine.id = %id, error = %error, "A snapshot of machine {id} was cut off and is not tidied up");
            }
            if let Some((run, process)) = self.running(&dir, &machine)? {
                info!(machine.id = %id, pid = process.identity.pid, "Machine {id} still runs");
                *watch = Some(Watch::start(&self.subject(id, &dir, &machine, &run), process, None));
                let inner = self.clone();
                tokio::spawn(async move { inner.thaw_left_over(id).await });
            }
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl Engine for QemuEngine {
    fn name(&self) -> &'static str {
        "qemu"
    }

    async fn hosts(&self) -> Result<Vec<Host>, Error> {
        let vcpus = std::thread::available_parallelism().map_err(|error| Error::host("count processors", error))?;
        let vcpus = u32::try_from(vcpus.get()).unwrap_or(u32::MAX);
        let gpus = self.inner.host_gpus().await?;
        Ok(vec![Host { name: HOST.to_owned(), vcpus, memory_mib: host_memory_mib()?, gpus }])
    }

    fn networking(&self) -> Networking {
        self.inner.links.networking()
    }

    fn has_image(&self, image: &ImageName) -> bool {
        if image.is_own() { self.inner.layers.has(image) } else { self.inner.images.has(image) }
    }

    fn image_hint(&self, image: &ImageName) -> Option<String> {
        Some(images::hint(image))
    }

    async fn ensure(&self, id: MachineId, spec: &MachineSpec) -> Result<(), Error> {
        let slot = self.inner.slot(id);
        let _held = slot.lock().await;
        self.inner.ensure(id, spec).await
    }

    async fn power(&self, id: MachineId, power: Power) -> Result<(), Error> {
        let slot = self.inner.slot(id);
        let mut watch = slot.lock().await;
        match power {
            Power::On => self.inner.power_on(id, &mut watch).await,
            Power::Off => self.inner.power_off(id).await,
            Power::Shutdown => self.inner.shut_down(id).await,
        }
    }

    async fn change(&self, id: MachineId, spec: &MachineSpec) -> Result<(), Error> {
        let slot = self.inner.slot(id);
        let _held = slot.lock().await;
        self.inner.change(id, spec).await
    }

    async fn rebuild(&self, id: MachineId, spec: &MachineSpec) -> Result<(), Error> {
        let slot = self.inner.slot(id);
        let _held = slot.lock().await;
        self.inner.rebuild(id, spec).await
    }

    async fn set_password(&self, id: MachineId, hash: &str) -> Result<(), Error> {
        let slot = self.inner.slot(id);
        let _held = slot.lock().await;
        self.inner.set_password(id, hash).await
    }

    async fn observe(&self, id: MachineId) -> Result<Option<Observed>, Error> {
        let dir = self.inner.layout.machine(id);
        let Some(machine) = dir.read::<MachineRecord>(names::MACHINE)? else {
            let half_made = Observed { power: PowerState::Off, started_at: None };
            return Ok(dir.exists().then_some(half_made));
        };
        let started_at = dir.read::<RunRecord>(names::RUN)?.map(|run| run.started_at);
        let power = match self.inner.running(&dir, &machine)? {
            Some(_) => PowerState::On,
            None => PowerState::Off,
        };
        Ok(Some(Observed { power, started_at }))
    }

    async fn readiness(&self, id: MachineId) -> Result<Readiness, Error> {
        let (dir, machine) = self.inner.machine(id)?;
        let user_data = dir.read(names::REPORT)?.unwrap_or(UserDataOutcome::Pending);
        let Some((run, process)) = self.inner.running(&dir, &machine)? else {
            return Ok(Readiness { ssh: false, user_data });
        };
        // The first banner is the watch's to see: a crowd of callers would only keep a booting guest from it.
        let ssh = match (self.inner.banners.age(process.identity), self.inner.subject(id, &dir, &machine, &run).ssh) {
            // A real guest's word counts, and nobody may be let in from here to ask again.
            (Some(age), _) if run.real || age < BANNER_AGE => true,
            (Some(_), Some(address)) => {
                let seen = readiness::ssh_banner(address, BANNER_LIMIT).await;
                if seen {
                    self.inner.banners.seen(process.identity);
                }
                seen
            }
            (Some(_), None) | (None, _) => false,
        };
        Ok(Readiness { ssh, user_data })
    }

    async fn access(&self, id: MachineId) -> Result<Access, Error> {
        let (dir, machine) = self.inner.machine(id)?;
        let run: Option<RunRecord> = dir.read(names::RUN)?;
        let forwards = run.map(|run| self.inner.access(&machine, &run)).unwrap_or_default();
        let console_log = Some(dir.file(names::CONSOLE)).filter(|path| path.exists());
        Ok(Access { forwards, console_log })
    }

    async fn console(&self, id: MachineId) -> Result<Option<Console>, Error> {
        let (dir, _) = self.inner.machine(id)?;
        let log = dir.file(names::CONSOLE);
        let read = || console::end_of(&log, LOG_BYTES).map_err(|error| io_error("read a console's log", &log, &error));
        self.inner.consoles.of(id, read).map(Some)
    }

    fn has_network(&self) -> bool {
        self.inner.links.real().is_some()
    }

    fn nameservers(&self) -> Vec<IpAddr> {
        self.inner.links.real().map(RealLinks::nameservers).unwrap_or_default()
    }

    async fn metadata_listener(&self) -> Result<Option<Box<dyn MetadataListener>>, Error> {
        match self.inner.links.real() {
            None => Ok(None),
            Some(links) => links.listen_for_askers().await.map(Some),
        }
    }

    async fn apply_network(&self, plan: &Plan) -> Result<(), Error> {
        match &self.inner.links {
            Links::Loopback => Ok(()),
            Links::Real(links) => links.apply(plan).await,
        }
    }

    async fn take_gpus(&self, id: MachineId, gpus: &[GpuAddress]) -> Result<(), Error> {
        let slot = self.inner.slot(id);
        let _held = slot.lock().await;
        self.inner.take_gpus(id, gpus).await
    }

    async fn give_back_gpus(&self, id: MachineId) -> Result<Vec<ParkedGpu>, Error> {
        let slot = self.inner.slot(id);
        let _held = slot.lock().await;
        self.inner.give_back_gpus(id).await
    }

    async fn put_back_gpu(&self, _host: &str, gpu: &GpuAddress) -> Result<(), Error> {
        self.inner.put_back_gpu(*gpu).await
    }

    async fn destroy(&self, id: MachineId) -> Result<(), Error> {
        let slot = self.inner.slot(id);
        {
            let mut watch = slot.lock().await;
            self.inner.destroy(id).await?;
            *watch = None;
        }
        self.inner.machine_slots.forget(id, &slot);
        Ok(())
    }

    async fn machines(&self) -> Result<Vec<MachineId>, Error> {
        let mut machines = self.inner.machines_with_gpus().await?;
        machines.extend(self.inner.layout.list()?);
        Ok(machines.into_iter().collect())
    }

    fn changes(&self) -> broadcast::Receiver<MachineId> {
        self.inner.changes.subscribe()
    }
}

/// Source: proc(5), `/proc/meminfo`, in KiB.
fn host_memory_mib() -> Result<u64, Error> {
    let failed = |problem: &dyn fmt::Display| Error::host("read this host's memory", problem);
    let text = fs::read_to_string("/proc/meminfo").map_err(|error| failed(&error))?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:")).ok_or_else(|| failed(&"no MemTotal"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().map_err(|error| failed(&error))?;
    Ok(kib / 1024)
}

#[cfg(test)]
mod snapshot_tests;

#[cfg(test)]
fn test_spec() -> MachineSpec {
    use crate::{Ipv4Link, Ipv6Link, MacAddress, Nic, NicKind};
    let public = Nic {
        kind: NicKind::Public,
        mac: MacAddress([2, 0, 0, 0, 0, 1]),
        ipv4: Some(Ipv4Link {
            address: [127, 64, 0, 5].into(),
            netmask: network::loopback::NETWORKING.netmask,
            gateway: Some(network::loopback::NETWORKING.gateway),
        }),
        ipv6: Some(Ipv6Link {
            address: "fd00:64::5".parse().expect("an address"),
            prefix: 64,
            gateway: "fd00:64::1".parse().expect("an address"),
        }),
    };
    MachineSpec {
        hostname: "web-1".to_owned(),
        host: HOST.to_owned(),
        vcpus: 1,
        memory_mib: 512,
        disk_gib: 10,
        image: ImageName::new("micro-x64").expect("a name"),
        ssh_keys: vec!["ssh-ed25519 AAAA me\n".to_owned()],
        user_data: None,
        password_hash: None,
        nics: vec![public],
        gpus: Vec::new(),
    }
}
