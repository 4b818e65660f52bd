//! Hosts and GPUs, as an operator declares them in the simulator or as the engine tells of them: what is free of them, what is
//! wrong with them, and what a create would do.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Decimal, DropletId, RegionSlug, SizeSlug, word::words};

/// Everything there is to be placed on, whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StockDeclaration {
    /// The hosts.
    pub hosts: Vec<StockHost>,
    /// What a create of a size does for which there is no room; `refuse` for a size that is not named.
    #[serde(default)]
    pub out_of_stock: BTreeMap<SizeSlug, OutOfStock>,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StockHost {
    /// Its name, unique in the declaration.
    pub name: String,
    /// The region it is in.
    pub region: RegionSlug,
    /// Processors.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Its GPUs; none unless said.
    #[serde(default)]
    pub gpus: Vec<StockGpus>,
}

/// GPUs of one model on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StockGpus {
    /// As the sizes' `gpu_info.model` has it: `nvidia_h100`.
    pub model: String,
    /// How many.
    pub count: u32,
}

words! {
    /// What a create does when there is no room for it.
    pub enum OutOfStock {
        /// It is refused with 422, and told where there is room.
        Refuse = "refuse",
        /// It is accepted; then its action fails and the Droplet is gone.
        Vanish = "vanish",
        /// It is accepted and waits for its turn.
        Queue = "queue",
    }
}

/// `GET /dew/v1/stock`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockResponse {
    /// Whether anything is declared. When not, the hosts are those the engine tells of; when there are none, there is plenty.
    pub declared: bool,
    /// How often what there is was changed: by a declaration, or because the engine told of something else.
    pub generation: u64,
    /// The hosts as they were declared or told of, each with what is taken.
    pub hosts: Vec<StockHostUse>,
    /// As it was declared.
    pub out_of_stock: BTreeMap<SizeSlug, OutOfStock>,
    /// Creates that wait for room.
    pub queued: u64,
    /// What somebody has to see to, a sentence each: GPUs that are missing or parked, and which Droplets have them.
    pub alerts: Vec<String>,
}

/// A host and what is taken of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockHostUse {
    /// Its name.
    pub name: String,
    /// The region it is in; null for a host of the engine's, which is in every region.
    pub region: Option<RegionSlug>,
    /// Processors that can be promised, and are.
    pub vcpus: StockUse,
    /// Memory in MiB.
    pub memory_mib: StockUse,
    /// Its GPUs by model.
    pub gpus: Vec<StockGpuUse>,
    /// The same GPUs one by one.
    pub devices: Vec<StockGpu>,
}

/// One GPU of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockGpu {
    /// What its host calls it: its PCI address.
    pub address: String,
    /// The model.
    pub model: String,
    /// The NUMA node it is on, where that is known.
    pub node: Option<u32>,
    /// How it is.
    pub state: StockGpuState,
    /// Which Droplet has it, if one does, however the GPU is.
    pub droplet_id: Option<DropletId>,
    /// Why it is parked or cannot be used.
    pub reason: Option<String>,
    /// The generation in which it was last told of.
    pub seen: u64,
}

words! {
    /// How a GPU is.
    pub enum StockGpuState {
        /// It can be given.
        Free = "free",
        /// A Droplet has it.
        Used = "used",
        /// It could not be reset or given back, and nobody is given it until the operator puts it back.
        Parked = "parked",
        /// Its host cannot give it to a guest.
        Unusable = "unusable",
        /// Its host does not have it any more.
        Missing = "missing",
    }
}

/// GPUs of one model and how many are taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockGpuUse {
    /// The model.
    pub model: String,
    /// How many.
    #[serde(flatten)]
    pub count: StockUse,
}

/// How much there is of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockUse {
    /// In all.
    pub total: u64,
    /// Taken.
    pub used: u64,
    /// What can still be taken; none where more is taken than there is by now.
    pub free: u64,
}

/// `POST /v2/droplets?dry_run=true`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DryRunResponse {
    /// What would happen.
    pub dry_run: DryRun,
}

/// What a create would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DryRun {
    /// US dollars for an hour of one such Droplet.
    pub price_hourly: Decimal,
    /// US dollars for a month of one such Droplet.
    pub price_monthly: Decimal,
    /// Where each would be; none when there is no room.
    pub placements: Vec<DryRunPlacement>,
    /// Why there is no room.
    pub reasons: Vec<String>,
    /// How many more Droplets the account may have after it.
    pub droplets_left: u64,
}

/// Where one Droplet would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DryRunPlacement {
    /// The Droplet's name.
    pub name: String,
    /// Its region.
    pub region: RegionSlug,
    /// Its host.
    pub host: String,
}
