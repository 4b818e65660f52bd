//! The data directory: made, locked, and the one place for every file.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

/// A data directory that no other server uses while this value lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory if need be and locks it. Fails when another server has it, or it cannot be written.
    ///
    /// Others may walk through it, which QEMU's own user has to; what is secret in it is readable by this user alone.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let said = || format!("the data directory {}", path.display());
        fs::DirBuilder::new().recursive(true).mode(0o711).create(path).with_context(said)?;
        let name = path.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&name);
        let mut lock = file.with_context(|| format!("cannot open {}", name.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let owner = fs::read_to_string(&name).unwrap_or_default();
                bail!(
                    "{} is in use by another dew serve (pid {}). Stop that one, or name another --data-dir",
                    path.display(),
                    owner.trim()
                );
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", name.display()));
            }
        }
        let pid = std::process::id();
        lock.set_len(0).and_then(|()| writeln!(lock, "{pid}")).with_context(said)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The file or directory `name` in it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a secret so that it is there whole or not at all, readable by this user alone.
    pub(crate) fn write_secret(&self, name: &str, secret: &str) -> Result<PathBuf> {
        self.write(name, secret, 0o600)
    }

    /// Writes what everybody may read, whole or not at all.
    pub(crate) fn write_public(&self, name: &str, text: &str) -> Result<PathBuf> {
        self.write(name, text, 0o644)
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> Result<PathBuf> {
        let (path, half) = (self.join(name), self.join(&format!("{name}.new")));
        let write = || -> std::io::Result<()> {
            // What an earlier attempt left may have other rights.
            match fs::remove_file(&half) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            let mut file = OpenOptions::new().create_new(true).write(true).mode(mode).open(&half)?;
            writeln!(file, "{}", text.trim_end())?;
            file.sync_all()?;
            fs::rename(&half, &path)
        };
        write().with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_is_refused_and_told_whose_the_directory_is() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = DataDir::open(dir.path()).expect("free");
        let refusal = DataDir::open(dir.path()).expect_err("taken").to_string();
        assert!(refusal.contains(&std::process::id().to_string()), "{refusal}");
        drop(first);
        assert!(DataDir::open(dir.path()).is_ok());
    }
}
