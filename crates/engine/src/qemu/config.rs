//! How the engine is set up, and whether this host is fit for it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use dewpoint_clock::Clock;
use ipnet::IpNet;

use super::{
    accel::{self, Acceleration, Accelerator},
    import::ImportLimits,
    layout::Layout,
    user::QemuUser,
};
use crate::Error;

/// How the engine is set up.
#[derive(Clone, Debug)]
pub struct QemuConfig {
    /// Machines live in `machines/` below it.
    pub data_dir: PathBuf,
    /// Base images, as [`images`] makes them.
    pub image_dir: PathBuf,
    /// Who QEMU runs as when the server is root; `nobody` when not given.
    pub qemu_user: Option<String>,
    /// Guest ports to forward beside 22, 80 and 443.
    pub extra_forward_ports: Vec<u16>,
    /// Whether guests may reach the network; they then also reach this host's loopback.
    pub guest_egress: bool,
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
    /// Stamps the times of starts; pauses and limits of imports go by it.
    pub clock: Arc<dyn Clock>,
}

impl QemuConfig {
    /// The defaults: nothing extra forwarded, no egress, a minute to shut down, 0.7 s to flush, images from the open Internet
    /// alone.
    pub fn new(data_dir: impl Into<PathBuf>, image_dir: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        Self {
            data_dir: data_dir.into(),
            image_dir: image_dir.into(),
            qemu_user: None,
            extra_forward_ports: Vec::new(),
            guest_egress: false,
            accelerator: None,
            shutdown_limit: Duration::from_secs(60),
            flush_limit: Duration::from_millis(700),
            import_allow_from: Vec::new(),
            import_limits: ImportLimits::default(),
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
    /// Who QEMU would run as; `None` for the server's own user.
    pub user: Option<String>,
}

/// What has to be there before any machine.
pub(super) struct Ground {
    pub(super) layout: Layout,
    pub(super) user: Option<QemuUser>,
    pub(super) version: String,
}

impl Ground {
    pub(super) async fn check(config: &QemuConfig) -> Result<Self, Error> {
        let layout = Layout::open(&config.data_dir)?;
        let user = QemuUser::choose(config.qemu_user.as_deref())?;
        if let Some(user) = &user {
            user.check_reach(layout.root())?;
        }
        let version = accel::check_qemu(&rom(&layout), user.as_ref()).await?;
        Ok(Self { layout, user, version })
    }
}

/// Where the probe guest is written.
pub(super) fn rom(layout: &Layout) -> PathBuf {
    layout.root().join("probe.rom")
}
