//! Volumes (VOL-*). Their actions are in `volume_actions.rs`, their snapshots in `volume_snapshots.rs`.

use axum::extract::State;
use dewpoint_api::{RegionSlug, Scope, Single, VolumeCreateRequest, VolumeId, VolumeResponse, VolumesResponse};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{Again, ApiError, App, Caller, Done, Json, Operation, Paging, Path, Query, view};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v2/volumes", list)
            .id("volumes_list")
            .says("The account's volumes.")
            .needs(&[Scope::BlockStorageRead])
            .query::<VolumeQuery>()
            .paged()
            .answers::<VolumesResponse>(200),
        Operation::post("/v2/volumes", create, Again::One("volume"))
            .id("volumes_create")
            .says("Makes a volume.")
            .needs(&[Scope::BlockStorageCreate])
            .body::<VolumeCreateRequest>()
            .answers::<VolumeResponse>(201),
        Operation::delete("/v2/volumes", delete_by_name)
            .id("volumes_delete_byName")
            .says("Deletes the volume of a name in a region.")
            .needs(&[Scope::BlockStorageDelete])
            .query::<VolumeQuery>(),
        Operation::get("/v2/volumes/{volume_id}", get)
            .id("volumes_get")
            .says("One volume.")
            .needs(&[Scope::BlockStorageRead])
            .answers::<VolumeResponse>(200),
        Operation::delete("/v2/volumes/{volume_id}", delete)
            .id("volumes_delete")
            .says("Deletes a volume that is not attached.")
            .needs(&[Scope::BlockStorageDelete]),
    ]
}

/// Which volumes are meant (VOL-8).
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct VolumeQuery {
    /// Those of this name.
    name: Option<String>,
    /// Those in this region.
    region: Option<String>,
}

impl VolumeQuery {
    fn parts(self) -> (Option<RegionSlug>, Option<String>) {
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        (some(self.region).map(RegionSlug::from), some(self.name))
    }
}

/// `GET /v2/volumes`
async fn list(
    State(app): State<App>,
    caller: Caller,
    paging: Paging,
    Query(query): Query<VolumeQuery>,
) -> Result<Json<VolumesResponse>, ApiError> {
    let (region, name) = query.parts();
    let page = app.control.volume_list(caller.account, region, name, paging.asked).await?;
    let volumes = page.rows.into_iter().map(|one| view::volume(&app.control, &caller, one)).collect();
    Ok(Json(paging.collection(volumes, page.total)))
}

/// `POST /v2/volumes`: 201; 409 when the region has a volume of that name (VOL-1). Tags need the right to make them, and a
/// snapshot to start as the right to see it (AUTH-5).
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<VolumeCreateRequest>,
) -> Result<(StatusCode, Json<VolumeResponse>), ApiError> {
    if !request.tags.is_empty() {
        caller.require(Scope::TagCreate)?;
    }
    if request.snapshot_id.is_some() {
        caller.require(Scope::BlockStorageSnapshotRead)?;
    }
    let volume = app.control.volume_create(caller.account, &request).await?;
    Ok((StatusCode::CREATED, Json(Single(view::volume(&app.control, &caller, volume)))))
}

/// `GET /v2/volumes/{id}`
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<VolumeId>,
) -> Result<Json<VolumeResponse>, ApiError> {
    let volume = app.control.volume_get(caller.account, id).await?;
    Ok(Json(Single(view::volume(&app.control, &caller, volume))))
}

/// `DELETE /v2/volumes/{id}`: 204; 409 while attached or locked (VOL-9).
async fn delete(State(app): State<App>, caller: Caller, Path(id): Path<VolumeId>) -> Result<Done, ApiError> {
    app.control.volume_delete(caller.account, id).await?;
    Ok(Done)
}

/// `DELETE /v2/volumes?name=&region=`: 204; both are required, so that a slip never deletes another (VOL-8).
async fn delete_by_name(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<VolumeQuery>,
) -> Result<Done, ApiError> {
    match query.parts() {
        (Some(region), Some(name)) => {
            app.control.volume_delete_by_name(caller.account, region, name).await?;
            Ok(Done)
        }
        (None, _) | (_, None) => Err(ApiError::unprocessable("name and region are required.")),
    }
}
