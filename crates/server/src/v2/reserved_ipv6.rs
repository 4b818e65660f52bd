//! Reserved IPv6 addresses (RIP-5).

use std::net::Ipv6Addr;

use axum::extract::State;
use dewpoint_api::{
    ActionResponse, ReservedIpActionRequest, ReservedIpv6CreateRequest, ReservedIpv6Response, ReservedIpv6sResponse,
    Scope, Single,
};
use dewpoint_store::Family;
use http::StatusCode;

use crate::{Again, ApiError, App, Caller, Done, Json, Operation, Paging, Path, view};

pub(crate) fn operations() -> Vec<Operation> {
    let one = "/v2/reserved_ipv6/{reserved_ipv6}";
    vec![
        Operation::get("/v2/reserved_ipv6", list)
            .id("reservedIPv6_list")
            .says("The account's reserved IPv6 addresses.")
            .needs(&[Scope::ReservedIpRead])
            .paged()
            .answers::<ReservedIpv6sResponse>(200),
        Operation::post("/v2/reserved_ipv6", create, Again::One("reserved_ipv6"))
            .id("reservedIPv6_create")
            .says("Reserves an IPv6 address in a region.")
            .needs(&[Scope::ReservedIpCreate])
            .body::<ReservedIpv6CreateRequest>()
            .answers::<ReservedIpv6Response>(201),
        Operation::get(one, get)
            .id("reservedIPv6_get")
            .says("One reserved IPv6 address.")
            .needs(&[Scope::ReservedIpRead])
            .answers::<ReservedIpv6Response>(200),
        Operation::delete(one, delete)
            .id("reservedIPv6_delete")
            .says("Gives a reserved IPv6 address up, also one that is assigned.")
            .needs(&[Scope::ReservedIpDelete]),
        Operation::post("/v2/reserved_ipv6/{reserved_ipv6}/actions", act, Again::One("action"))
            .id("reservedIPv6Actions_post")
            .says("Assigns a reserved IPv6 address to a Droplet, or to none.")
            .needs(&[Scope::ReservedIpUpdate])
            .body::<ReservedIpActionRequest>()
            .answers::<ActionResponse>(201),
    ]
}

/// `GET /v2/reserved_ipv6`
async fn list(State(app): State<App>, caller: Caller, paging: Paging) -> Result<Json<ReservedIpv6sResponse>, ApiError> {
    let page = app.control.reserved_ip_list(caller.account, Family::V6, paging.asked).await?;
    let shown = page.rows.into_iter().map(|one| view::reserved_ipv6(&app.control, &caller, one)).collect();
    Ok(Json(paging.collection(shown, page.total)))
}

/// `POST /v2/reserved_ipv6`: 201.
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<ReservedIpv6CreateRequest>,
) -> Result<(StatusCode, Json<ReservedIpv6Response>), ApiError> {
    let created = app.control.reserved_ipv6_create(caller.account, request).await?;
    Ok((StatusCode::CREATED, Json(Single(view::reserved_ipv6(&app.control, &caller, created)))))
}

/// `GET /v2/reserved_ipv6/{ip}`
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(ip): Path<Ipv6Addr>,
) -> Result<Json<ReservedIpv6Response>, ApiError> {
    let found = app.control.reserved_ip_get(caller.account, ip.into()).await?;
    Ok(Json(Single(view::reserved_ipv6(&app.control, &caller, found))))
}

/// `DELETE /v2/reserved_ipv6/{ip}`: 204, and 404 from then on; 422 while an action runs on it.
async fn delete(State(app): State<App>, caller: Caller, Path(ip): Path<Ipv6Addr>) -> Result<Done, ApiError> {
    app.control.reserved_ip_delete(caller.account, ip.into()).await?;
    Ok(Done)
}

/// `POST /v2/reserved_ipv6/{ip}/actions`: 201 with the action in progress; 422 when busy or in the wrong state.
async fn act(
    State(app): State<App>,
    caller: Caller,
    Path(ip): Path<Ipv6Addr>,
    Json(request): Json<ReservedIpActionRequest>,
) -> Result<(StatusCode, Json<ActionResponse>), ApiError> {
    let record = app.control.reserved_ip_act(caller.account, ip.into(), &request).await?;
    Ok((StatusCode::CREATED, Json(Single(view::action(&app.control, &caller, record)))))
}
