//! Durable work. An action is a row, a typed step and a lease; the worker claims it, does step after step, and stores each
//! result together with the next step. Killed anywhere, the next worker goes on from the stored step.
//!
//! ```text
//! accepted ──claim──> step 1 ──stored──> step 2 ──stored──> … ──stored──> completed
//!                        │ transient, or a panic: again after a pause, at most a few times
//!                        │ nothing, for the worker died or hung: again when its lease is over, up to a limit
//!                        └ for good: compensation if the flow has one, then errored with the reason
//! ```

mod change;
mod create;
mod destroy;
mod drive;
mod effect;
mod flow;
mod gpus;
mod image;
mod password;
pub(crate) mod policy;
mod power;
pub(crate) mod rebuild;
mod rename;
mod reserved_ip;
pub(crate) mod snapshot;
mod table;
mod teardown;
mod volume;
mod volume_snapshot;
mod worker;

pub(crate) use create::{CreateWish, PLACED};
pub(crate) use destroy::TEARDOWN;
pub use drive::TRIES;
pub(crate) use flow::{own_image, own_volume_image};
pub(crate) use reserved_ip::Pointing;
pub use table::{FLOWS, steps_of};
pub(crate) use volume::VolumeWish;
pub(crate) use volume_snapshot::SnapshotWish;
pub(crate) use worker::chain;
pub use worker::{Meddler, Point, Probe, Worker};

use std::net::IpAddr;

use dewpoint_api::{
    AccountId, ActionId, ActionKind, ActionStatus, DropletId, ImageId, PageRequest, RegionSlug, ResourceType, VolumeId,
    VolumeSnapshotId,
};
use dewpoint_clock::Timestamp;
use dewpoint_store::{ActionRecord, Page, Tx, actions, droplets};

use crate::{Control, Error, window};

/// What an action is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// A Droplet, which is locked while the action runs.
    Droplet(DropletId),
    /// An image of an account.
    Image(ImageId),
    /// A volume, and the Droplet that is locked for it, if one is.
    Volume(VolumeId, Option<DropletId>),
    /// A snapshot of a volume.
    VolumeSnapshot(VolumeSnapshotId),
    /// A reserved IP, and the Droplet that is locked for it, if one is.
    ReservedIp {
        /// The address.
        address: IpAddr,
        /// What actions call it.
        number: u64,
        /// The Droplet it is being assigned to.
        droplet: Option<DropletId>,
    },
}

/// What an action is recorded with.
#[derive(Debug)]
pub(crate) struct NewAction<'a> {
    pub(crate) id: ActionId,
    pub(crate) account: AccountId,
    pub(crate) kind: ActionKind,
    pub(crate) resource: Resource,
    pub(crate) region: Option<&'a RegionSlug>,
    /// The request as JSON, for the flow to read.
    pub(crate) request: &'a str,
    pub(crate) now: Timestamp,
}

/// The row of a new action: in progress, claimable at once, at its flow's first step.
pub(crate) fn new_action(new: &NewAction<'_>) -> ActionRecord {
    let (resource_type, resource_id, resource_uuid, droplet) = match new.resource {
        Resource::Droplet(id) => (ResourceType::Droplet, Some(id.0), None, Some(id)),
        Resource::Image(id) => (ResourceType::Image, Some(id.0), None, None),
        Resource::Volume(id, droplet) => (ResourceType::Volume, None, Some(id.0), droplet),
        Resource::VolumeSnapshot(id) => (ResourceType::VolumeSnapshot, None, Some(id.0), None),
        Resource::ReservedIp { address, number, droplet } => {
            let kind = if address.is_ipv6() { ResourceType::ReservedIpv6 } else { ResourceType::ReservedIp };
            (kind, Some(number), None, droplet)
        }
    };
    ActionRecord {
        id: new.id,
        account: new.account,
        resource_type,
        resource_id,
        resource_uuid,
        droplet,
        kind: new.kind.as_str().to_owned(),
        status: ActionStatus::InProgress,
        region: new.region.cloned(),
        request: new.request.to_owned(),
        step: steps_of(resource_type, new.kind).first().copied().unwrap_or(flow::NOTHING).to_owned(),
        timeline: Vec::new(),
        reason: None,
        leased_until: Timestamp::default(),
        attempt: 0,
        started_at: new.now,
        completed_at: None,
    }
}

/// The image that an action makes, whose row comes with the action's end; its request names it.
pub(crate) fn image_in_the_making(action: &ActionRecord) -> Option<ImageId> {
    #[derive(serde::Deserialize)]
    struct Making {
        image_in_the_making: ImageId,
    }
    serde_json::from_str(&action.request).ok().map(|request: Making| request.image_in_the_making)
}

impl Control {
    /// Sees to what would wait for a time that is far off again: no action stays leased for longer than a lease.
    pub async fn clock_was_set_back(&self) -> Result<(), Error> {
        let until = self.now() + self.config().lease;
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| actions::action_shorten_leases(tx, until).map_err(Error::from))
            .await
            .map(|_: u64| self.inner.bell.notify_one())
    }

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
