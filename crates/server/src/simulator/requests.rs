//! The last requests, for tests that assert what was asked: a ring in memory. Never a token in it, and bodies only when asked
//! for, their secrets taken out.

use std::{
    collections::VecDeque,
    future::ready,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody as _},
    extract::Request,
    response::Response,
};
use dewpoint_api::{AccountId, TokenId};
use dewpoint_clock::{Clock as _, Timestamp};
use dewpoint_control::Grant;
use futures_util::stream;
use http::Method;
use http_body_util::BodyExt as _;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::Simulator;

/// How many requests are kept unless told otherwise.
const KEPT: usize = 1000;
/// Most requests that can be asked to be kept.
pub(crate) const KEPT_MAX: usize = 100_000;
/// Most bytes of a body that is kept.
const BODY_KEPT_MAX: u64 = 64 * 1024;
/// Members whose values are secrets, at any depth.
const SECRETS: [&str; 7] = ["user_data", "token", "secret_key", "password", "secret", "private_key", "access_token"];

/// A request that was answered, or was left without an answer by a fault.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Logged {
    /// Its place in the log; later ones have larger numbers.
    pub(crate) id: u64,
    /// As in its `x-request-id`.
    pub(crate) request_id: String,
    /// When it came, by the clock.
    pub(crate) at: Timestamp,
    /// Its method.
    pub(crate) method: String,
    /// Its path as it came.
    pub(crate) path: String,
    /// What came after the question mark.
    pub(crate) query: Option<String>,
    /// The status of the answer; null when a fault left it without one.
    pub(crate) status: Option<u16>,
    /// Which token it came with, if that was a good one.
    pub(crate) token_id: Option<TokenId>,
    /// Whose it was.
    pub(crate) account_id: Option<AccountId>,
    /// Microseconds of real time until it was answered.
    pub(crate) duration_us: u64,
    /// Bytes of its body; null when it was sent without saying how long it is.
    pub(crate) request_bytes: Option<u64>,
    /// Bytes of the answer's body; null for a stream.
    pub(crate) answer_bytes: Option<u64>,
    /// Its JSON body without secrets, when bodies are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<Value>,
}

/// Which requests to show.
#[derive(Debug, Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) method: Option<&'a str>,
    pub(crate) path: Option<&'a str>,
    pub(crate) status: Option<u16>,
    /// Only later ones than this.
    pub(crate) since: u64,
}

impl Wanted<'_> {
    fn meets(&self, logged: &Logged) -> bool {
        logged.id > self.since
            && self.method.is_none_or(|method| logged.method.eq_ignore_ascii_case(method))
            && self.path.is_none_or(|prefix| logged.path.starts_with(prefix))
            && self.status.is_none_or(|status| logged.status == Some(status))
    }
}

/// How the log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Keeping {
    /// How many requests.
    pub(crate) capacity: usize,
    /// Whether with their JSON bodies.
    pub(crate) bodies: bool,
}

/// The log.
#[derive(Debug)]
pub(crate) struct RequestLog {
    ring: Mutex<Ring>,
}

#[derive(Debug)]
struct Ring {
    entries: VecDeque<Logged>,
    last: u64,
    keeping: Keeping,
}

impl Default for RequestLog {
    fn default() -> Self {
        let keeping = Keeping { capacity: KEPT, bodies: false };
        Self { ring: Mutex::new(Ring { entries: VecDeque::new(), last: 0, keeping }) }
    }
}

impl RequestLog {
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a request and numbers it.
    pub(crate) fn add(&self, logged: Logged) {
        let mut ring = self.ring();
        ring.last += 1;
        let id = ring.last;
        ring.entries.push_back(Logged { id, ..logged });
        ring.trim();
    }

    /// The newest `limit` of those wanted, oldest first, and how many there are in all.
    pub(crate) fn find(&self, wanted: &Wanted<'_>, limit: usize) -> (Vec<Logged>, usize) {
        let ring = self.ring();
        let total = ring.entries.iter().filter(|logged| wanted.meets(logged)).count();
        let found = ring.entries.iter().filter(|logged| wanted.meets(logged)).skip(total.saturating_sub(limit));
        (found.cloned().collect(), total)
    }

