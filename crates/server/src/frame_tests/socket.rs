//! The frame on a real socket.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

use super::Server;
use crate::{Tls, serve};

type Started = (SocketAddr, Server, oneshot::Sender<()>, JoinHandle<io::Result<()>>);

/// The frame's server on a port of its own: where it is, itself, how to end it, and its end.
async fn started() -> Started {
    listening(Server::new().await).await
}

/// This server on a port of its own.
pub(super) async fn listening(server: Server) -> Started {
    listening_with(server, None).await
}

/// The same, with TLS if that is given.
pub(super) async fn listening_with(server: Server, tls: Option<Tls>) -> Started {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel::<()>();
    let edge = server.edge.clone();
    let serving = tokio::spawn(serve(listener, tls, edge, async { drop(stopped.await) }));
    (address, server, stop, serving)
}

fn head_of_post(server: &Server) -> String {
    format!("POST /v2/droplets HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {}\r\n", server.token("full"))
}

/// Reads what comes until `end` was read.
pub(super) async fn read_until(stream: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(end) {
        let length = stream.read(&mut buffer).await.expect("a read");
        assert!(length > 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..length]).expect("text"));
    }
    text
}

#[tokio::test]
async fn shutdown_answers_what_is_under_way_and_closes_what_is_idle() {
    let (address, server, stop, serving) = started().await;
    let mut idle = TcpStream::connect(address).await.expect("a connection");
    idle.write_all(b"GET /open HTTP/1.1\r\nhost: h\r\n\r\n").await.expect("a write");
    assert!(read_until(&mut idle, "\r\n\r\n").await.starts_with("HTTP/1.1 204"));
    let mut busy = TcpStream::connect(address).await.expect("a connection");
    let head = head_of_post(&server);
    busy.write_all(format!("{head}expect: 100-continue\r\ncontent-length: 2\r\n\r\n").as_bytes())
        .await
        .expect("a write");
    read_until(&mut busy, "100 Continue\r\n\r\n").await;

    stop.send(()).expect("it serves");

    assert_eq!(idle.read(&mut [0; 16]).await.expect("a read"), 0, "the idle connection is closed");
    busy.write_all(b"{}").await.expect("a write");
    let answer = read_until(&mut busy, "{}").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    serving.await.expect("no panic").expect("an orderly end");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens");
}

#[tokio::test]
async fn a_body_of_ten_megabytes_is_refused_where_its_sender_can_read_it() {
    let (address, server, _stop, _serving) = started().await;
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let head = head_of_post(&server);
    stream.write_all(format!("{head}content-length: 10485760\r\n\r\n").as_bytes()).await.expect("a write");
    stream.write_all(&vec![b' '; 10_485_760]).await.expect("all of it is taken");
    assert!(read_until(&mut stream, "}").await.starts_with("HTTP/1.1 413"));
}

#[tokio::test]
async fn a_head_that_is_no_http_is_a_400() {
    let (address, _server, _stop, _serving) = started().await;
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(b"no such thing\r\n\r\n").await.expect("a write");
    assert!(read_until(&mut stream, "\r\n\r\n").await.starts_with("HTTP/1.1 400"));
}
