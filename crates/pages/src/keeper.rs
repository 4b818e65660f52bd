//! The one who copies the log into the file, and takes the checksums first.

use std::{
    cell::Cell,
    ffi::c_int,
    fs::File,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig, hooks::Wal};

use crate::{
    beside_it,
    sums::Sums,
    wal::{self, Log},
};

thread_local! {
    /// How many pages the log had after this thread's last commit. The hook is a plain function, so it cannot be told where.
    static LOG_PAGES: Cell<u32> = const { Cell::new(0) };
}

fn note_pages(_: &Wal, pages: c_int) -> rusqlite::Result<()> {
    LOG_PAGES.set(pages.unsigned_abs());
    Ok(())
}

/// Brings what is in a database's log into its file. Lives on the thread of the connection that writes.
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
    /// Copies while the writer holds the lock, so that nothing is written in between.
    copier: Connection,
    /// The database itself. Opened once and closed after every connection to it: a process that closes a file loses all the
    /// locks it has on it, SQLite's too (POSIX locks).
    file: File,
    /// How many pages the log may have before it is copied.
    most: u32,
    next: Cell<u32>,
}

/// Why the log was not copied. Nothing is lost: it stays, and the next time tries again.
#[derive(Debug, thiserror::Error)]
#[error("the log could not be brought into its file")]
pub(crate) enum Error {
    Database(#[from] rusqlite::Error),
    File(#[from] io::Error),
    Log(#[from] crate::Damage),
}

impl Keeper {
    /// Takes over the copying for `writer`, which has the database in `path` open and in WAL mode. From here on no connection
    /// may copy by itself: others are to be told with [`Keeper::forbid_copying`].
    pub fn new(path: &Path, writer: &Connection, most: u32) -> rusqlite::Result<Self> {
        Self::forbid_copying(writer)?;
        writer.wal_hook(Some(note_pages));
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let copier = Connection::open_with_flags(path, flags)?;
        copier.busy_timeout(Duration::from_secs(10))?;
        copier.pragma_update(None, "synchronous", "FULL")?;
        Self::forbid_copying(&copier)?;
        let cannot_open = |error: io::Error| {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
            rusqlite::Error::SqliteFailure(code, Some(error.to_string()))
        };
        let file = File::open(path).map_err(cannot_open)?;
        Ok(Self { path: path.to_owned(), copier, file, most, next: Cell::new(most) })
    }

    /// Lets a connection neither copy the log after a commit nor when it is closed.
    pub fn forbid_copying(connection: &Connection) -> rusqlite::Result<()> {
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(drop)
    }

    /// Copies the log if it has grown long. To be called after commits; tells the log when it fails.
    pub fn after_commit(&self, writer: &Connection) {
        let pages = LOG_PAGES.get();
        if pages < self.next.get() {
            // The log has begun anew.
            if pages < self.most {
                self.next.set(self.most);
            }
            return;
        }
        match self.checkpoint(writer) {
            Ok(true) => self.next.set(self.most),
            // Somebody reads an old state: later.
            Ok(false) => self.next.set(pages + self.most / 4),
            Err(error) => {
                self.next.set(pages + self.most / 4);
                tracing::warn!(file = %self.path.display(), error = %chain(&error), "The store's log stays as long as it is for now");
            }
        }
    }

    /// Takes checksums of everything as it is: for a file that has none, or damaged ones.
    pub fn adopt(&self, writer: &Connection) -> io::Result<()> {
        let failed = |error: &dyn std::error::Error| io::Error::other(chain(error));
        writer.execute_batch("BEGIN IMMEDIATE").map_err(|error| failed(&error))?;
        let log = wal::scan_own(&self.path).map_err(|damage| failed(&damage));
        let written = log.and_then(|log| {
            let sums = Sums::of(&self.file)?;
            with_log(sums, &log).write(&self.path)
        });
        writer.execute_batch("ROLLBACK").map_err(|error| failed(&error))?;
        written
    }

    /// Takes the checksums of what is in the log and copies it into the file: whether all of it.
    pub(crate) fn checkpoint(&self, writer: &Connection) -> Result<bool, Error> {
        // Nobody writes while this lock is held: what is summed is what is copied.
        writer.execute_batch("BEGIN IMMEDIATE")?;
        let copied = self.copy();
        let ended = writer.execute_batch("ROLLBACK");
        let copied = copied?;
        ended?;
        Ok(copied)
    }

    fn copy(&self) -> Result<bool, Error> {
        let log = wal::scan_own(&self.path)?;
        if log.database_pages.is_some() {
            // Sums of what a power cut could still take from the log would outlive it.
            File::open(beside_it(&self.path, "-wal"))?.sync_data()?;
            self.sums_with(&log)?.write(&self.path)?;
        }
        let (busy, in_log, copied) = self
            .copier
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let (busy, in_log, copied): (i64, i64, i64) = (busy, in_log, copied);
        Ok(busy == 0 && in_log == copied)
    }

    /// The file's checksums as they will be once the log is in it.
    fn sums_with(&self, log: &Log) -> Result<Sums, Error> {
        let sums = match Sums::read(&self.path) {
            Ok(Some(sums)) => sums,
            // Gone or damaged since the start, when they were there: the file was whole then.
            Ok(None) => Sums::of(&self.file)?,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Sums::of(&self.file)?,
            Err(error) => return Err(error.into()),
        };
        Ok(with_log(sums, log))
    }

    /// Copies the log and closes the writer's connection. If that is the last one, the log is gone and the file is all there is.
    pub fn close(self, writer: Connection) {
        let copied = self.checkpoint(&writer);
        let Self { copier, file, .. } = self;
        drop(copier);
        match copied {
            // Nothing is left to copy, but only a connection that may copy takes the log away.
            Ok(true) => drop(writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(error = %chain(&error), "The store's log stays beside it; the next start reads it");
            }
        }
        // Closed as it goes: what cannot be closed in order is taken up by the next start.
        drop(writer);
        drop(file);
    }
}

/// The checksums of the file as it will be once the log is in it.
fn with_log(mut sums: Sums, log: &Log) -> Sums {
    if let Some(pages) = log.database_pages {
        sums.pages.resize(pages as usize, 0);
    }
    for (page, sum) in &log.pages {
        if let Some(known) = sums.pages.get_mut(*page as usize - 1) {
            *known = *sum;
        }
    }
    sums
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}
