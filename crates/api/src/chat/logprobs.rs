//! How likely each token of an answer was.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How likely the tokens of an answer were.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChoiceLogprobs {
    /// Of what is said.
    #[serde(default)]
    pub content: Option<Vec<TokenLogprob>>,
    /// Of the refusal.
    #[serde(default)]
    pub refusal: Option<Vec<TokenLogprob>>,
}

/// One token. Source: public OpenAPI, model `chat_completion_token_logprob`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenLogprob {
    /// Its text.
    pub token: String,
    /// Its bytes in UTF-8, since one character may be several tokens.
    #[serde(default)]
    pub bytes: Option<Vec<u8>>,
    /// How likely it was.
    pub logprob: Logprob,
    /// The likeliest tokens at this place.
    #[serde(default)]
    pub top_logprobs: Vec<TopLogprob>,
}

/// A token that was likely at some place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TopLogprob {
    /// Its text.
    pub token: String,
    /// Its bytes in UTF-8.
    #[serde(default)]
    pub bytes: Option<Vec<u8>>,
    /// How likely it was.
    pub logprob: Logprob,
}

/// A natural logarithm of how likely a token was, or that it was not among the likeliest twenty (behaviour rule INF-5).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Logprob {
    /// The logarithm, at most 0.
    Of(f64),
    /// Not among the likeliest; on the wire -9999.0.
    NotInTop,
}

impl Logprob {
    /// What stands on the wire for a token that was not among the likeliest.
    pub const NOT_IN_TOP: f64 = -9999.0;

    /// The logarithm; `None` when the token was not among the likeliest.
    pub const fn value(self) -> Option<f64> {
        match self {
            Self::Of(value) => Some(value),
            Self::NotInTop => None,
        }
    }
}

impl Serialize for Logprob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.value().unwrap_or(Self::NOT_IN_TOP))
    }
}

impl<'de> Deserialize<'de> for Logprob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f64::deserialize(deserializer)?;
        Ok(if value <= Self::NOT_IN_TOP { Self::NotInTop } else { Self::Of(value) })
    }
}

impl JsonSchema for Logprob {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "logprob".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "format": "double" })
    }
}
