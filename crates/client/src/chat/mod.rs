//! Chat completions: asked at once, or bit by bit.
//!
//! ```no_run
//! # async fn example(client: dewpoint_client::Client) -> dewpoint_client::Result<()> {
//! use dewpoint_client::chat::{CreateCompletion, Accumulator};
//!
//! let wanted = CreateCompletion::new("llama3.3-70b-instruct").system("Be brief.").user("What is the dew point?");
//! let answer = client.chat().completions().create(&wanted).await?;
//! println!("{}", answer.text().unwrap_or_default());
//!
//! let mut stream = client.chat().completions().stream(&wanted).await?;
//! let mut whole = Accumulator::default();
//! while let Some(chunk) = stream.next().await {
//!     let chunk = chunk?; // an error that comes mid-stream is an error here
//!     print!("{}", chunk.choices.first().and_then(|choice| choice.delta.content.as_deref()).unwrap_or_default());
//!     whole.add(&chunk);
//! }
//! println!("\n{:?}", whole.into_completion().usage);
//! # Ok(()) }
//! ```

mod accumulate;
mod create;

use std::borrow::Borrow;

use dewpoint_api::chat::{ChatCompletion, ChatCompletionChunk};
use serde::Deserialize;
use serde_json::Value;

pub use self::{accumulate::Accumulator, create::CreateCompletion};
use crate::{
    Call, Client, Error, EventStream, Kept, Result,
    call::Read,
    envelope, operations as op,
    request::{Destination, Request},
    sse::SseEvent,
    stream::Seen,
};

/// A stream of an answer's bits. It ends with the answer; what broke off before its end is an error.
pub type ChatStream = EventStream<Kept<ChatCompletionChunk>>;

impl Client {
    /// Chat with models.
    pub fn chat(&self) -> Chat {
        Chat(self.clone())
    }
}

/// Chat with models. Made by [`Client::chat`].
#[derive(Clone, Debug)]
pub struct Chat(Client);

/// Answers of models.
#[derive(Clone, Debug)]
pub struct Completions(Client);

impl Chat {
    /// Answers.
    pub fn completions(&self) -> Completions {
        Completions(self.0.clone())
    }
}

impl Completions {
    /// `POST /v1/chat/completions`: the answer at once.
    pub fn create(&self, wanted: impl Borrow<CreateCompletion>) -> Call<Kept<ChatCompletion>> {
        let read: Read<Kept<ChatCompletion>> = envelope::whole;
        Call::new(self.0.clone(), request(wanted.borrow()), read)
    }

    /// `POST /v1/chat/completions` with `stream: true`: the answer bit by bit, as soon as it begins.
    ///
    /// What goes wrong before the first bit fails here, and is tried again where that is safe; what goes wrong later is an
    /// error of the stream, and nothing is tried again. Dropping the stream closes the connection, so that the model stops.
    pub async fn stream(&self, wanted: impl Borrow<CreateCompletion>) -> Result<ChatStream> {
        let request = request(&wanted.borrow().clone().streaming());
        EventStream::open(&self.0, request, chunk, true).await
    }
}

fn request(wanted: &CreateCompletion) -> Request {
    let request = Request::of(&op::INFERENCE_CREATE_CHAT_COMPLETION, &[]).json(wanted.request());
    Request { goes_to: Destination::Inference, ..request }
}

/// One event: a chunk, the end, or an error after all (behaviour rules INF-2, INF-6, INF-7).
fn chunk(event: &SseEvent) -> Result<Seen<Kept<ChatCompletionChunk>>> {
    #[derive(Deserialize)]
    struct MayFail {
        #[serde(default)]
        error: Value,
    }
    let data = event.data.trim();
    if data.starts_with("[DONE]") {
        return Ok(Seen::End);
    }
    if data.is_empty() {
        return Ok(Seen::Nothing);
    }
    let unreadable =
        |problem: String| Error::stream(format!("an event cannot be read: {problem}"), None, data.to_owned());
    let failed = match serde_json::from_str::<MayFail>(data) {
        Ok(MayFail { error }) => Some(error).filter(|error| !matches!(error, Value::Null | Value::Bool(false))),
        Err(error) => return Err(unreadable(error.to_string())),
    };
    if failed.is_some() || event.name == "error" {
        let error = failed.unwrap_or_default();
        let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
        let message = text("message").or_else(|| error.as_str().map(str::to_owned));
        let message = message.unwrap_or_else(|| "the server gave no reason".to_owned());
        return Err(Error::stream(message, text("type"), data.to_owned()));
    }
    envelope::whole(data.as_bytes()).map(Seen::Item).map_err(unreadable)
}
