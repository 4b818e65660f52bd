//! The simulator's whole state: kept under a name, put back, and put back to how it was at the start. All in memory.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use dewpoint_clock::{Reading, Timestamp};
use dewpoint_control::Error;
use dewpoint_engine::sim::SimEngine;
use dewpoint_store::{
    Error as StoreError, Store,
    feed::What,
    sqlite::{Copier, Copy},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Simulator, delays::Delay, faults::Ordered};

/// Most snapshots at once.
const SNAPSHOTS_MAX: usize = 100;
/// Most bytes of a state that is kept: past it nothing is copied, at the start neither.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Copies the files of store and engine.
#[derive(Clone, Debug)]
pub struct Files {
    store: Copier,
    engine: Copier,
}

impl Files {
    /// The store's file and the simulator's, each with who has it open.
    pub fn open(store: (&Path, Store), engine: (&Path, Arc<SimEngine>)) -> Result<Self, StoreError> {
        Ok(Self { store: Copier::open(store.0, store.1)?, engine: Copier::open(engine.0, engine.1)? })
    }

    fn sync(&self) {
        if let Err(error) = self.store.sync().and_then(|()| self.engine.sync()) {
            tracing::warn!(%error, "What was put back is not on the disk yet; the next change brings it there");
        }
    }

    fn bytes(&self) -> Result<u64, StoreError> {
        Ok(self.store.bytes()? + self.engine.bytes()?)
    }
}

/// Everything there was at one time.
#[derive(Debug)]
struct Saved {
    store: Copy,
    engine: Copy,
    clock: Reading,
    faults: Ordered,
    delays: Vec<Delay>,
    about: Snapshot,
}

/// A snapshot of the whole state.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Snapshot {
    /// What it is called.
    pub(crate) name: String,
    /// When it was taken, by the simulator's clock.
    pub(crate) taken_at: Timestamp,
    /// How many bytes it takes.
    pub(crate) bytes: u64,
    /// Microseconds of real time that the last taking or restoring took.
    pub(crate) took_us: u64,
}

/// The states that are kept.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    start: Mutex<Option<Arc<Saved>>>,
    named: Mutex<BTreeMap<String, Arc<Saved>>>,
}

impl Kept {
    fn named(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Saved>>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self) -> MutexGuard<'_, Option<Arc<Saved>>> {
        self.start.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The snapshots, by name.
    pub(crate) fn list(&self) -> Vec<Snapshot> {
        self.named().values().map(|saved| saved.about.clone()).collect()
    }

    /// Forgets a snapshot; whether there was one.
    pub(crate) fn delete(&self, name: &str) -> bool {
        self.named().remove(name).is_some()
    }
}

fn blocked(error: &tokio::task::JoinError) -> Error {
    StoreError::Database(format!("copying was cut off: {error}")).into()
}

fn micros(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX)
}

impl Simulator {
    /// Keeps the present state as that at the start, for `/dew/v1/reset`. Nothing is kept of one that is too large.
    pub async fn keep_start(&self) -> Result<(), Error> {
        if self.files()?.bytes()? <= BYTES_MAX {
            let saved = self.save("start").await?;
            *self.kept().start() = Some(Arc::new(saved));
        }
        Ok(())
    }

    /// Takes a snapshot under this name, in place of one there may be.
    pub(crate) async fn take(&self, name: &str) -> Result<Snapshot, Error> {
        if self.files()?.bytes()? > BYTES_MAX {
            let text = format!("The state is larger than {} MiB, the most that is kept.", BYTES_MAX / 1024 / 1024);
            return Err(Error::Conflict(text));
        }
        {
            let named = self.kept().named();
            if named.len() >= SNAPSHOTS_MAX && !named.contains_key(name) {
                return Err(Error::Conflict(format!("There are {SNAPSHOTS_MAX} snapshots already; delete one.")));
            }
        }
        let saved = self.save(name).await?;
        let about = saved.about.clone();
        self.kept().named().insert(name.to_owned(), Arc::new(saved));
        Ok(about)
    }

    /// Puts the state back to what it was when the snapshot was taken.
    pub(crate) async fn restore(&self, name: &str) -> Result<Snapshot, Error> {
        let saved = self.kept().named().get(name).cloned().ok_or(Error::NotFound)?;
        let told = What::Restored(name.into());
        self.put_back(saved, told).await
    }

    /// Puts the state back to what it was at the start, and forgets every request.
    pub(crate) async fn reset(&self) -> Result<Snapshot, Error> {
        let text = "The state at the start was too large to be kept.";
        let start = self.kept().start().clone().ok_or_else(|| Error::Conflict(text.to_owned()))?;
        self.requests().reset();
        self.put_back(start, What::Reset).await
    }

    fn files(&self) -> Result<&Files, Error> {
        let text = "The store is PostgreSQL: its state cannot be kept and put back.";
        self.0.files.as_ref().ok_or_else(|| Error::Conflict(text.to_owned()))
    }

    async fn save(&self, name: &str) -> Result<Saved, Error> {
        let (began, files) = (Instant::now(), self.files()?.clone());
        let held = self.control().hold().await?;
        let copying = tokio::task::spawn_blocking(move || Ok::<_, Error>((files.store.take()?, files.engine.take()?)));
        let copied = copying.await.map_err(|error| blocked(&error)).flatten();
        let (clock, faults, delays) = (self.clock().reading(), self.faults().save(), self.delays().list());
        self.control().go_on(held).await?;
        let (store, engine) = copied?;
        let bytes = self.files()?.bytes()?;
        let about = Snapshot { name: name.to_owned(), taken_at: clock.now, bytes, took_us: micros(began) };
        Ok(Saved { store, engine, clock, faults, delays, about })
    }

    /// Replaces everything, and says so to who follows what changes.
    async fn put_back(&self, saved: Arc<Saved>, told: What) -> Result<Snapshot, Error> {
        let (began, files) = (Instant::now(), self.files()?.clone());
        let held = self.control().hold().await?;
        let source = Arc::clone(&saved);
        let copying = tokio::task::spawn_blocking(move || {
            files.store.put_back(&source.store)?;
            files.engine.put_back(&source.engine)?;
            Ok::<_, Error>(files)
        });
        let copied = copying.await.map_err(|error| blocked(&error)).flatten();
        if copied.is_ok() {
            self.engine().forget_consoles();
            self.clock().set(saved.clock);
            self.faults().restore(saved.faults.clone());
            self.delays().set_anew(saved.delays.clone());
        }
        self.control().go_on(held).await?;
        self.control().store().feed().tell_all(told);
        let files = copied?;
        drop(tokio::task::spawn_blocking(move || files.sync()));
        Ok(Snapshot { took_us: micros(began), ..saved.about.clone() })
    }
}
