//! Sockets: one for UDP and one for TCP, on one address, with an end to what anybody can keep busy.

use std::{
    collections::HashMap,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
    time::timeout,
};

use crate::{Names, Transport, budget::Budget};

/// How long to wait when a socket fails, as when the process has no file descriptor left.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest question that is taken over UDP. A question needs 300 bytes; what is longer is cut off and then not one.
const UDP_QUESTION: usize = 1500;
/// The longest question that is taken over TCP.
const TCP_QUESTION: u16 = 4096;
/// How often a port is looked for that is free for both, when any will do.
const TRIES: u32 = 32;

/// How much may be asked, and how long askers are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Questions over UDP that are looked up at once; further ones wait in the kernel, which drops what it has no room for.
    pub udp_at_once: usize,
    /// Questions a second over UDP from one network (/24, /56); who asks more is told to use TCP.
    pub udp_per_second: u32,
    /// Connections.
    pub tcp_most: usize,
    /// Connections from one address.
    pub tcp_most_per_address: usize,
    /// How long a connection may wait for its next question, and for a question to come or an answer to be taken.
    pub tcp_patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            udp_at_once: 32,
            udp_per_second: 5000,
            tcp_most: 256,
            tcp_most_per_address: 32,
            tcp_patience: Duration::from_secs(10),
        }
    }
}

/// Why there is no name server.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for names on {address} ({transport}): {source}{hint}")]
pub struct CannotListen {
    address: SocketAddr,
    transport: &'static str,
    source: io::Error,
    hint: &'static str,
}

impl CannotListen {
    fn new(address: SocketAddr, transport: &'static str, source: io::Error) -> Self {
        let hint = match source.kind() {
            io::ErrorKind::AddrInUse => "; another name server may have it: dns.listen names another address",
            io::ErrorKind::PermissionDenied => "; a port below 1024 needs the right to it (CAP_NET_BIND_SERVICE)",
            _ => "",
        };
        Self { address, transport, source, hint }
    }
}

/// The sockets of a name server, with nobody answering yet.
#[derive(Debug)]
pub struct Listening {
    udp: UdpSocket,
    tcp: TcpListener,
    address: SocketAddr,
}

/// Takes `address` for UDP and TCP. Port 0 is any that is free for both.
pub async fn listen(address: SocketAddr) -> Result<Listening, CannotListen> {
    let mut tries = if address.port() == 0 { TRIES } else { 1 };
    loop {
        let of_tcp = |error| CannotListen::new(address, "TCP", error);
        let tcp = TcpListener::bind(address).await.map_err(of_tcp)?;
        let address = tcp.local_addr().map_err(of_tcp)?;
        tries -= 1;
        match UdpSocket::bind(address).await {
            Ok(udp) => return Ok(Listening { udp, tcp, address }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => {}
            Err(error) => return Err(CannotListen::new(address, "UDP", error)),
        }
    }
}

impl Listening {
    /// Where it listens, by both ways.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown` is done. What is asked in that moment gets no answer: askers ask again.
    pub async fn serve(self, names: Names, limits: Limits, shutdown: impl Future<Output = ()>) {
        let mut all = JoinSet::new();
        let udp =
            Arc::new(Packets { socket: self.udp, budget: Budget::new(limits.udp_per_second), began: Instant::now() });
        for _ in 0..limits.udp_at_once {
            let (udp, names) = (Arc::clone(&udp), names.clone());
            all.spawn(async move { udp.answer_all(&names).await });
        }
        all.spawn(accept_all(self.tcp, names, limits));
        shutdown.await;
        all.shutdown().await;
    }
}

/// The socket for UDP.
#[derive(Debug)]
struct Packets {
    socket: UdpSocket,
    budget: Budget,
    began: Instant,
}

impl Packets {
    /// Answers one packet after the other.
    async fn answer_all(&self, names: &Names) {
        let mut packet = [0; UDP_QUESTION];
        loop {
            let (length, asker) = match self.socket.recv_from(&mut packet).await {
                Ok(received) => received,
                // Linux tells of an earlier answer that nobody took; it says nothing of the next question.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(error) => {
                    tracing::warn!(%error, "No question can be received: {error}");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let second = u32::try_from(self.began.elapsed().as_secs()).unwrap_or(u32::MAX);
            let packet = &packet[..length];
            let answer = match self.budget.take(asker.ip(), second) {
                true => names.answer(packet, Transport::Udp).await,
                false => Names::put_off(packet),
            };
            let Some(answer) = answer else { continue };
            if let Err(error) = self.socket.send_to(&answer, asker).await {
                tracing::debug!(%error, %asker, "An answer could not be sent");
            }
        }
    }
}

async fn accept_all(listener: TcpListener, names: Names, limits: Limits) {
    let places = Arc::new(Places::default());
    // They end with this task.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, asker)) => {
                let Some(place) = Places::take(&places, asker.ip().to_canonical(), &limits) else { continue };
                let names = names.clone();
                connections.spawn(async move {
                    if let Err(error) = answer_on(stream, &names, limits.tcp_patience).await {
                        tracing::debug!(%error, %asker, "A connection ended");
                    }
                    drop(place);
                });
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
            }
            Err(error) => {
                tracing::warn!(%error, "No connection can be accepted: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Answers one question after the other, each with its length before it (RFC 1035 section 4.2.2), until the asker leaves or is
/// too slow.
async fn answer_on(mut stream: TcpStream, names: &Names, patience: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut packet = Vec::new();
    loop {
        let length = match timeout(patience, stream.read_u16()).await? {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        };
        if length > TCP_QUESTION {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a question of {length} bytes")));
        }
        packet.resize(usize::from(length), 0);
        timeout(patience, stream.read_exact(&mut packet)).await??;
        let Some(answer) = names.answer(&packet, Transport::Tcp).await else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "what came is no question"));
        };
        let Ok(length) = u16::try_from(answer.len()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "an answer larger than a message"));
        };
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend(answer);
        timeout(patience, stream.write_all(&framed)).await??;
    }
}

/// How many connections there are, by where they are from.
#[derive(Debug, Default)]
struct Places {
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's place; free again when it goes.
#[derive(Debug)]
struct Place {
    places: Arc<Places>,
    asker: IpAddr,
}

impl Places {
    /// A place for one more from `asker`, unless there are too many, in all or from there.
    fn take(places: &Arc<Self>, asker: IpAddr, limits: &Limits) -> Option<Place> {
        let mut taken = places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = taken.values().sum();
        let own = taken.entry(asker).or_default();
        if all >= limits.tcp_most || *own >= limits.tcp_most_per_address {
            if *own == 0 {
                taken.remove(&asker);
            }
            return None;
        }
        *own += 1;
        Some(Place { places: Arc::clone(places), asker })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.asker) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.asker);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_free_again_when_connections_end() {
        let places = Arc::default();
        let limits = Limits { tcp_most: 3, tcp_most_per_address: 2, ..Limits::default() };
        let from = |last| Places::take(&places, IpAddr::from([192, 0, 2, last]), &limits);
        let (first, second) = (from(1), from(1));
        assert!(first.is_some() && second.is_some() && from(1).is_none());
        let third = from(2);
        assert!(third.is_some() && from(3).is_none());
        drop((first, second, third));
        assert!(places.taken.lock().expect("whole").is_empty() && from(3).is_some());
    }
}
