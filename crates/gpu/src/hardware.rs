//! What is done to real devices: one small trait, so that everything else can be tested where there is none.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::process::{Resource, getrlimit};

use crate::{PciAddress, obstacle::Obstacle, pci};

/// The driver that hands devices through to guests.
pub const VFIO: &str = "vfio-pci";

/// How long a driver may take to let go of a device, or to take it; a GPU's own needs seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// The changes a GPU's way to a guest and back is made of. Each waits until it is done, and says why it is not.
pub trait Hardware: fmt::Debug + Send + Sync {
    /// Whether this process may do any of it, and start a guest with what it took; if not, why and what to change.
    fn allowed(&self) -> Result<(), Obstacle>;
    /// Has the kernel know [`VFIO`].
    fn load_vfio(&self) -> io::Result<()>;
    /// Has the next [`Hardware::probe`] give the function to this driver alone, or to whichever fits when `None`.
    fn set_override(&self, at: PciAddress, driver: Option<&str>) -> io::Result<()>;
    /// Takes the function from its driver. One that has none is fine.
    fn unbind(&self, at: PciAddress) -> io::Result<()>;
    /// Offers the function to drivers; whether one took it, its link says.
    fn probe(&self, at: PciAddress) -> io::Result<()>;
    /// Resets the function, so that nothing of what it was given is left in it.
    fn reset(&self, at: PciAddress) -> io::Result<()>;
    /// Makes the device file of an IOMMU group this user's alone to open.
    fn give_group(&self, group: u32, user: u32) -> io::Result<()>;
}

/// The real thing: writes to sysfs. Source: Linux, `Documentation/ABI/testing/sysfs-bus-pci`, `driver-api/vfio.rst`.
#[derive(Clone, Debug)]
pub struct Sysfs {
    root: PathBuf,
}

impl Sysfs {
    /// `root` is `/`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn of(&self, at: PciAddress, name: &str) -> PathBuf {
        pci::directory(&self.root, at).join(name)
    }
}

impl Hardware for Sysfs {
    fn allowed(&self) -> Result<(), Obstacle> {
        if !rustix::process::geteuid().is_root() {
            return Err(Obstacle::new(
                "the server is not root, and only root can hand a device over",
                "run it as root",
            ));
        }
        let locks_all = getrlimit(Resource::Memlock).maximum.is_none();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        match locks_all || may_raise_limits(&status) {
            true => Ok(()),
            false => Err(Obstacle::new(
                "a guest with a GPU has its memory locked, and the server may neither lock so much nor raise that limit",
                "give it LimitMEMLOCK=infinity (systemd) or the capability CAP_SYS_RESOURCE",
            )),
        }
    }

    fn load_vfio(&self) -> io::Result<()> {
        if self.root.join("sys/bus/pci/drivers").join(VFIO).exists() {
            return Ok(());
        }
        let done = Command::new("modprobe").arg(VFIO).stdin(Stdio::null()).output()?;
        match done.status.success() {
            true => Ok(()),
            false => {
                Err(io::Error::other(format!("modprobe {VFIO}: {}", String::from_utf8_lossy(&done.stderr).trim())))
            }
        }
    }

    fn set_override(&self, at: PciAddress, driver: Option<&str>) -> io::Result<()> {
        // An empty line takes it back.
        write(self.of(at, "driver_override"), format!("{}\n", driver.unwrap_or_default()))
    }

