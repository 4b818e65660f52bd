//! What a model answers at once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ChatMessage, ChoiceLogprobs};
use crate::word::{Word, words};

words! {
    /// Why an answer ended (behaviour rule INF-3).
    pub enum FinishReason {
        /// It was at its end, or at a text that was to end it.
        Stop = "stop",
        /// It was as long as it might become.
        Length = "length",
        /// Tools are to be called.
        ToolCalls = "tool_calls",
        /// Something of it was held back.
        ContentFilter = "content_filter",
    }
}

/// An answer. Source: public OpenAPI, model `chat_completion_response`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChatCompletion {
    /// Its name.
    pub id: String,
    /// `chat.completion`.
    pub object: String,
    /// When it was made, in seconds since the Unix epoch.
    pub created: i64,
    /// The model that made it.
    pub model: String,
    /// The answers; more than one if more were asked for.
    pub choices: Vec<ChatChoice>,
    /// What was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<CompletionUsage>,
}

impl ChatCompletion {
    /// The text of the first answer.
    pub fn text(&self) -> Option<&str> {
        self.choices.first()?.message.text()
    }
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChatChoice {
    /// Its place among the answers, from 0.
    pub index: u32,
    /// What the model says.
    pub message: ChatMessage,
    /// Why it ended; `None` only for one that was put together from a stream that broke off.
    pub finish_reason: Option<Word<FinishReason>>,
    /// How likely each token was, when that was asked.
    #[serde(default)]
    pub logprobs: Option<ChoiceLogprobs>,
}

/// A tool that the model wants called. Source: public OpenAPI, model `chat_completion_tool_call`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToolCall {
    /// Its name, which the tool's answer repeats.
    pub id: String,
    /// `function`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The function and what to call it with.
    pub function: FunctionCall,
}

/// A function and what to call it with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FunctionCall {
    /// The function.
    pub name: String,
    /// Its arguments: JSON, as the model wrote it, and so maybe none.
    pub arguments: String,
}

/// What was used, in tokens. Source: public OpenAPI, model `completion_usage`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CompletionUsage {
    /// Of the conversation so far.
    pub prompt_tokens: u64,
    /// Of the answers.
    pub completion_tokens: u64,
    /// Both.
    pub total_tokens: u64,
    /// Of the conversation, those that were put into a cache.
    #[serde(default)]
    pub cache_created_input_tokens: u64,
    /// Of the conversation, those that were in a cache.
    #[serde(default)]
    pub cache_read_input_tokens: u64,
}
