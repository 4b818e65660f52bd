//! Volumes: made, attached, detached, made larger, removed.
//!
//! A volume's row says where it belongs, and the engine follows. What another machine still has of a volume is a leftover of
//! something that was cut off or is about to be removed, and is taken from it first. Every flow but the last two begins with
//! [`make`], so none depends on the `create` of the volume being over.

use dewpoint_api::{DropletId, FilesystemType, VolumeId, VolumeSnapshotId};
use dewpoint_engine::{self as engine, Error as EngineError, Filesystem, FilesystemKind, MachineId, VolumeSpec};
use dewpoint_store::{Tx, VolumeRecord, actions, droplets, volume_snapshots, volumes};
use serde::{Deserialize, Serialize};

use super::{
    effect::{Also, Effect},
    flow::{Context, Flow, Named, own_volume_image},
};
use crate::Error;

/// What an action on a volume is accepted with.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct VolumeWish {
    /// `attach_volume`, `detach_volume`: the Droplet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) droplet: Option<DropletId>,
    /// `resize`: the new size in GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) size_gib: Option<u64>,
}

fn volume_of(cx: &Context) -> VolumeId {
    VolumeId(cx.action.resource_uuid.unwrap_or_default())
}

fn named(id: VolumeId) -> engine::VolumeId {
    engine::VolumeId(id.0)
}

/// The volume its row describes, as it was first made.
fn spec_of(record: &VolumeRecord) -> Result<VolumeSpec, Error> {
    let source = match record.source_snapshot {
        Some(id) => Some(own_volume_image(id).ok_or_else(|| Error::invalid("The snapshot has no name."))?),
        None => None,
    };
    let kind = record.filesystem_type.parse().ok().map(|kind| match kind {
        FilesystemType::Ext4 => FilesystemKind::Ext4,
        FilesystemType::Xfs => FilesystemKind::Xfs,
    });
    // A snapshot brings the file system it was taken with.
    let filesystem = kind.filter(|_| source.is_none());
    let filesystem = filesystem.map(|kind| Filesystem { kind, label: record.filesystem_label.clone() });
    Ok(VolumeSpec { name: record.name.clone(), size_gib: record.made_gib, filesystem, source })
}

/// A volume to make, and a snapshot to take of it then.
struct Making {
    volume: VolumeRecord,
    snapshot: Option<VolumeSnapshotId>,
}

/// What has to be made for this volume, itself last: it may start as a snapshot that is still being taken, of a volume that is
/// itself still being made. What was made already needs nothing. Empty when the volume's row is gone.
fn order_of_making(tx: &mut dyn Tx, id: VolumeId) -> Result<Vec<Making>, Error> {
    let mut order = Vec::new();
    let mut next = volumes::volume_any(tx, id)?.map(|volume| Making { volume, snapshot: None });
    while let Some(making) = next.take() {
        if let Some(source) = making.volume.source_snapshot.filter(|_| !making.volume.made) {
            let snapshot = volume_snapshots::volume_snapshot_any(tx, source)?.ok_or_else(source_gone)?;
            if !snapshot.available {
                let volume = volumes::volume_any(tx, snapshot.volume)?.ok_or_else(source_gone)?;
                next = Some(Making { volume, snapshot: Some(source) });
            }
        }
        order.push(making);
    }
    order.reverse();
    Ok(order)
}

fn source_gone() -> Error {
    Error::invalid("the snapshot that this volume was to start as came to nothing, so it cannot be made: delete it")
}

/// Makes sure that the engine has the volume, and first what it starts as; a volume that was made once is never made again.
/// Answers which were made now, to be recorded with the step; `None` when the volume's row is gone.
pub(super) async fn make(cx: &Context, id: VolumeId) -> Result<Option<Vec<VolumeId>>, Error> {
    let store = &cx.control.inner.store;
    let order: Vec<Making> = store.read(move |tx: &mut dyn Tx| order_of_making(tx, id)).await?;
    if order.is_empty() {
        return Ok(None);
    }
    let mut newly = Vec::new();
    for making in order {
        let volume = &making.volume;
        if !volume.made {
            cx.engine().ensure_volume(named(volume.id), &spec_of(volume)?).await?;
            newly.push(volume.id);
        }
        if let Some(snapshot) = making.snapshot {
            make_source(cx, volume.id, snapshot).await?;
        }
    }
    Ok(Some(newly))
}

