//! Volumes: made, listed, deleted. What changes them is in `act.rs`, their snapshots in `snapshots.rs`.

mod act;
mod snapshots;

pub use snapshots::VolumeSnapshotView;
pub(crate) use snapshots::{volume_snapshot_page, volume_snapshot_remove, volume_snapshot_view};

use dewpoint_api::{
    AccountId, ActionId, ActionKind, PageRequest, RegionSlug, TagName, VolumeCreateRequest, VolumeId, VolumeSnapshotId,
    rules,
};
use dewpoint_clock::Timestamp;
use dewpoint_store::{
    Error as StoreError, Page, Sequence, Tx, VolumeRecord, VolumeSnapshotRecord, actions, counters, tags, tags::Tagged,
    volume_snapshots, volumes,
};

use crate::{
    Control, Error,
    actions::{NewAction, Resource, new_action},
    window,
};

/// A volume and its tags.
#[derive(Clone, Debug)]
pub struct VolumeView {
    /// The row.
    pub record: VolumeRecord,
    /// Its tags.
    pub tags: Vec<TagName>,
}

fn volume_view(tx: &mut dyn Tx, record: VolumeRecord) -> Result<VolumeView, Error> {
    let tags = tags::tags_of_volume(tx, record.id)?;
    Ok(VolumeView { record, tags })
}

/// A request checked as far as that goes without the store.
#[derive(Debug)]
struct Wanted {
    /// The row; region, size and file system are still open when it starts as a snapshot.
    row: VolumeRecord,
    /// Where it is wanted.
    region: Option<RegionSlug>,
    /// How large it is wanted, in GiB.
    size_gib: Option<u64>,
    tags: Vec<TagName>,
}

/// Checks a request on its own (VOL-1, VOL-2, VOL-3).
fn check(request: &VolumeCreateRequest, id: VolumeId, now: Timestamp) -> Result<Wanted, Error> {
    rules::volume_name(&request.name)?;
    let source_snapshot: Option<VolumeSnapshotId> = match &request.snapshot_id {
        Some(text) => Some(text.parse().map_err(|_| unknown_snapshot(text))?),
        None => None,
    };
    let size_gib = request.size_gigabytes.map(rules::volume_size).transpose()?;
    if source_snapshot.is_none() && size_gib.is_none() {
        return Err(Error::invalid("size_gigabytes is required."));
    }
    if source_snapshot.is_none() && request.region.is_none() {
        return Err(Error::invalid("region is required."));
    }
    rules::filesystem(request.filesystem_type.as_deref(), request.filesystem_label.as_deref())?;
    let row = VolumeRecord {
        id,
        region: request.region.clone().unwrap_or_else(|| RegionSlug::from(String::new())),
        name: request.name.clone(),
        description: request.description.clone(),
        size_gib: size_gib.unwrap_or_default(),
        filesystem_type: request.filesystem_type.clone().unwrap_or_default(),
        filesystem_label: request.filesystem_label.clone().unwrap_or_default(),
        droplet: None,
        created_at: now,
        made_gib: size_gib.unwrap_or_default(),
        source_snapshot,
        running_action: None,
        made: false,
    };
    let tags = rules::tag_names(&request.tags)?;
    Ok(Wanted { row, region: request.region.clone(), size_gib, tags })
}

fn unknown_snapshot(id: impl std::fmt::Display) -> Error {
    Error::invalid(format!("snapshot_id {id} is no snapshot of a volume of your account."))
}

/// What a snapshot decides of the volume that starts as it: where it is, how small it may be, what is in it (VOL-2).
fn from_snapshot(wanted: &Wanted, snapshot: VolumeSnapshotRecord) -> Result<VolumeRecord, Error> {
    if wanted.region.as_ref().is_some_and(|region| *region != snapshot.region) {
        return Err(Error::invalid(format!(
            "The snapshot is in region {}; the volume cannot be elsewhere.",
            snapshot.region
        )));
    }
    let size_gib = wanted.size_gib.unwrap_or(snapshot.size_gib);
    if size_gib < snapshot.size_gib {
        return Err(Error::invalid(format!(
            "size_gigabytes must be at least {}, the size of the snapshot.",
            snapshot.size_gib
        )));
    }
    Ok(VolumeRecord {
        region: snapshot.region,
        size_gib,
        made_gib: size_gib,
        filesystem_type: snapshot.filesystem_type,
        filesystem_label: snapshot.filesystem_label,
        ..wanted.row.clone()
    })
}

/// Records an action on a volume, or on a snapshot of one, that locks nothing.
fn record_unlocked(
    tx: &mut dyn Tx,
    account: AccountId,
    kind: ActionKind,
    resource: Resource,
    region: &RegionSlug,
    now: Timestamp,
) -> Result<(), Error> {
    let id = ActionId(counters::draw(tx, Sequence::Action, 1)?);
    let action = new_action(&NewAction { id, account, kind, resource, region: Some(region), request: "{}", now });
    Ok(actions::action_insert(tx, &action)?)
}

