//! What a step's end writes beside the action itself, in the same transaction.

use std::net::IpAddr;

use dewpoint_api::{
    ActionKind, ActionStatus, DropletId, ImageId, RegionSlug, ResourceType, VolumeId, VolumeSnapshotId,
};
use dewpoint_store::{
    ActionRecord, Family, ImageRecord, Tx, actions, addresses, droplets, droplets::DropletChange, images,
    images::ImageChange, reserved_ips, volume_snapshots, volumes,
};

use super::teardown;
use crate::{
    Error,
    passwords::{self, Password},
    stock::{self, Parking},
};

/// What a step's end writes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Effect {
    /// To the Droplet the action is done to, or that is locked for it.
    pub(crate) change: DropletChange,
    /// To anything else, in this order.
    pub(crate) also: Vec<Also>,
}

impl Effect {
    /// Whether what it writes changes links of Droplets, which the wire has to follow.
    pub(super) fn changes_links(&self) -> bool {
        self.change.public_v4.is_some() || self.change.public_v6.is_some() || self.gives_back()
    }

    /// Whether a Droplet is gone by it, or its machine: others may wait for what it had.
    pub(super) fn gives_back(&self) -> bool {
        let gone = |also: &Also| {
            matches!(
                also,
                Also::RemoveDroplet
                    | Also::ForgetDroplet
                    | Also::ReleaseAddresses
                    | Also::EndTeardown
                    | Also::LetGoOfGpus
            )
        };
        self.also.iter().any(gone)
    }

    /// Whether a GPU may be kept out of stock by it.
    pub(super) fn parks_gpus(&self) -> bool {
        self.also.iter().any(|also| matches!(also, Also::ParkGpus(_)))
    }
}

/// What else goes with it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Also {
    /// The Droplet is removed and its addresses are given back.
    RemoveDroplet,
    /// The Droplet is removed. Its addresses stay held, since its machine may still have them; the next start sees to both.
    ForgetDroplet,
    /// The addresses of a Droplet that is gone are given back.
    ReleaseAddresses,
    /// GPUs that the Droplet has are kept out of stock: it comes before they are given back.
    ParkGpus(Parking),
    /// The Droplet has no GPUs any more, though it is there.
    LetGoOfGpus,
    /// An image that was taken is there.
    AddImage(Box<ImageRecord>),
    /// The Droplet's root has another password, to be shown once.
    KeepPassword(Password),
    /// A Droplet's destroy with what belongs to it is over.
    EndTeardown,
    /// An image changes, if it is still there.
    Image(ImageId, ImageChange),
    /// An image can be used in one more region.
    ImageRegion(ImageId, RegionSlug),
    /// A backup becomes a snapshot.
    ConvertImage(ImageId),
    /// The action's volume is attached to this Droplet, or to none.
    VolumeIsAt(VolumeId, Option<DropletId>),
    /// The engine has made these volumes.
    VolumesMade(Vec<VolumeId>),
    /// A volume that was never made will never be: it goes, unless something else has it now.
    ForgetVolume(VolumeId),
    /// A volume is this large now, in GiB.
    VolumeGrew(VolumeId, u64),
    /// A snapshot of a volume is whole, and takes this many bytes.
    VolumeSnapshotMade(VolumeSnapshotId, u64),
    /// An address that was reserved leads nowhere any more, and may be given again after a while.
    RestAddress(IpAddr),
    /// A snapshot of a volume came to nothing.
    ForgetVolumeSnapshot(VolumeSnapshotId),
}

impl From<DropletChange> for Effect {
    fn from(change: DropletChange) -> Self {
        Self { change, also: Vec::new() }
    }
}

impl From<Also> for Effect {
    fn from(also: Also) -> Self {
        Self { change: DropletChange::default(), also: vec![also] }
    }
}

