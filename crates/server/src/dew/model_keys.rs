//! What model access keys may have. The public API knows no limits of keys, so theirs are here.

use axum::extract::State;
use dewpoint_api::{KeyLimits, KeyLimitsResponse, TokenId};
use dewpoint_store::ModelKeyRecord;

use crate::{ApiError, App, Caller, Json, Operation, Path};

const PATH: &str = "/dew/v1/model-keys/{api_key_uuid}/limits";

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get(PATH, get)
            .id("dew_model_keys_limits")
            .says("What a model access key may have.")
            .needs_full_token()
            .answers::<KeyLimitsResponse>(200),
        Operation::put(PATH, put)
            .id("dew_model_keys_limit")
            .says("Sets what a model access key may have, all of it; null and what is left out: as the configuration says of every key.")
            .needs_full_token()
            .body::<KeyLimits>()
            .answers::<KeyLimitsResponse>(200),
    ]
}

fn shown(app: &App, record: &ModelKeyRecord) -> Json<KeyLimitsResponse> {
    let limits = record.limits;
    Json(KeyLimitsResponse { limits, in_force: limits.or(app.config.inference.limits) })
}

/// `GET /dew/v1/model-keys/{uuid}/limits`: 404 for another account's too.
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TokenId>,
) -> Result<Json<KeyLimitsResponse>, ApiError> {
    Ok(shown(&app, &app.control.model_key_get(caller.account, id).await?))
}

/// `PUT /dew/v1/model-keys/{uuid}/limits`: they hold from the answer on.
async fn put(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TokenId>,
    Json(limits): Json<KeyLimits>,
) -> Result<Json<KeyLimitsResponse>, ApiError> {
    Ok(shown(&app, &app.control.model_key_limit(caller.account, id, limits).await?))
}
