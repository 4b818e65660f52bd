//! SQLite: one thread owns the writing connection and lets many closures share a commit; a few threads read snapshots.
//!
//! Each closure runs in a savepoint. Nobody is answered before COMMIT succeeded, and if it fails all get the error. A full
//! disk inside a savepoint rolls back SQLite's *whole* transaction: after each closure the writer looks whether the outer
//! transaction is still there, and if it is gone runs the batch again, one transaction each.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

use rusqlite::{Connection, OpenFlags, types::ToSqlOutput};

use crate::{
    Error,
    db::{Backend, Dialect, Job, Store, Tx, Undo},
    migrate,
    row::Row,
    value::Value,
};

/// How many closures may share one commit.
const BATCH: usize = 64;
/// How many threads read.
const READERS: usize = 2;
/// Statements kept prepared per connection; more than there are texts.
const STATEMENTS: usize = 256;

/// Opens the store in `path`, making it if it is not there, and brings its schema up to date.
///
/// Fails with [`Error::Damaged`] or [`Error::TooNew`] and then leaves the file as it is.
pub fn open(path: &Path) -> Result<Store, Error> {
    let mut writer = connect(path)?;
    migrate::run(&mut Transaction { connection: &writer }, |tx, body| in_transaction(tx.connection, body))
        .map_err(|error| explain(path, error))?;
    writer.flush_prepared_statement_cache();

    let commits = Arc::new(AtomicU64::new(0));
    let (write, jobs) = mpsc::channel();
    let counter = Arc::clone(&commits);
    spawn("store-writer", move || write_until_closed(&mut writer, &jobs, &counter))?;

    let (read, jobs) = mpsc::channel();
    let jobs = Arc::new(Mutex::new(jobs));
    for _ in 0..READERS {
        let connection = connect(path)?;
        connection.pragma_update(None, "query_only", true)?;
        let jobs = Arc::clone(&jobs);
        spawn("store-reader", move || read_until_closed(&connection, &jobs))?;
    }
    Ok(Store::new(Arc::new(Sqlite { write, read, commits })))
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let thread = thread::Builder::new().name(name.into()).spawn(body);
    thread.map(drop).map_err(|error| Error::Database(format!("cannot start a thread: {error}")))
}

fn connect(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| explain(path, error.into()))?;
    let set_up = || -> Result<(), rusqlite::Error> {
        connection.busy_timeout(std::time::Duration::from_secs(10))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "cache_size", -4096)?;
        connection.pragma_update(None, "wal_autocheckpoint", 4000)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(())
    };
    set_up().map_err(|error| explain(path, error.into()))?;
    Ok(connection)
}

/// Turns SQLite's words for "this is no database" into [`Error::Damaged`], which names the file.
fn explain(path: &Path, error: Error) -> Error {
    match error {
        Error::Database(problem) => Error::Damaged { path: PathBuf::from(path), problem },
        other => other,
    }
}

struct Sqlite {
    write: mpsc::Sender<Box<dyn Job>>,
    read: mpsc::Sender<Box<dyn Job>>,
    commits: Arc<AtomicU64>,
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite").field("commits", &self.commits).finish_non_exhaustive()
    }
}

impl Backend for Sqlite {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn write(&self, job: Box<dyn Job>) {
        // A job that cannot be sent is dropped, and its caller told `Stopped`.
        let _ = self.write.send(job);
    }

    fn read(&self, job: Box<dyn Job>) {
        let _ = self.read.send(job);
    }

    fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }
}

fn write_until_closed(connection: &mut Connection, jobs: &mpsc::Receiver<Box<dyn Job>>, commits: &AtomicU64) {
    while let Ok(first) = jobs.recv() {
        let mut batch = vec![first];
        batch.extend(jobs.try_iter().take(BATCH - 1));
        match run_together(connection, &mut batch) {
            Together::Committed => {
                commits.fetch_add(1, Ordering::Relaxed);
                batch.into_iter().for_each(|job| job.answer(Ok(())));
            }
            Together::Lost => {
                for mut job in batch {
                    let outcome = in_transaction(connection, |tx| match job.run(tx) {
                        Ok(()) => Ok(()),
                        Err(Undo { .. }) => Err(Error::Stopped),
                    });
                    commits.fetch_add(1, Ordering::Relaxed);
                    job.answer(outcome);
                }
            }
        }
    }
}

