//! A store without threads: jobs wait until somebody has them carried out, in the order and with the luck that somebody
//! chooses. The transactions are those of [`open`](super::open), on the same file. For simulations that can be repeated.
//!
//! A process that dies loses what was not committed, and nothing else: to have it die, drop the [`Stepper`] between two steps.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::Connection;

use super::{Batch, Transaction, Writer, file, open_writer, read_once};
use crate::{
    Error,
    db::{Dialect, Job, Store, Tx},
    queue::{Jobs, Queues},
};

/// How a step goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// As it should.
    Good,
    /// The database refuses: nothing is done, and everybody is told.
    Refused,
    /// The disk has room for so many pages more, and is full then, for as long as this step lasts.
    Full {
        /// Pages of 4 KiB.
        pages_left: u32,
    },
}

/// Opens the store in `path` as [`open`](super::open) does, for someone who steps it.
///
/// Nothing is synced: the file outlives this process, and a power cut is not what is simulated.
pub fn open_stepped(path: &Path) -> Result<(Store, Stepper), Error> {
    let opened = open_writer(path)?;
    opened.writer.pragma_update(None, "synchronous", "OFF")?;
    let reader = file::open_reader(path)?;
    let (queues, to_write, to_read) = Queues::new(Dialect::Sqlite);
    let writer = Writer { opened, commits: queues.commits(), feed: queues.told(), wary: 0 };
    let stepper = Stepper { writer, reader, to_write, to_read, writes: VecDeque::new(), reads: VecDeque::new() };
    Ok((Store::new(Arc::new(queues)), stepper))
}

/// Carries out the jobs of a stepped store.
pub struct Stepper {
    writer: Writer,
    reader: Connection,
    to_write: Jobs,
    to_read: Arc<Mutex<Jobs>>,
    writes: VecDeque<Box<dyn Job>>,
    reads: VecDeque<Box<dyn Job>>,
}

impl std::fmt::Debug for Stepper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (writes, reads) = (self.writes.len(), self.reads.len());
        f.debug_struct("Stepper").field("writes", &writes).field("reads", &reads).finish_non_exhaustive()
    }
}

impl Stepper {
    /// How many writes and how many reads wait.
    pub fn waiting(&mut self) -> (usize, usize) {
        self.writes.extend(self.to_write.try_iter());
        self.reads.extend(self.to_read.lock().unwrap_or_else(PoisonError::into_inner).try_iter());
        (self.writes.len(), self.reads.len())
    }

    /// Carries out up to `most` of the writes that wait, oldest first, in the hope of one transaction for all.
    ///
    /// Answers whether they met what `fate` had for them: a disk that is nearly full is not always noticed.
    pub fn write(&mut self, most: usize, fate: Fate) -> Result<bool, Error> {
        let waiting = self.waiting().0;
        let batch: Batch = self.writes.drain(..most.min(waiting)).collect();
        match fate {
            Fate::Good => self.writer.carry_out(batch, &mut |_| {}),
            Fate::Refused => batch.into_iter().for_each(|job| job.answer(Err(refused()))),
            Fate::Full { pages_left } => {
                let connection = &self.writer.opened.writer;
                let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
                limit(connection, pages + i64::from(pages_left))?;
                let met = Arc::new(Mutex::new(false));
                let watched =
                    batch.into_iter().map(|job| Box::new(Watched { job, met: Arc::clone(&met) }) as Box<dyn Job>);
                self.writer.carry_out(watched.collect(), &mut |_| {});
                limit(&self.writer.opened.writer, i64::from(u32::MAX - 1))?;
                let met = *met.lock().unwrap_or_else(PoisonError::into_inner);
                return Ok(met);
            }
        }
        Ok(true)
    }

    /// Carries out the read that has waited longest.
    pub fn read(&mut self, fate: Fate) {
        self.waiting();
        let Some(mut job) = self.reads.pop_front() else { return };
        let outcome = match fate {
            Fate::Good | Fate::Full { .. } => read_once(&self.reader, job.as_mut()),
            Fate::Refused => Err(refused()),
        };
        job.answer(outcome);
    }

    /// Looks into the store behind everybody's back, at what is committed.
    pub fn look<T>(&mut self, look: impl FnOnce(&mut dyn Tx) -> Result<T, Error>) -> Result<T, Error> {
        look(&mut Transaction::new(&self.reader))
    }
}

fn refused() -> Error {
    Error::Database("refused, as was ordered".to_owned())
}

fn limit(connection: &Connection, pages: i64) -> Result<(), Error> {
    Ok(connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?)
}

/// A job whose failure by a full disk is noted.
struct Watched {
    job: Box<dyn Job>,
    met: Arc<Mutex<bool>>,
}

impl Job for Watched {
    fn run(&mut self, tx: &mut dyn Tx) -> Result<(), crate::db::Undo> {
        let outcome = self.job.run(tx);
        // A statement that the full disk refused is refused again, and says why.
        if outcome.is_err() && matches!(tx.execute("SELECT 1", &[]), Err(Error::DiskFull)) {
            *self.met.lock().unwrap_or_else(PoisonError::into_inner) = true;
        }
        outcome
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        if matches!(committed, Err(Error::DiskFull)) {
            *self.met.lock().unwrap_or_else(PoisonError::into_inner) = true;
        }
        self.job.answer(committed);
    }
}
