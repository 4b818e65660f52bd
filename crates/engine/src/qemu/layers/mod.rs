//! Images this engine made itself: layers that never change again, and the names they go by.
//!
//! ```text
//! DATA/layers/
//!   UUID.qcow2               a layer: a disk as it was; its file's head names the layer or base image beneath it
//!   own-NAME.json            an image: which layer it is; written last when it is made, removed first when it goes
//!
//!   machines/7/disk-….qcow2  ─> layers/B.qcow2 ─> layers/A.qcow2 ─> images/micro-x64/disk-….qcow2
//!                                     own-2.json        (its name was removed: it goes with the last disk above it)
//! ```
//!
//! A layer is needed as long as an image is it, or the file of a disk or of another layer leads to it. The files' own heads
//! say so, so there is no count that a crash could falsify. What is not needed is removed by [`Layers::collect`], which runs
//! after every removal and when the engine is opened.
//!
//! Whoever builds on an image holds its [`Pinned`] files until the head of the new file is written; meanwhile nothing is
//! collected.

mod collect;
mod copy;
mod freeze;
pub(super) mod qcow2;
#[cfg(test)]
mod stop;

pub(super) use freeze::{Disk, Frozen, Live, Point, fresh_disk, node_of};

use std::{
    collections::HashSet,
    fs::{self, DirBuilder, File},
    io,
    ops::Deref,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex as AsyncMutex, OwnedRwLockReadGuard, RwLock};
use uuid::Uuid;

use self::collect::Nameless;
use super::{
    config::QemuConfig,
    images::DiskFormat,
    layout::{io_error, parse_record, read_record, record_bytes, write_atomically},
    record::{BaseFiles, DirectBoot},
    user::QemuUser,
};
use crate::{Error, ImageFacts, ImageName};

/// The mode of a layer: nobody writes to it.
const SEALED: u32 = 0o440;

/// All layers of this host and their names. Its calls may come from many tasks at once.
#[derive(Debug)]
pub(super) struct Layers {
    directory: PathBuf,
    /// Directories below which disks are that may lead to layers.
    holders: Vec<PathBuf>,
    user: Option<QemuUser>,
    /// How long a guest may take to write out its file systems.
    flush_limit: Duration,
    /// Read by who is about to lead to a layer, written by the collection.
    gate: Arc<RwLock<()>>,
    nameless: Arc<Nameless>,
    /// How many collections were asked for, and up to which of them they are done.
    asked: AtomicU64,
    done: AsyncMutex<u64>,
    /// Tries again what failed.
    retry: Mutex<Option<collect::AbortOnDrop>>,
    /// One name is given at a time.
    naming: Mutex<()>,
    #[cfg(test)]
    pub(super) stop: stop::Stop,
    /// How many collections there were.
    #[cfg(test)]
    searches: AtomicU64,
}

/// What an image's record says.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct ImageRecord {
    layer: Uuid,
    facts: ImageFacts,
    /// Kernel and initramfs, where the image at the very bottom is booted without a boot loader.
    direct: Option<DirectBoot>,
}

/// The files of an image, which stay at least as long as this is kept. Keep it no longer than it takes to write a new file's
/// head: removals wait for it.
#[derive(Debug)]
pub(super) struct Pinned {
    files: BaseFiles,
    _gate: Option<OwnedRwLockReadGuard<()>>,
}

impl Pinned {
    /// Files that nobody removes: a base image's.
    pub(super) fn base(files: BaseFiles) -> Self {
        Self { files, _gate: None }
    }
}

impl Deref for Pinned {
    type Target = BaseFiles;

    fn deref(&self) -> &BaseFiles {
        &self.files
    }
}

impl Layers {
    /// Opens the layers of a data dir. `user` is who QEMU runs as; `holders` are the directories below which disks are.
    pub(super) fn open(config: &QemuConfig, holders: Vec<PathBuf>, user: Option<QemuUser>) -> Result<Self, Error> {
        let directory = config.data_dir.join("layers");
        let opened = || {
            DirBuilder::new().recursive(true).mode(0o711).create(&directory)?;
            fs::set_permissions(&directory, fs::Permissions::from_mode(0o711))?;
            // Files lead to layers by absolute paths.
            directory.canonicalize()
        };
        let directory = opened().map_err(|error| io_error("make the layers' directory", &directory, &error))?;
        Ok(Self {
            directory,
            holders,
            user,
            flush_limit: config.flush_limit,
            gate: Arc::default(),
            nameless: Arc::default(),
            asked: AtomicU64::new(0),
            done: AsyncMutex::default(),
            retry: Mutex::default(),
            naming: Mutex::default(),
            #[cfg(test)]
            stop: stop::Stop::default(),
            #[cfg(test)]
            searches: AtomicU64::new(0),
        })
    }

