//! Backup policies of Droplets (DRO-8, DRO-9).

use axum::extract::State;
use dewpoint_api::{
    BackupPoliciesResponse, BackupPolicyResponse, DropletId, Meta, Scope, Single, SupportedBackupPoliciesResponse,
};
use dewpoint_store::DropletFilter;

use crate::{ApiError, App, Caller, Json, Operation, Paging, Path, view};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v2/droplets/{droplet_id}/backups/policy", get)
            .id("droplets_get_backup_policy")
            .says("The backup policy of one Droplet.")
            .needs(&[Scope::DropletRead])
            .answers::<BackupPolicyResponse>(200),
        Operation::get("/v2/droplets/backups/policies", list)
            .id("droplets_list_backup_policies")
            .says("The backup policies of all Droplets, by Droplet.")
            .needs(&[Scope::DropletRead])
            .paged()
            .answers::<BackupPoliciesResponse>(200),
        Operation::get("/v2/droplets/backups/supported_policies", supported)
            .id("droplets_list_supported_backup_policies")
            .says("The backup policies one can choose from.")
            .needs(&[Scope::DropletRead])
            .answers::<SupportedBackupPoliciesResponse>(200),
    ]
}

/// `GET /v2/droplets/{id}/backups/policy`
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DropletId>,
) -> Result<Json<BackupPolicyResponse>, ApiError> {
    let found = app.control.droplet_get(caller.account, id).await?;
    Ok(Json(Single(view::backup_record(&app.control, &found.record))))
}

/// `GET /v2/droplets/backups/policies`: an object keyed by Droplet id, as text.
async fn list(
    State(app): State<App>,
    caller: Caller,
    paging: Paging,
) -> Result<Json<BackupPoliciesResponse>, ApiError> {
    let page = app.control.droplet_list(caller.account, DropletFilter::All, paging.asked).await?;
    let policies =
        page.rows.iter().map(|one| (one.record.id, view::backup_record(&app.control, &one.record))).collect();
    Ok(Json(BackupPoliciesResponse { policies, links: paging.links(page.total), meta: Meta { total: page.total } }))
}

/// `GET /v2/droplets/backups/supported_policies`
async fn supported() -> Json<SupportedBackupPoliciesResponse> {
    Json(SupportedBackupPoliciesResponse::offered())
}
