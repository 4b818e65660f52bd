//! Whether the disk has room for what comes.

use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use super::problem::Problem;
use crate::Error;

/// A disk that must keep some room.
#[derive(Clone, Debug)]
pub(super) struct Space {
    directory: PathBuf,
    keep_free: u64,
}

impl Space {
    pub(super) fn new(directory: &Path, keep_free: u64) -> Self {
        Self { directory: directory.to_path_buf(), keep_free }
    }

    /// Fails with [`Error::DiskFull`] unless `wanted` more bytes leave enough free.
    pub(super) fn check(&self, wanted: u64) -> Result<(), Problem> {
        let path = || self.directory.display().to_string();
        let found = statvfs(&self.directory)
            .map_err(|error| Error::host("look how full the disk is", format_args!("{}: {error}", path())))?;
        let free = found.blocks_available().saturating_mul(found.fragment_size());
        if free < wanted.saturating_add(self.keep_free) {
            return Err(Error::DiskFull { path: path() }.into());
        }
        Ok(())
    }
}
