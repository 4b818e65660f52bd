//! Volumes: disks of their own, given to one machine at a time.
//!
//! ```text
//! DATA/volumes/             walkable by QEMU's user, listable by the server alone
//!   UUID/                   one volume; walkable by QEMU's user while the volume is attached
//!     volume.json           what it is and where it is attached; written last when it is made, removed first when it goes
//!     disk-….qcow2          its content; each snapshot begins another file
//! ```
//!
//! The record alone says where a volume is attached: it is written before QEMU is given the disk, and cleared after QEMU has
//! let go of it. So whatever is cut off in between, no second machine can get it.
//!
//! Calls for one volume are put in a row by its slot. Who needs a machine's slot too takes that one first. What is attached to a
//! machine changes only under that machine's slot.

mod format;
mod keep;
mod plug;

use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use tracing::{info, warn};
use uuid::Uuid;

pub(super) use plug::device_words;

use super::{
    Inner,
    layers::{Disk, Layers, qcow2},
    layout::{io_error, read_record, write_record},
    slots::Slot,
};
use crate::{Error, MachineId, ObservedVolume, VolumeId, VolumeSpec};

const RECORD: &str = "volume.json";

const GIB: u64 = 1 << 30;

/// What a volume is. Its presence means that the volume is wholly made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct VolumeRecord {
    spec: VolumeSpec,
    /// The file in the volume's directory that is its disk now. Its size is the volume's.
    disk: String,
    /// Where it is attached.
    machine: Option<MachineId>,
}

/// A wholly made volume, read from its record.
#[derive(Clone, Debug)]
pub(super) struct Volume {
    id: VolumeId,
    directory: PathBuf,
    record: VolumeRecord,
}

impl Volume {
    /// Reads a volume's record; `None` when there is no such volume, or it is half made.
    fn read(volumes: &Path, id: VolumeId) -> Result<Option<Self>, Error> {
        let directory = volumes.join(id.to_string());
        let record = read_record(&directory.join(RECORD))?;
        Ok(record.map(|record| Self { id, directory, record }))
    }

    fn write(&self) -> Result<(), Error> {
        write_record(&self.directory.join(RECORD), &self.record)
    }

    fn path(&self) -> PathBuf {
        self.directory.join(&self.record.disk)
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The layers beneath its disk.
    pub(super) fn beneath(&self) -> Vec<PathBuf> {
        Layers::beneath(&self.path())
    }

    /// Its disk, which nothing has open.
    fn closed(&self) -> Disk<'_> {
        Disk { directory: &self.directory, file: &self.record.disk, live: None }
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(qcow2::head(&self.path())?.disk_bytes)
    }
}

impl Inner {
    pub(super) fn volume_slot(&self, id: VolumeId) -> Slot<()> {
        self.volume_slots.get(id)
    }

    fn volumes_directory(&self) -> PathBuf {
        self.layout.volumes()
    }

    fn volume(&self, id: VolumeId) -> Result<Volume, Error> {
        Volume::read(&self.volumes_directory(), id)?.ok_or(Error::NoSuchVolume(id))
    }

