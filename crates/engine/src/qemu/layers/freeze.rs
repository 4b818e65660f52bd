//! Freezing a disk: what is on it becomes a layer, and its owner goes on in a new file above.
//!
//! ```text
//! link     layers/L is the disk's file by a second name              undone by: removing L
//! overlay  disk-N.qcow2 leads to L; QEMU opens it, unused            undone by: removing both
//! commit   the owner's record says that disk-N.qcow2 is the disk     from here on the snapshot happens
//! switch   QEMU writes to disk-N.qcow2; where the guest helps, its file systems stand still in that moment
//! drop     the disk's old name goes; L is read-only
//! name     the image's record says that it is L
//! ```
//!
//! After `commit` the new file is always right for the next start, whether or not QEMU has switched: what it has not switched
//! away from is L itself. A crash leaves at most one more layer in the chain, and files that [`Layers::settle`] tidies away.
//! A disk with many layers beneath it is copied instead, see [`copy`]. No file ever changes its name while QEMU has it open, since QEMU opens it by that name again when it becomes read-only.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Layers, copy, qcow2, sync};
use crate::{
    Error, ImageFacts, ImageName, MachineId,
    qemu::{
        agent, disk,
        layout::{MachineDir, io_error},
        qmp::{Qmp, QmpError},
        record::DirectBoot,
    },
};

/// What the names of disks' files begin with.
const PREFIX: &str = "disk-";

/// A name for a new file of a disk, one that no disk ever had: QEMU remembers files by their names.
pub(in crate::qemu) fn fresh_disk() -> String {
    let number = Uuid::new_v4().simple().to_string();
    format!("{PREFIX}{}.qcow2", &number[..12])
}

/// What QEMU calls the disk whose file is `file`: every one of ours is opened under this node name.
pub(in crate::qemu) fn node_of(file: &str) -> &str {
    file.strip_suffix(".qcow2").unwrap_or(file)
}

/// A disk: files of its own directory, one of which is the disk now. Its owner's calls are in a row.
pub(in crate::qemu) struct Disk<'a> {
    /// Where its files are, and no other disk's.
    pub(in crate::qemu) directory: &'a Path,
    /// The file that is the disk, as its owner's record says.
    pub(in crate::qemu) file: &'a str,
    /// Who has it open.
    pub(in crate::qemu) live: Option<Live<'a>>,
}

/// A running machine that has a disk open.
pub(in crate::qemu) struct Live<'a> {
    pub(in crate::qemu) id: MachineId,
    pub(in crate::qemu) dir: &'a MachineDir,
    pub(in crate::qemu) qmp: &'a mut Qmp,
}

/// What becomes of it.
pub(in crate::qemu) struct Frozen<'a> {
    /// The image's name.
    pub(in crate::qemu) image: &'a ImageName,
    /// Kernel and initramfs of what is based on it.
    pub(in crate::qemu) direct: Option<&'a DirectBoot>,
}

/// The steps of [`Layers::freeze`], by what is done when they are passed; tests end a server at each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::qemu) enum Point {
    Linked,
    Overlaid,
    Committed,
    Switched,
    Dropped,
    Named,
    /// QEMU copies a running disk.
    Copying,
    /// The copy is a layer.
    Copied,
}

#[cfg(test)]
impl Point {
    pub(in crate::qemu) const BY_REFERENCE: [Self; 6] =
        [Self::Linked, Self::Overlaid, Self::Committed, Self::Switched, Self::Dropped, Self::Named];
}

/// Writes down that the disk is another file of its directory from now on, durably.
pub(in crate::qemu) type Commit<'a> = &'a mut (dyn FnMut(&str) -> Result<(), Error> + Send);