    fn unbind(&self, at: PciAddress) -> io::Result<()> {
        match write(self.of(at, "driver/unbind"), at.to_string()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    fn probe(&self, at: PciAddress) -> io::Result<()> {
        write(self.root.join("sys/bus/pci/drivers_probe"), at.to_string())
    }

    fn reset(&self, at: PciAddress) -> io::Result<()> {
        write(self.of(at, "reset"), "1".to_owned())
    }

    fn give_group(&self, group: u32, user: u32) -> io::Result<()> {
        // The device file is new when its group was bound just now, and udev may not have set its owner yet: after, not before.
        // A host without udev has nothing to wait for.
        let _ = Command::new("udevadm").args(["settle", "--timeout=10"]).stdin(Stdio::null()).output();
        let node = self.root.join("dev/vfio").join(group.to_string());
        fs::set_permissions(&node, fs::Permissions::from_mode(0o600))?;
        chown(&node, Some(user), None)
    }
}

/// Source: proc(5), `CapEff`, and capabilities(7), CAP_SYS_RESOURCE.
fn may_raise_limits(status: &str) -> bool {
    const SYS_RESOURCE: u64 = 1 << 24;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & SYS_RESOURCE != 0)
}

/// Writes to a file of sysfs, which is to do something. A driver that waits for ever keeps a thread, and not the caller.
fn write(path: PathBuf, text: String) -> io::Result<()> {
    // Sysfs takes a text in one write, and makes no files.
    within(LIMIT, &path.clone(), move || OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes()))
}

fn within(limit: Duration, path: &Path, work: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    let (done, wait) = mpsc::sync_channel(1);
    thread::Builder::new().name("sysfs-write".to_owned()).spawn(move || {
        // Nobody waits any more when the limit was over.
        let _ = done.send(work());
    })?;
    let late = || format!("{} was not done in {} s", path.display(), limit.as_secs());
    let result = wait.recv_timeout(limit).unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, late())));
    result.map_err(|error| named(path, &error))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    let text = error.to_string();
    match text.contains(&*path.to_string_lossy()) {
        true => io::Error::new(error.kind(), text),
        false => io::Error::new(error.kind(), format!("{}: {text}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_never_ends_is_given_up() {
        let (hold, wait) = mpsc::channel::<()>();
        let stuck = move || wait.recv().map_err(io::Error::other);
        let given_up = within(Duration::ZERO, Path::new("/sys/unbind"), stuck).expect_err("it is not done");
        assert_eq!(given_up.kind(), io::ErrorKind::TimedOut);
        assert!(given_up.to_string().contains("/sys/unbind was not done"), "{given_up}");
        drop(hold);
    }

    #[test]
    fn who_may_raise_limits_is_known_by_its_capabilities() {
        assert!(may_raise_limits("Name:\tdew\nCapEff:\t000001ffffffffff\n"), "root on a host");
        assert!(!may_raise_limits("Name:\tdew\nCapEff:\t00000000a80425fb\n"), "root in a container");
        assert!(!may_raise_limits(""));
    }

    #[test]
    fn the_right_files_get_the_right_words() {
        let root = tempfile::tempdir().expect("a directory");
        let at: PciAddress = "0000:17:00.0".parse().expect("an address");
        let device = pci::directory(root.path(), at);
        fs::create_dir_all(&device).expect("directories");
        let hardware = Sysfs::new(root.path());
        for name in ["driver_override", "reset"] {
            fs::write(device.join(name), "").expect("written");
        }
        fs::write(root.path().join("sys/bus/pci/drivers_probe"), "").expect("written");
        let read = |name: &str| fs::read_to_string(device.join(name)).expect("written");
        hardware.set_override(at, Some(VFIO)).expect("written");
        assert_eq!(read("driver_override"), "vfio-pci\n");
        hardware.set_override(at, None).expect("written");
        assert!(read("driver_override").starts_with('\n'), "an empty line");
        hardware.unbind(at).expect("no driver is fine");
        fs::create_dir(device.join("driver")).expect("a directory");
        fs::write(device.join("driver/unbind"), "").expect("written");
        hardware.unbind(at).expect("written");
        assert_eq!(read("driver/unbind"), "0000:17:00.0");
        hardware.probe(at).expect("written");
        let probe = root.path().join("sys/bus/pci/drivers_probe");
        assert_eq!(fs::read_to_string(probe).expect("written"), "0000:17:00.0");
        hardware.reset(at).expect("written");
        assert_eq!(read("reset"), "1");
    }
}
