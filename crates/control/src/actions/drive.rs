//! How an action is driven: step after step, each result stored with the next step, while the claim holds.

use std::{
    any::Any,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use dewpoint_api::ActionStatus;
use dewpoint_store::{ActionRecord, TimelineEntry, Tx, actions};

use super::{
    effect::{self, Effect},
    flow::{Context, Flow},
    worker::{Ended, Point, Worker, chain},
};
use crate::Error;

/// How often a step that fails transiently is tried in all.
pub const TRIES: usize = 5;
/// A step that took less than this may leave storing its result to the next one ([`Flow::can_wait`]).
const QUICK: Duration = Duration::from_millis(20);
/// The pause after the first transient failure; it doubles with each.
const PAUSE: Duration = Duration::from_secs(1);
/// The pause after the store failed the first time to take a result; it doubles with each.
const SAVE_PAUSE: Duration = Duration::from_millis(100);

impl Worker {
    /// Does step after step of a flow, storing each result.
    pub(super) async fn steps<F: Flow>(&self, mut cx: Context) -> Result<Ended, Error> {
        loop {
            let Some(step) = F::named(&cx.action.step) else {
                return self.end(&mut cx, Some("the stored step is unknown".to_owned()), Effect::default()).await;
            };
            if !step.is_for(&cx)
                && let Some(first) = next_for(step, &cx)
            {
                // The first step of its kind, and this action does not have it.
                cx.action.step = first.name().to_owned();
                continue;
            }
            if !self.goes_on(&cx, Point::Before) || !self.still_has(&cx).await {
                return Ok(Ended::Lost);
            }
            let began = self.control.now();
            let work = async {
                self.check_losses(&cx)?;
                if let Some(meddler) = &self.meddler {
                    meddler.before_step(&cx.action).await?;
                }
                step.run(&cx).await
            };
            let result = self.while_leased(&cx, unwound(work)).await;
            if !self.goes_on(&cx, Point::Done) {
                return Ok(Ended::Lost);
            }
            if matches!(result, Err(Error::SetAside)) {
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
                Ok(effect) => match next_for(step, &cx) {
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

    /// Whether the action is still this worker's. One that was held up beyond its lease must not begin a step that another
    /// has done by now.
    async fn still_has(&self, cx: &Context) -> bool {
        let now = self.control.now();
        if now < cx.action.leased_until {
            return true;
        }
        let (held, until) = ([(cx.action.id, cx.action.attempt)], now + self.control.config().lease);
        let store = &self.control.inner.store;
        let renewed: Result<u64, Error> =
            store.write(move |tx: &mut dyn Tx| actions::action_renew(tx, &held, until).map_err(Error::from)).await;
        renewed.unwrap_or_else(|error| {
            tracing::warn!(error = %chain(&error), "Cannot renew the lease of action {}", cx.action.id);
            0
        }) > 0
    }

    /// Fails once too many attempts came to nothing that anybody recorded: the server died of it, or hung, each time. Taking
    /// back what was done may then be tried as often again.
    fn check_losses(&self, cx: &Context) -> Result<(), Error> {
        let recorded = cx.action.timeline.iter().filter(|entry| entry.error.is_some()).count();
        let lost = cx.action.attempt.saturating_sub(1).saturating_sub(u64::try_from(recorded).unwrap_or(u64::MAX));
        let most = self.control.config().lost_attempts_most * if cx.action.reason.is_some() { 2 } else { 1 };
        if lost <= most {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "given up after {lost} attempts that nobody finished: the server stopped, hung or lost its store each time"
        )))
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
            let renewed: Result<u64, Error> =
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
        let (changes_links, gives_back, parks) = (effect.changes_links(), effect.gives_back(), effect.parks_gpus());
        let kept = store.write(move |tx: &mut dyn Tx| effect::store(tx, &action, &effect)).await?;
        if changes_links {
            self.control.links_changed();
        }
        if gives_back {
            self.control.inner.bell.notify_one();
        }
        if parks && let Err(error) = self.control.look_for_trouble().await {
            // It is looked at again by and by.
            tracing::warn!(error = %chain(&error), "Cannot tell which GPUs are parked");
        }
        Ok(if kept { Ended::Over } else { Ended::Lost })
    }
}

/// The step of this action after that one; `None` after its last.
fn next_for<F: Flow>(step: F, cx: &Context) -> Option<F> {
    let mut next = step.next()?;
    while !next.is_for(cx) {
        next = next.next()?;
    }
    Some(next)
}

/// Does `work`; a panic in it is its error.
async fn unwound<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let mut work = pin!(work);
    // It is dropped right after, and what it borrows holds no half-made state: rows are written in transactions.
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(polled) => polled,
        Err(panic) => Poll::Ready(Err(Error::Panicked(words_of(&*panic)))),
    })
    .await
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_else(|| "a panic".to_owned())
}

/// Whether a failure of the step that is under way now would be its last, though it might pass.
pub(super) fn is_last_try(action: &ActionRecord) -> bool {
    failures(action, &action.step) + 1 >= TRIES
}

/// How often this step failed so far, by the timeline, which survives a crash.
fn failures(action: &ActionRecord, step: &str) -> usize {
    action.timeline.iter().filter(|entry| entry.step == step && entry.error.is_some()).count()
}

pub(super) fn is_transient(error: &Error) -> bool {
    match error {
        Error::Engine(engine) => engine.is_transient(),
        Error::Store(_) | Error::Panicked(_) => true,
        Error::Unauthenticated
        | Error::Forbidden(_)
        | Error::NotFound
        | Error::Malformed(_)
        | Error::Invalid(_)
        | Error::OutOfStock { .. }
        | Error::SetAside
        | Error::Busy
        | Error::Conflict(_)
        | Error::Precondition(_) => false,
    }
}
