//! The engine over HTTP: `GET /health`, `GET /stats`, `POST /v1/chat/completions`, `POST /v1/embeddings`.
//!
//! A stream's status is known only once its first token is: until then nothing is sent, but for comments after a while, so
//! that whoever waits knows that it is alive.

use std::{
    convert::Infallible,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::Sender,
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use dewpoint_inference::{Asked, Completion, Form, Named, Prompt, Refusal, sse};
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    sync::{
        mpsc::{UnboundedReceiver, unbounded_channel},
        oneshot,
    },
    time::timeout,
};
use uuid::Uuid;

use crate::{
    asking,
    embed::Texts,
    engine::{Event, Job, Order},
    load::Loaded,
    stats::{Stats, Wait},
};

/// Most bytes of a request.
const LARGEST: usize = 4 * 1024 * 1024;
/// From how many bytes on a request is not read on the thread that answers all of them.
const SHORT: usize = 32 * 1024;
/// Most texts of a request for embeddings.
const MOST_TEXTS: usize = 2048;
/// Most choices that may wait; more are sent elsewhere.
const MOST_WAITING: u64 = 256;
/// Tells how many microseconds a request waited for its turn; of one that still waits when the head is sent, until then.
const QUEUED: HeaderName = HeaderName::from_static("x-dewpoint-queue-us");
/// After how long without a token a comment says that the request is still there.
const QUIET: Duration = Duration::from_secs(10);

/// What requests are answered with, once it is loaded.
#[derive(Debug)]
pub struct Ready {
    /// The model.
    pub loaded: &'static Loaded,
    /// Where it computes.
    pub worker: Worker,
}

/// What computes, by what the model is made for.
#[derive(Clone, Debug)]
pub enum Worker {
    /// Text.
    Chat(Sender<Order>),
    /// Numbers of texts.
    Embed(Sender<Texts>),
}

/// What all requests share.
#[derive(Debug, Default)]
pub struct Shared {
    /// Empty until the model is loaded.
    pub ready: OnceLock<Ready>,
    /// What was done.
    pub stats: Stats,
    /// Whether nothing new is taken.
    pub stopping: AtomicBool,
    /// Held while a long request is read.
    pub reading: Arc<tokio::sync::Mutex<()>>,
}

/// All paths.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/stats", get(stats))
        .route("/v1/chat/completions", post(complete))
        .route("/v1/embeddings", post(embeddings))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(shared)
}

/// Why there is no answer, as everywhere in Dewpoint: `{"id", "message", "request_id"}`.
struct Problem {
    status: StatusCode,
    message: String,
    request: Option<String>,
}

impl Problem {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), request: None }
    }

    fn of(mut self, headers: &HeaderMap) -> Self {
        self.request = headers.get("x-request-id").and_then(|id| id.to_str().ok()).map(ToOwned::to_owned);
        self
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal {
            Refusal::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::TooLong { .. } => StatusCode::BAD_REQUEST,
        };
        Self::new(status, refusal.to_string())
    }
}

impl axum::response::IntoResponse for Problem {
    fn into_response(self) -> Response {
        let id = match self.status {
            StatusCode::UNPROCESSABLE_ENTITY => "unprocessable_entity",
            StatusCode::NOT_FOUND => "not_found",
            StatusCode::SERVICE_UNAVAILABLE => "service_unavailable",
            status if status.is_server_error() => "server_error",
            _ => "bad_request",
        };
        let mut body = json!({ "id": id, "message": self.message });
        if let Some(request) = self.request {
            body["request_id"] = json!(request);
        }
        (self.status, axum::Json(body)).into_response()
    }
}

async fn health(State(shared): State<Arc<Shared>>) -> Response {
    let Some(ready) = shared.ready.get() else {
        return (StatusCode::SERVICE_UNAVAILABLE, axum::Json(json!({ "status": "loading" }))).into_response();
    };
    let loaded = ready.loaded;
    let body = json!({
        "status": "ok", "model": loaded.name, "context": loaded.context, "parallel": loaded.parallel,
        "threads": loaded.threads, "embeds": loaded.pooling.is_some(),
    });
    axum::Json(body).into_response()
}

async fn stats(State(shared): State<Arc<Shared>>) -> axum::Json<Value> {
    axum::Json(shared.stats.told())
}

/// The model, unless it is not there yet or not any more.
fn ready(shared: &Shared) -> Result<&Ready, Problem> {
    let none = |why: &str| Problem::new(StatusCode::SERVICE_UNAVAILABLE, why);
    if shared.stopping.load(Relaxed) {
        return Err(none("The model is being stopped."));
    }
    shared.ready.get().ok_or_else(|| none("The model is being loaded; try again soon."))
}

