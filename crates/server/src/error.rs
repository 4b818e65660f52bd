//! What a refusal becomes: the one place where the control plane's reasons get a status, an `id` and a text.

use std::{borrow::Cow, error::Error as StdError, fmt::Write as _, sync::Arc};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use dewpoint_api::{ErrorAttributes, ErrorBody, ErrorId, Invalid};
use dewpoint_control as control;
use dewpoint_store as store;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::rate::Refusal;

/// An answer that is not a success: status, error body (behaviour rules ERR-1, ERR-2) and the headers that go with it.
///
/// As a response it is empty and carries itself along; the edge, which knows the request's id, writes the body and logs the
/// cause of a 5xx once, with its whole chain. The caller never sees the cause.
#[derive(Clone, Debug)]
pub struct ApiError(Box<Refused>);

#[derive(Clone, Debug)]
struct Refused {
    status: StatusCode,
    id: ErrorId,
    message: Cow<'static, str>,
    attributes: Option<ErrorAttributes>,
    headers: HeaderMap,
    cause: Option<Arc<dyn StdError + Send + Sync>>,
}

impl ApiError {
    /// An error of this kind, with the status that goes with it and a sentence for the caller.
    pub fn new(id: ErrorId, message: impl Into<Cow<'static, str>>) -> Self {
        let status = StatusCode::from_u16(id.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self(Box::new(Refused {
            status,
            id,
            message: message.into(),
            attributes: None,
            headers: HeaderMap::new(),
            cause: None,
        }))
    }

    /// 400: the request cannot be read.
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorId::BadRequest, message)
    }

    /// 401: no token, or none that is good. One text for all of them, so that nobody learns which.
    pub fn unauthorized() -> Self {
        Self::new(ErrorId::Unauthorized, "Unable to authenticate you.")
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 403: the token is good and its scopes do not reach this.
    pub fn forbidden() -> Self {
        Self::new(ErrorId::Forbidden, "You are not authorized to perform this operation.")
    }

    /// 404: no such path or object. The text is one that clients match on (ERR-4).
    pub fn not_found() -> Self {
        Self::new(ErrorId::NotFound, "The resource you were accessing could not be found.")
    }

    /// 405: the path is known and takes only the methods in `allow`.
    pub fn method_not_allowed(allow: &HeaderValue) -> Self {
        let methods = allow.to_str().unwrap_or_default();
        Self::new(ErrorId::MethodNotAllowed, format!("This path does not take that method, only {methods}."))
            .with_header(header::ALLOW, allow.clone())
    }

    /// 409: it contradicts what there is, and asking again will not help, which the Python SDK would do twice (ERR-10).
    pub(crate) fn conflict(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorId::Conflict, message)
            .with_header(HeaderName::from_static("x-should-retry"), HeaderValue::from_static("false"))
    }

    /// 409: the same request is being carried out; asking again after `seconds` is right.
    pub(crate) fn under_way(seconds: u32) -> Self {
        Self::new(ErrorId::Conflict, "The same request is still being carried out. Ask again to learn what came of it.")
            .with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// 400, and the end of the connection: what comes behind such a request may be part of it.
    pub(crate) fn ambiguous(why: &'static str) -> Self {
        Self::bad_request(why).with_header(header::CONNECTION, HeaderValue::from_static("close"))
    }

    /// 413: the body is larger than `limit` bytes. The `id` is one that clients know.
    pub fn too_large(limit: usize) -> Self {
        let mut error = Self::bad_request(format!("The request body is larger than {limit} bytes."));
        error.0.status = StatusCode::PAYLOAD_TOO_LARGE;
        error
    }

    /// 408: the body did not come in time, and what was not read of it ends the connection. The `id` is one that clients know.
    pub(crate) fn too_slow() -> Self {
        let mut error = Self::bad_request("The request body did not arrive in time. Send it again, and faster.");
        error.0.status = StatusCode::REQUEST_TIMEOUT;
        error.with_header(header::CONNECTION, HeaderValue::from_static("close"))
    }

    /// 429: one request too many (RATE-3).
    pub fn too_many_requests(refusal: Refusal) -> Self {
        let error = Self::new(ErrorId::TooManyRequests, "API rate limit exceeded.");
        match refusal.retry_after_seconds() {
            Some(seconds) => error.with_header(header::RETRY_AFTER, HeaderValue::from(seconds)),
            None => error,
        }
    }

    /// 422: well-formed and wrong.
    pub fn unprocessable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorId::UnprocessableEntity, message)
    }

    /// 500: our fault. The caller is told no more; the log gets `cause`.
    pub fn internal(cause: impl StdError + Send + Sync + 'static) -> Self {
        let mut error = Self::new(ErrorId::ServerError, "Unexpected server-side error");
        error.0.cause = Some(Arc::new(cause));
        error
    }

    /// 503: nothing was changed, and the same request may do later. The log gets `cause`.
    pub fn unavailable(message: &'static str, cause: impl StdError + Send + Sync + 'static) -> Self {
        let mut error = Self::new(ErrorId::ServiceUnavailable, message);
        error.0.cause = Some(Arc::new(cause));
        error
    }

    /// What a response that is no success and has no error body of ours becomes, such as a refusal of the framework's.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let known = ErrorId::ALL.iter().copied().find(|id| id.status() == status.as_u16());
        let fallback = if status.is_server_error() { ErrorId::ServerError } else { ErrorId::BadRequest };
        let message = status.canonical_reason().unwrap_or("The request could not be answered.");
        let mut error = Self::new(known.unwrap_or(fallback), message);
        error.0.status = status;
        error
    }

    /// The documented error of this status as a fault orders it, with another message or a time to come back if so ordered.
    pub(crate) fn ordered(status: StatusCode, message: Option<String>, retry_after: Option<u64>) -> Self {
        let mut error = match status {
            StatusCode::UNAUTHORIZED => Self::unauthorized(),
            StatusCode::FORBIDDEN => Self::forbidden(),
            StatusCode::NOT_FOUND => Self::not_found(),
            StatusCode::INTERNAL_SERVER_ERROR => Self::new(ErrorId::ServerError, "Unexpected server-side error"),
            other => Self::of_status(other),
        };
        if let Some(message) = message {
            error.0.message = message.into();
        }
        match retry_after {
            Some(seconds) => error.with_header(header::RETRY_AFTER, HeaderValue::from(seconds)),
            None => error,
        }
    }

    /// Adds a header to the answer.
    fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Adds headers to the answer.
    pub(crate) fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.0.headers.extend(headers);
        self
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The sentence for the caller.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Why, for the log: every text of the chain. `None` when the caller was told all there is.
    pub(crate) fn cause_chain(&self) -> Option<String> {
        let cause = self.0.cause.as_ref()?;
        let mut chain = cause.to_string();
        let mut next = cause.source();
        while let Some(error) = next {
            // Writing to a string cannot fail.
            let _ = write!(chain, ": {error}");
            next = error.source();
        }
        Some(chain)
    }

    /// The answer as it is sent.
    pub(crate) fn render(self, request_id: &str) -> Response {
        let Refused { status, id, message, attributes, headers, cause: _ } = *self.0;
        let body = ErrorBody {
            id: id.into(),
            message: message.into_owned(),
            request_id: Some(request_id.to_owned()),
            error_attributes: attributes,
        };
        let text = serde_json::to_vec(&body).expect("strings and words always serialize");
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = status;
        response.headers_mut().extend(headers);
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.0.status;
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        Self::unprocessable(invalid.to_string())
    }
}