    /// Every volume there is anything of, in ascending order.
    pub(super) fn volumes(&self) -> Result<Vec<VolumeId>, Error> {
        let directory = self.volumes_directory();
        let failed = |error: io::Error| io_error("list volumes", &directory, &error);
        let mut found = Vec::new();
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            found.extend(name.to_str().and_then(|name| Uuid::parse_str(name).ok()).map(VolumeId));
        }
        found.sort_unstable();
        Ok(found)
    }

    /// The volumes attached to a machine, in ascending order. The caller has the machine's slot.
    pub(super) fn volumes_of(&self, machine: MachineId) -> Result<Vec<Volume>, Error> {
        let directory = self.volumes_directory();
        let mut found = Vec::new();
        for id in self.attached.at(machine) {
            found.extend(Volume::read(&directory, id)?.filter(|volume| volume.record.machine == Some(machine)));
        }
        Ok(found)
    }

    pub(super) fn observe_volume(&self, id: VolumeId) -> Result<Option<ObservedVolume>, Error> {
        loop {
            let Some(volume) = Volume::read(&self.volumes_directory(), id)? else { return Ok(None) };
            match volume.bytes() {
                Ok(bytes) => {
                    return Ok(Some(ObservedVolume { size_gib: bytes / GIB, machine: volume.record.machine }));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.has_moved_on(&volume)? => {}
                Err(error) => return Err(io_error("look at a volume", &volume.path(), &error)),
            }
        }
    }

    /// Whether the record says something else by now: a snapshot has begun another file, or the volume is gone.
    fn has_moved_on(&self, volume: &Volume) -> Result<bool, Error> {
        let now = Volume::read(&self.volumes_directory(), volume.id)?;
        Ok(now.is_none_or(|now| now.record.disk != volume.record.disk))
    }

    /// Finds out which volumes are where, removes what volumes were left half made, and says so in the log. For the start, before anyone makes any.
    pub(super) fn tidy_volumes(&self) -> Result<(), Error> {
        let volumes = self.volumes_directory();
        for id in self.volumes()? {
            let directory = volumes.join(id.to_string());
            match directory.join(RECORD).try_exists() {
                Ok(true) => {
                    let volume = Volume::read(&volumes, id);
                    match volume.map(|volume| volume.and_then(|volume| volume.record.machine)) {
                        Ok(Some(machine)) => self.attached.add(machine, id),
                        Ok(None) => {}
                        Err(error) => match machine_named(&directory.join(RECORD)) {
                            // That one does not start without it; the others go on.
                            Some(machine) => {
                                self.attached.add(machine, id);
                                warn!(error = %error, "Machine {machine} does not start until the record of its volume {id} can be read");
                            }
                            None => {
                                warn!(error = %error, "Volume {id} is at no machine until its record can be read and the server is started again")
                            }
                        },
                    }
                }
                Ok(false) => {
                    remove_directory(&directory)?;
                    info!(
                        "Removed {}: a volume that was never wholly made, or not wholly removed",
                        directory.display()
                    );
                }
                Err(error) => {
                    warn!(error = %error, "Nobody can say whether {} is a whole volume; it stays", directory.display());
                }
            }
        }
        Ok(())
    }
}

/// Which records to read for a machine's volumes. Every volume that a record puts at a machine is here at that machine, and
/// perhaps others: the records alone count.
#[derive(Debug, Default)]
pub(super) struct Attached(Mutex<HashMap<MachineId, BTreeSet<VolumeId>>>);

impl Attached {
    fn at(&self, machine: MachineId) -> BTreeSet<VolumeId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&machine).cloned().unwrap_or_default()
    }

    /// Before the record says so.
    fn add(&self, machine: MachineId, volume: VolumeId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(machine).or_default().insert(volume);
    }

    /// After the record says so no more.
    fn remove(&self, machine: MachineId, volume: VolumeId) {
        let mut attached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(volumes) = attached.get_mut(&machine) {
            volumes.remove(&volume);
            if volumes.is_empty() {
                attached.remove(&machine);
            }
        }
    }
}

/// The machine that a damaged record still says its volume is at.
fn machine_named(record: &Path) -> Option<MachineId> {
    const MEMBER: &str = "\"machine\": ";
    let text = String::from_utf8_lossy(&fs::read(record).ok()?).into_owned();
    let (_, place) = text.rsplit_once(MEMBER)?;
    place.split(|next: char| !next.is_ascii_digit()).next()?.parse().ok().map(MachineId)
}

/// Looks at a volume among `volumes`: what is seen of it, and its disk's file. `None`: half made, or not there.
pub(super) fn surveyed(volumes: &Path, id: VolumeId) -> Result<Option<(ObservedVolume, PathBuf)>, String> {
    let Some(volume) = Volume::read(volumes, id).map_err(|error| error.to_string())? else { return Ok(None) };
    let bytes =
        volume.bytes().map_err(|error| format!("its disk {} cannot be read: {error}", volume.path().display()))?;
    let seen = ObservedVolume { size_gib: bytes / GIB, machine: volume.record.machine };
    Ok(Some((seen, volume.path())))
}

/// Removes a volume's directory with all that is in it; success when there is none.
fn remove_directory(directory: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("remove a volume's files", directory, &error))
        }
        _ => Ok(()),
    }
}
