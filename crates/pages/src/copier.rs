//! One round of bringing a log into its file: checksums first, then the pages.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags};

use crate::{Keeper, beside_it, follower::Follower, sums::Sums, wal::Log};

/// Copies the log into the file, beside whoever writes.
#[derive(Debug)]
pub(crate) struct Copier {
    path: PathBuf,
    connection: Connection,
    /// Looks at the database as it was when a round began, for as long as the round lasts.
    pin: Connection,
    /// The database itself. Opened once and closed after every connection to it: a process that closes a file loses all the
    /// locks it has on it, SQLite's too (POSIX locks).
    file: File,
    log: Follower,
    /// How much of the log is in the file already; nobody else copies.
    copied: Position,
}

/// A place in the log as the one who writes counts it: how often he saw it begin anew, and how many frames it then has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) begun: u32,
    pub(crate) frames: u32,
}

/// How far a round has come. Commits may come between any two of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing that is committed from here on is copied in this round, and the log does not begin anew.
    Pinned,
    /// The log is read.
    Read,
    /// The checksums of what it holds are on the disk.
    Summed,
    /// Its pages are in the file.
    Copied,
}

/// Why the log was not copied. Nothing is lost: it stays, and the next time tries again.
#[derive(Debug, thiserror::Error)]
#[error("the log could not be brought into its file")]
pub(crate) enum Error {
    Database(#[from] rusqlite::Error),
    File(#[from] io::Error),
    Log(#[from] crate::Damage),
}

impl Copier {
    /// For the database in `path`, which is there.
    pub(crate) fn open(path: &Path) -> rusqlite::Result<Self> {
        let cannot_open = |error: io::Error| {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
            rusqlite::Error::SqliteFailure(code, Some(error.to_string()))
        };
        let (connection, pin) = (connect(path)?, connect(path)?);
        // What is only opened has no index yet.
        connection.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |_| Ok(()))?;
        let file = File::open(path).map_err(cannot_open)?;
        let log = Follower::open(path).map_err(cannot_open)?;
        Ok(Self { path: path.to_owned(), connection, pin, file, log, copied: Position::default() })
    }

    /// Reads what was written to the log since, so that a round has less to read.
    pub(crate) fn read(&mut self) -> Result<(), Error> {
        self.log.read_on()?;
        Ok(())
    }

    /// Copies what is in the log, which was committed up to `seen` at least, while others may write: whether all of it is in
    /// the file now.
    ///
    /// What a reader sees is not copied over: SQLite copies up to there and no further, and does not begin the log anew while
    /// one reads from it. So the log, read after the reader began, has the checksums of all that is copied. Where everything was in the
    /// file already, the reader would read from the file and hold up nothing; hence `seen`.
    ///
    /// `at` is told how far it has come.
    pub(crate) fn round(&mut self, seen: Position, at: &mut dyn FnMut(Stage)) -> Result<bool, Error> {
        if seen <= self.copied {
            return Ok(true);
        }
        if !self.pin.is_autocommit() {
            // The last round could not let go of it.
            self.pin.execute_batch("ROLLBACK")?;
        }
        self.pin.execute_batch("BEGIN; SELECT COUNT(*) FROM sqlite_schema")?;
        at(Stage::Pinned);
        let copied = self.copy(seen.begun, at);
        let ended = self.pin.execute_batch("ROLLBACK");
        let copied = copied?;
        ended?;
        Ok(copied)
    }

    /// The same while nobody else can write, since `writer` holds the lock meanwhile.
    pub(crate) fn round_alone(&mut self, writer: &Connection, seen: Position) -> Result<bool, Error> {
        writer.execute_batch("BEGIN IMMEDIATE")?;
        let copied = self.copy(seen.begun, &mut |_| ());
        let ended = writer.execute_batch("ROLLBACK");
        let copied = copied?;
        ended?;
        Ok(copied)
    }

    fn copy(&mut self, begun: u32, at: &mut dyn FnMut(Stage)) -> Result<bool, Error> {
        let log = self.log.read_on()?;
        at(Stage::Read);
        if log.database_pages.is_some() {
            // Sums of what a power cut could still take from the log would outlive it.
            File::open(beside_it(&self.path, "-wal"))?.sync_data()?;
            sums_with(&self.path, &self.file, log)?.write(&self.path)?;
        }
        at(Stage::Summed);
        let (busy, in_log, copied) = self
            .connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let (busy, in_log, copied): (i64, i64, i64) = (busy, in_log, copied);
        self.copied = Position { begun, frames: u32::try_from(copied).unwrap_or(u32::MAX) };
        at(Stage::Copied);
        Ok(busy == 0 && in_log == copied)
    }

    /// Closes its connections. The files are to be closed after every other connection to them.
    pub(crate) fn close(self) -> [File; 2] {
        let Self { connection, pin, file, log, .. } = self;
        drop((connection, pin));
        [file, log.into_index()]
    }

    /// Takes checksums of everything as it is, while `writer` holds the lock: for a file that has none, or damaged ones.
    pub(crate) fn adopt(&mut self, writer: &Connection) -> Result<(), Error> {
        writer.execute_batch("BEGIN IMMEDIATE")?;
        let written = self.adopt_alone();
        writer.execute_batch("ROLLBACK")?;
        written
    }

    fn adopt_alone(&mut self) -> Result<(), Error> {
        let log = self.log.read_on()?;
        Ok(with_log(Sums::of(&self.file)?, log).write(&self.path)?)
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Keeper::forbid_copying(&connection)?;
    Ok(connection)
}

/// The file's checksums as they will be once the log is in it.
fn sums_with(path: &Path, file: &File, log: &Log) -> io::Result<Sums> {
    let sums = match Sums::read(path) {
        Ok(Some(sums)) => sums,
        // Gone or damaged since the start, when they were there: the file was whole then.
        Ok(None) => Sums::of(file)?,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Sums::of(file)?,
        Err(error) => return Err(error),
    };
    Ok(with_log(sums, log))
}

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
