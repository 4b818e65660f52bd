//! Firewalls (FW-1 to FW-7). Their parts are in `firewall_parts.rs`.

use axum::extract::State;
use dewpoint_api::{FirewallId, FirewallRequest, FirewallResponse, FirewallsResponse, Scope, Single};
use http::StatusCode;

use crate::{Again, ApiError, App, Caller, Done, Json, Operation, Paging, Path, view};

pub(crate) fn operations() -> Vec<Operation> {
    let one = "/v2/firewalls/{firewall_id}";
    vec![
        Operation::get("/v2/firewalls", list)
            .id("firewalls_list")
            .says("The account's firewalls.")
            .needs(&[Scope::FirewallRead])
            .paged()
            .answers::<FirewallsResponse>(200),
        Operation::post("/v2/firewalls", create, Again::One("firewall"))
            .id("firewalls_create")
            .says("Makes a firewall. It is in force when its status is succeeded.")
            .needs(&[Scope::FirewallCreate])
            .body::<FirewallRequest>()
            .answers::<FirewallResponse>(202),
        Operation::get(one, get)
            .id("firewalls_get")
            .says("One firewall.")
            .needs(&[Scope::FirewallRead])
            .answers::<FirewallResponse>(200),
        Operation::put(one, replace)
            .id("firewalls_update")
            .says("Replaces a firewall: what is left out is reset.")
            .needs(&[Scope::FirewallUpdate])
            .body::<FirewallRequest>()
            .answers::<FirewallResponse>(200),
        Operation::delete(one, delete)
            .id("firewalls_delete")
            .says("Removes a firewall.")
            .needs(&[Scope::FirewallDelete]),
    ]
}

/// `GET /v2/firewalls`
async fn list(State(app): State<App>, caller: Caller, paging: Paging) -> Result<Json<FirewallsResponse>, ApiError> {
    let page = app.control.firewall_list(caller.account, paging.asked).await?;
    let shown = page.rows.into_iter().map(|one| view::firewall(&caller, one)).collect();
    Ok(Json(paging.collection(shown, page.total)))
}

/// `POST /v2/firewalls`: 202; 409 for a name that is taken, 422 for rules that cannot be (FW-1, FW-4).
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<FirewallRequest>,
) -> Result<(StatusCode, Json<FirewallResponse>), ApiError> {
    let firewall = app.control.firewall_create(&caller, &request).await?;
    Ok((StatusCode::ACCEPTED, Json(Single(view::firewall(&caller, firewall)))))
}

/// `GET /v2/firewalls/{id}`
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<FirewallId>,
) -> Result<Json<FirewallResponse>, ApiError> {
    let firewall = app.control.firewall_get(caller.account, id).await?;
    Ok(Json(Single(view::firewall(&caller, firewall))))
}

/// `PUT /v2/firewalls/{id}`: 403 for who may not see all that it names (FW-6).
async fn replace(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<FirewallId>,
    Json(request): Json<FirewallRequest>,
) -> Result<Json<FirewallResponse>, ApiError> {
    let firewall = app.control.firewall_replace(&caller, id, &request).await?;
    Ok(Json(Single(view::firewall(&caller, firewall))))
}

/// `DELETE /v2/firewalls/{id}`: 204.
async fn delete(State(app): State<App>, caller: Caller, Path(id): Path<FirewallId>) -> Result<Done, ApiError> {
    app.control.firewall_delete(caller.account, id).await?;
    Ok(Done)
}
