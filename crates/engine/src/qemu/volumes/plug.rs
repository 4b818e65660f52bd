//! Giving volumes to machines and taking them back, while they run and while they do not.
//!
//! ```text
//! attach   record: at M ─> directory open to QEMU ─> blockdev-add ─> device_add
//! detach   device_del ─> DEVICE_DELETED ─> blockdev-del ─> record: nowhere ─> directory closed
//! ```
//!
//! Each step may be found done. What QEMU has is asked of QEMU: a device by its name, which is the volume's, and nodes by
//! their files, since each snapshot of an attached volume puts another node on top.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
    time::Duration,
};

use serde_json::{Value, json};
use tracing::warn;

use super::Volume;
use crate::{
    Error, MachineId, VolumeId,
    qemu::{
        Inner,
        command::VOLUMES,
        layers::{Disk, Live, node_of},
        layout::{MachineDir, io_error},
        process::Process,
        qmp::{Qmp, QmpError},
        user::{QemuUser, give_to_qemu},
    },
};

/// How long a guest may take to let go of a volume.
const UNPLUG_LIMIT: Duration = Duration::from_secs(30);

/// What QEMU calls the device of a volume.
fn device_of(id: VolumeId) -> String {
    format!("volume-{id}")
}

/// The device as the guest sees it: udev makes `scsi-0DO_Volume_NAME` of vendor, product and device identification.
fn device(volume: &Volume) -> Vec<(&'static str, String)> {
    vec![
        ("driver", "scsi-hd".to_owned()),
        ("bus", format!("{VOLUMES}.0")),
        ("id", device_of(volume.id)),
        ("drive", node_of(&volume.record.disk).to_owned()),
        ("vendor", "DO".to_owned()),
        ("product", "Volume".to_owned()),
        ("device_id", volume.record.spec.name.clone()),
        ("serial", volume.id.to_string()),
    ]
}

fn blockdev(volume: &Volume) -> Value {
    json!({
        "driver": "qcow2",
        "node-name": node_of(&volume.record.disk),
        "discard": "unmap",
        "file": { "driver": "file", "filename": volume.path() },
    })
}

/// A volume's words on the command line of the machine it is attached to.
pub(in crate::qemu) fn device_words(volume: &Volume) -> [String; 4] {
    let device: Vec<String> = device(volume)
        .into_iter()
        .map(|(key, value)| match key {
            "driver" => value,
            key => format!("{key}={value}"),
        })
        .collect();
    ["-blockdev".to_owned(), blockdev(volume).to_string(), "-device".to_owned(), device.join(",")]
}

fn failed(error: QmpError) -> Error {
    Error::host("plug or unplug a volume", error)
}

/// A connection to the QEMU that has a volume's disk open.
pub(super) struct OpenDisk {
    id: MachineId,
    dir: MachineDir,
    qmp: Qmp,
}

impl OpenDisk {
    /// Tells QEMU, and by it the guest, that the disk has this size. The disk is settled.
    pub(super) async fn resize(&mut self, volume: &Volume, bytes: u64) -> Result<(), Error> {
        let arguments = json!({ "node-name": node_of(&volume.record.disk), "size": bytes });
        let resized = self.qmp.execute_with("block_resize", arguments).await;
        resized.map(drop).map_err(|error| Error::host("resize a volume", error))
    }
}

impl Volume {
    /// Its disk, which `open` has open.
    pub(super) fn disk<'a>(&'a self, open: Option<&'a mut OpenDisk>) -> Disk<'a> {
        let live = open.map(|OpenDisk { id, dir, qmp }| Live { id: *id, dir, qmp });
        Disk { directory: &self.directory, file: &self.record.disk, live }
    }
}

impl Inner {
    /// The caller has the slots of both.
    pub(in crate::qemu) async fn attach(&self, id: VolumeId, machine: MachineId) -> Result<(), Error> {
        let mut volume = self.volume(id)?;
        let (dir, owner) = self.machine(machine)?;
        let before = volume.record.machine;
        match before {
            Some(other) if other != machine => return Err(Error::VolumeElsewhere { volume: id, machine: other }),
            Some(_) => {}
            None => {
                self.attached.add(machine, id);
                volume.record.machine = Some(machine);
                volume.write()?;
            }
        }
        self.open_to_qemu(&volume)?;
        let Some((_, process)) = self.running(&dir, &owner)? else { return Ok(()) };
        let Some(mut qmp) = self.qmp_if_running(&dir, &owner).await? else { return Ok(()) };
        // Its own disk says who it runs as, also when another version of this server started it.
        let user = self.user.as_ref().map(|user| user.owning(&dir.file(&owner.disk)));
        match self.plug(&mut qmp, &volume, process.identity.pid, user.as_ref()).await {
            Ok(()) => Ok(()),
            // It went off meanwhile: its next start has the volume.
            Err(_) if process.ends_now().await => Ok(()),
            Err(error) => {
                // Nowhere again, if that is where it was and QEMU says so; else it stays where its record says.
                if before.is_none() && unplug(&mut qmp, &volume).await.is_ok() {
                    self.set_free(&mut volume)?;
                }
                Err(error)
            }
        }
    }

