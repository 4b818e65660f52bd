//! Snapshots: of Droplets and of volumes together, and of one Droplet with its backups.

use dewpoint_clock::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ImageId, ImageSlug, RegionSlug, Resource, ResourceType, TagName,
    lenient::null_is_default,
    page::{Collection, Single},
    word::{Word, words},
};

/// A snapshot of a Droplet or a volume. Source: public OpenAPI, model `snapshots`; behaviour rule SNP-1.
///
/// Ids are text here, also where they are numbers elsewhere. Sizes are in GiB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Snapshot {
    /// The image's number as text, or the volume snapshot's UUID.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// When it was taken.
    pub created_at: Timestamp,
    /// Where it can be used.
    pub regions: Vec<RegionSlug>,
    /// What it was taken of: a Droplet's number as text, or a volume's UUID.
    pub resource_id: String,
    /// `droplet` or `volume`.
    pub resource_type: Word<ResourceType>,
    /// The smallest disk or volume it fits on, in GiB.
    pub min_disk_size: u64,
    /// What it takes to keep, in GiB.
    pub size_gigabytes: f64,
    /// Its tags.
    #[serde(default, deserialize_with = "null_is_default")]
    pub tags: Vec<TagName>,
}

impl Resource for Snapshot {
    const ONE: &'static str = "snapshot";
    const MANY: &'static str = "snapshots";
}

/// The answer that holds one snapshot.
pub type SnapshotResponse = Single<Snapshot>;
/// A page of snapshots.
pub type SnapshotsResponse = Collection<Snapshot>;

/// A snapshot or backup as its Droplet lists it. Source: public OpenAPI, model `droplet_snapshot`.
///
/// godo reads these as images, hence `distribution`, `slug` and `public`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DropletSnapshot {
    /// The image's number.
    pub id: ImageId,
    /// Its name for people.
    pub name: String,
    /// Whether it is a snapshot or a backup.
    #[serde(rename = "type")]
    pub kind: Word<DropletSnapshotKind>,
    /// The operating system in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<String>,
    /// Always null: it is not public.
    #[serde(default)]
    pub slug: Option<ImageSlug>,
    /// Always false.
    #[serde(default)]
    pub public: bool,
    /// Where it can be used.
    pub regions: Vec<RegionSlug>,
    /// When it was taken.
    pub created_at: Timestamp,
    /// The smallest disk it fits on, in GiB.
    pub min_disk_size: u64,
    /// What it takes to keep, in GiB.
    pub size_gigabytes: f64,
}

impl Resource for DropletSnapshot {
    const ONE: &'static str = "snapshot";
    const MANY: &'static str = "snapshots";
}

words! {
    /// What a Droplet's image was made for.
    pub enum DropletSnapshotKind {
        /// On request.
        Snapshot = "snapshot",
        /// By the backup policy.
        Backup = "backup",
    }
}

/// A backup as its Droplet lists it: a snapshot under another root key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct DropletBackup(pub DropletSnapshot);

impl Resource for DropletBackup {
    const ONE: &'static str = "backup";
    const MANY: &'static str = "backups";
}

/// The answer of `GET /v2/droplets/{id}/snapshots`.
pub type DropletSnapshotsResponse = Collection<DropletSnapshot>;
/// The answer of `GET /v2/droplets/{id}/backups`.
pub type DropletBackupsResponse = Collection<DropletBackup>;