/// Takes the snapshot that another volume is to start as. Nothing is locked for that: when the taking of the snapshot failed
/// meanwhile, or the volume is deleted, what was made of them here goes again. Whoever removes either loses its row first.
async fn make_source(cx: &Context, volume: VolumeId, snapshot: VolumeSnapshotId) -> Result<(), Error> {
    let image = own_volume_image(snapshot).ok_or_else(|| Error::invalid("The snapshot has no name."))?;
    cx.engine().snapshot_volume(named(volume), &image).await?;
    let store = &cx.control.inner.store;
    let rows = move |tx: &mut dyn Tx| {
        let snapshot = volume_snapshots::volume_snapshot_any(tx, snapshot)?.is_some();
        Ok::<_, Error>((volumes::volume_any(tx, volume)?.is_some(), snapshot))
    };
    let (has_volume, has_snapshot) = store.read(rows).await?;
    if !has_snapshot {
        cx.engine().remove_image(&image).await?;
    }
    if !has_volume {
        remove(cx, volume).await?;
    }
    if has_snapshot { Ok(()) } else { Err(source_gone()) }
}

/// What to write of volumes that were made now, before `also`.
pub(super) fn made_and(newly: Vec<VolumeId>, also: Option<Also>) -> Effect {
    let made = (!newly.is_empty()).then_some(Also::VolumesMade(newly));
    Effect { also: made.into_iter().chain(also).collect(), ..Effect::default() }
}

async fn row_of(cx: &Context, id: VolumeId) -> Result<Option<VolumeRecord>, Error> {
    cx.control.inner.store.read(move |tx: &mut dyn Tx| volumes::volume_any(tx, id).map_err(Error::from)).await
}

/// Attaches a volume that belongs to this machine's Droplet, or is about to, taking it from wherever it was left.
pub(super) async fn give(cx: &Context, id: VolumeId, machine: MachineId) -> Result<(), Error> {
    match cx.engine().attach(named(id), machine).await {
        Err(EngineError::VolumeElsewhere { machine: other, .. }) => {
            take_leftover(cx, id, other).await?;
            Ok(cx.engine().attach(named(id), machine).await?)
        }
        other => Ok(other?),
    }
}

/// Takes the volume from a machine whose Droplet it does not belong to. A machine whose Droplet is gone goes altogether: its
/// own destroy finds that done, and the guest is not asked to let go.
async fn take_leftover(cx: &Context, id: VolumeId, from: MachineId) -> Result<(), Error> {
    let (holder, action) = (DropletId(from.0), cx.action.clone());
    let read = move |tx: &mut dyn Tx| {
        let mine = actions::action_get(tx, action.account, action.id)?
            .is_some_and(|now| now.attempt == action.attempt && now.status == action.status);
        let belongs = volumes::volume_any(tx, id)?.is_some_and(|volume| volume.droplet == Some(holder));
        Ok::<_, Error>((mine && !belongs, droplets::droplet_of_machine(tx, holder)?.is_none()))
    };
    let (leftover, droplet_is_gone) = cx.control.inner.store.read(read).await?;
    if !leftover {
        // Another worker has the action by now, or the books say that the volume is where it should be.
        return Err(EngineError::VolumeElsewhere { volume: named(id), machine: from }.into());
    }
    tracing::info!(volume.id = %id, machine = %from, "Taking volume {id} from machine {from}, to which it does not belong");
    if droplet_is_gone && cx.engine().destroy(from).await.is_ok() {
        return Ok(());
    }
    Ok(cx.engine().detach(named(id), from).await?)
}

/// Removes a volume that has no row any more, or is about to lose it.
pub(super) async fn remove(cx: &Context, id: VolumeId) -> Result<(), Error> {
    match cx.engine().remove_volume(named(id)).await {
        Err(EngineError::VolumeElsewhere { machine, .. }) => {
            take_leftover(cx, id, machine).await?;
            Ok(cx.engine().remove_volume(named(id)).await?)
        }
        other => Ok(other?),
    }
}

/// `create`: make it. When that fails for good the row stays, since it was acknowledged, for as long as it can still be made:
/// an attach tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CreateStep;

impl Flow for CreateStep {
    const STEPS: &'static [Named<Self>] = &[(Self, "make")];

