//! The worker: claims actions, drives their flows, and stores each step's result while its claim holds.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use dewpoint_api::{ActionKind, ActionStatus, DropletId, ResourceType};
use dewpoint_store::{ActionRecord, DropletRecord, DropletSeed, TimelineEntry, Tx, actions, droplets};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tracing::Instrument as _;

use super::{
    effect::{self, Effect},
    flow::{Context, Flow},
    table,
};
use crate::{Control, Error, Inside};

/// Most actions claimed in one transaction.
const CLAIM: u32 = 64;
/// Most actions worked on at once.
const AT_ONCE: usize = 512;
/// How often a step that fails transiently is tried in all.
const TRIES: usize = 5;
/// A step that took less than this may leave storing its result to the next one ([`Flow::can_wait`]).
const QUICK: Duration = Duration::from_millis(20);
/// The pause after the first transient failure; it doubles with each.
const PAUSE: Duration = Duration::from_secs(1);
/// The pause after the store failed the first time to take a result; it doubles with each.
const SAVE_PAUSE: Duration = Duration::from_millis(100);

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
    control: Control,
    probe: Option<Arc<dyn Probe>>,
    meddler: Option<Arc<dyn Meddler>>,
}

/// A Droplet's row and seed: what its machine is made from.
type Machine = (DropletRecord, DropletSeed);

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
                if let Some(record) = droplets::droplet_of_machine(tx, *id)? {
                    machines.insert(*id, (record, droplets::droplet_seed(tx, *id)?));
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

    /// Does step after step of a flow, storing each result.
    pub(super) async fn steps<F: Flow>(&self, mut cx: Context) -> Result<Ended, Error> {
        loop {
            let Some(step) = F::named(&cx.action.step) else {
                return self.end(&mut cx, Some("the stored step is unknown".to_owned()), Effect::default()).await;
            };
            if !self.goes_on(&cx, Point::Before) {
                return Ok(Ended::Lost);
            }
            let began = self.control.now();
            let work = async {
                if let Some(meddler) = &self.meddler {
                    meddler.before_step(&cx.action).await?;
                }
                step.run(&cx).await
            };
            let result = self.while_leased(&cx, work).await;
            if !self.goes_on(&cx, Point::Done) {
                return Ok(Ended::Lost);
            }
            let problem = result.as_ref().err().map(chain);
            let ended_at_ms = self.control.now().as_millis();
            cx.action.timeline.push(TimelineEntry {
                step: step.name().to_owned(),
                ended_at_ms,
                error: problem.clone(),
            });
            let ended = match result {
                Ok(effect) => match step.next() {
                    None => return self.end(&mut cx, None, effect).await,
                    Some(next) => {
                        cx.action.step = next.name().to_owned();
                        let quick = self.control.now().since(began) < QUICK;
                        let waits = step.can_wait() && quick && effect == Effect::default();
                        if waits { Ended::Over } else { self.save(&mut cx, effect).await? }
                    }
                },
                Err(error) if is_transient(&error) && failures(&cx.action, step.name()) < TRIES => {
                    let pause = PAUSE * 2_u32.pow(u32::try_from(failures(&cx.action, step.name())).unwrap_or(1) - 1);
                    tracing::warn!(error = %chain(&error), pause_ms = pause.as_millis(), "Step {} failed, trying again", step.name());
                    return self.postpone(&mut cx, pause).await;
                }
                Err(error) => {
                    let reason = format!("step {} failed: {}", step.name(), chain(&error));
                    tracing::warn!(reason, "Action {} failed", cx.action.id);
                    match step.compensation() {
                        None => {
                            let effect = step.aftermath(&cx).await;
                            return self.end(&mut cx, Some(reason), effect).await;
                        }
                        Some(back) => {
                            cx.action.step = back.name().to_owned();
                            cx.action.reason = Some(reason);
                            let told = step.told(&cx, &error);
                            self.save(&mut cx, told).await?
                        }
                    }
                }
            };
            if matches!(ended, Ended::Lost) || !self.goes_on(&cx, Point::Stored) {
                return Ok(Ended::Lost);
            }
        }
    }

    fn goes_on(&self, cx: &Context, point: Point) -> bool {
        self.probe.as_ref().is_none_or(|probe| probe.goes_on(&cx.action, point))
    }

    /// Runs `work`, renewing the lease for as long as that takes.
    async fn while_leased<T>(&self, cx: &Context, work: impl Future<Output = T>) -> T {
        let (clock, lease) = (self.control.clock(), self.control.config().lease);
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = clock.sleep_until(clock.now() + lease / 3) => {}
            }
            let (held, until) = ([(cx.action.id, cx.action.attempt)], clock.now() + lease);
            let store = &self.control.inner.store;
            let renewed: Result<(), Error> =
                store.write(move |tx: &mut dyn Tx| actions::action_renew(tx, &held, until).map_err(Error::from)).await;
            if let Err(error) = renewed {
                tracing::warn!(error = %chain(&error), "Cannot renew the lease of action {}", cx.action.id);
            }
        }
    }

    /// Lets go of the action until `pause` is over; any worker may then go on with it.
    async fn postpone(&self, cx: &mut Context, pause: Duration) -> Result<Ended, Error> {
        let clock = Arc::clone(self.control.clock());
        let until = clock.now() + pause;
        cx.action.leased_until = until;
        let ended = self.store_progress(cx, Effect::default()).await?;
        self.goes_on(cx, Point::Stored);
        if matches!(ended, Ended::Over) {
            let bell = Arc::clone(&self.control.inner.bell);
            tokio::spawn(async move {
                clock.sleep_until(until).await;
                bell.notify_one();
            });
        }
        Ok(Ended::Lost)
    }

    /// Stores the end of the action, with the reason when it failed.
    async fn end(&self, cx: &mut Context, failure: Option<String>, effect: Effect) -> Result<Ended, Error> {
        if let Some(failure) = failure {
            // Taking back what a failed step did may fail as well: both are told.
            cx.action.reason = Some(match cx.action.reason.take() {
                None => failure,
                Some(first) => format!("{first}; then {failure}"),
            });
        }
        let errored = cx.action.reason.is_some();
        cx.action.status = if errored { ActionStatus::Errored } else { ActionStatus::Completed };
        cx.action.completed_at = Some(self.control.now());
        let ended = self.save(cx, effect).await?;
        if matches!(ended, Ended::Over) {
            let elapsed_ms = self.control.now().since(cx.action.started_at).as_millis();
            tracing::debug!(elapsed_ms, "Action {} is {}", cx.action.id, cx.action.status);
        }
        let goes_on = self.goes_on(cx, Point::Stored);
        if goes_on
            && self.control.inner.restless.take(cx.droplet)
            && let Err(error) = self.control.look_at(cx.droplet).await
        {
            tracing::error!(error = %chain(&error), "Cannot look at Droplet {} again", cx.droplet);
        }
        Ok(ended)
    }

    /// Stores the action as it is now together with `effect`, if the claim still holds.
    ///
    /// A store that fails for now (its disk is full, its server starts anew) is asked again for as long as the claim lasts:
    /// what was done is then told soon after, and not done once more when the claim has run out.
    async fn save(&self, cx: &mut Context, effect: Effect) -> Result<Ended, Error> {
        // The lease moves only when half of it is gone: it is part of an index.
        let (now, lease) = (self.control.now(), self.control.config().lease);
        if cx.action.leased_until < now + lease / 2 {
            cx.action.leased_until = now + lease;
        }
        let clock = self.control.clock();
        let mut pause = SAVE_PAUSE;
        loop {
            match self.store_progress(cx, effect.clone()).await {
                Err(error) if is_transient(&error) && clock.now() + pause < cx.action.leased_until => {
                    let id = cx.action.id;
                    tracing::warn!(error = %chain(&error), pause_ms = pause.as_millis(), "Cannot store how action {id} goes, trying again");
                    clock.sleep_until(clock.now() + pause).await;
                    pause *= 2;
                }
                ended => return ended,
            }
        }
    }

    async fn store_progress(&self, cx: &Context, effect: Effect) -> Result<Ended, Error> {
        let action = cx.action.clone();
        let store = &self.control.inner.store;
        let kept = store.write(move |tx: &mut dyn Tx| effect::store(tx, &action, &effect)).await?;
        Ok(if kept { Ended::Over } else { Ended::Lost })
    }
}

/// How often this step failed so far, by the timeline, which survives a crash.
fn failures(action: &ActionRecord, step: &str) -> usize {
    action.timeline.iter().filter(|entry| entry.step == step && entry.error.is_some()).count()
}

pub(super) fn is_transient(error: &Error) -> bool {
    match error {
        Error::Engine(engine) => engine.is_transient(),
        Error::Store(_) => true,
        Error::Unauthenticated
        | Error::Forbidden(_)
        | Error::NotFound
        | Error::Malformed(_)
        | Error::Invalid(_)
        | Error::OutOfStock { .. }
        | Error::Busy
        | Error::Conflict(_)
        | Error::Precondition(_) => false,
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
