//! The user QEMU runs as when the server is root: unprivileged, and able to walk to its files.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::unistd::{User, geteuid};

use crate::{Error, MachineId};

/// The user that is taken when the operator names none, for what is no machine's.
pub(super) const DEFAULT_USER: &str = "nobody";

/// The number of the first machine's user, when the operator names none: where no distribution, no login and no container has
/// any. Source: systemd's UIDS-GIDS, which leaves 1879048192 to 2147483647 unused.
pub(super) const FIRST_UID: u32 = 1_900_000_000;

/// Below it are the users of the system and of people.
pub(super) const LOWEST_UID: u32 = 65_536;

/// After how many machines their users' numbers begin anew.
const UIDS: u32 = 100_000_000;

/// Who QEMU runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct QemuUser {
    pub(super) name: String,
    pub(super) uid: u32,
    /// The group; `/dev/kvm`'s own where that is what opens it.
    pub(super) gid: u32,
}

impl QemuUser {
    /// `None` when the server is not root: QEMU then runs as the server's own user.
    pub(super) fn choose(wanted: Option<&str>) -> Result<Option<Self>, Error> {
        if !geteuid().is_root() {
            return match wanted {
                Some(name) => Err(Error::host("run QEMU as another user", format_args!("only root can become {name}"))),
                None => Ok(None),
            };
        }
        let name = wanted.unwrap_or(DEFAULT_USER);
        let user = User::from_name(name)
            .map_err(|error| Error::host("look up QEMU's user", format_args!("{name}: {error}")))?
            .ok_or_else(|| Error::host("look up QEMU's user", format_args!("there is no user {name}")))?;
        if user.uid.is_root() {
            return Err(Error::host("run QEMU", "its user must not be root"));
        }
        Ok(Some(Self { name: user.name, uid: user.uid.as_raw(), gid: kvm_group().unwrap_or(user.gid.as_raw()) }))
    }

    /// The user of a machine, by its own number: the same at every start, and another machine's only behind many.
    pub(super) fn of_machine(first: u32, machine: MachineId) -> u32 {
        first + u32::try_from(machine.0 % u64::from(UIDS)).expect("a remainder of a u32 is one")
    }

    /// Whether there are users for machines from `first` on. Source: user_namespaces(7), `/proc/PID/uid_map`.
    pub(super) fn is_mapped(map: &str, first: u32) -> bool {
        let (first, last) = (u64::from(first), u64::from(first) + u64::from(UIDS) - 1);
        last < u64::from(u32::MAX)
            && map.lines().any(|line| {
                let mut numbers = line.split_ascii_whitespace().map(|word| word.parse().unwrap_or(0_u64));
                let (Some(begin), Some(_), Some(length)) = (numbers.next(), numbers.next(), numbers.next()) else {
                    return false;
                };
                begin <= first && last < begin + length
            })
    }

    /// The user who has `file`, a machine's or this one: what may be read and written for it is what that user may.
    pub(super) fn owning(&self, file: &Path) -> Self {
        let owner = file.metadata().map_or(0, |found| found.uid());
        Self { uid: if owner == 0 { self.uid } else { owner }, ..self.clone() }
    }

    /// The words before a command that make it run as this user, without any capability; with `low_ports` it keeps the
    /// one to bind ports below 1024, which QEMU's user networking needs.
    ///
    /// QEMU's own `-runas` would change the user after its sandbox has forbidden that (SIGSYS on Debian's 7.2).
    pub(super) fn prefix(&self, low_ports: bool) -> Vec<String> {
        let capabilities = if low_ports { "-all,+net_bind_service" } else { "-all" };
        [
            "setpriv",
            "--reuid",
            &self.uid.to_string(),
            "--regid",
            &self.gid.to_string(),
            "--clear-groups",
            "--inh-caps",
            capabilities,
            "--ambient-caps",
            capabilities,
        ]
        .map(str::to_owned)
        .to_vec()
    }

