//! What a backup says of itself, and whether that is so.

use std::{fs, io::ErrorKind, path::Path};

use anyhow::{Context as _, Result, bail};
use dewpoint_api::{BACKUP_FORMAT, BackupFacts};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{DATA, hex, place, sum, write};

const MANIFEST: &str = "manifest.json";
const ITS_SUM: &str = "manifest.sha256";

/// What a backup is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    #[serde(flatten)]
    pub(crate) facts: BackupFacts,
    /// Every file in `data`.
    pub(crate) files: Vec<ManifestFile>,
}

/// One file of a backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ManifestFile {
    /// Its name, as below a data directory.
    pub(crate) path: String,
    /// Its length.
    pub(crate) bytes: u64,
    /// Its SHA-256 in hex.
    pub(crate) sha256: String,
}

impl Manifest {
    /// Writes it beside the files it speaks of.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        let its_sum = format!("{}\n", hex(&Sha256::digest(&text)));
        write(&directory.join(ITS_SUM), &mut its_sum.as_bytes(), its_sum.len() as u64)?;
        write(&directory.join(MANIFEST), &mut text.as_slice(), text.len() as u64).map(drop)
    }

    /// Reads the backup in `directory` and compares every file with what is said of it. Fails with everything that is wrong.
    pub(crate) fn verified(directory: &Path) -> Result<Self> {
        let manifest = Self::read(directory)?;
        let mut wrong = Vec::new();
        for file in &manifest.files {
            let path = place_of(directory, &file.path)?;
            match sum(&path) {
                Ok((sha256, bytes)) if sha256 == file.sha256 && bytes == file.bytes => {}
                Ok((_, bytes)) if bytes != file.bytes => {
                    wrong.push(format!("{} has {bytes} bytes and had {}", path.display(), file.bytes));
                }
                Ok(_) => wrong.push(format!("{} is not what it was: its SHA-256 differs", path.display())),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    wrong.push(format!("{} is missing", path.display()))
                }
                Err(error) => wrong.push(format!("{} cannot be read: {error}", path.display())),
            }
        }
        if !wrong.is_empty() {
            bail!("the backup in {} is damaged: {}. Nothing was restored", directory.display(), wrong.join("; "));
        }
        Ok(manifest)
    }

    fn read(directory: &Path) -> Result<Self> {
        let (path, sum_path) = (directory.join(MANIFEST), directory.join(ITS_SUM));
        let text = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                bail!("{} is no backup, or not a whole one: it has no {MANIFEST}", directory.display());
            }
            text => text.with_context(|| format!("cannot read {}", path.display()))?,
        };
        // What is no text at all fits no checksum.
        let expected = fs::read(&sum_path).with_context(|| format!("cannot read {}", sum_path.display()))?;
        let expected = String::from_utf8_lossy(&expected);
        if expected != format!("{}\n", hex(&Sha256::digest(&text))) {
            bail!(
                "the backup in {} is damaged: {MANIFEST} is not what it was. Nothing was restored",
                directory.display()
            );
        }
        let format: Format = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
        if format.format > BACKUP_FORMAT {
            bail!(
                "the backup in {} has format {}, and this dew knows {BACKUP_FORMAT}: use the newer dew",
                directory.display(),
                format.format
            );
        }
        serde_json::from_slice(&text).with_context(|| path.display().to_string())
    }
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

fn place_of(directory: &Path, name: &str) -> Result<std::path::PathBuf> {
    // Names are checked as when they are written; nothing is made for those that are there.
    place(&directory.join(DATA), name)
}
