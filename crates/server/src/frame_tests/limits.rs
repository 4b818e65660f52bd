//! Clients that are slow, silent, too many or too long, over real sockets; and those beside them, who must not notice.

use std::{net::SocketAddr, sync::Mutex, time::Duration};

use axum::{
    body::{Body, Bytes},
    response::Response,
};
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::mpsc,
};

use super::{
    Server,
    socket::{listening, read_until},
};
use crate::{ConnectionLimits, Operation, Probes, ServerConfig};

/// A time that passes soon, and only once it is to pass.
pub(super) const SOON: Duration = Duration::from_millis(50);
/// A time that no test lives to see.
pub(super) const NEVER: Duration = Duration::from_secs(24 * 3600);
/// How long anything here may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// Bytes of an answer that no socket's buffers hold.
const LARGE: usize = 16 * 1024 * 1024;

/// No limit that a test could meet by being slow itself.
pub(super) const PATIENT: ConnectionLimits = ConnectionLimits {
    most: 1000,
    most_per_address: 1000,
    handshake_time: NEVER,
    head_time: NEVER,
    head_bytes: 64 * 1024,
    idle_time: NEVER,
    body_time: NEVER,
    body_rate: 1,
    write_time: NEVER,
};

pub(super) async fn server(connections: ConnectionLimits) -> Server {
    Server::with(ServerConfig { connections, ..ServerConfig::default() }).await
}

/// A server's figure of `/metrics`.
pub(super) fn figure(server: &Server, name: &str) -> u64 {
    let samples = server.app.places.samples();
    samples.iter().find(|sample| sample.name == name).expect("a sample of this name").value
}

/// Looks until `done`; panics after [`DEADLINE`].
pub(super) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let looking = async {
        while !done() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, looking).await.unwrap_or_else(|_| panic!("no {what} within {DEADLINE:?}"));
}

/// A connection on which `text` was sent.
pub(super) async fn sent(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(text.as_bytes()).await.expect("a write");
    stream
}

/// What comes until the other side closes.
pub(super) async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A connection that is broken off is closed too.
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.expect("it is closed in time");
    String::from_utf8(bytes).expect("text")
}

/// Asks on a connection that is open, and is answered.
pub(super) async fn is_served(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    stream.write_all(b"GET /open HTTP/1.1\r\nhost: h\r\n\r\n").await.expect("a write");
    assert!(read_until(stream, "\r\n\r\n").await.starts_with("HTTP/1.1 204"));
}

fn post(server: &Server, length: usize, body: &str) -> String {
    let token = server.token("full");
    format!(
        "POST /v2/droplets HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

#[track_caller]
pub(super) fn is_error(answer: &str, status: u16, id: &str) -> Value {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body["id"], id, "{body}");
    assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()));
    let named = format!("x-request-id: {}", body["request_id"].as_str().expect("a request's id"));
    assert!(head.contains(&named) && head.contains("content-type: application/json"), "ERR-1: {head}");
    body
}

