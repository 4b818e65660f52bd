//! Root disks taken as images, of machines that run and of machines that do not.

use super::{
    Inner,
    layers::{Disk, Frozen},
    layout::names,
    power::QMP_LIMIT,
    qmp::Qmp,
};
use crate::{Error, ImageFacts, ImageName, MachineId};

impl Inner {
    /// Takes the machine's root disk as it is now as an image.
    pub(super) async fn snapshot(&self, id: MachineId, image: &ImageName) -> Result<ImageFacts, Error> {
        let (dir, mut machine) = self.machine(id)?;
        let mut qmp = match self.running(&dir, &machine)? {
            Some(_) => {
                let connected = Qmp::connect(&dir.file(names::QMP_SOCKET), QMP_LIMIT).await;
                Some(connected.map_err(|error| Error::host("take a snapshot of a running machine", error))?)
            }
            None => None,
        };
        let file = machine.disk.clone();
        let direct = machine.base.direct.clone();
        let disk = Disk { directory: dir.path(), file: &file, qmp: qmp.as_mut() };
        let frozen = Frozen { image, direct: direct.as_ref() };
        let mut commit = |file: &str| {
            file.clone_into(&mut machine.disk);
            dir.write(names::MACHINE, &machine)
        };
        self.layers.freeze(disk, frozen, &mut commit).await
    }
}
