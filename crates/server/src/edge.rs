//! The one pass around every request: id, route, token, scope, limits, handler, headers, log line, counters.
//!
//! Order of checks (behaviour rule ERR-9): path and method, authentication, scope, rate limit (counted in every case), and
//! only then does the handler read the body. Errors travel as [`ApiError`] and get their body here, where the id is known.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{self, Poll},
    time::Instant,
};

use axum::{
    body::{Body, HttpBody as _},
    extract::Request,
    response::IntoResponse as _,
    response::Response,
};
use dewpoint_control::{Grant, Random};
use dewpoint_store::feed;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use ipnet::IpNet;
use tracing::{Instrument as _, Span, field};
use uuid::Uuid;

use crate::{
    ApiError, App, ambiguous,
    audit::Trail,
    auth,
    context::Context,
    cors,
    extract::JSON,
    leftover::Leftover,
    once,
    operation::{Access, Operation},
    rate::{Allowance, RateLimiter},
    serve::places::Places,
    simulator::{requests::Note, strike::Unanswered},
    table::Found,
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RATELIMIT_LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RATELIMIT_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// The whole server as a tower service: give it a request, get the answer. It never fails and clones cheaply.
#[derive(Clone, Debug)]
pub struct Edge {
    app: App,
}

/// What became of a request on its way in.
struct Outcome {
    response: Response,
    /// What the rate limit headers say; `None`: no token was counted.
    allowance: Option<Allowance>,
    /// Whose request it is, when its token is good.
    grant: Option<Arc<Grant>>,
    /// The answer is not to be sent.
    unanswered: bool,
}

impl From<Response> for Outcome {
    fn from(response: Response) -> Self {
        Self { response, allowance: None, grant: None, unanswered: false }
    }
}

impl From<ApiError> for Outcome {
    fn from(error: ApiError) -> Self {
        error.into_response().into()
    }
}

impl Edge {
    /// The edge in front of the operations of `app`.
    pub(crate) fn new(app: App) -> Self {
        Self { app }
    }

    /// Ends the streams of events, and answers of models a little later, so that their connections can end.
    pub fn stop_streams(&self) {
        self.app.events.stop();
        self.app.inference.end_after(self.app.config.inference.ending);
    }

    /// Proxies whose word about a client's address counts.
    pub(crate) fn trusted_proxies(&self) -> &[IpNet] {
        &self.app.config.trusted_proxies
    }

    /// The places there are for connections.
    pub(crate) fn places(&self) -> &Arc<Places> {
        &self.app.places
    }

    async fn answer(self, request: Request) -> Response {
        let started = Instant::now();
        let head_only = request.method() == Method::HEAD;
        let origin = request.headers().get(header::ORIGIN).cloned();
        let found = match *request.method() {
            Method::OPTIONS => None,
            ref method => Some(self.app.table.find(method, request.uri().path())),
        };
        let (position, route) = match &found {
            Some(Found::Operation(position, operation, _)) => (Some(*position), operation.path),
            Some(Found::OtherMethods(_) | Found::Nothing) | None => (None, ""),
        };
        let given = match &found {
            Some(Found::Operation(_, operation, _)) if operation.access == Access::ModelKey => {
                own_id(request.headers())
            }
            Some(_) | None => None,
        };
        let request_id = given.unwrap_or_else(|| new_request_id(self.app.control.random()));
        let span = tracing::info_span!(
            "request",
            request.id = %request_id,
            method = %request.method(),
            route,
            account.id = field::Empty,
        );
        let mut trail = match &found {
            Some(Found::Operation(_, operation, _)) => {
                Some(Trail::begin(&self.app.control, operation, &request, &request_id))
            }
            Some(Found::OtherMethods(_) | Found::Nothing) | None => None,
        };
        let (request, leftover) = Leftover::of(request);
        let (request, note) = self.note(request, found.as_ref()).await;
        let dispatched = self.dispatch(request, found, &request_id, trail.as_mut());
        let outcome = feed::asked_by(Arc::clone(&request_id), dispatched).instrument(span.clone()).await;

        let ends = match leftover {
            Some(leftover) => !leftover.discard().await,
            None => false,
        };
        let entered = span.enter();
        let (grant, unanswered) = (outcome.grant, outcome.unanswered);
        let mut response = with_error_body(outcome.response, &request_id);
        let status = response.status();
        if let Some(trail) = trail {
            trail.answered(status);
        }
        if ends {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let allowance = outcome.allowance.unwrap_or_else(|| RateLimiter::untouched(self.app.control.clock().now()));
        put_headers(&mut response, &request_id, &allowance);
        if let Some(origin) = origin {
            cors::admit(origin, response.headers_mut());
        }
        if head_only {
            response = without_body(response);
        }
        let elapsed = started.elapsed();
        self.app.metrics.count(position, status, elapsed);
        if let Some(note) = note {
            note.write(&request_id, &response, grant.as_deref(), elapsed, unanswered);
        }
        tracing::debug!(
            status = status.as_u16(),
            elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
            "Answered {status}"
        );
        drop(entered);
        if unanswered {
            response.extensions_mut().insert(Unanswered);
        }
        response
    }

    /// Looks at a request for the simulator's log; at none that steers the simulator, or that anybody may ask.
    async fn note(&self, request: Request, found: Option<&Found<'_>>) -> (Request, Option<Note>) {
        let passed_over = match found {
            Some(Found::Operation(_, operation, _)) => operation.steers || operation.access == Access::Open,
            Some(Found::OtherMethods(_) | Found::Nothing) => false,
            None => true,
        };
        match &self.app.simulator {
            Some(simulator) if !passed_over => {
                let (request, note) = Note::of(simulator, request).await;
                (request, Some(note))
            }
            Some(_) | None => (request, None),
        }
    }

    async fn dispatch(
        &self,
        mut request: Request,
        found: Option<Found<'_>>,
        request_id: &Arc<str>,
        trail: Option<&mut Trail<'_>>,
    ) -> Outcome {
        if let Some(why) = ambiguous::refusal(request.headers()) {
            return ApiError::ambiguous(why).into();
        }
        let (operation, parameters) = match found {
            None => {
                let allow = self.app.table.allowed(request.uri().path());
                return cors::preflight(request.headers(), allow).into();
            }
            Some(Found::Nothing) => return ApiError::not_found().into(),
            Some(Found::OtherMethods(allow)) => return ApiError::method_not_allowed(&allow).into(),
            Some(Found::Operation(_, operation, parameters)) => (operation, parameters),
        };
        let (grant, allowance) = match operation.access {
            Access::Open => (None, None),
            Access::Scopes(_) | Access::Full | Access::ModelKey | Access::Operator => {
                match self.admit(operation, request.headers(), trail).await {
                    Ok((grant, allowance)) => (Some(grant), allowance),
                    Err(refused) => {
                        if let Some(holder) = &refused.grant {
                            self.turn_away(operation, request, holder).await;
                        }
                        return refused;
                    }
                }
            }
        };
        let context = Context { request_id: request_id.clone(), parameters, grant: grant.clone() };
        request.extensions_mut().insert(context);
        match (&self.app.simulator, &grant) {
            (Some(simulator), Some(holder)) if !operation.steers => {
                let struck =
                    simulator.pass(request, holder, |request| self.handle(operation, request, Some(holder))).await;
                let allowance = allowance.map(|allowance| struck.allowance(allowance));
                if let Some(request) = struck.refused {
                    self.turn_away(operation, request, holder).await;
                }
                Outcome { response: struck.response, allowance, grant, unanswered: struck.unanswered }
            }
            _ => {
                let response = self.handle(operation, request, grant.as_ref()).await;
                Outcome { response, allowance, grant, unanswered: false }
            }
        }
    }

    /// Brings a request to its handler; a POST at most once.
    async fn handle(&self, operation: &Operation, request: Request, grant: Option<&Arc<Grant>>) -> Response {
        match grant {
            Some(grant) if operation.is_done_once() => once::perform(&self.app, operation, grant, request).await,
            Some(_) | None => operation.run(request, self.app.clone()).await,
        }
    }

    /// Takes note of a request that is refused here: a retry of it is a retry of nothing.
    async fn turn_away(&self, operation: &Operation, request: Request, grant: &Grant) {
        if operation.is_done_once() {
            once::turned_away(&self.app, grant, request).await;
        }
    }

    /// Token, count, scope, limit, in that order.
    async fn admit(
        &self,
        operation: &Operation,
        headers: &HeaderMap,
        trail: Option<&mut Trail<'_>>,
    ) -> Result<(Arc<Grant>, Option<Allowance>), Outcome> {
        let token = auth::bearer(headers).ok_or_else(ApiError::unauthorized)?;
        let grant = match operation.access {
            Access::ModelKey => self.app.control.authenticate_for_models(token).await,
            Access::Open | Access::Scopes(_) | Access::Full | Access::Operator => {
                self.app.control.authenticate(token).await
            }
        };
        let grant = grant.map_err(ApiError::from)?;
        Span::current().record("account.id", field::display(grant.account));
        if let Some(trail) = trail {
            trail.asked_by(&grant);
        }
        if operation.steers && operation.access.admits(&grant) {
            return Ok((grant, None));
        }
        let now = self.app.control.clock().now();
        let allowance = self.app.rates.count(grant.token, operation.bucket, now);
        let refusal = if operation.access.admits(&grant) {
            allowance.refusal.map(ApiError::too_many_requests)
        } else {
            Some(ApiError::forbidden())
        };
        match refusal {
            None => Ok((grant, Some(allowance))),
            Some(error) => Err(Outcome {
                response: error.into_response(),
                allowance: Some(allowance),
                grant: Some(grant),
                unanswered: false,
            }),
        }
    }
}

impl tower::Service<Request> for Edge {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let edge = self.clone();
        Box::pin(async move { Ok(edge.answer(request).await) })
    }
}

/// A name for one request: a random UUID. Never taken from a request that can change something, so that one in the audit log
/// is one of ours.
fn new_request_id(random: &Random) -> Arc<str> {
    let mut buffer = Uuid::encode_buffer();
    Arc::from(&*random.uuid().hyphenated().encode_lower(&mut buffer))
}

/// The name that a client gave its request, where it may: 1 to 128 letters, digits and `-_.:`. Only where nothing is written
/// down by that name.
fn own_id(headers: &HeaderMap) -> Option<Arc<str>> {
    let text = headers.get(X_REQUEST_ID)?.to_str().ok()?;
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    ((1..=128).contains(&text.len()) && text.bytes().all(is_fit)).then(|| Arc::from(text))
}

/// Gives an error its body and logs why, if it was our fault. An error that is not one of ours gets a body like ours.
fn with_error_body(mut response: Response, request_id: &str) -> Response {
    let error = match response.extensions_mut().remove::<ApiError>() {
        Some(error) => error,
        None if is_foreign_error(&response) => ApiError::of_status(response.status()),
        None => return response,
    };
    if let Some(cause) = error.cause_chain() {
        tracing::error!(cause, "A request failed through a fault of ours: {cause}");
    }
    error.render(request_id)
}

fn is_foreign_error(response: &Response) -> bool {
    let status = response.status();
    (status.is_client_error() || status.is_server_error())
        && response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_none_or(|kind| !kind.as_bytes().starts_with(b"application/json"))
}

fn put_headers(response: &mut Response, request_id: &str, allowance: &Allowance) {
    let has_body = response.body().size_hint().exact() != Some(0);
    let headers = response.headers_mut();
    if has_body {
        headers.entry(header::CONTENT_TYPE).or_insert(JSON);
    }
    headers.insert(RATELIMIT_LIMIT, HeaderValue::from(allowance.limit));
    headers.insert(RATELIMIT_REMAINING, HeaderValue::from(allowance.remaining));
    headers.insert(RATELIMIT_RESET, HeaderValue::from(allowance.reset.as_seconds()));
    headers.insert(X_REQUEST_ID, HeaderValue::from_str(request_id).expect("an id is header text"));
}

/// What HEAD gets: the headers that GET would, the length of the body among them.
fn without_body(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact()
        && parts.status != StatusCode::NO_CONTENT
    {
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(parts, Body::empty())
}
