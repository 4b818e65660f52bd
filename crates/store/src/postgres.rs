//! PostgreSQL: several servers on one store. Each thread has a client of its own, which lives and dies on it.
//!
//! One thread writes, and lets many closures share a commit as SQLite does: nearly every write draws a number or counts a
//! list, so writers side by side would only wait for each other's rows and then fail to serialise. Servers on one store take
//! turns by a lock on a table, taken before the transaction's snapshot; SERIALIZABLE guards against whoever does not.
//!
//! Nobody is answered before COMMIT succeeded. When the connection is lost at COMMIT, the next connection asks PostgreSQL
//! how that transaction ended; only if it cannot tell is the caller given an error for what may have been kept.
//! The connection is not encrypted: use a Unix socket, a private network, or a tunnel.

mod connection;
mod transaction;
mod writer;

use std::sync::{Arc, Mutex, mpsc};

use crate::{
    Error,
    db::{Dialect, Job, Store},
    queue::{self, Jobs, Queues},
};
use connection::Connection;
use transaction::Transaction;
pub(crate) use transaction::cell;

/// How many threads read.
const READERS: usize = 2;

/// Opens the store in the database that `url` names and brings its schema up to date.
///
/// `url` is a `postgresql://` URL or a libpq `key=value` line. Fails with [`Error::TooNew`] for a newer program's store, and
/// with [`Error::Database`] when the server cannot be reached. Blocks until the schema is up to date, also while another
/// server brings it there.
pub fn open(url: &str) -> Result<Store, Error> {
    let connection = Connection::new(url)?;
    let (queues, to_write, to_read) = Queues::new(Dialect::Postgres);

    let (migrated, outcome) = mpsc::channel();
    let (mut writer, commits, feed) = (connection.another(), queues.commits(), queues.told());
    queues.spawn("store-writer", move || {
        let ready = writer::migrate(&mut writer);
        let failed = ready.is_err();
        // The opener waits for this; if it is gone there is nothing to write either.
        if migrated.send(ready).is_ok() && !failed {
            writer::write_until_closed(&mut writer, &to_write, &commits, &feed);
        }
    })?;
    outcome.recv().map_err(|_| Error::Stopped)??;

    for _ in 0..READERS {
        let (mut reader, jobs) = (connection.another(), Arc::clone(&to_read));
        queues.spawn("store-reader", move || read_until_closed(&mut reader, &jobs))?;
    }
    Ok(Store::new(Arc::new(queues)))
}

fn read_until_closed(connection: &mut Connection, jobs: &Mutex<Jobs>) {
    while let Some(mut job) = queue::next_shared(jobs) {
        let mut outcome = read_once(connection, job.as_mut());
        if outcome.is_err() && connection.is_lost() {
            // A connection may have been idle for long, and lost in the meantime; a read can always run again.
            outcome = read_once(connection, job.as_mut());
        }
        job.answer(outcome);
    }
}

fn read_once(connection: &mut Connection, job: &mut dyn Job) -> Result<(), Error> {
    let session = connection.session()?;
    session.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    let mut transaction = Transaction::new(session);
    // Whether the closure failed is in its own result; the snapshot ends either way.
    let _ = job.run(&mut transaction);
    let ended = transaction.end();
    session.run("ROLLBACK")?;
    ended.map(drop)
}
