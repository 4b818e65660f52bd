//! Droplets: what may be asked of them, and what is recorded when it is.

mod act;
mod associated;
mod create;
mod delete;
mod neighbors;
mod prepare;
mod source;

pub use associated::{Associated, Selection};
pub use create::Created;
pub(crate) use delete::delete_backups;

use std::{collections::HashMap, net::IpAddr};

use dewpoint_api::{AccountId, BackupPolicy, DropletId, ImageId, ImageKind, PageRequest, TagName, VolumeId};
use dewpoint_store::{
    DropletFilter, DropletRecord, ImageRecord, Page, Tx, droplets, images, reserved_ips, tags, volumes,
};

use crate::{Control, Error, window};

/// A Droplet with what belongs to it.
#[derive(Clone, Debug)]
pub struct DropletView {
    /// The row.
    pub record: DropletRecord,
    /// Its tags.
    pub tags: Vec<TagName>,
    /// The volumes attached to it.
    pub volumes: Vec<VolumeId>,
    /// The reserved IPs that lead to it, IPv4 first.
    pub reserved_ips: Vec<IpAddr>,
    /// Its snapshots, by number.
    pub snapshots: Vec<ImageId>,
    /// Its backups, by number.
    pub backups: Vec<ImageId>,
    /// The image it was made from when that is the account's own; one that was deleted since too.
    pub image: Option<ImageRecord>,
}

/// The policy a Droplet's backups follow; `None` when they are off.
pub fn backup_policy(record: &DropletRecord) -> Option<BackupPolicy> {
    serde_json::from_str(record.backups.as_ref()?).ok()
}

pub(crate) fn droplet_views(tx: &mut dyn Tx, records: Vec<DropletRecord>) -> Result<Vec<DropletView>, Error> {
    let ids: Vec<DropletId> = records.iter().map(|record| record.id).collect();
    let mut tags = tags::tags_of_droplets(tx, &ids)?;
    let mut volumes = volumes::volumes_of_droplets(tx, &ids)?;
    let mut reserved = reserved_ips::reserved_ips_of_droplets(tx, &ids)?;
    let (mut snapshots, mut backups): (HashMap<_, Vec<_>>, HashMap<_, Vec<_>>) = Default::default();
    for (droplet, kind, image) in images::images_of_droplets(tx, &ids)? {
        let taken = if kind == ImageKind::Backup { &mut backups } else { &mut snapshots };
        taken.entry(droplet).or_default().push(image);
    }
    let own = records.iter().filter(|record| record.image_slug.is_none());
    let own: Vec<ImageId> = own.map(|record| record.image_id).collect();
    let own = images::images_any(tx, &own)?;
    let view = |record: DropletRecord| DropletView {
        tags: tags.remove(&record.id).unwrap_or_default(),
        volumes: volumes.remove(&record.id).unwrap_or_default(),
        reserved_ips: reserved.remove(&record.id).into_iter().flatten().map(|ip| ip.address).collect(),
        snapshots: snapshots.remove(&record.id).unwrap_or_default(),
        backups: backups.remove(&record.id).unwrap_or_default(),
        image: own.get(&record.image_id).cloned(),
        record,
    };
    Ok(records.into_iter().map(view).collect())
}

impl Control {
    /// A page of the account's Droplets by ascending id (DRO-5).
    pub async fn droplet_list(
        &self,
        account: AccountId,
        filter: DropletFilter,
        page: PageRequest,
    ) -> Result<Page<DropletView>, Error> {
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                let found = droplets::droplet_list(tx, account, &filter, window(page))?;
                Ok(Page { rows: droplet_views(tx, found.rows)?, total: found.total })
            })
            .await
    }

    /// One Droplet.
    pub async fn droplet_get(&self, account: AccountId, id: DropletId) -> Result<DropletView, Error> {
        let found: Vec<DropletView> = self
            .inner
            .store
            .read(move |tx: &mut dyn Tx| {
                let record = droplets::droplet_get(tx, account, id)?.ok_or(Error::NotFound)?;
                droplet_views(tx, vec![record])
            })
            .await?;
        found.into_iter().next().ok_or(Error::NotFound)
    }
}
