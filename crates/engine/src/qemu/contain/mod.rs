//! What holds a QEMU process, so that a guest that breaks out of it finds little.
//!
//! ```text
//! user     each machine runs under a number of its own: no signal to, no look into and no file of another
//! walls    a room (its own root directory with what it needs), or else rules (Landlock) about which files it may open
//! network  rules: TCP only on the machine's own forwarded ports; no abstract sockets, no signals outside
//! calls    QEMU's own seccomp filter, and nothing that would give it more rights (no_new_privs)
//! limits   a cgroup: memory, processes, its share of the processors; and limits on files and threads
//! ```
//!
//! Everything is laid on a thread of its own, which then starts the process and ends: what Linux lays on a thread, its
//! children have, and the rest of the server has not. Which of it this host offers is found out once, by a probe guest that
//! runs behind it; what is missing is said in the log and by `dew doctor`. `docs/security.md` says what remains in reach.

#[cfg(test)]
mod card_tests;
mod cgroup;
mod room;
mod rules;
#[cfg(test)]
mod tests;

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
};

use nix::{
    sched::{CloneFlags, unshare},
    sys::{
        prctl,
        resource::{Resource, getrlimit},
    },
};
use tokio::{
    process::{Child, Command},
    runtime::Handle,
};
use tracing::{info, warn};

pub(super) use self::cgroup::{Cgroups, Share, remove as remove_cgroup};
use super::{command::PROGRAM, config::QemuConfig, user::QemuUser};
use crate::{Error, MachineId};

/// Where programs are looked for.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Most files a QEMU has open: its disks, its sockets, and the connections of its guest's ports.
const FILES: u64 = 4096;

/// Threads a QEMU may have beside one for each processor: its own, and up to 64 that read and write.
pub(super) const THREADS: u64 = 128;

/// Device files QEMU may open, where they are.
const DEVICES: [&str; 3] = ["/dev/null", "/dev/urandom", "/dev/kvm"];

/// The system's own files, which QEMU is made of.
const SYSTEM: [&str; 9] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/ld.so.cache", "/etc/alternatives"];

/// What a guest with a way out asks its names of.
const RESOLVER: &str = "/etc/resolv.conf";

/// What stands between a process and the files that are not its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walls {
    /// A root directory of its own.
    Room,
    /// Rules about which files it may open.
    Rules,
    /// The modes of files alone.
    Modes,
}

/// One part of what holds QEMU here, for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The subject, one word: "user", "files", "network", "limits".
    pub subject: &'static str,
    /// Whether it holds as much as it can anywhere.
    pub whole: bool,
    /// One clause: what holds, or what is missing and why.
    pub words: String,
}

/// What holds the processes of this host's machines.
#[derive(Clone, Debug)]
pub(super) struct Containment {
    /// Who QEMU is when it is no machine's, and whose group all have; `None` when the server is not root.
    pub(super) user: Option<QemuUser>,
    /// The number of the first machine's user, where each has its own.
    first_uid: Result<u32, String>,
    pub(super) walls: Walls,
    /// Why not more.
    problems: Vec<String>,
    /// What Landlock's version here is; 0 for none.
    landlock: u32,
    pub(super) cgroups: Result<Cgroups, String>,
    /// Where QEMU and all it is made of are.
    system: Vec<PathBuf>,
}

/// One process's confinement.
#[derive(Debug)]
pub(super) struct Cell<'a> {
    /// Who it is; `None` for the server's own user.
    pub(super) user: Option<QemuUser>,
    /// Whether it keeps the right to bind ports below 1024.
    pub(super) low_ports: bool,
    /// Where it works.
    pub(super) directory: &'a Path,
    /// What it may read.
    pub(super) read: Vec<PathBuf>,
    /// Device files it may open beside those all may.
    pub(super) devices: Vec<PathBuf>,
    /// Directories in which it may read and write the files that are there.
    pub(super) write: Vec<PathBuf>,
    /// TCP ports it may listen on.
    pub(super) ports: Vec<u16>,
    /// Whether it may connect anywhere.
    pub(super) egress: bool,
    /// Whether it gets a network namespace of its own, in which there is nothing: what it has of a network, it has open.
    pub(super) without_network: bool,
    /// Most threads of its user, where no other process has that.
    pub(super) threads: Option<u64>,
    /// How many bytes of memory it may lock, where it needs more than the usual few.
    pub(super) locked: Option<u64>,
    /// The processors it runs on, as taskset(1) takes them; any when not said.
    pub(super) cpus: Option<String>,
}

impl<'a> Cell<'a> {
    /// A process that reads `read` and talks to nobody.
    pub(super) fn reading(user: Option<QemuUser>, directory: &'a Path, read: Vec<PathBuf>) -> Self {
        Self {
            user,
            low_ports: false,
            directory,
            read,
            devices: Vec::new(),
            write: Vec::new(),
            ports: Vec::new(),
            egress: false,
            without_network: false,
            threads: None,
            locked: None,
            cpus: None,
        }
    }
}

