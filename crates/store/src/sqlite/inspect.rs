//! A store that is looked into without being opened for work: beside a running server, or where it is damaged.

use std::path::Path;

use dewpoint_pages::{Durability, Verdict};
use rusqlite::Connection;

use super::{file, transaction::Transaction};
use crate::{Error, db::Tx, migrate};

/// How often what looks like damage is looked at again: a running server may have been writing there.
const LOOKS: u32 = 5;

/// A store opened for reading. Neither it nor its log is changed, also when no server has it open.
#[derive(Debug)]
pub struct Inspection {
    connection: Connection,
}

impl Inspection {
    /// Compares the file with its checksums, and then lets SQLite look at its trees: what is wrong, in words.
    ///
    /// Fails when it cannot be read at all.
    pub fn damage(path: &Path) -> Result<Vec<String>, Error> {
        let mut looks = 0;
        let verdict = loop {
            looks += 1;
            match dewpoint_pages::verify(path, Durability::EveryCommit) {
                Err(damage) if looks == LOOKS => return Ok(vec![damage.to_string()]),
                Err(_) => {}
                Ok(verdict) => break verdict,
            }
        };
        let remark = match verdict {
            Verdict::Whole { remark, .. } | Verdict::NoSums { remark } => remark,
            Verdict::New => None,
        };
        let inspection = Self::open(path)?;
        let found = dewpoint_pages::integrity(&inspection.connection).map_err(|error| file::explain(path, &error))?;
        let found = found.into_iter().map(|line| format!("{}: {line}", path.display()));
        Ok(remark.into_iter().chain(found).collect())
    }

    /// Opens the store in `path`, which is there. Fails as the opening of a store does.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let explain = |error: rusqlite::Error| file::explain(path, &error);
        let connection = dewpoint_pages::open_beside(path).map_err(explain)?;
        file::inspect(path, &connection, true)?;
        Ok(Self { connection })
    }

    /// Fails with [`Error::TooOld`] when a server has yet to bring the store up to date, so that not all can be read.
    pub fn check_version(&self) -> Result<(), Error> {
        let newest = "SELECT COALESCE(MAX(number), 0) FROM migrations";
        migrate::check_is_current(self.read(|tx| tx.query_one(newest, &[], |row| row.next::<i64>()))?)
    }

    /// Runs `work` on one snapshot of the store.
    pub fn read<T>(&self, work: impl FnOnce(&mut dyn Tx) -> Result<T, Error>) -> Result<T, Error> {
        self.connection.execute_batch("BEGIN")?;
        let mut transaction = Transaction::new(&self.connection);
        let result = work(&mut transaction);
        let ended = transaction.end();
        if !self.connection.is_autocommit() {
            self.connection.execute_batch("ROLLBACK")?;
        }
        ended?;
        result
    }
}
