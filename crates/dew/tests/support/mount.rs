//! File systems of a test's own: a small one to fill, one that cannot be written. Mounting takes a right that not every
//! place gives.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A mounted tmpfs, unmounted when this value goes.
#[derive(Debug)]
pub(crate) struct Tmpfs(PathBuf);

impl Tmpfs {
    /// Mounts one at `path` with these options; `None` where that is not allowed.
    pub(crate) fn mount(path: &Path, options: &str) -> Option<Self> {
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", options, "dewpoint-test"]).arg(path).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success()).then(|| Self(path.to_owned()))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: a process that is just ending may still have a file open.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// A directory that nobody can write, root neither; writable again when this value goes.
#[derive(Debug)]
pub(crate) struct ReadOnly {
    path: PathBuf,
    _mount: Option<Tmpfs>,
}

impl ReadOnly {
    /// Makes one in `parent`; `None` where root's rights reach everywhere and no mount is allowed.
    pub(crate) fn make(parent: &Path) -> Option<Self> {
        let path = parent.join("read-only");
        fs::create_dir(&path).expect("a directory");
        let mount = match nix::unistd::geteuid().is_root() {
            true => Some(Tmpfs::mount(&path, "ro,size=1m")?),
            false => None,
        };
        if mount.is_none() {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o500)).expect("our own directory");
        }
        Some(Self { path, _mount: mount })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        // A mount is undone by its own value.
        let _ = fs::set_permissions(&self.path, fs::Permissions::from_mode(0o700));
    }
}
