//! Images and volumes of this host.

use super::{Inner, QemuEngine};
use crate::{Error, ImageFacts, ImageName, MachineId, ObservedVolume, Storage, VolumeId, VolumeSpec};

#[async_trait::async_trait]
impl Storage for QemuEngine {
    async fn images(&self) -> Result<Vec<ImageName>, Error> {
        let mut found = self.inner.layers.list()?;
        found.extend(self.inner.imports.names()?);
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    async fn snapshot(&self, machine: MachineId, image: &ImageName) -> Result<ImageFacts, Error> {
        let slot = self.inner.slot(machine);
        let _held = slot.lock().await;
        self.inner.snapshot(machine, image).await
    }

    async fn snapshot_volume(&self, volume: VolumeId, image: &ImageName) -> Result<ImageFacts, Error> {
        self.inner.with_volume(volume, async || self.inner.snapshot_volume(volume, image).await).await
    }

    async fn import(&self, image: &ImageName, url: &str) -> Result<ImageFacts, Error> {
        let Inner { imports, layers, .. } = &*self.inner;
        let mut turn = imports.turn(image).await;
        if let Some(facts) = layers.facts(image)? {
            return Ok(facts);
        }
        let file = imports.fetch(&mut turn, image, url).await?;
        let adopted = layers.adopt(image, &file).await;
        imports.clear(&turn, image)?;
        adopted
    }

    async fn remove_image(&self, image: &ImageName) -> Result<(), Error> {
        let _turn = self.inner.imports.stop(image).await?;
        self.inner.layers.remove(image).await
    }

    async fn volumes(&self) -> Result<Vec<VolumeId>, Error> {
        self.inner.volumes()
    }

    async fn ensure_volume(&self, id: VolumeId, spec: &VolumeSpec) -> Result<(), Error> {
        let slot = self.inner.volume_slot(id);
        let _held = slot.lock().await;
        self.inner.ensure_volume(id, spec).await
    }

    async fn observe_volume(&self, id: VolumeId) -> Result<Option<ObservedVolume>, Error> {
        self.inner.observe_volume(id)
    }

    async fn attach(&self, id: VolumeId, machine: MachineId) -> Result<(), Error> {
        let slots = (self.inner.slot(machine), self.inner.volume_slot(id));
        let (_machine, _volume) = (slots.0.lock().await, slots.1.lock().await);
        self.inner.attach(id, machine).await
    }

    async fn detach(&self, id: VolumeId, machine: MachineId) -> Result<(), Error> {
        let slots = (self.inner.slot(machine), self.inner.volume_slot(id));
        let (_machine, _volume) = (slots.0.lock().await, slots.1.lock().await);
        self.inner.detach(id, machine).await
    }

    async fn resize_volume(&self, id: VolumeId, size_gib: u64) -> Result<(), Error> {
        self.inner.with_volume(id, async || self.inner.resize_volume(id, size_gib).await).await
    }

    async fn remove_volume(&self, id: VolumeId) -> Result<(), Error> {
        let slot = self.inner.volume_slot(id);
        {
            let _held = slot.lock().await;
            self.inner.remove_volume(id).await?;
        }
        self.inner.volume_slots.forget(id, &slot);
        Ok(())
    }
}
