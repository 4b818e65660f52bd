//! QEMU as a process of its own: it outlives the server, and is found again without ever taking a stranger for it.
//!
//! A process is this machine's when its number, its start time and the uuid on its command line are all as written down.
//! What cannot be found out is an error, never "it does not run": files would be taken from under a live machine.
//! Signals and waiting go through a pidfd, which stays with the process it was opened for.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt},
    path::Path,
    process::Stdio,
    time::Duration,
};

use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    process::{Child, Command},
    time::timeout,
};
use uuid::Uuid;

use super::{command, record::ProcessIdentity};
use crate::MachineId;

/// How long the kernel may take to end a process that has closed its sockets already.
const END_LIMIT: Duration = Duration::from_secs(2);

/// A live process that was seen to be the machine's.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) identity: ProcessIdentity,
    fd: AsyncFd<OwnedFd>,
}

impl Process {
    /// The process of `identity` if it lives and has `uuid` on its command line.
    pub(super) fn find(identity: ProcessIdentity, uuid: Uuid) -> io::Result<Option<Self>> {
        // First the handle, then the look: a process that took the number in between is seen by the look.
        let Some(fd) = handle(identity.pid)? else { return Ok(None) };
        if !is_alive(Path::new("/proc"), identity, uuid)? {
            return Ok(None);
        }
        Self::watched(identity, fd).map(Some)
    }

    /// The process of `identity` if it lives and runs a machine of this number: for a machine whose uuid cannot be read.
    pub(super) fn find_by_number(identity: ProcessIdentity, machine: MachineId) -> io::Result<Option<Self>> {
        let Some(fd) = handle(identity.pid)? else { return Ok(None) };
        let proc = Path::new("/proc");
        let as_written = |stat: Stat| !stat.dead && stat.start_ticks == identity.start_ticks;
        let name = command::guest_name(machine);
        let named = |line: Vec<u8>| has_pair(&line, "-name", &name);
        let is_it = stat(proc, identity.pid)?.is_some_and(as_written)
            && command_line(proc, identity.pid)?.is_some_and(|line| line.is_empty() || named(line));
        if is_it { Self::watched(identity, fd).map(Some) } else { Ok(None) }
    }

    /// A child of ours that nobody has waited for yet: its number cannot be another's, so nothing has to be looked at.
    pub(super) fn of_child(identity: ProcessIdentity) -> io::Result<Option<Self>> {
        handle(identity.pid)?.map(|fd| Self::watched(identity, fd)).transpose()
    }

    fn watched(identity: ProcessIdentity, fd: OwnedFd) -> io::Result<Self> {
        #[expect(deprecated, reason = "sound for an OwnedFd; what replaces it is an unsafe function, which we deny")]
        let fd = AsyncFd::with_interest(fd, Interest::READABLE)?;
        Ok(Self { identity, fd })
    }

    /// Pulls the plug. A process that is gone already is fine.
    pub(super) fn kill(&self) {
        // The only failure left is ESRCH: it is gone.
        let _ = pidfd_send_signal(self.fd.get_ref(), Signal::KILL);
    }

    /// Whether the process has ended or is about to: its sockets are closed a moment before it is gone. For who failed to talk
    /// to it.
    pub(super) async fn ends_now(&self) -> bool {
        timeout(END_LIMIT, self.ended()).await.is_ok()
    }

    /// Returns when the process has ended, whoever its parent is.
    pub(super) async fn ended(&self) {
        // A pidfd becomes readable at the end and stays so; it fails only with the runtime.
        let _ = self.fd.readable().await;
    }
}

/// A handle on the process of that number; `None` when there is none.
fn handle(pid: i32) -> io::Result<Option<OwnedFd>> {
    let Some(pid) = Pid::from_raw(pid) else { return Ok(None) };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(fd) => Ok(Some(fd)),
        // No process; or, as newer and older kernels say it, a thread of one.
        Err(Errno::SRCH | Errno::NOENT | Errno::INVAL) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether the process of `identity` runs and is the one that has `uuid`.
///
/// For a moment a process has no command line, while it becomes another program: setsid, setpriv, QEMU. Its number and start
/// time then have to do.
pub(super) fn is_alive(proc: &Path, identity: ProcessIdentity, uuid: Uuid) -> io::Result<bool> {
    let as_written = |stat: Stat| !stat.dead && stat.start_ticks == identity.start_ticks;
    if !stat(proc, identity.pid)?.is_some_and(as_written) {
        return Ok(false);
    }
    Ok(command_line(proc, identity.pid)?.is_some_and(|line| line.is_empty() || has_uuid(&line, uuid)))
}

/// Looks through all processes for the one with `uuid`: the way back when the server died between a start and its record.
pub(super) fn search(proc: &Path, uuid: Uuid) -> io::Result<Option<ProcessIdentity>> {
    for entry in fs::read_dir(proc)? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let line = match command_line(proc, pid) {
            // Another user's, where the host hides those.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => continue,
            line => line?,
        };
        if line.is_some_and(|line| has_uuid(&line, uuid))
            && let Some(stat) = stat(proc, pid)?.filter(|stat| !stat.dead)
        {
            return Ok(Some(ProcessIdentity { pid, start_ticks: stat.start_ticks }));
        }
    }
    Ok(None)
}

/// What `/proc/PID/stat` says about a process.
struct Stat {
    /// It has ended and waits for its parent to notice.
    dead: bool,
    start_ticks: u64,
}

/// Source: proc(5), fields 3 (state) and 22 (starttime); field 2 is in parentheses and may contain anything.
fn stat(proc: &Path, pid: i32) -> io::Result<Option<Stat>> {
    let Some(text) = of_process(proc, pid, "stat")? else { return Ok(None) };
    let parsed = || {
        let text = String::from_utf8_lossy(&text);
        let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
        let dead = matches!(fields.next()?, "Z" | "X");
        Some(Stat { dead, start_ticks: fields.nth(18)?.parse().ok()? })
    };
    let strange = || io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat cannot be understood"));
    parsed().map(Some).ok_or_else(strange)
}

