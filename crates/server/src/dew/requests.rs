//! The last requests that were asked, for assertions (docs/simulator.md).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ApiError, Done, Json, Operation, Query,
    simulator::{
        Steered,
        requests::{KEPT_MAX, Keeping, Logged, Wanted},
    },
};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/dew/v1/requests", list)
            .id("dew_requests_list")
            .says("The last requests, oldest first; those that steer the simulator are not among them.")
            .steers()
            .query::<RequestFilter>()
            .answers::<Requests>(200),
        Operation::put("/dew/v1/requests", keep)
            .id("dew_requests_keep")
            .says("Sets how many requests are kept, and whether with their JSON bodies.")
            .steers()
            .body::<KeepRequest>()
            .answers::<Keeping>(200),
        Operation::delete("/dew/v1/requests", clear)
            .id("dew_requests_clear")
            .says("Empties the log of requests.")
            .steers(),
    ]
}

/// Which requests to show.
#[derive(Debug, Deserialize, JsonSchema)]
struct RequestFilter {
    /// Of this method.
    method: Option<String>,
    /// Of a path that begins so.
    path: Option<String>,
    /// Answered with this status.
    status: Option<u16>,
    /// Later than the one of this number.
    since: Option<u64>,
    /// At most so many, the newest. 100 unless said.
    limit: Option<usize>,
}

/// Requests.
#[derive(Debug, Serialize, JsonSchema)]
struct Requests {
    /// The newest that were asked for, oldest first.
    requests: Vec<Logged>,
    /// How many there are of that kind in the log.
    total: usize,
}

/// `GET /dew/v1/requests`
async fn list(Steered(simulator): Steered, Query(filter): Query<RequestFilter>) -> Result<Json<Requests>, ApiError> {
    let RequestFilter { method, path, status, since, limit } = filter;
    let wanted = Wanted { method: method.as_deref(), path: path.as_deref(), status, since: since.unwrap_or(0) };
    let (requests, total) = simulator.requests().find(&wanted, limit.unwrap_or(100));
    Ok(Json(Requests { requests, total }))
}

/// How the log is to be kept; what is left out stays.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct KeepRequest {
    /// How many requests, at most 100,000.
    capacity: Option<usize>,
    /// Whether with their JSON bodies. Members that hold secrets, such as `user_data`, are taken out.
    bodies: Option<bool>,
}

/// `PUT /dew/v1/requests`. 422 for a capacity past what is allowed.
async fn keep(Steered(simulator): Steered, Json(request): Json<KeepRequest>) -> Result<Json<Keeping>, ApiError> {
    let now = simulator.requests().keeping();
    let capacity = request.capacity.unwrap_or(now.capacity);
    if capacity > KEPT_MAX {
        return Err(ApiError::unprocessable(format!("capacity must be at most {KEPT_MAX}.")));
    }
    simulator.requests().keep(Keeping { capacity, bodies: request.bodies.unwrap_or(now.bodies) });
    Ok(Json(simulator.requests().keeping()))
}

/// `DELETE /dew/v1/requests`: 204.
async fn clear(Steered(simulator): Steered) -> Result<Done, ApiError> {
    simulator.requests().clear();
    Ok(Done)
}
