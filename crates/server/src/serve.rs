//! The server on its socket: connections, their limits, and an orderly end.

use std::{future::Future, io, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use axum::body::Body;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tower::Service as _;

use crate::{Edge, Peer, once::Wire, simulator::strike::Unanswered};

/// How long a connection may take to send a request's head, or lie idle.
const HEAD_TIME: Duration = Duration::from_secs(75);
/// About the most bytes of a request's head: 431 over it.
const HEAD_MAX: usize = 64 * 1024;
/// How long requests under way may take to end after `shutdown`.
const DRAIN_TIME: Duration = Duration::from_secs(20);
/// How long to wait when no connection can be accepted, as when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `edge` on `listener` until `shutdown` is done, then ends in order: no new connections, idle ones closed, requests
/// under way answered (for at most 20 s). Fails only when the listener has no address.
pub async fn serve(listener: TcpListener, edge: Edge, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let address = listener.local_addr()?;
    tracing::info!(%address, "Serving on http://{address}");
    // Connections hold a receiver each: a value tells them to end, and the last one gone is seen by the sender.
    let (stop, stopped) = watch::channel(());
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                tokio::spawn(connection(stream, peer.ip(), edge.clone(), stopped.clone()));
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "No connection can be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop((listener, stopped));
    stop.send_replace(());
    if tokio::time::timeout(DRAIN_TIME, stop.closed()).await.is_err() {
        tracing::warn!(open = stop.receiver_count(), "Some requests did not end in time and are cut off");
    }
    Ok(())
}

async fn connection(stream: TcpStream, address: IpAddr, edge: Edge, stopped: watch::Receiver<()>) {
    // Answers are written whole, so waiting for more bytes to send along only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    answer_all(stream, address, edge, stopped).await;
}

/// Answers what comes on a stream until its client closes it, or `stopped` says so.
pub(crate) async fn answer_all<S>(stream: S, address: IpAddr, edge: Edge, mut stopped: watch::Receiver<()>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let wire = Arc::<Wire>::default();
    let stream = wire.watch(stream);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (mut edge, mut request, wire) = (edge.clone(), request.map(Body::new), Arc::clone(&wire));
        let peer = Peer::behind(address, false, request.headers(), edge.trusted_proxies());
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(Arc::clone(&wire));
        async move {
            match edge.call(request).await {
                // An error of the service closes the connection, which is what the simulator was told to do.
                Ok(response) if response.extensions().get::<Unanswered>().is_some() => {
                    drop(response);
                    wire.breaks();
                    Err("left without an answer")
                }
                Ok(response) => Ok(response),
                Err(never) => match never {},
            }
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut serving = pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        _ = stopped.changed() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "A connection ended early");
    }
}

/// Whether the client was gone before it was accepted, which says nothing about the next one.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::ConnectionRefused | K::ConnectionAborted | K::ConnectionReset | K::Interrupted)
}
