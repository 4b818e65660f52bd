//! Volumes as records: created, listed, attached by a Droplet's create. Their bytes come with the engine's part of them.

use dewpoint_api::{AccountId, PageRequest, RegionSlug, TagName, VolumeCreateRequest, VolumeId, rules};
use dewpoint_store::{Error as StoreError, Page, Tx, VolumeRecord, tags, tags::Tagged, volumes};
use uuid::Uuid;

use crate::{Control, Error, window};

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

/// Checks a request on its own (VOL-1, VOL-2, VOL-3); everything but the id and the time of the row.
fn check(request: &VolumeCreateRequest, id: VolumeId, now: dewpoint_clock::Timestamp) -> Result<VolumeRecord, Error> {
    rules::volume_name(&request.name)?;
    if request.snapshot_id.is_some() {
        return Err(Error::invalid("snapshot_id names no snapshot: volume snapshots are not served yet."));
    }
    let size = request.size_gigabytes.ok_or_else(|| Error::invalid("size_gigabytes is required."))?;
    let size_gib = rules::volume_size(size)?;
    let region = request.region.clone().ok_or_else(|| Error::invalid("region is required."))?;
    rules::filesystem(request.filesystem_type.as_deref(), request.filesystem_label.as_deref())?;
    Ok(VolumeRecord {
        id,
        region,
        name: request.name.clone(),
        description: request.description.clone(),
        size_gib,
        filesystem_type: request.filesystem_type.clone().unwrap_or_default(),
        filesystem_label: request.filesystem_label.clone().unwrap_or_default(),
        droplet: None,
        created_at: now,
        made_gib: size_gib,
        source_snapshot: None,
        running_action: None,
    })
}

impl Control {
    /// Makes a volume (VOL-1 to VOL-4).
    pub async fn volume_create(&self, account: AccountId, request: &VolumeCreateRequest) -> Result<VolumeView, Error> {
        let now = self.now();
        let record = check(request, VolumeId(Uuid::new_v4()), now)?;
        let region = self.catalogue().region(&record.region);
        if !region.is_some_and(|region| region.spec.available) {
            return Err(Error::invalid("Region is not available"));
        }
        let tags: Vec<TagName> = request.tags.iter().map(|tag| tag.parse()).collect::<Result<_, _>>()?;
        let limit = self.config().volume_limit;
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                if volumes::volume_count(tx, account)? >= limit {
                    return Err(Error::invalid("creating this volume will exceed your volume limit"));
                }
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
                for tag in &tags {
                    let tag = tags::tag_ensure(tx, account, tag)?;
                    tags::tag_resource(tx, account, &tag, &Tagged::volume(record.id), now)?;
                }
                volume_view(tx, record.clone())
            })
            .await
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

    /// Removes a volume; 409 while it is attached (VOL-9).
    pub async fn volume_delete(&self, account: AccountId, id: VolumeId) -> Result<(), Error> {
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let record = volumes::volume_get(tx, account, id)?.ok_or(Error::NotFound)?;
                remove(tx, account, &record)
            })
            .await
    }

    /// Removes the volume of this name in this region (VOL-8).
    pub async fn volume_delete_by_name(
        &self,
        account: AccountId,
        region: RegionSlug,
        name: String,
    ) -> Result<(), Error> {
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let record = volumes::volume_by_name(tx, account, &region, &name)?.ok_or(Error::NotFound)?;
                remove(tx, account, &record)
            })
            .await
    }
}

fn remove(tx: &mut dyn Tx, account: AccountId, record: &VolumeRecord) -> Result<(), Error> {
    if record.droplet.is_some() {
        return Err(Error::Conflict("attached volume cannot be deleted".to_owned()));
    }
    volumes::volume_delete(tx, account, record.id)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(json: &str) -> Result<VolumeRecord, Error> {
        let request = serde_json::from_str(json).expect("its shape is right");
        check(&request, VolumeId(Uuid::nil()), dewpoint_clock::Timestamp::default())
    }

    #[test]
    fn a_volume_is_checked_before_anything_is_made_vol_2_vol_3() {
        assert!(checked(r#"{"name":"data","size_gigabytes":10,"region":"NYC3","snapshot_id":""}"#).is_ok());
        for bad in [
            r#"{"name":"data","size_gigabytes":0,"region":"nyc3"}"#,
            r#"{"name":"data","size_gigabytes":16385,"region":"nyc3"}"#,
            r#"{"name":"data","region":"nyc3"}"#,
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
