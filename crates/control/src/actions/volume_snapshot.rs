//! Snapshots of volumes: taken, removed.

use dewpoint_api::{VolumeId, VolumeSnapshotId};
use dewpoint_engine as engine;
use dewpoint_store::{Tx, VolumeSnapshotRecord, volume_snapshots};
use serde::{Deserialize, Serialize};

use super::{
    effect::{Also, Effect},
    flow::{Context, Flow, Named, own_volume_image},
    volume,
};
use crate::Error;

/// What a `snapshot` of a volume is accepted with.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct SnapshotWish {
    /// The row that was made for it.
    pub(crate) snapshot: VolumeSnapshotId,
}

async fn remove_image(cx: &Context, id: VolumeSnapshotId) -> Result<(), Error> {
    match own_volume_image(id) {
        Some(image) => Ok(cx.engine().remove_image(&image).await?),
        None => Ok(()),
    }
}

/// `snapshot`, of a volume that is locked meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TakeStep {
    Take,
    /// Compensation: there is no snapshot.
    Discard,
}

impl Flow for TakeStep {
    const STEPS: &'static [Named<Self>] = &[(Self::Take, "take")];
    const BACK: Option<Named<Self>> = Some((Self::Discard, "discard"));

    async fn run(self, cx: &Context) -> Result<Effect, Error> {
        let SnapshotWish { snapshot } = cx.request()?;
        match self {
            Self::Take => take(cx, snapshot).await,
            Self::Discard => {
                remove_image(cx, snapshot).await?;
                Ok(Effect::default())
            }
        }
    }

    /// The row goes before the image does, so that nobody who makes a volume from it takes it anew behind its removal. What
    /// the engine keeps of it after all is nobody's, and goes at the next start.
    fn told(self, cx: &Context, _: &Error) -> Effect {
        cx.request::<SnapshotWish>().map(|wish| Also::ForgetVolumeSnapshot(wish.snapshot).into()).unwrap_or_default()
    }
}

async fn take(cx: &Context, id: VolumeSnapshotId) -> Result<Effect, Error> {
    let image = own_volume_image(id).ok_or_else(|| Error::invalid("The snapshot has no name."))?;
    let volume = VolumeId(cx.action.resource_uuid.unwrap_or_default());
    let newly = volume::make(cx, volume).await?.ok_or(Error::NotFound)?;
    let facts = cx.engine().snapshot_volume(engine::VolumeId(volume.0), &image).await?;
    // Nothing keeps its owner from deleting it while it is taken.
    let store = &cx.control.inner.store;
    let row: Option<VolumeSnapshotRecord> =
        store.read(move |tx: &mut dyn Tx| volume_snapshots::volume_snapshot_any(tx, id).map_err(Error::from)).await?;
    if row.is_none() {
        remove_image(cx, id).await?;
    }
    Ok(volume::made_and(newly, Some(Also::VolumeSnapshotMade(id, facts.stored_bytes))))
}

/// `destroy`: remove the image of a snapshot whose row is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DestroyStep;

impl Flow for DestroyStep {
    const STEPS: &'static [Named<Self>] = &[(Self, "remove")];

    async fn run(self, cx: &Context) -> Result<Effect, Error> {
        remove_image(cx, VolumeSnapshotId(cx.action.resource_uuid.unwrap_or_default())).await?;
        Ok(Effect::default())
    }
}
