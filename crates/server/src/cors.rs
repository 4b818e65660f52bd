//! Pages of other origins may call the API (behaviour rule PRO-8). It takes tokens and no cookies, so that gives nothing away.

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
const USUAL_HEADERS: HeaderValue = HeaderValue::from_static("authorization, content-type, idempotency-key");
const EXPOSED: HeaderValue =
    HeaderValue::from_static("RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After, X-Request-Id");
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// The answer to a preflight request, or to any other `OPTIONS`: 204 and what may be sent. `allow` has what the path takes,
/// if there is one; a page may send any method, so that it can read the refusal.
pub(crate) fn preflight(request: &HeaderMap, allow: Option<HeaderValue>) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, allow.unwrap_or(METHODS));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    let asked = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.cloned().unwrap_or(USUAL_HEADERS));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    response
}

/// Lets a page of `origin` read the answer.
pub(crate) fn admit(origin: HeaderValue, answer: &mut HeaderMap) {
    answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    answer.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    answer.append(header::VARY, HeaderValue::from_static("origin"));
}
