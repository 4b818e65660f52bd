//! The metadata service on its listener: who asks is known before the first byte is read.

use std::{convert::Infallible, future::Future, net::Ipv6Addr, pin::pin, sync::Arc, time::Duration};

use axum::{body::Body, response::Response};
use dewpoint_api::DropletId;
use dewpoint_control::{Control, Error};
use dewpoint_engine::{MachineId, MetadataListener};
use http::{HeaderValue, Method, StatusCode, header};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::watch};

use super::tree::{Answer, answer};
use crate::{
    ConnectionLimits,
    serve::{
        patience::{Pace, Patient},
        places::Places,
    },
};

/// How long to wait when no connection can be accepted, as when the process has no file descriptor left.
const PAUSE: Duration = Duration::from_millis(50);
/// How long requests under way may take to end after `shutdown`.
const DRAIN: Duration = Duration::from_secs(5);
/// The least that hyper takes as the size of its buffer.
const BUFFER: usize = 8192;

/// What guests may take: each machine is an address of its own here.
fn limits() -> ConnectionLimits {
    ConnectionLimits {
        most: 4096,
        most_per_address: 16,
        head_time: Duration::from_secs(10),
        head_bytes: BUFFER,
        idle_time: Duration::from_secs(30),
        write_time: Duration::from_secs(10),
        ..ConnectionLimits::default()
    }
}

/// Tells the machines of `listener` about themselves until `shutdown` is done, then ends in order, within seconds.
///
/// Whose data is told is said by the listener alone; no header, path or address a machine sends changes it.
pub async fn serve_metadata(listener: Box<dyn MetadataListener>, control: Control, shutdown: impl Future<Output = ()>) {
    let places = Arc::new(Places::new(limits()));
    let (stop, stopped) = watch::channel(());
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, machine)) => match places.take(household(machine), false) {
                Ok(place) => {
                    let answering = answer_all(stream, machine, control.clone(), Arc::clone(&places), stopped.clone());
                    tokio::spawn(async move {
                        answering.await;
                        drop(place);
                    });
                }
                Err(full) => {
                    tracing::debug!(%machine, ?full, "A connection for metadata is closed: there are too many")
                }
            },
            Err(error) => {
                tracing::warn!(%error, "No connection for metadata can be accepted: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop((listener, stopped));
    stop.send_replace(());
    if tokio::time::timeout(DRAIN, stop.closed()).await.is_err() {
        tracing::warn!("Some requests for metadata did not end in time and are cut off");
    }
}

/// The address a machine counts as: one /64 each, whatever it sends from.
fn household(machine: MachineId) -> std::net::IpAddr {
    Ipv6Addr::from(u128::from(machine.0) << 64).into()
}

async fn answer_all(
    stream: TcpStream,
    machine: MachineId,
    control: Control,
    places: Arc<Places>,
    mut stopped: watch::Receiver<()>,
) {
    let pace = Arc::<Pace>::default();
    let stream = Patient::new(stream, Arc::clone(&pace), places);
    let service = service_fn(move |request: Request<Incoming>| {
        let (busy, control) = (pace.busy(), control.clone());
        async move {
            let response = respond(&control, machine, request.method(), request.uri().path()).await;
            Ok::<_, Infallible>(response.map(|body| busy.until_taken(body, false)))
        }
    });
    let serving = http1::Builder::new()
        .header_read_timeout(None)
        .max_header_size(BUFFER)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        _ = stopped.changed() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%machine, %error, "A connection for metadata ended early");
    }
}

/// The answer to one request of a machine.
async fn respond(control: &Control, machine: MachineId, method: &Method, path: &str) -> Response<Body> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD.\n".to_owned());
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let found = match control.metadata_of_machine(DropletId(machine.0)).await {
        Ok(facts) => answer(&facts, path),
        Err(Error::NotFound) => Answer::Nothing,
        Err(error) => {
            tracing::error!(%machine, error = %error, "A Droplet's metadata cannot be read");
            return text(StatusCode::SERVICE_UNAVAILABLE, "Not now.\n".to_owned());
        }
    };
    match found {
        Answer::Text(told) => text(StatusCode::OK, told),
        Answer::Json(told) => {
            let mut response = text(StatusCode::OK, told.to_string());
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Answer::Moved => {
            let mut response = text(StatusCode::MOVED_PERMANENTLY, String::new());
            // Only a path of the tree moves, and those are header text.
            if let Ok(to) = HeaderValue::from_str(&format!("{path}/")) {
                response.headers_mut().insert(header::LOCATION, to);
            }
            response
        }
        Answer::Nothing => text(StatusCode::NOT_FOUND, "not found\n".to_owned()),
    }
}

fn text(status: StatusCode, told: String) -> Response<Body> {
    let mut response = Response::new(Body::from(told));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
