//! Records of domains (DNS-2).

use axum::extract::State;
use dewpoint_api::{
    DomainRecordId, DomainRecordRequest, DomainRecordResponse, DomainRecordType, DomainRecordsResponse, Scope, Single,
};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{Again, ApiError, App, Caller, Done, Json, Operation, Paging, Path, Query, view};

/// Which records are meant.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct RecordQuery {
    /// Those of this whole name, such as `sub.example.com`.
    name: Option<String>,
    /// Those of this type.
    #[serde(rename = "type")]
    kind: Option<String>,
}

pub(crate) fn operations() -> Vec<Operation> {
    let all = "/v2/domains/{domain_name}/records";
    let one = "/v2/domains/{domain_name}/records/{domain_record_id}";
    vec![
        Operation::get(all, list)
            .id("domains_list_records")
            .says("A domain's records.")
            .needs(&[Scope::DomainRead])
            .query::<RecordQuery>()
            .paged()
            .answers::<DomainRecordsResponse>(200),
        Operation::post(all, create, Again::One("domain_record"))
            .id("domains_create_record")
            .says("Adds a record to a domain.")
            .needs(&[Scope::DomainCreate])
            .needs(&[Scope::DomainUpdate])
            .body::<DomainRecordRequest>()
            .answers::<DomainRecordResponse>(201),
        Operation::get(one, get)
            .id("domains_get_record")
            .says("One record of a domain.")
            .needs(&[Scope::DomainRead])
            .answers::<DomainRecordResponse>(200),
        Operation::patch(one, change)
            .id("domains_patch_record")
            .says("Changes what the body names of a record.")
            .needs(&[Scope::DomainUpdate])
            .body::<DomainRecordRequest>()
            .answers::<DomainRecordResponse>(200),
        Operation::put(one, change)
            .id("domains_update_record")
            .says("Changes what the body names of a record.")
            .needs(&[Scope::DomainUpdate])
            .body::<DomainRecordRequest>()
            .answers::<DomainRecordResponse>(200),
        Operation::delete(one, delete)
            .id("domains_delete_record")
            .says("Removes a record from a domain.")
            .needs(&[Scope::DomainDelete])
            .needs(&[Scope::DomainUpdate]),
    ]
}

/// `GET /v2/domains/{name}/records`: 422 for a type there is not.
async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(domain): Path<String>,
    Query(query): Query<RecordQuery>,
    paging: Paging,
) -> Result<Json<DomainRecordsResponse>, ApiError> {
    let kind: Option<DomainRecordType> = match query.kind.filter(|text| !text.is_empty()) {
        Some(text) => Some(text.to_ascii_uppercase().parse().map_err(|error| unknown_type(&error))?),
        None => None,
    };
    let name = query.name.filter(|text| !text.is_empty());
    let page = app.control.domain_record_list(caller.account, domain, name, kind, paging.asked).await?;
    Ok(Json(paging.collection(page.rows.into_iter().map(view::domain_record).collect(), page.total)))
}

/// `POST /v2/domains/{name}/records`: 201.
async fn create(
    State(app): State<App>,
    caller: Caller,
    Path(domain): Path<String>,
    Json(request): Json<DomainRecordRequest>,
) -> Result<(StatusCode, Json<DomainRecordResponse>), ApiError> {
    let record = app.control.domain_record_create(caller.account, domain, request).await?;
    Ok((StatusCode::CREATED, Json(Single(view::domain_record(record)))))
}

/// `GET /v2/domains/{name}/records/{id}`
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path((domain, id)): Path<(String, DomainRecordId)>,
) -> Result<Json<DomainRecordResponse>, ApiError> {
    let record = app.control.domain_record_get(caller.account, domain, id).await?;
    Ok(Json(Single(view::domain_record(record))))
}

/// `PUT` and `PATCH /v2/domains/{name}/records/{id}`: both change what the body names.
async fn change(
    State(app): State<App>,
    caller: Caller,
    Path((domain, id)): Path<(String, DomainRecordId)>,
    Json(request): Json<DomainRecordRequest>,
) -> Result<Json<DomainRecordResponse>, ApiError> {
    let record = app.control.domain_record_update(caller.account, domain, id, request).await?;
    Ok(Json(Single(view::domain_record(record))))
}

/// `DELETE /v2/domains/{name}/records/{id}`: 204.
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path((domain, id)): Path<(String, DomainRecordId)>,
) -> Result<Done, ApiError> {
    app.control.domain_record_delete(caller.account, domain, id).await?;
    Ok(Done)
}

fn unknown_type(error: &dewpoint_api::UnknownWord) -> ApiError {
    ApiError::unprocessable(format!("type: {error}."))
}
