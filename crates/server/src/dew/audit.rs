//! The audit log: who asked for which change. An account reads its own entries, the operator all.

use axum::extract::State;
use dewpoint_api::{AuditResponse, TokenId};
use dewpoint_clock::Timestamp;
use dewpoint_store::AuditFilter;
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

use crate::{ApiError, App, BaseUrl, Caller, Json, Operation, Query, view};

/// Entries of a page, unless the request says otherwise.
const LIMIT: u32 = 100;
/// Most entries of a page.
const LIMIT_MAX: u32 = 1000;
const PATH: &str = "/dew/v1/audit";

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get(PATH, list)
            .id("dew_audit_list")
            .says("Requests that changed something or were refused, newest first: the account's own, for the operator all.")
            .needs_full_token()
            .query::<Filter>()
            .answers::<AuditResponse>(200),
    ]
}

/// Which entries; what is absent does not matter.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Filter {
    /// The account's uuid. For the operator; another account has only its own.
    #[schemars(with = "Option<String>")]
    account: Option<Uuid>,
    /// The token's id.
    token: Option<TokenId>,
    /// The operation's name.
    operation: Option<String>,
    /// The path, whole.
    path: Option<String>,
    /// The request's id.
    request_id: Option<String>,
    /// The address it came from.
    address: Option<String>,
    /// The answer's status.
    status: Option<u16>,
    /// Not before this time.
    since: Option<Timestamp>,
    /// Before this time.
    until: Option<Timestamp>,
    /// Older than the entry of this number.
    before: Option<u64>,
    /// Most entries, 1 to 1000.
    limit: Option<u32>,
}

/// `GET /dew/v1/audit`: what this server has noted until now is in it.
async fn list(
    State(app): State<App>,
    caller: Caller,
    base: BaseUrl,
    uri: http::Uri,
    Query(asked): Query<Filter>,
) -> Result<Json<AuditResponse>, ApiError> {
    let limit = asked.limit.unwrap_or(LIMIT);
    if limit == 0 {
        return Err(ApiError::bad_request("The query cannot be read: limit must be at least 1."));
    }
    let mut account = asked.account;
    let mut filter = AuditFilter {
        account: None,
        token: asked.token,
        operation: asked.operation,
        path: asked.path,
        request_id: asked.request_id,
        address: asked.address,
        status: asked.status,
        since: asked.since,
        until: asked.until,
    };
    if !caller.is_operator {
        filter.account = Some(caller.account);
        let own = app.control.account_get(caller.account).await?.uuid;
        if account.take().is_some_and(|asked| asked.simple().to_string() != own) {
            return Err(ApiError::not_found());
        }
    }
    if let Some(uuid) = account {
        filter.account = Some(app.control.account_by_uuid(uuid).await?.id);
    }
    let (rows, next) = app.control.audit_list(filter, asked.before, limit.min(LIMIT_MAX)).await?;
    let next = next.map(|before| {
        let rest =
            uri.query().unwrap_or_default().split('&').filter(|part| !part.is_empty() && !part.starts_with("before="));
        let query: Vec<&str> = rest.collect();
        let sign = if query.is_empty() { "" } else { "&" };
        base.address(&format!("{PATH}?{}{sign}before={before}", query.join("&")))
    });
    Ok(Json(AuditResponse { entries: rows.into_iter().map(view::audit_entry).collect(), next }))
}