/// Not the operator's business alone: whoever asked has to wait for room, and should not look for a fault of their own.
const DISK_FULL: &str = "The server's disk is full, so nothing was changed. Try again when its operator has made room.";

impl From<control::Error> for ApiError {
    fn from(error: control::Error) -> Self {
        use control::Error as E;
        let id = match &error {
            E::Unauthenticated => return Self::unauthorized(),
            E::NotFound => return Self::not_found(),
            E::Forbidden(_) => ErrorId::Forbidden,
            E::Malformed(_) => ErrorId::BadRequest,
            E::Invalid(_) | E::OutOfStock { .. } | E::Busy => ErrorId::UnprocessableEntity,
            E::Conflict(message) => return Self::conflict(message.clone()),
            E::Precondition(_) => ErrorId::PreconditionFailed,
            E::Store(store::Error::DiskFull) => return Self::unavailable(DISK_FULL, error),
            E::Store(_) | E::Engine(_) | E::Panicked(_) | E::SetAside => return Self::internal(error),
        };
        let mut answer = Self::new(id, error.to_string());
        if let E::OutOfStock { available_regions, .. } = error {
            answer.0.attributes = Some(ErrorAttributes { available_regions: Some(available_regions) });
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use dewpoint_api::RegionSlug;
    use http_body_util::BodyExt as _;

    use super::*;

    async fn rendered(error: impl Into<ApiError>) -> (StatusCode, http::HeaderMap, serde_json::Value) {
        let (parts, body) = error.into().render("r-1").into_parts();
        let bytes = body.collect().await.expect("a body in memory").to_bytes();
        (parts.status, parts.headers, serde_json::from_slice(&bytes).expect("JSON"))
    }

    #[tokio::test]
    async fn each_reason_has_the_status_and_the_id_clients_know_err_2() {
        let cases = [
            (control::Error::Unauthenticated, 401, "unauthorized"),
            (control::Error::Forbidden("no".into()), 403, "forbidden"),
            (control::Error::NotFound, 404, "not_found"),
            (control::Error::Malformed("what?".into()), 400, "bad_request"),
            (control::Error::invalid("wrong"), 422, "unprocessable_entity"),
            (control::Error::Busy, 422, "unprocessable_entity"),
            (control::Error::Conflict("taken".into()), 409, "conflict"),
            (control::Error::Precondition("not empty".into()), 412, "precondition_failed"),
        ];
        for (error, status, id) in cases {
            let message = error.to_string();
            let (got, _, body) = rendered(error).await;
            assert_eq!(got.as_u16(), status);
            assert_eq!(body, serde_json::json!({ "id": id, "message": message, "request_id": "r-1" }));
        }
    }

    #[tokio::test]
    async fn a_conflict_says_that_asking_again_will_not_help_err_10() {
        let (_, headers, _) = rendered(control::Error::Conflict("taken".into())).await;
        assert_eq!(headers["x-should-retry"], "false");
    }

    #[tokio::test]
    async fn want_of_capacity_names_the_regions_that_have_some_err_7() {
        let error = control::Error::OutOfStock {
            message: "No GPU is free in nyc2.".into(),
            available_regions: vec![RegionSlug::from("tor1")],
        };
        let (status, _, body) = rendered(error).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(body["error_attributes"], serde_json::json!({ "available_regions": ["tor1"] }));
    }

    #[tokio::test]
    async fn a_full_disk_is_said_and_can_pass() {
        let (status, headers, body) = rendered(control::Error::Store(store::Error::DiskFull)).await;
        assert_eq!((status.as_u16(), &body["id"]), (503, &serde_json::json!("service_unavailable")));
        assert!(body["message"].as_str().is_some_and(|text| text.contains("disk is full")), "{body}");
        assert!(!headers.contains_key("x-should-retry"), "asking again is right");
    }

    #[tokio::test]
    async fn our_own_failures_are_told_to_the_log_and_not_to_the_caller() {
        let inner = std::io::Error::other("disk /secret/path is on fire");
        let error = ApiError::internal(inner);
        assert_eq!(error.cause_chain().as_deref(), Some("disk /secret/path is on fire"));
        let (status, _, body) = rendered(error).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(body["message"], "Unexpected server-side error");
        assert!(!body.to_string().contains("secret"));
    }
}