    /// Fails, naming the directory in the way, unless this user can walk to `path` and read it (a file) or enter it.
    pub(super) fn check_reach(&self, path: &Path) -> Result<(), Error> {
        let test = if path.is_dir() { "-x" } else { "-r" };
        let mut words = self.prefix(false);
        words.extend(["test".to_owned(), test.to_owned()]);
        let status = Command::new(&words[0])
            .args(&words[1..])
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(|error| Error::host("run setpriv", error))?;
        if status.success() {
            return Ok(());
        }
        let Self { name, .. } = self;
        let problem = match self.first_closed(path) {
            Some(closed) => format!(
                "user {name} cannot walk through {}: open it (chmod o+x) or use another directory",
                closed.display()
            ),
            None => format!("user {name} cannot read it: allow that (chmod o+r)"),
        };
        Err(Error::host("let QEMU reach its files", format_args!("{}: {problem}", path.display())))
    }

    /// The topmost directory above `path` whose mode does not let this user through.
    fn first_closed(&self, path: &Path) -> Option<PathBuf> {
        let mut above: Vec<&Path> = path.ancestors().skip(usize::from(!path.is_dir())).collect();
        above.reverse();
        above.into_iter().find(|directory| !self.may_enter(directory)).map(Path::to_path_buf)
    }

    fn may_enter(&self, directory: &Path) -> bool {
        directory.metadata().is_ok_and(|metadata| {
            let bit = if metadata.uid() == self.uid {
                0o100
            } else if metadata.gid() == self.gid {
                0o010
            } else {
                0o001
            };
            metadata.mode() & bit != 0
        })
    }
}

/// Makes a file QEMU's own to read and write, and nobody else's.
pub(super) fn give_to_qemu(user: Option<&QemuUser>, path: &Path) -> io::Result<()> {
    if let Some(user) = user {
        chown(path, Some(user.uid), Some(user.gid))?;
    }
    fs::set_permissions(path, Permissions::from_mode(0o600))
}

/// The group that may use `/dev/kvm`, where that takes a group.
fn kvm_group() -> Option<u32> {
    let metadata = Path::new("/dev/kvm").metadata().ok()?;
    (metadata.gid() != 0 && metadata.mode() & 0o060 == 0o060 && metadata.mode() & 0o006 != 0o006)
        .then(|| metadata.gid())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn the_directory_in_the_way_is_named() {
        let top = tempfile::tempdir().expect("a directory");
        let user = QemuUser { name: "q".to_owned(), uid: 4_000_000, gid: 4_000_000 };
        let inner = top.path().join("closed/inner");
        fs::create_dir_all(&inner).expect("directories");
        for (path, mode) in [(top.path().to_path_buf(), 0o711), (inner.clone(), 0o711)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
        }
        let closed = top.path().join("closed");
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).expect("a mode");
        assert_eq!(user.first_closed(&inner), Some(closed));
    }

    #[test]
    fn each_machine_has_a_user_of_its_own_where_the_host_has_as_many() {
        let uid = |machine| QemuUser::of_machine(FIRST_UID, MachineId(machine));
        assert_eq!((uid(1), uid(100_001)), (1_900_000_001, 1_900_100_001));
        assert_eq!(uid(u64::from(UIDS) + 1), uid(1));
        assert!(QemuUser::is_mapped("         0          0 4294967295\n", FIRST_UID));
        // A container without root outside: 65536 users.
        assert!(!QemuUser::is_mapped("0 1000 1\n1 100000 65536\n", FIRST_UID));
        assert!(!QemuUser::is_mapped("", FIRST_UID));
        assert!(!QemuUser::is_mapped("0 0 4294967295\n", 4_294_000_000));
    }

    #[test]
    fn the_line_that_drops_root_is_as_it_must_be() {
        let user = QemuUser { name: "q".to_owned(), uid: 7, gid: 8 };
        let expected = "setpriv --reuid 7 --regid 8 --clear-groups --inh-caps -all,+net_bind_service \
                        --ambient-caps -all,+net_bind_service";
        assert_eq!(user.prefix(true).join(" "), expected);
    }
}