/// Stores the action as it is now with what its step writes, if the claim still holds; whether it did.
pub(super) fn store(tx: &mut dyn Tx, action: &ActionRecord, effect: &Effect) -> Result<bool, Error> {
    if !actions::action_save(tx, action)? {
        return Ok(false);
    }
    if let Some(droplet) = action.droplet {
        let mut change = effect.change.clone();
        change.unlock = is_over(action).then_some(action.id);
        droplets::droplet_change(tx, droplet, &change)?;
        if is_over(action) && action.kind == ActionKind::Resize.as_str() {
            stock::settle_room(tx, droplet)?;
        }
    }
    for also in &effect.also {
        apply(tx, action, also)?;
    }
    if is_over(action) {
        unlock(tx, action)?;
    }
    Ok(true)
}

/// Frees what the action had locked beside a Droplet.
fn unlock(tx: &mut dyn Tx, action: &ActionRecord) -> Result<(), Error> {
    match (action.resource_type, action.resource_uuid, action.resource_id) {
        (ResourceType::Volume, Some(volume), _) => volumes::volume_unlock(tx, VolumeId(volume), action.id)?,
        (ResourceType::ReservedIp, _, Some(number)) => {
            reserved_ips::reserved_ip_unlock(tx, Family::V4, number, action.id)?;
        }
        (ResourceType::ReservedIpv6, _, Some(number)) => {
            reserved_ips::reserved_ip_unlock(tx, Family::V6, number, action.id)?;
        }
        _ => {}
    }
    Ok(())
}

fn is_over(action: &ActionRecord) -> bool {
    action.status != ActionStatus::InProgress
}

fn apply(tx: &mut dyn Tx, action: &ActionRecord, also: &Also) -> Result<(), Error> {
    let droplet = action.droplet.unwrap_or_default();
    let now = action.completed_at.unwrap_or(action.started_at);
    match also {
        Also::RemoveDroplet => {
            droplets::droplet_delete(tx, droplet)?;
            addresses::address_release_all(tx, droplet, now)?;
            stock::release(tx, droplet)?;
        }
        Also::ForgetDroplet => {
            droplets::droplet_delete(tx, droplet)?;
        }
        Also::ReleaseAddresses => {
            addresses::address_release_all(tx, droplet, now)?;
            stock::release(tx, droplet)?;
        }
        Also::ParkGpus(parking) => stock::park(tx, droplet, parking)?,
        Also::LetGoOfGpus => stock::let_go(tx, droplet)?,
        Also::AddImage(image) => images::image_insert(tx, image)?,
        Also::KeepPassword(password) => {
            passwords::keep(tx, droplet, password, now)?;
        }
        Also::EndTeardown => teardown::end(tx, action, droplet)?,
        Also::Image(id, change) => {
            images::image_change(tx, *id, change)?;
        }
        Also::ImageRegion(id, region) => add_region(tx, *id, region)?,
        Also::ConvertImage(id) => {
            images::image_convert(tx, *id)?;
        }
        Also::VolumeIsAt(volume, place) => {
            volumes::volume_move(tx, *volume, action.id, *place)?;
        }
        Also::VolumesMade(made) => {
            for volume in made {
                volumes::volume_made(tx, *volume)?;
            }
        }
        Also::ForgetVolume(volume) => {
            volumes::volume_forget(tx, *volume)?;
        }
        Also::VolumeGrew(volume, size_gib) => volumes::volume_grow(tx, *volume, *size_gib)?,
        Also::VolumeSnapshotMade(snapshot, size_bytes) => {
            volume_snapshots::volume_snapshot_made(tx, *snapshot, *size_bytes)?;
        }
        Also::RestAddress(address) => reserved_ips::reserved_ip_rest(tx, *address, now)?,
        Also::ForgetVolumeSnapshot(snapshot) => {
            volume_snapshots::volume_snapshot_delete(tx, *snapshot)?;
        }
    }
    Ok(())
}

fn add_region(tx: &mut dyn Tx, id: ImageId, region: &RegionSlug) -> Result<(), Error> {
    let Some(image) = images::image_any(tx, id)? else { return Ok(()) };
    let mut regions = image.regions;
    if !regions.contains(region) {
        regions.push(region.clone());
        images::image_change(tx, id, &ImageChange { regions: Some(regions), ..ImageChange::default() })?;
    }
    Ok(())
}
