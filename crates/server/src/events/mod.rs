//! Following what changes: streams of server-sent events over the store's feed.
//!
//! A stream reads the feed at its client's pace (`follow.rs`) and holds one chunk at a time, so a slow client costs nobody
//! anything: it falls behind the feed, is told so and cut off. How many streams an account may have is bounded.

mod cut;
mod follow;
mod objects;
mod wire;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use dewpoint_api::{AccountId, EventGap, EventKind, EventType};
use dewpoint_store::feed::{Cursor, Event, Feed, Read, What};
use tokio::sync::watch;

pub(crate) use cut::Cut;
pub(crate) use follow::{Follower, follow};
pub(crate) use objects::Objects;
pub(crate) use wire::{model_path, shown};

/// Most streams of one account at once.
pub(crate) const STREAMS_OF_ACCOUNT: usize = 32;
/// Most streams at once.
const STREAMS: usize = 512;

/// The streams there are.
#[derive(Debug, Default)]
pub(crate) struct Events {
    open: Arc<Mutex<HashMap<AccountId, usize>>>,
    stopping: watch::Sender<bool>,
}

/// A stream's place among those that are allowed. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    account: AccountId,
    open: Arc<Mutex<HashMap<AccountId, usize>>>,
}

fn lock(open: &Mutex<HashMap<AccountId, usize>>) -> MutexGuard<'_, HashMap<AccountId, usize>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Events {
    /// A place for one more stream of the account; `None` when there are too many.
    pub(crate) fn enter(&self, account: AccountId) -> Option<Place> {
        let mut open = lock(&self.open);
        let own = open.get(&account).copied().unwrap_or(0);
        if own >= STREAMS_OF_ACCOUNT || open.values().sum::<usize>() >= STREAMS {
            return None;
        }
        open.insert(account, own + 1);
        Some(Place { account, open: Arc::clone(&self.open) })
    }

    /// Tells every stream that the server ends, also those that begin from now on.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Whether the server ends.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = lock(&self.open);
        match open.get_mut(&self.account) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(open.remove(&self.account)),
        }
    }
}

/// Which events are wanted; an empty list is all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) kinds: Vec<EventKind>,
    pub(crate) types: Vec<EventType>,
    pub(crate) id: Option<String>,
}

impl Wanted {
    /// Whether it is asked for. What concerns everything is, whatever was asked for.
    pub(crate) fn meets(&self, event: &Event) -> bool {
        let What::Change(change) = &event.what else { return true };
        (self.kinds.is_empty() || self.kinds.contains(&wire::kind(&change.thing)))
            && (self.types.is_empty() || self.types.contains(&wire::happened(change.happened)))
            && self.id.as_ref().is_none_or(|id| *id == wire::name(&change.thing))
    }
}

/// What was read of the feed.
#[derive(Debug)]
pub(crate) struct Got {
    /// Set when events are missing before `from`.
    pub(crate) gap: Option<EventGap>,
    /// The place before the first of these.
    pub(crate) from: Cursor,
    pub(crate) events: Vec<Event>,
    /// The place after the last, and after those between that are not wanted.
    pub(crate) next: Cursor,
}

/// The next events after `from` that are `wanted`, at most `most`.
pub(crate) fn read(feed: &Feed, mut from: Cursor, most: usize, wanted: impl Fn(&Event) -> bool) -> Got {
    let mut gap = None;
    loop {
        match feed.read(from, most, &wanted) {
            Read::Events(events, next) => return Got { gap, from, events, next },
            // Once more when the feed moved on meanwhile.
            Read::Behind(next) => (gap, from) = (gap.or(Some(EventGap::TooOld)), next),
            Read::Elsewhere(next) => (gap, from) = (Some(EventGap::Restarted), next),
        }
    }
}
