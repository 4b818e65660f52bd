//! What clients ask of Droplets, read as leniently as the real clients need (behaviour rule PRO-5).
//!
//! A member of the right JSON type never fails the whole body: unknown words, sizes and keys are for the control plane to
//! refuse, with a 422 that names them. A member of the wrong JSON type does.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    BackupPolicyRequest, RegionSlug, SizeSlug, SshKeyId,
    images::{ImageIdOrSlug, maybe_image},
    lenient::{NumberOrText, empty_is_none, null_is_default},
};

/// The body of `POST /v2/droplets`, one or several. Source: public OpenAPI, models `droplet_single_create` and
/// `droplet_multi_create`; behaviour rules CRE-1 to CRE-19.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DropletCreateRequest {
    /// The name of the one Droplet wanted; this or `names`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The names of the Droplets wanted, at most ten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
    /// Where: a region, the beginning of its slug, or none for anywhere.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionSlug>,
    /// Of what size. Required.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub size: Option<SizeSlug>,
    /// From which image. Required.
    #[serde(deserialize_with = "maybe_image", skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageIdOrSlug>,
    /// Keys to let in as root.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub ssh_keys: Vec<SshKeyIdOrFingerprint>,
    /// Whether to make backups.
    #[serde(deserialize_with = "null_is_default")]
    pub backups: bool,
    /// When to make them; only with `backups`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_policy: Option<BackupPolicyRequest>,
    /// Whether to give an IPv6 address.
    #[serde(deserialize_with = "null_is_default")]
    pub ipv6: bool,
    /// Whether to collect figures.
    #[serde(deserialize_with = "null_is_default")]
    pub monitoring: bool,
    /// Of no effect: every Droplet has a private network.
    #[serde(deserialize_with = "null_is_default")]
    pub private_networking: bool,
    /// Whether to give public addresses; none means yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_networking: Option<bool>,
    /// Tags to put on, made where they do not exist.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What cloud-init gets, at most 64 KiB.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub user_data: Option<String>,
    /// Volumes to attach.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeReference>,
    /// The VPC to be in; none means the region's default one. Text, so that a malformed one can be a 422.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub vpc_uuid: Option<String>,
    /// Whether the console's agent must be there; none means to try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with_droplet_agent: Option<bool>,
    /// How to share out the GPU; none means whole.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub gpu_partition_mode: Option<String>,
}

/// An SSH key named in a request: by number, or by fingerprint. Text of digits alone is a number (behaviour rule CRE-9).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum SshKeyIdOrFingerprint {
    /// By number.
    Id(SshKeyId),
    /// By fingerprint, or by text that will match no key.
    Fingerprint(String),
}

impl From<String> for SshKeyIdOrFingerprint {
    fn from(text: String) -> Self {
        match text.parse() {
            Ok(id) => Self::Id(id),
            Err(_) => Self::Fingerprint(text),
        }
    }
}

impl std::fmt::Display for SshKeyIdOrFingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Fingerprint(text) => f.write_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for SshKeyIdOrFingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match NumberOrText::deserialize(deserializer)? {
            NumberOrText::Number(number) => Self::Id(SshKeyId(number)),
            NumberOrText::Text(text) => text.into(),
        })
    }
}

/// A volume named in a create: the description has bare text, godo an object (behaviour rule CRE-13).
///
/// An id is text here, so that a malformed one can be a 422.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum VolumeReference {
    /// By id, as bare text.
    Bare(String),
    /// By id, as godo has it.
    Id {
        /// The volume's UUID.
        id: String,
    },
    /// By name within the Droplet's region, as godo has it.
    Name {
        /// The volume's name.
        name: String,
    },
}

impl<'de> Deserialize<'de> for VolumeReference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a volume's id, or an object with `id` or `name`")]
        enum Given {
            Bare(String),
            Object { id: Option<String>, name: Option<String> },
        }
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        match Given::deserialize(deserializer)? {
            Given::Bare(id) => Ok(Self::Bare(id)),
            Given::Object { id, name } => match (some(id), some(name)) {
                (Some(id), _) => Ok(Self::Id { id }),
                (None, Some(name)) => Ok(Self::Name { name }),
                (None, None) => Err(serde::de::Error::custom("a volume needs an `id` or a `name`")),
            },
        }
    }
}

/// The body of `POST /v2/droplets/{id}/actions` and of the call by tag: the members of every type in one.
///
/// Which of them a type needs, and whether there is such a type, is the control plane's to say (behaviour rule DAC-10).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DropletActionRequest {
    /// What to do.
    #[serde(rename = "type", deserialize_with = "null_is_default")]
    pub kind: String,
    /// `rename`: the new name. `snapshot`: the image's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `resize`: the new size.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub size: Option<SizeSlug>,
    /// `resize`: whether the disk grows too, for good.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "std::ops::Not::not")]
    pub disk: bool,
    /// `rebuild`: from which image. `restore`: which backup.
    #[serde(deserialize_with = "maybe_image", skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageIdOrSlug>,
    /// `change_kernel`: which kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<u64>,
    /// `enable_backups`, `change_backup_policy`: when to make them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_policy: Option<BackupPolicyRequest>,
}
