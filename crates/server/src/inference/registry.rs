//! Which models there are now: those a server begins with, and those of the store, which come and go while it runs.
//!
//! A snapshot, replaced whole when rows of models change. A model whose row is the same stays the same value, and with it what
//! it knows of its upstreams. Changes of this server are seen before their request is answered; those of another one on the
//! same PostgreSQL within a second.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use dewpoint_control::{Control, Error};
use dewpoint_store::{
    Dialect, ModelRecord, ModelSource, Tx,
    feed::{Cursor, Read, Thing, What},
    models,
};
use tokio::sync::watch;

use super::{ByTag, Keeper, Model, Source, local::Local};
use crate::App;

/// How often the rows are read where another server may change them.
const LOOK: Duration = Duration::from_secs(1);
/// The pause after they could not be read.
const PAUSE: Duration = Duration::from_secs(1);

/// All models, in the order they are listed in.
pub(crate) type Models = Arc<[Arc<Model>]>;

/// The models there are now.
#[derive(Debug)]
pub(super) struct Registry {
    /// Those that stay as long as the server.
    fixed: Vec<Arc<Model>>,
    now: RwLock<Models>,
    /// Held while rows are read and taken over, so that an older reading never replaces a newer one.
    reading: tokio::sync::Mutex<()>,
}

impl Registry {
    pub(super) fn new(fixed: Vec<Arc<Model>>) -> Self {
        let now = RwLock::new(fixed.clone().into());
        Self { fixed, now, reading: tokio::sync::Mutex::default() }
    }

    /// What there is now.
    pub(super) fn models(&self) -> Models {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a model of this name was there when the server began, and cannot be changed.
    pub(super) fn is_fixed(&self, name: &str) -> bool {
        self.fixed.iter().any(|model| model.name == name)
    }

    /// Does something with the rows there are, while no model is added here.
    pub(super) async fn with_rows(&self, control: &Control, act: impl FnOnce(&[ModelRecord])) -> Result<(), Error> {
        let _reading = self.reading.lock().await;
        let records = control.store().read(|tx: &mut dyn Tx| models::model_all(tx).map_err(Error::from)).await?;
        act(&records);
        Ok(())
    }

    /// Ends what answers here for models of files, and waits until it has.
    pub(super) async fn end(&self) {
        let models = self.models();
        let locals = || models.iter().filter_map(|model| model.local());
        locals().for_each(|local| local.is_ending());
        for local in locals() {
            local.ended().await;
        }
    }

    /// Takes over what the store has.
    pub(super) async fn refresh(&self, control: &Control, keeper: Option<&Arc<Keeper>>) -> Result<(), Error> {
        let _reading = self.reading.lock().await;
        let read = |tx: &mut dyn Tx| models::model_all(tx).map_err(Error::from);
        let records = control.store().read(read).await?;
        let before = self.models();
        let of_store = records.into_iter().filter(|record| !self.is_fixed(&record.name));
        let of_store = of_store.map(|record| taken_over(&before, record));
        let now: Models = self.fixed.iter().cloned().chain(of_store).collect();
        for model in now.iter().filter(|new| !before.iter().any(|old| Arc::ptr_eq(old, new))) {
            if let Source::Local(local) = &model.source {
                local.begin(keeper, control);
            }
        }
        for gone in before.iter().filter(|old| !now.iter().any(|new| Arc::ptr_eq(old, new))) {
            gone.leave();
        }
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = now;
        Ok(())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        for local in self.models().iter().filter_map(|model| model.local()) {
            local.is_ending();
        }
    }
}

/// The model of a row: the one that was there already, if it is still that.
fn taken_over(before: &Models, record: ModelRecord) -> Arc<Model> {
    let same = before.iter().find(|model| {
        model.name == record.name
            && match (&model.source, &record.source) {
                (Source::Local(local), ModelSource::File(_)) => local.is_of(&record),
                (Source::Droplets(by_tag), ModelSource::Droplets { .. }) => by_tag.is_of(&record),
                _ => false,
            }
    });
    if let Some(model) = same {
        if let Source::Local(local) = &model.source {
            local.is_now(record);
        }
        return Arc::clone(model);
    }
    let (name, owner, created) = (record.name.clone(), record.owner.clone(), record.created_at.as_seconds());
    let source = match &record.source {
        ModelSource::File(_) => Source::Local(Arc::new(Local::new(record))),
        ModelSource::Droplets { tag, port } => Source::Droplets(Arc::new(ByTag::added(&record, tag.clone(), *port))),
    };
    Arc::new(Model::new(name, owner, created, source))
}

impl App {
    /// Ends what answers for models on this host, once nobody is answered any more.
    pub async fn end_models(&self) {
        self.inference.end().await;
    }

    /// Keeps the models at what the store has, until `stopped` says so: those that another server or a reset changed too.
    pub async fn keep_models(self, mut stopped: watch::Receiver<bool>) {
        let feed = Arc::clone(self.control.store().feed());
        let mut place = feed.beginning();
        let mut is_first = true;
        let is_shared = self.control.store().dialect() == Dialect::Postgres;
        while !*stopped.borrow() {
            let inside = self.control.enter().await;
            let read = self.inference.refresh(&self.control).await;
            if read.is_ok() && std::mem::take(&mut is_first) {
                self.inference.clear_leftovers(&self.control).await;
            }
            drop(inside);
            let is_missing = read.inspect_err(|error| {
                let error: &dyn std::error::Error = error;
                tracing::error!(error, "The models of the store cannot be read; trying again: {error}");
            });
            let again = if is_missing.is_err() { Some(PAUSE) } else { is_shared.then_some(LOOK) };
            let changed = async {
                loop {
                    feed.grown(place).await;
                    if concerns_models(&feed, &mut place) {
                        return;
                    }
                }
            };
            tokio::select! {
                () = changed => {}
                () = async { match again {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => std::future::pending().await,
                } } => {}
                _ = stopped.wait_for(|stop| *stop) => return,
            }
        }
    }
}

/// Whether models changed after `place`, which is moved to where the feed is then.
fn concerns_models(feed: &dewpoint_store::Feed, place: &mut Cursor) -> bool {
    let wanted = |event: &dewpoint_store::feed::Event| match &event.what {
        What::Change(change) => matches!(change.thing, Thing::Model(_)),
        What::Reset | What::Restored(_) => true,
    };
    match feed.read(*place, 1, wanted) {
        Read::Events(found, next) => {
            *place = next;
            !found.is_empty()
        }
        Read::Behind(next) | Read::Elsewhere(next) => {
            *place = next;
            true
        }
    }
}
