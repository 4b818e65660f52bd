//! How long the simulator's actions take (docs/simulator.md).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ApiError, Json, Operation,
    simulator::{
        Steered,
        delays::{DELAYS_MAX, Delay},
    },
};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/dew/v1/delays", get)
            .id("dew_delays_get")
            .says("How long the simulator's actions take.")
            .steers()
            .answers::<AllDelays>(200),
        Operation::put("/dew/v1/delays", set)
            .id("dew_delays_set")
            .says("Sets how long actions take, by kind and resource: not at all, a time, or until they were read so often.")
            .steers()
            .body::<AllDelays>()
            .answers::<AllDelays>(200),
    ]
}

/// Every delay there is. Actions that none fits take no longer than their work.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AllDelays {
    /// Of several that fit an action, the first counts.
    delays: Vec<Delay>,
}

/// `GET /dew/v1/delays`
async fn get(Steered(simulator): Steered) -> Result<Json<AllDelays>, ApiError> {
    Ok(Json(AllDelays { delays: simulator.delays().list() }))
}

/// `PUT /dew/v1/delays`: these and no others. 422 for one that makes no sense.
async fn set(
    Steered(simulator): Steered,
    Json(AllDelays { delays }): Json<AllDelays>,
) -> Result<Json<AllDelays>, ApiError> {
    if let Some(problem) = delays.iter().find_map(Delay::problem) {
        return Err(ApiError::unprocessable(problem));
    }
    if delays.len() > DELAYS_MAX {
        return Err(ApiError::unprocessable(format!("At most {DELAYS_MAX} delays can be set.")));
    }
    simulator.delays().set(delays);
    Ok(Json(AllDelays { delays: simulator.delays().list() }))
}
