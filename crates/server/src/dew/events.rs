//! What changes, as it changes (docs/events.md): a stream of server-sent events, or the last ones as a list.

use axum::{
    body::Body,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use dewpoint_api::{ErrorId, EventKind, EventType, EventsResponse};
use dewpoint_store::feed::Cursor;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    ApiError, App, Caller, Json, Operation, Query, auth,
    context::Context,
    events::{self, Follower, Objects, STREAMS_OF_ACCOUNT, Wanted},
};

/// Events of a list, unless the request says otherwise.
const LIMIT: usize = 100;
/// Most events of a list; fewer where each carries what it is about.
const LIMIT_MAX: usize = 1000;
const LIMIT_MAX_OF_OBJECTS: usize = 100;
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/dew/v1/events", events)
            .id("dew_events")
            .says("What changes in the account: a stream with Accept: text/event-stream, otherwise the last ones.")
            .watches()
            .query::<Asked>()
            .answers::<EventsResponse>(200),
    ]
}

/// Which events, and from where on.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Asked {
    /// After the event of this id; 0: from the oldest that is kept. A stream begins with what happens next unless said, a list
    /// with the oldest. The header Last-Event-ID goes before it.
    since: Option<String>,
    /// Of these kinds, separated by commas, such as `droplet,action`.
    kind: Option<String>,
    /// Of these types, separated by commas: made, changed, gone.
    #[serde(rename = "type")]
    happened: Option<String>,
    /// About the resource of this number, uuid or name.
    id: Option<String>,
    /// `true`: each with what its path shows when it is told.
    objects: Option<bool>,
    /// Most events of a list, 1 to 1000, with objects to 100. 100 unless said.
    limit: Option<usize>,
}

/// The words of a list, which are all known.
fn words<T: std::str::FromStr>(name: &str, list: Option<&str>, known: &[&str]) -> Result<Vec<T>, ApiError> {
    let words = list.unwrap_or_default().split(',').map(str::trim).filter(|word| !word.is_empty());
    let read = |word: &str| {
        let known = known.join(", ");
        word.parse().map_err(|_| {
            ApiError::bad_request(format!("The query cannot be read: {name} is a list of {known}; not {word:?}."))
        })
    };
    words.map(read).collect()
}

impl Asked {
    fn wanted(&self) -> Result<Wanted, ApiError> {
        let kinds: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
        let types: Vec<&str> = EventType::ALL.iter().map(|kind| kind.as_str()).collect();
        Ok(Wanted {
            kinds: words("kind", self.kind.as_deref(), &kinds)?,
            types: words("type", self.happened.as_deref(), &types)?,
            id: self.id.clone().filter(|id| !id.is_empty()),
        })
    }

    /// Where to begin; `None` when that was not said.
    fn from(&self, app: &App, headers: &HeaderMap) -> Result<Option<Cursor>, ApiError> {
        if let Some(last) = headers.get(LAST_EVENT_ID).filter(|last| !last.is_empty()) {
            // A client repeats what it was sent. What is no place of ours is one of somebody else's.
            return Ok(Some(last.to_str().ok().and_then(|last| last.parse().ok()).unwrap_or(Cursor::NOWHERE)));
        }
        match self.since.as_deref().filter(|since| !since.is_empty()) {
            None => Ok(None),
            Some("0") => Ok(Some(app.control.store().feed().beginning())),
            Some(since) => since.parse().map(Some).map_err(|_| {
                ApiError::bad_request(
                    "The query cannot be read: since is the id of an event, or 0 for the oldest that is kept.",
                )
            }),
        }
    }
}

/// `GET /dew/v1/events`. 400 for a query that cannot be read; 429 for one stream of an account too many.
async fn events(
    State(app): State<App>,
    caller: Caller,
    Query(asked): Query<Asked>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, _) = request.into_parts();
    let (wanted, from) = (asked.wanted()?, asked.from(&app, &parts.headers)?);
    let grant = Context::of(&parts).and_then(|context| context.grant.clone()).ok_or_else(ApiError::unauthorized)?;
    let token = auth::bearer(&parts.headers).ok_or_else(ApiError::unauthorized)?.to_owned();
    let cut = parts.extensions.get().cloned();
    let streams = wants_stream(&parts.headers);
    let with_objects = asked.objects == Some(true);
    let objects = with_objects.then(|| Objects::new(app.clone(), grant.clone(), parts));
    if !streams {
        let most = if with_objects { LIMIT_MAX_OF_OBJECTS } else { LIMIT_MAX };
        let limit = asked.limit.unwrap_or(LIMIT).clamp(1, most);
        return Ok(Json(list(&app, &caller, &wanted, objects, from, limit).await).into_response());
    }
    let place = app.events.enter(caller.account).ok_or_else(|| {
        let text = format!("Too many streams of events are open: an account may have {STREAMS_OF_ACCOUNT} at once.");
        ApiError::new(ErrorId::TooManyRequests, text)
    })?;
    let from = from.unwrap_or_else(|| app.control.store().feed().end());
    let (control, keep_alive) = (app.control.clone(), app.config.event_keep_alive);
    let follower = Follower { place, control, grant, token, wanted, objects, from, keep_alive, cut };
    Ok(stream(events::follow(&app.events, follower)))
}

/// A client that reads server-sent events says so, as browsers do by themselves.
fn wants_stream(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.to_ascii_lowercase().contains("text/event-stream"))
}

fn stream(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Nothing comes after it, and proxies are not to collect it.
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

async fn list(
    app: &App,
    caller: &Caller,
    wanted: &Wanted,
    objects: Option<Objects>,
    from: Option<Cursor>,
    limit: usize,
) -> EventsResponse {
    let feed = app.control.store().feed();
    let from = from.unwrap_or_else(|| feed.beginning());
    let got = events::read(feed, from, limit, |event| event.concerns(caller.account) && wanted.meets(event));
    let next = got.next;
    let mut events: Vec<dewpoint_api::Event> = got.events.into_iter().map(|event| events::shown(event, next)).collect();
    if let Some(objects) = objects {
        for event in &mut events {
            objects.put_into(event).await;
        }
    }
    EventsResponse { events, gap: got.gap.map(Into::into), next: next.to_string() }
}
