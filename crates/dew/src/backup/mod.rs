//! A backup as it lies in a directory.
//!
//! ```text
//! DIR/                 readable by its owner alone: there are secrets in it
//!   manifest.json      what it is a backup of, what is not in it, and the SHA-256 of every file; written last
//!   manifest.sha256    that of the manifest itself
//!   data/              the files, as they lie in a data directory
//! ```

mod manifest;

pub(crate) use manifest::{Manifest, ManifestFile};

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Component, Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

/// Where in a backup the files are.
pub(crate) const DATA: &str = "data";

/// A directory that is made beside its place and put there when it is whole; gone again if it never is.
#[derive(Debug)]
pub(crate) struct Staged {
    part: PathBuf,
    target: PathBuf,
}

impl Staged {
    /// Begins one that is to be `target`, which must be absent or empty.
    pub(crate) fn begin(target: &Path, mode: u32) -> Result<Self> {
        let target = std::path::absolute(target).with_context(|| target.display().to_string())?;
        let empty = match fs::read_dir(&target) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(error).with_context(|| format!("cannot look into {}", target.display())),
        };
        if !empty {
            bail!("{} is not empty, and nothing is written over: name a new or empty directory", target.display());
        }
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            bail!("{} cannot be replaced: name a directory below it", target.display());
        };
        let part = parent.join(format!(".{}.part", name.to_string_lossy()));
        // What an earlier one that was killed has left.
        match fs::remove_dir_all(&part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", part.display()));
            }
            Ok(()) | Err(_) => {}
        }
        let made = DirBuilder::new().mode(mode).create(&part);
        made.with_context(|| format!("cannot make {}", part.display()))?;
        Ok(Self { part, target })
    }

    /// Where its files go meanwhile.
    pub(crate) fn path(&self) -> &Path {
        &self.part
    }

    /// Makes everything in it durable and puts it in its place.
    pub(crate) fn finish(self) -> Result<PathBuf> {
        let finish = || -> io::Result<()> {
            sync_directories(&self.part)?;
            fs::rename(&self.part, &self.target)?;
            self.target.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
        };
        finish().with_context(|| format!("cannot put {} in its place", self.target.display()))?;
        Ok(self.target.clone())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Gone when it was finished; otherwise nothing half made stays.
        let _ = fs::remove_dir_all(&self.part);
    }
}

fn sync_directories(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_directories(&entry.path())?;
        }
    }
    File::open(directory)?.sync_all()
}

/// The place of a file in `root`, its directories made. Refuses a name that leads out of it.
pub(crate) fn place(root: &Path, name: &str) -> Result<PathBuf> {
    let relative = Path::new(name);
    let plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || !plain {
        bail!("{name:?} is no name of a file in a backup");
    }
    let path = root.join(relative);
    if let Some(parent) = path.parent() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(parent);
        made.with_context(|| format!("cannot make {}", parent.display()))?;
    }
    Ok(path)
}

/// Writes a new file from `source`, exactly `bytes` long, readable by its owner alone and durable. Returns its SHA-256 in hex.
pub(crate) fn write(path: &Path, source: &mut dyn Read, bytes: u64) -> Result<String> {
    let said = || format!("cannot write {}", path.display());
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).with_context(said)?;
    let (mut hash, mut left, mut buffer) = (Sha256::new(), bytes, vec![0; 1 << 18]);
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = source.read(&mut buffer[..most]).context("the backup is cut off")?;
        if read == 0 {
            bail!("the backup is cut off in the middle of {}", path.display());
        }
        hash.update(&buffer[..read]);
        file.write_all(&buffer[..read]).with_context(said)?;
        left -= read as u64;
    }
    file.sync_all().with_context(said)?;
    Ok(hex(&hash.finalize()))
}

/// The SHA-256 of a file in hex, and its length.
pub(crate) fn sum(path: &Path) -> io::Result<(String, u64)> {
    let (mut file, mut hash, mut buffer, mut bytes) = (File::open(path)?, Sha256::new(), vec![0; 1 << 18], 0);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((hex(&hash.finalize()), bytes));
        }
        hash.update(&buffer[..read]);
        bytes += read as u64;
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A size for people.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}
