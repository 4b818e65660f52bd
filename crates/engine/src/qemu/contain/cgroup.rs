//! How much of the host one machine's QEMU may take: a cgroup (version 2) for each.
//!
//! ```text
//! ROOT/             given by the configuration, by systemd, or made by a server that is root
//!   MACHINE-UUID/   memory.max, pids.max, cpu.weight; goes when the process has ended
//! ```

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::THREADS;
use crate::qemu::accel::Accelerator;

/// The controllers that are needed.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// What the cgroup of the server itself is called when the one above it is for machines: systemd's `DelegateSubgroup=`.
const SERVER: &str = "dew-server";

/// What a server that is root makes when nothing else is said.
const OWN: &str = "dewpoint";

const MIB: u64 = 1 << 20;

/// Cgroups for machines can be made below this directory.
#[derive(Clone, Debug)]
pub(in crate::qemu) struct Cgroups {
    root: PathBuf,
}

/// What one machine may take.
#[derive(Clone, Copy, Debug)]
pub(in crate::qemu) struct Share {
    pub(in crate::qemu) vcpus: u32,
    pub(in crate::qemu) memory_mib: u64,
    pub(in crate::qemu) accelerator: Accelerator,
}

impl Share {
    /// The guest's memory and what QEMU needs for itself: half a GiB and an eighth, and for its translations 1 GiB.
    fn memory_bytes(&self) -> u64 {
        let translations = if self.accelerator == Accelerator::Tcg { 1024 } else { 0 };
        (self.memory_mib + self.memory_mib / 8 + 512 + translations) * MIB
    }

    /// As many shares as it has processors, of 100 each.
    fn cpu_weight(&self) -> u64 {
        (u64::from(self.vcpus) * 100).clamp(1, 10_000)
    }
}

impl Cgroups {
    /// Finds where, or says why nowhere.
    pub(super) fn find(configured: Option<&Path>, is_root: bool) -> Result<Self, String> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let Some(top) = top(&mounts) else { return Err("this host has no cgroup version 2".to_owned()) };
        Self::find_below(&top, &own, configured, is_root)
    }

    fn find_below(top: &Path, own: &str, configured: Option<&Path>, is_root: bool) -> Result<Self, String> {
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).map(|own| top.join(own));
        let root = match (configured, own) {
            (Some(configured), _) => configured.to_path_buf(),
            (None, Some(own)) if own.file_name().is_some_and(|name| name == SERVER) => {
                own.parent().unwrap_or(top).to_path_buf()
            }
            (None, _) if is_root => {
                give_controllers(top)?;
                top.join(OWN)
            }
            (None, _) => {
                return Err(format!(
                    "none was given to this server (qemu.cgroup, or systemd's Delegate= and DelegateSubgroup={SERVER})"
                ));
            }
        };
        let made = match fs::create_dir(&root) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made,
        };
        made.map_err(|error| format!("{}: {error}", root.display()))?;
        give_controllers(&root)?;
        Ok(Self { root })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Where a machine's is.
    pub(in crate::qemu) fn of(&self, machine: Uuid) -> PathBuf {
        self.root.join(machine.to_string())
    }

    /// Puts the process that was just started into the machine's cgroup.
    pub(in crate::qemu) fn hold(&self, machine: Uuid, share: Share, pid: i32) -> io::Result<()> {
        let directory = self.of(machine);
        match fs::create_dir(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let pids = u64::from(share.vcpus) + THREADS;
        for (name, value) in [
            ("memory.max", share.memory_bytes()),
            ("memory.oom.group", 1),
            ("pids.max", pids),
            ("cpu.weight", share.cpu_weight()),
        ] {
            fs::write(directory.join(name), value.to_string())?;
        }
        fs::write(directory.join("cgroup.procs"), pid.to_string())
    }
}

/// Removes the cgroup of a machine that has no process any more; one that has stays.
pub(in crate::qemu) fn remove(directory: &Path) {
    // A failure leaves an empty directory, which the machine's next start uses.
    let _ = fs::remove_dir(directory);
}