fn read<'a, T: Deserialize<'a>>(body: &'a Bytes) -> Result<T, Problem> {
    let no =
        |error: serde_json::Error| Problem::new(StatusCode::BAD_REQUEST, format!("The body cannot be read: {error}."));
    serde_json::from_slice(body).map_err(no)
}

async fn complete(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let begun = aside(&shared, body.len(), move |shared| begin(shared, &body)).await;
    match begun.and_then(|begun| begun) {
        Ok(begun) => {
            let wait = Arc::clone(&begun.wait);
            let mut response = answer(begun).await.unwrap_or_else(|problem| problem.of(&headers).into_response());
            let waited = u64::try_from(wait.so_far().as_micros()).unwrap_or(u64::MAX);
            response.headers_mut().insert(QUEUED, HeaderValue::from(waited));
            response
        }
        Err(problem) => problem.of(&headers).into_response(),
    }
}

/// Reads a request: here when it is short, else on another thread, one at a time, since a long text takes seconds to be taken
/// apart into tokens and all others are answered from this thread.
async fn aside<T: Send + 'static>(
    shared: &Arc<Shared>,
    bytes: usize,
    read: impl FnOnce(&Shared) -> T + Send + 'static,
) -> Result<T, Problem> {
    if bytes <= SHORT {
        return Ok(read(shared));
    }
    let turn = Arc::clone(&shared.reading).lock_owned().await;
    let shared = Arc::clone(shared);
    let reading = tokio::task::spawn_blocking(move || {
        // Kept until it is read, also when nobody waits for it any more.
        let _turn = turn;
        read(&shared)
    });
    let broken = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The request could not be read.");
    reading.await.map_err(broken)
}

/// A request that the engine has.
struct Begun {
    streams: bool,
    /// What becomes of it.
    events: UnboundedReceiver<Event>,
    wait: Arc<Wait>,
}

/// Puts a request to the engine.
fn begin(shared: &Shared, body: &Bytes) -> Result<Begun, Problem> {
    let Ready { loaded, worker } = ready(shared)?;
    let Worker::Chat(orders) = worker else {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "This model makes embeddings and no text."));
    };
    let mut asked: Asked = read(body)?;
    asked.check()?;
    asked.model.clone_from(&loaded.name);
    if shared.stats.queued.load(Relaxed) >= MOST_WAITING {
        let message = format!("{MOST_WAITING} answers are waiting for this model already; try again soon.");
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, message));
    }
    let put = asking::put(loaded, &asked).map_err(|error| match error {
        asking::Error::Refused(refusal) => refusal.into(),
        error @ (asking::Error::Template(_) | asking::Error::NoSeal(_)) => {
            Problem::new(StatusCode::BAD_REQUEST, format!("{error}."))
        }
    })?;
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let id = Uuid::new_v4();
    let named = Named { id: format!("chatcmpl-{}", id.simple()), created: i64::try_from(seconds).unwrap_or(0) };
    let prompt = Prompt { tokens: put.prompt.len() as u64, context: u64::from(loaded.context) };
    let hears_marks = matches!(put.form, Form::Mixed { .. });
    let completion = Completion::new(&asked, named, prompt, put.form)?;
    let (reply, events) = unbounded_channel();
    let wait = Arc::new(Wait::begin());
    let job = Job {
        completion,
        prompt: put.prompt,
        sampling: asked.sampling(),
        grammar: put.grammar,
        seed: id.as_u64_pair().0,
        tells_likelihoods: asked.likelihoods().is_some(),
        hears_marks,
        streams: asked.streams(),
        wait: Arc::clone(&wait),
        reply,
    };
    orders.send(Order::Answer(Box::new(job))).map_err(|_| stopped())?;
    Ok(Begun { streams: asked.streams(), events, wait })
}

fn stopped() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The model is being stopped.")
}

/// What was answered, or its beginning.
async fn answer(Begun { streams, mut events, .. }: Begun) -> Result<Response, Problem> {
    if !streams {
        return match events.recv().await {
            Some(Event::Answer(text)) => Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response()),
            other => Err(broken(other)),
        };
    }
    let first = match timeout(QUIET, events.recv()).await {
        Ok(Some(Event::Events(text))) => text,
        Ok(other) => return Err(broken(other)),
        Err(_) => WAITING.to_owned(),
    };
    let rest = stream::unfold(events, |mut events| async {
        let text = match timeout(QUIET, events.recv()).await {
            Ok(Some(Event::Events(text) | Event::Answer(text))) => text,
            Ok(Some(Event::Refused(message) | Event::Failed(message))) => sse::error_event(&message),
            Ok(None) => return None,
            Err(_) => WAITING.to_owned(),
        };
        Some((Ok::<_, Infallible>(Bytes::from(text)), events))
    });
    use futures_util::StreamExt as _;
    let body = stream::once(async { Ok(Bytes::from(first)) }).chain(rest);
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

/// A comment of a stream, which clients pass over.
const WAITING: &str = ": waiting\n\n";

