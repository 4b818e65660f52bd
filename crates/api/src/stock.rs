//! Hosts and GPUs that an operator declares in the simulator, what is free of them, and what a create would do.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{RegionSlug, SizeSlug, word::words};

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
    /// Whether anything is declared; when not, there is plenty of everything.
    pub declared: bool,
    /// How often the declaration was changed.
    pub generation: u64,
    /// The hosts as they were declared, each with what is taken.
    pub hosts: Vec<StockHostUse>,
    /// As it was declared.
    pub out_of_stock: BTreeMap<SizeSlug, OutOfStock>,
    /// Creates that wait for room.
    pub queued: u64,
}

/// A host and what is taken of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StockHostUse {
    /// Its name.
    pub name: String,
    /// The region it is in.
    pub region: RegionSlug,
    /// Processors that can be promised, and are.
    pub vcpus: StockUse,
    /// Memory in MiB.
    pub memory_mib: StockUse,
    /// Its GPUs by model.
    pub gpus: Vec<StockGpuUse>,
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
    pub price_hourly: f64,
    /// US dollars for a month of one such Droplet.
    pub price_monthly: f64,
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
