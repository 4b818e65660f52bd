//! Putting an answer together from its bits.

use std::collections::BTreeMap;

use dewpoint_api::{
    Word,
    chat::{
        ChatChoice, ChatCompletion, ChatCompletionChunk, ChatMessage, ChatRole, ChoiceLogprobs, ChunkChoice,
        CompletionUsage, Delta, FinishReason, TokenLogprob, ToolCall, ToolCallChunk,
    },
};
use serde_json::Value;

/// Puts an answer together from its chunks, of one choice or of several that come by turns.
#[derive(Clone, Debug, Default)]
pub struct Accumulator {
    id: String,
    created: i64,
    model: String,
    choices: BTreeMap<u32, Choice>,
    usage: Option<CompletionUsage>,
}

#[derive(Clone, Debug, Default)]
struct Choice {
    role: Option<Word<ChatRole>>,
    content: Option<String>,
    refusal: Option<String>,
    reasoning: Option<String>,
    calls: BTreeMap<u32, ToolCall>,
    logprobs: Option<ChoiceLogprobs>,
    finish_reason: Option<Word<FinishReason>>,
}

impl Accumulator {
    /// Adds what is new.
    pub fn add(&mut self, chunk: &ChatCompletionChunk) {
        if self.id.is_empty() {
            (self.id, self.model) = (chunk.id.clone(), chunk.model.clone());
            self.created = chunk.created;
        }
        if let Some(usage) = &chunk.usage {
            self.usage = Some(usage.clone());
        }
        for choice in &chunk.choices {
            self.choices.entry(choice.index).or_default().add(choice);
        }
    }

    /// The text of an answer so far.
    pub fn text(&self, index: u32) -> &str {
        self.choices.get(&index).and_then(|choice| choice.content.as_deref()).unwrap_or_default()
    }

    /// Whether every answer that began has ended.
    pub fn is_complete(&self) -> bool {
        !self.choices.is_empty() && self.choices.values().all(|choice| choice.finish_reason.is_some())
    }

    /// The answer as it would have come at once. Of a stream that broke off: as far as it came.
    pub fn into_completion(self) -> ChatCompletion {
        ChatCompletion {
            id: self.id,
            object: "chat.completion".to_owned(),
            created: self.created,
            model: self.model,
            choices: self.choices.into_iter().map(|(index, choice)| choice.whole(index)).collect(),
            usage: self.usage,
        }
    }
}

impl Choice {
    fn add(&mut self, new: &ChunkChoice) {
        let Delta { role, content, refusal, reasoning_content, tool_calls } = &new.delta;
        if let Some(role) = role {
            self.role = Some(role.clone());
        }
        append(&mut self.content, content.as_ref());
        append(&mut self.refusal, refusal.as_ref());
        append(&mut self.reasoning, reasoning_content.as_ref());
        for call in tool_calls.iter().flatten() {
            add_call(self.calls.entry(call.index).or_default(), call);
        }
        if let Some(more) = &new.logprobs {
            let logprobs = self.logprobs.get_or_insert_default();
            extend(&mut logprobs.content, more.content.as_ref());
            extend(&mut logprobs.refusal, more.refusal.as_ref());
        }
        if let Some(reason) = &new.finish_reason {
            self.finish_reason = Some(reason.clone());
        }
    }

    fn whole(self, index: u32) -> ChatChoice {
        let calls: Vec<ToolCall> = self.calls.into_values().collect();
        ChatChoice {
            index,
            message: ChatMessage {
                role: self.role.unwrap_or(Word::Known(ChatRole::Assistant)),
                content: self.content.map(Value::String),
                refusal: self.refusal,
                tool_calls: (!calls.is_empty()).then_some(calls),
                tool_call_id: None,
                reasoning_content: self.reasoning,
            },
            finish_reason: self.finish_reason,
            logprobs: self.logprobs,
        }
    }
}

fn append(to: &mut Option<String>, more: Option<&String>) {
    if let Some(more) = more {
        to.get_or_insert_default().push_str(more);
    }
}

fn extend(to: &mut Option<Vec<TokenLogprob>>, more: Option<&Vec<TokenLogprob>>) {
    if let Some(more) = more {
        to.get_or_insert_default().extend_from_slice(more);
    }
}

/// Id, type and name come whole, in the first chunk of a call; arguments come in pieces.
fn add_call(call: &mut ToolCall, new: &ToolCallChunk) {
    if call.kind.is_empty() {
        "function".clone_into(&mut call.kind);
    }
    if let Some(id) = new.id.as_ref().filter(|id| !id.is_empty()) {
        call.id.clone_from(id);
    }
    if let Some(kind) = &new.kind {
        call.kind.clone_from(kind);
    }
    if let Some(function) = &new.function {
        if let Some(name) = function.name.as_ref().filter(|name| !name.is_empty()) {
            call.function.name.clone_from(name);
        }
        call.function.arguments.push_str(function.arguments.as_deref().unwrap_or_default());
    }
}
