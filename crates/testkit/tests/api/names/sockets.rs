//! The name server on its sockets.

use std::{net::SocketAddr, time::Duration};

use dewpoint_dns::{Limits, Names, listen};
use dewpoint_testkit::TestApp;
use hickory_proto::{
    op::{Edns, Message, ResponseCode},
    rr::RecordType,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

use super::question;

/// How long anything on this host may take before a test gives up.
const LONG: Duration = Duration::from_secs(60);

/// A name server of an app's; it ends when it is told to.
struct Serving {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Serving {
    async fn start(app: &TestApp, limits: Limits) -> Self {
        let sockets = listen("127.0.0.1:0".parse().expect("an address")).await.expect("a free port");
        let (stop, stopped) = oneshot::channel();
        let address = sockets.address();
        let serving = sockets.serve(Names::new(app.control().clone()), limits, async {
            let _ = stopped.await;
        });
        Self { address, stop, task: tokio::spawn(serving) }
    }

    /// Sends a packet and waits for an answer.
    async fn send(&self, packet: &[u8]) -> Vec<u8> {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        socket.send_to(packet, self.address).await.expect("sent");
        let mut answer = [0; 65_535];
        let received = timeout(LONG, socket.recv_from(&mut answer)).await.expect("an answer in time");
        let (length, from) = received.expect("received");
        assert_eq!(from, self.address);
        answer[..length].to_vec()
    }

    async fn ask(&self, message: &Message) -> Message {
        let answer = self.send(&message.to_vec().expect("it encodes")).await;
        let said = Message::from_vec(&answer).expect("a message");
        assert_eq!(said.metadata.id, message.metadata.id);
        said
    }

    async fn stop(self) {
        self.stop.send(()).expect("it listens");
        timeout(LONG, self.task).await.expect("it ends in time").expect("it ends well");
    }
}

async fn send_framed(stream: &mut TcpStream, packet: &[u8]) {
    let length = u16::try_from(packet.len()).expect("a short packet");
    stream.write_all(&[&length.to_be_bytes()[..], packet].concat()).await.expect("sent");
}

async fn receive_framed(stream: &mut TcpStream) -> Message {
    let length = timeout(LONG, stream.read_u16()).await.expect("in time").expect("a length");
    let mut packet = vec![0; usize::from(length)];
    timeout(LONG, stream.read_exact(&mut packet)).await.expect("in time").expect("a message");
    Message::from_vec(&packet).expect("a message")
}

async fn app_with_texts() -> TestApp {
    let app = TestApp::start().await;
    let admin = app.admin();
    admin.post("/v2/domains", json!({ "name": "example.com", "ip_address": "192.0.2.1" })).await.expect(201);
    for number in 0..4 {
        let data = format!("{number}{}", "x".repeat(300));
        let record = json!({ "type": "TXT", "name": "large", "data": data });
        admin.post("/v2/domains/example.com/records", record).await.expect(201);
    }
    app
}

#[tokio::test]
async fn questions_are_answered_over_udp_and_large_answers_over_tcp() {
    let app = app_with_texts().await;
    let serving = Serving::start(&app, Limits::default()).await;
    let small = serving.ask(&question("example.com.", RecordType::A)).await;
    assert_eq!((small.answers.len(), small.metadata.truncation), (1, false));

    let mut large = question("large.example.com.", RecordType::TXT);
    for takes in [None, Some(1000), Some(65_535)] {
        if let Some(takes) = takes {
            let mut edns = Edns::new();
            edns.set_max_payload(takes);
            large.set_edns(edns);
        }
        let said = serving.ask(&large).await;
        assert_eq!((said.answers.len(), said.metadata.truncation), (0, true), "{takes:?}");
        assert_eq!(said.edns.is_some(), takes.is_some());
    }
    let mut stream = TcpStream::connect(serving.address).await.expect("connected");
    // Two at once, and one in pieces.
    send_framed(&mut stream, &large.to_vec().expect("it encodes")).await;
    send_framed(&mut stream, &question("example.com.", RecordType::A).to_vec().expect("it encodes")).await;
    assert_eq!(receive_framed(&mut stream).await.answers.len(), 4);
    assert_eq!(receive_framed(&mut stream).await.answers.len(), 1);
    let packet = question("example.com.", RecordType::NS).to_vec().expect("it encodes");
    stream.write_all(&[0]).await.expect("sent");
    stream.write_all(&[u8::try_from(packet.len()).expect("a short packet")]).await.expect("sent");
    for byte in packet {
        stream.write_all(&[byte]).await.expect("sent");
    }
    assert_eq!(receive_framed(&mut stream).await.answers.len(), 3);
    serving.stop().await;
}

#[tokio::test]
async fn what_is_no_question_leaves_the_others_alone() {
    let app = app_with_texts().await;
    let serving = Serving::start(&app, Limits { udp_at_once: 1, ..Limits::default() }).await;
    let mut answer = question("example.com.", RecordType::A).to_vec().expect("it encodes");
    answer[2] |= 0x80;
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    for packet in [&b""[..], b"x", &[0xff; 1500], &[0; 12], &answer, &[0; 11]] {
        socket.send_to(packet, serving.address).await.expect("sent");
    }
    assert_eq!(serving.ask(&question("example.com.", RecordType::A)).await.answers.len(), 1);
    let broken = Message::from_vec(&serving.send(b"idx\0\0\x01\0\0\0\0\0\0\x3f").await).expect("a message");
    assert_eq!(broken.metadata.response_code, ResponseCode::NotImp);
    let broken = Message::from_vec(&serving.send(b"id\0\0\0\x01\0\0\0\0\0\0\x3f").await).expect("a message");
    assert_eq!(broken.metadata.response_code, ResponseCode::FormErr);
    for said in [&b"\0\0"[..], b"\xff\xff", b"\0\x03abc"] {
        let mut stream = TcpStream::connect(serving.address).await.expect("connected");
        stream.write_all(said).await.expect("sent");
        let end = timeout(LONG, stream.read(&mut [0; 16])).await.expect("in time");
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    }
    serving.stop().await;
}

#[tokio::test]
async fn who_asks_too_much_is_told_to_use_tcp() {
    let app = app_with_texts().await;
    let serving = Serving::start(&app, Limits { udp_per_second: 1, ..Limits::default() }).await;
    // However long it takes, some second has two questions in it.
    let put_off = timeout(LONG, async {
        loop {
            let said = serving.ask(&question("example.com.", RecordType::A)).await;
            if said.metadata.truncation {
                return said;
            }
            assert_eq!(said.answers.len(), 1);
        }
    });
    let put_off = put_off.await.expect("at some time it is enough");
    assert_eq!((put_off.metadata.response_code, put_off.answers.len()), (ResponseCode::NoError, 0));
    let mut stream = TcpStream::connect(serving.address).await.expect("connected");
    send_framed(&mut stream, &question("example.com.", RecordType::A).to_vec().expect("it encodes")).await;
    assert_eq!(receive_framed(&mut stream).await.answers.len(), 1);
    serving.stop().await;
}

#[tokio::test]
async fn connections_are_so_many_and_so_long() {
    let app = app_with_texts().await;
    let limits = Limits { tcp_most_per_address: 2, ..Limits::default() };
    let serving = Serving::start(&app, limits).await;
    let connect = async || TcpStream::connect(serving.address).await.expect("connected");
    let packet = question("example.com.", RecordType::A).to_vec().expect("it encodes");
    let (mut one, mut two) = (connect().await, connect().await);
    for stream in [&mut one, &mut two] {
        send_framed(stream, &packet).await;
        assert_eq!(receive_framed(stream).await.answers.len(), 1);
    }
    let end = timeout(LONG, connect().await.read(&mut [0; 1])).await.expect("in time");
    assert!(matches!(end, Ok(0) | Err(_)), "the third is closed: {end:?}");
    drop(one);
    let answered = timeout(LONG, async {
        loop {
            let mut stream = connect().await;
            let framed = [&u16::try_from(packet.len()).expect("short").to_be_bytes()[..], &packet].concat();
            if stream.write_all(&framed).await.is_ok() && stream.read_u16().await.is_ok() {
                return;
            }
        }
    });
    answered.await.expect("its place is free again");
    serving.stop().await;

    let serving = Serving::start(&app, Limits { tcp_patience: Duration::from_millis(1), ..Limits::default() }).await;
    let mut idle = TcpStream::connect(serving.address).await.expect("connected");
    let end = timeout(LONG, idle.read(&mut [0; 1])).await.expect("in time");
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    serving.stop().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let app = app_with_texts().await;
    let serving = Serving::start(&app, Limits::default()).await;
    let error = listen(serving.address).await.expect_err("taken").to_string();
    assert!(error.contains(&serving.address.to_string()) && error.contains("dns.listen"), "{error}");
    serving.stop().await;
}
