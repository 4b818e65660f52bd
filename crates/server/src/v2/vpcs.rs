//! VPCs. For now they are read: a region's default one appears with its first Droplet (VPC-2).

use axum::extract::State;
use dewpoint_api::{Scope, Single, VpcId, VpcResponse, VpcsResponse};

use crate::{ApiError, App, Caller, Json, Operation, Paging, Path, view};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v2/vpcs", list)
            .id("vpcs_list")
            .says("The account's VPCs.")
            .needs(&[Scope::VpcRead])
            .paged()
            .answers::<VpcsResponse>(200),
        Operation::get("/v2/vpcs/{vpc_id}", get)
            .id("vpcs_get")
            .says("One VPC.")
            .needs(&[Scope::VpcRead])
            .answers::<VpcResponse>(200),
    ]
}

/// `GET /v2/vpcs`
async fn list(State(app): State<App>, caller: Caller, paging: Paging) -> Result<Json<VpcsResponse>, ApiError> {
    let page = app.control.vpc_list(caller.account, paging.asked).await?;
    Ok(Json(paging.collection(page.rows.into_iter().map(view::vpc).collect(), page.total)))
}

/// `GET /v2/vpcs/{id}`
async fn get(State(app): State<App>, caller: Caller, Path(id): Path<VpcId>) -> Result<Json<VpcResponse>, ApiError> {
    let vpc = app.control.vpc_get(caller.account, id).await?;
    Ok(Json(Single(view::vpc(vpc))))
}
