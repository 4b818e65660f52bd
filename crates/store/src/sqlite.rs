//! SQLite: one thread owns the writing connection and lets many closures share a commit; a few threads read snapshots.
//!
//! Each closure runs in a savepoint. Nobody is answered before COMMIT succeeded, and if it fails every closure of the batch
//! runs again in a transaction of its own. A full disk inside a savepoint rolls back SQLite's *whole* transaction: after each
//! closure the writer looks whether the outer transaction is still there, and if it is gone does the same.

mod file;
mod transaction;

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use rusqlite::Connection;

use crate::{
    Error,
    db::{Dialect, Job, Store, Tx, Undo},
    migrate,
    queue::{self, Jobs, Queues},
};
use transaction::Transaction;

/// How many closures may share one commit.
const BATCH: usize = 256;
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

    let (queues, to_write, to_read) = Queues::new(Dialect::Sqlite);
    let commits = queues.commits();
    queues.spawn("store-writer", move || write_until_closed(&writer, &to_write, &commits))?;
    for _ in 0..READERS {
        let connection = file::open_reader(path)?;
        let jobs = Arc::clone(&to_read);
        queues.spawn("store-reader", move || read_until_closed(&connection, &jobs))?;
    }
    Ok(Store::new(Arc::new(queues)))
}

fn write_until_closed(connection: &Connection, jobs: &Jobs, commits: &AtomicU64) {
    while let Some(mut batch) = queue::next_batch(jobs, BATCH) {
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

fn read_until_closed(connection: &Connection, jobs: &Mutex<Jobs>) {
    while let Some(mut job) = queue::next_shared(jobs) {
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
