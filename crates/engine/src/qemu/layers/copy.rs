//! Copying a disk instead of freezing it, where it has so many layers beneath it that one more would be felt.
//!
//! A closed disk is copied to the layer it then stands on, so its layers are behind it. A running one is copied by QEMU as it
//! was when the copy began, while its guest goes on; it keeps its layers, and so each further snapshot copies until it is
//! taken while the machine is off.

use std::{fs, io, path::PathBuf, time::Duration};

use serde_json::{Value, json};

use super::{
    Disk, Frozen, Layers, Point, chain,
    freeze::{open, refused},
    fresh_disk, node_of,
};
use crate::{
    Error, ImageFacts,
    qemu::{
        disk,
        layout::io_error,
        qmp::{Qmp, QmpError},
    },
};

/// How many layers may lie beneath a disk. Each costs QEMU memory and a look on the way to what was written long ago.
pub(super) const DEEPEST: usize = 16;

/// How long QEMU may take to copy a disk.
const COPY_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// How long it may take to give a copy up.
const CANCEL_LIMIT: Duration = Duration::from_secs(30);

impl Layers {
    /// Whether another layer beneath the disk would be too many.
    pub(super) fn is_deep(&self, disk: &Disk<'_>) -> Result<bool, Error> {
        let path = disk.path();
        let files: io::Result<Vec<PathBuf>> = chain(&path)
            // A raw base image at the bottom.
            .filter(|file| !matches!(file, Err(error) if error.kind() == io::ErrorKind::InvalidData))
            .collect();
        let files = files.map_err(|error| io_error("look beneath a disk", &path, &error))?;
        Ok(files.iter().filter(|file| file.parent() == Some(self.directory.as_path())).count() >= DEEPEST)
    }

    /// Copies a disk that nobody has open, with all that is beneath it, into one file beside it.
    pub(super) async fn copy_closed(&self, disk: &Disk<'_>) -> Result<PathBuf, Error> {
        let target = disk.directory.join(fresh_disk());
        disk::copy(&disk.path(), disk.bytes()?, &target, self.user.as_ref()).await?;
        Ok(target)
    }

    /// Makes a copy of a running disk the image.
    pub(super) async fn copy_running(&self, disk: &mut Disk<'_>, frozen: &Frozen<'_>) -> Result<ImageFacts, Error> {
        let (name, bytes) = (fresh_disk(), disk.bytes()?);
        let target = disk.directory.join(&name);
        let user = self.user.as_ref().map(|user| user.owning(&disk.path()));
        disk::create(None, bytes, &target, user.as_ref()).await?;
        let file = disk.file;
        let Some(live) = &mut disk.live else { return Err(Error::host("copy a disk", "nobody has it open")) };
        open(live.qmp, &target).await.map_err(refused)?;
        let job = node_of(&name);
        let arguments = json!({ "job-id": job, "device": node_of(file), "target": job, "sync": "full" });
        live.while_still("blockdev-backup", arguments, self.flush_limit).await.map_err(refused)?;
        self.passed(Point::Copying).await;
        let error = ended(live.qmp, job, COPY_LIMIT).await.map_err(refused)?;
        match error.as_str() {
            None => {}
            Some(problem) if problem.contains("No space left on device") => {
                return Err(Error::DiskFull { path: target.display().to_string() });
            }
            Some(problem) => return Err(Error::host("copy a running machine's disk", problem)),
        }
        live.qmp.execute_with("blockdev-del", json!({ "node-name": job })).await.map_err(refused)?;
        self.seal(&target).await?;

        let _gate = self.gate.read().await;
        let layer = self.new_layer();
        let path = self.layer(layer);
        fs::rename(&target, &path).map_err(|error| io_error("make a layer", &path, &error))?;
        self.passed(Point::Copied).await;
        self.name(frozen.image, layer, frozen.direct.cloned())
    }
}

/// Gives up the copy to this node, if there is one.
pub(super) async fn cancel(qmp: &mut Qmp, node: &str) -> Result<(), QmpError> {
    let jobs = qmp.execute("query-block-jobs").await?;
    if !jobs.as_array().is_some_and(|jobs| jobs.iter().any(|job| job["device"] == node)) {
        return Ok(());
    }
    match qmp.execute_with("block-job-cancel", json!({ "device": node, "force": true })).await {
        Ok(_) => ended(qmp, node, CANCEL_LIMIT).await.map(drop),
        // It ended by itself meanwhile.
        Err(QmpError::Refused { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Waits until the copy has ended, and returns what went wrong with it, or null.
async fn ended(qmp: &mut Qmp, job: &str, limit: Duration) -> Result<Value, QmpError> {
    let of_job = |event: &crate::qemu::qmp::Event| {
        matches!(event.name.as_str(), "BLOCK_JOB_COMPLETED" | "BLOCK_JOB_CANCELLED") && event.data["device"] == job
    };
    let mut event = qmp.event(limit, of_job).await?;
    match event.name.as_str() {
        "BLOCK_JOB_CANCELLED" => Ok(json!("it was given up")),
        _ => Ok(event.data["error"].take()),
    }
}
