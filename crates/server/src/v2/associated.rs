//! A Droplet destroyed with what belongs to it (DEL-5 to DEL-8).

use axum::extract::State;
use dewpoint_api::{AssociatedResourcesResponse, DestroyStatusResponse, DropletId, Scope, SelectiveDestroyRequest};
use dewpoint_control::droplets::Selection;
use http::{HeaderMap, StatusCode};

use crate::{Again, ApiError, App, Caller, Json, Operation, Path, view};

/// What destroying all kinds of things takes.
const DESTROYS: [Scope; 5] = [
    Scope::DropletDelete,
    Scope::BlockStorageDelete,
    Scope::BlockStorageSnapshotDelete,
    Scope::ImageDelete,
    Scope::ReservedIpDelete,
];

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v2/droplets/{droplet_id}/destroy_with_associated_resources", list)
            .id("droplets_list_associatedResources")
            .says("What belongs to a Droplet and would cost on without it.")
            .needs(&[Scope::DropletRead])
            .answers::<AssociatedResourcesResponse>(200),
        Operation::delete("/v2/droplets/{droplet_id}/destroy_with_associated_resources/selective", selective)
            .id("droplets_destroy_withAssociatedResourcesSelective")
            .says("Destroys a Droplet with some of what belongs to it.")
            .needs(&DESTROYS)
            .body::<SelectiveDestroyRequest>()
            .answers_empty(202),
        Operation::delete("/v2/droplets/{droplet_id}/destroy_with_associated_resources/dangerous", dangerous)
            .id("droplets_destroy_withAssociatedResourcesDangerous")
            .says("Destroys a Droplet with all that belongs to it.")
            .needs(&DESTROYS)
            .answers_empty(202),
        Operation::get("/v2/droplets/{droplet_id}/destroy_with_associated_resources/status", status)
            .id("droplets_get_DestroyAssociatedResourcesStatus")
            .says("How the destruction of a Droplet and what belonged to it goes.")
            .needs(&[Scope::DropletDelete])
            .answers::<DestroyStatusResponse>(200),
        Operation::post("/v2/droplets/{droplet_id}/destroy_with_associated_resources/retry", retry, Again::Empty)
            .id("droplets_destroy_retryWithAssociatedResources")
            .says("Tries again to destroy what could not be.")
            .needs(&DESTROYS)
            .answers_empty(202),
    ]
}

/// `GET …/destroy_with_associated_resources`: only what the token may see.
async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DropletId>,
) -> Result<Json<AssociatedResourcesResponse>, ApiError> {
    let found = app.control.droplet_associated(caller.account, id).await?;
    Ok(Json(view::associated(&caller, found)))
}

/// `DELETE …/selective`: 202; 422 for an id that does not belong to the Droplet (DEL-6). No body chooses nothing.
async fn selective(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DropletId>,
    request: Option<Json<SelectiveDestroyRequest>>,
) -> Result<StatusCode, ApiError> {
    let named = request.map(|Json(named)| named).unwrap_or_default();
    app.control.droplet_teardown(caller.account, id, Selection::Named(named)).await?;
    Ok(StatusCode::ACCEPTED)
}

/// `DELETE …/dangerous`: 202; 400 without the header `X-Dangerous: true` (DEL-6).
async fn dangerous(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DropletId>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let meant = headers.get("x-dangerous").is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
    if !meant {
        return Err(ApiError::bad_request("This destroys all that belongs to the Droplet: send X-Dangerous: true."));
    }
    app.control.droplet_teardown(caller.account, id, Selection::All).await?;
    Ok(StatusCode::ACCEPTED)
}

/// `GET …/status`: also when the Droplet is gone; 404 when no such destroy was asked for (DEL-7).
async fn status(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DropletId>,
) -> Result<Json<DestroyStatusResponse>, ApiError> {
    let record = app.control.droplet_teardown_status(caller.account, id).await?;
    Ok(Json(view::destroy_status(&record)))
}

/// `POST …/retry`: 202; 409 while one runs (DEL-8).
async fn retry(State(app): State<App>, caller: Caller, Path(id): Path<DropletId>) -> Result<StatusCode, ApiError> {
    app.control.droplet_teardown_retry(caller.account, id).await?;
    Ok(StatusCode::ACCEPTED)
}
