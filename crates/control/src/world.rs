//! Holding the world: what requests and actions do is let go of or waited for, so that all state can be replaced at once.
//!
//! Every request and every action at work is inside. Whoever holds the world tells the actions to let go (as a kill would, so
//! nothing is lost), waits until nobody is inside, and lets nobody in until it is done.

use std::sync::Arc;

use dewpoint_store::{Tx, actions};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, watch};

use crate::{Control, Error, readiness};

/// Who is inside.
#[derive(Debug, Default)]
pub(crate) struct World {
    inside: Arc<RwLock<()>>,
    /// Counts how often the world was held.
    held: watch::Sender<u64>,
}

/// Someone inside. Nobody may enter twice: who holds the world meanwhile would wait for the first and keep out the second.
#[derive(Clone, Debug)]
pub struct Inside {
    _guard: Arc<OwnedRwLockReadGuard<()>>,
    held: watch::Receiver<u64>,
}

impl Inside {
    /// Returns when the world is to be held, and everybody is to leave.
    pub(crate) async fn told_to_leave(mut self) {
        // The sender lives as long as the control plane.
        let _ = self.held.changed().await;
    }
}

/// The world, held. It goes on when this is dropped.
#[derive(Debug)]
pub struct Held {
    _guard: OwnedRwLockWriteGuard<()>,
}

impl World {
    pub(crate) fn times_held(&self) -> watch::Receiver<u64> {
        self.held.subscribe()
    }
}

impl Control {
    /// Goes inside, once nobody holds the world.
    pub async fn enter(&self) -> Inside {
        let world = &self.inner.world;
        let guard = Arc::new(Arc::clone(&world.inside).read_owned().await);
        Inside { _guard: guard, held: world.held.subscribe() }
    }

    /// Holds the world: actions let go of what they do, requests end first, and what was on its way to store and engine is there.
    pub async fn hold(&self) -> Result<Held, Error> {
        self.inner.world.held.send_modify(|times| *times += 1);
        let held = Held { _guard: Arc::clone(&self.inner.world.inside).write_owned().await };
        self.inner.store.write(|_: &mut dyn Tx| Ok::<_, Error>(())).await?;
        self.inner.engine.machines().await?;
        Ok(held)
    }

    /// Lets the world go on: with what store and engine hold now, and nothing from memory.
    pub async fn go_on(&self, held: Held) -> Result<(), Error> {
        self.inner.grants.clear();
        self.inner.model_grants.clear();
        self.inner.restless.clear();
        self.inner.store.write(|tx: &mut dyn Tx| actions::action_let_go_all(tx).map_err(Error::from)).await?;
        drop(held);
        self.network_changed();
        self.inner.bell.notify_one();
        self.refresh_stock().await?;
        readiness::resume(self).await
    }
}