fn command_line(proc: &Path, pid: i32) -> io::Result<Option<Vec<u8>>> {
    of_process(proc, pid, "cmdline")
}

/// A file of `/proc/PID`; `None` when the process is gone.
fn of_process(proc: &Path, pid: i32, name: &str) -> io::Result<Option<Vec<u8>>> {
    match fs::read(proc.join(pid.to_string()).join(name)) {
        Ok(content) => Ok(Some(content)),
        // The second is what reading says when the process ends behind the opening.
        Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::NOENT | Errno::SRCH)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether `-uuid UUID` is on a command line; also true in the moment when it is still setsid's or setpriv's.
fn has_uuid(line: &[u8], uuid: Uuid) -> bool {
    has_pair(line, "-uuid", &uuid.to_string())
}

fn has_pair(line: &[u8], option: &str, value: &str) -> bool {
    let words: Vec<&[u8]> = line.split(|&byte| byte == 0).collect();
    words.windows(2).any(|pair| pair[0] == option.as_bytes() && pair[1] == value.as_bytes())
}

/// The identity of a child that was just made and not yet waited for.
pub(super) fn identity_of(child: &Child) -> io::Result<ProcessIdentity> {
    let ended = || io::Error::other("it ended at once");
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).ok_or_else(ended)?;
    let stat = stat(Path::new("/proc"), pid)?.ok_or_else(ended)?;
    Ok(ProcessIdentity { pid, start_ticks: stat.start_ticks })
}

/// Has a process write to `log` alone, from its beginning, and outlive us.
///
/// Output goes to a file and not a pipe: a pipe would break, and QEMU with it, when the server ends.
pub(super) fn log_to(log: &Path) -> io::Result<impl FnOnce(&mut Command) + Send + use<>> {
    let output = open_log(log)?;
    let errors = output.try_clone()?;
    Ok(move |command: &mut Command| {
        command.stdin(Stdio::null()).stdout(output).stderr(errors).kill_on_drop(false);
    })
}

fn open_log(path: &Path) -> io::Result<File> {
    let _ = fs::remove_file(path);
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A made-up /proc with one process.
    fn proc_with(state: &str, start_ticks: u64, command_line: &[u8]) -> tempfile::TempDir {
        let proc = tempfile::tempdir().expect("a directory");
        let dir = proc.path().join("41");
        fs::create_dir(&dir).expect("a directory");
        let between = "1 ".repeat(18);
        fs::write(dir.join("stat"), format!("41 (qemu (x) 7) {state} {between}{start_ticks} 99 99\n"))
            .expect("written");
        fs::write(dir.join("cmdline"), command_line).expect("written");
        fs::create_dir(proc.path().join("sys")).expect("a directory");
        proc
    }

    const UUID: Uuid = Uuid::from_u128(0x1234);

    fn line(uuid: Uuid) -> Vec<u8> {
        format!("qemu-system-x86_64\0-uuid\0{uuid}\0-S\0").into_bytes()
    }

    #[test]
    fn a_process_is_known_by_number_start_time_and_uuid() {
        let proc = proc_with("S", 500, &line(UUID));
        let identity = ProcessIdentity { pid: 41, start_ticks: 500 };
        assert!(is_alive(proc.path(), identity, UUID).expect("a look"));
        assert_eq!(search(proc.path(), UUID).expect("a look"), Some(identity));
    }

    #[test]
    fn a_reused_number_is_not_taken_for_the_machine() {
        let proc = proc_with("S", 501, &line(UUID));
        assert!(!is_alive(proc.path(), ProcessIdentity { pid: 41, start_ticks: 500 }, UUID).expect("a look"));
        let proc = proc_with("S", 500, &line(Uuid::from_u128(9)));
        assert!(!is_alive(proc.path(), ProcessIdentity { pid: 41, start_ticks: 500 }, UUID).expect("a look"));
        assert_eq!(search(proc.path(), UUID).expect("a look"), None);
    }

    #[test]
    fn a_process_that_just_becomes_another_program_is_still_the_machine() {
        let proc = proc_with("R", 500, b"");
        assert!(is_alive(proc.path(), ProcessIdentity { pid: 41, start_ticks: 500 }, UUID).expect("a look"));
        assert!(!is_alive(proc.path(), ProcessIdentity { pid: 41, start_ticks: 501 }, UUID).expect("a look"));
    }

    #[test]
    fn what_cannot_be_found_out_is_no_answer() {
        let proc = proc_with("S", 500, &line(UUID));
        let identity = ProcessIdentity { pid: 41, start_ticks: 500 };
        assert!(!is_alive(proc.path(), ProcessIdentity { pid: 42, start_ticks: 500 }, UUID).expect("a look"));
        // A directory in the place of the file cannot be read, by nobody.
        let file = proc.path().join("41/cmdline");
        fs::remove_file(&file).expect("removed");
        fs::create_dir(&file).expect("a directory");
        assert!(is_alive(proc.path(), identity, UUID).is_err());
        assert!(search(proc.path(), UUID).is_err());
        assert!(search(&proc.path().join("nowhere"), UUID).is_err());
    }

    #[test]
    fn a_process_nobody_waited_for_is_dead() {
        let proc = proc_with("Z", 500, &line(UUID));
        assert!(!is_alive(proc.path(), ProcessIdentity { pid: 41, start_ticks: 500 }, UUID).expect("a look"));
        assert_eq!(search(proc.path(), UUID).expect("a look"), None);
    }
}