    /// The caller has the slots of both.
    pub(in crate::qemu) async fn detach(&self, id: VolumeId, machine: MachineId) -> Result<(), Error> {
        let Some(mut volume) = Volume::read(&self.volumes_directory(), id)? else { return Ok(()) };
        if volume.record.machine != Some(machine) {
            return Ok(());
        }
        if let Err(error) = self.take_from_qemu(&volume).await
            && let Some(process) = self.process_of(machine)?
            && !process.ends_now().await
        {
            return Err(error);
        }
        self.set_free(&mut volume)?;
        if let Ok(Some(process)) = self.process_of(machine)
            && let Err(error) = self.containment.hide(process.identity.pid, &volume.directory)
        {
            warn!(machine.id = %machine, error = %error, "Machine {machine} still sees the directory of volume {id}, closed to it");
        }
        Ok(())
    }

    /// Unplugs the volume and closes its files in the QEMU of the machine it is at, if that runs.
    async fn take_from_qemu(&self, volume: &Volume) -> Result<(), Error> {
        let Some(mut open) = self.open_disk(volume).await? else { return Ok(()) };
        // A copy that a snapshot began, and was cut off in, would hold the disk.
        self.layers.settle(&mut volume.disk(Some(&mut open))).await?;
        unplug(&mut open.qmp, volume).await.map_err(|error| match error {
            QmpError::Silent(limit) if limit == UNPLUG_LIMIT => Error::GuestIgnored(open.id),
            other => failed(other),
        })
    }

    /// A machine's process. Fails with [`Error::NoSuchMachine`] when there is no such machine.
    fn process_of(&self, machine: MachineId) -> Result<Option<Process>, Error> {
        let (dir, owner) = self.machine(machine)?;
        Ok(self.running(&dir, &owner)?.map(|(_, process)| process))
    }

    /// Lets go of every volume of a machine that does not run and never will. The caller has its slot.
    pub(in crate::qemu) async fn free_volumes(&self, machine: MachineId) -> Result<(), Error> {
        for mut volume in self.volumes_of(machine)? {
            let slot = self.volume_slot(volume.id);
            let _held = slot.lock().await;
            self.set_free(&mut volume)?;
        }
        Ok(())
    }

    /// The volumes of a machine that is about to start, each one file that is its user's. The caller has its slot.
    pub(in crate::qemu) async fn volumes_to_start_with(
        &self,
        machine: MachineId,
        user: Option<&QemuUser>,
    ) -> Result<Vec<Volume>, Error> {
        let volumes = self.volumes_of(machine)?;
        for volume in &volumes {
            self.open_to_qemu(volume)?;
            self.layers.settle(&mut volume.closed()).await?;
            give(volume, user)?;
        }
        Ok(volumes)
    }

    /// A connection to the QEMU that has the volume's disk open now, if any has.
    pub(super) async fn open_disk(&self, volume: &Volume) -> Result<Option<OpenDisk>, Error> {
        let Some(machine) = volume.record.machine else { return Ok(None) };
        let (dir, owner) = match self.machine(machine) {
            Err(Error::NoSuchMachine(_)) => return Ok(None),
            found => found?,
        };
        let Some(mut qmp) = self.qmp_if_running(&dir, &owner).await? else { return Ok(None) };
        if is_plugged(&mut qmp, volume.id).await.map_err(failed)? {
            return Ok(Some(OpenDisk { id: machine, dir, qmp }));
        }
        // An attachment that was cut off: QEMU may have the file open without a device on it.
        close(&mut qmp, &volume.directory).await.map_err(failed)?;
        Ok(None)
    }

    async fn plug(&self, qmp: &mut Qmp, volume: &Volume, pid: i32, user: Option<&QemuUser>) -> Result<(), Error> {
        if is_plugged(qmp, volume.id).await.map_err(failed)? {
            return Ok(());
        }
        close(qmp, &volume.directory).await.map_err(failed)?;
        self.layers.settle(&mut volume.closed()).await?;
        give(volume, user)?;
        self.containment
            .show(pid, &volume.beneath(), std::slice::from_ref(&volume.directory))
            .map_err(|error| Error::host("show a volume to a running machine", error))?;
        qmp.execute_with("blockdev-add", blockdev(volume)).await.map_err(failed)?;
        let device: serde_json::Map<String, Value> =
            device(volume).into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
        match qmp.execute_with("device_add", device.into()).await {
            Ok(_) => Ok(()),
            Err(QmpError::Refused { reason, .. }) if reason.contains(&format!("'{VOLUMES}.0'")) => Err(Error::host(
                "attach a volume",
                "the machine was started before it could take volumes while it runs; power it off and on first",
            )),
            Err(error) => Err(failed(error)),
        }
    }

