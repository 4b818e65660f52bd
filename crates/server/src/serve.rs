//! The server on its socket: connections, their limits, and an orderly end.

pub(crate) mod arriving;
pub(crate) mod patience;
pub(crate) mod places;
mod settled;
mod turned_away;

use std::{future::Future, io, net::IpAddr, pin::pin, sync::Arc, time::Duration};

use http::StatusCode;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tower::Service as _;

use self::{
    arriving::Arriving,
    patience::{Pace, Patient},
    settled::settled,
    turned_away::{TurnedAway, refuse_plain},
};
use crate::{
    Edge, Peer, Tls,
    events::Cut,
    once::Wire,
    simulator::strike::Unanswered,
    tls::{Greeting, greet},
};

/// The least that hyper takes as the size of its buffer.
const BUFFER_MIN: usize = 64 * 1024;
/// How long requests under way may take to end after `shutdown`.
const DRAIN_TIME: Duration = Duration::from_secs(20);
/// How long to wait when no connection can be accepted, as when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where a connection comes from, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) address: IpAddr,
    pub(crate) is_secure: bool,
}

/// Serves `edge` on `listener`, with TLS if that is given, until `shutdown` is done, then ends in order: no new connections,
/// idle ones closed, requests under way answered (for at most 20 s). Fails only when the listener has no address.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    edge: Edge,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    tracing::info!(%address, "Serving on {scheme}://{address}");
    let turned_away = TurnedAway::new();
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
                let address = peer.ip().to_canonical();
                let is_proxy = edge.trusted_proxies().iter().any(|net| net.contains(&address));
                match edge.places().take(address, is_proxy) {
                    Ok(place) => {
                        let serving = connection(stream, address, tls.clone(), edge.clone(), stopped.clone());
                        tokio::spawn(async move {
                            settled(serving).await;
                            drop(place);
                        });
                    }
                    Err(full) => {
                        tracing::debug!(%address, ?full, "A connection is turned away: there are too many");
                        turned_away.tell(stream, full, tls.is_some());
                    }
                }
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "No connection can be accepted: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop((listener, stopped));
    edge.stop_streams();
    stop.send_replace(());
    if tokio::time::timeout(DRAIN_TIME, stop.closed()).await.is_err() {
        tracing::warn!(open = stop.receiver_count(), "Some requests did not end in time and are cut off");
    }
    Ok(())
}

async fn connection(
    stream: TcpStream,
    address: IpAddr,
    tls: Option<Tls>,
    edge: Edge,
    mut stopped: watch::Receiver<()>,
) {
    // Answers are written whole, so waiting for more bytes to send along only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let Some(tls) = tls else { return answer_all(stream, Origin { address, is_secure: false }, edge, stopped).await };
    let handshake_time = edge.places().limits().handshake_time;
    let greeting = tokio::select! {
        greeting = tokio::time::timeout(handshake_time, greet(&tls, stream)) => greeting,
        _ = stopped.changed() => return,
    };
    match greeting {
        Ok(Ok(Greeting::Tls(stream))) => answer_all(stream, Origin { address, is_secure: true }, edge, stopped).await,
        Ok(Ok(Greeting::Plain(stream))) => refuse_plain(stream).await,
        Ok(Err(error)) => tracing::debug!(%address, %error, "A TLS handshake failed"),
        Err(_) => {
            edge.places().count_cut_off();
            tracing::debug!(%address, "A TLS handshake took too long");
        }
    }
}

/// Answers what comes on a stream until its client closes it, keeps it waiting for too long, or `stopped` says so.
pub(crate) async fn answer_all<S>(stream: S, origin: Origin, edge: Edge, mut stopped: watch::Receiver<()>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (wire, pace, places) = (Arc::<Wire>::default(), Arc::<Pace>::default(), Arc::clone(edge.places()));
    let limits = *places.limits();
    let stream = wire.watch(Patient::new(stream, Arc::clone(&pace), places));
    let cut = Arc::<Cut>::default();
    let thread = Arc::clone(&cut);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let busy = pace.busy();
        let (mut edge, mut request, wire) =
            (edge.clone(), request.map(|body| Arriving::body(body, &limits)), Arc::clone(&wire));
        let peer = Peer::behind(origin.address, origin.is_secure, request.headers(), edge.trusted_proxies());
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(Arc::clone(&wire));
        request.extensions_mut().insert(Arc::clone(&thread));
        async move {
            match edge.call(request).await {
                // An error of the service closes the connection, which is what the simulator was told to do.
                Ok(response) if response.extensions().get::<Unanswered>().is_some() => {
                    drop(response);
                    wire.breaks();
                    Err("left without an answer")
                }
                Ok(response) => {
                    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
                    Ok(response.map(|body| busy.until_taken(body, switches)))
                }
                Err(never) => match never {},
            }
        }
    });
    let serving = http1::Builder::new()
        // Its place has the patience of this server: a head and the wait for one have different times.
        .header_read_timeout(None)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.head_bytes.max(BUFFER_MIN))
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut serving = pin!(serving);
    let served = async {
        tokio::select! {
            ended = &mut serving => ended,
            _ = stopped.changed() => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        }
    };
    let ended = tokio::select! {
        ended = served => ended,
        () = cut.asked() => Ok(()),
    };
    cut.is_done();
    if let Err(error) = ended {
        tracing::debug!(%error, "A connection ended early");
    }
}

/// Whether the client was gone before it was accepted, which says nothing about the next one.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::ConnectionRefused | K::ConnectionAborted | K::ConnectionReset | K::Interrupted)
}