    /// Whether the image is whole and can be built on.
    pub(super) fn has(&self, image: &ImageName) -> bool {
        self.record_path(image).exists()
    }

    /// The files a disk made from the image is built on. Fails with [`Error::ImageMissing`] when there is no such image.
    pub(super) async fn base_files(&self, image: &ImageName) -> Result<Pinned, Error> {
        let gate = self.gate.clone().read_owned().await;
        let ImageRecord { layer, direct, .. } =
            self.record(image)?.ok_or_else(|| Error::ImageMissing(image.clone()))?;
        let disk = self.layer(layer);
        if !disk.exists() {
            let problem = format!("its file {} is missing", disk.display());
            return Err(Error::ImageInvalid { image: image.clone(), problem });
        }
        Ok(Pinned { files: BaseFiles { disk, format: DiskFormat::Qcow2, direct }, _gate: Some(gate) })
    }

    /// Every image, by name.
    pub(super) fn list(&self) -> Result<Vec<ImageName>, Error> {
        let failed = |error: io::Error| io_error("list images", &self.directory, &error);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(".json")).and_then(ImageName::new);
            found.extend(name.filter(ImageName::is_own));
        }
        found.sort_unstable();
        Ok(found)
    }

    /// What is known of an image; `None` when there is none of that name.
    pub(super) fn facts(&self, image: &ImageName) -> Result<Option<ImageFacts>, Error> {
        Ok(self.record(image)?.map(|record| record.facts))
    }

    /// Makes `file` the image `image`: moves it here and then names it. An image of that name that is whole stays as it is,
    /// and `file` where it is.
    ///
    /// `file` is a qcow2 that stands alone and that nobody has open, on the file system of the data dir.
    pub(super) async fn adopt(&self, image: &ImageName, file: &Path) -> Result<ImageFacts, Error> {
        if let Some(facts) = self.facts(image)? {
            return Ok(facts);
        }
        let _gate = self.gate.read().await;
        let layer = self.new_layer();
        qcow2::mark(file, None);
        self.seal(file).await?;
        let target = self.layer(layer);
        fs::rename(file, &target).map_err(|error| io_error("move an image into place", &target, &error))?;
        self.name(image, layer, None)
    }

    /// A step of a freeze is done. Only a test makes it the last.
    async fn passed(&self, point: Point) {
        #[cfg(test)]
        self.stop.here(point).await;
        #[cfg(not(test))]
        let _ = point;
    }

    /// A number for a layer that is about to be made. It is nameless until [`Layers::name`].
    fn new_layer(&self) -> Uuid {
        let layer = Uuid::new_v4();
        self.nameless.add(layer);
        layer
    }

    /// Takes the image's name away, so that nothing is made from it any more, and then what nothing else needs of it.
    /// No such image is success, and so is one whose layers cannot be removed yet: that is tried again.
    pub(super) async fn remove(&self, image: &ImageName) -> Result<(), Error> {
        if let Some(record) = self.record(image)? {
            let path = self.record_path(image);
            match fs::remove_file(&path).and_then(|()| sync(&self.directory)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io_error("remove an image", &path, &error));
                }
                _ => self.nameless.add(record.layer),
            }
        }
        self.collect_behind().await;
        Ok(())
    }

    /// Takes a file's content as it is for good: on the disk, and readable by QEMU alone.
    async fn seal(&self, file: &Path) -> Result<(), Error> {
        let (path, group) = (file.to_path_buf(), self.user.as_ref().map(|user| user.gid));
        let sealed = tokio::task::spawn_blocking(move || {
            if let Some(group) = group {
                chown(&path, Some(0), Some(group))?;
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(SEALED))?;
            File::open(&path)?.sync_all()
        });
        let sealed = sealed.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        sealed.map_err(|error| io_error("keep a layer", file, &error))
    }

    /// Where all layers are.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The files beneath a disk, from the top down: layers, and at the bottom often a base image.
    pub(super) fn beneath(disk: &Path) -> Vec<PathBuf> {
        // What cannot be read is QEMU's to complain about.
        chain(disk).flatten().skip(1).collect()
    }

    /// Lets QEMU read every layer beneath a disk, also when its group is another than when they were made: that is `/dev/kvm`'s
    /// where it takes one.
    pub(super) fn open_to_qemu(&self, disk: &Path) -> Result<(), Error> {
        let Some(user) = &self.user else { return Ok(()) };
        for layer in Self::beneath(disk).into_iter().filter(|file| file.parent() == Some(self.directory.as_path())) {
            let opened = fs::metadata(&layer).and_then(|found| {
                // Also one that a snapshot was cut off before it sealed: it may be another machine's user's.
                if found.uid() != 0 || found.gid() != user.gid {
                    chown(&layer, Some(0), Some(user.gid))?;
                }
                match found.mode() & 0o777 {
                    SEALED => Ok(()),
                    _ => fs::set_permissions(&layer, fs::Permissions::from_mode(SEALED)),
                }
            });
            opened.map_err(|error| io_error("let QEMU read a layer", &layer, &error))?;
        }
        Ok(())
    }

    /// Writes the image's record: from here on it can be used. Of two that are made at once, the first stays.
    fn name(&self, image: &ImageName, layer: Uuid, direct: Option<DirectBoot>) -> Result<ImageFacts, Error> {
        let _alone = self.naming.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(facts) = self.facts(image)? {
            return Ok(facts);
        }
        let path = self.layer(layer);
        let failed = |error: io::Error| io_error("look at a layer", &path, &error);
        let disk_bytes = qcow2::head(&path).map_err(failed)?.disk_bytes;
        let facts = ImageFacts { disk_bytes, stored_bytes: stored(&path).map_err(failed)? };
        let record = record_bytes(&ImageRecord { layer, facts, direct })
            .map_err(|error| Error::host("write an image's record", error))?;
        let path = self.record_path(image);
        // The layer's own name has to be as durable as the record that needs it.
        sync(&self.directory)
            .and_then(|()| write_atomically(&path, &record, 0o600))
            .map_err(|error| io_error("write an image's record", &path, &error))?;
        self.nameless.named(layer);
        Ok(facts)
    }

    fn record(&self, image: &ImageName) -> Result<Option<ImageRecord>, Error> {
        read_record(&self.record_path(image))
    }

    fn record_path(&self, image: &ImageName) -> PathBuf {
        self.directory.join(format!("{image}.json"))
    }

    fn layer(&self, layer: Uuid) -> PathBuf {
        self.directory.join(format!("{layer}.qcow2"))
    }
}

