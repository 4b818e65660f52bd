//! Removing layers that nothing needs any more.

use std::{
    collections::{BTreeSet, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{
        PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tracing::{info, warn};
use uuid::Uuid;

use super::{ImageRecord, Layers, qcow2, sync};
use crate::{Error, qemu::layout::io_error};

/// How far below a holder its disks are: `machines/7/disk.qcow2`.
const DEPTH: usize = 2;

/// Layers that are no image, as far as this server knows. A hint that saves the search where there are none.
#[derive(Debug, Default)]
pub(super) struct Nameless {
    known: std::sync::Mutex<BTreeSet<Uuid>>,
    /// The last search was not finished: there may be others.
    in_doubt: AtomicBool,
}

impl Nameless {
    pub(super) fn add(&self, layer: Uuid) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(layer);
    }

    pub(super) fn named(&self, layer: Uuid) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&layer);
    }

    fn is_empty(&self) -> bool {
        !self.in_doubt.load(Ordering::Relaxed) && self.known.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn now(&self) -> BTreeSet<Uuid> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts `found` in the place of what was known `before`; what came in meanwhile stays.
    fn replace(&self, before: &BTreeSet<Uuid>, found: BTreeSet<Uuid>) {
        let mut layers = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        layers.retain(|layer| !before.contains(layer));
        layers.extend(found);
        self.in_doubt.store(false, Ordering::Relaxed);
    }
}

impl Layers {
    /// Removes every layer that is no image and that no disk leads to, and says in the log which.
    ///
    /// Costs nothing while every layer is an image. A disk that cannot be read keeps everything.
    pub(in crate::qemu) async fn collect(&self) -> Result<(), Error> {
        if self.nameless.is_empty() { Ok(()) } else { self.search().await }
    }

    /// The same after work that is done and stays done: a failure goes to the log alone, and the next collection finds the rest.
    pub(in crate::qemu) async fn collect_behind(&self) {
        if let Err(error) = self.collect().await {
            warn!(error = %error, "Layers that nothing needs were not all removed; the next removal tries again");
        }
    }

    /// The same without relying on what this server has done itself: for the start.
    pub(in crate::qemu) async fn search(&self) -> Result<(), Error> {
        let gate = self.gate.clone().write_owned().await;
        let (directory, holders, nameless) = (self.directory.clone(), self.holders.clone(), self.nameless.clone());
        let failed = |error: io::Error| io_error("remove layers that nothing needs", &self.directory, &error);
        let collected = tokio::task::spawn_blocking(move || {
            // The thread goes on when its caller is gone, and until its end nobody may build on what it removes.
            let _gate = gate;
            let before = nameless.now();
            nameless.in_doubt.store(true, Ordering::Relaxed);
            nameless.replace(&before, collect(&directory, &holders)?);
            Ok(())
        });
        collected.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(failed)
    }
}

/// Returns the layers that are no image and stay because something leads to them.
fn collect(directory: &Path, holders: &[PathBuf]) -> io::Result<BTreeSet<Uuid>> {
    let mut idle = BTreeSet::new();
    let mut images = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => images.push(path),
            // A layer, or a record that was cut off in the making.
            _ => drop(idle.insert(path)),
        }
    }
    let mut nameless = idle.clone();
    for image in images {
        let record = match fs::read(image) {
            // Its name was taken away since the list: it is no image.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            record => record?,
        };
        let record: ImageRecord = serde_json::from_slice(&record).map_err(io::Error::other)?;
        let layer = directory.join(format!("{}.qcow2", record.layer));
        nameless.remove(&layer);
        keep(&layer, directory, &mut idle)?;
    }
    if !idle.is_empty() {
        for holder in holders {
            for disk in disks_below(holder, DEPTH)? {
                keep(&disk, directory, &mut idle)?;
            }
        }
    }
    for path in &idle {
        fs::remove_file(path)?;
        info!("Removed {}: no image, machine or volume needs it", path.display());
    }
    if !idle.is_empty() {
        sync(directory)?;
    }
    Ok(nameless.difference(&idle).filter_map(|path| Uuid::parse_str(path.file_stem()?.to_str()?).ok()).collect())
}

/// Takes everything that `path` leads to off the list of what may go.
///
/// A layer is known by its file's name alone: in a data directory that was moved, heads still say where it was.
fn keep(path: &Path, directory: &Path, idle: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    let mut seen = HashSet::new();
    let mut next = Some(path.to_path_buf());
    // Heads are written by QEMU: one may lead in a circle.
    while let Some(file) = next.filter(|file| seen.insert(file.clone())) {
        idle.remove(&file);
        next = match qcow2::beneath(&file) {
            Ok(beneath) => beneath.map(|beneath| {
                let here = beneath.file_name().map(|name| directory.join(name)).filter(|here| here.exists());
                here.unwrap_or(beneath)
            }),
            // It is removed at this moment, was cut off in the making, or is no qcow2: it leads nowhere.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => None,
            Err(error) => return Err(error),
        };
    }
    Ok(())
}

fn disks_below(directory: &Path, depth: usize) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "qcow2") {
            found.push(path);
        } else if depth > 1 && entry.file_type()?.is_dir() {
            found.extend(disks_below(&path, depth - 1)?);
        }
    }
    Ok(found)
}
