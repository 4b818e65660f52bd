//! What a model answers bit by bit.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ChatRole, ChoiceLogprobs, CompletionUsage, FinishReason};
use crate::word::Word;

/// A bit of an answer. Source: public OpenAPI, model `chat_completion_chunk`; behaviour rules INF-3, INF-4.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChatCompletionChunk {
    /// The answer's name, in all its chunks the same.
    pub id: String,
    /// `chat.completion.chunk`.
    #[serde(default)]
    pub object: String,
    /// When the answer was begun, in seconds since the Unix epoch.
    #[serde(default)]
    pub created: i64,
    /// The model that makes it.
    #[serde(default)]
    pub model: String,
    /// What is new of which answer; none in the chunk that tells what was used.
    #[serde(default)]
    pub choices: Vec<ChunkChoice>,
    /// What was used; only in the last chunk, and only when that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<CompletionUsage>,
}

/// What is new of one answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChunkChoice {
    /// Its place among the answers, from 0.
    pub index: u32,
    /// What is new.
    #[serde(default)]
    pub delta: Delta,
    /// Why it ended; null before.
    #[serde(default)]
    pub finish_reason: Option<Word<FinishReason>>,
    /// How likely the new tokens were, when that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<ChoiceLogprobs>,
}

/// What is new of a message: texts to add to what there is. Source: public OpenAPI, model
/// `chat_completion_stream_response_delta`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Delta {
    /// Who speaks; in the first chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Word<ChatRole>>,
    /// More of what is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// More of why the model would not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// More of what the model thinks before it speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// More of the tools to call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<Vec<ToolCallChunk>>,
}

/// More of a tool to call. Source: public OpenAPI, model `chat_completion_tool_call_chunk`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToolCallChunk {
    /// Which call of the message, from 0.
    #[serde(default)]
    pub index: u32,
    /// Its name; in its first chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `function`; in its first chunk.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// More of the function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<FunctionCallChunk>,
}

/// More of a function to call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FunctionCallChunk {
    /// Its name; in its first chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// More of its arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
}
