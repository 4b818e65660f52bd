//! A request that is carried out at most once, as the store sees it: its write also keeps what it made.
//!
//! The server runs a handler inside [`Deed::scope`]; the one [`Store::write`](crate::Store::write) the handler makes finds
//! the deed there, so no handler has to know of it. The deed outlives a handler whose client left: it ends when the write
//! that was sent is answered, or when it is certain that none will be.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Semaphore;

use crate::{Claim, Error, Made, Tx, Untold, db::Dialect, feed::Changes, once, row::Row, untold, value::Value};

tokio::task_local! {
    static CURRENT: Deed;
}

/// A request that may have an effect, from its beginning to the end of its transaction. Clones are the same deed.
#[derive(Clone, Debug)]
pub struct Deed(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    claim: Option<Claim>,
    untold: Option<Untold>,
    progress: Arc<Mutex<Progress>>,
    /// Has no permits, and is closed with the last clone: then the deed is over. Those who wait are woken in their order.
    over: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Progress {
    /// What the transaction made when it ran last.
    staged: Vec<Made>,
    committed: bool,
    /// Whether its commit failed in a way that leaves open whether it was made.
    uncertain: bool,
    repeated: bool,
}

/// What will have become of a deed. Keeps nothing of it alive.
#[derive(Clone, Debug)]
pub struct Ending {
    progress: Arc<Mutex<Progress>>,
    over: Arc<Semaphore>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.over.close();
    }
}

fn lock(progress: &Mutex<Progress>) -> MutexGuard<'_, Progress> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Deed {
    /// A deed nobody else may do, if it has a claim; without one it only notes what it makes.
    pub fn new(claim: Option<Claim>) -> Self {
        Self::of(claim, None)
    }

    /// A deed that others may do as well, which a successor of this server knows of.
    pub fn untold(request: Untold) -> Self {
        Self::of(None, Some(request))
    }

    fn of(claim: Option<Claim>, untold: Option<Untold>) -> Self {
        Self(Arc::new(Inner { claim, untold, progress: Arc::default(), over: Arc::new(Semaphore::new(0)) }))
    }

    /// Runs `handler` so that its write belongs to this deed. Tasks it spawns do not.
    pub async fn scope<F: Future>(&self, handler: F) -> F::Output {
        CURRENT.scope(self.clone(), handler).await
    }

    /// What will have become of it.
    pub fn ending(&self) -> Ending {
        Ending { progress: Arc::clone(&self.0.progress), over: Arc::clone(&self.0.over) }
    }

    /// What it made, once that is durable.
    pub fn made(&self) -> Option<Vec<Made>> {
        made(&self.0.progress)
    }

    /// Whether nobody knows if it was done: its commit was sent to the database, which did not say what became of it.
    pub fn is_uncertain(&self) -> bool {
        lock(&self.0.progress).uncertain
    }

    /// Whether its write was refused because another request has done the same already.
    pub fn is_repeated(&self) -> bool {
        lock(&self.0.progress).repeated
    }

    /// The deed this task is in.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Runs the closure of a write, and keeps in the same transaction that it was done and what it made.
    pub(crate) fn carry_out<T, E: From<Error>>(
        &self,
        tx: &mut dyn Tx,
        work: &mut dyn FnMut(&mut dyn Tx) -> Result<T, E>,
    ) -> Result<T, E> {
        // A handler makes one write; of one that makes two, the first is the one that is done once.
        if lock(&self.0.progress).committed {
            return work(tx);
        }
        if let Some(claim) = &self.0.claim
            && let Err(error) = once::once_claim(tx, claim)
        {
            lock(&self.0.progress).repeated = matches!(error, Error::Repeated);
            return Err(E::from(error));
        }
        let mut noting = Noting { tx, made: Vec::new() };
        let value = work(&mut noting)?;
        let made = noting.made;
        if let Some(claim) = &self.0.claim {
            once::once_insert(tx, claim, &made)?;
        }
        if let Some(request) = &self.0.untold {
            untold::untold_put(tx, request, &made)?;
        }
        lock(&self.0.progress).staged = made;
        Ok(value)
    }

    /// The transaction is durable.
    pub(crate) fn committed(&self) {
        lock(&self.0.progress).committed = true;
    }

    /// The transaction could not be made durable, for this reason.
    pub(crate) fn failed_to_commit(&self, error: &Error) {
        let undone = matches!(error, Error::DiskFull | Error::Conflict | Error::Duplicate | Error::Repeated);
        lock(&self.0.progress).uncertain |= !undone;
    }
}

fn made(progress: &Mutex<Progress>) -> Option<Vec<Made>> {
    let progress = lock(progress);
    progress.committed.then(|| progress.staged.clone())
}

impl Ending {
    /// That of a deed which was done before, by whomever.
    pub fn done(made: Vec<Made>) -> Self {
        let progress = Arc::new(Mutex::new(Progress { staged: made, committed: true, ..Progress::default() }));
        let over = Arc::new(Semaphore::new(0));
        over.close();
        Self { progress, over }
    }

    /// Waits until the deed is over; what it made, or `None` when it had no effect.
    pub async fn wait(self) -> Option<Vec<Made>> {
        // There is never a permit, so this ends when it is closed, and with an error.
        let _ = self.over.acquire().await;
        made(&self.progress)
    }

    /// Whether the deed is over.
    pub fn is_over(&self) -> bool {
        self.over.is_closed()
    }
}

/// A transaction that listens to what is made in it.
struct Noting<'t> {
    tx: &'t mut dyn Tx,
    made: Vec<Made>,
}

impl Tx for Noting<'_> {
    fn dialect(&self) -> Dialect {
        self.tx.dialect()
    }

    fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, Error> {
        self.tx.execute(sql, values)
    }

    fn query_each(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&mut Row<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.tx.query_each(sql, values, each)
    }

    fn note(&mut self, made: Made) {
        self.made.push(made);
    }

    fn changes(&mut self) -> &mut Changes {
        self.tx.changes()
    }
}
