//! One request to one upstream, up to the first byte of its answer: what is sent, and what is no answer.

use std::{ops::Range, time::Duration};

use axum::{
    body::{Body, Bytes},
    response::Response,
};
use dewpoint_inference::usage_of_answer;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tokio::time::timeout;

use super::{
    Upstream, Upstreams,
    link::{Answer, Broken},
};

/// Most bytes of an answer that is no stream.
const WHOLE_MOST: usize = 32 * 1024 * 1024;
/// How an upstream says how long a request waited for its turn, in microseconds.
const QUEUED: HeaderName = HeaderName::from_static("x-dewpoint-queue-us");

/// A request as it came.
#[derive(Clone, Debug)]
pub(in super::super) struct Wanted<'a> {
    /// What is put behind an upstream's address: `/chat/completions`.
    pub(in super::super) path: &'static str,
    /// The body, as it came.
    pub(in super::super) body: &'a Bytes,
    /// Where in it the model's name is, quotes included.
    pub(in super::super) name_at: Range<usize>,
    /// The request's id.
    pub(in super::super) request_id: &'a str,
}

impl Wanted<'_> {
    /// The body as it came but for the model's name; itself when that is the name.
    pub(in super::super) fn body_for(&self, name: &str) -> Bytes {
        let name = serde_json::Value::from(name).to_string();
        let Range { start, end } = self.name_at;
        if &self.body[start..end] == name.as_bytes() {
            return self.body.clone();
        }
        [&self.body[..start], name.as_bytes(), &self.body[end..]].concat().into()
    }
}

/// What an upstream said.
pub(super) struct Said {
    pub(super) what: Begun,
    /// How long the request waited there for its turn.
    pub(super) queued: Duration,
}

/// An answer, or the beginning of one.
pub(super) enum Begun {
    Whole(Response),
    Stream(Answer, Bytes),
}

/// Why an upstream gave no answer. Read by the client of ours.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("it cannot be reached, or broke off")]
    Broken(#[source] Broken),
    #[error("it cannot be asked: {0}")]
    Unsent(#[from] http::Error),
    #[error("it was silent for {0:?}")]
    Silent(Duration),
    #[error("its answer is longer than {WHOLE_MOST} bytes")]
    TooLong,
    #[error("it answered {}", .0.status())]
    Refused(Box<Response>),
    #[error("it answered {0}, which is no answer to this")]
    Odd(StatusCode),
    #[error("its answer is encoded ({0}), which nobody asked for")]
    Encoded(String),
    #[error("its answer is no JSON object")]
    NotJson,
}

impl Upstreams {
    /// Asks one upstream.
    pub(super) async fn ask(&self, upstream: &Upstream, wanted: &Wanted<'_>) -> Result<Said, Failure> {
        let name = upstream.config.model.as_deref().unwrap_or(&self.config.name);
        let mut request = upstream.client.request(Method::POST, wanted.path, wanted.body_for(name))?;
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("x-request-id", HeaderValue::from_str(wanted.request_id).map_err(http::Error::from)?);
        let first_byte = self.config.first_byte;
        let began = timeout(first_byte, async {
            let mut answer = upstream.client.send(request).await?;
            let first = answer.piece().await?;
            Ok((answer, first))
        });
        let (answer, first) = began.await.map_err(|_| Failure::Silent(first_byte))?.map_err(Failure::Broken)?;
        let queued = queued(answer.headers());
        let what = self.begun(answer, first.unwrap_or_default()).await?;
        Ok(Said { what, queued })
    }

    async fn begun(&self, from: Answer, first: Bytes) -> Result<Begun, Failure> {
        let status = from.status();
        if let Some(encoding) = from.headers().get(header::CONTENT_ENCODING)
            && encoding.as_bytes() != b"identity"
        {
            return Err(Failure::Encoded(String::from_utf8_lossy(encoding.as_bytes()).chars().take(32).collect()));
        }
        if !status.is_success() && !status.is_client_error() && !status.is_server_error() {
            return Err(Failure::Odd(status));
        }
        let kind = from.headers().get(header::CONTENT_TYPE).cloned();
        let is_stream = kind.as_ref().is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        if status.is_success() && is_stream {
            return Ok(Begun::Stream(from, first));
        }
        let whole = self.read(from, first).await?;
        if status.is_success() && usage_of_answer(&whole).is_err() {
            return Err(Failure::NotJson);
        }
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

    async fn read(&self, mut from: Answer, first: Bytes) -> Result<Bytes, Failure> {
        if from.is_over() && first.len() <= WHOLE_MOST {
            return Ok(first);
        }
        let mut whole = Vec::from(first);
        let reading = timeout(self.config.whole, async {
            while let Some(piece) = self.next(&mut from).await? {
                whole.extend_from_slice(&piece);
                if whole.len() > WHOLE_MOST {
                    return Err(Failure::TooLong);
                }
            }
            Ok(())
        });
        reading.await.map_err(|_| Failure::Silent(self.config.whole))??;
        Ok(whole.into())
    }

    /// The next piece of an answer.
    pub(super) async fn next(&self, from: &mut Answer) -> Result<Option<Bytes>, Failure> {
        let between = self.between();
        timeout(between, from.piece()).await.map_err(|_| Failure::Silent(between))?.map_err(Failure::Broken)
    }
}

fn queued(headers: &HeaderMap) -> Duration {
    let told = headers.get(QUEUED).and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
    Duration::from_micros(u64::from(told.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_body_the_models_name_alone_is_changed() {
        let body = Bytes::from_static(b"{ \"model\" : \"a\\u0062\", \"x\": 1.50 }");
        let wanted = Wanted { path: "/chat/completions", body: &body, name_at: 12..21, request_id: "r" };
        assert_eq!(&wanted.body_for("other \"one\"")[..], br#"{ "model" : "other \"one\"", "x": 1.50 }"#);
        let body = Bytes::from_static(b"{\"model\":\"ab\"}");
        let wanted = Wanted { body: &body, name_at: 9..13, ..wanted };
        assert_eq!(wanted.body_for("ab").as_ptr(), body.as_ptr(), "no copy");
    }
}
