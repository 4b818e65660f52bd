//! From active to ready: SSH answers, and the guest has said how its user data went.

use dewpoint_api::DropletId;
use dewpoint_clock::Timestamp;
use dewpoint_engine::{Error as EngineError, MachineId, Readiness, UserDataOutcome};
use dewpoint_store::{DropletRecord, ReadinessState, Tx, droplets, droplets::DropletChange};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{Control, Error, actions::chain};

/// What a look at the guest says about a Droplet's readiness; a pure judgement. `None` while there is something to wait for.
fn judge(readiness: &Readiness, waited_too_long: bool) -> Option<(ReadinessState, Option<String>)> {
    match (&readiness.user_data, readiness.ssh) {
        (UserDataOutcome::Done, true) => Some((ReadinessState::Ready, None)),
        (UserDataOutcome::Failed(why), true) => Some((ReadinessState::Failed, Some(why.clone()))),
        (UserDataOutcome::Unsupported, true) => Some((ReadinessState::Unsupported, None)),
        (UserDataOutcome::Pending, true) if waited_too_long => Some((ReadinessState::Unknown, None)),
        (_, false) if waited_too_long => Some((ReadinessState::Unknown, Some("SSH did not answer in time".to_owned()))),
        (UserDataOutcome::Pending, true) | (_, false) => None,
    }
}

/// Looks once, right after the boot, so that an instant machine needs no second write; otherwise a watch begins.
pub(crate) async fn first_look(control: &Control, id: DropletId, change: &mut DropletChange) {
    let now = control.now();
    let look = match control.inner.engine.is_ready_at_once() {
        true => Ok(Readiness { ssh: true, user_data: UserDataOutcome::Done }),
        false => control.inner.engine.readiness(MachineId(id.0)).await,
    };
    match look.as_ref().ok().and_then(|readiness| judge(readiness, false)) {
        Some((state, detail)) => {
            change.ssh_at = Some(now);
            change.readiness = Some((state, detail, now));
        }
        None => watch(control.clone(), id, now),
    }
}

/// Watches a Droplet until it is ready, gone, or the limit has passed.
pub(crate) fn watch(control: Control, id: DropletId, since: Timestamp) {
    tokio::spawn(async move {
        // Once all state was replaced, the watches of before are not about it: new ones begin.
        let mut held = control.inner.world.times_held();
        let ended = tokio::select! {
            biased;
            _ = held.changed() => return,
            ended = until_ready(&control, id, since) => ended,
        };
        if let Err(error) = ended {
            tracing::warn!(droplet.id = %id, error = %chain(&error), "Cannot tell whether Droplet {id} is ready");
        }
    });
}

/// How often a guest is looked at when it says nothing by itself.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(250);

async fn until_ready(control: &Control, id: DropletId, since: Timestamp) -> Result<(), Error> {
    let (engine, clock) = (&control.inner.engine, control.clock());
    let deadline = since + control.config().readiness_limit;
    let mut changes = engine.changes();
    let mut ssh_seen = ssh_was_seen(control, id).await?;
    loop {
        let now = clock.now();
        let readiness = match engine.readiness(MachineId(id.0)).await {
            Ok(readiness) => readiness,
            Err(EngineError::NoSuchMachine(_)) => return Ok(()),
            // It cannot tell just now, which the limit bounds as well.
            Err(error) if error.is_transient() => Readiness { ssh: false, user_data: UserDataOutcome::Pending },
            Err(other) => return Err(other.into()),
        };
        let verdict = judge(&readiness, now >= deadline);
        if verdict.is_some() || readiness.ssh && !ssh_seen {
            let ssh_at = (readiness.ssh && !ssh_seen).then(|| clock.now());
            ssh_seen |= readiness.ssh;
            let over = verdict.is_some();
            let readiness = verdict.map(|(state, detail)| (state, detail, clock.now()));
            let change = DropletChange { ssh_at, readiness, ..DropletChange::default() };
            let store = &control.inner.store;
            let there: bool = store
                .write(move |tx: &mut dyn Tx| droplets::droplet_change(tx, id, &change).map_err(Error::from))
                .await?;
            if over || !there {
                return Ok(());
            }
        }
        tokio::select! {
            biased;
            () = change_of(&mut changes, MachineId(id.0)) => {}
            () = clock.sleep_until(clock.now() + LOOK_EVERY) => {}
        }
    }
}

/// Whether SSH answered already, as a watch of an earlier server saw it.
async fn ssh_was_seen(control: &Control, id: DropletId) -> Result<bool, Error> {
    let store = &control.inner.store;
    let record: Option<DropletRecord> =
        store.read(move |tx: &mut dyn Tx| droplets::droplet_of_machine(tx, id).map_err(Error::from)).await?;
    Ok(record.is_some_and(|record| record.ssh_at.is_some()))
}

/// Returns when this machine changed by itself, or may have. Never, when nobody tells any more: then the timer decides.
async fn change_of(changes: &mut broadcast::Receiver<MachineId>, machine: MachineId) {
    loop {
        match changes.recv().await {
            Ok(changed) if changed == machine => return,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Begins to watch every Droplet whose readiness was still awaited when the last server stopped. What is left of their time
/// counts from when they became active.
pub(crate) async fn resume(control: &Control) -> Result<(), Error> {
    const PAGE: u32 = 500;
    let mut after = DropletId(0);
    loop {
        let store = &control.inner.store;
        let waiting: Vec<(DropletId, Timestamp)> = store
            .read(move |tx: &mut dyn Tx| droplets::droplet_not_ready(tx, after, PAGE).map_err(Error::from))
            .await?;
        let Some((last, _)) = waiting.last() else { return Ok(()) };
        after = *last;
        for (id, active_at) in waiting {
            watch(control.clone(), id, active_at);
        }
    }
}

/// The times `/dew/v1/droplets/{id}` tells, in the order they come.
pub fn milestones(record: &DropletRecord) -> [(&'static str, Option<Timestamp>); 6] {
    [
        ("accepted", Some(record.created_at)),
        ("placed", record.placed_at),
        ("started", record.started_at),
        ("active", record.active_at),
        ("ssh", record.ssh_at),
        ("ready", record.ready_at),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_droplet_is_ready_when_ssh_answers_and_user_data_has_run() {
        let look = |ssh, user_data| judge(&Readiness { ssh, user_data }, false).map(|(state, _)| state);
        assert_eq!(look(true, UserDataOutcome::Done), Some(ReadinessState::Ready));
        assert_eq!(look(false, UserDataOutcome::Done), None);
        assert_eq!(look(true, UserDataOutcome::Pending), None);
        assert_eq!(look(true, UserDataOutcome::Failed("exit 1".into())), Some(ReadinessState::Failed));
        assert_eq!(look(true, UserDataOutcome::Unsupported), Some(ReadinessState::Unsupported));
    }

    #[test]
    fn a_guest_that_never_reports_is_unknown_after_the_limit() {
        let silent = Readiness { ssh: true, user_data: UserDataOutcome::Pending };
        assert_eq!(judge(&silent, true), Some((ReadinessState::Unknown, None)));
    }
}
