//! Snapshots of volumes: asked for, seen, deleted.

use dewpoint_api::{
    AccountId, ActionKind, PageRequest, TagName, VolumeId, VolumeSnapshotCreateRequest, VolumeSnapshotId, rules,
};
use dewpoint_clock::Timestamp;
use dewpoint_store::{
    Page, Tx, VolumeRecord, VolumeSnapshotRecord, Window, tags, tags::Tagged, volume_snapshots, volumes,
};

use super::{act::lock, record_unlocked};
use crate::{
    Control, Error,
    actions::{Resource, SnapshotWish},
    window,
};

/// A snapshot of a volume and its tags.
#[derive(Clone, Debug)]
pub struct VolumeSnapshotView {
    /// The row.
    pub record: VolumeSnapshotRecord,
    /// Its tags.
    pub tags: Vec<TagName>,
}

/// Most characters of a snapshot's name (our choice).
const NAME_MAX: usize = 255;

fn checked_name(name: &str) -> Result<(), Error> {
    if name.trim().is_empty() {
        return Err(Error::invalid("name is required and cannot be empty."));
    }
    if name.chars().count() > NAME_MAX {
        return Err(Error::invalid(format!("name is too long (maximum is {NAME_MAX} characters).")));
    }
    Ok(())
}

pub(crate) fn volume_snapshot_views(
    tx: &mut dyn Tx,
    records: Vec<VolumeSnapshotRecord>,
) -> Result<Vec<VolumeSnapshotView>, Error> {
    let ids: Vec<VolumeSnapshotId> = records.iter().map(|record| record.id).collect();
    let mut tags = tags::tags_of_volume_snapshots(tx, &ids)?;
    let view =
        |record: VolumeSnapshotRecord| VolumeSnapshotView { tags: tags.remove(&record.id).unwrap_or_default(), record };
    Ok(records.into_iter().map(view).collect())
}

/// One part of the account's list, oldest first; for lists that have more than these.
pub(crate) fn volume_snapshot_page(
    tx: &mut dyn Tx,
    account: AccountId,
    window: Window,
) -> Result<Page<VolumeSnapshotView>, Error> {
    let found = volume_snapshots::volume_snapshot_list(tx, account, window)?;
    Ok(Page { rows: volume_snapshot_views(tx, found.rows)?, total: found.total })
}

/// One snapshot, if it is there for `account`.
pub(crate) fn volume_snapshot_view(
    tx: &mut dyn Tx,
    account: AccountId,
    id: VolumeSnapshotId,
) -> Result<VolumeSnapshotView, Error> {
    let record = volume_snapshots::volume_snapshot_get(tx, account, id)?.ok_or(Error::NotFound)?;
    volume_snapshot_views(tx, vec![record])?.pop().ok_or(Error::NotFound)
}

/// Removes the row and records the action that removes the image; 422 while a volume is still to be made from it.
pub(crate) fn volume_snapshot_remove(
    tx: &mut dyn Tx,
    snapshot: &VolumeSnapshotRecord,
    now: Timestamp,
) -> Result<(), Error> {
    if volume_snapshots::volume_snapshot_is_in_use(tx, snapshot.id)? {
        return Err(Error::invalid(
            "A volume is being made from this snapshot: it can be deleted when that is done, or when the volume is deleted.",
        ));
    }
    volume_snapshots::volume_snapshot_delete(tx, snapshot.id)?;
    let resource = Resource::VolumeSnapshot(snapshot.id);
    record_unlocked(tx, snapshot.account, ActionKind::Destroy, resource, &snapshot.region, now)
}

impl Control {
    /// Takes a snapshot of a volume, attached or not: the row is there at once, and goes again should the taking fail.
    pub async fn volume_snapshot_create(
        &self,
        account: AccountId,
        volume: VolumeId,
        request: &VolumeSnapshotCreateRequest,
    ) -> Result<VolumeSnapshotView, Error> {
        let (now, id) = (self.now(), VolumeSnapshotId(self.inner.random.uuid()));
        let refusal = checked_name(&request.name).err().map(|error| error.to_string());
        let tags = rules::tag_names(&request.tags)?;
        let name = request.name.clone();
        let view = self
            .inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let volume = volumes::volume_get(tx, account, volume)?.ok_or(Error::NotFound)?;
                if let Some(refusal) = &refusal {
                    return Err(Error::invalid(refusal.clone()));
                }
                let snapshot = snapshot_row(account, id, &volume, name.clone(), now);
                let snapshot = volume_snapshots::volume_snapshot_insert(tx, &snapshot)?;
                for tag in &tags {
                    let tag = tags::tag_ensure(tx, account, tag)?;
                    tags::tag_resource(tx, account, &tag, &Tagged::volume_snapshot(id), now)?;
                }
                lock(tx, account, &volume, None, ActionKind::Snapshot, &SnapshotWish { snapshot: id }, now)?;
                volume_snapshot_view(tx, account, snapshot.id)
            })
            .await?;
        self.inner.bell.notify_one();
        Ok(view)
    }

    /// One snapshot of a volume.
    pub async fn volume_snapshot_get(
        &self,
        account: AccountId,
        id: VolumeSnapshotId,
    ) -> Result<VolumeSnapshotView, Error> {
        self.inner.store.read(move |tx: &mut dyn Tx| volume_snapshot_view(tx, account, id)).await
    }

    /// The snapshots of one volume, oldest first.
    pub async fn volume_snapshot_list_of(
        &self,
        account: AccountId,
        volume: VolumeId,
        page: PageRequest,
    ) -> Result<Page<VolumeSnapshotView>, Error> {
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                volumes::volume_get(tx, account, volume)?.ok_or(Error::NotFound)?;
                let found = volume_snapshots::volume_snapshot_list_of(tx, account, volume, window(page))?;
                Ok(Page { rows: volume_snapshot_views(tx, found.rows)?, total: found.total })
            })
            .await
    }

    /// The account's snapshots of volumes, oldest first.
    pub async fn volume_snapshot_list(
        &self,
        account: AccountId,
        page: PageRequest,
    ) -> Result<Page<VolumeSnapshotView>, Error> {
        self.inner.store.read(move |tx: &mut dyn Tx| volume_snapshot_page(tx, account, window(page))).await
    }

    /// Deletes a snapshot of a volume; volumes made from it are not touched.
    pub async fn volume_snapshot_delete(&self, account: AccountId, id: VolumeSnapshotId) -> Result<(), Error> {
        let now = self.now();
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let snapshot = volume_snapshots::volume_snapshot_get(tx, account, id)?.ok_or(Error::NotFound)?;
                volume_snapshot_remove(tx, &snapshot, now)
            })
            .await?;
        self.inner.bell.notify_one();
        Ok(())
    }
}

fn snapshot_row(
    account: AccountId,
    id: VolumeSnapshotId,
    volume: &VolumeRecord,
    name: String,
    now: Timestamp,
) -> VolumeSnapshotRecord {
    VolumeSnapshotRecord {
        number: 0,
        id,
        account,
        volume: volume.id,
        region: volume.region.clone(),
        name,
        size_gib: volume.size_gib,
        size_bytes: 0,
        filesystem_type: volume.filesystem_type.clone(),
        filesystem_label: volume.filesystem_label.clone(),
        available: false,
        created_at: now,
    }
}
