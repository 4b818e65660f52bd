//! What was taken of one Droplet: its snapshots and its backups, as the Droplet lists them (DAC-5).

use axum::extract::State;
use dewpoint_api::{DropletBackup, DropletBackupsResponse, DropletId, DropletSnapshotsResponse, ImageKind, Scope};

use crate::{ApiError, App, Caller, Json, Operation, Paging, Path, view};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v2/droplets/{droplet_id}/snapshots", snapshots)
            .id("droplets_list_snapshots")
            .says("The snapshots of one Droplet.")
            .needs(&[Scope::DropletRead])
            .paged()
            .answers::<DropletSnapshotsResponse>(200),
        Operation::get("/v2/droplets/{droplet_id}/backups", backups)
            .id("droplets_list_backups")
            .says("The backups of one Droplet.")
            .needs(&[Scope::DropletRead])
            .paged()
            .answers::<DropletBackupsResponse>(200),
    ]
}

/// `GET /v2/droplets/{id}/snapshots`
async fn snapshots(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DropletId>,
    paging: Paging,
) -> Result<Json<DropletSnapshotsResponse>, ApiError> {
    let page = app.control.droplet_image_list(caller.account, id, ImageKind::Snapshot, paging.asked).await?;
    let shown = page.rows.into_iter().map(view::droplet_snapshot).collect();
    Ok(Json(paging.collection(shown, page.total)))
}

/// `GET /v2/droplets/{id}/backups`
async fn backups(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DropletId>,
    paging: Paging,
) -> Result<Json<DropletBackupsResponse>, ApiError> {
    let page = app.control.droplet_image_list(caller.account, id, ImageKind::Backup, paging.asked).await?;
    let shown = page.rows.into_iter().map(|record| DropletBackup(view::droplet_snapshot(record))).collect();
    Ok(Json(paging.collection(shown, page.total)))
}
