//! A model that others serve: its requests go to one of its upstreams and the answers come back, byte for byte both ways.
//!
//! Until the first byte of an answer a failure means that the next upstream is asked; after it the client is told (INF-6).
//! Dropping an answer closes the connection to its upstream, so a client that leaves stops the generation.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    response::Response,
};
use dewpoint_api::ErrorId;
use dewpoint_inference::{
    Pool, Turn,
    sse::{Cutter, error_event},
};
use futures_util::stream;
use http::{HeaderValue, StatusCode, header};
use rustls::{ClientConfig, crypto::ring};
use rustls_platform_verifier::Verifier;
use tokio::time::timeout;

use super::scripted::says_it_streams;
use crate::{ApiError, ModelConfig};

/// Most bytes of an answer that is no stream.
const WHOLE_MOST: usize = 32 * 1024 * 1024;
/// How long a connection to an upstream may take.
const CONNECT: Duration = Duration::from_secs(5);

/// The upstreams of one model.
#[derive(Debug)]
pub(super) struct Upstreams {
    config: ModelConfig,
    http: reqwest::Client,
    began: Instant,
    pool: Mutex<Pool>,
}

/// Why an upstream gave no answer. Read by the client of ours.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("it cannot be reached, or broke off")]
    Broken(#[source] reqwest::Error),
    #[error("it was silent for {0:?}")]
    Silent(Duration),
    #[error("its answer is longer than {WHOLE_MOST} bytes")]
    TooLong,
    #[error("it answered {}", .0.status())]
    Refused(Box<Response>),
}

/// A request that an upstream has. When it goes, the upstream is less busy.
struct Held {
    upstreams: Arc<Upstreams>,
    turn: Turn,
    /// How it ended; `None`: its client left.
    well: Option<bool>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let now = self.upstreams.began.elapsed();
        self.upstreams.pool().ended(self.turn, self.well, now);
    }
}

