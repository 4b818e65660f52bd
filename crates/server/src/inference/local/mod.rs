//! Models of files on this host: copied into the data directory, and answered for by a child process each.
//!
//! ```text
//! copying ──whole──> loading ──/health──> ready
//!    │                 ^  └──────crash──────┘        (started again after a pause that grows)
//!    └──why──> failed  └─ failed: no dew-llama, or it cannot load the file (tried again too)
//! ```
//!
//! The row of the store says `copying`, `kept` or `failed`; the rest is known here alone. One task a model does all of it, and
//! ends its child and its copy when the model goes or the server ends.

mod binary;
mod child;
mod files;
mod keeper;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed};

use dewpoint_api::{ServedFile, ServedModelState};
use dewpoint_control::Control;
use dewpoint_store::{Dialect, ModelFile, ModelRecord, ModelSource, ModelState};
use tokio::{sync::watch, task::JoinHandle};

pub use self::files::models_without_file;
use self::files::{Copied, Counts};
pub(crate) use self::{files::check, keeper::Keeper};
use super::upstream::Upstreams;

/// What is said of a file that was there once.
const LOST: &str = "its file is not in the data directory, as after a restore: a backup has no files of models. Delete the model and \
                    add it again.";
/// What is said of a file that another server has.
const ELSEWHERE: &str = "its file is in the data directory of another server on this store, which serves it.";
/// How long a model's task may take to end its child.
const ENDING: std::time::Duration = std::time::Duration::from_secs(15);
/// The pause after the store did not take how far a model is.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

/// A model whose file this server, or another one on the same store, keeps.
#[derive(Debug)]
pub(crate) struct Local {
    record: Mutex<ModelRecord>,
    now: Mutex<Now>,
    counts: Arc<Counts>,
    leaving: watch::Sender<Leaving>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What becomes of a model now.
#[derive(Clone, Debug)]
enum Now {
    Copying,
    /// Also again after a crash, of which this tells.
    Loading(Option<String>),
    Ready(Ready),
    Waiting(String),
    Failed(String),
}

/// Who answers for a model.
#[derive(Clone, Debug)]
struct Ready {
    upstreams: Arc<Upstreams>,
    pid: u32,
}

/// Whether a model is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    No,
    /// The server ends; the next one goes on with it.
    Ending,
    /// It is deleted.
    Gone,
}

