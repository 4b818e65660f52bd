//! The scripted model's answers as HTTP: at once, or as a stream that is made no faster than its client reads.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use axum::{
    body::{Body, Bytes},
    response::{IntoResponse as _, Response},
};
use dewpoint_inference::{Asked, Named, Refusal, scripted::Scripted, sse};
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::Counts;
use crate::{ApiError, App, extract::JSON};

/// After how many tokens in a row others get to run.
const BREATH: u32 = 64;

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid { .. } => Self::unprocessable(refusal.to_string()),
            Refusal::TooLong { .. } => Self::bad_request(refusal.to_string()),
        }
    }
}

/// Answers at once or as a stream, as the request says. 422 for what is out of bounds, 400 for what does not fit.
pub(super) async fn complete(app: &App, asked: Asked) -> Result<Response, ApiError> {
    let named = Named {
        id: format!("chatcmpl-{}", app.control.random().uuid().simple()),
        created: app.control.clock().now().as_seconds(),
    };
    let scripted = Scripted::new(&asked, named)?;
    let counts = Arc::clone(&app.inference.counts);
    Ok(match asked.streams() {
        true => streamed(scripted, counts),
        false => whole(scripted, &counts).await,
    })
}

async fn whole(mut scripted: Scripted, counts: &Counts) -> Response {
    let mut steps: u32 = 0;
    while let Some(step) = scripted.step() {
        scripted.completion.gather(step);
        steps = steps.wrapping_add(1);
        if steps.is_multiple_of(BREATH) {
            // A client that went away ends it here: hyper drops the request's future.
            tokio::task::yield_now().await;
        }
    }
    counts.made.fetch_add(scripted.completion.usage().completion, Relaxed);
    ([(header::CONTENT_TYPE, JSON)], scripted.completion.answer()).into_response()
}

/// What of a stream is not sent yet.
struct Streaming {
    scripted: Scripted,
    counts: Arc<Counts>,
    chunks: VecDeque<String>,
    steps: u32,
    over: bool,
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.counts.streams.fetch_sub(1, Relaxed);
    }
}

impl Streaming {
    /// The next event; the next token is made only when it is asked for.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(chunk) = self.chunks.pop_front() {
                return Some(sse::event(&chunk));
            }
            if self.over {
                return None;
            }
            self.steps = self.steps.wrapping_add(1);
            if self.steps.is_multiple_of(BREATH) {
                tokio::task::yield_now().await;
            }
            let before = self.scripted.completion.usage().completion;
            match self.scripted.step() {
                Some(step) => self.chunks.extend(self.scripted.completion.chunks(step)),
                None => {
                    self.over = true;
                    let usage =
                        self.scripted.completion.last_chunk().map(|chunk| sse::event(&chunk)).unwrap_or_default();
                    return Some(usage + sse::DONE);
                }
            }
            self.counts.made.fetch_add(self.scripted.completion.usage().completion - before, Relaxed);
        }
    }
}

fn streamed(scripted: Scripted, counts: Arc<Counts>) -> Response {
    counts.streams.fetch_add(1, Relaxed);
    let streaming = Streaming { scripted, counts, chunks: VecDeque::new(), steps: 0, over: false };
    let events = stream::unfold(streaming, |mut streaming| async {
        let event = streaming.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(event)), streaming))
    });
    let mut response = Response::new(Body::from_stream(events));
    says_it_streams(response.headers_mut());
    response
}

/// The headers of a stream (INF-1): nothing between here and the client is to collect it.
pub(super) fn says_it_streams(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
}
