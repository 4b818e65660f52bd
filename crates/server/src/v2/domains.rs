//! Domains (DNS-1).

use axum::extract::State;
use dewpoint_api::{DomainCreateRequest, DomainResponse, DomainsResponse, Scope, Single};
use http::StatusCode;

use crate::{Again, ApiError, App, Caller, Done, Json, Operation, Paging, Path, view};

pub(crate) fn operations() -> Vec<Operation> {
    let one = "/v2/domains/{domain_name}";
    vec![
        Operation::get("/v2/domains", list)
            .id("domains_list")
            .says("The account's domains.")
            .needs(&[Scope::DomainRead])
            .paged()
            .answers::<DomainsResponse>(200),
        Operation::post("/v2/domains", create, Again::One("domain"))
            .id("domains_create")
            .says("Makes a domain, with the records every domain has.")
            .needs(&[Scope::DomainCreate])
            .body::<DomainCreateRequest>()
            .answers::<DomainResponse>(201),
        Operation::get(one, get)
            .id("domains_get")
            .says("One domain, with its zone file.")
            .needs(&[Scope::DomainRead])
            .answers::<DomainResponse>(200),
        Operation::delete(one, delete)
            .id("domains_delete")
            .says("Removes a domain and all its records.")
            .needs(&[Scope::DomainDelete]),
    ]
}

/// `GET /v2/domains`
async fn list(State(app): State<App>, caller: Caller, paging: Paging) -> Result<Json<DomainsResponse>, ApiError> {
    let page = app.control.domain_list(caller.account, paging.asked).await?;
    Ok(Json(paging.collection(page.rows.into_iter().map(view::domain).collect(), page.total)))
}

/// `POST /v2/domains`: 201; 422 for a name that is no domain's, or somebody's already.
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<DomainCreateRequest>,
) -> Result<(StatusCode, Json<DomainResponse>), ApiError> {
    let domain = app.control.domain_create(caller.account, request).await?;
    Ok((StatusCode::CREATED, Json(Single(view::domain(domain)))))
}

/// `GET /v2/domains/{name}`
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<DomainResponse>, ApiError> {
    let domain = app.control.domain_get(caller.account, name).await?;
    Ok(Json(Single(view::domain(domain))))
}

/// `DELETE /v2/domains/{name}`: 204.
async fn delete(State(app): State<App>, caller: Caller, Path(name): Path<String>) -> Result<Done, ApiError> {
    app.control.domain_delete(caller.account, name).await?;
    Ok(Done)
}
