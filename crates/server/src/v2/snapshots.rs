//! Snapshots of Droplets and of volumes, as one list (SNP-1, SNP-2).

use axum::extract::State;
use dewpoint_api::{Scope, Single, SnapshotResponse, SnapshotsResponse};
use dewpoint_control::snapshots::{SnapshotFilter, SnapshotId, SnapshotView};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{ApiError, App, Caller, Done, Json, Operation, Paging, Path, Query, view};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v2/snapshots", list)
            .id("snapshots_list")
            .says("Snapshots of Droplets and of volumes.")
            .needs(&[Scope::SnapshotRead])
            .query::<SnapshotQuery>()
            .paged()
            .answers::<SnapshotsResponse>(200),
        Operation::get("/v2/snapshots/{snapshot_id}", get)
            .id("snapshots_get")
            .says("One snapshot of a Droplet or a volume.")
            .needs(&[Scope::SnapshotRead, Scope::BlockStorageSnapshotRead])
            .answers::<SnapshotResponse>(200),
        Operation::delete("/v2/snapshots/{snapshot_id}", delete)
            .id("snapshots_delete")
            .says("Deletes a snapshot of a Droplet or a volume.")
            .needs(&[Scope::ImageDelete, Scope::SnapshotDelete]),
    ]
}

/// Which snapshots a list shows.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct SnapshotQuery {
    /// `droplet` or `volume`: only those.
    resource_type: Option<String>,
}

impl SnapshotQuery {
    fn filter(&self) -> Result<SnapshotFilter, ApiError> {
        match self.resource_type.as_deref().unwrap_or_default() {
            "" => Ok(SnapshotFilter { droplets: true, volumes: true }),
            "droplet" => Ok(SnapshotFilter { droplets: true, volumes: false }),
            "volume" => Ok(SnapshotFilter { droplets: false, volumes: true }),
            _ => Err(ApiError::unprocessable("resource_type must be droplet or volume.")),
        }
    }
}

/// `GET /v2/snapshots`: those of Droplets by number, then those of volumes.
async fn list(
    State(app): State<App>,
    caller: Caller,
    paging: Paging,
    Query(query): Query<SnapshotQuery>,
) -> Result<Json<SnapshotsResponse>, ApiError> {
    let page = app.control.snapshot_list(caller.account, query.filter()?, paging.asked).await?;
    let shown = page.rows.into_iter().map(|one| shown(&caller, one)).collect();
    Ok(Json(paging.collection(shown, page.total)))
}

/// `GET /v2/snapshots/{id}`: 400 for an id that is neither a number nor a UUID.
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<SnapshotResponse>, ApiError> {
    let found = app.control.snapshot_get(caller.account, id.parse::<SnapshotId>()?).await?;
    Ok(Json(Single(shown(&caller, found))))
}

/// `DELETE /v2/snapshots/{id}`: 204.
async fn delete(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<Done, ApiError> {
    app.control.snapshot_delete(caller.account, id.parse::<SnapshotId>()?).await?;
    Ok(Done)
}

fn shown(caller: &Caller, snapshot: SnapshotView) -> dewpoint_api::Snapshot {
    match snapshot {
        SnapshotView::Droplet(image) => view::snapshot_of_droplet(caller, image),
        SnapshotView::Volume(snapshot) => view::volume_snapshot(caller, snapshot),
    }
}