impl Disk<'_> {
    pub(super) fn path(&self) -> PathBuf {
        self.directory.join(self.file)
    }

    pub(super) fn bytes(&self) -> Result<u64, Error> {
        let path = self.path();
        Ok(qcow2::head(&path).map_err(|error| io_error("look at a disk", &path, &error))?.disk_bytes)
    }

    /// Files of this disk that are not the disk.
    fn strays(&self) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.directory)? {
            let name = entry?.file_name();
            let ours = name.to_str().filter(|name| name.starts_with(PREFIX) && *name != self.file);
            found.extend(ours.map(str::to_owned));
        }
        Ok(found)
    }
}

impl Layers {
    /// Takes the disk as it is now as the image; returns when the image is whole. An image of that name that is whole already
    /// stays as it is, and so does the disk.
    ///
    /// The caller keeps everybody else from the disk and its QEMU meanwhile. Without [`Disk::live`] nobody has it open.
    pub(in crate::qemu) async fn freeze(
        &self,
        mut disk: Disk<'_>,
        frozen: Frozen<'_>,
        commit: Commit<'_>,
    ) -> Result<ImageFacts, Error> {
        if let Some(facts) = self.facts(frozen.image)? {
            return Ok(facts);
        }
        self.settle(&mut disk).await?;
        let mut committed = false;
        let made = match disk.live {
            Some(_) if self.is_deep(&disk)? => self.copy_running(&mut disk, &frozen).await,
            _ => self.freeze_by_reference(&mut disk, &frozen, commit, &mut committed).await,
        };
        if made.is_err() && !committed {
            // The disk is as it was. What cannot be tidied now is so by the next call.
            let _ = self.settle(&mut disk).await;
            self.collect_behind().await;
        }
        made
    }

    /// The steps above. A disk that is closed and has many layers beneath it is copied for the first, and so loses them.
    async fn freeze_by_reference(
        &self,
        disk: &mut Disk<'_>,
        frozen: &Frozen<'_>,
        commit: Commit<'_>,
        committed: &mut bool,
    ) -> Result<ImageFacts, Error> {
        let copy = if self.is_deep(disk)? { Some(self.copy_closed(disk).await?) } else { None };
        // Until the new file leads to the layer: from then on no collection takes that away.
        let building = self.gate.read().await;
        let (old, size) = (disk.path(), disk.bytes()?);
        let (layer, above) = (self.new_layer(), fresh_disk());
        let layer_path = self.layer(layer);

        let linked = match copy {
            Some(copy) => fs::rename(copy, &layer_path),
            None => fs::hard_link(&old, &layer_path),
        };
        linked.and_then(|()| sync(&self.directory)).map_err(|error| io_error("make a layer", &layer_path, &error))?;
        self.passed(Point::Linked).await;

        let target = disk.directory.join(&above);
        let user = self.user.as_ref().map(|user| user.owning(&old));
        disk::create_above(&layer_path, size, &target, user.as_ref()).await?;
        if let Some(live) = &mut disk.live {
            open(live.qmp, &target).await.map_err(refused)?;
        }
        drop(building);
        self.passed(Point::Overlaid).await;

        *committed = true;
        commit(&above)?;
        self.passed(Point::Committed).await;

        if let Some(live) = &mut disk.live {
            let arguments = overlay_words(disk.file, &above);
            if let Err(error) = live.while_still("blockdev-snapshot", arguments, self.flush_limit).await {
                // A plain no: then it is as it was before. Silence may mean either, and both are right.
                if matches!(error, QmpError::Refused { .. }) {
                    commit(disk.file)?;
                    *committed = false;
                }
                return Err(refused(error));
            }
        }
        self.passed(Point::Switched).await;

        fs::remove_file(&old).map_err(|error| io_error("take a disk's old file away", &old, &error))?;
        self.seal(&layer_path).await?;
        self.passed(Point::Dropped).await;

        // A collection that read the images before this name must not read the disks after this one is gone.
        let naming = self.gate.read().await;
        let facts = self.name(frozen.image, layer, frozen.direct.cloned())?;
        drop(naming);
        self.passed(Point::Named).await;
        Ok(facts)
    }

