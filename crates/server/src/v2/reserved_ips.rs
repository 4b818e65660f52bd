//! Reserved IPv4 addresses (RIP-1 to RIP-3), by either of their names. IPv6 is in `reserved_ipv6.rs`.

use std::net::Ipv4Addr;

use axum::extract::State;
use dewpoint_api::{
    Action, ActionId, ActionResponse, ActionsResponse, Collection, FloatingIp, FloatingIpCreated, ReservedIp,
    ReservedIpActionRequest, ReservedIpCreateRequest, ReservedIpCreated, ReservedIpLinks, Resource, ResourceType,
    Scope, Single,
};
use dewpoint_control::reserved_ips::Created;
use dewpoint_store::{ActionRecord, Family};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{Again, ApiError, App, BaseUrl, Caller, Done, Json, Operation, Paging, Path, view};

/// One of the two names of a reserved IP: where its operations are, and how they show it.
trait Named: Resource + Serialize + JsonSchema + Send + 'static {
    /// Where all are; where one is, its actions, and one of these.
    const PATHS: [&'static str; 4];
    /// What the operations are called: of the addresses, and of their actions.
    const IDS: [&'static str; 7];
    /// What their actions say they are done to (ACT-11).
    const RESOURCE: ResourceType;
    /// The answer that a create gets.
    type Created: Serialize + JsonSchema + Send + 'static;

    /// Shows an address by this name.
    fn of(address: ReservedIp) -> Self;

    /// Shows one that was just reserved.
    fn created(address: ReservedIp, links: ReservedIpLinks) -> Self::Created;
}

impl Named for ReservedIp {
    const PATHS: [&'static str; 4] = [
        "/v2/reserved_ips",
        "/v2/reserved_ips/{reserved_ip}",
        "/v2/reserved_ips/{reserved_ip}/actions",
        "/v2/reserved_ips/{reserved_ip}/actions/{action_id}",
    ];
    const IDS: [&'static str; 7] = [
        "reservedIPs_list",
        "reservedIPs_create",
        "reservedIPs_get",
        "reservedIPs_delete",
        "reservedIPsActions_list",
        "reservedIPsActions_post",
        "reservedIPsActions_get",
    ];
    const RESOURCE: ResourceType = ResourceType::ReservedIp;
    type Created = ReservedIpCreated;

    fn of(address: ReservedIp) -> Self {
        address
    }

    fn created(reserved_ip: ReservedIp, links: ReservedIpLinks) -> ReservedIpCreated {
        ReservedIpCreated { reserved_ip, links }
    }
}

impl Named for FloatingIp {
    const PATHS: [&'static str; 4] = [
        "/v2/floating_ips",
        "/v2/floating_ips/{floating_ip}",
        "/v2/floating_ips/{floating_ip}/actions",
        "/v2/floating_ips/{floating_ip}/actions/{action_id}",
    ];
    const IDS: [&'static str; 7] = [
        "floatingIPs_list",
        "floatingIPs_create",
        "floatingIPs_get",
        "floatingIPs_delete",
        "floatingIPsAction_list",
        "floatingIPsAction_post",
        "floatingIPsAction_get",
    ];
    const RESOURCE: ResourceType = ResourceType::FloatingIp;
    type Created = FloatingIpCreated;

    fn of(address: ReservedIp) -> Self {
        Self(address)
    }

    fn created(address: ReservedIp, links: ReservedIpLinks) -> FloatingIpCreated {
        FloatingIpCreated { floating_ip: Self(address), links }
    }
}

pub(crate) fn operations() -> Vec<Operation> {
    let mut operations = operations_of::<ReservedIp>();
    operations.extend(operations_of::<FloatingIp>());
    operations
}

fn operations_of<N: Named>() -> Vec<Operation> {
    let ([all, one, actions, action], ids) = (N::PATHS, N::IDS);
    vec![
        Operation::get(all, list::<N>)
            .id(ids[0])
            .says("The account's reserved IPs.")
            .needs(&[Scope::ReservedIpRead])
            .paged()
            .answers::<Collection<N>>(200),
        Operation::post(all, create::<N>, Again::Address(N::ONE))
            .id(ids[1])
            .says("Reserves an IPv4 address, for a region or for a Droplet.")
            .needs(&[Scope::ReservedIpCreate])
            .body::<ReservedIpCreateRequest>()
            .answers::<N::Created>(202),
        Operation::get(one, get::<N>)
            .id(ids[2])
            .says("One reserved IP.")
            .needs(&[Scope::ReservedIpRead])
            .answers::<Single<N>>(200),
        Operation::delete(one, delete)
            .id(ids[3])
            .says("Gives a reserved IP up, also one that is assigned.")
            .needs(&[Scope::ReservedIpDelete]),
        Operation::get(actions, list_actions::<N>)
            .id(ids[4])
            .says("A reserved IP's actions, newest first, on one page.")
            .needs(&[Scope::ReservedIpRead])
            .answers::<ActionsResponse>(200),
        Operation::post(actions, act::<N>, Again::ActionHere)
            .id(ids[5])
            .says("Assigns a reserved IP to a Droplet, or to none.")
            .needs(&[Scope::ReservedIpUpdate])
            .body::<ReservedIpActionRequest>()
            .answers::<ActionResponse>(201),
        Operation::get(action, get_action::<N>)
            .id(ids[6])
            .says("One action of a reserved IP.")
            .needs(&[Scope::ReservedIpRead])
            .answers::<ActionResponse>(200),
    ]
}

/// An action as the operations by this name show it.
fn shown<N: Named>(app: &App, caller: &Caller, record: ActionRecord) -> Action {
    Action { resource_type: N::RESOURCE.into(), ..view::action(&app.control, caller, record) }
}

/// What an address that is being assigned links to.
fn links(base: &BaseUrl, created: &Created) -> ReservedIpLinks {
    let assigning = created.action.as_ref().and_then(|action| Some((action.droplet?, action.id)));
    view::reserved_ip_links(base, assigning)
}

/// `GET /v2/reserved_ips`
async fn list<N: Named>(
    State(app): State<App>,
    caller: Caller,
    paging: Paging,
) -> Result<Json<Collection<N>>, ApiError> {
    let page = app.control.reserved_ip_list(caller.account, Family::V4, paging.asked).await?;
    let shown = page.rows.into_iter().map(|one| N::of(view::reserved_ip(&app.control, &caller, one))).collect();
    Ok(Json(paging.collection(shown, page.total)))
}

/// `POST /v2/reserved_ips`: 202, locked with links to the action when a Droplet is named (RIP-1); 422 when none is left.
async fn create<N: Named>(
    State(app): State<App>,
    caller: Caller,
    base: BaseUrl,
    Json(request): Json<ReservedIpCreateRequest>,
) -> Result<(StatusCode, Json<N::Created>), ApiError> {
    let created = app.control.reserved_ip_create(caller.account, request).await?;
    let links = links(&base, &created);
    let address = view::reserved_ip(&app.control, &caller, created.view);
    Ok((StatusCode::ACCEPTED, Json(N::created(address, links))))
}

/// `GET /v2/reserved_ips/{ip}`
async fn get<N: Named>(
    State(app): State<App>,
    caller: Caller,
    Path(ip): Path<Ipv4Addr>,
) -> Result<Json<Single<N>>, ApiError> {
    let found = app.control.reserved_ip_get(caller.account, ip.into()).await?;
    Ok(Json(Single(N::of(view::reserved_ip(&app.control, &caller, found)))))
}

/// `DELETE /v2/reserved_ips/{ip}`: 204, and 404 from then on; 422 while an action runs on it.
async fn delete(State(app): State<App>, caller: Caller, Path(ip): Path<Ipv4Addr>) -> Result<Done, ApiError> {
    app.control.reserved_ip_delete(caller.account, ip.into()).await?;
    Ok(Done)
}

/// `GET /v2/reserved_ips/{ip}/actions`: all of them (PAG-10).
async fn list_actions<N: Named>(
    State(app): State<App>,
    caller: Caller,
    Path(ip): Path<Ipv4Addr>,
) -> Result<Json<ActionsResponse>, ApiError> {
    let page = app.control.reserved_ip_action_list(caller.account, ip.into()).await?;
    let actions = page.rows.into_iter().map(|record| shown::<N>(&app, &caller, record)).collect();
    Ok(Json(Collection::whole(actions)))
}

/// `POST /v2/reserved_ips/{ip}/actions`: 201 with the action in progress (ACT-7); 422 when busy or in the wrong state (RIP-3).
async fn act<N: Named>(
    State(app): State<App>,
    caller: Caller,
    Path(ip): Path<Ipv4Addr>,
    Json(request): Json<ReservedIpActionRequest>,
) -> Result<(StatusCode, Json<ActionResponse>), ApiError> {
    let record = app.control.reserved_ip_act(caller.account, ip.into(), &request).await?;
    Ok((StatusCode::CREATED, Json(Single(shown::<N>(&app, &caller, record)))))
}

/// `GET /v2/reserved_ips/{ip}/actions/{action}`
async fn get_action<N: Named>(
    State(app): State<App>,
    caller: Caller,
    Path((ip, action)): Path<(Ipv4Addr, ActionId)>,
) -> Result<Json<ActionResponse>, ApiError> {
    let record = app.control.reserved_ip_action_get(caller.account, ip.into(), action).await?;
    Ok(Json(Single(shown::<N>(&app, &caller, record))))
}
