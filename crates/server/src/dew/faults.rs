//! Bad days to order from the simulator (docs/simulator.md).

use dewpoint_clock::Clock as _;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    Again, ApiError, Done, Json, Operation, Path,
    simulator::{Steered, faults::Fault, order::FaultOrder},
};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::post(
            "/dew/v1/faults",
            order,
            Again::Never("it steers the simulator and is no part of what that simulates"),
        )
        .id("dew_faults_order")
        .says("Orders a fault: which requests or steps it strikes, how often, and what it does to them.")
        .steers()
        .body::<FaultOrder>()
        .answers::<OneFault>(201),
        Operation::get("/dew/v1/faults", list)
            .id("dew_faults_list")
            .says("The faults that are not over, and how often each has struck.")
            .steers()
            .answers::<AllFaults>(200),
        Operation::delete("/dew/v1/faults", clear).id("dew_faults_clear").says("Takes every fault back.").steers(),
        Operation::delete("/dew/v1/faults/{fault_id}", delete)
            .id("dew_faults_delete")
            .says("Takes a fault back.")
            .steers(),
    ]
}

/// A fault.
#[derive(Debug, Serialize, JsonSchema)]
struct OneFault {
    fault: Fault,
}

/// Faults.
#[derive(Debug, Serialize, JsonSchema)]
struct AllFaults {
    /// Oldest first; of several that strike a request the oldest does so first.
    faults: Vec<Fault>,
}

/// `POST /dew/v1/faults`: 201. 422 for an order that makes no sense.
async fn order(
    Steered(simulator): Steered,
    Json(order): Json<FaultOrder>,
) -> Result<(StatusCode, Json<OneFault>), ApiError> {
    let fault = simulator.faults().order(order, simulator.clock().now()).map_err(ApiError::unprocessable)?;
    Ok((StatusCode::CREATED, Json(OneFault { fault })))
}

/// `GET /dew/v1/faults`
async fn list(Steered(simulator): Steered) -> Result<Json<AllFaults>, ApiError> {
    Ok(Json(AllFaults { faults: simulator.faults().list(simulator.clock().now()) }))
}

/// `DELETE /dew/v1/faults`: 204.
async fn clear(Steered(simulator): Steered) -> Result<Done, ApiError> {
    simulator.faults().clear();
    Ok(Done)
}

/// `DELETE /dew/v1/faults/{id}`: 204; 404 for one that is not there, or is over.
async fn delete(Steered(simulator): Steered, Path(id): Path<u64>) -> Result<Done, ApiError> {
    match simulator.faults().delete(id, simulator.clock().now()) {
        true => Ok(Done),
        false => Err(ApiError::not_found()),
    }
}