    /// Whether the disk is one file; [`Layers::settle`] has nothing to do then.
    pub(in crate::qemu) fn is_settled(&self, directory: &Path, file: &str) -> Result<bool, Error> {
        let strays = Disk { directory, file, live: None }.strays();
        strays.map(|strays| strays.is_empty()).map_err(|error| io_error("look at a disk's files", directory, &error))
    }

    /// Finishes or undoes what an interrupted [`Layers::freeze`] left: afterwards the disk is one file, and QEMU writes to it.
    pub(in crate::qemu) async fn settle(&self, disk: &mut Disk<'_>) -> Result<(), Error> {
        let failed = |error: io::Error| io_error("tidy a disk's files", disk.directory, &error);
        let strays = disk.strays().map_err(failed)?;
        if strays.is_empty() {
            return Ok(());
        }
        if let Some(Live { qmp, .. }) = &mut disk.live {
            // First of all: while QEMU copies a disk, another node stands over the disk's own.
            for stray in &strays {
                copy::cancel(qmp, node_of(stray)).await.map_err(refused)?;
            }
            let used = nodes_in_use(qmp).await.map_err(refused)?;
            if !used.iter().any(|node| node == node_of(disk.file)) {
                // Committed and not switched: QEMU still writes to what lies beneath.
                let beneath = strays.iter().find(|stray| used.iter().any(|node| node == node_of(stray)));
                let beneath = beneath.ok_or_else(|| {
                    let problem = format!("it uses none of the files in {}", disk.directory.display());
                    Error::host("find a disk in QEMU", problem)
                })?;
                // It may be open already.
                let _ = open(qmp, &disk.directory.join(disk.file)).await;
                let arguments = overlay_words(beneath, disk.file);
                qmp.execute_with("blockdev-snapshot", arguments).await.map_err(refused)?;
            }
            for stray in &strays {
                // Opened and never used; one that is used lies beneath and stays open. Mostly there is none.
                let _ = qmp.execute_with("blockdev-del", json!({ "node-name": node_of(stray) })).await;
            }
        }
        for stray in &strays {
            let path = disk.directory.join(stray);
            fs::remove_file(&path).map_err(|error| io_error("tidy a disk's files", &path, &error))?;
            tracing::info!("Removed {}: the disk is another file by now", path.display());
        }
        Ok(())
    }
}

pub(super) fn refused(error: QmpError) -> Error {
    Error::host("freeze a disk that QEMU has open", error)
}

/// Opens a disk's new file in QEMU, without what lies beneath, and for nobody yet.
pub(super) async fn open(qmp: &mut Qmp, file: &Path) -> Result<Value, QmpError> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let arguments = json!({
        "driver": "qcow2",
        "node-name": node_of(&name),
        "discard": "unmap",
        "backing": null,
        "file": { "driver": "file", "filename": file },
    });
    qmp.execute_with("blockdev-add", arguments).await
}

impl Live<'_> {
    /// The moment of a snapshot: everything is ready, and the guest stands still for as long as this takes.
    pub(super) async fn while_still(
        &mut self,
        command: &'static str,
        arguments: Value,
        flush_limit: Duration,
    ) -> Result<(), QmpError> {
        // Without an agent on the port nobody would answer, and the snapshot would wait for it.
        let still = match agent::listens(self.qmp).await? {
            true => agent::freeze(self.id, self.dir, flush_limit).await,
            false => None,
        };
        let done = self.qmp.execute_with(command, arguments).await;
        if let Some(still) = still {
            still.thaw().await;
        }
        done.map(drop)
    }
}

/// For `blockdev-snapshot`, which puts the node of `above` over that of `file` between two requests of the guest.
fn overlay_words(file: &str, above: &str) -> Value {
    json!({ "node": node_of(file), "overlay": node_of(above) })
}

/// The nodes that are a device's disk at this moment.
async fn nodes_in_use(qmp: &mut Qmp) -> Result<Vec<String>, QmpError> {
    let answer = qmp.execute("query-block").await?;
    let blocks = answer.as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(blocks.iter().filter_map(|block| block["inserted"]["node-name"].as_str().map(str::to_owned)).collect())
}
