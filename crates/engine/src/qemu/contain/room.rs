//! A root directory of its own: a mount namespace in which nothing is but what a process needs.
//!
//! The room is a small tmpfs on which directories and files of the host are mounted under the names they have there, so that
//! every path means the same inside and outside. More can be shown to a running process later, from outside.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io,
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    thread,
};

use nix::sched::{CloneFlags, setns, unshare};
use rustix::{
    fs::CWD,
    mount::{
        MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_change,
        mount_remount, move_mount, open_tree, unmount,
    },
    process::{chdir, pivot_root},
};

/// What a thing in the room is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Programs,
    Read,
    Write,
    Device,
}

impl Use {
    fn flags(self) -> MountFlags {
        let plain = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        match self {
            Self::Programs => MountFlags::NOSUID | MountFlags::NODEV | MountFlags::RDONLY,
            Self::Read => plain | MountFlags::RDONLY,
            Self::Write => plain,
            Self::Device => MountFlags::NOSUID | MountFlags::NOEXEC,
        }
    }
}

/// A file or directory of the host that is in the room, under its own name.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    path: PathBuf,
    used: Use,
}

impl Shown {
    pub(super) fn new(path: &Path, used: Use) -> Self {
        Self { path: path.to_path_buf(), used }
    }
}

/// What stands for a [`Shown`] until it is in its place.
enum Piece {
    Mount { at: PathBuf, tree: OwnedFd, is_directory: bool, used: Use },
    Link { at: PathBuf, to: PathBuf },
}

impl Piece {
    /// `None` for what the host does not have.
    fn take(shown: &Shown) -> io::Result<Option<Self>> {
        let found = match fs::symlink_metadata(&shown.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => found?,
        };
        let at = shown.path.clone();
        // `/bin`, which is `usr/bin`. A link to elsewhere, as to an image directory, is shown as what it leads to.
        if found.is_symlink() && shown.used == Use::Programs {
            return Ok(Some(Self::Link { to: fs::read_link(&at)?, at }));
        }
        let tree = open_tree(CWD, &at, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
        let is_directory = fs::metadata(&at)?.is_dir();
        Ok(Some(Self::Mount { at, tree, is_directory, used: shown.used }))
    }

    /// Puts it below `root`, whose paths are as the host's.
    fn put(self, root: &Path) -> io::Result<()> {
        match self {
            Self::Link { at, to } => {
                let at = beneath(root, &at)?;
                make_directories(at.parent().unwrap_or(root))?;
                symlink(to, at)
            }
            Self::Mount { at, tree, is_directory, used } => {
                let at = beneath(root, &at)?;
                if is_directory {
                    make_directories(&at)?;
                } else {
                    make_directories(at.parent().unwrap_or(root))?;
                    if !at.exists() {
                        File::create(&at)?;
                    }
                }
                // What was shown under that name before goes; what the process has open of it stays so.
                while unmount(&at, UnmountFlags::DETACH).is_ok() {}
                move_mount(&tree, "", CWD, &at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
                mount_remount(&at, MountFlags::BIND | used.flags(), "")?;
                Ok(())
            }
        }
    }
}

/// Gives this thread, and what it starts from now on, a root directory with `shown` in it and nothing else. `stage` is any
/// directory: nothing in it changes.
pub(super) fn enter(stage: &Path, shown: &[Shown]) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    // All are taken before the stage is set, which may hide some.
    let pieces: Vec<Piece> =
        shown.iter().filter_map(|shown| Piece::take(shown).transpose()).collect::<io::Result<_>>()?;
    mount(
        "dewpoint",
        stage,
        "tmpfs",
        MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
        c"mode=755,size=1m",
    )?;
    chdir(stage)?;
    for piece in pieces {
        piece.put(Path::new("."))?;
    }
    pivot_root(".", ".")?;
    // The host's root lies over the room's now.
    unmount(".", UnmountFlags::DETACH)?;
    chdir("/")?;
    Ok(())
}

/// Puts `shown` into the room of a running process. One that is in no room sees everything anyhow.
pub(super) fn show(pid: i32, shown: &[Shown]) -> io::Result<()> {
    let Some(room) = room_of(pid)? else { return Ok(()) };
    on_a_thread(|| {
        let pieces: Vec<Piece> =
            shown.iter().filter_map(|shown| Piece::take(shown).transpose()).collect::<io::Result<_>>()?;
        go_into(&room)?;
        pieces.into_iter().try_for_each(|piece| piece.put(Path::new("/")))
    })
}

/// Takes a directory out of the room of a running process; success when it is not there.
pub(super) fn hide(pid: i32, directory: &Path) -> io::Result<()> {
    let Some(room) = room_of(pid)? else { return Ok(()) };
    on_a_thread(|| {
        go_into(&room)?;
        while unmount(directory, UnmountFlags::DETACH).is_ok() {}
        match fs::remove_dir(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    })
}

/// The mount namespace of a process that has one of its own; `None` when it shares the server's, or is gone.
fn room_of(pid: i32) -> io::Result<Option<File>> {
    let room = match File::open(format!("/proc/{pid}/ns/mnt")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // The server is not root, and gives no rooms.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
        room => room?,
    };
    let ours = fs::metadata("/proc/self/ns/mnt")?.ino();
    Ok((room.metadata()?.ino() != ours).then_some(room))
}

fn go_into(room: &File) -> io::Result<()> {
    unshare(CloneFlags::CLONE_FS)?;
    setns(room, CloneFlags::CLONE_NEWNS)?;
    Ok(())
}

/// Runs `work` on a thread that ends with it: what it changes about itself changes nothing else.
fn on_a_thread(work: impl FnOnce() -> io::Result<()> + Send) -> io::Result<()> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("qemu-room".to_owned()).spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread in QEMU's room panicked")))
    })
}

fn beneath(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let inner = path.strip_prefix("/").map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} does not say where it is from the root", path.display()),
        )
    })?;
    Ok(root.join(inner))
}

/// Makes the directories that are missing, for everyone to walk through whatever the server's umask is.
fn make_directories(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.exists() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_directories(parent)?;
    }
    DirBuilder::new().mode(0o755).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o755))
}
