//! Regions and sizes: where Droplets can be, and what they can be made of.

use dewpoint_api::{Region, Size};

use crate::{List, operations as op};

groups! {
    /// Regions.
    Regions;
    /// Sizes.
    Sizes;
}

impl Regions {
    /// `GET /v2/regions`.
    pub fn list(&self) -> List<Region> {
        self.0.list(&op::REGIONS_LIST, &[])
    }
}

impl Sizes {
    /// `GET /v2/sizes`.
    pub fn list(&self) -> List<Size> {
        self.0.list(&op::SIZES_LIST, &[])
    }
}