#[tokio::test]
async fn a_head_that_does_not_end_is_cut_off_and_one_that_has_not_begun_is_waited_for() {
    let server = server(ConnectionLimits { head_time: SOON, ..PATIENT }).await;
    let (address, server, _stop, _serving) = listening(server).await;
    let mut silent = sent(address, "").await;
    let mut slow = sent(address, "GET /open HTTP/1.1\r\nhost:").await;
    assert_eq!(rest(&mut slow).await, "");
    assert_eq!(figure(&server, "dewpoint_connections_cut_off_total"), 1);
    is_served(&mut silent).await;
    silent.write_all(b"GET /open HTTP/1.1\r\n").await.expect("a write");
    assert_eq!(rest(&mut silent).await, "", "also after an answer");
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed_and_one_with_a_request_is_not() {
    let server = server(ConnectionLimits { idle_time: SOON, ..PATIENT }).await;
    let (address, server, _stop, _serving) = listening(server).await;
    let mut begun = sent(address, "GET /open HTTP/1.1\r\n").await;
    let mut busy = sent(address, &post(&server, 2, "")).await;
    let mut silent = sent(address, "").await;
    assert_eq!(rest(&mut silent).await, "");
    let mut answered = sent(address, "GET /open HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert!(rest(&mut answered).await.starts_with("HTTP/1.1 204"));
    begun.write_all(b"host: h\r\n\r\n").await.expect("a write");
    assert!(rest(&mut begun).await.starts_with("HTTP/1.1 204"));
    busy.write_all(b"{}").await.expect("a write");
    assert!(rest(&mut busy).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn half_a_body_is_a_408_and_a_body_that_keeps_to_the_rate_is_waited_for() {
    let server = server(ConnectionLimits { body_time: SOON, ..PATIENT }).await;
    let (address, server, _stop, _serving) = listening(server).await;
    // Each of its bytes buys it a second.
    let body = format!("{{}}{}", " ".repeat(10_000));
    let mut steady = sent(address, &post(&server, body.len(), &body[..body.len() - 1])).await;
    let mut half = sent(address, &post(&server, 40, "{\"name\":")).await;
    let answer = rest(&mut half).await;
    is_error(&answer, 408, "bad_request");
    assert!(answer.contains("connection: close"), "{answer}");
    steady.write_all(b" ").await.expect("a write");
    assert!(read_until(&mut steady, "\r\n\r\n{}").await.starts_with("HTTP/1.1 200"));
    is_served(&mut steady).await;
}

#[tokio::test]
async fn a_body_is_not_waited_for_when_its_sender_may_not_anyway() {
    let (address, _server, _stop, _serving) = listening(server(PATIENT).await).await;
    let mut stream = sent(address, "POST /v2/droplets HTTP/1.1\r\nhost: h\r\ncontent-length: 1000000\r\n\r\n{").await;
    is_error(&rest(&mut stream).await, 401, "unauthorized");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_a_413_in_the_shape_of_errors() {
    let (address, server, _stop, _serving) = listening(server(PATIENT).await).await;
    let body = " ".repeat(crate::BODY_MAX + 1);
    let mut announced = sent(address, &post(&server, body.len(), &body)).await;
    is_error(&read_until(&mut announced, "}").await, 413, "bad_request");
    let head = post(&server, 0, "").replace("content-length: 0", "transfer-encoding: chunked");
    let mut chunked = sent(address, &format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len())).await;
    is_error(&read_until(&mut chunked, "}").await, 413, "bad_request");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_a_431() {
    let limits = ConnectionLimits { head_bytes: 8192, ..PATIENT };
    let (address, _server, _stop, _serving) = listening(server(limits).await).await;
    let ask = async |headers: String| {
        let mut stream = sent(address, &format!("GET /open HTTP/1.1\r\nhost: h\r\n{headers}\r\n")).await;
        read_until(&mut stream, "\r\n\r\n").await
    };
    assert!(ask(format!("x-large: {}\r\n", "x".repeat(7000))).await.starts_with("HTTP/1.1 204"));
    assert!(ask(format!("x-large: {}\r\n", "x".repeat(9000))).await.starts_with("HTTP/1.1 431"));
    assert!(ask("x-many: x\r\n".repeat(99)).await.starts_with("HTTP/1.1 204"));
    assert!(ask("x-many: x\r\n".repeat(100)).await.starts_with("HTTP/1.1 431"));
}

async fn large() -> Response {
    Response::new(Body::from(vec![b'x'; LARGE]))
}

#[tokio::test]
async fn who_stops_reading_is_cut_off() {
    let config =
        ServerConfig { connections: ConnectionLimits { write_time: SOON, ..PATIENT }, ..ServerConfig::default() };
    let all = vec![
        Operation::get("/large", large).id("large").open(),
        Operation::get("/open", super::gone).id("open").open(),
    ];
    let (address, server, _stop, _serving) = listening(Server::serving(all, config, Probes::default()).await).await;
    let mut beside = sent(address, "").await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let mut stops = socket.connect(address).await.expect("a connection");
    stops.write_all(b"GET /large HTTP/1.1\r\nhost: h\r\n\r\n").await.expect("a write");
    until("end of who does not read", || figure(&server, "dewpoint_connections_cut_off_total") == 1).await;
    until("free place", || figure(&server, "dewpoint_connections") == 1).await;
    is_served(&mut beside).await;
    let got = rest(&mut stops).await;
    assert!(got.starts_with("HTTP/1.1 200") && got.len() < LARGE, "{} bytes", got.len());

    let mut reads = sent(address, "GET /large HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
    assert!(rest(&mut reads).await.len() > LARGE, "who reads gets all of it");
}

/// What the stream of events is fed with.
static EVENTS: Mutex<Option<mpsc::UnboundedReceiver<Bytes>>> = Mutex::new(None);

async fn events() -> Response {
    let receiver = EVENTS.lock().expect("nobody panics with it").take().expect("one stream");
    let events = futures_util::stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|event| (Ok::<_, std::io::Error>(event), receiver))
    });
    Response::new(Body::from_stream(events.boxed()))
}

#[tokio::test]
async fn a_stream_of_events_may_be_silent_for_longer_than_any_wait() {
    let config = ServerConfig {
        connections: ConnectionLimits {
            idle_time: SOON,
            head_time: SOON,
            write_time: SOON,
            body_time: SOON,
            ..PATIENT
        },
        ..ServerConfig::default()
    };
    let all = vec![Operation::get("/events", events).id("events").open()];
    let (address, _server, _stop, _serving) = listening(Server::serving(all, config, Probes::default()).await).await;
    let (feed, receiver) = mpsc::unbounded_channel();
    *EVENTS.lock().expect("nobody panics with it") = Some(receiver);
    let mut stream = sent(address, "GET /events HTTP/1.1\r\nhost: h\r\n\r\n").await;
    for event in ["first", "second", "third"] {
        feed.send(Bytes::from(format!("data: {event}\n\n"))).expect("somebody listens");
        assert!(read_until(&mut stream, event).await.contains("data: "));
        let mut idle = sent(address, "").await;
        assert_eq!(rest(&mut idle).await, "", "meanwhile every wait has passed");
    }
    drop(feed);
    assert!(read_until(&mut stream, "0\r\n\r\n").await.ends_with("0\r\n\r\n"), "its end is an orderly one");
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_the_others_are_served_as_before() {
    let (address, server, _stop, _serving) = listening(server(ConnectionLimits { most: 3, ..PATIENT }).await).await;
    let mut honest = sent(address, "").await;
    is_served(&mut honest).await;
    let (silent, _half) = (sent(address, "").await, sent(address, "GET /open HTTP/1.1\r\n").await);
    until("three connections", || figure(&server, "dewpoint_connections") == 3).await;
    for _ in 0..2 {
        let mut refused = sent(address, "GET /open HTTP/1.1\r\nhost: h\r\n\r\n").await;
        let answer = rest(&mut refused).await;
        let body = is_error(&answer, 503, "service_unavailable");
        assert!(body["message"].as_str().is_some_and(|text| text.starts_with("This server has")), "{body}");
        assert!(answer.contains("retry-after: 1\r\n") && answer.contains("connection: close"), "{answer}");
        is_served(&mut honest).await;
    }
    assert_eq!(figure(&server, "dewpoint_connections_refused_total"), 2);
    drop(silent);
    until("free place", || figure(&server, "dewpoint_connections") == 2).await;
    is_served(&mut sent(address, "").await).await;
}

#[tokio::test]
async fn one_address_cannot_take_every_place() {
    let limits = ConnectionLimits { most: 100, most_per_address: 5, ..PATIENT };
    let (address, server, _stop, _serving) = listening(server(limits).await).await;
    let mut greedy = Vec::new();
    for _ in 0..5 {
        greedy.push(sent(address, "").await);
    }
    until("five connections", || figure(&server, "dewpoint_connections") == 5).await;
    let mut refused = sent(address, "GET /open HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let body = is_error(&rest(&mut refused).await, 503, "service_unavailable");
    assert!(body["message"].as_str().is_some_and(|text| text.starts_with("Your address has")), "{body}");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 2], 0).into()).expect("another address of this host");
    is_served(&mut socket.connect(address).await.expect("a connection")).await;
}
