//! How answers are written: the chunks of a stream, and the one answer (behaviour rules INF-1 to INF-5).

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::token::Token;

/// What stands for a token that was not among the likeliest twenty (INF-5).
const NOT_LIKELY: f64 = -9999.0;

/// What was used, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of the messages.
    pub prompt: u64,
    /// Of all choices.
    pub completion: u64,
    /// How many of the messages' tokens were known from an earlier request; `None` where a model remembers none.
    pub cached: Option<u64>,
}

impl Serialize for Usage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = serde_json::json!({
            "prompt_tokens": self.prompt, "completion_tokens": self.completion, "total_tokens": self.prompt + self.completion,
            "cache_created_input_tokens": 0, "cache_read_input_tokens": self.cached.unwrap_or(0),
            "cache_creation": { "ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 0 },
        });
        if let Some(cached) = self.cached {
            text["prompt_tokens_details"] = serde_json::json!({ "cached_tokens": cached });
        }
        text.serialize(serializer)
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Chunk<'a> {
    pub(crate) id: &'a str,
    pub(crate) object: &'static str,
    pub(crate) created: i64,
    pub(crate) model: &'a str,
    pub(crate) choices: Vec<ChunkChoice>,
    /// Absent unless asked for; then null but in the last chunk (INF-4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) usage: Option<Option<Usage>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ChunkChoice {
    pub(crate) index: u32,
    pub(crate) delta: Delta,
    pub(crate) finish_reason: Option<&'static str>,
    pub(crate) logprobs: Option<Logprobs>,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Delta {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool_calls: Option<Value>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Answer<'a> {
    pub(crate) id: &'a str,
    pub(crate) object: &'static str,
    pub(crate) created: i64,
    pub(crate) model: &'a str,
    pub(crate) choices: Vec<Choice>,
    pub(crate) usage: Usage,
}

#[derive(Debug, Serialize)]
pub(crate) struct Choice {
    pub(crate) index: u32,
    pub(crate) message: Message,
    pub(crate) finish_reason: Option<&'static str>,
    pub(crate) logprobs: Option<Logprobs>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Message {
    pub(crate) role: &'static str,
    pub(crate) content: Option<String>,
    pub(crate) refusal: Option<String>,
    /// Always null: what a model thinks is part of what it says here. The description wants the member there.
    pub(crate) reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tool_calls: Option<Value>,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct Logprobs {
    pub(crate) content: Vec<Logprob>,
    pub(crate) refusal: Option<Vec<Logprob>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Logprob {
    #[serde(flatten)]
    token: Candidate,
    top_logprobs: Vec<Candidate>,
}

#[derive(Debug, Serialize)]
struct Candidate {
    token: String,
    bytes: Vec<u8>,
    logprob: f64,
}

impl Candidate {
    /// A part of a character is shown by its bytes, since it is no text.
    fn new(bytes: Vec<u8>, logprob: f64) -> Self {
        let token = match std::str::from_utf8(&bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect(),
        };
        Self { token, bytes, logprob }
    }
}

impl Logprob {
    /// How likely a token was, with the `top` likeliest at its place.
    pub(crate) fn new(token: Token, top: usize) -> Self {
        let candidates = token.top.into_iter().take(top);
        Self {
            token: Candidate::new(token.bytes, token.logprob.unwrap_or(NOT_LIKELY)),
            top_logprobs: candidates.map(|(bytes, logprob)| Candidate::new(bytes, logprob)).collect(),
        }
    }
}
