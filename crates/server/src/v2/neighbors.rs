//! What a Droplet runs on and beside: kernels (DRO-11), and Droplets on the same host (DRO-10).

use std::iter;

use axum::extract::State;
use dewpoint_api::{Droplet, DropletId, Kernel, KernelsResponse, NeighborIdsResponse, NeighborsResponse, Scope};

use crate::{ApiError, App, Caller, Json, Operation, Paging, Path, view};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v2/droplets/{droplet_id}/kernels", kernels)
            .id("droplets_list_kernels")
            .says("The kernels one could choose from: none, since every Droplet boots its own.")
            .needs(&[Scope::DropletRead])
            .paged()
            .answers::<KernelsResponse>(200),
        Operation::get("/v2/droplets/{droplet_id}/neighbors", neighbors)
            .id("droplets_list_neighbors")
            .says("The account's other Droplets on the same host, at most 1000.")
            .needs(&[Scope::DropletRead])
            .answers::<NeighborsResponse>(200),
        Operation::get("/v2/reports/droplet_neighbors_ids", neighbor_ids)
            .id("droplets_list_neighborsIds")
            .says("The account's Droplets that share a host, host by host.")
            .needs(&[Scope::DropletRead])
            .answers::<NeighborIdsResponse>(200),
    ]
}

/// `GET /v2/droplets/{id}/kernels`
async fn kernels(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DropletId>,
    paging: Paging,
) -> Result<Json<KernelsResponse>, ApiError> {
    app.control.droplet_get(caller.account, id).await?;
    Ok(Json(paging.slice(iter::empty::<Kernel>())))
}

/// `GET /v2/droplets/{id}/neighbors`: not paged (PAG-10).
async fn neighbors(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DropletId>,
) -> Result<Json<NeighborsResponse>, ApiError> {
    let found = app.control.droplet_neighbors(caller.account, id).await?;
    let droplets: Vec<Droplet> = found.into_iter().map(|one| view::droplet(&app.control, &caller, one)).collect();
    Ok(Json(NeighborsResponse { droplets }))
}

/// `GET /v2/reports/droplet_neighbors_ids`
async fn neighbor_ids(State(app): State<App>, caller: Caller) -> Result<Json<NeighborIdsResponse>, ApiError> {
    Ok(Json(NeighborIdsResponse { neighbor_ids: app.control.droplet_neighbor_ids(caller.account).await? }))
}
