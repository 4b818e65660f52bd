//! What can go wrong with a call, a variant for each thing that a program would do something else about.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use dewpoint_api::{Action, DropletId, ErrorAttributes};
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;

use crate::Kept;

/// What calls fail with. Cheap to clone, so that one failure can be told to several waiters.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// 400: the body or a parameter could not be read.
    #[error("{0}")]
    BadRequest(Arc<Refusal>),
    /// 401: no token, or one that is unknown, expired or revoked.
    #[error("{0}")]
    Authentication(Arc<Refusal>),
    /// 403: the token's scopes or the state forbid it.
    #[error("{0}")]
    PermissionDenied(Arc<Refusal>),
    /// 404: no such object, or another account's.
    #[error("{0}")]
    NotFound(Arc<Refusal>),
    /// 409: a duplicate, or still in use.
    #[error("{0}")]
    Conflict(Arc<Refusal>),
    /// 412: something else has to be done first.
    #[error("{0}")]
    PreconditionFailed(Arc<Refusal>),
    /// 422: well formed, but invalid or not possible now.
    #[error("{0}")]
    Unprocessable(Arc<Refusal>),
    /// 429: over a rate limit, and still after the retries there were. [`Refusal::retry_after`] says for how long.
    #[error("{0}")]
    RateLimited(Arc<Refusal>),
    /// 500 and above, and still after the retries there were.
    #[error("{0}")]
    Server(Arc<Refusal>),
    /// Any other status that is not a success.
    #[error("{0}")]
    Status(Arc<Refusal>),
    /// The server was not reached, or the connection broke. Whether the request was carried out is not known unless
    /// [`Broken::was_sent`] is false.
    #[error("{0}")]
    Connection(Arc<Broken>),
    /// No whole answer within the time limit of the call. Whether the request was carried out is not known.
    #[error("{0}")]
    Timeout(Arc<Broken>),
    /// A success whose body is not what the operation answers with.
    #[error("{0}")]
    Decode(Arc<Undecodable>),
    /// The client, or the call, is set up in a way that cannot work; nothing was sent.
    #[error("{0}")]
    Config(Arc<str>),
    /// An action that was waited for ended as `errored`.
    #[error("action {} ({}) failed", .0.id, .0.kind)]
    ActionFailed(Arc<Kept<Action>>),
    /// The Droplet is there, and what was to be done in it at its first start failed: cloud-init says so.
    #[error("Droplet {id} is active, but its first start failed: {why}")]
    GuestFailed {
        /// The Droplet.
        id: DropletId,
        /// What the guest said.
        why: Arc<str>,
    },
    /// What was waited for did not come within the deadline. It may still come.
    #[error("{what} was not there within {} s", .after.as_secs())]
    WaitedTooLong {
        /// What was waited for.
        what: Arc<str>,
        /// For how long.
        after: Duration,
    },
    /// A stream of events ended in an error that the server sent within it.
    #[error("the stream ended in an error: {0}")]
    Stream(Arc<StreamFailure>),
}

/// What calls give.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn config(text: impl Into<Arc<str>>) -> Self {
        Self::Config(text.into())
    }

    pub(crate) fn stream(message: impl Into<String>, kind: Option<String>, data: String) -> Self {
        Self::Stream(Arc::new(StreamFailure { message: message.into(), kind, data }))
    }

    /// What the server answered, when it did answer and refused.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::BadRequest(refusal)
            | Self::Authentication(refusal)
            | Self::PermissionDenied(refusal)
            | Self::NotFound(refusal)
            | Self::Conflict(refusal)
            | Self::PreconditionFailed(refusal)
            | Self::Unprocessable(refusal)
            | Self::RateLimited(refusal)
            | Self::Server(refusal)
            | Self::Status(refusal) => Some(refusal),
            Self::Connection(_)
            | Self::Timeout(_)
            | Self::Decode(_)
            | Self::Config(_)
            | Self::ActionFailed(_)
            | Self::GuestFailed { .. }
            | Self::WaitedTooLong { .. }
            | Self::Stream(_) => None,
        }
    }

    /// The HTTP status of the refusal, when there is one.
    pub fn status(&self) -> Option<StatusCode> {
        self.refusal().map(|refusal| refusal.status)
    }

    /// The name of the request in the server's log: what to give to whoever runs the server.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Decode(undecodable) => undecodable.request_id.as_deref(),
            other => other.refusal()?.request_id.as_deref(),
        }
    }

    /// Whether this is a 404.
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound(_))
    }
}

