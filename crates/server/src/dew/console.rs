//! A Droplet's serial console over HTTP: the end of what it wrote, what it writes as it writes it, and typing.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    response::Response,
};
use dewpoint_api::{DropletId, ErrorId};
use dewpoint_control::Error;
use dewpoint_engine::Console;
use futures_util::stream;
use http::{HeaderName, HeaderValue, header};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::{
    sync::{broadcast::error::RecvError, mpsc},
    time::timeout,
};

use crate::{
    Again, ApiError, App, Caller, Done, Json, Operation, Path, Query, auth,
    events::{Cut, Place, STREAMS_OF_ACCOUNT},
};

/// How long a client may take for the last bytes when the server ends.
const LAST_BYTES: Duration = Duration::from_secs(1);
/// What stands where a client was too slow for its guest.
const LEFT_OUT: &[u8] = b"\r\n[some of the output is left out here: it came faster than it was read]\r\n";

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/dew/v1/droplets/{droplet_id}/console", read)
            .id("dew_droplets_console")
            .says("The end of what a Droplet wrote to its serial console, as bytes; with follow=true also what it goes on to write.")
            .watches()
            .query::<Asked>()
            .answers_empty(200),
        Operation::post("/dew/v1/droplets/{droplet_id}/console", type_into, Again::Empty)
            .id("dew_droplets_console_type")
            .says("Types into a Droplet's serial console.")
            .needs_full_token()
            .body::<Typed>(),
    ]
}

/// How it is read.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Asked {
    /// `true`: the answer goes on as the guest writes, until it is off, the client leaves or the server ends.
    follow: Option<bool>,
}

/// What is typed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Typed {
    /// The keys as a terminal sends them, 1 to 4096 bytes: Enter is `\r`, Ctrl-C is `\u0003`.
    input: String,
}

/// `GET /dew/v1/droplets/{id}/console`. 422 when the engine keeps none; 429 for one stream of an account too many.
async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DropletId>,
    Query(asked): Query<Asked>,
    request: Request,
) -> Result<Response, ApiError> {
    let console = app.control.droplet_console(caller.account, id).await?;
    let follows = asked.follow == Some(true) && request.method() != http::Method::HEAD;
    let body = match follows {
        false => Body::from(console.log),
        true => {
            let token = auth::bearer(request.headers()).ok_or_else(ApiError::unauthorized)?.to_owned();
            let place = app.events.enter(caller.account).ok_or_else(|| {
                let text = format!("Too many streams are open: an account may have {STREAMS_OF_ACCOUNT} at once.");
                ApiError::new(ErrorId::TooManyRequests, text)
            })?;
            let cut = request.extensions().get().cloned();
            Follower { app, console, token, place, cut }.body()
        }
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if follows {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    }
    Ok(response)
}

/// `POST /dew/v1/droplets/{id}/console`: 204 when it was handed to the guest, which may not read it.
async fn type_into(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DropletId>,
    Json(typed): Json<Typed>,
) -> Result<Done, ApiError> {
    app.control.droplet_type(caller.account, id, typed.input).await?;
    Ok(Done)
}

/// One that listens.
struct Follower {
    app: App,
    console: Console,
    /// When it is good no more, nothing more is told.
    token: String,
    place: Place,
    /// The connection under it.
    cut: Option<Arc<Cut>>,
}

impl Follower {
    fn body(self) -> Body {
        let (pieces, taken) = mpsc::channel(2);
        tokio::spawn(self.run(pieces));
        Body::from_stream(stream::unfold(taken, |mut taken| async {
            taken.recv().await.map(|piece| (Ok::<_, Infallible>(piece), taken))
        }))
    }

    async fn run(self, pieces: mpsc::Sender<Bytes>) {
        let Self { app, console, token, place, cut } = self;
        let mut stopping = app.events.stopping();
        let is_stopping = tokio::select! {
            biased;
            // The sender lives as long as the server.
            _ = stopping.wait_for(|stopping| *stopping) => true,
            () = tell(&app, console, &token, &pieces) => false,
        };
        drop((pieces, place));
        // A server that ends does not wait for a client that takes nothing.
        if let Some(cut) = cut
            && is_stopping
            && timeout(LAST_BYTES, cut.over()).await.is_err()
        {
            cut.now();
        }
    }
}

/// Sends what the guest wrote and writes, until it is off, the client has left, or its token is good no more.
async fn tell(app: &App, console: Console, token: &str, pieces: &mpsc::Sender<Bytes>) {
    let Console { log, mut output, input } = console;
    // Who only listens does not keep it from ending.
    drop(input);
    if !log.is_empty() && pieces.send(log.into()).await.is_err() {
        return;
    }
    loop {
        let piece = tokio::select! {
            piece = output.recv() => piece,
            () = pieces.closed() => return,
        };
        let piece = match piece {
            Ok(piece) => piece,
            Err(RecvError::Lagged(_)) => Bytes::from_static(LEFT_OUT),
            Err(RecvError::Closed) => return,
        };
        // A store that does not answer says nothing about it.
        let is_refused = matches!(app.control.authenticate(token).await, Err(Error::Unauthenticated));
        if is_refused || pieces.send(piece).await.is_err() {
            return;
        }
    }
}
