//! SQLite: one thread owns the writing connection and lets many closures share a commit; a few threads read snapshots.
//!
//! Closures share a transaction in the hope that none fails; if one does, the batch runs again with a savepoint around each,
//! and so do the next few batches. Nobody is answered before COMMIT succeeded, and if it fails every closure of the batch runs
//! again in a transaction of its own. A full disk inside a savepoint rolls back SQLite's *whole* transaction: after each
//! closure the writer looks whether the outer transaction is still there, and if it is gone does the same.

mod copier;
mod file;
mod inspect;
mod stepped;
mod transaction;

use std::{
    convert::Infallible,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
};

pub use copier::{Copier, Copy};
pub use inspect::Inspection;
use rusqlite::Connection;
pub use stepped::{Fate, Stepper, open_stepped};

use crate::{
    Error,
    db::{Dialect, Job, Store, Tx, Undo},
    feed::{Changes, Feed},
    migrate,
    queue::{self, Jobs, Queues},
};
use transaction::Transaction;

/// How many closures may share one commit.
const BATCH: usize = 256;
/// For how many batches closures run in savepoints after one has failed.
const WARY_FOR: u32 = 16;
/// How many threads read.
const READERS: usize = 2;

/// Opens the store in `path`, making it if it is not there, and brings its schema up to date.
///
/// Fails with [`Error::Damaged`] or [`Error::TooNew`] and then leaves the file as it is. An empty file is damaged, not new:
/// whatever it held is gone, and a store that forgot its Droplets would have their machines removed.
pub fn open(path: &Path) -> Result<Store, Error> {
    let mut opened = open_writer(path)?;
    opened.keeper.go_aside().map_err(|error| Error::Database(format!("cannot start the log's thread: {error}")))?;
    let (queues, to_write, to_read) = Queues::new(Dialect::Sqlite);
    let (commits, feed) = (queues.commits(), queues.told());
    let (reading, readers_ended) = mpsc::channel::<Infallible>();
    queues.spawn("store-writer", move || {
        let mut writer = Writer { opened, commits, feed, wary: 0 };
        while let Some(batch) = queue::next_batch(&to_write, BATCH) {
            // What arrives while it works joins the batch: the commit is what takes long.
            writer.carry_out(batch, &mut |batch| queue::top_up(&to_write, batch, BATCH));
        }
        // The last connection to be closed takes the log away; two that close at once would leave it to each other.
        let _ = readers_ended.recv();
        let file::Opened { writer, keeper } = writer.opened;
        keeper.close(writer);
    })?;
    for _ in 0..READERS {
        let connection = file::open_reader(path)?;
        let (jobs, reading) = (Arc::clone(&to_read), reading.clone());
        queues.spawn("store-reader", move || {
            read_until_closed(&connection, &jobs);
            drop(connection);
            drop(reading);
        })?;
    }
    Ok(Store::new(Arc::new(queues)))
}

/// Copies the store in `path`, as it is at one moment, into a new file; servers may be at work on it. Blocks.
pub fn copy(path: &Path, target: &Path) -> Result<(), Error> {
    dewpoint_pages::copy(path, target).map_err(|error| {
        let full = |error: &std::io::Error| error.kind() == std::io::ErrorKind::StorageFull;
        match error {
            dewpoint_pages::CopyError::Database(error) => file::explain(target, &error),
            dewpoint_pages::CopyError::File(error) if full(&error) => Error::DiskFull,
            error => Error::Database(format!("cannot copy {}: {error}", path.display())),
        }
    })
}

/// The writing connection, its schema up to date.
fn open_writer(path: &Path) -> Result<file::Opened, Error> {
    let mut opened = file::open_checked(path)?;
    migrate::run(&mut opened.writer, |writer, body| in_transaction(writer, body).map(drop))?;
    opened.writer.flush_prepared_statement_cache();
    Ok(opened)
}

/// Closures that share a commit.
type Batch = Vec<Box<dyn Job>>;

/// Who owns the writing connection.
struct Writer {
    opened: file::Opened,
    commits: Arc<AtomicU64>,
    feed: Arc<Feed>,
    /// For how many batches closures still run in savepoints.
    wary: u32,
}