/// Where cgroups of version 2 are mounted. Source: proc(5), `/proc/PID/mountinfo`.
fn top(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (fields, kind) = line.split_once(" - ")?;
        let at = fields.split(' ').nth(4)?;
        kind.starts_with("cgroup2 ").then(|| PathBuf::from(at))
    })
}

/// Makes sure that cgroups in `directory` can limit what we want to.
fn give_controllers(directory: &Path) -> Result<(), String> {
    let read = |name: &str| {
        let path = directory.join(name);
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let missing = |words: &str| -> Vec<&str> {
        CONTROLLERS.into_iter().filter(|name| !words.split_whitespace().any(|word| word == *name)).collect()
    };
    let absent = missing(&read("cgroup.controllers")?).join(", ");
    if !absent.is_empty() {
        return Err(format!("{} has no {absent}, which version 1 may hold", directory.display()));
    }
    let off = missing(&read("cgroup.subtree_control")?);
    if off.is_empty() {
        return Ok(());
    }
    let words: Vec<String> = off.iter().map(|name| format!("+{name}")).collect();
    let path = directory.join("cgroup.subtree_control");
    fs::write(&path, words.join(" ")).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Directories and files as the kernel's would be.
    fn host(controllers: &str) -> tempfile::TempDir {
        let top = tempfile::tempdir().expect("a directory");
        for directory in ["", "dewpoint", "unit", "unit/dew-server", "given"] {
            let directory = top.path().join(directory);
            fs::create_dir_all(&directory).expect("a directory");
            fs::write(directory.join("cgroup.controllers"), controllers).expect("written");
            fs::write(directory.join("cgroup.subtree_control"), "").expect("written");
        }
        top
    }

    fn found(top: &Path, own: &str, configured: Option<&Path>, is_root: bool) -> Result<PathBuf, String> {
        Cgroups::find_below(top, own, configured, is_root).map(|found| found.root)
    }

    #[test]
    fn the_place_is_the_one_given_or_systemds_or_made_by_root() {
        let host = host("cpuset cpu io memory pids\n");
        let top = host.path();
        let given = top.join("given");
        assert_eq!(found(top, "0::/unit/dew-server\n", Some(&given), false), Ok(given));
        assert_eq!(found(top, "1:cpu:/\n0::/unit/dew-server\n", None, false), Ok(top.join("unit")));
        assert_eq!(found(top, "0::/user.slice/x\n", None, true), Ok(top.join("dewpoint")));
        let words = fs::read_to_string(top.join("dewpoint/cgroup.subtree_control")).expect("a file");
        assert_eq!(words, "+cpu +memory +pids");
        assert!(found(top, "0::/user.slice/x\n", None, false).is_err_and(|why| why.contains("qemu.cgroup")));
    }

    #[test]
    fn a_host_whose_controllers_are_of_version_1_is_told_so() {
        let host = host("");
        let why = found(host.path(), "0::/\n", None, true).expect_err("no place");
        assert!(why.contains("no cpu, memory, pids"), "{why}");
        assert_eq!(top("25 1 0:23 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"), None);
        let mounts = "30 2 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(top(mounts), Some("/sys/fs/cgroup".into()));
    }

    #[test]
    fn a_machine_gets_its_share_with_room_for_qemu() {
        let host = host("cpu memory pids");
        let cgroups = Cgroups::find_below(host.path(), "0::/\n", None, true).expect("a place");
        let share = Share { vcpus: 2, memory_mib: 2048, accelerator: Accelerator::Kvm };
        let machine = Uuid::from_u128(7);
        cgroups.hold(machine, share, 4711).expect("it is held");
        let read = |name: &str| fs::read_to_string(cgroups.of(machine).join(name)).expect("a file");
        assert_eq!(read("memory.max"), (2816_u64 << 20).to_string());
        assert_eq!((read("pids.max"), read("cpu.weight")), ("130".to_owned(), "200".to_owned()));
        assert_eq!(read("cgroup.procs"), "4711");
        let tcg = Share { accelerator: Accelerator::Tcg, ..share };
        assert_eq!(tcg.memory_bytes(), share.memory_bytes() + (1 << 30));
    }
}
