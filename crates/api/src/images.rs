//! Images: what a Droplet's disk starts as.

use std::convert::Infallible;

use dewpoint_clock::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    Action, Embedded, ImageId, ImageSlug, RegionSlug, Resource, TagName,
    lenient::{NumberOrText, empty_is_none, null_is_default},
    page::{Collection, Single},
    word::{Word, words},
};

/// A disk that Droplets can be made from. Source: public OpenAPI, model `image`.
///
/// Times are RFC 3339 UTC in whole seconds; for a snapshot `created_at` is its action's `started_at` (behaviour rule ACT-9).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Image {
    /// Its number.
    pub id: ImageId,
    /// Its name for people, such as `20.04 (LTS) x64`.
    pub name: String,
    /// How it came to be.
    #[serde(rename = "type")]
    pub kind: Word<ImageKind>,
    /// The operating system in it, such as `Ubuntu`. What Dewpoint sends is one of [`Distribution`].
    pub distribution: String,
    /// Its name for programs; null for one that is not public (behaviour rule IMG-3).
    pub slug: Option<ImageSlug>,
    /// Whether every account may use it.
    pub public: bool,
    /// Where it can be used.
    pub regions: Vec<RegionSlug>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The smallest disk it fits on, in GiB; null until that is known.
    pub min_disk_size: Option<u64>,
    /// What it takes to keep, in GiB; null until that is known.
    pub size_gigabytes: Option<f64>,
    /// What it is, for people.
    #[serde(default, deserialize_with = "null_is_default")]
    pub description: String,
    /// Its tags; empty for a token without `tag:read` (behaviour rule AUTH-6; empty is our choice).
    #[serde(default, deserialize_with = "null_is_default")]
    pub tags: Vec<TagName>,
    /// How far it has come.
    pub status: Word<ImageStatus>,
    /// Why it came to nothing; empty unless it did.
    #[serde(default, deserialize_with = "null_is_default")]
    pub error_message: String,
}

impl Resource for Image {
    const ONE: &'static str = "image";
    const MANY: &'static str = "images";
}

/// The answer that holds one image.
pub type ImageResponse = Single<Embedded<Image>>;
/// The answer of `GET /v2/images`.
pub type ImagesResponse = Collection<Embedded<Image>>;

words! {
    /// How an image came to be; its member `type`.
    pub enum ImageKind {
        /// Public: a distribution or an application.
        Base = "base",
        /// Made from a Droplet on request.
        Snapshot = "snapshot",
        /// Made from a Droplet by its backup policy.
        Backup = "backup",
        /// Fetched from an address the account gave.
        Custom = "custom",
        /// Kept by the service for itself.
        Admin = "admin",
    }
}

words! {
    /// How far an image has come (behaviour rule IMG-4).
    pub enum ImageStatus {
        /// Asked for.
        New = "NEW",
        /// Ready for use.
        Available = "available",
        /// On its way.
        Pending = "pending",
        /// Gone.
        Deleted = "deleted",
        /// No longer offered.
        Retired = "retired",
    }
}

words! {
    /// The two sorts of public image, as `GET /v2/images?type=` names them (behaviour rule IMG-1).
    pub enum PublicImageSort {
        /// A plain operating system.
        Distribution = "distribution",
        /// One with something installed.
        Application = "application",
    }
}

words! {
    /// The operating systems that the description lists. The Python SDK, told to be strict, refuses any other word.
    pub enum Distribution {
        /// Arch Linux.
        ArchLinux = "Arch Linux",
        /// CentOS.
        CentOs = "CentOS",
        /// CoreOS.
        CoreOs = "CoreOS",
        /// Debian.
        Debian = "Debian",
        /// Fedora.
        Fedora = "Fedora",
        /// Fedora Atomic.
        FedoraAtomic = "Fedora Atomic",
        /// FreeBSD.
        FreeBsd = "FreeBSD",
        /// Gentoo.
        Gentoo = "Gentoo",
        /// openSUSE.
        OpenSuse = "openSUSE",
        /// RancherOS.
        RancherOs = "RancherOS",
        /// Rocky Linux.
        RockyLinux = "Rocky Linux",
        /// Ubuntu.
        Ubuntu = "Ubuntu",
        /// Any other.
        Unknown = "Unknown",
    }
}

