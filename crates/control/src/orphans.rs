//! Images and volumes an engine has and no row speaks of: what a removal that failed for good left behind.

use std::collections::HashSet;

use dewpoint_api::{ImageId, ResourceType, VolumeId};
use dewpoint_engine::{ImageName, VolumeId as EngineVolumeId};
use dewpoint_store::{Tx, actions, images, volume_snapshots, volumes};

use crate::{Control, Error, check};

/// How many rows are read at once.
const PAGE: u32 = 500;

impl Control {
    /// Removes ownerless images and volumes, telling the log. Right only when no other server is at work on this store, and
    /// before any action is.
    pub(crate) async fn remove_orphans(&self) -> Result<(), Error> {
        self.remove_ownerless_images().await?;
        self.remove_ownerless_volumes().await
    }

    async fn remove_ownerless_images(&self) -> Result<(), Error> {
        let found = self.inner.engine.images().await?;
        if found.is_empty() {
            return Ok(());
        }
        let kept = self.images_there_should_be().await?;
        for image in found.into_iter().filter(|image| !kept.contains(image)) {
            tracing::warn!(image = %image, "Removing image {image}, which belongs to nothing");
            if let Err(error) = self.inner.engine.remove_image(&image).await {
                tracing::error!(image = %image, %error, "Cannot remove image {image}");
            }
        }
        Ok(())
    }

    async fn images_there_should_be(&self) -> Result<HashSet<ImageName>, Error> {
        let store = &self.inner.store;
        let mut rows = Vec::new();
        let mut after = ImageId(0);
        loop {
            let page: Vec<images::ImageRecord> = store
                .read(move |tx: &mut dyn Tx| images::image_page_of_all(tx, after, PAGE).map_err(Error::from))
                .await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            rows.extend(page.iter().map(|image| (image.id, image.status)));
        }
        let (snapshots, running) = store
            .read(|tx: &mut dyn Tx| {
                let snapshots = volume_snapshots::volume_snapshot_ids_of_all(tx)?;
                Ok::<_, Error>((snapshots, actions::action_in_progress_on(tx, ResourceType::Droplet)?))
            })
            .await?;
        Ok(check::images_there_should_be(rows, snapshots, &running))
    }

    async fn remove_ownerless_volumes(&self) -> Result<(), Error> {
        let engine = &self.inner.engine;
        let found = engine.volumes().await?;
        if found.is_empty() {
            return Ok(());
        }
        let rows: Vec<VolumeId> =
            self.inner.store.read(|tx: &mut dyn Tx| volumes::volume_ids_of_all(tx).map_err(Error::from)).await?;
        let kept: HashSet<VolumeId> = rows.into_iter().collect();
        for id in found.into_iter().filter(|id| !kept.contains(&VolumeId(id.0))) {
            tracing::warn!(volume = %id, "Removing volume {id}, which belongs to nobody");
            if let Err(error) = self.remove_ownerless_volume(id).await {
                tracing::error!(volume = %id, %error, "Cannot remove volume {id}");
            }
        }
        Ok(())
    }

    async fn remove_ownerless_volume(&self, id: EngineVolumeId) -> Result<(), Error> {
        let engine = &self.inner.engine;
        if let Some(machine) = engine.observe_volume(id).await?.and_then(|seen| seen.machine) {
            engine.detach(id, machine).await?;
        }
        Ok(engine.remove_volume(id).await?)
    }
}
