//! The wire: what the rows say about the network, put in force whole by the engine, again each time they change.
//!
//! ```text
//! rows change ──commit──> Control::network_changed (nobody waits)  ┐
//!                         Control::settle_network  (a step waits)  ┴─> one at a time: read the plan ─> engine ─> told in the rows
//! ```
//!
//! Who asks while another is at it waits for the next turn, and one turn serves all who asked before it began. Rows that are
//! not in force yet say so themselves ([`Waiting`]): a crash in between changes nothing, since each start puts all in force.
//! Where links are not real (the simulator) no plan is made, and the same turn tells those rows.

mod firewalls;
mod peerings;
mod plan;
mod reserved;
mod waiting;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use dewpoint_network::Plan;
use dewpoint_store::{
    Feed, Tx,
    feed::{Change, Cursor, Event, Happened, Read, Thing, What},
};
pub(crate) use plan::read as plan;
use tokio::sync::{Mutex, Notify, watch};
pub(crate) use waiting::Waiting;

use crate::{Control, Error, actions::chain};

/// The pause after the wire could not be settled; it doubles with each failure.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const PAUSE_MOST: Duration = Duration::from_secs(60);

/// Who asked, and up to whom all is in force.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    /// How often somebody asked.
    asked: AtomicU64,
    /// How many of them are served. Held by whoever is at it.
    served: Mutex<u64>,
    /// Rung when somebody asked who does not wait.
    bell: Notify,
}

impl Wire {
    fn ask(&self) -> u64 {
        self.asked.fetch_add(1, Ordering::AcqRel) + 1
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::Acquire)
    }
}

/// Whether the wire follows this: what a request may change without an action.
fn is_followed(change: &Change) -> bool {
    match change.thing {
        Thing::Firewall(_) | Thing::VpcPeering(_) => true,
        Thing::Droplet(_) | Thing::Vpc(_) => change.happened == Happened::Gone,
        Thing::Action(_)
        | Thing::Domain(_)
        | Thing::Image(_)
        | Thing::Model(_)
        | Thing::Project(_)
        // Where one leads changes by actions alone, or because its Droplet goes.
        | Thing::ReservedIp(_)
        | Thing::SshKey(_)
        | Thing::Tag(_)
        | Thing::Token(_)
        | Thing::Volume(_)
        | Thing::VolumeSnapshot(_)
        | Thing::Gpu(_) => false,
    }
}

impl Control {
    /// Rows that the wire follows have changed, and are committed. They are put in force soon, by [`Control::keep_network`].
    pub(crate) fn network_changed(&self) {
        self.inner.wire.ask();
        self.inner.wire.bell.notify_one();
    }

    /// Links of Droplets changed, and are committed. Firewalls may name them, and say so also where links are not real.
    pub(crate) fn links_changed(&self) {
        self.network_changed();
    }

    /// Puts in force what the rows say now, and returns when it is. For steps of actions; fails as the engine does, and what
    /// was in force stays so then.
    pub(crate) async fn settle_network(&self) -> Result<(), Error> {
        self.settle_for(self.inner.wire.ask()).await
    }

    /// The same for a Droplet's links alone, which nobody waits for where they are not real.
    pub(crate) async fn settle_links(&self) -> Result<(), Error> {
        if self.inner.engine.has_network() { self.settle_network().await } else { Ok(()) }
    }

    /// Puts in force what somebody asked for and did not wait for, if anybody did.
    pub async fn settle_what_changed(&self) -> Result<(), Error> {
        self.settle_for(self.inner.wire.asked()).await
    }

    /// One turn, unless the one before it began after `ticket` was drawn.
    async fn settle_for(&self, ticket: u64) -> Result<(), Error> {
        let wire = &self.inner.wire;
        let mut served = wire.served.lock().await;
        if *served >= ticket {
            return Ok(());
        }
        let asked = wire.asked();
        let (plan, waiting) = self.read_wire().await?;
        let concerns_engine = self.inner.engine.has_network() || !waiting.is_empty();
        if concerns_engine && let Err(error) = self.inner.engine.apply_network(&plan).await {
            self.tell_failure(waiting).await;
            return Err(error.into());
        }
        if !waiting.is_empty() {
            let store = &self.inner.store;
            let (now, told) = (self.now(), waiting);
            store.write(move |tx: &mut dyn Tx| told.is_in_force(tx, now)).await?;
        }
        *served = asked;
        Ok(())
    }

    /// Tells the rows that wait that they could not be put in force: of use to people, so not to be told is no failure more.
    async fn tell_failure(&self, waiting: Waiting) {
        if waiting.is_empty() {
            return;
        }
        let told: Result<(), Error> = self.inner.store.write(move |tx: &mut dyn Tx| waiting.has_failed(tx)).await;
        if let Err(error) = told {
            tracing::warn!(error = %chain(&error), "Cannot write down that the network failed");
        }
    }

    /// What should be on the wire, and which rows wait for it, at one moment.
    async fn read_wire(&self) -> Result<(Plan, Waiting), Error> {
        let public = self.inner.engine.has_network().then_some(self.inner.public_v4);
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                let waiting = Waiting::read(tx)?;
                let plan = public.map(|public| plan::read(tx, public)).transpose()?;
                Ok::<_, Error>((plan.unwrap_or_default(), waiting))
            })
            .await
    }

    /// Whether a request changed what the wire follows, after `place` and up to where that is then. A request that is left by
    /// its client is committed all the same, and says so to nobody.
    fn was_changed(&self, place: &mut Cursor) -> bool {
        let asked_for = |event: &Event| match &event.what {
            What::Change(change) => event.request.is_some() && is_followed(change),
            // Whoever holds the world rings when it goes on.
            What::Reset | What::Restored(_) => false,
        };
        match self.inner.store.feed().read(*place, 1, asked_for) {
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

    /// Returns once a request changed what the wire follows.
    async fn changes_unasked(&self, feed: &Feed, place: &mut Cursor) {
        loop {
            feed.grown(*place).await;
            if self.was_changed(place) {
                return;
            }
        }
    }

    /// Puts in force what changes without an action, until `stop` turns true. What fails is tried again after a pause.
    pub async fn keep_network(self, mut stop: watch::Receiver<bool>) {
        let mut pause = PAUSE;
        let feed = Arc::clone(self.inner.store.feed());
        let mut place = feed.beginning();
        while !*stop.borrow() {
            let inside = self.enter().await;
            let settled = tokio::select! {
                biased;
                // Asked again once the world goes on.
                () = inside.clone().told_to_leave() => Ok(()),
                settled = self.settle_what_changed() => settled,
            };
            drop(inside);
            let again = match settled {
                Ok(()) => {
                    pause = PAUSE;
                    None
                }
                Err(error) => {
                    tracing::error!(error = %chain(&error), retry_in_s = pause.as_secs(), "The network is not as it should be: {}", chain(&error));
                    let again = self.now() + pause;
                    pause = (pause * 2).min(PAUSE_MOST);
                    Some(again)
                }
            };
            tokio::select! {
                biased;
                _ = stop.changed() => return,
                () = self.inner.wire.bell.notified() => {}
                () = self.changes_unasked(&feed, &mut place) => { self.inner.wire.ask(); }
                () = async { match again {
                    Some(again) => self.clock().sleep_until(again).await,
                    None => std::future::pending().await,
                } } => {}
            }
        }
    }
}
