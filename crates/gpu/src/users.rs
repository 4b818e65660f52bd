//! Which processes of the host have a GPU open: unbinding its driver then would wait for them without end.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    console::names,
    obstacle::Obstacle,
    pci::{self, Function},
};

/// What the device files of GPUs begin with.
const DEVICES: [&str; 3] = ["/dev/dri/", "/dev/nvidia", "/dev/vfio/"];

/// The processes that have one of `nodes` open, as `NAME (PID)`.
pub(crate) struct Users {
    /// What is open, by whom.
    open: Vec<(PathBuf, String)>,
}

impl Users {
    /// Looks through all processes. One that ends meanwhile, or may not be looked at, has nothing open.
    pub(crate) fn look(root: &Path) -> Self {
        let proc = root.join("proc");
        let mut open = Vec::new();
        for pid in names(&proc).into_iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())) {
            let process = proc.join(&pid);
            let mut devices: BTreeSet<PathBuf> = BTreeSet::new();
            for file in names(&process.join("fd")) {
                let target = fs::read_link(process.join("fd").join(file)).unwrap_or_default();
                if target.to_str().is_some_and(|path| DEVICES.iter().any(|device| path.starts_with(device))) {
                    devices.insert(target);
                }
            }
            let name = pci::text(&process, "comm").unwrap_or_else(|| "a process".to_owned());
            open.extend(devices.into_iter().map(|device| (device, format!("{name} ({pid})"))));
        }
        Self { open }
    }

    /// What is in the way when somebody has this GPU open.
    pub(crate) fn obstacle(&self, root: &Path, gpu: &Function, groups: &BTreeSet<u32>) -> Option<Obstacle> {
        let nodes = nodes(root, gpu, groups);
        let users: BTreeSet<&str> =
            self.open.iter().filter(|(path, _)| nodes.contains(path)).map(|(_, user)| user.as_str()).collect();
        if users.is_empty() {
            return None;
        }
        let users: Vec<&str> = users.into_iter().collect();
        let fabric = users.iter().any(|user| user.starts_with("nv-fabricmanage") || user.starts_with("nvidia-fabricm"));
        let remedy = match fabric {
            true => {
                "stop the fabric manager, for good: systemctl disable --now nvidia-fabricmanager (a guest with all GPUs runs its own)"
            }
            false => {
                "end those processes (nvidia-persistenced: systemctl disable --now nvidia-persistenced), then look again"
            }
        };
        Some(Obstacle::new(format!("the host uses it: {}", users.join(", ")), remedy))
    }
}

/// The device files of a GPU.
fn nodes(root: &Path, gpu: &Function, groups: &BTreeSet<u32>) -> BTreeSet<PathBuf> {
    let drm = names(&pci::directory(root, gpu.address).join("drm"));
    let mut nodes: BTreeSet<PathBuf> = drm.into_iter().map(|name| Path::new("/dev/dri").join(name)).collect();
    nodes.extend(groups.iter().map(|group| Path::new("/dev/vfio").join(group.to_string())));
    // Source: NVIDIA's driver README, "The /proc interface".
    let information = root.join("proc/driver/nvidia/gpus").join(gpu.address.to_string());
    let minor = pci::text(&information, "information").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("Device Minor:"))?;
        line.trim().parse::<u32>().ok()
    });
    nodes.extend(minor.map(|minor| PathBuf::from(format!("/dev/nvidia{minor}"))));
    nodes
}