fn broken(event: Option<Event>) -> Problem {
    match event {
        Some(Event::Refused(message)) => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("response_format or tools: {message}."))
        }
        Some(Event::Failed(message)) => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("The answer broke off: {message}."))
        }
        Some(Event::Events(_) | Event::Answer(_)) | None => stopped(),
    }
}

/// The body of a request for embeddings. Members it does not know are passed over.
#[derive(Debug, Deserialize)]
struct Embedded {
    input: Input,
    #[serde(default)]
    encoding_format: Option<String>,
    #[serde(default)]
    dimensions: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
enum Input {
    One(String),
    Many(Vec<String>),
}

async fn embeddings(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    embed(&shared, &body).await.unwrap_or_else(|problem| problem.of(&headers).into_response())
}

async fn embed(shared: &Arc<Shared>, body: &Bytes) -> Result<Response, Problem> {
    let Ready { loaded, worker } = ready(shared)?;
    let loaded = *loaded;
    let Worker::Embed(orders) = worker else {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "This model makes text and no embeddings."));
    };
    let asked: Embedded = read(body)?;
    let invalid = |message: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, message);
    if asked.dimensions.is_some() {
        return Err(invalid("dimensions cannot be chosen of this model.".to_owned()));
    }
    let in_base64 = match asked.encoding_format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(other) => return Err(invalid(format!("encoding_format is {other:?}; it has to be float or base64."))),
    };
    let texts = match asked.input {
        Input::One(text) => vec![text],
        Input::Many(texts) => texts,
    };
    if texts.is_empty() || texts.len() > MOST_TEXTS || texts.iter().any(String::is_empty) {
        return Err(invalid(format!("input has to be 1 to {MOST_TEXTS} texts, none of them empty.")));
    }
    let length = texts.iter().map(String::len).sum();
    let tokens = move |_: &Shared| -> Vec<_> {
        let vocab = loaded.model.vocab();
        texts.iter().map(|text| vocab.tokenize(text.as_bytes(), true, false)).collect()
    };
    let texts = aside(shared, length, tokens).await?;
    let (context, used) = (u64::from(loaded.context), texts.iter().map(|text| text.len() as u64).sum::<u64>());
    if let Some(long) = texts.iter().map(|text| text.len() as u64).find(|length| *length > context) {
        let message = format!("This model holds {context} tokens, and a text of input has {long}.");
        return Err(Problem::new(StatusCode::BAD_REQUEST, message));
    }
    let (reply, made) = oneshot::channel();
    orders.send(Texts { texts, reply }).map_err(|_| stopped())?;
    let made = made.await.map_err(|_| stopped())?;
    let made = made.map_err(|message| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("The answer broke off: {message}."))
    })?;
    let told = |numbers: Vec<f32>| match in_base64 {
        false => json!(numbers),
        true => {
            json!(dewpoint_inference::packed(&numbers))
        }
    };
    let data = (0_u32..).zip(made);
    let data =
        data.map(|(index, numbers)| json!({ "object": "embedding", "index": index, "embedding": told(numbers) }));
    let data: Vec<Value> = data.collect();
    let usage = json!({ "prompt_tokens": used, "total_tokens": used });
    Ok(axum::Json(json!({ "object": "list", "data": data, "model": loaded.name, "usage": usage })).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer to a stream of which these events come after so many seconds each.
    async fn streamed(events: &'static [(u64, &'static str)]) -> Response {
        let (reply, taken) = unbounded_channel();
        tokio::spawn(async move {
            for (seconds, text) in events {
                tokio::time::sleep(Duration::from_secs(*seconds)).await;
                reply.send(Event::Events((*text).to_owned())).expect("somebody reads it");
            }
        });
        let begun = Begun { streams: true, events: taken, wait: Arc::new(Wait::begin()) };
        answer(begun).await.unwrap_or_else(|problem| panic!("{}", problem.message))
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_on_which_nothing_comes_has_a_comment_every_ten_seconds() {
        let response = streamed(&[(25, "data: 1\n\n"), (9, "data: 2\n\n"), (13, "data: [DONE]\n\n")]).await;
        assert_eq!(response.status(), StatusCode::OK);
        let body = axum::body::to_bytes(response.into_body(), LARGEST).await.expect("a body");
        let waiting = ": waiting\n\n";
        let expected = format!("{waiting}{waiting}data: 1\n\ndata: 2\n\n{waiting}data: [DONE]\n\n");
        assert_eq!(String::from_utf8_lossy(&body), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_comment_is_the_head_of_an_answer_that_waits() {
        let begun = tokio::time::Instant::now();
        let response = streamed(&[(3600, "data: [DONE]\n\n")]).await;
        assert_eq!((response.status(), begun.elapsed()), (StatusCode::OK, QUIET));
    }
}
