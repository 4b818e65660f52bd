//! What is beside a Droplet: images taken of it, and Droplets on the same host (DRO-10).

use dewpoint_api::{AccountId, DropletId, ImageKind, PageRequest};
use dewpoint_store::{
    DropletFilter, ImageRecord, Page, Tx, Window, droplets,
    images::{self, ImageFilter},
};

use super::{DropletView, droplet_views};
use crate::{Control, Error, window};

/// Most neighbors that are told of: their list has no pages, and a host of the simulator can have every Droplet there is.
const NEIGHBORS_MAX: u32 = 1000;

impl Control {
    /// A page of the snapshots or the backups of a Droplet, oldest first.
    pub async fn droplet_image_list(
        &self,
        account: AccountId,
        id: DropletId,
        kind: ImageKind,
        page: PageRequest,
    ) -> Result<Page<ImageRecord>, Error> {
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                droplets::droplet_get(tx, account, id)?.ok_or(Error::NotFound)?;
                Ok(images::image_list(tx, account, &ImageFilter::Of(id, kind), window(page))?)
            })
            .await
    }

    /// The account's other Droplets on the Droplet's host, the first thousand of them.
    pub async fn droplet_neighbors(&self, account: AccountId, id: DropletId) -> Result<Vec<DropletView>, Error> {
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                let droplet = droplets::droplet_get(tx, account, id)?.ok_or(Error::NotFound)?;
                let Some(host) = droplet.host else { return Ok(Vec::new()) };
                let first = Window { skip: 0, take: NEIGHBORS_MAX + 1 };
                let mut others = droplets::droplet_list(tx, account, &DropletFilter::Host(host), first)?.rows;
                others.retain(|other| other.id != id);
                others.truncate(NEIGHBORS_MAX as usize);
                droplet_views(tx, others)
            })
            .await
    }

    /// The account's Droplets that share a host, host by host.
    pub async fn droplet_neighbor_ids(&self, account: AccountId) -> Result<Vec<Vec<DropletId>>, Error> {
        self.inner.store.read(move |tx| droplets::droplet_neighbors(tx, account).map_err(Error::from)).await
    }
}
