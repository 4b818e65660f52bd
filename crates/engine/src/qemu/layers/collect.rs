//! Removing layers that nothing needs any more.

use std::{
    collections::{BTreeSet, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::RwLock, task::JoinHandle};
use tracing::{info, warn};
use uuid::Uuid;

use super::{ImageRecord, Layers, qcow2, sync};
use crate::{
    Error,
    qemu::layout::{io_error, parse_record},
};

/// The pauses before a search that failed is tried again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10 * 60);

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
    /// Costs nothing while every layer is an image. A disk that cannot be read keeps everything. Calls that come while one
    /// works wait for one more, which is for all of them.
    pub(in crate::qemu) async fn collect(&self) -> Result<(), Error> {
        if self.nameless.is_empty() {
            return Ok(());
        }
        let wanted = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut done = self.done.lock().await;
        if *done >= wanted {
            return Ok(());
        }
        let asked = self.asked.load(Ordering::SeqCst);
        #[cfg(test)]
        self.searches.fetch_add(1, Ordering::SeqCst);
        self.search().await?;
        *done = asked;
        Ok(())
    }

    /// The same after work that is done and stays done: a failure goes to the log alone, and is tried again in the background.
    pub(in crate::qemu) async fn collect_behind(&self) {
        if let Err(error) = self.collect().await {
            warn!(error = %error, "Layers that nothing needs were not all removed; this is tried again");
            self.try_again();
        }
    }

    /// Searches again and again until it is done, more and more seldom; one task does so for all. Ends with the layers.
    fn try_again(&self) {
        let mut retry = self.retry.lock().unwrap_or_else(PoisonError::into_inner);
        if retry.as_ref().is_some_and(|retry| !retry.is_finished()) {
            return;
        }
        let search = self.searcher();
        let tries = async move {
            let mut pause = FIRST_PAUSE;
            loop {
                tokio::time::sleep(pause).await;
                match search.run().await {
                    Ok(()) => return,
                    Err(error) => warn!(error = %error, "Layers that nothing needs were again not all removed"),
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        };
        *retry = Some(AbortOnDrop(tokio::spawn(tries)));
    }

    /// The same without relying on what this server has done itself: for the start.
    pub(in crate::qemu) async fn search(&self) -> Result<(), Error> {
        self.searcher().run().await
    }

    fn searcher(&self) -> Searcher {
        Searcher {
            directory: self.directory.clone(),
            holders: self.holders.clone(),
            nameless: self.nameless.clone(),
            gate: self.gate.clone(),
        }
    }
}

/// What a search needs of the layers.
struct Searcher {
    directory: PathBuf,
    holders: Vec<PathBuf>,
    nameless: Arc<Nameless>,
    gate: Arc<RwLock<()>>,
}

impl Searcher {
    async fn run(&self) -> Result<(), Error> {
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

/// A task that ends with what it works for.
#[derive(Debug)]
pub(super) struct AbortOnDrop(JoinHandle<()>);

impl AbortOnDrop {
    fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
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
        let record = match fs::read(&image) {
            // Its name was taken away since the list: it is no image.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            record => record?,
        };
        let record: ImageRecord =
            parse_record(&record).map_err(|problem| io::Error::other(format!("{}: {problem}", image.display())))?;
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
