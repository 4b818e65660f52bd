//! Embeddings, as `/v1/embeddings` takes and gives them (behaviour rule INF-9).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is to be embedded: a text, texts, the numbers of a text's tokens, or lists of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum EmbeddingInput {
    /// A text.
    Text(String),
    /// Texts, at most 2048.
    Texts(Vec<String>),
    /// The numbers of a text's tokens.
    Tokens(Vec<u32>),
    /// Lists of numbers, at most 2048.
    TokenLists(Vec<Vec<u32>>),
}

impl From<&str> for EmbeddingInput {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Vec<String>> for EmbeddingInput {
    fn from(texts: Vec<String>) -> Self {
        Self::Texts(texts)
    }
}

/// The body of `POST /v1/embeddings`. Source: public OpenAPI, operation `inference_create_embedding`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EmbeddingRequest {
    /// Which model.
    pub model: String,
    /// What is to be embedded.
    pub input: EmbeddingInput,
    /// `float` (the default) or `base64`: single-precision numbers, little-endian.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding_format: Option<String>,
    /// How many numbers a vector has, with models that can give fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<u32>,
    /// Who asks, for the model's own records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

impl EmbeddingRequest {
    /// Asks this model where `input` lies.
    pub fn new(model: impl Into<String>, input: impl Into<EmbeddingInput>) -> Self {
        Self { model: model.into(), input: input.into(), encoding_format: None, dimensions: None, user: None }
    }
}

/// A vector: numbers, or these in base64, as was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Vector {
    /// The numbers.
    Numbers(Vec<f32>),
    /// Single-precision numbers, little-endian, in base64.
    Base64(String),
}

/// Where one text lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Embedding {
    /// `embedding`.
    pub object: String,
    /// Which of the inputs it is, from 0.
    pub index: u32,
    /// The vector.
    pub embedding: Vector,
}

/// What embedding cost, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EmbeddingUsage {
    /// Of the inputs.
    #[serde(default)]
    pub prompt_tokens: u64,
    /// The same.
    #[serde(default)]
    pub total_tokens: u64,
}

/// The answer of `POST /v1/embeddings`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EmbeddingResponse {
    /// `list`.
    pub object: String,
    /// A vector for each input, in their order.
    pub data: Vec<Embedding>,
    /// Which model.
    pub model: String,
    /// What it cost.
    #[serde(default)]
    pub usage: EmbeddingUsage,
}
