//! Checksums of the pages of a SQLite file, kept beside it, so that a flipped bit or a torn page is found at the next start.
//!
//! SQLite itself notices damage only where it breaks a tree; a bit inside a value is read as it is, and a log that is damaged
//! is taken to end there, which silently drops what was committed after. So:
//!
//! ```text
//! NAME.db        the pages                       │ each page's CRC-32 is in NAME.db-sums
//! NAME.db-sums   a CRC-32 for each page, and one for itself
//! NAME.db-wal    the log: pages as later commits left them, with checksums of SQLite's own
//! NAME.db-shm    how far the log was committed when the last program that had it open was killed
//! ```
//!
//! Pages reach the file only from the log, by the [`Keeper`]: it takes the checksums of what is in the log, makes them durable,
//! and then lets SQLite copy no more than that. Until that is done and the log begins anew, those pages are in the log and the
//! file's are not looked at; so a crash anywhere leaves file, log and sums that agree. [`verify`] reads all of it before
//! anything is opened, and changes nothing.

mod beside;
mod closing;
mod copier;
mod follower;
mod keeper;
mod sums;
mod verify;
mod wal;

use std::path::{Path, PathBuf};

pub use beside::{CopyError, copy, open_beside};
pub use closing::{Alive, Closing};
pub use copier::Stage;
pub use keeper::Keeper;
pub use sums::{seal, sums_beside};
pub use verify::{Durability, Verdict, verify};

/// What is wrong with a file: found before it was opened, and nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct Damage {
    /// The file that is damaged.
    pub path: PathBuf,
    /// What is wrong, for a person.
    pub problem: String,
}

impl Damage {
    fn new(path: &Path, problem: impl Into<String>) -> Self {
        Self { path: path.to_owned(), problem: problem.into() }
    }

    fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self::new(path, format!("it cannot be read: {error}"))
    }
}

/// The file of the same name with `suffix` after it.
fn beside_it(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The checksum used throughout: CRC-32 of IEEE 802.3.
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// What SQLite itself finds wrong with its trees and indexes; nothing when all is well.
pub fn integrity(connection: &rusqlite::Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare("PRAGMA integrity_check(10)")?;
    let lines: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(if lines == ["ok"] { Vec::new() } else { lines })
}