    /// Empties it; numbers go on.
    pub(crate) fn clear(&self) {
        self.ring().entries.clear();
    }

    /// How it is kept.
    pub(crate) fn keeping(&self) -> Keeping {
        self.ring().keeping
    }

    /// Keeps it so from now on.
    pub(crate) fn keep(&self, keeping: Keeping) {
        let mut ring = self.ring();
        ring.keeping = keeping;
        ring.trim();
    }

    /// Keeps it as at the start, empty.
    pub(crate) fn reset(&self) {
        self.keep(Keeping { capacity: KEPT, bodies: false });
        self.clear();
    }
}

impl Ring {
    fn trim(&mut self) {
        while self.entries.len() > self.keeping.capacity {
            self.entries.pop_front();
        }
    }
}

/// What is known of a request before it is answered.
#[derive(Debug)]
pub(crate) struct Note {
    simulator: Simulator,
    method: Method,
    path: String,
    query: Option<String>,
    at: Timestamp,
    bytes: Option<u64>,
    body: Option<Value>,
}

impl Note {
    /// Takes note of a request, which is then as it was.
    pub(crate) async fn of(simulator: &Simulator, request: Request) -> (Request, Self) {
        let (method, uri) = (request.method().clone(), request.uri());
        let (path, query) = (uri.path().to_owned(), uri.query().map(str::to_owned));
        let (at, bytes) = (simulator.clock().now(), request.body().size_hint().exact());
        let (request, body) = match simulator.requests().keeping().bodies {
            true => look_at_body(request).await,
            false => (request, None),
        };
        (request, Self { simulator: simulator.clone(), method, path, query, at, bytes, body })
    }

    /// Writes the request down with how it was answered.
    pub(crate) fn write(
        self,
        request_id: &str,
        response: &Response,
        grant: Option<&Grant>,
        elapsed: Duration,
        unanswered: bool,
    ) {
        let Self { simulator, method, path, query, at, bytes, mut body } = self;
        body.iter_mut().for_each(redact);
        simulator.requests().add(Logged {
            id: 0,
            request_id: request_id.to_owned(),
            at,
            method: method.to_string(),
            path,
            query,
            status: (!unanswered).then(|| response.status().as_u16()),
            token_id: grant.map(|grant| grant.token),
            account_id: grant.map(|grant| grant.account),
            duration_us: u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
            request_bytes: bytes,
            answer_bytes: response.body().size_hint().exact(),
            body,
        });
    }
}

/// Reads the body of a request when it is of a known, moderate length; the request is then as it was, and a body that did not
/// come fails again when it is read.
pub(crate) async fn look_at_body(request: Request) -> (Request, Option<Value>) {
    match request.body().size_hint().exact() {
        Some(length) if (1..=BODY_KEPT_MAX).contains(&length) => {}
        _ => return (request, None),
    }
    let (parts, body) = request.into_parts();
    let (body, value) = match body.collect().await {
        Ok(collected) => {
            let bytes = collected.to_bytes();
            let value = serde_json::from_slice(&bytes).ok();
            (Body::from(bytes), value)
        }
        Err(error) => (Body::from_stream(stream::once(ready(Err::<Bytes, _>(error)))), None),
    };
    (Request::from_parts(parts, body), value)
}

/// Takes the secrets out of a body.
pub(crate) fn redact(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match SECRETS.contains(&name.as_str()) && !member.is_null() {
                    true => *member = Value::from("[redacted]"),
                    false => redact(member),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_taken_out_at_any_depth() {
        let mut body =
            json!({ "name": "a", "user_data": "s", "parts": [{ "password": { "a": 1 }, "size": 1 }], "token": null });
        redact(&mut body);
        let left = json!({ "name": "a", "user_data": "[redacted]", "parts": [{ "password": "[redacted]", "size": 1 }], "token": null });
        assert_eq!(body, left);
    }
}
