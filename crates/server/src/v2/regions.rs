//! Regions: where Droplets can be.

use axum::extract::State;
use dewpoint_api::{Embedded, Region, RegionsResponse, Scope};
use dewpoint_control::catalogue::RegionEntry;

use crate::{App, Caller, Json, Operation, Paging};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v2/regions", list)
            .id("regions_list")
            .says("All regions, those included that take no new Droplets now.")
            .needs(&[Scope::RegionsRead])
            .paged()
            .answers::<RegionsResponse>(200),
    ]
}

/// `GET /v2/regions`: all regions. Their `sizes` are empty for a token without `sizes:read` (behaviour rule AUTH-6).
async fn list(State(app): State<App>, caller: Caller, paging: Paging) -> Json<RegionsResponse> {
    let shown: fn(&RegionEntry) -> &Embedded<Region> = match caller.has(Scope::SizesRead) {
        true => RegionEntry::embedded,
        false => RegionEntry::without_sizes,
    };
    Json(paging.slice(app.control.catalogue().regions().iter().map(|entry| shown(entry).clone())))
}
