//! Disks beside machines: images taken or brought in, and volumes. The other half of what an engine does.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Error, ImageName, MachineId};

/// A keeper of images and volumes. Like [`crate::Engine`]'s, its calls are idempotent, may come from many tasks at once, and
/// may be cut off by a crash anywhere: calling again finishes the work.
///
/// The images meant here are the engine's own: taken of machines and volumes, or brought in. Base images, which an operator
/// puts on a host, have other names and are never changed or removed by these calls.
#[async_trait::async_trait]
pub trait Storage: Send + Sync {
    /// Every image this engine has anything of, also half-made ones, in ascending order. Not the base images.
    async fn images(&self) -> Result<Vec<ImageName>, Error>;

    /// Takes the machine's root disk as it is now as an image; the machine goes on after at most a moment.
    ///
    /// An image of that name that is whole already is left as it is. What the image holds is at least what a pulled plug would
    /// have left; the guest's file systems are flushed first where the guest helps.
    async fn snapshot(&self, machine: MachineId, image: &ImageName) -> Result<ImageFacts, Error>;

    /// Takes a volume as it is now as an image, attached or not.
    async fn snapshot_volume(&self, volume: VolumeId, image: &ImageName) -> Result<ImageFacts, Error>;

    /// Fetches an image from `url` (http or https) and makes it usable, whatever known format it has.
    ///
    /// What is at the other end is hostile: an answer that is no image, leads to other files or is too large fails with
    /// [`Error::ImportRefused`], whose text is for the one who gave the address. Nothing half-made can be used.
    async fn import(&self, image: &ImageName, url: &str) -> Result<ImageFacts, Error>;

    /// Removes an image by name; machines and volumes made from it are not touched. No such image is success.
    async fn remove_image(&self, image: &ImageName) -> Result<(), Error>;

    /// Every volume this engine has anything of, in ascending order.
    async fn volumes(&self) -> Result<Vec<VolumeId>, Error>;

    /// Makes the volume exist as `spec` says, unattached. Calling it again with the same spec changes nothing, also when the
    /// volume was resized, written to or attached since.
    ///
    /// Fails with [`Error::ImageMissing`] when the image it should start as is not there.
    async fn ensure_volume(&self, id: VolumeId, spec: &VolumeSpec) -> Result<(), Error>;

    /// What is true of the volume now; `None`: no such volume.
    async fn observe_volume(&self, id: VolumeId) -> Result<Option<ObservedVolume>, Error>;

    /// Gives the volume to a machine, running or not; a running guest sees it at once, and every later start has it.
    ///
    /// Attached to that machine already is success; to another fails with [`Error::VolumeElsewhere`].
    async fn attach(&self, id: VolumeId, machine: MachineId) -> Result<(), Error>;

    /// Takes the volume from this machine. Success when it is not attached to it, or either is gone.
    async fn detach(&self, id: VolumeId, machine: MachineId) -> Result<(), Error>;

    /// Makes the volume this large, attached or not. A volume of that size or larger is left as it is.
    async fn resize_volume(&self, id: VolumeId, size_gib: u64) -> Result<(), Error>;

    /// Removes the volume with its content. No such volume is success; an attached one fails with
    /// [`Error::VolumeElsewhere`].
    async fn remove_volume(&self, id: VolumeId) -> Result<(), Error>;
}

/// Names a volume to its engine, for life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VolumeId(pub Uuid);

impl fmt::Display for VolumeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Everything an engine needs to make one volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSpec {
    /// What the guest finds it by, as `/dev/disk/by-id/scsi-0DO_Volume_<name>`: lower case letters, digits and `-`, at most 64.
    pub name: String,
    /// Its size in GiB when it is made.
    pub size_gib: u64,
    /// The file system it is made with; none for an empty volume, and of no effect on one made from an image.
    pub filesystem: Option<Filesystem>,
    /// The image it starts as.
    pub source: Option<ImageName>,
}

/// A file system to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filesystem {
    /// Of which kind.
    pub kind: FilesystemKind,
    /// Its label; empty for none. At most 16 bytes for ext4, 12 for XFS.
    pub label: String,
}

/// The kinds of file system an engine can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FilesystemKind {
    /// ext4
    Ext4,
    /// XFS
    Xfs,
}

/// What an engine sees of one volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObservedVolume {
    /// Its size in GiB now.
    pub size_gib: u64,
    /// The machine it is attached to.
    pub machine: Option<MachineId>,
}

/// What is known of an image once it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// The size of the disk in it, in bytes: what it is made on must not be smaller.
    pub disk_bytes: u64,
    /// What it takes to keep, in bytes.
    pub stored_bytes: u64,
}