fn lock<T>(one: &Mutex<T>) -> MutexGuard<'_, T> {
    one.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Local {
    pub(super) fn new(record: ModelRecord) -> Self {
        let now = match (record.state, &record.why) {
            (ModelState::Copying, _) => Now::Copying,
            (ModelState::Kept, _) => Now::Loading(None),
            (ModelState::Failed, why) => Now::Failed(why.clone().unwrap_or_default()),
        };
        Self {
            record: Mutex::new(record),
            now: Mutex::new(now),
            counts: Arc::default(),
            leaving: watch::Sender::new(Leaving::No),
            task: Mutex::default(),
        }
    }

    fn record(&self) -> ModelRecord {
        lock(&self.record).clone()
    }

    fn is_to(&self, now: Now) {
        *lock(&self.now) = now;
    }

    /// Whether it is the model of this row, however far that is.
    pub(super) fn is_of(&self, record: &ModelRecord) -> bool {
        let own = lock(&self.record);
        own.created_at == record.created_at && own.account == record.account
    }

    /// Takes over how far it is.
    pub(super) fn is_now(&self, record: ModelRecord) {
        *lock(&self.record) = record;
    }

    /// Who answers for it now.
    ///
    /// Fails with a sentence that says why nobody does.
    pub(super) fn upstreams(&self) -> Result<Arc<Upstreams>, String> {
        let name = lock(&self.record).name.clone();
        match &*lock(&self.now) {
            Now::Ready(ready) => Ok(Arc::clone(&ready.upstreams)),
            Now::Copying => Err(format!("The file of the model {name} is still being copied. Ask again later.")),
            Now::Loading(None) => Err(format!("The model {name} is still being loaded. Ask again later.")),
            Now::Loading(Some(why)) => Err(format!("The model {name} is being loaded again: {why}")),
            Now::Waiting(why) | Now::Failed(why) => Err(format!("The model {name} cannot be served: {why}")),
        }
    }

    /// As clients see it: how far it is, why no further, and its file.
    pub(super) fn shown(&self) -> (ServedModelState, Option<String>, ServedFile) {
        let record = self.record();
        let (state, why, pid) = match lock(&self.now).clone() {
            Now::Copying => (ServedModelState::Copying, None, None),
            Now::Loading(why) => (ServedModelState::Loading, why, None),
            Now::Ready(ready) => (ServedModelState::Ready, None, Some(ready.pid)),
            Now::Waiting(why) => (ServedModelState::Waiting, Some(why), None),
            Now::Failed(why) => (ServedModelState::Failed, Some(why), None),
        };
        let ModelSource::File(ModelFile { from, bytes, sha256, facts, .. }) = record.source else {
            return (state, why, ServedFile::default());
        };
        let bytes_copied = if sha256.is_some() { bytes } else { self.counts.done.load(Relaxed).min(bytes) };
        (state, why, ServedFile { from, bytes, bytes_copied, sha256, facts, pid })
    }

    /// Begins with what is to be done. Within a runtime.
    pub(super) fn begin(self: &Arc<Self>, keeper: Option<&Arc<Keeper>>, control: &Control) {
        let Some(keeper) = keeper else {
            return self.is_to(Now::Waiting("this server has no data directory to keep files in.".to_owned()));
        };
        if let ModelSource::File(file) = &self.record().source
            && file.keeper != keeper.id()
        {
            // With SQLite nobody else is on this store: it was taken from another place.
            let is_lost = control.store().dialect() == Dialect::Sqlite;
            return self.is_to(if is_lost { Now::Failed(LOST.to_owned()) } else { Now::Waiting(ELSEWHERE.to_owned()) });
        }
        let task = tokio::spawn(Arc::clone(self).run(Arc::clone(keeper), control.clone()));
        *lock(&self.task) = Some(task);
    }

    /// It is to go with its child; its file too when it is deleted. Nobody waits.
    fn leave(&self, leaving: Leaving) {
        self.counts.stop.store(true, Relaxed);
        self.leaving.send_if_modified(|now| {
            let is_more = *now != Leaving::Gone && *now != leaving;
            if is_more {
                *now = leaving;
            }
            is_more
        });
    }

    /// It is deleted.
    pub(super) fn is_gone(&self) {
        self.leave(Leaving::Gone);
    }

    /// The server ends: so does what answers. It may be begun with again.
    pub(super) fn is_ending(&self) {
        self.leave(Leaving::Ending);
    }

    /// Returns once its child has ended.
    pub(super) async fn ended(&self) {
        let task = lock(&self.task).take();
        if let Some(task) = task
            && tokio::time::timeout(ENDING, task).await.is_err()
        {
            tracing::warn!("The model {} did not end in time", lock(&self.record).name);
        }
    }

    async fn run(self: Arc<Self>, keeper: Arc<Keeper>, control: Control) {
        let record = self.record();
        let ModelSource::File(file) = &record.source else { return };
        let is_kept = match record.state {
            ModelState::Copying => self.copy(&keeper, &control, &record, file).await,
            ModelState::Kept => true,
            ModelState::Failed => false,
        };
        let mut leaving = self.leaving.subscribe();
        if is_kept {
            self.is_to(Now::Loading(None));
            child::keep(&self, &keeper, &keeper.files().path(&record), leaving.clone()).await;
        } else {
            let _ = leaving.wait_for(|leaving| *leaving != Leaving::No).await;
        }
        if *leaving.borrow_and_update() == Leaving::Gone {
            tokio::task::spawn_blocking(move || keeper.files().remove(&record));
        }
    }

    /// Copies its file; whether it is there whole and the store knows.
    async fn copy(&self, keeper: &Arc<Keeper>, control: &Control, record: &ModelRecord, file: &ModelFile) -> bool {
        let (files, from, counts) = (Arc::clone(keeper), file.from.clone(), Arc::clone(&self.counts));
        let own = record.clone();
        let copying = tokio::task::spawn_blocking(move || files.files().copy(from.as_ref(), &own, &counts));
        let copied = copying.await.unwrap_or_else(|error| Err(format!("the copying was cut off: {error}.")));
        let (state, why, sha256) = match copied {
            Ok(Copied::Whole(sha256)) => (ModelState::Kept, None, Some(sha256)),
            Ok(Copied::Stopped) => return false,
            Err(why) => (ModelState::Failed, Some(why), None),
        };
        if let Some(why) = &why {
            tracing::warn!(model = record.name, "The model {} cannot be served: {why}", record.name);
        }
        let source = ModelSource::File(ModelFile { sha256, ..file.clone() });
        let mut leaving = self.leaving.subscribe();
        loop {
            let inside = control.enter().await;
            let named = (record.name.clone(), record.created_at);
            let noted = control.model_progress(named, (state, why.clone()), source.clone()).await;
            drop(inside);
            match noted {
                Ok(_) => break,
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(error, "How far the model {} is cannot be written; trying again", record.name);
                }
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                _ = leaving.wait_for(|leaving| *leaving != Leaving::No) => return false,
            }
        }
        self.is_now(ModelRecord { state, why: why.clone(), source, revision: record.revision + 1, ..record.clone() });
        match why {
            None => true,
            Some(why) => {
                self.is_to(Now::Failed(why));
                false
            }
        }
    }
}
