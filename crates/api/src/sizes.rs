//! Sizes: what a Droplet can be made of, and what that would cost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Decimal, Embedded, RegionSlug, Resource, SizeSlug,
    page::Collection,
    word::{Word, words},
};

/// A plan for Droplets. Source: public OpenAPI, model `size`; `networking_throughput` is from behaviour rule SIZ-1.
///
/// `memory` is in MiB, `disk` in GiB, `transfer` in TiB, prices in US dollars as exact decimals (behaviour rule PRO-7).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Size {
    /// Its name, such as `s-1vcpu-1gb`.
    pub slug: SizeSlug,
    /// Memory in MiB.
    pub memory: u64,
    /// Virtual processors.
    pub vcpus: u32,
    /// Root disk in GiB.
    pub disk: u64,
    /// Outgoing traffic a month that the price includes, in TiB.
    pub transfer: f64,
    /// US dollars for a whole month.
    pub price_monthly: Decimal,
    /// US dollars an hour.
    pub price_hourly: Decimal,
    /// Where it is offered. Empty for a token without `regions:read` (behaviour rule AUTH-6): empty is our choice, since
    /// the Python SDK requires the list.
    pub regions: Vec<RegionSlug>,
    /// Whether a Droplet of this size can be made anywhere now.
    pub available: bool,
    /// The family it belongs to, such as `Basic` or `H100 GPU - 8X`.
    pub description: String,
    /// Network throughput in Mbit/s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networking_throughput: Option<u64>,
    /// Its disks: the root disk as `local`, and `scratch` where there is one.
    #[serde(default)]
    pub disk_info: Vec<DiskInfo>,
    /// Its GPUs; absent for a size without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_info: Option<GpuInfo>,
}

impl Resource for Size {
    const ONE: &'static str = "size";
    const MANY: &'static str = "sizes";
}

/// The answer of `GET /v2/sizes`.
pub type SizesResponse = Collection<Embedded<Size>>;

/// One disk of a size or a Droplet. Source: public OpenAPI, model `disk_info`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiskInfo {
    /// What the disk is for.
    #[serde(rename = "type")]
    pub kind: Word<DiskKind>,
    /// How large it is.
    pub size: Amount,
}

impl DiskInfo {
    /// A disk of `gib` GiB.
    pub const fn new(kind: DiskKind, gib: u64) -> Self {
        Self { kind: Word::Known(kind), size: Amount::gib(gib) }
    }
}

words! {
    /// What a disk is for. `boot` is left out: released SDKs do not know it (behaviour.md, section 17).
    pub enum DiskKind {
        /// The root disk.
        Local = "local",
        /// Fast space that is lost with the Droplet and not in its snapshots.
        Scratch = "scratch",
    }
}

/// The GPUs of a size or a Droplet. Source: public OpenAPI, model `gpu_info`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GpuInfo {
    /// How many.
    pub count: u32,
    /// Which, such as `nvidia_h100`.
    pub model: String,
    /// Memory of all of them together.
    pub vram: Amount,
    /// Ways one GPU can be shared out; absent when it is only had whole (behaviour rule CRE-19).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supported_partition_modes: Vec<Word<PartitionMode>>,
}

/// An amount of memory or disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Amount {
    /// How many of `unit`.
    pub amount: u64,
    /// Of what.
    pub unit: Word<Unit>,
}

impl Amount {
    /// So many GiB.
    pub const fn gib(amount: u64) -> Self {
        Self { amount, unit: Word::Known(Unit::Gib) }
    }
}

words! {
    /// A unit of memory or disk.
    pub enum Unit {
        /// 2^30 bytes.
        Gib = "gib",
    }
}

words! {
    /// A way to share out one GPU (behaviour rule CRE-19).
    pub enum PartitionMode {
        /// One partition, one memory domain.
        SpxNps1 = "PARTITION_MODE_SPX_NPS1",
        /// Two partitions, two memory domains.
        DpxNps2 = "PARTITION_MODE_DPX_NPS2",
    }
}
