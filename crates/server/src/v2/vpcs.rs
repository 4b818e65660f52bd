//! VPCs, and what is in them (VPC-1 to VPC-5).

use axum::extract::State;
use dewpoint_api::{
    Collection, Scope, Single, VpcCreateRequest, VpcId, VpcMembersResponse, VpcResponse, VpcUpdateRequest, VpcsResponse,
};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{Again, ApiError, App, Caller, Done, Json, Operation, Paging, Path, Query, view};

/// What `GET /v2/vpcs/{id}/members` can be narrowed by.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct MemberQuery {
    /// Only members of this kind: `droplet`. Of other kinds there are none.
    resource_type: Option<String>,
}

pub(crate) fn operations() -> Vec<Operation> {
    let one = "/v2/vpcs/{vpc_id}";
    vec![
        Operation::get("/v2/vpcs", list)
            .id("vpcs_list")
            .says("The account's VPCs.")
            .needs(&[Scope::VpcRead])
            .paged()
            .answers::<VpcsResponse>(200),
        Operation::post("/v2/vpcs", create, Again::One("vpc"))
            .id("vpcs_create")
            .says("Makes a VPC: a private network for Droplets of one region.")
            .needs(&[Scope::VpcCreate])
            .body::<VpcCreateRequest>()
            .answers::<VpcResponse>(201),
        Operation::get(one, get).id("vpcs_get").says("One VPC.").needs(&[Scope::VpcRead]).answers::<VpcResponse>(200),
        Operation::put(one, replace)
            .id("vpcs_update")
            .says("Replaces a VPC's name and description, and can make it its region's default.")
            .needs(&[Scope::VpcUpdate])
            .body::<VpcUpdateRequest>()
            .answers::<VpcResponse>(200),
        Operation::patch(one, change)
            .id("vpcs_patch")
            .says("Changes what the body names of a VPC.")
            .needs(&[Scope::VpcUpdate])
            .body::<VpcUpdateRequest>()
            .answers::<VpcResponse>(200),
        Operation::delete(one, delete)
            .id("vpcs_delete")
            .says("Removes a VPC that nothing is in and that is not its region's default.")
            .needs(&[Scope::VpcDelete]),
        Operation::get("/v2/vpcs/{vpc_id}/members", members)
            .id("vpcs_list_members")
            .says("What is in a VPC, as far as the token may see it.")
            .needs(&[Scope::VpcRead])
            .query::<MemberQuery>()
            .paged()
            .answers::<VpcMembersResponse>(200),
    ]
}

/// `GET /v2/vpcs`
async fn list(State(app): State<App>, caller: Caller, paging: Paging) -> Result<Json<VpcsResponse>, ApiError> {
    let page = app.control.vpc_list(caller.account, paging.asked).await?;
    Ok(Json(paging.collection(page.rows.into_iter().map(view::vpc).collect(), page.total)))
}

/// `POST /v2/vpcs`: 201; 422 for a range that is not free and a name that is taken.
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<VpcCreateRequest>,
) -> Result<(StatusCode, Json<VpcResponse>), ApiError> {
    let vpc = app.control.vpc_create(caller.account, request).await?;
    Ok((StatusCode::CREATED, Json(Single(view::vpc(vpc)))))
}

/// `GET /v2/vpcs/{id}`
async fn get(State(app): State<App>, caller: Caller, Path(id): Path<VpcId>) -> Result<Json<VpcResponse>, ApiError> {
    let vpc = app.control.vpc_get(caller.account, id).await?;
    Ok(Json(Single(view::vpc(vpc))))
}

/// `PUT /v2/vpcs/{id}`: what is left out is reset, but for whether it is the default (VPC-5).
async fn replace(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<VpcId>,
    Json(request): Json<VpcUpdateRequest>,
) -> Result<Json<VpcResponse>, ApiError> {
    let whole = VpcUpdateRequest {
        name: Some(request.name.unwrap_or_default()),
        description: Some(request.description.unwrap_or_default()),
        default: request.default,
    };
    let vpc = app.control.vpc_update(caller.account, id, whole).await?;
    Ok(Json(Single(view::vpc(vpc))))
}

/// `PATCH /v2/vpcs/{id}`
async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<VpcId>,
    Json(request): Json<VpcUpdateRequest>,
) -> Result<Json<VpcResponse>, ApiError> {
    let vpc = app.control.vpc_update(caller.account, id, request).await?;
    Ok(Json(Single(view::vpc(vpc))))
}

/// `DELETE /v2/vpcs/{id}`: 204; 403 for a default one, 409 for one with members (VPC-3).
async fn delete(State(app): State<App>, caller: Caller, Path(id): Path<VpcId>) -> Result<Done, ApiError> {
    app.control.vpc_delete(caller.account, id).await?;
    Ok(Done)
}

/// `GET /v2/vpcs/{id}/members`: without `droplet:read`, none (VPC-4, AUTH-6).
async fn members(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<VpcId>,
    Query(query): Query<MemberQuery>,
    paging: Paging,
) -> Result<Json<VpcMembersResponse>, ApiError> {
    let page = app.control.vpc_members(caller.account, id, paging.asked).await?;
    let wanted = query.resource_type.is_none_or(|kind| kind == "droplet");
    if !wanted || !caller.has(Scope::DropletRead) {
        return Ok(Json(Collection::whole(Vec::new())));
    }
    Ok(Json(paging.collection(page.rows.into_iter().map(view::vpc_member).collect(), page.total)))
}
