//! VPC peerings, by themselves and below one of their VPCs, where the keys differ (PEE-1 to PEE-3).

use axum::extract::State;
use dewpoint_api::{
    PeeringOfVpc, PeeringOfVpcCreateRequest, PeeringOfVpcResponse, PeeringsOfVpcResponse, RegionSlug, Scope, Single,
    VpcId, VpcPeeringCreateRequest, VpcPeeringId, VpcPeeringResponse, VpcPeeringUpdateRequest, VpcPeeringsResponse,
};
use dewpoint_control::vpc_peerings::PeeringFilter;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{Again, ApiError, App, Caller, Json, Operation, Paging, Path, Query, view};

/// What `GET /v2/vpc_peerings` can be narrowed by.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct RegionQuery {
    /// Only peerings that have a VPC in this region.
    region: Option<String>,
}

pub(crate) fn operations() -> Vec<Operation> {
    let (one, of_vpc) = ("/v2/vpc_peerings/{vpc_peering_id}", "/v2/vpcs/{vpc_id}/peerings");
    vec![
        Operation::get("/v2/vpc_peerings", list)
            .id("vpcPeerings_list")
            .says("The account's VPC peerings.")
            .needs(&[Scope::VpcPeeringRead])
            .query::<RegionQuery>()
            .paged()
            .answers::<VpcPeeringsResponse>(200),
        Operation::post("/v2/vpc_peerings", create, Again::One("vpc_peering"))
            .id("vpcPeerings_create")
            .says("Peers two VPCs: their Droplets reach each other.")
            .needs(&[Scope::VpcPeeringCreate])
            .body::<VpcPeeringCreateRequest>()
            .answers::<VpcPeeringResponse>(202),
        Operation::get(one, get)
            .id("vpcPeerings_get")
            .says("One VPC peering.")
            .needs(&[Scope::VpcPeeringRead])
            .answers::<VpcPeeringResponse>(200),
        Operation::patch(one, change)
            .id("vpcPeerings_patch")
            .says("Gives a VPC peering another name.")
            .needs(&[Scope::VpcPeeringUpdate])
            .body::<VpcPeeringUpdateRequest>()
            .answers::<VpcPeeringResponse>(200),
        Operation::delete(one, delete)
            .id("vpcPeerings_delete")
            .says("Ends a VPC peering.")
            .needs(&[Scope::VpcPeeringDelete])
            .answers::<VpcPeeringResponse>(202),
        Operation::get(of_vpc, list_of_vpc)
            .id("vpcs_list_peerings")
            .says("The peerings of one VPC.")
            .needs(&[Scope::VpcPeeringRead])
            .paged()
            .answers::<PeeringsOfVpcResponse>(200),
        Operation::post(of_vpc, create_of_vpc, Again::Known { shown: "peering", known: "vpc_peering" })
            .id("vpcs_create_peerings")
            .says("Peers one VPC with another.")
            .needs(&[Scope::VpcPeeringCreate])
            .body::<PeeringOfVpcCreateRequest>()
            .answers::<PeeringOfVpcResponse>(202),
        Operation::patch("/v2/vpcs/{vpc_id}/peerings/{vpc_peering_id}", change_of_vpc)
            .id("vpcs_patch_peerings")
            .says("Gives a peering of one VPC another name.")
            .needs(&[Scope::VpcPeeringUpdate])
            .body::<VpcPeeringUpdateRequest>()
            .answers::<PeeringOfVpcResponse>(200),
    ]
}

/// `GET /v2/vpc_peerings`
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<RegionQuery>,
    paging: Paging,
) -> Result<Json<VpcPeeringsResponse>, ApiError> {
    let region = query.region.filter(|region| !region.is_empty());
    let filter = region.map_or(PeeringFilter::All, |region| PeeringFilter::In(RegionSlug::from(region)));
    let page = app.control.vpc_peering_list(caller.account, filter, paging.asked).await?;
    Ok(Json(paging.collection(page.rows.into_iter().map(view::vpc_peering).collect(), page.total)))
}

/// `POST /v2/vpc_peerings`: 202 with the peering `PROVISIONING`; 422 for a pair that cannot be peered (PEE-1).
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<VpcPeeringCreateRequest>,
) -> Result<(StatusCode, Json<VpcPeeringResponse>), ApiError> {
    let made = app.control.vpc_peering_create(caller.account, None, request).await?;
    Ok((StatusCode::ACCEPTED, Json(Single(view::vpc_peering(made)))))
}

/// `GET /v2/vpc_peerings/{id}`
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<VpcPeeringId>,
) -> Result<Json<VpcPeeringResponse>, ApiError> {
    let found = app.control.vpc_peering_get(caller.account, id).await?;
    Ok(Json(Single(view::vpc_peering(found))))
}

/// `PATCH /v2/vpc_peerings/{id}`
async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<VpcPeeringId>,
    Json(request): Json<VpcPeeringUpdateRequest>,
) -> Result<Json<VpcPeeringResponse>, ApiError> {
    let changed = app.control.vpc_peering_update(caller.account, None, id, request).await?;
    Ok(Json(Single(view::vpc_peering(changed))))
}

/// `DELETE /v2/vpc_peerings/{id}`: 202 with the peering `DELETING`, then 404 (PEE-2).
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<VpcPeeringId>,
) -> Result<(StatusCode, Json<VpcPeeringResponse>), ApiError> {
    let deleting = app.control.vpc_peering_delete(caller.account, id).await?;
    Ok((StatusCode::ACCEPTED, Json(Single(view::vpc_peering(deleting)))))
}

/// `GET /v2/vpcs/{id}/peerings`
async fn list_of_vpc(
    State(app): State<App>,
    caller: Caller,
    Path(vpc): Path<VpcId>,
    paging: Paging,
) -> Result<Json<PeeringsOfVpcResponse>, ApiError> {
    let page = app.control.vpc_peering_list(caller.account, PeeringFilter::Of(vpc), paging.asked).await?;
    let shown = page.rows.into_iter().map(|one| PeeringOfVpc(view::vpc_peering(one))).collect();
    Ok(Json(paging.collection(shown, page.total)))
}

/// `POST /v2/vpcs/{id}/peerings`: as `POST /v2/vpc_peerings` with this VPC and the one that is named (PEE-3).
async fn create_of_vpc(
    State(app): State<App>,
    caller: Caller,
    Path(vpc): Path<VpcId>,
    Json(request): Json<PeeringOfVpcCreateRequest>,
) -> Result<(StatusCode, Json<PeeringOfVpcResponse>), ApiError> {
    let vpc_ids = [vpc].into_iter().chain(request.vpc_id).collect();
    let request = VpcPeeringCreateRequest { name: request.name, vpc_ids };
    let made = app.control.vpc_peering_create(caller.account, Some(vpc), request).await?;
    Ok((StatusCode::ACCEPTED, Json(Single(PeeringOfVpc(view::vpc_peering(made))))))
}

/// `PATCH /v2/vpcs/{id}/peerings/{peering}`: 404 for one of other VPCs.
async fn change_of_vpc(
    State(app): State<App>,
    caller: Caller,
    Path((vpc, id)): Path<(VpcId, VpcPeeringId)>,
    Json(request): Json<VpcPeeringUpdateRequest>,
) -> Result<Json<PeeringOfVpcResponse>, ApiError> {
    let changed = app.control.vpc_peering_update(caller.account, Some(vpc), id, request).await?;
    Ok(Json(Single(PeeringOfVpc(view::vpc_peering(changed)))))
}