impl Writer {
    /// Carries out a batch, to which `top_up` adds what has come meanwhile, and answers each of its jobs.
    fn carry_out(&mut self, mut batch: Batch, top_up: &mut dyn FnMut(&mut Batch)) {
        let connection = &self.opened.writer;
        let mut together = match self.wary {
            0 => run_bare(connection, &mut batch, top_up),
            _ => Together::OneFailed,
        };
        self.wary = self.wary.saturating_sub(1);
        if matches!(together, Together::OneFailed) {
            together = run_guarded(connection, &mut batch);
            self.wary = if self.wary == 0 { WARY_FOR } else { self.wary };
        }
        match together {
            Together::Committed(outcomes, changes) => {
                self.commits.fetch_add(1, Ordering::Relaxed);
                self.feed.publish(changes);
                batch.into_iter().zip(outcomes).for_each(|(job, outcome)| job.answer(outcome));
            }
            Together::OneFailed | Together::Lost => {
                for mut job in batch {
                    let outcome = in_transaction(connection, &mut |tx| {
                        // The closure's own error is in its own result and goes before this one.
                        job.run(tx).map_err(|Undo { .. }| Error::Stopped)
                    });
                    self.commits.fetch_add(outcome.is_ok().into(), Ordering::Relaxed);
                    let outcome = outcome.map(|changes| self.feed.publish(vec![changes]));
                    job.answer(outcome);
                }
            }
        }
        // Answered first: nobody waits for this.
        self.opened.keeper.after_commit(connection);
    }
}

enum Together {
    /// What was kept of each closure: all of it, or nothing and why; and what those that were kept changed.
    Committed(Vec<Result<(), Error>>, Vec<Changes>),
    /// A closure failed and took the others' work with it; nothing was kept.
    OneFailed,
    /// The shared transaction is gone; every closure of the batch must run again, alone.
    Lost,
}

fn run(connection: &Connection, sql: &str) -> bool {
    connection.prepare_cached(sql).and_then(|mut statement| statement.execute([])).is_ok()
}

fn give_up(connection: &Connection) -> Together {
    if !connection.is_autocommit() {
        run(connection, "ROLLBACK");
    }
    Together::Lost
}

/// Runs a batch in the hope that no closure fails, which is how nearly all go: without savepoints, each of which would
/// copy every page its closure touches.
fn run_bare(connection: &Connection, batch: &mut Batch, top_up: &mut dyn FnMut(&mut Batch)) -> Together {
    if !run(connection, "BEGIN IMMEDIATE") {
        return Together::Lost;
    }
    let (mut next, mut changes) = (0, Vec::new());
    while let Some(job) = batch.get_mut(next) {
        let mut transaction = Transaction::new(connection);
        let undo = job.run(&mut transaction).is_err();
        let ended = transaction.end();
        next += 1;
        if next == batch.len() {
            top_up(batch);
        }
        match ended {
            Ok(changed) if !undo => changes.push(changed),
            Ok(_) | Err(_) if !connection.is_autocommit() && !run(connection, "ROLLBACK") => return Together::Lost,
            Ok(_) | Err(_) => return Together::OneFailed,
        }
    }
    if run(connection, "COMMIT") {
        return Together::Committed(batch.iter().map(|_| Ok(())).collect(), changes);
    }
    give_up(connection)
}

/// Runs a batch with a savepoint around each closure, so that one that fails takes only its own work with it.
fn run_guarded(connection: &Connection, batch: &mut [Box<dyn Job>]) -> Together {
    if !run(connection, "BEGIN IMMEDIATE") {
        return Together::Lost;
    }
    let (mut outcomes, mut changes) = (Vec::with_capacity(batch.len()), Vec::new());
    for job in batch.iter_mut() {
        // A savepoint that could not be opened or closed leaves the batch half run: then COMMIT must not happen.
        if !run(connection, "SAVEPOINT one") {
            return give_up(connection);
        }
        let mut transaction = Transaction::new(connection);
        let undo = job.run(&mut transaction).is_err();
        let ended = transaction.end();
        if connection.is_autocommit() {
            return Together::Lost;
        }
        let kept = !undo && ended.is_ok();
        if !(kept || run(connection, "ROLLBACK TO one")) || !run(connection, "RELEASE one") {
            return give_up(connection);
        }
        outcomes.push(ended.map(|changed| {
            if kept {
                changes.push(changed);
            }
        }));
    }
    if run(connection, "COMMIT") { Together::Committed(outcomes, changes) } else { give_up(connection) }
}

/// Runs `body` in a transaction of its own: all of it is kept, or nothing. What it changed.
fn in_transaction(
    connection: &Connection,
    body: &mut dyn FnMut(&mut dyn Tx) -> Result<(), Error>,
) -> Result<Changes, Error> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let mut transaction = Transaction::new(connection);
    let result = body(&mut transaction);
    let result = transaction.end().and_then(|changes| result.map(|()| changes));
    let ended = result.and_then(|changes| Ok(connection.execute_batch("COMMIT").map(|()| changes)?));
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
    let ended = transaction.end();
    if !connection.is_autocommit() {
        connection.prepare_cached("ROLLBACK")?.execute([])?;
    }
    ended.map(drop)
}
