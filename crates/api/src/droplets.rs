//! Droplets: the machine as the API shows it, and the answers that hold it. Requests are in `droplet_requests.rs`.

use std::net::{Ipv4Addr, Ipv6Addr};

use dewpoint_clock::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    BackupWindow, DiskInfo, DropletId, Embedded, GpuInfo, Image, ImageId, PartitionMode, Region, Resource, Size,
    SizeSlug, TagName, VolumeId, VpcId,
    lenient::{null_is_default, unreadable_is_none},
    page::{ActionLinks, Collection},
    word::{Word, words},
};

/// A virtual machine as `GET /v2/droplets/{id}` shows it.
///
/// `memory` is in MiB (the API says megabytes, 1 GB is 1024), `disk` in GiB, times are RFC 3339 UTC in whole seconds.
/// A token without the scope to read an embedded object gets `image` and `vpc_uuid` absent and lists empty (behaviour rule
/// AUTH-6; which form is our choice). Source: public OpenAPI, model `droplet`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Droplet {
    /// Its number.
    pub id: DropletId,
    /// Its name, and its first hostname.
    pub name: String,
    /// Memory in MiB.
    pub memory: u64,
    /// Virtual processors.
    pub vcpus: u32,
    /// Root disk in GiB; stays when only processors and memory are resized.
    pub disk: u64,
    /// Its disks, the root disk among them.
    #[serde(default)]
    pub disk_info: Vec<DiskInfo>,
    /// True while an action runs; every other change is refused then.
    pub locked: bool,
    /// How it is.
    pub status: Word<DropletStatus>,
    /// Always null: every Droplet boots its own kernel (behaviour rule DRO-11).
    #[serde(default)]
    pub kernel: Option<Kernel>,
    /// When its creation was accepted.
    pub created_at: Timestamp,
    /// What is on.
    pub features: Vec<Word<DropletFeature>>,
    /// Its backups.
    pub backup_ids: Vec<ImageId>,
    /// When its next backup is made; null without backups.
    pub next_backup_window: Option<BackupWindow>,
    /// Its snapshots.
    pub snapshot_ids: Vec<ImageId>,
    /// The image it was made from; absent for a token without `image:read`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Embedded<Image>>,
    /// The volumes attached to it.
    pub volume_ids: Vec<VolumeId>,
    /// Its size.
    pub size: Embedded<Size>,
    /// Its size's slug.
    pub size_slug: SizeSlug,
    /// Its addresses; none before it is active.
    pub networks: Networks,
    /// Its region.
    pub region: Embedded<Region>,
    /// Its tags.
    #[serde(deserialize_with = "null_is_default")]
    pub tags: Vec<TagName>,
    /// Its VPC; absent for a token without `vpc:read`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpc_uuid: Option<VpcId>,
    /// Its GPUs; absent when it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_info: Option<GpuInfo>,
    /// How its GPU is shared out; only in the answer to its creation (behaviour rule CRE-19).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_partition_mode: Option<Word<PartitionMode>>,
}

impl Resource for Droplet {
    const ONE: &'static str = "droplet";
    const MANY: &'static str = "droplets";
}

words! {
    /// How a Droplet is (behaviour rule DRO-1).
    pub enum DropletStatus {
        /// Being made.
        New = "new",
        /// Running.
        Active = "active",
        /// Made, and not running.
        Off = "off",
        /// Kept by old data only.
        Archive = "archive",
    }
}

words! {
    /// Something a Droplet has on (behaviour rule CRE-22).
    pub enum DropletFeature {
        /// Backups are made.
        Backups = "backups",
        /// It has an IPv6 address.
        Ipv6 = "ipv6",
        /// It reports figures about itself.
        Monitoring = "monitoring",
        /// It has a private network; all have.
        PrivateNetworking = "private_networking",
        /// The agent for the web console is wanted in it.
        DropletAgent = "droplet_agent",
    }
}

/// The addresses of a Droplet, its own public one before any other (behaviour rules DRO-2, RIP-6).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Networks {
    /// IPv4.
    #[serde(default, deserialize_with = "null_is_default")]
    pub v4: Vec<NetworkV4>,
    /// IPv6.
    #[serde(default, deserialize_with = "null_is_default")]
    pub v6: Vec<NetworkV6>,
}

/// An IPv4 address of a Droplet. Source: public OpenAPI, model `network_v4`; behaviour rule DRO-3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkV4 {
    /// The address.
    pub ip_address: Ipv4Addr,
    /// Its network's mask.
    pub netmask: Ipv4Addr,
    /// The way out; null on a private network.
    #[serde(default, deserialize_with = "unreadable_is_none")]
    pub gateway: Option<Ipv4Addr>,
    /// Who can reach it.
    #[serde(rename = "type")]
    pub kind: Word<NetworkKind>,
}

/// An IPv6 address of a Droplet. Source: public OpenAPI, model `network_v6`; behaviour rule DRO-3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkV6 {
    /// The address, in lower case.
    pub ip_address: Ipv6Addr,
    /// Length of its network's prefix in bits; a number here, unlike IPv4's.
    pub netmask: u8,
    /// The way out.
    #[serde(default, deserialize_with = "unreadable_is_none")]
    pub gateway: Option<Ipv6Addr>,
    /// Who can reach it.
    #[serde(rename = "type")]
    pub kind: Word<NetworkKind>,
}

words! {
    /// Who can reach an address.
    pub enum NetworkKind {
        /// Anyone.
        Public = "public",
        /// Members of the VPC.
        Private = "private",
    }
}

/// A kernel, from when Droplets did not boot their own. Source: public OpenAPI, model `kernel`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Kernel {
    /// Its number.
    pub id: u64,
    /// Its name for people.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Resource for Kernel {
    const ONE: &'static str = "kernel";
    const MANY: &'static str = "kernels";
}

/// One Droplet; `links` only in the answer to its creation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DropletResponse {
    /// The Droplet.
    pub droplet: Droplet,
    /// The action that makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links: Option<ActionLinks>,
}

/// The answer to a creation by `names`: Droplets and actions in the order of the names (behaviour rule CRE-1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DropletsCreateResponse {
    /// The Droplets.
    pub droplets: Vec<Droplet>,
    /// The actions that make them.
    pub links: ActionLinks,
}

/// A page of Droplets.
pub type DropletsResponse = Collection<Droplet>;

/// The answer of `GET /v2/droplets/{id}/kernels`.
pub type KernelsResponse = Collection<Kernel>;

/// The answer of `GET /v2/droplets/{id}/neighbors`: the Droplets on the same host, not paged (behaviour rule PAG-10).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NeighborsResponse {
    /// The other Droplets.
    pub droplets: Vec<Droplet>,
}

/// The answer of `GET /v2/reports/droplet_neighbors_ids` (behaviour rule DRO-10).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NeighborIdsResponse {
    /// The numbers of Droplets that share a host, at least two of a host.
    pub neighbor_ids: Vec<Vec<DropletId>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_is_none_is_no_error_however_it_is_written() {
        for gateway in ["null", "\"\"", "\"<nil>\""] {
            let text = format!(r#"{{"ip_address":"10.0.0.2","netmask":"255.0.0.0","gateway":{gateway},"type":"vpn"}}"#);
            let read: NetworkV4 = serde_json::from_str(&text).expect("it can be read");
            assert_eq!((read.gateway, read.kind.as_str()), (None, "vpn"), "{gateway}");
        }
    }
}
