//! Floating IPs: reserved IPv4 addresses by their older name, with keys and a `resource_type` of their own.

use std::net::Ipv4Addr;

use axum::extract::State;
use dewpoint_api::{
    Action, ActionId, ActionResponse, ActionsResponse, Collection, FloatingIp, FloatingIpCreated, FloatingIpResponse,
    FloatingIpsResponse, ReservedIpActionRequest, ReservedIpCreateRequest, ResourceType, Scope, Single,
};
use dewpoint_store::{ActionRecord, Family};
use http::StatusCode;

use super::reserved_ips::links;
use crate::{Again, ApiError, App, BaseUrl, Caller, Done, Json, Operation, Paging, Path, view};

pub(crate) fn operations() -> Vec<Operation> {
    let (one, actions) = ("/v2/floating_ips/{floating_ip}", "/v2/floating_ips/{floating_ip}/actions");
    vec![
        Operation::get("/v2/floating_ips", list)
            .id("floatingIPs_list")
            .says("The account's reserved IPs, by their older name.")
            .needs(&[Scope::ReservedIpRead])
            .paged()
            .answers::<FloatingIpsResponse>(200),
        Operation::post("/v2/floating_ips", create, Again::Address("floating_ip"))
            .id("floatingIPs_create")
            .says("Reserves an IPv4 address, for a region or for a Droplet.")
            .needs(&[Scope::ReservedIpCreate])
            .body::<ReservedIpCreateRequest>()
            .answers::<FloatingIpCreated>(202),
        Operation::get(one, get)
            .id("floatingIPs_get")
            .says("One reserved IP, by its older name.")
            .needs(&[Scope::ReservedIpRead])
            .answers::<FloatingIpResponse>(200),
        Operation::delete(one, delete)
            .id("floatingIPs_delete")
            .says("Gives a reserved IP up, also one that is assigned.")
            .needs(&[Scope::ReservedIpDelete]),
        Operation::get(actions, list_actions)
            .id("floatingIPsAction_list")
            .says("A reserved IP's actions, newest first, on one page.")
            .needs(&[Scope::ReservedIpRead])
            .answers::<ActionsResponse>(200),
        Operation::post(actions, act, Again::ActionHere)
            .id("floatingIPsAction_post")
            .says("Assigns a reserved IP to a Droplet, or to none.")
            .needs(&[Scope::ReservedIpUpdate])
            .body::<ReservedIpActionRequest>()
            .answers::<ActionResponse>(201),
        Operation::get("/v2/floating_ips/{floating_ip}/actions/{action_id}", get_action)
            .id("floatingIPsAction_get")
            .says("One action of a reserved IP.")
            .needs(&[Scope::ReservedIpRead])
            .answers::<ActionResponse>(200),
    ]
}

/// An action as this group of operations shows it (ACT-11).
fn action(app: &App, caller: &Caller, record: ActionRecord) -> Action {
    Action { resource_type: ResourceType::FloatingIp, ..view::action(&app.control, caller, record) }
}

/// `GET /v2/floating_ips`
async fn list(State(app): State<App>, caller: Caller, paging: Paging) -> Result<Json<FloatingIpsResponse>, ApiError> {
    let page = app.control.reserved_ip_list(caller.account, Family::V4, paging.asked).await?;
    let shown = page.rows.into_iter().map(|one| FloatingIp(view::reserved_ip(&app.control, &caller, one))).collect();
    Ok(Json(paging.collection(shown, page.total)))
}

/// `POST /v2/floating_ips`: as `POST /v2/reserved_ips`.
async fn create(
    State(app): State<App>,
    caller: Caller,
    base: BaseUrl,
    Json(request): Json<ReservedIpCreateRequest>,
) -> Result<(StatusCode, Json<FloatingIpCreated>), ApiError> {
    let created = app.control.reserved_ip_create(caller.account, request).await?;
    let links = links(&base, &created);
    let floating_ip = FloatingIp(view::reserved_ip(&app.control, &caller, created.view));
    Ok((StatusCode::ACCEPTED, Json(FloatingIpCreated { floating_ip, links })))
}

/// `GET /v2/floating_ips/{ip}`
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(ip): Path<Ipv4Addr>,
) -> Result<Json<FloatingIpResponse>, ApiError> {
    let found = app.control.reserved_ip_get(caller.account, ip.into()).await?;
    Ok(Json(Single(FloatingIp(view::reserved_ip(&app.control, &caller, found)))))
}

/// `DELETE /v2/floating_ips/{ip}`: 204, and 404 from then on; 422 while an action runs on it.
async fn delete(State(app): State<App>, caller: Caller, Path(ip): Path<Ipv4Addr>) -> Result<Done, ApiError> {
    app.control.reserved_ip_delete(caller.account, ip.into()).await?;
    Ok(Done)
}

/// `GET /v2/floating_ips/{ip}/actions`: all of them (PAG-10).
async fn list_actions(
    State(app): State<App>,
    caller: Caller,
    Path(ip): Path<Ipv4Addr>,
) -> Result<Json<ActionsResponse>, ApiError> {
    let page = app.control.reserved_ip_action_list(caller.account, ip.into()).await?;
    Ok(Json(Collection::whole(page.rows.into_iter().map(|record| action(&app, &caller, record)).collect())))
}

/// `POST /v2/floating_ips/{ip}/actions`: 201 with the action in progress (ACT-7).
async fn act(
    State(app): State<App>,
    caller: Caller,
    Path(ip): Path<Ipv4Addr>,
    Json(request): Json<ReservedIpActionRequest>,
) -> Result<(StatusCode, Json<ActionResponse>), ApiError> {
    let record = app.control.reserved_ip_act(caller.account, ip.into(), &request).await?;
    Ok((StatusCode::CREATED, Json(Single(action(&app, &caller, record)))))
}

/// `GET /v2/floating_ips/{ip}/actions/{action}`
async fn get_action(
    State(app): State<App>,
    caller: Caller,
    Path((ip, id)): Path<(Ipv4Addr, ActionId)>,
) -> Result<Json<ActionResponse>, ApiError> {
    let record = app.control.reserved_ip_action_get(caller.account, ip.into(), id).await?;
    Ok(Json(Single(action(&app, &caller, record))))
}
