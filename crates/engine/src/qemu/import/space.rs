//! Whether the disk has room for what comes, beside what other imports were promised.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use nix::sys::statvfs::statvfs;

use super::problem::Problem;
use crate::Error;

/// What the imports of one disk were promised. Its clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Promises(Arc<Mutex<Vec<Arc<Promise>>>>);

/// Room for one import, what it has written counted in.
#[derive(Debug)]
struct Promise {
    directory: PathBuf,
    bytes: AtomicU64,
}

impl Promise {
    /// What is promised and not yet taken.
    fn open(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed).saturating_sub(stored(&self.directory))
    }
}

/// One import's view of a disk that must keep some room. Its clones are the same; the promise goes with the last.
#[derive(Clone, Debug)]
pub(super) struct Space {
    keep_free: u64,
    own: Arc<Own>,
}

#[derive(Debug)]
struct Own {
    promise: Arc<Promise>,
    all: Promises,
}

impl Drop for Own {
    fn drop(&mut self) {
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|promise| !Arc::ptr_eq(promise, &self.promise));
    }
}

impl Space {
    pub(super) fn new(directory: &Path, keep_free: u64, all: &Promises) -> Self {
        let promise = Arc::new(Promise { directory: directory.to_path_buf(), bytes: AtomicU64::new(0) });
        all.0.lock().unwrap_or_else(PoisonError::into_inner).push(promise.clone());
        Self { keep_free, own: Arc::new(Own { promise, all: all.clone() }) }
    }

    /// Fails with [`Error::DiskFull`] unless `wanted` more bytes leave enough free, for the others too.
    pub(super) fn check(&self, wanted: u64) -> Result<(), Problem> {
        let all = self.own.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_beside(&all, wanted)
    }

    /// The same, and others that come find these bytes taken.
    pub(super) fn promise(&self, wanted: u64) -> Result<(), Problem> {
        let all = self.own.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_beside(&all, wanted)?;
        let stored = stored(&self.own.promise.directory);
        self.own.promise.bytes.store(stored.saturating_add(wanted), Ordering::Relaxed);
        Ok(())
    }

    fn check_beside(&self, all: &[Arc<Promise>], wanted: u64) -> Result<(), Problem> {
        let directory = &self.own.promise.directory;
        let path = || directory.display().to_string();
        let found = statvfs(directory)
            .map_err(|error| Error::host("look how full the disk is", format_args!("{}: {error}", path())))?;
        let free = found.blocks_available().saturating_mul(found.fragment_size());
        let others = all.iter().filter(|promise| !Arc::ptr_eq(promise, &self.own.promise));
        let others = others.fold(0_u64, |sum, promise| sum.saturating_add(promise.open()));
        if free < wanted.saturating_add(others).saturating_add(self.keep_free) {
            return Err(Error::DiskFull { path: path() }.into());
        }
        Ok(())
    }
}

/// What an import's files take by now. One that cannot be read has taken nothing of its promise.
fn stored(directory: &Path) -> u64 {
    let files = fs::read_dir(directory).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|found| found.blocks() * 512).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_imports_are_not_promised_the_same_room() {
        let top = tempfile::tempdir().expect("a directory");
        let found = statvfs(top.path()).expect("a disk");
        // Far more than others write meanwhile on a disk that tests share.
        let room = found.blocks_available() * found.fragment_size() / 10 * 6;
        let all = Promises::default();
        let (first, second) = (Space::new(top.path(), 0, &all), Space::new(top.path(), 0, &all));
        first.promise(room).expect("there is room for one");
        assert!(matches!(second.promise(room), Err(Problem::Host(Error::DiskFull { .. }))));
        assert!(matches!(second.check(room), Err(Problem::Host(Error::DiskFull { .. }))));
        second.promise(0).expect("there is room for nothing");
        first.check(room).expect("its own promise does not stand in its way");
        drop(first);
        second.promise(room).expect("the first has ended");
    }

    #[test]
    fn what_an_import_has_written_is_not_counted_twice() {
        let top = tempfile::tempdir().expect("a directory");
        let space = Space::new(top.path(), 0, &Promises::default());
        space.promise(1 << 20).expect("room");
        fs::write(top.path().join("part"), vec![7; 256 << 10]).expect("written");
        let open = space.own.promise.open();
        assert!(open <= (1 << 20) - (256 << 10), "{open}");
    }
}