/// The bytes that a file and all beneath it take on the host's disk. What lies beneath is counted in full, also where other
/// images share it.
fn stored(path: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for file in chain(path) {
        match file {
            Ok(file) => bytes += fs::metadata(&file)?.blocks() * 512,
            // A raw base image, which is the bottom.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

/// Looks at the image of this name in a directory of layers: what is wrong with it, if anything.
pub(super) fn surveyed(directory: &Path, image: &ImageName) -> io::Result<Result<(), String>> {
    let bytes = fs::read(directory.join(format!("{image}.json")))?;
    Ok(parse_record(&bytes).and_then(|record: ImageRecord| {
        let layer = directory.join(format!("{}.qcow2", record.layer));
        if layer.exists() {
            super::survey::chain_is_there(&layer)
        } else {
            Err(format!("its file {} is missing", layer.display()))
        }
    }))
}

/// The file and every one beneath it, each once, from the top down; the last is an error where it cannot be read as qcow2.
pub(super) fn chain(path: &Path) -> impl Iterator<Item = io::Result<PathBuf>> + use<> {
    let mut seen = HashSet::new();
    let mut next = vec![path.to_path_buf()];
    let mut problem = None;
    std::iter::from_fn(move || {
        let Some(file) = next.pop() else { return problem.take().map(Err) };
        seen.insert(file.clone());
        match qcow2::beneath(&file) {
            // Heads are written by QEMU: one may lead in a circle.
            Ok(beneath) => next.extend(beneath.filter(|beneath| !seen.contains(beneath))),
            Err(error) => problem = Some(error),
        }
        Some(Ok(file))
    })
}

/// Makes the names in a directory durable.
fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests;