enum Together {
    Committed,
    /// The shared transaction is gone; every closure of the batch must run again, alone.
    Lost,
}

fn run_together(connection: &Connection, batch: &mut [Box<dyn Job>]) -> Together {
    let begin = |sql: &str| connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
    if begin("BEGIN IMMEDIATE").is_err() {
        return Together::Lost;
    }
    // A savepoint that could not be opened or closed leaves the batch half run: then COMMIT must not happen.
    let mut whole = true;
    for job in batch.iter_mut() {
        whole = begin("SAVEPOINT one").is_ok();
        if !whole {
            break;
        }
        let outcome = job.run(&mut Transaction { connection });
        if connection.is_autocommit() {
            return Together::Lost;
        }
        let ended = match outcome {
            Ok(()) => begin("RELEASE one"),
            Err(Undo { .. }) => begin("ROLLBACK TO one").and_then(|_| begin("RELEASE one")),
        };
        whole = ended.is_ok();
        if !whole {
            break;
        }
    }
    if whole && begin("COMMIT").is_ok() {
        return Together::Committed;
    }
    if !connection.is_autocommit() {
        let _ = begin("ROLLBACK");
    }
    Together::Lost
}

/// Runs `body` in a transaction of its own: all of it is kept, or nothing.
fn in_transaction<T>(connection: &Connection, body: impl FnOnce(&mut dyn Tx) -> Result<T, Error>) -> Result<T, Error> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let result = body(&mut Transaction { connection });
    let ended = match result {
        Ok(value) => connection.execute_batch("COMMIT").map(|()| value).map_err(Error::from),
        Err(error) => Err(error),
    };
    if ended.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    ended
}

fn read_until_closed(connection: &Connection, jobs: &Mutex<mpsc::Receiver<Box<dyn Job>>>) {
    loop {
        // The lock is held while waiting, never while reading: the next reader then waits in its place.
        let job = match jobs.lock() {
            Ok(jobs) => jobs.recv(),
            Err(_) => return,
        };
        let Ok(mut job) = job else { return };
        let outcome = (|| -> Result<(), Error> {
            connection.prepare_cached("BEGIN")?.execute([])?;
            // Whether the closure failed is in its own result; the snapshot ends either way.
            let _ = job.run(&mut Transaction { connection });
            if !connection.is_autocommit() {
                connection.prepare_cached("ROLLBACK")?.execute([])?;
            }
            Ok(())
        })();
        job.answer(outcome);
    }
}

pub(crate) struct Transaction<'c> {
    connection: &'c Connection,
}

impl Transaction<'_> {
    /// Binds by the number in `$n`: SQLite itself would number such parameters by first appearance.
    fn bind(statement: &mut rusqlite::Statement<'_>, values: &[Value<'_>]) -> Result<(), Error> {
        for index in 1..=statement.parameter_count() {
            let name = statement.parameter_name(index).unwrap_or_default();
            let number: Option<usize> = name.strip_prefix('$').and_then(|digits| digits.parse().ok());
            let value = number.and_then(|number| values.get(number.checked_sub(1)?));
            let value = value.ok_or_else(|| Error::Database(format!("no value for parameter {name:?}")))?;
            statement.raw_bind_parameter(index, value)?;
        }
        Ok(())
    }
}

impl Tx for Transaction<'_> {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, Error> {
        let mut statement = self.connection.prepare_cached(sql)?;
        Self::bind(&mut statement, values)?;
        Ok(statement.raw_execute().map(|changed| changed as u64)?)
    }

    fn query_each(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&mut Row<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut statement = self.connection.prepare_cached(sql)?;
        Self::bind(&mut statement, values)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            each(&mut Row::sqlite(row))?;
        }
        Ok(())
    }
}

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        use rusqlite::types::{Value as Own, ValueRef};
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Own::Null),
            Self::Int(value) => ToSqlOutput::Owned(Own::Integer(*value)),
            Self::Real(value) => ToSqlOutput::Owned(Own::Real(*value)),
            Self::Bool(value) => ToSqlOutput::Owned(Own::Integer((*value).into())),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Owned(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}
