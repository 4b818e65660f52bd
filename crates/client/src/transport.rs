//! Sending: one attempt, and the loop of attempts around it.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{ACCEPT, AUTHORIZATION},
};
use reqwest::Response;
use tracing::{Instrument as _, Span, field};

use crate::{
    Answer, Client, Error, Result,
    call::Read,
    error::{Broken, Refusal, Undecodable},
    request::{Destination, Request},
    retry::{self, Failure},
};

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// What one attempt came to.
enum Got {
    /// An answer and all of its body.
    Whole(StatusCode, HeaderMap, Bytes),
    /// A success whose body is still to come.
    Open(Response),
}

/// Sends `request` until it is answered, refused for good, or out of retries; then reads the body.
pub(crate) async fn answer<T>(client: &Client, request: &Request, read: Read<T>) -> Result<Answer<T>> {
    let span = span(request);
    async {
        let Got::Whole(status, headers, body) = attempts(client, request, true).await? else {
            return Err(Error::config("an answer was left open that nobody reads"));
        };
        match read(&body) {
            Ok(value) => Ok(Answer { value, status, headers }),
            Err(problem) => {
                let request_id = headers.get("x-request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
                let (method, path) = (request.method.clone(), request.path().to_owned());
                Err(Error::Decode(Arc::new(Undecodable { method, path, status, request_id, problem })))
            }
        }
    }
    .instrument(span)
    .await
}

/// The same, but gives a success at once, with its body still to come. What a body breaks off with is its reader's to tell.
pub(crate) async fn open(client: &Client, request: &Request) -> Result<Response> {
    match attempts(client, request, false).instrument(span(request)).await? {
        Got::Open(response) => Ok(response),
        Got::Whole(..) => Err(Error::config("an answer was read that was to be left open")),
    }
}

/// One span a call. It holds no header, no query and no body: those may hold secrets.
fn span(request: &Request) -> Span {
    tracing::debug_span!(
        "dewpoint_call",
        operation = request.operation,
        http.method = %request.method,
        path = request.path(),
        attempts = field::Empty,
        http.status = field::Empty,
        request.id = field::Empty,
        elapsed_ms = field::Empty,
    )
}

async fn attempts(client: &Client, request: &Request, whole: bool) -> Result<Got> {
    if let Some(problem) = &request.problem {
        return Err(problem.clone());
    }
    let started = Instant::now();
    let inner = &*client.0;
    let (headers, has_key) = headers(client, request)?;
    let is_post = request.method == Method::POST;
    let repeatable = retry::is_idempotent(&request.method) || (is_post && has_key && inner.knows_keys);
    let retries = request.retries.unwrap_or(inner.retry.retries);
    let (mut attempt, mut maybe_done) = (0, false);
    loop {
        let got = once(client, request, &headers, whole).await;
        let pause = match &got {
            Ok(Got::Open(_)) => None,
            Ok(Got::Whole(status, ..)) if status.is_success() => None,
            Ok(Got::Whole(status, headers, _)) => {
                maybe_done |= status.is_server_error();
                retry::again(&inner.retry, repeatable, &Failure::Answer(*status, headers))
            }
            Err(Error::Connection(broken) | Error::Timeout(broken)) => {
                maybe_done |= broken.was_sent;
                retry::again(&inner.retry, repeatable, &Failure::Broken { was_sent: broken.was_sent })
            }
            Err(_) => None,
        };
        if let Some(asked) = pause.filter(|_| attempt < retries) {
            let pause = asked.unwrap_or_else(|| inner.retry.pause(attempt));
            attempt += 1;
            tracing::debug!(attempt, pause_ms = pause.as_millis(), "is sent again");
            tokio::time::sleep(pause).await;
            continue;
        }
        record(&got, attempt + 1, started);
        return match got? {
            // An earlier attempt has deleted it, and the answer was lost.
            Got::Whole(StatusCode::NOT_FOUND, headers, _) if maybe_done && request.method == Method::DELETE => {
                Ok(Got::Whole(StatusCode::NO_CONTENT, headers, Bytes::new()))
            }
            Got::Whole(status, headers, body) if !status.is_success() => {
                let (method, path) = (request.method.clone(), request.path().to_owned());
                Err(Refusal::read(method, path, status, &headers, &body).into_error())
            }
            success => Ok(success),
        };
    }
}

fn record(got: &Result<Got>, attempts: u32, started: Instant) {
    let span = Span::current();
    if span.is_disabled() {
        return;
    }
    span.record("attempts", attempts);
    span.record("elapsed_ms", u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
    let (status, headers) = match got {
        Ok(Got::Whole(status, headers, _)) => (*status, headers),
        Ok(Got::Open(response)) => (response.status(), response.headers()),
        Err(_) => return,
    };
    span.record("http.status", status.as_u16());
    if let Some(id) = headers.get("x-request-id").and_then(|id| id.to_str().ok()) {
        span.record("request.id", id);
    }
}

/// The headers of every attempt, and whether there is an idempotency key among them.
fn headers(client: &Client, request: &Request) -> Result<(HeaderMap, bool)> {
    let inner = &*client.0;
    let mut headers = request.headers.clone();
    let token = match request.goes_to {
        Destination::Api => &inner.token,
        Destination::Inference => inner.inference_token.as_ref().unwrap_or(&inner.token),
    };
    headers.entry(AUTHORIZATION).or_insert_with(|| token.header().clone());
    headers.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
    if request.method == Method::POST && inner.sends_keys && !headers.contains_key(IDEMPOTENCY_KEY) {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let key: &str = uuid::Uuid::new_v4().hyphenated().encode_lower(&mut text);
        let key = HeaderValue::from_str(key).map_err(|_| Error::config("a UUID is no header"))?;
        headers.insert(IDEMPOTENCY_KEY, key);
    }
    let has_key = headers.contains_key(IDEMPOTENCY_KEY);
    Ok((headers, has_key))
}

async fn once(client: &Client, request: &Request, headers: &HeaderMap, whole: bool) -> Result<Got> {
    let inner = &*client.0;
    let base = match request.goes_to {
        Destination::Api => &inner.url,
        Destination::Inference => &inner.inference_url,
    };
    let broken = |source: reqwest::Error| {
        let broken = Arc::new(Broken {
            method: request.method.clone(),
            path: request.path().to_owned(),
            was_sent: !(source.is_connect() || source.is_builder()),
            // The address may hold what is secret, and says nothing that method and path do not.
            source: source.without_url(),
        });
        if broken.source.is_timeout() { Error::Timeout(broken) } else { Error::Connection(broken) }
    };
    let mut sent =
        inner.http.request(request.method.clone(), format!("{base}{}", request.target)).headers(headers.clone());
    if !request.body.is_empty() {
        sent = sent.body(request.body.clone());
    }
    // An open answer may go on for as long as the server has something to say: only its beginning has a limit.
    let limit = request.timeout.unwrap_or(inner.timeout);
    if whole {
        let response = sent.timeout(limit).send().await.map_err(broken)?;
        let (status, headers) = (response.status(), response.headers().clone());
        return Ok(Got::Whole(status, headers, response.bytes().await.map_err(broken)?));
    }
    let response = match tokio::time::timeout(limit, sent.send()).await {
        Ok(response) => response.map_err(broken)?,
        Err(_) => {
            let text = format!("{} {} did not begin to answer", request.method, request.path());
            return Err(Error::WaitedTooLong { what: text.into(), after: limit });
        }
    };
    if response.status().is_success() {
        return Ok(Got::Open(response));
    }
    let (status, headers) = (response.status(), response.headers().clone());
    Ok(Got::Whole(status, headers, response.bytes().await.map_err(broken)?))
}
