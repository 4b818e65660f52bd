//! The queues between callers and the threads that own the connections.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

use dewpoint_pages::{Alive, Closing};

use crate::{
    Error,
    db::{Backend, Dialect, Job},
    feed::Feed,
};

/// Where a thread takes its jobs from.
pub(crate) type Jobs = mpsc::Receiver<Box<dyn Job>>;

/// A database behind two queues: one to its writer, one shared by its readers. The threads end when it is dropped and
/// their queues are empty.
pub(crate) struct Queues {
    dialect: Dialect,
    write: mpsc::Sender<Box<dyn Job>>,
    read: mpsc::Sender<Box<dyn Job>>,
    commits: Arc<AtomicU64>,
    /// Every thread has a clone for as long as it runs.
    alive: Alive,
    closing: Closing,
    feed: Arc<Feed>,
}

impl Queues {
    /// The queues, the writer's end, and the end that readers share.
    pub(crate) fn new(dialect: Dialect) -> (Self, Jobs, Arc<Mutex<Jobs>>) {
        let (write, to_write) = mpsc::channel();
        let (read, to_read) = mpsc::channel();
        let (alive, closing) = Closing::new();
        let (commits, feed) = (Arc::default(), Arc::default());
        let queues = Self { dialect, write, read, commits, alive, closing, feed };
        (queues, to_write, Arc::new(Mutex::new(to_read)))
    }

    /// Where the writer counts its commits.
    pub(crate) fn commits(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.commits)
    }

    /// Where the writer tells what it committed.
    pub(crate) fn told(&self) -> Arc<Feed> {
        Arc::clone(&self.feed)
    }

    /// Starts a thread of the store.
    pub(crate) fn spawn(&self, name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        let alive = self.alive.clone();
        let thread = thread::Builder::new().name(name.into()).spawn(move || {
            body();
            drop(alive);
        });
        thread.map(drop).map_err(|error| Error::Database(format!("cannot start a thread: {error}")))
    }
}

impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queues").field("dialect", &self.dialect).field("commits", &self.commits).finish_non_exhaustive()
    }
}

impl Backend for Queues {
    fn dialect(&self) -> Dialect {
        self.dialect
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

    fn closing(&self) -> Closing {
        self.closing.clone()
    }

    fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }
}

/// Waits for a job and takes with it what waits behind it, `most` in all; `None` when nobody can send any more.
pub(crate) fn next_batch(jobs: &Jobs, most: usize) -> Option<Vec<Box<dyn Job>>> {
    let mut batch = vec![jobs.recv().ok()?];
    top_up(jobs, &mut batch, most);
    Some(batch)
}

/// Adds what waits by now to a batch, up to `most` in all.
pub(crate) fn top_up(jobs: &Jobs, batch: &mut Vec<Box<dyn Job>>, most: usize) {
    batch.extend(jobs.try_iter().take(most.saturating_sub(batch.len())));
}

/// Waits for a job of a shared queue; `None` when nobody can send any more.
pub(crate) fn next_shared(jobs: &Mutex<Jobs>) -> Option<Box<dyn Job>> {
    // The lock is held while waiting, never while working: the next thread then waits in its place.
    jobs.lock().ok()?.recv().ok()
}
