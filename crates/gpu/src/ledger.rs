//! Which machine has which GPU, what its drivers were, and which GPUs are parked: one file, over restarts.
//!
//! ```text
//! DATA/gpus/              the server's alone
//!   ledger.json           below
//!   lock                  held while the ledger and the devices change: the server and `dew doctor` may both be at work
//! ```
//!
//! What is going to be taken is written down before it is taken, so that whatever a crash leaves can be given back.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use dewpoint_clock::Timestamp;
use serde::{Deserialize, Serialize};

use crate::PciAddress;
pub use crate::bind::Moved;

/// A GPU, or an NVSwitch, that is a machine's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Its first function.
    pub device: PciAddress,
    /// Whose it is, by the machine's number.
    pub machine: u64,
    /// All functions that go along, itself first.
    pub functions: Vec<Moved>,
}

/// A GPU, or an NVSwitch, that could not be taken back clean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// Its first function.
    pub device: PciAddress,
    /// All its functions and what their drivers were.
    pub functions: Vec<Moved>,
    /// What failed.
    pub why: String,
    /// When.
    pub at: Timestamp,
}

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// What machines have, in the order in which it was taken.
    #[serde(default)]
    pub held: Vec<Held>,
    /// What nobody gets until an operator puts it back.
    #[serde(default)]
    pub parked: Vec<Parked>,
}

impl Ledger {
    /// Reads it; one that was never written is empty.
    pub fn read(directory: &Path) -> io::Result<Self> {
        let path = directory.join(NAME);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged: {error}", path.display()))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        }
    }
}

const NAME: &str = "ledger.json";

/// The ledger while nobody else may change it.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) ledger: Ledger,
    directory: PathBuf,
    /// Let go when it is closed.
    _lock: File,
}

impl Open {
    /// Waits until nobody else has it open.
    pub(crate) fn wait(directory: &Path) -> io::Result<Self> {
        let failed = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", directory.display()));
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(directory.join("lock"));
        let lock = lock.map_err(failed)?;
        lock.lock().map_err(failed)?;
        Ok(Self { ledger: Ledger::read(directory)?, directory: directory.to_path_buf(), _lock: lock })
    }

    /// Makes what was changed last.
    pub(crate) fn write(&self) -> io::Result<()> {
        let path = self.directory.join(NAME);
        let fresh = self.directory.join("ledger.json.new");
        let bytes = serde_json::to_vec_pretty(&self.ledger)?;
        let written = || {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
            file.write_all(&bytes)?;
            file.sync_data()?;
            fs::rename(&fresh, &path)?;
            File::open(&self.directory)?.sync_all()
        };
        written().map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    }
}
