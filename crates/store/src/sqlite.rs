//! SQLite: one thread owns the writing connection and lets many closures share a commit; a few threads read snapshots.
//!
//! Each closure runs in a savepoint. Nobody is answered before COMMIT succeeded, and if it fails every closure of the batch
//! runs again in a transaction of its own. A full disk inside a savepoint rolls back SQLite's *whole* transaction: after each
//! closure the writer looks whether the outer transaction is still there, and if it is gone does the same.

mod file;
mod transaction;

use std::{
    fmt,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

use rusqlite::Connection;

use crate::{
    Error,
    db::{Backend, Dialect, Job, Store, Tx, Undo},
    migrate,
};
use transaction::Transaction;

/// How many closures may share one commit.
const BATCH: usize = 64;
/// How many threads read.
const READERS: usize = 2;

/// Opens the store in `path`, making it if it is not there, and brings its schema up to date.
///
/// Fails with [`Error::Damaged`] or [`Error::TooNew`] and then leaves the file as it is. An empty file is damaged, not new:
/// whatever it held is gone, and a store that forgot its Droplets would have their machines removed.
pub fn open(path: &Path) -> Result<Store, Error> {
    let mut writer = file::open_checked(path)?;
    migrate::run(&mut writer, |writer, body| in_transaction(writer, body))?;
    writer.flush_prepared_statement_cache();

    let commits = Arc::new(AtomicU64::new(0));
    let (write, jobs) = mpsc::channel();
    let counter = Arc::clone(&commits);
    spawn("store-writer", move || write_until_closed(&writer, &jobs, &counter))?;

    let (read, jobs) = mpsc::channel();
    let jobs = Arc::new(Mutex::new(jobs));
    for _ in 0..READERS {
        let connection = file::open_reader(path)?;
        let jobs = Arc::clone(&jobs);
        spawn("store-reader", move || read_until_closed(&connection, &jobs))?;
    }
    Ok(Store::new(Arc::new(Sqlite { write, read, commits })))
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let thread = thread::Builder::new().name(name.into()).spawn(body);
    thread.map(drop).map_err(|error| Error::Database(format!("cannot start a thread: {error}")))
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

fn write_until_closed(connection: &Connection, jobs: &mpsc::Receiver<Box<dyn Job>>, commits: &AtomicU64) {
    while let Ok(first) = jobs.recv() {
        let mut batch = vec![first];
        batch.extend(jobs.try_iter().take(BATCH - 1));
        match run_together(connection, &mut batch) {
            Together::Committed(outcomes) => {
                commits.fetch_add(1, Ordering::Relaxed);
                batch.into_iter().zip(outcomes).for_each(|(job, outcome)| job.answer(outcome));
            }
            Together::Lost => {
                for mut job in batch {
                    let outcome = in_transaction(connection, &mut |tx| {
                        // The closure's own error is in its own result and goes before this one.
                        job.run(tx).map_err(|Undo { .. }| Error::Stopped)
                    });
                    commits.fetch_add(outcome.is_ok().into(), Ordering::Relaxed);
                    job.answer(outcome);
                }
            }
        }
    }
}

enum Together {
    /// What was kept of each closure: all of it, or nothing and why.
    Committed(Vec<Result<(), Error>>),
    /// The shared transaction is gone; every closure of the batch must run again, alone.
    Lost,
}

fn run_together(connection: &Connection, batch: &mut [Box<dyn Job>]) -> Together {
    let run = |sql: &str| connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
    if run("BEGIN IMMEDIATE").is_err() {
        return Together::Lost;
    }
    let mut outcomes = Vec::with_capacity(batch.len());
    // A savepoint that could not be opened or closed leaves the batch half run: then COMMIT must not happen.
    let mut whole = true;
    for job in batch.iter_mut() {
        whole = run("SAVEPOINT one").is_ok();
        if !whole {
            break;
        }
        let mut transaction = Transaction::new(connection);
        let undo = job.run(&mut transaction).is_err();
        let failed = transaction.into_failed();
        if connection.is_autocommit() {
            return Together::Lost;
        }
        let ended = if undo || failed.is_some() {
            run("ROLLBACK TO one").and_then(|_| run("RELEASE one"))
        } else {
            run("RELEASE one")
        };
        outcomes.push(failed.map_or(Ok(()), Err));
        whole = ended.is_ok();
        if !whole {
            break;
        }
    }
    if whole && run("COMMIT").is_ok() {
        return Together::Committed(outcomes);
    }
    if !connection.is_autocommit() {
        let _ = run("ROLLBACK");
    }
    Together::Lost
}

/// Runs `body` in a transaction of its own: all of it is kept, or nothing.
fn in_transaction(
    connection: &Connection,
    body: &mut dyn FnMut(&mut dyn Tx) -> Result<(), Error>,
) -> Result<(), Error> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let mut transaction = Transaction::new(connection);
    let result = body(&mut transaction);
    let result = transaction.into_failed().map_or(result, Err);
    let ended = result.and_then(|()| Ok(connection.execute_batch("COMMIT")?));
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
        let outcome = read_once(connection, job.as_mut());
        job.answer(outcome);
    }
}

fn read_once(connection: &Connection, job: &mut dyn Job) -> Result<(), Error> {
    connection.prepare_cached("BEGIN")?.execute([])?;
    let mut transaction = Transaction::new(connection);
    // Whether the closure failed is in its own result; the snapshot ends either way.
    let _ = job.run(&mut transaction);
    let failed = transaction.into_failed();
    if !connection.is_autocommit() {
        connection.prepare_cached("ROLLBACK")?.execute([])?;
    }
    failed.map_or(Ok(()), Err)
}
