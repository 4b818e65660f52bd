//! Machines that become others: of another size, with other links, or with a new root disk.
//!
//! The record is the one step that counts. What has to be there before it (a larger disk, a new one) is made first and harms
//! nobody without it; what follows from it (the seed, the old disk's file) is done again by the next start.

use uuid::Uuid;

use super::{
    Inner,
    disk::{self, GIB, Overlay},
    layers,
    layout::{MachineDir, names},
    record::MachineRecord,
};
use crate::{Error, MachineId, MachineSpec};

impl Inner {
    /// Makes a machine that is off as `spec` says, its disk and what is on it kept.
    pub(super) async fn change(&self, id: MachineId, spec: &MachineSpec) -> Result<(), Error> {
        let (dir, machine) = self.machine(id)?;
        let old = &machine.spec;
        let allowed = MachineSpec {
            hostname: spec.hostname.clone(),
            vcpus: spec.vcpus,
            memory_mib: spec.memory_mib,
            disk_gib: spec.disk_gib.max(old.disk_gib),
            password_hash: spec.password_hash.clone(),
            nics: spec.nics.clone(),
            gpus: spec.gpus.clone(),
            ..old.clone()
        };
        if *spec != allowed {
            return Err(Error::SpecConflict(id));
        }
        if spec == old {
            return Ok(());
        }
        let running = self.running(&dir, &machine)?.is_some();
        if running && !old.differs_in_what_may_change(spec) {
            return Err(Error::host("change a machine", format_args!("machine {id} is running")));
        }
        if spec.disk_gib > old.disk_gib {
            self.settle_root_disk(id, &dir, &machine).await?;
            disk::grow(&dir.file(&machine.disk), spec.disk_gib * GIB, self.user.as_ref()).await?;
        }
        let machine = MachineRecord { spec: spec.clone(), ..machine };
        dir.write(names::MACHINE, &machine)?;
        // The seed of a running guest is read by nobody before the next start, which writes it.
        if running { Ok(()) } else { self.write_seed(&dir, &machine) }
    }

    /// Gives a machine that is off a new root disk. It is another instance then: its first start is before it.
    pub(super) async fn rebuild(&self, id: MachineId, spec: &MachineSpec) -> Result<(), Error> {
        let (dir, machine) = self.machine(id)?;
        let allowed = MachineSpec {
            image: spec.image.clone(),
            hostname: spec.hostname.clone(),
            password_hash: spec.password_hash.clone(),
            ..machine.spec.clone()
        };
        if *spec != allowed {
            return Err(Error::SpecConflict(id));
        }
        if self.running(&dir, &machine)?.is_some() {
            return Err(Error::host("rebuild a machine", format_args!("machine {id} is running")));
        }
        self.settle_root_disk(id, &dir, &machine).await?;
        let machine = self.with_new_disk(&dir, spec).await?;
        for leftover in [names::CONSOLE, names::OLDER_CONSOLE] {
            dir.remove(leftover)?;
        }
        self.settle_root_disk(id, &dir, &machine).await?;
        self.write_seed(&dir, &machine)?;
        // The old disk may have been the last that led to a layer.
        self.layers.collect_behind().await;
        Ok(())
    }

    async fn with_new_disk(&self, dir: &MachineDir, spec: &MachineSpec) -> Result<MachineRecord, Error> {
        let base = self.reachable_base(&spec.image).await?;
        let disk = layers::fresh_disk();
        let overlay = Overlay { image: &spec.image, base: &base, disk_gib: spec.disk_gib, target: &dir.file(&disk) };
        disk::create_overlay(overlay, self.user.as_ref()).await?;
        // What the old guest said is not true of the new one. The old one would say it again.
        dir.remove(names::REPORT)?;
        let machine = MachineRecord { uuid: Uuid::new_v4(), spec: spec.clone(), base: base.clone(), disk };
        dir.write(names::MACHINE, &machine)?;
        Ok(machine)
    }
}
