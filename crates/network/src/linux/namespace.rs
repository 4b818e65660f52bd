//! The named network namespace, as `ip netns` has it: a mount below /run/netns that keeps it when no process is in it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Error, Tools};

/// Where it is mounted.
pub(super) fn path(name: &str) -> PathBuf {
    Path::new("/run/netns").join(name)
}

/// Whether it is there. A name that a crash left without its namespace is not.
pub(super) fn exists(name: &str) -> Result<bool, Error> {
    let doing = format!("looking for the network namespace {name}");
    let path = path(name);
    let here = match fs::File::open(&path) {
        Ok(_) => is_namespace(&path).map_err(|error| Error::io(&doing, error))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(Error::io(doing, error)),
    };
    Ok(here)
}

/// Namespaces are files of a file system of their own.
fn is_namespace(path: &Path) -> io::Result<bool> {
    Ok(nix::sys::statfs::statfs(path)?.filesystem_type() == nix::sys::statfs::NSFS_MAGIC)
}

/// Makes it unless it is there.
pub(super) fn ensure(tools: &Tools, name: &str) -> Result<(), Error> {
    if exists(name)? {
        return Ok(());
    }
    if path(name).exists() {
        remove(tools, name)?;
    }
    match tools.ip(&[format!("netns add {name}")]) {
        Err(Error::Refused { said, .. }) if said.contains("Permission denied") => {
            Err(Error::NotAllowed { doing: format!("making the network namespace {name}") })
        }
        other => other,
    }
}

/// Takes its name away. It ends when nobody is in it and nothing of it is open.
pub(super) fn remove(tools: &Tools, name: &str) -> Result<(), Error> {
    if !path(name).exists() {
        return Ok(());
    }
    tools.ip(&[format!("netns delete {name}")])
}
