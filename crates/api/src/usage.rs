//! Our own endpoints for what model access keys may have and what they used: `/dew/v1/model-keys/{uuid}/limits`, `/dew/v1/usage`.

use dewpoint_clock::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Resource, TokenId, page::Collection};

/// What a model access key may have. What is null is not limited, beyond what the server's configuration says of every key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct KeyLimits {
    /// Requests a minute.
    pub requests_per_minute: Option<u64>,
    /// Tokens a minute, of requests and answers.
    pub tokens_per_minute: Option<u64>,
    /// Tokens in 24 hours, of requests and answers.
    pub tokens_per_day: Option<u64>,
}

impl KeyLimits {
    /// These, and those of `usual` where these say nothing.
    pub fn or(self, usual: Self) -> Self {
        Self {
            requests_per_minute: self.requests_per_minute.or(usual.requests_per_minute),
            tokens_per_minute: self.tokens_per_minute.or(usual.tokens_per_minute),
            tokens_per_day: self.tokens_per_day.or(usual.tokens_per_day),
        }
    }
}

/// The limits of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyLimitsResponse {
    /// Its own.
    pub limits: KeyLimits,
    /// Those that hold: its own, and the configuration's where it has none.
    pub in_force: KeyLimits,
}

/// What a key used of a model in one minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelUsage {
    /// When the minute began.
    pub minute: Timestamp,
    /// Which model access key, or token, asked.
    pub key_id: TokenId,
    /// The model that was asked for, whichever answered.
    pub model: String,
    /// Requests that ended in this minute.
    pub requests: u64,
    /// Those of them that ended in an error of the server or its upstreams, also in mid-stream.
    pub errors: u64,
    /// Tokens of the requests.
    pub tokens_in: u64,
    /// Tokens of the answers.
    pub tokens_out: u64,
    /// Requests whose tokens are an estimate, since the answer did not tell them.
    pub estimated: u64,
}

/// Sums of what was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageTotal {
    /// Requests.
    pub requests: u64,
    /// Those that ended in an error.
    pub errors: u64,
    /// Tokens of the requests.
    pub tokens_in: u64,
    /// Tokens of the answers.
    pub tokens_out: u64,
    /// Requests whose tokens are an estimate.
    pub estimated: u64,
}

impl Resource for ModelUsage {
    const ONE: &'static str = "usage";
    const MANY: &'static str = "usage";
}

/// The answer of `GET /dew/v1/usage`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UsageResponse {
    /// A page of minutes, the newest first.
    #[serde(flatten)]
    pub usage: Collection<ModelUsage>,
    /// The sum of all pages.
    pub total: UsageTotal,
}
