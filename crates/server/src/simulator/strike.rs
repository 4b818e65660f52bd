//! What faults do to a request on its way through the edge.

use std::{future::Future, time::Duration};

use axum::{
    extract::Request,
    response::{IntoResponse as _, Response},
};
use dewpoint_api::{DropletId, TagName};
use dewpoint_clock::Clock as _;
use dewpoint_control::Grant;
use dewpoint_engine::MachineId;
use dewpoint_store::{Tx, tags};
use http::{Method, StatusCode};

use super::{
    Simulator,
    faults::Target,
    order::{Effect, Vanishing},
    requests::look_at_body,
    stale::Memory,
};
use crate::{
    ApiError,
    once::withhold,
    rate::{Allowance, Refusal},
};

/// What became of a request that faults may have struck.
#[derive(Debug)]
pub(crate) struct Passed {
    pub(crate) response: Response,
    /// Its answer is not sent.
    pub(crate) unanswered: bool,
    /// The request, if it was refused before anything was done.
    pub(crate) refused: Option<Request>,
    /// It was told to be over a limit.
    over_limit: bool,
}

impl Passed {
    /// What the rate limit headers say of it.
    pub(crate) fn allowance(&self, counted: Allowance) -> Allowance {
        if self.over_limit { Allowance { remaining: 0, ..counted } } else { counted }
    }
}

/// What is to become of a request.
#[derive(Debug, Default)]
struct Blow {
    /// It is refused so, before anything is done.
    refusal: Option<ApiError>,
    /// It is answered so, after what was asked is done.
    failure: Option<ApiError>,
    over_limit: bool,
    unanswered: bool,
    /// Its answer may be an old one: the faults that say so, and what this GET is known by.
    stale: Vec<(u64, Memory)>,
    key: String,
}

/// Marks a response that is not to be sent: the connection is closed instead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unanswered;

impl Simulator {
    /// Brings a request to its handler and the answer back, past the faults that are about it.
    pub(crate) async fn pass<F>(&self, request: Request, grant: &Grant, handle: impl FnOnce(Request) -> F) -> Passed
    where
        F: Future<Output = Response>,
    {
        let (reads, path) = (request.method() == Method::GET, request.uri().path().to_owned());
        let (request, blow) = self.strike(request, grant).await;
        let Blow { refusal, failure, over_limit, unanswered, stale, key } = blow;
        if let Some(refusal) = refusal {
            return Passed { response: refusal.into_response(), unanswered, refused: Some(request), over_limit };
        }
        let inside = self.control().enter().await;
        let response = handle(request).await;
        drop(inside);
        if response.status().is_success() {
            match reads {
                true => self.delays().was_read(&path),
                false => self.delays().was_changed(&path),
            }
        }
        let response = match failure {
            Some(failure) if response.status().is_success() => {
                withhold(&response);
                failure.into_response()
            }
            Some(_) | None => self.remember(stale, &key, response).await,
        };
        Passed { response, unanswered, refused: None, over_limit }
    }

    /// Lets the faults that are about this request strike it. Returns once those that delay it are over.
    async fn strike(&self, request: Request, grant: &Grant) -> (Request, Blow) {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let target = Target::Request { method: method.as_str(), path: uri.path() };
        let (any, tagged) = self.faults().are_about(target, self.now());
        let mut blow = Blow::default();
        if !any {
            return (request, blow);
        }
        let droplet = droplet_in(uri.path());
        let (request, tags) = match tagged {
            true => self.tags_of(request, droplet).await,
            false => (request, Vec::new()),
        };
        for strike in self.faults().strike(target, &tags, self.now()) {
            match strike.effect {
                Effect::Delay { milliseconds, real } => {
                    let span = Duration::from_millis(milliseconds);
                    match real {
                        true => tokio::time::sleep(span).await,
                        false => self.clock().sleep_until(self.clock().now() + span).await,
                    }
                }
                Effect::Status { status, message, retry_after, after_effect } => {
                    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                    let error = Some(ApiError::ordered(status, message, retry_after));
                    *if after_effect { &mut blow.failure } else { &mut blow.refusal } = error;
                }
                Effect::TooManyRequests { retry_after } => {
                    let wait = Duration::from_secs(retry_after.unwrap_or(1));
                    blow.refusal = Some(ApiError::too_many_requests(Refusal::Minute(wait)));
                    blow.over_limit = true;
                }
                Effect::PendingEvent {} => blow.refusal = Some(dewpoint_control::Error::Busy.into()),
                Effect::Drop {} => blow.unanswered = true,
                Effect::Vanish { what } => self.vanish(droplet, what, grant).await,
                Effect::Stale {} if method == Method::GET => {
                    blow.key = format!("{} {uri}", grant.token);
                    blow.stale.push((strike.id, strike.memory));
                }
                Effect::Stale {} | Effect::StepError { .. } => {}
            }
        }
        (request, blow)
    }

    /// The tags this request is about: those of the Droplet in its path, and those it names itself.
    async fn tags_of(&self, request: Request, droplet: Option<DropletId>) -> (Request, Vec<String>) {
        let (request, body) = look_at_body(request).await;
        let mut tags = match droplet {
            Some(droplet) => self.tags_of_droplet(droplet).await,
            None => Vec::new(),
        };
        let in_query = request.uri().query().unwrap_or_default().split('&');
        let named = in_query.filter_map(|part| part.strip_prefix("tag_name=")).map(decoded);
        tags.extend(named);
        let in_body = body.as_ref().and_then(|body| body.get("tags")).and_then(serde_json::Value::as_array);
        tags.extend(in_body.into_iter().flatten().filter_map(|tag| tag.as_str().map(str::to_owned)));
        (request, tags)
    }

    pub(super) async fn tags_of_droplet(&self, droplet: DropletId) -> Vec<String> {
        let read = move |tx: &mut dyn Tx| tags::tags_of_droplets(tx, &[droplet]);
        let found = self.control().store().read(read).await;
        let mut found = found.unwrap_or_else(|error| {
            tracing::warn!(%error, "Cannot read a Droplet's tags: faults that ask for one pass it over");
            Default::default()
        });
        found.remove(&droplet).unwrap_or_default().iter().map(TagName::to_string).collect()
    }

    async fn vanish(&self, droplet: Option<DropletId>, what: Vanishing, grant: &Grant) {
        let Some(id) = droplet else { return };
        let gone = match what {
            Vanishing::Machine => self.engine().vanish(MachineId(id.0)).await.map_err(dewpoint_control::Error::from),
            Vanishing::Droplet => self.control().droplet_delete(grant.account, id).await,
        };
        if let Err(error) = gone {
            tracing::info!(droplet.id = %id, %error, "Droplet {id} could not be made to vanish: {error}");
        }
    }

    /// The answer, or an older one in its place.
    async fn remember(&self, stale: Vec<(u64, Memory)>, key: &str, mut response: Response) -> Response {
        for (id, memory) in stale {
            response = memory.answer(key, response, || self.faults().gave(id, self.now())).await;
        }
        response
    }
}

/// The Droplet that a path names: `/v2/droplets/{id}` and what is below it.
fn droplet_in(path: &str) -> Option<DropletId> {
    let (_, after) = path.split_once("/droplets/")?;
    after.split('/').next()?.parse().ok()
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}
