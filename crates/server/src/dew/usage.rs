//! What was used of models, by minute, key and model.

use axum::extract::State;
use dewpoint_api::{ModelUsage, TokenId, UsageResponse};
use dewpoint_clock::Timestamp;
use dewpoint_store::{UsageFilter, UsageRecord};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{ApiError, App, Caller, Json, Operation, Paging, Query};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/dew/v1/usage", list)
            .id("dew_usage_list")
            .says("What the account's keys used of models, by minute, the newest first, and the sum of it.")
            .needs_full_token()
            .query::<Filter>()
            .paged()
            .answers::<UsageResponse>(200),
    ]
}

/// Which use; what is absent does not matter.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Filter {
    /// Minutes that began then or later.
    from: Option<Timestamp>,
    /// Minutes that began before.
    to: Option<Timestamp>,
    /// The id of a model access key, or of a token.
    key: Option<TokenId>,
    /// A model's name.
    model: Option<String>,
}

/// `GET /dew/v1/usage`: what this server has counted until now is in it.
async fn list(
    State(app): State<App>,
    caller: Caller,
    paging: Paging,
    Query(Filter { from, to, key, model }): Query<Filter>,
) -> Result<Json<UsageResponse>, ApiError> {
    let filter = UsageFilter { from, to, key, model };
    let (page, total) = app.control.usage_list(caller.account, filter, paging.asked).await?;
    let usage = paging.collection(page.rows.into_iter().map(shown).collect(), page.total);
    Ok(Json(UsageResponse { usage, total }))
}

fn shown(record: UsageRecord) -> ModelUsage {
    let UsageRecord { of, used } = record;
    ModelUsage {
        minute: of.minute,
        key_id: of.key,
        model: of.model,
        requests: used.requests,
        errors: used.errors,
        tokens_in: used.tokens_in,
        tokens_out: used.tokens_out,
        estimated: used.estimated,
    }
}
