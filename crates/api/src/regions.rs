//! Regions: where Droplets can be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Embedded, RegionSlug, Resource, SizeSlug, page::Collection};

/// A place with machines in it. Source: public OpenAPI, model `region`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Region {
    /// Its name for people, such as `New York 3`.
    pub name: String,
    /// Its name for programs, such as `nyc3`.
    pub slug: RegionSlug,
    /// What Droplets here can have, in the public API's words.
    pub features: Vec<String>,
    /// Whether Droplets can be made here now.
    pub available: bool,
    /// The sizes offered here. Empty for a token without `sizes:read` (behaviour rule AUTH-6): empty is our choice, since
    /// the Python SDK requires the list.
    pub sizes: Vec<SizeSlug>,
}

impl Resource for Region {
    const ONE: &'static str = "region";
    const MANY: &'static str = "regions";
}

/// The answer of `GET /v2/regions`.
pub type RegionsResponse = Collection<Embedded<Region>>;