impl Containment {
    /// What this host offers besides walls, which [`Containment::settle`] finds.
    pub(super) fn find(config: &QemuConfig, user: Option<QemuUser>) -> Self {
        let first_uid = match (&user, &config.qemu_user) {
            (None, _) => Err("all run as the server does, which is not root".to_owned()),
            (Some(_), Some(name)) => Err(format!("all run as {name}, as the configuration says")),
            (Some(user), None) => {
                let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
                match QemuUser::is_mapped(&map, config.first_uid) {
                    true => Ok(config.first_uid),
                    false => Err(format!("all run as {}: this host has no users from {}", user.name, config.first_uid)),
                }
            }
        };
        let cgroups = Cgroups::find(config.cgroup.as_deref(), user.is_some());
        let walls = if user.is_some() { Walls::Room } else { Walls::Rules };
        #[cfg(test)]
        let walls = if config.rules_alone { Walls::Rules } else { walls };
        Self {
            first_uid,
            walls,
            problems: Vec::new(),
            landlock: rules::version(),
            cgroups,
            system: system_paths(),
            user,
        }
    }

    /// Takes the strongest walls behind which a guest runs, as `probe` finds out. A probe that has no clear answer is an error.
    pub(super) async fn settle<F>(mut self, probe: impl Fn(Self) -> F) -> Result<Self, Error>
    where
        F: Future<Output = Result<(), ProbeError>>,
    {
        loop {
            let why = match probe(self.clone()).await {
                Ok(()) => return Ok(self),
                Err(ProbeError::Silent(why)) => return Err(Error::host("run a guest", why)),
                Err(ProbeError::Failed(why)) => why,
            };
            let (what, weaker) = match self.walls {
                Walls::Room => ("in a root directory of its own", Walls::Rules),
                Walls::Rules => ("under Landlock's rules", Walls::Modes),
                Walls::Modes => {
                    return Err(Error::host("run a guest", format_args!("a probe guest did not run: {why}")));
                }
            };
            self.problems.push(format!("QEMU does not run {what}: {why}"));
            self.walls = weaker;
        }
    }

    /// Who a machine's QEMU is.
    pub(super) fn user_of(&self, id: MachineId) -> Option<QemuUser> {
        let user = self.user.clone()?;
        Some(match self.first_uid {
            Ok(first) => QemuUser { uid: QemuUser::of_machine(first, id), ..user },
            Err(_) => user,
        })
    }

    /// Whether no two machines are the same user.
    pub(super) fn has_own_users(&self) -> bool {
        self.first_uid.is_ok()
    }

    /// Starts `words` in a session of its own, held as `cell` says. `set` says where its output goes.
    ///
    /// Blocks for some milliseconds, so that nothing can come between the start and what is written down of it.
    pub(super) fn spawn(
        &self,
        words: &[String],
        cell: &Cell<'_>,
        set: impl FnOnce(&mut Command) + Send,
    ) -> io::Result<Child> {
        let mut all = vec!["prlimit".to_owned(), "--core=0".to_owned(), format!("--nofile={0}:{0}", files())];
        all.extend(cell.threads.map(|threads| format!("--nproc={threads}")));
        all.extend(cell.locked.map(|bytes| format!("--memlock={bytes}:{bytes}")));
        all.extend(cell.cpus.iter().flat_map(|cpus| ["taskset", "-c", cpus].map(str::to_owned)));
        all.extend(cell.user.iter().flat_map(|user| user.prefix(cell.low_ports)));
        all.extend_from_slice(words);
        let runtime = Handle::current();
        let start = || {
            let _runtime = runtime.enter();
            if cell.without_network {
                unshare(CloneFlags::CLONE_NEWNET)?;
            }
            if self.walls == Walls::Room {
                room::enter(cell.directory, &self.shown(cell))?;
            }
            prctl::set_no_new_privs()?;
            rules::lay(self.walls, cell, &self.system)?;
            let mut command = Command::new("setsid");
            command.args(all).current_dir(cell.directory).env_clear().env("PATH", SEARCH_PATH);
            set(&mut command);
            command.spawn()
        };
        thread::scope(|scope| {
            let thread = thread::Builder::new().name("start-qemu".to_owned()).spawn_scoped(scope, start)?;
            thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that starts QEMU panicked")))
        })
    }

    /// Shows a running process more files; nothing to do where it sees all and is kept from opening them by other means.
    pub(super) fn show(&self, pid: i32, read: &[PathBuf], write: &[PathBuf]) -> io::Result<()> {
        room::show(pid, &shown(read, write))
    }

    /// Takes a directory from a running process's sight.
    pub(super) fn hide(&self, pid: i32, directory: &Path) -> io::Result<()> {
        room::hide(pid, directory)
    }

    /// Whether a process can open later what it may open at its start, and nothing more.
    pub(super) fn cannot_show_later(&self) -> bool {
        self.walls == Walls::Rules
    }