impl Control {
    /// Makes a volume, empty or from a snapshot (VOL-1 to VOL-4). The row is there at once; the action that follows locks
    /// nothing, since clients attach a volume as soon as they know its id.
    pub async fn volume_create(&self, account: AccountId, request: &VolumeCreateRequest) -> Result<VolumeView, Error> {
        let now = self.now();
        let wanted = check(request, VolumeId(self.inner.random.uuid()), now)?;
        if let Some(region) = &wanted.region {
            self.check_region(region)?;
        }
        let limit = self.config().volume_limit;
        let made = self
            .inner
            .store
            .write(move |tx: &mut dyn Tx| {
                if volumes::volume_count(tx, account)? >= limit {
                    return Err(Error::invalid("creating this volume will exceed your volume limit"));
                }
                let record = match wanted.row.source_snapshot {
                    Some(id) => {
                        let snapshot = volume_snapshots::volume_snapshot_get(tx, account, id)?;
                        from_snapshot(&wanted, snapshot.ok_or_else(|| unknown_snapshot(id))?)?
                    }
                    None => wanted.row.clone(),
                };
                match volumes::volume_insert(tx, account, &record) {
                    Ok(()) => {}
                    Err(StoreError::Duplicate) => {
                        return Err(Error::Conflict(format!(
                            "a volume named {:?} already exists in region {}",
                            record.name, record.region
                        )));
                    }
                    Err(other) => return Err(other.into()),
                }
                for tag in &wanted.tags {
                    let tag = tags::tag_ensure(tx, account, tag)?;
                    tags::tag_resource(tx, account, &tag, &Tagged::volume(record.id), now)?;
                }
                let resource = Resource::Volume(record.id, None);
                record_unlocked(tx, account, ActionKind::Create, resource, &record.region, now)?;
                volume_view(tx, record)
            })
            .await?;
        self.inner.bell.notify_one();
        Ok(made)
    }

    fn check_region(&self, slug: &RegionSlug) -> Result<(), Error> {
        let region = self.catalogue().region(slug);
        let open = region.is_some_and(|region| region.spec.available);
        open.then_some(()).ok_or_else(|| Error::invalid("Region is not available"))
    }

    /// One volume.
    pub async fn volume_get(&self, account: AccountId, id: VolumeId) -> Result<VolumeView, Error> {
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                let record = volumes::volume_get(tx, account, id)?.ok_or(Error::NotFound)?;
                volume_view(tx, record)
            })
            .await
    }

    /// The account's volumes, oldest first, optionally of one region or name (VOL-8).
    pub async fn volume_list(
        &self,
        account: AccountId,
        region: Option<RegionSlug>,
        name: Option<String>,
        page: PageRequest,
    ) -> Result<Page<VolumeView>, Error> {
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                let found = volumes::volume_list(tx, account, region.as_ref(), name.as_deref(), window(page))?;
                let rows: Result<Vec<_>, Error> =
                    found.rows.into_iter().map(|record| volume_view(tx, record)).collect();
                Ok(Page { rows: rows?, total: found.total })
            })
            .await
    }

    /// Removes a volume; 409 while it is attached or locked (VOL-9). Its snapshots stay.
    pub async fn volume_delete(&self, account: AccountId, id: VolumeId) -> Result<(), Error> {
        let now = self.now();
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let record = volumes::volume_get(tx, account, id)?.ok_or(Error::NotFound)?;
                remove(tx, account, &record, now)
            })
            .await?;
        self.inner.bell.notify_one();
        Ok(())
    }

    /// Removes the volume of this name in this region (VOL-8).
    pub async fn volume_delete_by_name(
        &self,
        account: AccountId,
        region: RegionSlug,
        name: String,
    ) -> Result<(), Error> {
        let now = self.now();
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let record = volumes::volume_by_name(tx, account, &region, &name)?.ok_or(Error::NotFound)?;
                remove(tx, account, &record, now)
            })
            .await?;
        self.inner.bell.notify_one();
        Ok(())
    }
}

/// Removes the row and records the action that removes the volume.
fn remove(tx: &mut dyn Tx, account: AccountId, record: &VolumeRecord, now: Timestamp) -> Result<(), Error> {
    if record.droplet.is_some() {
        return Err(Error::Conflict("attached volume cannot be deleted".to_owned()));
    }
    if record.running_action.is_some() {
        return Err(Error::Conflict("volume has a pending event and cannot be deleted until that is over".to_owned()));
    }
    volumes::volume_delete(tx, account, record.id)?;
    let resource = Resource::Volume(record.id, None);
    record_unlocked(tx, account, ActionKind::Destroy, resource, &record.region, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(json: &str) -> Result<Wanted, Error> {
        let request = serde_json::from_str(json).expect("its shape is right");
        check(&request, VolumeId(uuid::Uuid::nil()), dewpoint_clock::Timestamp::default())
    }

    #[test]
    fn a_volume_is_checked_before_anything_is_made_vol_2_vol_3() {
        assert!(checked(r#"{"name":"data","size_gigabytes":10,"region":"NYC3","snapshot_id":""}"#).is_ok());
        assert!(checked(r#"{"name":"data","snapshot_id":"00000000-0000-4000-8000-000000000001"}"#).is_ok());
        for bad in [
            r#"{"name":"data","size_gigabytes":0,"region":"nyc3"}"#,
            r#"{"name":"data","size_gigabytes":16385,"region":"nyc3"}"#,
            r#"{"name":"data","region":"nyc3"}"#,
            r#"{"name":"data","snapshot_id":"7"}"#,
            r#"{"name":"data","size_gigabytes":10}"#,
            r#"{"name":"Data","size_gigabytes":10,"region":"nyc3"}"#,
            r#"{"name":"data","size_gigabytes":10,"region":"nyc3","filesystem_type":"btrfs"}"#,
            r#"{"name":"data","size_gigabytes":10,"region":"nyc3","filesystem_label":"x"}"#,
            r#"{"name":"data","size_gigabytes":10,"region":"nyc3","filesystem_type":"xfs","filesystem_label":"1234567890123"}"#,
        ] {
            assert!(checked(bad).is_err(), "{bad}");
        }
    }
}
