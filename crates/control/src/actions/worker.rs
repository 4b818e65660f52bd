//! The worker: claims actions and sees to it that they are driven, many at once.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
};

use dewpoint_api::{ActionKind, DropletId, ResourceType};
use dewpoint_store::{ActionRecord, Tx, actions};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tracing::Instrument as _;

use super::{
    flow::{Context, Machine},
    table,
};
use crate::{Control, Error, Inside};

/// Most actions claimed in one transaction.
const CLAIM: u32 = 64;
/// Most actions worked on at once.
const AT_ONCE: usize = 512;

/// Where in a step the worker is; what tests stop it at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The step's work is about to begin.
    Before,
    /// The step's work is done, its result not stored.
    Done,
    /// The step's result is stored.
    Stored,
}

/// Watches a worker's progress, and may stop it as a kill would.
pub trait Probe: fmt::Debug + Send + Sync {
    /// Whether the worker goes on; otherwise it lets go of the action at once and stores nothing more.
    fn goes_on(&self, action: &ActionRecord, point: Point) -> bool;
}

/// Gets in the way of actions before each of their steps; the simulator does, when it is told to.
pub trait Meddler: fmt::Debug + Send + Sync {
    /// Returns when the step may be done. An error counts as the step's own.
    fn before_step<'a>(
        &'a self,
        action: &'a ActionRecord,
    ) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;
}

/// Carries out actions. Several may run, also in several processes on one PostgreSQL store.
#[derive(Clone, Debug)]
pub struct Worker {
    pub(super) control: Control,
    pub(super) probe: Option<Arc<dyn Probe>>,
    pub(super) meddler: Option<Arc<dyn Meddler>>,
}

/// An action to work on, with what its machine is made from when that was read along.
struct Claimed {
    action: ActionRecord,
    machine: Option<Machine>,
}

fn is_create(action: &ActionRecord) -> bool {
    action.resource_type == ResourceType::Droplet && action.kind == ActionKind::Create.as_str()
}

fn droplet_of(action: &ActionRecord) -> DropletId {
    action.droplet.unwrap_or_default()
}

/// How driving an action came to its end.
pub(super) enum Ended {
    /// It is completed or errored, and stored so.
    Over,
    /// It is not this worker's any more: another has it, it was let go of for a while, or the probe stopped this one.
    Lost,
}

impl Worker {
    /// A worker of this control plane.
    pub fn new(control: Control) -> Self {
        Self { control, probe: None, meddler: None }
    }

    /// A worker that is watched.
    pub fn watched(control: Control, probe: Arc<dyn Probe>) -> Self {
        Self { control, probe: Some(probe), meddler: None }
    }

    /// The same worker with someone who gets in its way.
    #[must_use]
    pub fn meddled_with(self, meddler: Arc<dyn Meddler>) -> Self {
        Self { meddler: Some(meddler), ..self }
    }

    /// Works until `stop` turns true, then finishes the steps at hand; what is not done by then is resumed by the next worker.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut running = JoinSet::new();
        while !*stop.borrow() {
            let free = u32::try_from(places.available_permits()).unwrap_or(CLAIM).min(CLAIM);
            let inside = self.control.enter().await;
            let claimed = if free == 0 { Vec::new() } else { self.claim(free).await };
            let full = claimed.len() == free as usize;
            for one in claimed {
                let (worker, places, inside) = (self.clone(), Arc::clone(&places), inside.clone());
                running.spawn(async move {
                    let _place = places.acquire_owned().await;
                    worker.drive(one, inside).await
                });
            }
            drop(inside);
            while running.try_join_next().is_some() {}
            if full && free > 0 {
                continue;
            }
            let clock = self.control.clock();
            let look_again = clock.now() + self.control.config().lease / 2;
            tokio::select! {
                biased;
                () = self.control.inner.bell.notified() => {}
                // Actions of a worker in another process that died become free when their lease ends.
                () = clock.sleep_until(look_again) => {}
                Some(_) = running.join_next(), if free == 0 => {}
                _ = stop.changed() => {}
            }
        }
        while running.join_next().await.is_some() {}
    }

    /// Works until nothing is left to claim now. For tests, and for one-shot commands.
    pub async fn run_until_idle(&self) {
        loop {
            let inside = self.control.enter().await;
            let claimed = self.claim(CLAIM).await;
            if claimed.is_empty() {
                return;
            }
            let mut running = JoinSet::new();
            for one in claimed {
                let (worker, inside) = (self.clone(), inside.clone());
                running.spawn(async move { worker.drive(one, inside).await });
            }
            drop(inside);
            while running.join_next().await.is_some() {}
        }
    }

    async fn claim(&self, most: u32) -> Vec<Claimed> {
        let (now, lease) = (self.control.now(), self.control.config().lease);
        let store = &self.control.inner.store;
        let claimed: Result<Vec<ActionRecord>, Error> =
            store.write(move |tx: &mut dyn Tx| actions::action_claim(tx, now, lease, most).map_err(Error::from)).await;
        let claimed = claimed.unwrap_or_else(|error| {
            tracing::error!(error = %chain(&error), "Cannot claim actions");
            Vec::new()
        });
        let ids: Vec<DropletId> = claimed.iter().filter(|action| is_create(action)).map(droplet_of).collect();
        let mut machines = self.prefetch(ids).await;
        claimed.into_iter().map(|action| Claimed { machine: machines.remove(&droplet_of(&action)), action }).collect()
    }

    /// What new machines are made from, read for all of a claim at once. What cannot be read now is read by its step.
    async fn prefetch(&self, ids: Vec<DropletId>) -> HashMap<DropletId, Machine> {
        if ids.is_empty() {
            return HashMap::new();
        }
        let read = move |tx: &mut dyn Tx| {
            let mut machines = HashMap::with_capacity(ids.len());
            for id in &ids {
                if let Some(machine) = Machine::read(tx, *id)? {
                    machines.insert(*id, machine);
                }
            }
            Ok::<_, Error>(machines)
        };
        self.control.inner.store.read(read).await.unwrap_or_default()
    }

    /// Drives an action until it is over, or everybody is told to leave: then as if this worker had been killed.
    async fn drive(&self, claimed: Claimed, inside: Inside) {
        tokio::select! {
            biased;
            () = inside.told_to_leave() => {}
            () = self.drive_on(claimed) => {}
        }
    }

    async fn drive_on(&self, claimed: Claimed) {
        let Claimed { action, machine } = claimed;
        let (id, droplet) = (action.id, droplet_of(&action));
        let span = tracing::info_span!("action", action.id = %id, action.kind = %action.kind, droplet.id = %droplet);
        let cx = Context { control: self.control.clone(), action, droplet, prefetched: Mutex::new(machine) };
        let ended = table::drive(self, cx).instrument(span).await;
        if let Err(error) = ended {
            // The action keeps its lease until that runs out, and is tried again then.
            tracing::error!(action.id = %id, error = %chain(&error), "Cannot store how action {id} went");
        }
    }
}

/// The error with all its causes, for logs and reasons.
pub(crate) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
