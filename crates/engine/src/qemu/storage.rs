//! Images and volumes of this host.

use super::QemuEngine;
use crate::{Error, ImageFacts, ImageName, MachineId, ObservedVolume, Storage, VolumeId, VolumeSpec};

pub(super) fn not_yet(operation: &'static str) -> Error {
    Error::host(operation, "the QEMU engine cannot do that yet")
}

#[async_trait::async_trait]
impl Storage for QemuEngine {
    async fn images(&self) -> Result<Vec<ImageName>, Error> {
        self.inner.layers.list()
    }

    async fn snapshot(&self, machine: MachineId, image: &ImageName) -> Result<ImageFacts, Error> {
        let slot = self.inner.slot(machine);
        let _held = slot.lock().await;
        self.inner.snapshot(machine, image).await
    }

    async fn snapshot_volume(&self, _volume: VolumeId, _image: &ImageName) -> Result<ImageFacts, Error> {
        Err(not_yet("take a snapshot of a volume"))
    }

    async fn import(&self, _image: &ImageName, _url: &str) -> Result<ImageFacts, Error> {
        Err(not_yet("import an image"))
    }

    async fn remove_image(&self, image: &ImageName) -> Result<(), Error> {
        self.inner.layers.remove(image).await
    }

    async fn volumes(&self) -> Result<Vec<VolumeId>, Error> {
        Ok(Vec::new())
    }

    async fn ensure_volume(&self, _id: VolumeId, _spec: &VolumeSpec) -> Result<(), Error> {
        Err(not_yet("make a volume"))
    }

    async fn observe_volume(&self, _id: VolumeId) -> Result<Option<ObservedVolume>, Error> {
        Ok(None)
    }

    async fn attach(&self, _id: VolumeId, _machine: MachineId) -> Result<(), Error> {
        Err(not_yet("attach a volume"))
    }

    async fn detach(&self, _id: VolumeId, _machine: MachineId) -> Result<(), Error> {
        Err(not_yet("detach a volume"))
    }

    async fn resize_volume(&self, _id: VolumeId, _size_gib: u64) -> Result<(), Error> {
        Err(not_yet("resize a volume"))
    }

    async fn remove_volume(&self, _id: VolumeId) -> Result<(), Error> {
        Err(not_yet("remove a volume"))
    }
}
