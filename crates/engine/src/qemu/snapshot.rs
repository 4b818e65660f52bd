//! Root disks taken as images, of machines that run and of machines that do not.

use super::{
    Inner,
    layers::{Disk, Frozen, Live},
    layout::{MachineDir, names},
    power::QMP_LIMIT,
    qmp::Qmp,
    record::MachineRecord,
};
use crate::{Error, ImageFacts, ImageName, MachineId};

impl Inner {
    /// Takes the machine's root disk as it is now as an image.
    pub(super) async fn snapshot(&self, id: MachineId, image: &ImageName) -> Result<ImageFacts, Error> {
        let (dir, mut machine) = self.machine(id)?;
        let mut qmp = self.qmp_if_running(&dir, &machine).await?;
        let file = machine.disk.clone();
        let direct = machine.base.direct.clone();
        let disk = root_disk(id, &dir, &file, qmp.as_mut());
        let frozen = Frozen { image, direct: direct.as_ref() };
        let mut commit = |file: &str| {
            file.clone_into(&mut machine.disk);
            dir.write(names::MACHINE, &machine)
        };
        self.layers.freeze(disk, frozen, &mut commit).await
    }

    /// Finishes or undoes what a snapshot left behind that was cut off.
    pub(super) async fn settle_root_disk(
        &self,
        id: MachineId,
        dir: &MachineDir,
        machine: &MachineRecord,
    ) -> Result<(), Error> {
        if !self.layers.is_settled(dir.path(), &machine.disk)? {
            let mut qmp = self.qmp_if_running(dir, machine).await?;
            self.layers.settle(&mut root_disk(id, dir, &machine.disk, qmp.as_mut())).await?;
        }
        Ok(())
    }

    /// A connection to the machine's QEMU; `None` when it does not run, or ended just now.
    pub(super) async fn qmp_if_running(&self, dir: &MachineDir, machine: &MachineRecord) -> Result<Option<Qmp>, Error> {
        let Some((_, process)) = self.running(dir, machine)? else { return Ok(None) };
        match Qmp::connect(&dir.file(names::QMP_SOCKET), QMP_LIMIT).await {
            Ok(qmp) => Ok(Some(qmp)),
            Err(_) if process.ends_now().await => Ok(None),
            Err(error) => Err(Error::host("reach a running machine's QEMU", error)),
        }
    }
}

fn root_disk<'a>(id: MachineId, dir: &'a MachineDir, file: &'a str, qmp: Option<&'a mut Qmp>) -> Disk<'a> {
    Disk { directory: dir.path(), file, live: qmp.map(|qmp| Live { id, dir, qmp }) }
}