    async fn run(self, cx: &Context) -> Result<Effect, Error> {
        let id = volume_of(cx);
        let newly = make(cx, id).await?.unwrap_or_default();
        // Nothing locks a volume that is being made: one that was deleted meanwhile is taken back.
        if row_of(cx, id).await?.is_none() {
            remove(cx, id).await?;
        }
        Ok(made_and(newly, None))
    }

    /// A volume whose source came to nothing goes, since nothing can ever make it.
    async fn aftermath(self, cx: &Context) -> Effect {
        let id = volume_of(cx);
        let store = &cx.control.inner.store;
        let order: Result<Vec<Making>, Error> = store.read(move |tx: &mut dyn Tx| order_of_making(tx, id)).await;
        match order {
            Err(Error::Invalid(_)) => Also::ForgetVolume(id).into(),
            Ok(_) | Err(_) => Effect::default(),
        }
    }
}

/// `destroy`: remove the volume of a row that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DestroyStep;

impl Flow for DestroyStep {
    const STEPS: &'static [Named<Self>] = &[(Self, "remove")];

    async fn run(self, cx: &Context) -> Result<Effect, Error> {
        remove(cx, volume_of(cx)).await?;
        Ok(Effect::default())
    }
}

/// `attach_volume`: Droplet and volume are locked. The row says so when the engine has done it, and never before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttachStep {
    Attach,
    /// Compensation: what may have been attached is detached.
    TakeBack,
}

impl Flow for AttachStep {
    const STEPS: &'static [Named<Self>] = &[(Self::Attach, "attach")];
    const BACK: Option<Named<Self>> = Some((Self::TakeBack, "take-back"));

    async fn run(self, cx: &Context) -> Result<Effect, Error> {
        let id = volume_of(cx);
        match self {
            Self::Attach => {
                let newly = make(cx, id).await?.ok_or(Error::NotFound)?;
                give(cx, id, cx.machine()).await?;
                Ok(made_and(newly, Some(Also::VolumeIsAt(id, Some(cx.droplet)))))
            }
            Self::TakeBack => {
                cx.engine().detach(named(id), cx.machine()).await?;
                Ok(Effect::default())
            }
        }
    }

    async fn aftermath(self, cx: &Context) -> Effect {
        as_observed(cx).await
    }
}

/// `detach_volume`: Droplet and volume are locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DetachStep;

impl Flow for DetachStep {
    const STEPS: &'static [Named<Self>] = &[(Self, "detach")];

    async fn run(self, cx: &Context) -> Result<Effect, Error> {
        let id = volume_of(cx);
        cx.engine().detach(named(id), cx.machine()).await?;
        Ok(Also::VolumeIsAt(id, None).into())
    }

    async fn aftermath(self, cx: &Context) -> Effect {
        as_observed(cx).await
    }
}

/// Where the engine has the volume after a failure: at the Droplet of the action, or not.
async fn as_observed(cx: &Context) -> Effect {
    let id = volume_of(cx);
    match cx.engine().observe_volume(named(id)).await {
        Ok(Some(seen)) if seen.machine == Some(cx.machine()) => Also::VolumeIsAt(id, Some(cx.droplet)).into(),
        Ok(Some(_) | None) => Also::VolumeIsAt(id, None).into(),
        // The engine cannot tell: what the row says stands, and the next attach or detach finds out.
        Err(_) => Effect::default(),
    }
}

/// `resize`: the volume is locked, and only ever grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResizeStep;

impl Flow for ResizeStep {
    const STEPS: &'static [Named<Self>] = &[(Self, "resize")];

    async fn run(self, cx: &Context) -> Result<Effect, Error> {
        let id = volume_of(cx);
        let wish: VolumeWish = cx.request()?;
        let size = wish.size_gib.ok_or_else(|| Error::invalid("size_gigabytes is required."))?;
        let newly = make(cx, id).await?.ok_or(Error::NotFound)?;
        cx.engine().resize_volume(named(id), size).await?;
        Ok(made_and(newly, Some(Also::VolumeGrew(id, size))))
    }

    async fn aftermath(self, cx: &Context) -> Effect {
        let id = volume_of(cx);
        match cx.engine().observe_volume(named(id)).await {
            Ok(Some(seen)) => Also::VolumeGrew(id, seen.size_gib).into(),
            Ok(None) | Err(_) => Effect::default(),
        }
    }
}
