//! Making machines and removing them: all that is files.

use std::{
    fmt::Display,
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt, chown},
    path::Path,
    time::Duration,
};

use tokio::time::timeout;
use uuid::Uuid;

use super::{
    Inner,
    disk::{self, Overlay},
    layers::{self, Pinned},
    layout::{MachineDir, io_error, names, write_atomically},
    process::Process,
    record::{MachineRecord, RunRecord},
    seed,
    user::{self, QemuUser},
};
use crate::{Error, ImageName, MachineId, MachineSpec};

/// How long the kernel may take to end a process that was killed.
const KILL_LIMIT: Duration = Duration::from_secs(20);

impl Inner {
    /// Makes the machine's files; the record comes last, so a machine with a record is whole.
    pub(super) async fn ensure(&self, id: MachineId, spec: &MachineSpec) -> Result<(), Error> {
        let dir = self.layout.machine(id);
        if let Some(made) = dir.read::<MachineRecord>(names::MACHINE)? {
            return if made.spec == *spec { Ok(()) } else { Err(Error::SpecConflict(id)) };
        }
        let base = self.reachable_base(&spec.image).await?;
        // Judged before anything is made, so that a bad image leaves nothing behind.
        let made = async {
            self.make_directory(&dir)?;
            let disk = layers::fresh_disk();
            let overlay =
                Overlay { image: &spec.image, base: &base, disk_gib: spec.disk_gib, target: &dir.file(&disk) };
            disk::create_overlay(overlay, self.user.as_ref()).await?;
            let machine = MachineRecord { uuid: Uuid::new_v4(), spec: spec.clone(), base: base.clone(), disk };
            self.write_seed(&dir, &machine)?;
            dir.write(names::MACHINE, &machine)?;
            // The disk of an attempt that was cut off.
            self.settle_root_disk(id, &dir, &machine).await
        };
        let result = made.await;
        drop(base);
        if matches!(result, Err(Error::ImageInvalid { .. } | Error::DiskFull { .. })) {
            dir.remove_all()?;
        }
        result
    }

    /// The files of an image, once it is sure that QEMU's user can read them.
    pub(super) async fn reachable_base(&self, image: &ImageName) -> Result<Pinned, Error> {
        let base = self.base_files(image).await?;
        if let Some(user) = &self.user {
            let direct = base.direct.iter().flat_map(|direct| [&direct.kernel, &direct.initrd]);
            for file in direct.chain([&base.disk]) {
                user.check_reach(file)?;
            }
        }
        Ok(base)
    }

    /// Ends the process, then removes the record, then everything else: what a crash leaves is half made and can go.
    pub(super) async fn destroy(&self, id: MachineId) -> Result<(), Error> {
        let dir = self.layout.machine(id);
        let record = dir.read::<MachineRecord>(names::MACHINE);
        let process = match &record {
            Ok(None) => None,
            Ok(Some(machine)) => self.running(&dir, machine)?.map(|(_, process)| process),
            // Damaged, and removed all the same: nobody could ever do anything else with it.
            Err(damage) => running_by_number(id, &dir, damage)?,
        };
        if let Some(process) = process {
            kill(&process).await?;
        }
        // While it is still listed: what is parked now, the host's list shows.
        self.return_gpus(id).await?;
        if !matches!(record, Ok(None)) {
            self.free_volumes(id).await?;
            dir.remove(names::MACHINE)?;
        }
        tokio::task::spawn_blocking(move || dir.remove_all())
            .await
            .map_err(|error| Error::host("remove a machine's files", error))??;
        self.layers.collect_behind().await;
        Ok(())
    }

    pub(super) fn write_seed(&self, dir: &MachineDir, machine: &MachineRecord) -> Result<(), Error> {
        let path = dir.file(names::SEED);
        let failed = |error: io::Error| io_error("write a seed disk", &path, &error);
        let volume = seed::volume(machine.uuid, &machine.spec, &self.links.of_guest(&machine.spec)).map_err(failed)?;
        write_atomically(&path, &volume, 0o600).map_err(failed)?;
        self.give_to_qemu(&path)
    }

    /// The machine's directories as they should be, whatever is there of them: a backup has the record alone.
    pub(super) fn make_directory(&self, dir: &MachineDir) -> Result<(), Error> {
        // Walkable by QEMU's group, listable by the server alone.
        let mode = if self.user.is_some() { 0o710 } else { 0o700 };
        self.make_one_directory(dir.path(), mode, None)?;
        self.make_one_directory(&dir.file(names::SOCKETS), 0o700, self.user.as_ref().map(|user| user.uid))
    }

    fn make_one_directory(&self, path: &Path, mode: u32, owner: Option<u32>) -> Result<(), Error> {
        let failed = |error: io::Error| io_error("make a machine's directory", path, &error);
        match DirBuilder::new().mode(mode).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
            Err(_) => fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed)?,
            Ok(()) => {}
        }
        match &self.user {
            Some(user) => chown(path, owner, Some(user.gid)).map_err(failed),
            None => Ok(()),
        }
    }

    /// Makes the files that QEMU writes to the user's it runs as this time.
    pub(super) fn give_machine(
        &self,
        dir: &MachineDir,
        machine: &MachineRecord,
        user: Option<&QemuUser>,
    ) -> Result<(), Error> {
        let Some(QemuUser { uid, gid, .. }) = user else { return Ok(()) };
        for name in [machine.disk.as_str(), names::SEED, names::SOCKETS] {
            let path = dir.file(name);
            chown(&path, Some(*uid), Some(*gid))
                .map_err(|error| io_error("give a machine's files to its user", &path, &error))?;
        }
        Ok(())
    }

    fn give_to_qemu(&self, path: &Path) -> Result<(), Error> {
        user::give_to_qemu(self.user.as_ref(), path)
            .map_err(|error| io_error("give a file to QEMU's user", path, &error))
    }
}

/// The process of a machine whose record cannot be read, by what its last start wrote down: that comes before the process, so
/// without it there is none. Fails with the damage when it cannot be told.
fn running_by_number(id: MachineId, dir: &MachineDir, damage: &Error) -> Result<Option<Process>, Error> {
    let cannot_tell = |why: &dyn Display| Error::Host {
        operation: "find out whether a machine runs",
        problem: format!("{damage}; {why}; end its QEMU, then remove {}", dir.path().display()),
        transient: false,
    };
    let Some(run) = dir.read::<RunRecord>(names::RUN).map_err(|error| cannot_tell(&error))? else { return Ok(None) };
    let Some(identity) = run.process else { return Err(cannot_tell(&"its last start was cut off")) };
    Process::find_by_number(identity, id).map_err(|error| cannot_tell(&error))
}

/// Pulls the plug and waits until the process is gone.
pub(super) async fn kill(process: &Process) -> Result<(), Error> {
    process.kill();
    timeout(KILL_LIMIT, process.ended()).await.map_err(|_| Error::Host {
        operation: "end a machine's process",
        problem: format!("process {} was killed and is still there", process.identity.pid),
        transient: true,
    })
}
