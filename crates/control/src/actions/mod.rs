//! Durable work. An action is a row, a typed step and a lease; the worker claims it, does step after step, and stores each
//! result together with the next step. Killed anywhere, the next worker goes on from the stored step.
//!
//! ```text
//! accepted ──claim──> step 1 ──stored──> step 2 ──stored──> … ──stored──> completed
//!                        │ transient: again after a pause, at most a few times
//!                        └ for good: compensation if the flow has one, then errored with the reason
//! ```

mod create;
mod destroy;
mod flow;
mod power;
mod rename;
mod worker;

pub(crate) use worker::chain;
pub use worker::{Point, Probe, Worker};

use dewpoint_api::{AccountId, ActionId, ActionKind, ActionStatus, DropletId, PageRequest, RegionSlug, ResourceType};
use dewpoint_clock::Timestamp;
use dewpoint_store::{ActionRecord, Page, Tx, actions, droplets};
use flow::Flow;

use crate::{Control, Error, window};

/// What an action on a Droplet is recorded with.
#[derive(Debug)]
pub(crate) struct NewAction<'a> {
    pub(crate) id: ActionId,
    pub(crate) account: AccountId,
    pub(crate) kind: ActionKind,
    pub(crate) droplet: DropletId,
    pub(crate) region: &'a RegionSlug,
    /// The request as JSON, for the flow to read.
    pub(crate) request: &'a str,
    pub(crate) now: Timestamp,
}

/// The row of a new action: in progress, claimable at once, at its flow's first step.
pub(crate) fn new_action(new: &NewAction<'_>) -> ActionRecord {
    ActionRecord {
        id: new.id,
        account: new.account,
        resource_type: ResourceType::Droplet,
        resource_id: Some(new.droplet.0),
        kind: new.kind.as_str().to_owned(),
        status: ActionStatus::InProgress,
        region: Some(new.region.clone()),
        request: new.request.to_owned(),
        step: first_step(new.kind).to_owned(),
        timeline: Vec::new(),
        reason: None,
        leased_until: Timestamp::default(),
        attempt: 0,
        started_at: new.now,
        completed_at: None,
    }
}

fn first_step(kind: ActionKind) -> &'static str {
    steps_of(kind).first().copied().unwrap_or(flow::NOTHING)
}

/// The names of the steps of an action of this kind, in order and with its compensation last; empty when it has nothing to do.
pub fn steps_of(kind: ActionKind) -> Vec<&'static str> {
    fn names<F: Flow>() -> Vec<&'static str> {
        F::STEPS.iter().map(|step| step.name()).collect()
    }
    match kind {
        ActionKind::Create => names::<create::CreateStep>(),
        ActionKind::Destroy => names::<destroy::DestroyStep>(),
        ActionKind::PowerOn => names::<power::PowerOnStep>(),
        ActionKind::PowerOff => names::<power::PowerOffStep>(),
        ActionKind::Shutdown => names::<power::ShutdownStep>(),
        ActionKind::Reboot => names::<power::RebootStep>(),
        ActionKind::PowerCycle => names::<power::PowerCycleStep>(),
        ActionKind::Rename => names::<rename::RenameStep>(),
        ActionKind::EnablePrivateNetworking => names::<rename::NothingStep>(),
        ActionKind::EnableBackups
        | ActionKind::DisableBackups
        | ActionKind::ChangeBackupPolicy
        | ActionKind::Restore
        | ActionKind::PasswordReset
        | ActionKind::Resize
        | ActionKind::Rebuild
        | ActionKind::ChangeKernel
        | ActionKind::EnableIpv6
        | ActionKind::Snapshot
        | ActionKind::Transfer
        | ActionKind::Convert
        | ActionKind::AttachVolume
        | ActionKind::DetachVolume
        | ActionKind::AssignIp
        | ActionKind::UnassignIp
        | ActionKind::ReserveIp
        | ActionKind::ReleaseIp => Vec::new(),
    }
}

impl Control {
    /// The account's actions, newest first.
    pub async fn action_list(&self, account: AccountId, page: PageRequest) -> Result<Page<ActionRecord>, Error> {
        self.inner.store.read(move |tx| actions::action_list(tx, account, window(page)).map_err(Error::from)).await
    }

    /// One action of any kind of resource (ACT-1).
    pub async fn action_get(&self, account: AccountId, id: ActionId) -> Result<ActionRecord, Error> {
        self.inner.store.read(move |tx: &mut dyn Tx| actions::action_get(tx, account, id)?.ok_or(Error::NotFound)).await
    }

    /// The actions of one Droplet, newest first.
    pub async fn droplet_action_list(
        &self,
        account: AccountId,
        droplet: DropletId,
        page: PageRequest,
    ) -> Result<Page<ActionRecord>, Error> {
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                droplets::droplet_get(tx, account, droplet)?.ok_or(Error::NotFound)?;
                Ok(actions::action_list_of(tx, account, ResourceType::Droplet, droplet.0, window(page))?)
            })
            .await
    }

    /// One action of one Droplet.
    pub async fn droplet_action_get(
        &self,
        account: AccountId,
        droplet: DropletId,
        id: ActionId,
    ) -> Result<ActionRecord, Error> {
        let action = self.action_get(account, id).await?;
        let of_droplet = action.resource_type == ResourceType::Droplet && action.resource_id == Some(droplet.0);
        if of_droplet { Ok(action) } else { Err(Error::NotFound) }
    }
}
