//! What a program in a namespace can do with sockets: asked on a thread that lives there.

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsRawFd, OwnedFd},
    time::Duration,
};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, connect, recv, send, setsockopt,
    socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::lab::{LIMIT, enter, wait_until};

/// How long silence has to be to count as one. An answer here takes less than a millisecond; where one is expected, it is asked
/// for again and again.
const SILENCE: Duration = Duration::from_millis(250);

/// What became of an attempt to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Accepted,
    /// Reached, and nobody listens there.
    Refused,
    Nothing,
}

/// Runs something on a thread in a namespace.
pub(crate) fn inside<T: Send>(namespace: &str, job: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter(namespace);
            job()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Opens a TCP connection, or does not.
pub(crate) fn tcp(from: &str, to: SocketAddr) -> Answer {
    inside(from, || match TcpStream::connect_timeout(&to, SILENCE) {
        Ok(_) => Answer::Accepted,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Answer::Refused,
        Err(_) => Answer::Nothing,
    })
}

/// Waits until connecting ends so. What is not to happen is asked once; what is to happen may be late on a busy machine.
pub(crate) fn comes_to(from: &str, to: SocketAddr, answer: Answer) {
    wait_until(&format!("{from} to {to}: {answer:?}"), || tcp(from, to) == answer);
}

/// Whether anything at all comes back from an address: a connection to a port where nobody listens is refused.
pub(crate) fn reaches(from: &str, to: &str) -> bool {
    let to = SocketAddr::new(to.parse().expect("an address"), 9);
    tcp(from, to) == Answer::Refused
}

pub(crate) fn comes_to_reach(from: &str, to: &str) {
    wait_until(&format!("{from} reaches {to}"), || reaches(from, to));
}

/// Whether one echo request is answered.
pub(crate) fn ping(from: &str, to: &str) -> bool {
    let to: IpAddr = to.parse().expect("an address");
    inside(from, || {
        std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 0").expect("a setting");
        let (family, protocol, kind) = match to {
            IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp, 8),
            IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6, 128),
        };
        let echo: OwnedFd = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, protocol).expect("a socket");
        let limit = TimeVal::milliseconds(i64::try_from(SILENCE.as_millis()).expect("small"));
        setsockopt(&echo, sockopt::ReceiveTimeout, &limit).expect("a setting");
        if connect(echo.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(to, 0))).is_err() {
            return false;
        }
        if send(echo.as_raw_fd(), &[kind, 0, 0, 0, 0, 0, 0, 1], MsgFlags::empty()).is_err() {
            return false;
        }
        recv(echo.as_raw_fd(), &mut [0; 64], MsgFlags::empty()).is_ok()
    })
}

pub(crate) fn comes_to_ping(from: &str, to: &str) {
    wait_until(&format!("{from} pings {to}"), || ping(from, to));
}

/// Listens in a namespace; what connects is accepted by the kernel.
pub(crate) fn listen(namespace: &str, address: &str) -> TcpListener {
    let address: SocketAddr = address.parse().expect("an address");
    inside(namespace, || TcpListener::bind(address).expect("an address of its own"))
}

/// A socket for datagrams in a namespace, that waits only as long as silence takes.
pub(crate) fn udp(namespace: &str, address: &str) -> UdpSocket {
    let address: SocketAddr = address.parse().expect("an address");
    let socket = inside(namespace, || UdpSocket::bind(address).expect("an address of its own"));
    socket.set_read_timeout(Some(SILENCE)).expect("a limit");
    socket
}

/// Whether what goes in at one end comes out at the other.
pub(crate) fn carries(from: &TcpStream, to: &TcpStream) -> bool {
    passes(from, to, LIMIT)
}

/// Whether nothing does, for as long as silence takes.
pub(crate) fn is_cut(from: &TcpStream, to: &TcpStream) -> bool {
    !passes(from, to, SILENCE)
}

fn passes(mut from: &TcpStream, mut to: &TcpStream, limit: Duration) -> bool {
    to.set_read_timeout(Some(limit)).expect("a limit");
    if from.write_all(b"x").is_err() {
        return false;
    }
    matches!(to.read(&mut [0; 1]), Ok(1))
}
