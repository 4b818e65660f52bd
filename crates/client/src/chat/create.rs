//! What to ask a model.

use dewpoint_api::chat::{ChatCompletionRequest, ChatMessage, ChatTool, Stop, StreamOptions};
use serde_json::{Value, json};

/// What to ask a model: required things in `new`, the rest by name.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateCompletion(ChatCompletionRequest);

impl CreateCompletion {
    /// A conversation with a model, in which nothing was said yet.
    pub fn new(model: impl Into<String>) -> Self {
        Self(ChatCompletionRequest { model: model.into(), ..ChatCompletionRequest::default() })
    }

    /// The request as the wire has it.
    pub const fn request(&self) -> &ChatCompletionRequest {
        &self.0
    }

    /// Adds a message.
    pub fn message(mut self, message: ChatMessage) -> Self {
        self.0.messages.push(message);
        self
    }

    /// Adds what whoever runs the program says.
    pub fn system(self, text: impl Into<String>) -> Self {
        self.message(ChatMessage::system(text))
    }

    /// Adds what whoever uses it says.
    pub fn user(self, text: impl Into<String>) -> Self {
        self.message(ChatMessage::user(text))
    }

    /// Adds what the model said before.
    pub fn assistant(self, text: impl Into<String>) -> Self {
        self.message(ChatMessage::assistant(text))
    }

    /// Most tokens of the answer.
    pub const fn max_tokens(mut self, tokens: u64) -> Self {
        self.0.max_tokens = Some(tokens);
        self
    }

    /// From 0 (the likeliest) to 2 (wild).
    pub const fn temperature(mut self, temperature: f64) -> Self {
        self.0.temperature = Some(temperature);
        self
    }

    /// Makes the same answer likelier next time.
    pub const fn seed(mut self, seed: i64) -> Self {
        self.0.seed = Some(seed);
        self
    }

    /// How many answers; 1 unless said.
    pub const fn answers(mut self, n: u32) -> Self {
        self.0.n = Some(n);
        self
    }

    /// Texts that end the answer, up to four.
    pub fn stop(mut self, texts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.0.stop = Some(Stop::Many(texts.into_iter().map(Into::into).collect()));
        self
    }

    /// Tells how likely each token was, with so many other likely ones at each place (0 to 20).
    pub const fn logprobs(mut self, top: u32) -> Self {
        self.0.logprobs = Some(true);
        self.0.top_logprobs = Some(top);
        self
    }

    /// A function that the model may call. May be said several times.
    pub fn tool(mut self, tool: ChatTool) -> Self {
        self.0.tools.push(tool);
        self
    }

    /// Makes the model call this function.
    pub fn must_call(mut self, function: &str) -> Self {
        self.0.tool_choice = Some(json!({ "type": "function", "function": { "name": function } }));
        self
    }

    /// A member that has no method here (yet).
    pub fn extra(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.0.extra.insert(name.into(), value.into());
        self
    }

    /// As a stream, with what was used at its end.
    pub(super) fn streaming(mut self) -> Self {
        self.0.stream = Some(true);
        self.0.stream_options.get_or_insert(StreamOptions { include_usage: true });
        self
    }
}

impl From<ChatCompletionRequest> for CreateCompletion {
    fn from(request: ChatCompletionRequest) -> Self {
        Self(request)
    }
}
