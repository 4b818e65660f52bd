//! Making volumes, letting them grow, taking images of them and removing them.

use std::{
    fs::{DirBuilder, File},
    os::unix::fs::DirBuilderExt,
};

use super::{GIB, RECORD, Volume, VolumeRecord, format, remove_directory};
use crate::{
    Error, ImageFacts, ImageName, MachineId, VolumeId, VolumeSpec,
    qemu::{
        Inner,
        disk::{self, Overlay},
        layers::{Frozen, fresh_disk},
        layout::io_error,
    },
};

impl Inner {
    /// Makes the volume's files; the record comes last, so a volume with a record is whole. The caller has its slot.
    pub(in crate::qemu) async fn ensure_volume(&self, id: VolumeId, spec: &VolumeSpec) -> Result<(), Error> {
        let volumes = self.volumes_directory();
        if let Some(made) = Volume::read(&volumes, id)? {
            return if made.record.spec == *spec { Ok(()) } else { Err(Error::VolumeConflict(id)) };
        }
        let directory = volumes.join(id.to_string());
        // What an earlier call was cut off in.
        remove_directory(&directory)?;
        let record = VolumeRecord { spec: spec.clone(), disk: fresh_disk(), machine: None };
        let volume = Volume { id, directory, record };
        let made = self.make_volume(&volume).await;
        if made.is_err() {
            remove_directory(&volume.directory)?;
        }
        made
    }

    async fn make_volume(&self, volume: &Volume) -> Result<(), Error> {
        let (spec, target, user) = (&volume.record.spec, volume.path(), self.user.as_ref());
        let volumes = self.volumes_directory();
        let make_directory = || {
            // Walkable by the server alone until it is attached.
            let made =
                DirBuilder::new().mode(0o700).create(&volume.directory).and_then(|()| File::open(&volumes)?.sync_all());
            made.map_err(|error| io_error("make a volume's directory", &volume.directory, &error))
        };
        match (&spec.source, &spec.filesystem) {
            (Some(image), _) => {
                let base = self.base_files(image).await?;
                make_directory()?;
                let overlay = Overlay { image, base: &base, disk_gib: spec.size_gib, target: &target };
                disk::create_overlay(overlay, user).await?;
            }
            (None, Some(filesystem)) => {
                make_directory()?;
                format::create(filesystem, spec.size_gib * GIB, &target, user).await?;
            }
            (None, None) => {
                make_directory()?;
                disk::create(None, spec.size_gib * GIB, &target, user).await?;
            }
        }
        volume.write()
    }

    /// Removes the record, then everything else: what a crash leaves is half made and can go. The caller has the volume's slot.
    pub(in crate::qemu) async fn remove_volume(&self, id: VolumeId) -> Result<(), Error> {
        let volumes = self.volumes_directory();
        let directory = volumes.join(id.to_string());
        if let Some(volume) = Volume::read(&volumes, id)? {
            if let Some(machine) = volume.record.machine {
                return Err(Error::VolumeElsewhere { volume: id, machine });
            }
            let record = directory.join(RECORD);
            std::fs::remove_file(&record).map_err(|error| io_error("remove a volume's record", &record, &error))?;
        }
        tokio::task::spawn_blocking(move || remove_directory(&directory))
            .await
            .map_err(|error| Error::host("remove a volume's files", error))??;
        self.layers.collect_behind().await;
        Ok(())
    }

    /// Makes the volume larger; its guest, if any, sees it at once. The caller has its slot, and that of the machine it is at.
    pub(in crate::qemu) async fn resize_volume(&self, id: VolumeId, size_gib: u64) -> Result<(), Error> {
        let volume = self.volume(id)?;
        let mut open = self.open_disk(&volume).await?;
        self.layers.settle(&mut volume.disk(open.as_mut())).await?;
        let now = volume.bytes().map_err(|error| io_error("look at a volume", &volume.path(), &error))?;
        let wanted = size_gib * GIB;
        if wanted <= now {
            return Ok(());
        }
        match &mut open {
            Some(open) => open.resize(&volume, wanted).await,
            None => {
                self.open_to_qemu(&volume)?;
                let grown = disk::grow(&volume.path(), wanted, self.user.as_ref()).await;
                self.close_unless_attached(&volume)?;
                grown
            }
        }
    }

    /// Takes the volume as it is now as an image. The caller has its slot, and that of the machine it is at.
    pub(in crate::qemu) async fn snapshot_volume(&self, id: VolumeId, image: &ImageName) -> Result<ImageFacts, Error> {
        let mut volume = self.volume(id)?;
        if let Some(facts) = self.layers.facts(image)? {
            return Ok(facts);
        }
        let mut open = self.open_disk(&volume).await?;
        let before = volume.clone();
        let mut commit = |file: &str| {
            file.clone_into(&mut volume.record.disk);
            volume.write()
        };
        let frozen = Frozen { image, direct: None };
        // A copy is made as QEMU's user.
        self.open_to_qemu(&before)?;
        let taken = self.layers.freeze(before.disk(open.as_mut()), frozen, &mut commit).await;
        self.close_unless_attached(&before)?;
        taken
    }

    /// Takes the slots of a volume and of the machine it is at, in that order which cannot lock up, and runs `work`.
    pub(in crate::qemu) async fn with_volume<T>(
        &self,
        id: VolumeId,
        work: impl AsyncFnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        loop {
            let machine = self.volume(id)?.record.machine;
            let machine_slot = machine.map(|machine: MachineId| self.slot(machine));
            let _machine_held = match &machine_slot {
                Some(slot) => Some(slot.lock().await),
                None => None,
            };
            let slot = self.volume_slot(id);
            let _held = slot.lock().await;
            // It may have gone elsewhere while we waited.
            if self.volume(id)?.record.machine == machine {
                return work().await;
            }
        }
    }
}
