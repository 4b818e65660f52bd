//! Sizes: what a Droplet can be made of.

use axum::extract::State;
use dewpoint_api::{Scope, SizesResponse};

use crate::{App, Json, Operation, Paging};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v2/sizes", list)
            .id("sizes_list")
            .says("All sizes, those included that cannot be had now.")
            .needs(&[Scope::SizesRead, Scope::RegionsRead])
            .paged()
            .answers::<SizesResponse>(200),
    ]
}

/// `GET /v2/sizes`: all sizes. Needs `regions:read` as well, since a size names its regions.
async fn list(State(app): State<App>, paging: Paging) -> Json<SizesResponse> {
    Json(paging.slice(app.control.catalogue().sizes().iter().map(|entry| entry.embedded().clone())))
}