impl Distribution {
    /// The one that `text` names, in any case; [`Distribution::Unknown`] for any other text (behaviour rule IMG-4).
    pub fn of(text: &str) -> Self {
        Self::ALL.iter().copied().find(|known| known.as_str().eq_ignore_ascii_case(text)).unwrap_or(Self::Unknown)
    }
}

/// An image named in a request: by number, or by slug. Text of digits alone is a number (behaviour rule CRE-5).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ImageIdOrSlug {
    /// By number.
    Id(ImageId),
    /// By slug.
    Slug(ImageSlug),
}

impl From<String> for ImageIdOrSlug {
    fn from(text: String) -> Self {
        match text.parse() {
            Ok(id) => Self::Id(id),
            Err(_) => Self::Slug(text.into()),
        }
    }
}

impl std::str::FromStr for ImageIdOrSlug {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.to_owned().into())
    }
}

impl std::fmt::Display for ImageIdOrSlug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Slug(slug) => slug.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for ImageIdOrSlug {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match NumberOrText::deserialize(deserializer)? {
            NumberOrText::Number(number) => Self::Id(ImageId(number)),
            NumberOrText::Text(text) => text.into(),
        })
    }
}

/// `null`, `""` and a missing member name no image.
pub(crate) fn maybe_image<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ImageIdOrSlug>, D::Error> {
    Ok(match Option::<NumberOrText>::deserialize(deserializer)? {
        Some(NumberOrText::Number(number)) => Some(ImageIdOrSlug::Id(ImageId(number))),
        Some(NumberOrText::Text(text)) if !text.is_empty() => Some(text.into()),
        Some(NumberOrText::Text(_)) | None => None,
    })
}

/// The body of `POST /v2/images`: fetch an image from an address. Source: public OpenAPI, model `image_new_custom`.
///
/// Which members must be there is the control plane's to say; here all may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ImageCreateRequest {
    /// Its name for people. Required.
    #[serde(deserialize_with = "empty_is_none")]
    pub name: Option<String>,
    /// Where it is, over http or https. Required.
    #[serde(deserialize_with = "empty_is_none")]
    pub url: Option<String>,
    /// Where to put it. Required.
    #[serde(deserialize_with = "empty_is_none")]
    pub region: Option<RegionSlug>,
    /// The operating system in it; one that is not known becomes `Unknown` (behaviour rule IMG-4).
    #[serde(deserialize_with = "empty_is_none")]
    pub distribution: Option<String>,
    /// What it is, for people.
    #[serde(deserialize_with = "null_is_default")]
    pub description: String,
    /// Tags to put on it.
    #[serde(deserialize_with = "null_is_default")]
    pub tags: Vec<String>,
}

/// The body of `PUT /v2/images/{id}`. Source: public OpenAPI, model `image_update`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ImageUpdateRequest {
    /// A new name.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Another operating system; custom images only.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub distribution: Option<String>,
    /// Another description; custom images only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// The body of `POST /v2/images/{id}/actions`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ImageActionRequest {
    /// `transfer` or `convert`.
    #[serde(rename = "type", deserialize_with = "null_is_default")]
    pub kind: String,
    /// Where to bring it; `transfer` only.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionSlug>,
}

/// An action of an image: its members at the root and again under `action`, so that every client finds them.
///
/// Behaviour rule ACT-10: the description and the Python SDK read the one, godo, doctl and Terraform the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImageActionResponse {
    /// The action at the root.
    #[serde(flatten)]
    pub flat: Action,
    /// The same action under its name.
    pub action: Action,
}

impl From<Action> for ImageActionResponse {
    fn from(action: Action) -> Self {
        Self { flat: action.clone(), action }
    }
}