/// An answer that is not a success. Source: public OpenAPI, model `error`; behaviour rules ERR-1, ERR-2, ERR-7.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Refusal {
    /// The method of the request.
    pub method: Method,
    /// The path of the request.
    pub path: String,
    /// The status.
    pub status: StatusCode,
    /// The kind of refusal in the server's words, such as `not_found`; empty when the body had none.
    pub id: String,
    /// One or more sentences for people.
    pub message: String,
    /// The request's name in the server's log, from the body or the header `x-request-id`.
    pub request_id: Option<String>,
    /// More for programs to go by, such as the regions that have room.
    pub attributes: Option<ErrorAttributes>,
    /// How long to wait before asking again, when the server said.
    pub retry_after: Option<Duration>,
    /// The body as it came, cut at 64 KiB.
    pub body: String,
}

impl Refusal {
    /// Most bytes of a body that are kept.
    const BODY_MAX: usize = 65_536;

    pub(crate) fn read(method: Method, path: String, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Body {
            id: Option<String>,
            message: Option<String>,
            request_id: Option<String>,
            error_attributes: Option<serde_json::Value>,
            error: Option<Inner>,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Inner {
            Text(String),
            Object {
                message: String,
            },
            #[expect(dead_code, reason = "any other shape is read and passed over")]
            Other(serde_json::Value),
        }
        let read: Body = serde_json::from_slice(body).unwrap_or_default();
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let inner = read.error.and_then(|inner| match inner {
            Inner::Text(message) | Inner::Object { message } => Some(message),
            Inner::Other(_) => None,
        });
        let message = read.message.or(inner).filter(|message| !message.is_empty());
        Self {
            method,
            path,
            status,
            id: read.id.unwrap_or_default(),
            message: message.unwrap_or_else(|| status.canonical_reason().unwrap_or("no reason given").to_owned()),
            request_id: read.request_id.or_else(|| header("x-request-id")),
            attributes: read.error_attributes.and_then(|value| serde_json::from_value(value).ok()),
            retry_after: crate::retry::retry_after(headers),
            body: String::from_utf8_lossy(&body[..body.len().min(Self::BODY_MAX)]).into_owned(),
        }
    }

    pub(crate) fn into_error(self) -> Error {
        let status = self.status;
        let this = Arc::new(self);
        match status.as_u16() {
            400 => Error::BadRequest(this),
            401 => Error::Authentication(this),
            403 => Error::PermissionDenied(this),
            404 => Error::NotFound(this),
            409 => Error::Conflict(this),
            412 => Error::PreconditionFailed(this),
            422 => Error::Unprocessable(this),
            429 => Error::RateLimited(this),
            500.. => Error::Server(this),
            _ => Error::Status(this),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} answered {}: {}", self.method, self.path, self.status.as_u16(), self.message)?;
        self.request_id.iter().try_for_each(|id| write!(f, " (request {id})"))
    }
}

/// A call that got no whole answer.
#[derive(Debug)]
#[non_exhaustive]
pub struct Broken {
    /// The method of the request.
    pub method: Method,
    /// The path of the request.
    pub path: String,
    /// Whether any of the request may have left. When false, it was not carried out.
    pub was_sent: bool,
    pub(crate) source: reqwest::Error,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match (self.source.is_timeout(), self.was_sent) {
            (true, true) => "got no answer in time",
            (true, false) => "could not connect in time",
            (false, true) => "got no answer: the connection broke",
            (false, false) => "could not connect",
        };
        write!(f, "{} {} {what}", self.method, self.path)?;
        // The chain's last link says what happened; what reqwest says before it repeats ours.
        let mut last: Option<&dyn StdError> = self.source.source();
        while let Some(deeper) = last.and_then(StdError::source) {
            last = Some(deeper);
        }
        last.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

impl StdError for Broken {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.source)
    }
}

/// A success with a body that cannot be read.
#[derive(Debug)]
#[non_exhaustive]
pub struct Undecodable {
    /// The method of the request.
    pub method: Method,
    /// The path of the request.
    pub path: String,
    /// The status.
    pub status: StatusCode,
    /// The request's name in the server's log.
    pub request_id: Option<String>,
    /// What is wrong with the body.
    pub problem: String,
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, path, status, problem, .. } = self;
        write!(f, "{method} {path} answered {}, with a body that cannot be read: {problem}", status.as_u16())
    }
}

/// An error that came within a stream of events, after its status said that all was well.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StreamFailure {
    /// What the server said.
    pub message: String,
    /// Its kind, such as `server_error`, when the server named one.
    pub kind: Option<String>,
    /// The event's data as it came.
    pub data: String,
}

impl fmt::Display for StreamFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
