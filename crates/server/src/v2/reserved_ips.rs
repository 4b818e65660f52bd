//! Reserved IPv4 addresses (RIP-1 to RIP-3). Their older name is in `floating_ips.rs`, IPv6 in `reserved_ipv6.rs`.

use std::net::Ipv4Addr;

use axum::extract::State;
use dewpoint_api::{
    ActionId, ActionResponse, ActionsResponse, Collection, ReservedIpActionRequest, ReservedIpCreateRequest,
    ReservedIpCreated, ReservedIpLinks, ReservedIpResponse, ReservedIpsResponse, Scope, Single,
};
use dewpoint_control::reserved_ips::Created;
use dewpoint_store::Family;
use http::StatusCode;

use crate::{Again, ApiError, App, BaseUrl, Caller, Done, Json, Operation, Paging, Path, view};

pub(crate) fn operations() -> Vec<Operation> {
    let (one, actions) = ("/v2/reserved_ips/{reserved_ip}", "/v2/reserved_ips/{reserved_ip}/actions");
    vec![
        Operation::get("/v2/reserved_ips", list)
            .id("reservedIPs_list")
            .says("The account's reserved IPs.")
            .needs(&[Scope::ReservedIpRead])
            .paged()
            .answers::<ReservedIpsResponse>(200),
        Operation::post("/v2/reserved_ips", create, Again::Address("reserved_ip"))
            .id("reservedIPs_create")
            .says("Reserves an IPv4 address, for a region or for a Droplet.")
            .needs(&[Scope::ReservedIpCreate])
            .body::<ReservedIpCreateRequest>()
            .answers::<ReservedIpCreated>(202),
        Operation::get(one, get)
            .id("reservedIPs_get")
            .says("One reserved IP.")
            .needs(&[Scope::ReservedIpRead])
            .answers::<ReservedIpResponse>(200),
        Operation::delete(one, delete)
            .id("reservedIPs_delete")
            .says("Gives a reserved IP up, also one that is assigned.")
            .needs(&[Scope::ReservedIpDelete]),
        Operation::get(actions, list_actions)
            .id("reservedIPsActions_list")
            .says("A reserved IP's actions, newest first, on one page.")
            .needs(&[Scope::ReservedIpRead])
            .answers::<ActionsResponse>(200),
        Operation::post(actions, act, Again::ActionHere)
            .id("reservedIPsActions_post")
            .says("Assigns a reserved IP to a Droplet, or to none.")
            .needs(&[Scope::ReservedIpUpdate])
            .body::<ReservedIpActionRequest>()
            .answers::<ActionResponse>(201),
        Operation::get("/v2/reserved_ips/{reserved_ip}/actions/{action_id}", get_action)
            .id("reservedIPsActions_get")
            .says("One action of a reserved IP.")
            .needs(&[Scope::ReservedIpRead])
            .answers::<ActionResponse>(200),
    ]
}

/// What an address that is being assigned links to.
pub(super) fn links(base: &BaseUrl, created: &Created) -> ReservedIpLinks {
    let assigning = created.action.as_ref().and_then(|action| Some((action.droplet?, action.id)));
    view::reserved_ip_links(base, assigning)
}

/// `GET /v2/reserved_ips`
async fn list(State(app): State<App>, caller: Caller, paging: Paging) -> Result<Json<ReservedIpsResponse>, ApiError> {
    let page = app.control.reserved_ip_list(caller.account, Family::V4, paging.asked).await?;
    let shown = page.rows.into_iter().map(|one| view::reserved_ip(&app.control, &caller, one)).collect();
    Ok(Json(paging.collection(shown, page.total)))
}

/// `POST /v2/reserved_ips`: 202, locked with links to the action when a Droplet is named (RIP-1); 422 when none is left.
async fn create(
    State(app): State<App>,
    caller: Caller,
    base: BaseUrl,
    Json(request): Json<ReservedIpCreateRequest>,
) -> Result<(StatusCode, Json<ReservedIpCreated>), ApiError> {
    let created = app.control.reserved_ip_create(caller.account, request).await?;
    let links = links(&base, &created);
    let reserved_ip = view::reserved_ip(&app.control, &caller, created.view);
    Ok((StatusCode::ACCEPTED, Json(ReservedIpCreated { reserved_ip, links })))
}

/// `GET /v2/reserved_ips/{ip}`
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(ip): Path<Ipv4Addr>,
) -> Result<Json<ReservedIpResponse>, ApiError> {
    let found = app.control.reserved_ip_get(caller.account, ip.into()).await?;
    Ok(Json(Single(view::reserved_ip(&app.control, &caller, found))))
}

/// `DELETE /v2/reserved_ips/{ip}`: 204, and 404 from then on; 422 while an action runs on it.
async fn delete(State(app): State<App>, caller: Caller, Path(ip): Path<Ipv4Addr>) -> Result<Done, ApiError> {
    app.control.reserved_ip_delete(caller.account, ip.into()).await?;
    Ok(Done)
}

/// `GET /v2/reserved_ips/{ip}/actions`: all of them (PAG-10).
async fn list_actions(
    State(app): State<App>,
    caller: Caller,
    Path(ip): Path<Ipv4Addr>,
) -> Result<Json<ActionsResponse>, ApiError> {
    let page = app.control.reserved_ip_action_list(caller.account, ip.into()).await?;
    let actions = page.rows.into_iter().map(|record| view::action(&app.control, &caller, record)).collect();
    Ok(Json(Collection::whole(actions)))
}

/// `POST /v2/reserved_ips/{ip}/actions`: 201 with the action in progress (ACT-7); 422 when busy or in the wrong state (RIP-3).
async fn act(
    State(app): State<App>,
    caller: Caller,
    Path(ip): Path<Ipv4Addr>,
    Json(request): Json<ReservedIpActionRequest>,
) -> Result<(StatusCode, Json<ActionResponse>), ApiError> {
    let record = app.control.reserved_ip_act(caller.account, ip.into(), &request).await?;
    Ok((StatusCode::CREATED, Json(Single(view::action(&app.control, &caller, record)))))
}

/// `GET /v2/reserved_ips/{ip}/actions/{action}`
async fn get_action(
    State(app): State<App>,
    caller: Caller,
    Path((ip, action)): Path<(Ipv4Addr, ActionId)>,
) -> Result<Json<ActionResponse>, ApiError> {
    let record = app.control.reserved_ip_action_get(caller.account, ip.into(), action).await?;
    Ok(Json(Single(view::action(&app.control, &caller, record))))
}