impl Upstreams {
    pub(super) fn new(config: ModelConfig) -> io::Result<Self> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls()?)
            // A redirect would take the key elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .user_agent(concat!("dewpoint/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(io::Error::other)?;
        let pool = Mutex::new(Pool::new(config.upstreams.iter().map(|upstream| upstream.weight)));
        Ok(Self { config, http, began: Instant::now(), pool })
    }

    fn pool(&self) -> std::sync::MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(self: &Arc<Self>, tried: &[usize]) -> Option<Held> {
        let turn = self.pool().begin(tried, self.began.elapsed())?;
        Some(Held { upstreams: Arc::clone(self), turn, well: None })
    }

    /// Answers a request by the first upstream that does. What upstreams refuse themselves is passed on as it is; 503 when none
    /// of them answers at all.
    pub(super) async fn complete(self: &Arc<Self>, body: Bytes, request_id: &str) -> Result<Response, ApiError> {
        let mut tried = Vec::new();
        let mut last = None;
        while let Some(mut held) = self.begin(&tried) {
            tried.push(held.turn.upstream);
            match self.ask(held.turn.upstream, body.clone(), request_id).await {
                Ok(Begun::Whole(response)) => {
                    held.well = Some(true);
                    return Ok(response);
                }
                Ok(Begun::Stream(response, first)) => return Ok(self.passed_on(held, response, first)),
                Err(failure) => {
                    // One that has too much to do is not ill.
                    let is_full = matches!(&failure, Failure::Refused(answer) if answer.status() == StatusCode::TOO_MANY_REQUESTS);
                    held.well = (!is_full).then_some(false);
                    let url = &self.config.upstreams[held.turn.upstream].url;
                    tracing::warn!(model = self.config.name, upstream = url, "An upstream gave no answer: {failure}");
                    last = Some(failure);
                }
            }
        }
        let name = &self.config.name;
        match last {
            Some(Failure::Refused(response)) => Ok(*response),
            Some(failure) => {
                let text = format!(
                    "None of the upstreams of {name} answers ({} asked). The last one: {failure}.",
                    tried.len()
                );
                Err(ApiError::new(ErrorId::ServiceUnavailable, text))
            }
            None => Err(ApiError::new(ErrorId::ServiceUnavailable, format!("The model {name} has no upstream."))),
        }
    }

    async fn ask(&self, upstream: usize, body: Bytes, request_id: &str) -> Result<Begun, Failure> {
        let upstream = &self.config.upstreams[upstream];
        let url = format!("{}/chat/completions", upstream.url.trim_end_matches('/'));
        let mut request = self.http.post(url).header(header::CONTENT_TYPE, "application/json");
        request = request.header("x-request-id", request_id).body(body);
        if let Some(key) = &upstream.key {
            request = request.bearer_auth(key.as_str());
        }
        let first_byte = self.config.first_byte;
        let began = timeout(first_byte, async {
            let mut response = request.send().await?;
            let first = response.chunk().await?;
            Ok((response, first))
        });
        let (response, first) = began.await.map_err(|_| Failure::Silent(first_byte))?.map_err(Failure::Broken)?;
        let status = response.status();
        let kind = response.headers().get(header::CONTENT_TYPE).cloned();
        let is_stream = kind.as_ref().is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        if status.is_success() && is_stream {
            return Ok(Begun::Stream(response, first.unwrap_or_default()));
        }
        let whole = self.read(response, first.unwrap_or_default()).await?;
        let mut answer = Response::new(Body::from(whole));
        *answer.status_mut() = status;
        if let Some(kind) = kind {
            answer.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
        match status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            true => Err(Failure::Refused(Box::new(answer))),
            false => Ok(Begun::Whole(answer)),
        }
    }

    async fn read(&self, mut response: reqwest::Response, first: Bytes) -> Result<Vec<u8>, Failure> {
        let mut whole = first.to_vec();
        while let Some(piece) = self.next(&mut response).await? {
            whole.extend_from_slice(&piece);
            if whole.len() > WHOLE_MOST {
                return Err(Failure::TooLong);
            }
        }
        Ok(whole)
    }

    async fn next(&self, response: &mut reqwest::Response) -> Result<Option<Bytes>, Failure> {
        let between = self.config.between;
        timeout(between, response.chunk()).await.map_err(|_| Failure::Silent(between))?.map_err(Failure::Broken)
    }

    /// The stream of an upstream, whole events at a time, and an event that says so when it breaks off.
    fn passed_on(self: &Arc<Self>, held: Held, response: reqwest::Response, first: Bytes) -> Response {
        let passing = Passing { held, response, first: Some(first), cutter: Cutter::default(), over: false };
        let events = stream::unfold(passing, |mut passing| async {
            let events = passing.next().await?;
            Some((Ok::<_, std::convert::Infallible>(events), passing))
        });
        let mut response = Response::new(Body::from_stream(events));
        says_it_streams(response.headers_mut());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        response
    }
}

enum Begun {
    Whole(Response),
    Stream(reqwest::Response, Bytes),
}

struct Passing {
    held: Held,
    response: reqwest::Response,
    first: Option<Bytes>,
    cutter: Cutter,
    over: bool,
}

impl Passing {
    async fn next(&mut self) -> Option<Bytes> {
        while !self.over {
            let piece = match self.first.take() {
                Some(first) => Ok(Some(first)),
                None => self.held.upstreams.next(&mut self.response).await,
            };
            let broken = match piece {
                Ok(Some(piece)) => match self.cutter.push(&piece) {
                    Ok(events) => {
                        if self.cutter.is_done() {
                            (self.over, self.held.well) = (true, Some(true));
                        }
                        if !events.is_empty() {
                            return Some(events.into());
                        }
                        continue;
                    }
                    Err(_) => format!("it sent an event of more than {} bytes", Cutter::MOST),
                },
                Ok(None) => "it ended its answer before the end".to_owned(),
                Err(failure) => failure.to_string(),
            };
            (self.over, self.held.well) = (true, Some(false));
            let name = &self.held.upstreams.config.name;
            tracing::warn!(model = name, "An upstream broke off a stream: {broken}");
            return Some(error_event(&format!("The upstream of {name} broke off: {broken}.")).into());
        }
        None
    }
}

/// TLS over ring with the system's certificates, without touching what the process has as its default.
fn tls() -> io::Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let versions = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let verifier = Verifier::new(provider).map_err(io::Error::other)?;
    let config = versions.map_err(io::Error::other)?.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    Ok(config.with_no_client_auth())
}
