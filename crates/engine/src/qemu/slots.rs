//! A row for each thing: calls about one wait for each other, calls about two do not.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

/// One thing's place: who holds the lock may change it.
pub(super) type Slot<T> = Arc<tokio::sync::Mutex<T>>;

/// The slots of all things of a kind.
#[derive(Debug)]
pub(super) struct Slots<K, T>(Mutex<HashMap<K, Slot<T>>>);

impl<K, T> Default for Slots<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Copy + Eq + Hash, T: Default> Slots<K, T> {
    /// The slot of `key`, made when it is first asked for.
    pub(super) fn get(&self, key: K) -> Slot<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone()
    }

    /// Forgets the slot of a thing that is gone, unless someone waits for it.
    pub(super) fn forget(&self, key: K, held: &Slot<T>) {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The map's and the caller's own; a third is somebody who will look for the thing in a moment.
        if Arc::strong_count(held) == 2 {
            slots.remove(&key);
        }
    }
}
