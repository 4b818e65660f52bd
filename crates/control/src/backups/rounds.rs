//! The rounds of the one who makes backups: begins those that are due, and removes those that are kept no longer.
//!
//! A round begins a backup and puts the Droplet's next one off in one transaction, so that no window has two, whoever dies
//! when. A Droplet that is busy is tried again while its window lasts. What nobody was there to begin is begun while its window
//! lasts, and otherwise left out.

use std::time::Duration;

use dewpoint_api::{ActionId, ActionKind, ImageId};
use dewpoint_clock::Timestamp;
use dewpoint_store::{DropletRecord, Sequence, Tx, actions, counters, droplets, images};
use tokio::sync::watch;

use super::{next_due, present_window};
use crate::{
    Control, Error,
    actions::{NewAction, Resource, chain, new_action, snapshot::Taking},
    droplets::backup_policy,
};

/// How many Droplets or images one transaction sees to.
const PAGE: u32 = 100;
/// After how long a Droplet that was busy is tried again.
const AGAIN: Duration = Duration::from_secs(5 * 60);
/// How long the one who makes backups sleeps at most: what was enabled meanwhile is found then, and windows are hours long.
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// What is to be done about a backup that is due. A pure choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// Begin it; the next one is due then.
    Begin { days: u32, next: Timestamp },
    /// Not now; look again then.
    Later(Timestamp),
    /// Backups are off.
    Off,
}

fn judge(droplet: &DropletRecord, now: Timestamp) -> Due {
    let Some(policy) = backup_policy(droplet) else { return Due::Off };
    let next = next_due(&policy, droplet.id, now);
    match present_window(&policy, now) {
        Some(_) if droplet.running_action.is_none() => Due::Begin { days: policy.retention_period_days, next },
        Some(window) if now + AGAIN < window.end => Due::Later(now + AGAIN),
        Some(_) | None => Due::Later(next),
    }
}

/// Begins or puts off what is due, a page of it; how many Droplets that were, and how many backups were begun.
fn begin_due(tx: &mut dyn Tx, now: Timestamp) -> Result<(usize, usize), Error> {
    let due = droplets::droplets_due_for_backup(tx, now, PAGE)?;
    let mut begun = 0;
    for droplet in &due {
        match judge(droplet, now) {
            Due::Begin { days, next } => {
                begin(tx, droplet, days, now)?;
                droplets::droplet_backup_due(tx, droplet.id, next)?;
                begun += 1;
            }
            Due::Later(next) => {
                tracing::info!(droplet.id = %droplet.id, at = %next, "The backup of Droplet {} is put off", droplet.id);
                droplets::droplet_backup_due(tx, droplet.id, next)?;
            }
            Due::Off => droplets::droplet_backup_off(tx, droplet.id)?,
        }
    }
    Ok((due.len(), begun))
}

fn begin(tx: &mut dyn Tx, droplet: &DropletRecord, days: u32, now: Timestamp) -> Result<(), Error> {
    let id = ActionId(counters::draw(tx, Sequence::Action, 1)?);
    if !droplets::droplet_lock(tx, droplet.id, id)? {
        return Err(Error::Busy);
    }
    let image_in_the_making = ImageId(counters::draw(tx, Sequence::Image, 1)?);
    let taking = Taking { image_in_the_making, name: name(droplet, now), days: Some(days) };
    let request =
        serde_json::to_string(&taking).map_err(|_| Error::Malformed("the request cannot be kept".to_owned()))?;
    let action = new_action(&NewAction {
        id,
        account: droplet.account,
        kind: ActionKind::Backup,
        resource: Resource::Droplet(droplet.id),
        region: Some(&droplet.region),
        request: &request,
        now,
    });
    Ok(actions::action_insert(tx, &action)?)
}

/// `web-1 2026-11-22 04:00 backup`
fn name(droplet: &DropletRecord, now: Timestamp) -> String {
    let minute: String = now.to_string().chars().take("2026-11-22T04:00".len()).collect();
    format!("{} {} backup", droplet.name, minute.replace('T', " "))
}

/// Deletes backups that are kept no longer, a page of them; how many that were. One in use waits for the next round.
fn remove_expired(tx: &mut dyn Tx, now: Timestamp) -> Result<usize, Error> {
    let mut removed = 0;
    for image in images::images_expired(tx, now, PAGE)? {
        if !images::image_is_in_use(tx, image.id)? {
            crate::images::delete(tx, &image, now)?;
            removed += 1;
        }
    }
    Ok(removed)
}

impl Control {
    /// Begins every backup that is due and removes every backup that is kept no longer. Returns when there will be more to do,
    /// as far as that is known now.
    pub async fn backup_round(&self) -> Result<Timestamp, Error> {
        let now = self.now();
        let store = &self.inner.store;
        loop {
            let (seen, begun) = store.write(move |tx: &mut dyn Tx| begin_due(tx, now)).await?;
            if begun > 0 {
                tracing::info!(begun, "Began {begun} backups");
                self.inner.bell.notify_one();
            }
            if seen < PAGE as usize {
                break;
            }
        }
        loop {
            let removed: usize = store.write(move |tx: &mut dyn Tx| remove_expired(tx, now)).await?;
            if removed == 0 {
                break;
            }
            tracing::info!(removed, "Removed {removed} backups whose time was over");
            self.inner.bell.notify_one();
        }
        let next: [Option<Timestamp>; 2] = store
            .read(|tx: &mut dyn Tx| Ok::<_, Error>([droplets::next_backup_due(tx)?, images::next_image_expiry(tx)?]))
            .await?;
        let known = next.into_iter().flatten().filter(|at| *at > now).min();
        Ok(known.unwrap_or(now + LONGEST).min(now + LONGEST))
    }

    /// Makes rounds until `stop` turns true.
    pub async fn make_backups(self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            match self.forget_round().await {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, "Forgot {rows} images and teardowns of long ago"),
                Err(error) => tracing::error!(error = %chain(&error), "Cannot forget what is long over"),
            }
            let next = self.backup_round().await.unwrap_or_else(|error| {
                tracing::error!(error = %chain(&error), "Cannot see to the backups");
                self.now() + LONGEST
            });
            tokio::select! {
                biased;
                () = self.clock().sleep_until(next) => {}
                _ = stop.changed() => {}
            }
        }
    }
}
