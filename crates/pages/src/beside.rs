//! Looking into a database beside whoever has it open, or when nobody does.

use std::{
    fmt::Write as _,
    fs::OpenOptions,
    io,
    os::unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};

use crate::{Keeper, beside_it};

/// Copies the database in `path`, as it is at one moment, into a new file that its owner alone can read. Others may be at work
/// on it: nothing of the source is changed. The copy has no log; it is not yet on the disk for good.
pub fn copy(path: &Path, target: &Path) -> Result<(), CopyError> {
    let source = open_beside(path)?;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(target)?;
    let mut copied = Connection::open(target)?;
    // Nobody else has it, and one that fails is thrown away.
    copied.pragma_update(None, "synchronous", "OFF")?;
    let began = Instant::now();
    let backup = Backup::new(&source, &mut copied)?;
    // All of it in one step: one moment.
    while backup.step(-1)? != StepResult::Done {
        if began.elapsed() > PATIENCE {
            return Err(CopyError::Busy);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(backup);
    // The copy's head says that it has a log, as its source's does; opened and closed, it has none.
    drop(copied);
    Ok(())
}

/// How long a copy waits for who writes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a database could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// SQLite says why.
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
    /// The host says why.
    #[error(transparent)]
    File(#[from] io::Error),
    /// Somebody wrote to it all the time.
    #[error("somebody else writes to the file for too long")]
    Busy,
}

/// Opens the database in `path` for reading, and changes neither it nor its log, also if nobody else has it open.
pub fn open_beside(path: &Path) -> rusqlite::Result<Connection> {
    if beside_it(path, "-wal").exists() {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        Keeper::forbid_copying(&connection)?;
        connection.pragma_update(None, "query_only", true)?;
        return Ok(connection);
    }
    // Without a log the file is all there is; opened otherwise, SQLite would put a new log beside it.
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => uri.push(char::from(*byte)),
            _ => {
                // Writing to a string does not fail.
                let _ = write!(uri, "%{byte:02x}");
            }
        }
    }
    uri.push_str("?immutable=1");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(uri, flags)
}
