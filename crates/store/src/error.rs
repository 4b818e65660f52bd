//! Why the store could not.

use std::path::PathBuf;

/// Why the store could not do it. Only what someone acts on is told apart; the rest is [`Error::Database`].
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The row would be a second one of its kind.
    #[error("the row is a duplicate")]
    Duplicate,
    /// The disk is full; nothing of the change was kept.
    #[error("the disk that holds the store is full")]
    DiskFull,
    /// Another transaction changed the same rows; the same closure may run again (PostgreSQL only).
    #[error("the transaction met another one")]
    Conflict,
    /// Another request has done already what this one claims to do once; nothing of this one was kept.
    #[error("the same request was carried out already")]
    Repeated,
    /// The file is no store, or is damaged. It is left as it is.
    #[error(
        "{path} is not a readable store ({problem}); nothing was changed; restore it from a copy, or name another --data-dir"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the database says.
        problem: String,
    },
    /// The store was written by a newer Dewpoint. It is left as it is.
    #[error("the store has schema version {found}, this program knows versions up to {known}: use the newer dew again")]
    TooNew {
        /// Version found.
        found: i64,
        /// Newest version this program knows.
        known: i64,
    },
    /// The store was written by an older Dewpoint, and is looked at as it is.
    #[error(
        "the store has schema version {found}, and this program reads version {known}: start the server on it once \
         (dew serve), which brings it up to date"
    )]
    TooOld {
        /// Version found.
        found: i64,
        /// The version this program reads.
        known: i64,
    },
    /// A row does not hold what this program writes.
    #[error("a stored {what} is not readable: {problem}")]
    Corrupt {
        /// Which value.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The store's thread is gone, or the closure panicked; the change was not made.
    #[error("the store stopped before it could answer")]
    Stopped,
    /// Anything else the database said.
    #[error("the database failed: {0}")]
    Database(String),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        match error.sqlite_error().map(|inner| (inner.code, inner.extended_code)) {
            Some((Code::DiskFull, _)) => Self::DiskFull,
            // SQLITE_CONSTRAINT_PRIMARYKEY, _UNIQUE and _ROWID: the three that mean a duplicate.
            Some((Code::ConstraintViolation, 1555 | 2067 | 2579)) => Self::Duplicate,
            _ => Self::Database(error.to_string()),
        }
    }
}
