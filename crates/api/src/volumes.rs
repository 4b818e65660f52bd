//! Volumes: disks that outlive the Droplet they are attached to.

use dewpoint_clock::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    DropletId, Embedded, Region, RegionSlug, Resource, TagName, VolumeId,
    lenient::{empty_is_none, null_is_default},
    page::{Collection, Single},
    word::words,
};

/// A block storage volume. Source: public OpenAPI, model `volume_full`; behaviour rules VOL-1 to VOL-4.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Volume {
    /// Its id.
    pub id: VolumeId,
    /// Its region.
    pub region: Embedded<Region>,
    /// The Droplet it is attached to, if any: none or one.
    #[serde(deserialize_with = "null_is_default")]
    pub droplet_ids: Vec<DropletId>,
    /// Its name, unique in the region.
    pub name: String,
    /// What it is for, for people.
    #[serde(default, deserialize_with = "null_is_default")]
    pub description: String,
    /// Its size in GiB.
    pub size_gigabytes: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// The file system it was made with; empty for none.
    #[serde(default, deserialize_with = "null_is_default")]
    pub filesystem_type: String,
    /// The file system's label; empty for none.
    #[serde(default, deserialize_with = "null_is_default")]
    pub filesystem_label: String,
    /// Its tags.
    #[serde(default, deserialize_with = "null_is_default")]
    pub tags: Vec<TagName>,
}

impl Resource for Volume {
    const ONE: &'static str = "volume";
    const MANY: &'static str = "volumes";
}

/// The answer that holds one volume.
pub type VolumeResponse = Single<Volume>;
/// The answer of `GET /v2/volumes`.
pub type VolumesResponse = Collection<Volume>;

/// The body of `POST /v2/volumes`. Source: public OpenAPI, models `volumes_ext4` and `volumes_xfs`.
///
/// godo sends `""` for what it has no value for; which members must be there is the control plane's to say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct VolumeCreateRequest {
    /// Its name. Required; see [`crate::rules::volume_name`].
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
    /// What it is for.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Its size in GiB; see [`crate::rules::volume_size`]. Needed unless it is made from a snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_gigabytes: Option<i64>,
    /// Where. Needed unless it is made from a snapshot.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionSlug>,
    /// The snapshot it starts as. Text, so that a malformed one can be a 422.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub snapshot_id: Option<String>,
    /// `ext4` or `xfs`; see [`crate::rules::filesystem`].
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub filesystem_type: Option<String>,
    /// The file system's label.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub filesystem_label: Option<String>,
    /// Tags to put on it.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

words! {
    /// A file system a volume can be made with (behaviour rule VOL-3).
    pub enum FilesystemType {
        /// ext4, with a label of at most 16 bytes.
        Ext4 = "ext4",
        /// XFS, with a label of at most 12 bytes.
        Xfs = "xfs",
    }
}

/// The body of `POST /v2/volumes/{id}/actions` and `/v2/volumes/actions`: the members of every type in one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct VolumeActionRequest {
    /// `attach`, `detach` or `resize`. Text, so that an unknown one can be a 422.
    #[serde(rename = "type", deserialize_with = "null_is_default")]
    pub kind: String,
    /// `attach`, `detach`: the Droplet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub droplet_id: Option<DropletId>,
    /// `resize`: the new size in GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_gigabytes: Option<i64>,
    /// Where the volume is; needed when it is named by `volume_name`.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionSlug>,
    /// The volume, when the path does not name it.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub volume_name: Option<String>,
    /// `attach`: tags to put on it.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// The body of `POST /v2/volumes/{id}/snapshots`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct VolumeSnapshotCreateRequest {
    /// Its name. Required.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
    /// Tags to put on it.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}
