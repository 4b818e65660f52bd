//! Snapshots of volumes (VOL-9, SNP-1).

use axum::extract::State;
use dewpoint_api::{
    Scope, Single, SnapshotResponse, SnapshotsResponse, VolumeId, VolumeSnapshotCreateRequest, VolumeSnapshotId,
};
use http::StatusCode;

use crate::{Again, ApiError, App, Caller, Done, Json, Operation, Paging, Path, view};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v2/volumes/snapshots/{snapshot_id}", get)
            .id("volumeSnapshots_get_byId")
            .says("One snapshot of a volume.")
            .needs(&[Scope::BlockStorageSnapshotRead])
            .answers::<SnapshotResponse>(200),
        Operation::delete("/v2/volumes/snapshots/{snapshot_id}", delete)
            .id("volumeSnapshots_delete_byId")
            .says("Deletes a snapshot of a volume.")
            .needs(&[Scope::BlockStorageSnapshotDelete]),
        Operation::get("/v2/volumes/{volume_id}/snapshots", list)
            .id("volumeSnapshots_list")
            .says("The snapshots of a volume.")
            .needs(&[Scope::BlockStorageSnapshotRead])
            .paged()
            .answers::<SnapshotsResponse>(200),
        Operation::post("/v2/volumes/{volume_id}/snapshots", create, Again::One("snapshot"))
            .id("volumeSnapshots_create")
            .says("Takes a snapshot of a volume.")
            .needs(&[Scope::BlockStorageSnapshotCreate])
            .body::<VolumeSnapshotCreateRequest>()
            .answers::<SnapshotResponse>(201),
    ]
}

/// `GET /v2/volumes/{id}/snapshots`
async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(volume): Path<VolumeId>,
    paging: Paging,
) -> Result<Json<SnapshotsResponse>, ApiError> {
    let page = app.control.volume_snapshot_list_of(caller.account, volume, paging.asked).await?;
    let snapshots = page.rows.into_iter().map(|one| view::volume_snapshot(&caller, one)).collect();
    Ok(Json(paging.collection(snapshots, page.total)))
}

/// `POST /v2/volumes/{id}/snapshots`: 201 with the snapshot, which is taken from then on; 422 while the volume is locked.
async fn create(
    State(app): State<App>,
    caller: Caller,
    Path(volume): Path<VolumeId>,
    Json(request): Json<VolumeSnapshotCreateRequest>,
) -> Result<(StatusCode, Json<SnapshotResponse>), ApiError> {
    if !request.tags.is_empty() {
        caller.require(Scope::TagCreate)?;
    }
    let made = app.control.volume_snapshot_create(caller.account, volume, &request).await?;
    Ok((StatusCode::CREATED, Json(Single(view::volume_snapshot(&caller, made)))))
}

/// `GET /v2/volumes/snapshots/{id}`
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<VolumeSnapshotId>,
) -> Result<Json<SnapshotResponse>, ApiError> {
    let found = app.control.volume_snapshot_get(caller.account, id).await?;
    Ok(Json(Single(view::volume_snapshot(&caller, found))))
}

/// `DELETE /v2/volumes/snapshots/{id}`: 204; 422 while a volume is still to be made from it.
async fn delete(State(app): State<App>, caller: Caller, Path(id): Path<VolumeSnapshotId>) -> Result<Done, ApiError> {
    app.control.volume_snapshot_delete(caller.account, id).await?;
    Ok(Done)
}
