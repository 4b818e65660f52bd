//! The file of a SQLite store: made whole or not at all, and looked at before anything is written to it.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use dewpoint_pages::{Durability, Keeper, Verdict, sums_beside};
use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};

use crate::{Error, migrate};

/// Statements kept prepared per connection; more than there are texts in frequent use.
const STATEMENTS: usize = 256;

/// How many pages the log may have before it is copied into the file: what many creates touch is then copied once.
const LOG_PAGES: u32 = 16_000;

/// A store that was opened for writing, and who copies its log into its file.
pub(super) struct Opened {
    pub(super) writer: Connection,
    pub(super) keeper: Keeper,
}

/// Opens the store in `path` for writing, making an empty one if there is none.
///
/// Fails before it has changed anything when the file is empty, damaged in a single bit, another program's, or of a newer
/// schema. Reads the whole file for that.
pub(super) fn open_checked(path: &Path) -> Result<Opened, Error> {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => make(path)?,
        Err(error) => return Err(cannot_open(path, &error)),
        Ok(file) if file.is_file() && file.len() == 0 => return Err(damaged(path, "the file is empty")),
        Ok(_) => {}
    }
    let verdict = verify(path)?;
    let connection = connect(path)?;
    // A log left by a crash belongs to whoever can read it: while that is open, closing leaves it where it is.
    let log = fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0);
    let keep_log = |on| connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, on).map(drop);
    let explain = |error: rusqlite::Error| explain(path, &error);
    if log {
        keep_log(true).map_err(explain)?;
    }
    inspect(path, &connection, log)?;
    set_up(&connection).map_err(explain)?;
    let keeper = Keeper::new(path, &connection, LOG_PAGES).map_err(explain)?;
    if let Verdict::NoSums { remark } = verdict {
        adopt(path, (&connection, &keeper), remark)?;
    }
    Ok(Opened { writer: connection, keeper })
}

/// Compares every page with its checksum.
fn verify(path: &Path) -> Result<Verdict, Error> {
    let verdict = dewpoint_pages::verify(path, Durability::EveryCommit).map_err(|damage| {
        let hint = match damage.path == path {
            true => {
                let sums = sums_beside(path);
                format!(
                    "; if another program changed it, or put it there, remove {} to have it as it is",
                    sums.display()
                )
            }
            false => String::new(),
        };
        Error::Damaged { path: damage.path, problem: format!("{}{hint}", damage.problem) }
    })?;
    if let Verdict::Whole { remark: Some(remark), .. } = &verdict {
        tracing::warn!("The store is read as far as it is whole: {remark}");
    }
    Ok(verdict)
}

/// Takes a store that has no checksums as it is, if SQLite finds nothing wrong with it.
fn adopt(path: &Path, (writer, keeper): (&Connection, &Keeper), remark: Option<String>) -> Result<(), Error> {
    let found = dewpoint_pages::integrity(writer).map_err(|error| explain(path, &error))?;
    if let Some(problem) = found.first() {
        return Err(damaged(path, problem));
    }
    match remark {
        Some(remark) => tracing::warn!("The store is taken as it is, and SQLite finds nothing wrong with it: {remark}"),
        None => {
            tracing::info!("The store has no checksums yet; SQLite finds nothing wrong with it, and they are made now")
        }
    }
    keeper.adopt(writer).map_err(|error| cannot_open(&sums_beside(path), &error))
}

/// Opens the store in `path` for reading; [`open_checked`] came before.
pub(super) fn open_reader(path: &Path) -> Result<Connection, Error> {
    let connection = connect(path)?;
    let ready = set_up(&connection).and_then(|()| connection.pragma_update(None, "query_only", true));
    ready.map_err(|error| explain(path, &error))?;
    Ok(connection)
}

fn connect(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| explain(path, &error))?;
    connection.busy_timeout(Duration::from_secs(10)).map_err(|error| explain(path, &error))?;
    Ok(connection)
}

fn set_up(connection: &Connection) -> Result<(), rusqlite::Error> {
    // Plans that depend on bound values would be made anew for other values.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -4096)?;
    // Where a savepoint keeps the pages it may have to restore: in memory, not in a file that each closure writes.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Keeper::forbid_copying(connection)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// Makes a store without tables, readable by its owner alone. SQLite gives its log the same mode.
///
/// It appears under its name when its first page is written, so that an empty file is never one that was being made.
fn make(path: &Path) -> Result<(), Error> {
    let new = beside(path, ".new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(cannot_open(&new, &error)),
        Ok(()) | Err(_) => {}
    }
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new);
    let file = file.map_err(|error| cannot_open(path, &error))?;
    let connection = connect(&new)?;
    // One fsync for all of it; the directory's comes with the log's first.
    let made = connection
        .pragma_update(None, "synchronous", "OFF")
        .and_then(|()| connection.pragma_update(None, "journal_mode", "WAL"))
        .and_then(|()| connection.close().map_err(|(_, error)| error));
    made.map_err(|error| explain(path, &error))?;
    file.sync_all().and_then(|()| fs::rename(&new, path)).map_err(|error| cannot_open(path, &error))
}

/// Reads enough to know that this is a store this program can go on with.
pub(super) fn inspect(path: &Path, connection: &Connection, log: bool) -> Result<(), Error> {
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let explain = |error: rusqlite::Error| explain(path, &error);
    let tables = number("SELECT COUNT(*) FROM sqlite_schema").map_err(explain)?;
    let page_size = number("PRAGMA page_size").map_err(explain)?;
    let length = fs::metadata(path).map_err(|error| cannot_open(path, &error))?.len();
    // With a log, a page may be half written: the log has it whole.
    if !log && length % page_size.unsigned_abs() != 0 {
        return Err(damaged(path, "the file ends in the middle of a page"));
    }
    if tables == 0 {
        return Ok(());
    }
    let ours = "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name = 'migrations'";
    if number(ours).map_err(explain)? == 0 {
        return Err(damaged(path, "it is a database of another program"));
    }
    let found = number("SELECT COALESCE(MAX(number), 0) FROM migrations").map_err(explain)?;
    migrate::check(found)
}

/// The file of the same name with `suffix` after it.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn damaged(path: &Path, problem: &str) -> Error {
    Error::Damaged { path: path.into(), problem: problem.into() }
}

fn cannot_open(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Database(format!("cannot open {}: {error}", path.display()))
}

/// Turns SQLite's words for "this is no database" into [`Error::Damaged`]; every error names the file.
pub(super) fn explain(path: &Path, error: &rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => damaged(path, &error.to_string()),
        Some(ErrorCode::DiskFull) => Error::DiskFull,
        _ => cannot_open(path, error),
    }
}
