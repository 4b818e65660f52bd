//! A backup of a server's whole state on its way to whoever asked: lines of JSON, and after each that announces a file its bytes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The newest form of a backup.
pub const BACKUP_FORMAT: u32 = 1;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupFrame {
    /// A file follows, exactly this long, and then its [`BackupFrame::Sum`].
    File {
        /// Its name below the data directory.
        path: String,
        /// Its length.
        bytes: u64,
    },
    /// What the file before it was.
    Sum {
        /// Its SHA-256 in hex.
        sha256: String,
    },
    /// Everything was sent.
    End(BackupFacts),
    /// Nothing more comes, and what came is no backup.
    Failed {
        /// Why.
        reason: String,
    },
}

/// What a backup is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackupFacts {
    /// The form of the backup.
    pub format: u32,
    /// The version of Dewpoint that made it.
    pub dewpoint: String,
    /// The version of the store's schema.
    pub schema: i64,
    /// The engine its machines are of.
    pub engine: String,
    /// When it was taken, RFC 3339, by the server's clock.
    pub taken_at: String,
    /// The data directory it was taken of.
    pub data_dir: String,
    /// How many there are of what.
    pub counts: BTreeMap<String, u64>,
    /// What is not in it, and why.
    pub left_out: Vec<String>,
}
