//! Our own endpoint for the audit log, `/dew/v1/audit`.

use dewpoint_clock::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::TokenId;

/// A request that changed something, or was not allowed to. Never a body, a token or a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    /// Its number; later ones are higher.
    pub id: u64,
    /// When it was answered.
    pub at: Timestamp,
    /// The uuid of the account whose token asked; null without a good one.
    pub account_uuid: Option<String>,
    /// Which token asked.
    pub token_id: Option<TokenId>,
    /// What that token is called.
    pub token_name: Option<String>,
    /// The operation, as the OpenAPI document names it.
    pub operation: String,
    /// The request's method.
    pub method: String,
    /// The resource: the request's path, and what of its query chooses resources.
    pub path: String,
    /// The answer's status.
    pub status: u16,
    /// The address the request came from.
    pub address: Option<String>,
    /// The request's id, as in `x-request-id` and the log.
    pub request_id: String,
    /// How many refusals before this one were not written down, because there were too many in a minute.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The answer of `GET /dew/v1/audit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditResponse {
    /// Entries, newest first.
    pub entries: Vec<AuditEntry>,
    /// Where older ones are, if there may be any. It can be there although `entries` is short, or empty: go on.
    pub next: Option<String>,
}
