//! How the engine is set up, and whether this host is fit for it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use dewpoint_clock::Clock;
use dewpoint_gpu::GpuHost;
use ipnet::IpNet;

use super::{
    accel::{self, Acceleration, Accelerator},
    contain::{Containment, Held},
    import::ImportLimits,
    layout::Layout,
    network::real::RealNetwork,
    user::{self, QemuUser},
};
use crate::Error;

/// How the engine is set up.
#[derive(Clone, Debug)]
pub struct QemuConfig {
    /// Machines live in `machines/` below it.
    pub data_dir: PathBuf,
    /// Base images, as [`images`] makes them.
    pub image_dir: PathBuf,
    /// Who every QEMU runs as when the server is root. When not given, each machine's is a user of its own.
    pub qemu_user: Option<String>,
    /// The number of the first machine's user; some 100 million are taken from it on.
    pub first_uid: u32,
    /// The cgroup (version 2) below which machines get theirs; systemd's or one of the server's own when not given.
    pub cgroup: Option<PathBuf>,
    /// Guest ports to forward beside 22, 80 and 443.
    pub extra_forward_ports: Vec<u16>,
    /// Whether guests may reach the network; they then also reach this host's loopback.
    pub guest_egress: bool,
    /// This host's GPUs, and where is written down what became of them.
    pub gpus: GpuHost,
    /// The real network that machines' links are in; `None` has them on this host's loopback.
    pub network: Option<RealNetwork>,
    /// The operator's choice; `None` tries KVM with a probe guest.
    pub accelerator: Option<Accelerator>,
    /// How long a guest may take to shut down when asked.
    pub shutdown_limit: Duration,
    /// How long a guest may take to write out its file systems for a snapshot, while its programs wait.
    pub flush_limit: Duration,
    /// Networks that images may be fetched from beside the open Internet.
    pub import_allow_from: Vec<IpNet>,
    /// What one import may use.
    pub import_limits: ImportLimits,
    /// Whether machines are held as a server that is not root can hold them.
    #[cfg(test)]
    pub(super) rules_alone: bool,
    /// Stamps the times of starts; pauses and limits of imports go by it.
    pub clock: Arc<dyn Clock>,
}

impl QemuConfig {
    /// The defaults: nothing extra forwarded, no egress, a minute to shut down, 0.7 s to flush, images from the open Internet
    /// alone.
    pub fn new(data_dir: impl Into<PathBuf>, image_dir: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        let data_dir = data_dir.into();
        Self {
            gpus: GpuHost::new(&data_dir),
            data_dir,
            image_dir: image_dir.into(),
            qemu_user: None,
            first_uid: user::FIRST_UID,
            cgroup: None,
            extra_forward_ports: Vec::new(),
            guest_egress: false,
            network: None,
            accelerator: None,
            shutdown_limit: Duration::from_secs(60),
            flush_limit: Duration::from_millis(700),
            import_allow_from: Vec::new(),
            import_limits: ImportLimits::default(),
            #[cfg(test)]
            rules_alone: false,
            clock,
        }
    }
}

/// What this host offers.
#[derive(Clone, Debug)]
pub struct Probe {
    /// What QEMU calls itself.
    pub version: String,
    /// What would run guests, and why.
    pub acceleration: Acceleration,
    /// What would hold QEMU, part by part.
    pub held: Vec<Held>,
}

/// What has to be there before any machine.
pub(super) struct Ground {
    pub(super) layout: Layout,
    pub(super) containment: Containment,
    pub(super) version: String,
}

impl Ground {
    pub(super) async fn check(config: &QemuConfig) -> Result<Self, Error> {
        if config.first_uid < user::LOWEST_UID {
            let problem =
                format!("the first of their users is {}, and must be {} or more", config.first_uid, user::LOWEST_UID);
            return Err(Error::host("give machines users of their own", problem));
        }
        let layout = Layout::open(&config.data_dir)?;
        let user = QemuUser::choose(config.qemu_user.as_deref())?;
        if let Some(user) = &user {
            user.check_reach(layout.root())?;
        }
        let version = accel::check_qemu(&rom(&layout)).await?;
        let containment = Containment::find(config, user);
        let containment = containment
            .settle(async |containment| accel::run_probe(Accelerator::Tcg, &rom(&layout), &containment).await)
            .await?;
        Ok(Self { layout, containment, version })
    }
}

/// Where the probe guest is written.
pub(super) fn rom(layout: &Layout) -> PathBuf {
    layout.root().join("probe.rom")
}
