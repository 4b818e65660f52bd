//! Looking into a database beside whoever has it open, or when nobody does.

use std::{fmt::Write as _, os::unix::ffi::OsStrExt as _, path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags};

use crate::{Keeper, beside_it};

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
