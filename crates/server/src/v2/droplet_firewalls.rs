//! The firewalls that guard one Droplet (FW-7).

use axum::extract::State;
use dewpoint_api::{DropletId, FirewallsResponse, Scope};

use crate::{ApiError, App, Caller, Json, Operation, Paging, Path, view};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v2/droplets/{droplet_id}/firewalls", list)
            .id("droplets_list_firewalls")
            .says("The firewalls that guard one Droplet, by its number or by a tag.")
            .needs(&[Scope::FirewallRead])
            .paged()
            .answers::<FirewallsResponse>(200),
    ]
}

/// `GET /v2/droplets/{id}/firewalls`
async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DropletId>,
    paging: Paging,
) -> Result<Json<FirewallsResponse>, ApiError> {
    let page = app.control.firewalls_of_droplet(caller.account, id, paging.asked).await?;
    let shown = page.rows.into_iter().map(|one| view::firewall(&caller, one)).collect();
    Ok(Json(paging.collection(shown, page.total)))
}