    /// Writes down that the volume is nowhere. No QEMU has it open.
    fn set_free(&self, volume: &mut Volume) -> Result<(), Error> {
        let before = volume.record.machine.take();
        volume.write()?;
        if let Some(machine) = before {
            self.attached.remove(machine, volume.id);
        }
        self.close_unless_attached(volume)
    }

    pub(super) fn close_unless_attached(&self, volume: &Volume) -> Result<(), Error> {
        match volume.record.machine {
            Some(_) => Ok(()),
            None => self.set_mode(&volume.directory, 0o700, None),
        }
    }

    pub(super) fn open_to_qemu(&self, volume: &Volume) -> Result<(), Error> {
        match &self.user {
            Some(user) => self.set_mode(&volume.directory, 0o710, Some(user.gid))?,
            None => return Ok(()),
        }
        self.layers.open_to_qemu(&volume.path())
    }

    fn set_mode(&self, directory: &Path, mode: u32, group: Option<u32>) -> Result<(), Error> {
        chown(directory, None, group)
            .and_then(|()| fs::set_permissions(directory, fs::Permissions::from_mode(mode)))
            .map_err(|error| io_error("open a volume's directory to QEMU", directory, &error))
    }
}

/// Makes the volume's disk QEMU's own.
fn give(volume: &Volume, user: Option<&QemuUser>) -> Result<(), Error> {
    give_to_qemu(user, &volume.path()).map_err(|error| io_error("give a volume to its machine", &volume.path(), &error))
}

async fn is_plugged(qmp: &mut Qmp, id: VolumeId) -> Result<bool, QmpError> {
    let answer = qmp.execute("query-block").await?;
    let device = device_of(id);
    // QEMU says the device's name, or the path that begins with it in its tree.
    let names = |block: &Value| block["qdev"].as_str().is_some_and(|qdev| qdev.split('/').any(|part| part == device));
    Ok(answer.as_array().is_some_and(|blocks| blocks.iter().any(names)))
}

/// Takes the device from the guest, and closes the volume's files.
async fn unplug(qmp: &mut Qmp, volume: &Volume) -> Result<(), QmpError> {
    if is_plugged(qmp, volume.id).await? {
        let device = device_of(volume.id);
        match qmp.execute_with("device_del", json!({ "id": device })).await {
            Ok(_) => {}
            // Asked before, and the guest has not let go of it yet.
            Err(QmpError::Refused { reason, .. }) if reason.contains("already in the process of unplug") => {}
            Err(error) => return Err(error),
        }
        qmp.event(UNPLUG_LIMIT, |event| event.name == "DEVICE_DELETED" && event.data["device"] == device).await?;
    }
    close(qmp, &volume.directory).await
}

/// Closes every file of the volume that QEMU has open. None is a device's.
async fn close(qmp: &mut Qmp, directory: &Path) -> Result<(), QmpError> {
    loop {
        let nodes = nodes_below(qmp, directory).await?;
        let mut refused = None;
        let mut closed = false;
        for node in &nodes {
            // One that lies beneath another is in use until that is closed.
            match qmp.execute_with("blockdev-del", json!({ "node-name": node })).await {
                Ok(_) => closed = true,
                Err(error @ QmpError::Refused { .. }) => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        match refused {
            None => return Ok(()),
            Some(error) if !closed => return Err(error),
            Some(_) => {}
        }
    }
}

/// The names of the nodes that are files of the volume: each file's name without its ending.
async fn nodes_below(qmp: &mut Qmp, directory: &Path) -> Result<Vec<String>, QmpError> {
    let answer = qmp.execute_with("query-named-block-nodes", json!({ "flat": true })).await?;
    let directory = format!("{}/", directory.display());
    let nodes = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(nodes
        .iter()
        .filter_map(|node| {
            let (file, name) = (node["file"].as_str()?, node["node-name"].as_str()?);
            let own = file.contains(&directory) && node["drv"] == "qcow2";
            own.then(|| name.to_owned())
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{VolumeSpec, qemu::volumes::VolumeRecord};

    #[test]
    fn the_guest_is_told_whose_volume_it_is() {
        let spec = VolumeSpec { name: "data".to_owned(), size_gib: 1, filesystem: None, source: None };
        let record = VolumeRecord { spec, disk: "disk-1.qcow2".to_owned(), machine: None };
        let volume = Volume { id: VolumeId(Uuid::nil()), directory: "/a,b".into(), record };
        let [_, blockdev, _, device] = device_words(&volume);
        assert_eq!(
            device,
            "scsi-hd,bus=volumes.0,id=volume-00000000-0000-0000-0000-000000000000,drive=disk-1,vendor=DO,product=Volume,\
             device_id=data,serial=00000000-0000-0000-0000-000000000000"
        );
        let blockdev: Value = serde_json::from_str(&blockdev).expect("JSON");
        assert_eq!(blockdev["file"]["filename"], "/a,b/disk-1.qcow2");
    }
}