    fn shown(&self, cell: &Cell<'_>) -> Vec<room::Shown> {
        let mut all: Vec<room::Shown> =
            self.system.iter().map(|path| room::Shown::new(path, room::Use::Programs)).collect();
        let devices = DEVICES.iter().map(Path::new).chain(cell.devices.iter().map(PathBuf::as_path));
        all.extend(devices.map(|path| room::Shown::new(path, room::Use::Device)));
        if cell.egress {
            all.push(room::Shown::new(Path::new(RESOLVER), room::Use::Read));
        }
        all.extend(shown(&cell.read, &cell.write));
        all.push(room::Shown::new(cell.directory, room::Use::Write));
        all
    }

    /// What holds QEMU here, part by part.
    pub(super) fn held(&self) -> Vec<Held> {
        let user = match &self.first_uid {
            Ok(first) => Ok(format!("each machine runs under a number of its own, from {first}")),
            Err(why) => Err(why.clone()),
        };
        let why = self.problems.join("; ");
        let files = match self.walls {
            Walls::Room => Ok("each machine has a root directory of its own, with its own files alone".to_owned()),
            Walls::Rules if why.is_empty() => {
                Err("Landlock keeps QEMU to the engine's files; only root can give each \
                                                   machine a root directory of its own"
                    .to_owned())
            }
            Walls::Rules => Err(format!("Landlock keeps QEMU to the engine's files; {why}")),
            Walls::Modes => Err(format!("only the files' modes keep QEMU out; {why}")),
        };
        let network = match self.landlock {
            0 => Err("this kernel has no Landlock: QEMU may connect anywhere".to_owned()),
            1..rules::WITH_NETWORK => {
                Err("this kernel's Landlock knows no network (Linux 6.7 does): QEMU may connect anywhere".to_owned())
            }
            rules::WITH_NETWORK..rules::WITH_SCOPES => {
                Err("no TCP but the forwarded ports; abstract sockets are not held (Linux 6.12 does)".to_owned())
            }
            _ => Ok("no TCP but the forwarded ports, no abstract sockets".to_owned()),
        };
        let limits = match &self.cgroups {
            Ok(cgroups) => Ok(format!("memory, processes and processors, in {}", cgroups.root().display())),
            Err(why) => Err(format!("no cgroups: {why}")),
        };
        [("user", user), ("files", files), ("network", network), ("limits", limits)]
            .map(|(subject, words)| {
                let whole = words.is_ok();
                Held { subject, whole, words: words.unwrap_or_else(|words| words) }
            })
            .to_vec()
    }

    /// Says it in the log.
    pub(super) fn log(&self) {
        for Held { subject, whole, words } in self.held() {
            match whole {
                true => info!("What holds QEMU, {subject}: {words}"),
                false => warn!("What holds QEMU is less than it could be, {subject}: {words}"),
            }
        }
        let inherited = inherited();
        if !inherited.is_empty() {
            warn!("QEMU inherits files that were open in the server when it was started: {inherited:?}");
        }
    }
}

/// Why a probe guest did not show that these walls can be had.
#[derive(Debug)]
pub(super) enum ProbeError {
    /// It did not run.
    Failed(String),
    /// It was not done in time, which may be the host's load.
    Silent(String),
}

/// What whoever started the server left open in it for all its children; the server itself opens nothing so.
/// Source: proc(5), `/proc/PID/fdinfo`.
fn inherited() -> Vec<PathBuf> {
    const CLOSED_ON_EXEC: u32 = 0o2_000_000;
    let left_open = |number: &str| {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
        let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
        flags.is_some_and(|flags| flags & CLOSED_ON_EXEC == 0)
    };
    let numbers = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    numbers
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|number| !["0", "1", "2"].contains(&number.as_str()) && left_open(number))
        .filter_map(|number| fs::read_link(format!("/proc/self/fd/{number}")).ok())
        .collect()
}

fn shown(read: &[PathBuf], write: &[PathBuf]) -> Vec<room::Shown> {
    let read = read.iter().map(|path| room::Shown::new(path, room::Use::Read));
    read.chain(write.iter().map(|path| room::Shown::new(path, room::Use::Write))).collect()
}

/// The system's directories, and QEMU's own where that is elsewhere (`/opt/qemu/bin/…` is part of `/opt/qemu`).
fn system_paths() -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    let program = SEARCH_PATH.split(':').map(|directory| Path::new(directory).join(PROGRAM)).find(|path| path.exists());
    let prefix = program.and_then(|path| Some(path.canonicalize().ok()?.parent()?.parent()?.to_path_buf()));
    paths.extend(
        prefix.filter(|prefix| prefix.parent().is_some() && !paths.iter().any(|path| prefix.starts_with(path))),
    );
    paths
}

/// As many files as QEMU gets, and not more than the server itself may have.
fn files() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(FILES, |(_, hard)| hard.min(FILES))
}
