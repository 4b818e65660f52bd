//! Snapshots of Droplets and of volumes as one list (SNP-1). Backups are not among them (SNP-2).

use dewpoint_api::{AccountId, ImageId, ImageKind, PageRequest, VolumeSnapshotId};
use dewpoint_store::{
    ImageRecord, Page, Tx, Window,
    images::{self, ImageFilter},
};

use crate::{
    Control, Error,
    images::{ImageView, delete_unless_in_use, image_views},
    rest_of,
    volumes::{VolumeSnapshotView, volume_snapshot_page, volume_snapshot_remove, volume_snapshot_view},
    window,
};

/// A snapshot of either kind.
#[derive(Clone, Debug)]
pub enum SnapshotView {
    /// Of a Droplet: an image.
    Droplet(ImageView),
    /// Of a volume.
    Volume(VolumeSnapshotView),
}

/// Which snapshots a list shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotFilter {
    /// Those of Droplets.
    pub droplets: bool,
    /// Those of volumes.
    pub volumes: bool,
}

/// A snapshot as a path names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotId {
    /// Of a Droplet: an image's number.
    Droplet(ImageId),
    /// Of a volume.
    Volume(VolumeSnapshotId),
}

impl std::str::FromStr for SnapshotId {
    type Err = Error;

    /// Text that is neither a number nor a UUID names no snapshot: malformed.
    fn from_str(text: &str) -> Result<Self, Error> {
        let number = text.parse().map(Self::Droplet).ok();
        number
            .or_else(|| text.parse().map(Self::Volume).ok())
            .ok_or_else(|| Error::Malformed("A snapshot's id is a number or a UUID.".to_owned()))
    }
}

const NOTHING: Window = Window { skip: 0, take: 0 };

impl Control {
    /// The account's snapshots: those of Droplets by number, then those of volumes, oldest first.
    pub async fn snapshot_list(
        &self,
        account: AccountId,
        filter: SnapshotFilter,
        page: PageRequest,
    ) -> Result<Page<SnapshotView>, Error> {
        let asked = window(page);
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                let mut all = Page { rows: Vec::new(), total: 0 };
                if filter.droplets {
                    let found = images::image_list(tx, account, &ImageFilter::Kind(ImageKind::Snapshot), asked)?;
                    all.total += found.total;
                    all.rows.extend(image_views(tx, found.rows)?.into_iter().map(SnapshotView::Droplet));
                }
                if filter.volumes {
                    let rest = rest_of(asked, all.total);
                    let found = volume_snapshot_page(tx, account, if rest.take == 0 { NOTHING } else { rest })?;
                    all.total += found.total;
                    all.rows.extend(found.rows.into_iter().map(SnapshotView::Volume));
                }
                Ok(all)
            })
            .await
    }

    /// One snapshot.
    pub async fn snapshot_get(&self, account: AccountId, id: SnapshotId) -> Result<SnapshotView, Error> {
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| match id {
                SnapshotId::Droplet(id) => {
                    let record = droplet_snapshot(tx, account, id)?;
                    let view = image_views(tx, vec![record])?.pop().ok_or(Error::NotFound)?;
                    Ok(SnapshotView::Droplet(view))
                }
                SnapshotId::Volume(id) => Ok(SnapshotView::Volume(volume_snapshot_view(tx, account, id)?)),
            })
            .await
    }

    /// Deletes a snapshot: gone with the answer, from its engine by an action.
    pub async fn snapshot_delete(&self, account: AccountId, id: SnapshotId) -> Result<(), Error> {
        let now = self.now();
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| match id {
                SnapshotId::Droplet(id) => {
                    let record = droplet_snapshot(tx, account, id)?;
                    delete_unless_in_use(tx, &record, now)
                }
                SnapshotId::Volume(id) => {
                    let view = volume_snapshot_view(tx, account, id)?;
                    volume_snapshot_remove(tx, &view.record, now)
                }
            })
            .await?;
        self.inner.bell.notify_one();
        Ok(())
    }
}

fn droplet_snapshot(tx: &mut dyn Tx, account: AccountId, id: ImageId) -> Result<ImageRecord, Error> {
    let found = images::image_get(tx, account, id)?;
    found.filter(|image| image.kind == ImageKind::Snapshot).ok_or(Error::NotFound)
}
