//! The writing thread: batches in one transaction, conflicts run again, and lost connections asked about.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{
    connection::{Connection, Session},
    transaction::Transaction,
};
use crate::{
    Error,
    db::{Job, Undo},
    feed::{Changes, Feed},
    migrate,
    queue::{self, Jobs},
};

/// How many closures may share one commit: as many subtransactions as PostgreSQL keeps at hand.
const BATCH: usize = 64;
/// How often a batch may run: conflicts are rare, since servers take turns.
const ATTEMPTS: u32 = 10;

/// Begins a turn: the lock comes before the snapshot, which is taken with the transaction's number. `migrations` is locked
/// because it is always there, is never written otherwise, and keeps a newer server's migration out meanwhile.
const BEGIN: &str = "BEGIN ISOLATION LEVEL SERIALIZABLE; LOCK TABLE migrations IN EXCLUSIVE MODE; \
     SELECT pg_current_xact_id()::text; SAVEPOINT one";

/// Any number, as long as it is always the same: "dewpoint" in ASCII.
const MIGRATION_LOCK: i64 = 0x6465_7770_6f69_6e74;

/// Brings the schema up to date, one server at a time. Each statement after the lock sees what the last holder committed.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Error> {
    let mut session = connection.session_at_once()?;
    migrate::run(&mut session, |session, body| {
        session.run(&format!("BEGIN; SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))?;
        let mut transaction = Transaction::new(session);
        let result = body(&mut transaction);
        let result = transaction.end().and(result);
        session.run(if result.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
        result
    })
}

pub(super) fn write_until_closed(connection: &mut Connection, jobs: &Jobs, commits: &AtomicU64, feed: &Feed) {
    while let Some(batch) = queue::next_batch(jobs, BATCH) {
        write(connection, batch, commits, feed);
    }
}

/// Commits what can be kept of the batch and answers every job of it.
fn write(connection: &mut Connection, mut batch: Vec<Box<dyn Job>>, commits: &AtomicU64, feed: &Feed) {
    for attempt in 1..=ATTEMPTS {
        match commit(connection, &mut batch) {
            End::Committed(outcomes, changes) => {
                commits.fetch_add(1, Ordering::Relaxed);
                feed.publish(changes);
                return batch.into_iter().zip(outcomes).for_each(|(job, outcome)| job.answer(outcome));
            }
            End::Undone(_) if attempt < ATTEMPTS => {}
            // One of them may be why: alone it fails alone.
            End::Undone(_) if batch.len() > 1 => {
                return batch.into_iter().for_each(|job| write(connection, vec![job], commits, feed));
            }
            End::Undone(error) | End::Failed(error) => {
                return batch.into_iter().for_each(|job| job.answer(Err(error.clone())));
            }
        }
    }
}

/// What becomes of each closure of a batch, and what those that are kept changed.
type Kept = (Vec<Result<(), Error>>, Vec<Changes>);

/// How a batch ended.
enum End {
    /// It is kept: of each closure all, or nothing and why; and what those that were kept changed.
    Committed(Vec<Result<(), Error>>, Vec<Changes>),
    /// Nothing of it was kept, and running it again may help: it met another transaction, or lost its connection.
    Undone(Error),
    /// Running it again would not help, or might keep it twice.
    Failed(Error),
}

/// Runs the batch in one transaction.
fn commit(connection: &mut Connection, batch: &mut [Box<dyn Job>]) -> End {
    let session = match connection.session() {
        Ok(session) => session,
        Err(error) => return End::Failed(error),
    };
    let transaction = match session.ask(BEGIN) {
        Ok(number) => number.unwrap_or_default(),
        Err(error) => return undo(session, error),
    };
    let (outcomes, changes) = match run_each(session, batch) {
        Ok(outcomes) => outcomes,
        Err(error) => return undo(session, error),
    };
    match session.run("COMMIT") {
        Ok(()) => End::Committed(outcomes, changes),
        Err(_) if session.is_gone() => match was_committed(connection, &transaction) {
            Ok(true) => End::Committed(outcomes, changes),
            Ok(false) => End::Undone(Error::Stopped),
            Err(error) => End::Failed(error),
        },
        Err(error @ Error::Conflict) => End::Undone(error),
        Err(error) => End::Failed(error),
    }
}

/// Runs each closure in a savepoint and returns what becomes of each, and what is changed; an error dooms them all.
fn run_each(session: &mut Session, batch: &mut [Box<dyn Job>]) -> Result<Kept, Error> {
    let (mut outcomes, mut changes) = (Vec::with_capacity(batch.len()), Vec::new());
    let last = batch.len() - 1;
    for (index, job) in batch.iter_mut().enumerate() {
        let mut transaction = Transaction::new(session);
        let run = job.run(&mut transaction);
        let ended = transaction.end();
        match (&run, &ended) {
            // What it read has changed since: so it is for every closure of this snapshot.
            (Err(Undo { conflict: true }), _) | (_, Err(Error::Conflict)) => return Err(Error::Conflict),
            (_, Err(error)) if session.is_gone() => return Err(error.clone()),
            (Ok(()), Ok(_)) if index == last => {}
            (Ok(()), Ok(_)) => session.run("RELEASE one; SAVEPOINT one")?,
            (Err(_), _) | (_, Err(_)) => session.run("ROLLBACK TO one")?,
        }
        outcomes.push(ended.map(|changed| {
            if run.is_ok() {
                changes.push(changed);
            }
        }));
    }
    Ok((outcomes, changes))
}

/// Ends a transaction that `error` broke.
fn undo(session: &mut Session, error: Error) -> End {
    // Without a connection there is nothing to end: PostgreSQL undoes what was not committed.
    if session.is_gone() || session.run("ROLLBACK").is_err() || matches!(error, Error::Conflict) {
        return End::Undone(error);
    }
    End::Failed(error)
}

/// Asks, over a new connection, how a transaction ended whose COMMIT was sent and not answered. The lock is its own, so
/// whoever gets it knows that it has ended.
fn was_committed(connection: &mut Connection, transaction: &str) -> Result<bool, Error> {
    let unknown = |why: &str| {
        Error::Database(format!("the connection was lost at the commit, and whether it was made is not known: {why}"))
    };
    let session = connection.session().map_err(|error| unknown(&error.to_string()))?;
    let sql = format!(
        "BEGIN; SET LOCAL lock_timeout = '30s'; LOCK TABLE migrations IN EXCLUSIVE MODE; \
         SELECT pg_xact_status('{transaction}'::xid8); COMMIT"
    );
    match session.ask(&sql) {
        Ok(Some(status)) if status == "committed" => Ok(true),
        Ok(Some(status)) if status == "aborted" => Ok(false),
        Ok(status) => Err(unknown(&format!("PostgreSQL says {status:?}"))),
        Err(error) => {
            if !session.is_gone() {
                session.run("ROLLBACK")?;
            }
            Err(unknown(&error.to_string()))
        }
    }
}
