//! Answers that do not arrive, over real connections: what is done once, and what stays two.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::mpsc,
    time::{Duration, Instant},
};

use axum::extract::State;
use dewpoint_api::{DropletCreateRequest, DropletResponse, Scope};
use dewpoint_store::{Error as StoreError, Tx};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::{Notify, watch},
};

use super::{
    Server,
    socket::{listening, read_until},
};
use crate::{
    Again, ApiError, App, Caller, Done, Json, Operation, Probes, ServerConfig,
    serve::{Origin, answer_all},
};

/// Where a client is that has no address.
const HERE: Origin = Origin { address: IpAddr::V4(Ipv4Addr::LOCALHOST), is_secure: false };
/// Rung when a create has begun and will send its write before anything else.
static BEGUN: Notify = Notify::const_new();

/// The create of a Droplet, and a sign that it has begun.
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<DropletCreateRequest>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    BEGUN.notify_one();
    let made = app.control.droplet_create(caller.account, request).await?;
    let links = json!({ "actions": [{ "rel": "create" }] });
    Ok((StatusCode::ACCEPTED, Json(json!({ "droplet": { "id": made.droplets[0].record.id }, "links": links }))))
}

/// The create of a Droplet whose answer fails once the Droplet is there: how, its name says.
async fn create_and_fail(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<DropletCreateRequest>,
) -> Result<Done, ApiError> {
    let made = app.control.droplet_create(caller.account, request).await?;
    match made.droplets[0].record.name.as_str() {
        "panic" => panic!("after the effect"),
        "read" => {
            let nothing = |tx: &mut dyn Tx| tx.query_one("SELECT 1 FROM nothing", &[], |row| row.next::<u64>());
            let read: Result<u64, StoreError> = app.control.store().read(nothing).await;
            Err(dewpoint_control::Error::from(read.expect_err("there is no such table")).into())
        }
        _ => Err(ApiError::internal(std::io::Error::other("after the effect"))),
    }
}

async fn failing() -> Server {
    let mut operations = crate::operations();
    operations.retain(|one| one.name() != "droplets_create");
    let create = Operation::post("/v2/droplets", create_and_fail, Again::Droplets).id("droplets_create");
    operations.push(create.answers::<DropletResponse>(202));
    Server::serving(operations, ServerConfig::default(), Probes::default()).await
}

async fn server() -> Server {
    let mut operations = crate::operations();
    operations.retain(|one| one.name() != "droplets_create");
    let create =
        Operation::post("/v2/droplets", create, Again::Droplets).id("droplets_create").needs(&[Scope::DropletCreate]);
    operations.push(create.answers::<DropletResponse>(202));
    Server::serving(operations, ServerConfig::default(), Probes::default()).await
}

/// Sends a create of always the same body.
async fn send_create(server: &Server, stream: &mut (impl AsyncWrite + Unpin)) {
    let body = json!({ "name": "web-1", "region": "nyc3", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64" });
    let body = body.to_string();
    let head = format!(
        "POST /v2/droplets HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
        server.token("full"),
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.expect("a write");
}

/// The whole answer to a create: its head, and the Droplet's number.
async fn read_answer(stream: &mut TcpStream) -> (String, u64) {
    let text = read_until(stream, "\"rel\":\"create\"").await;
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).expect("one");
    let mut body = body.as_bytes().to_vec();
    while body.len() < length {
        stream.read_buf(&mut body).await.expect("a read");
    }
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    (head.to_owned(), body["droplet"]["id"].as_u64().expect("a number"))
}

async fn droplets(server: &Server) -> u64 {
    server.get("/v2/droplets", "full").await.json()["meta"]["total"].as_u64().expect("a total")
}

/// Waits until the server knows that an answer is lost.
async fn until_lost(server: &Server) {
    let began = Instant::now();
    while !server.app.once.has_lost() {
        assert!(began.elapsed() < Duration::from_secs(10), "the server does not notice that its client left");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_closes_before_the_answer_is_written_and_retries_has_one_droplet() {
    let (address, server, _stop, _serving) = listening(server().await).await;
    server.get("/v2/droplets", "full").await;
    // The store's writer waits, so that the client is gone before there is an answer.
    let (release, released) = mpsc::channel::<()>();
    let store = server.control.store().clone();
    let (sent, waits) = mpsc::channel::<()>();
    let holding = tokio::spawn(async move {
        let held = store.write(move |_: &mut dyn Tx| {
            let _ = sent.send(());
            let _ = released.recv();
            Ok::<_, StoreError>(())
        });
        held.await
    });
    tokio::task::block_in_place(|| waits.recv()).expect("the writer waits");
    let mut leaving = TcpStream::connect(address).await.expect("a connection");
    send_create(&server, &mut leaving).await;
    BEGUN.notified().await;
    drop(leaving);
    until_lost(&server).await;

    let mut retry = TcpStream::connect(address).await.expect("a connection");
    send_create(&server, &mut retry).await;
    drop(release);
    let (head, id) = read_answer(&mut retry).await;
    assert!(head.starts_with("HTTP/1.1 202") && head.contains("idempotent-replayed: true"), "{head}");
    assert_eq!(droplets(&server).await, 1);
    holding.await.expect("no panic").expect("it is let go");

    // That answer arrived, so the next is a request of its own, on the same connection or another.
    send_create(&server, &mut retry).await;
    let (head, second) = read_answer(&mut retry).await;
    assert!(second > id && !head.contains("idempotent-replayed"), "{head}");
    drop(retry);
    let mut another = TcpStream::connect(address).await.expect("a connection");
    send_create(&server, &mut another).await;
    let (_, third) = read_answer(&mut another).await;
    assert!(third > second);
    assert_eq!(droplets(&server).await, 3);
    assert!(!server.app.once.has_lost());
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_middle_of_an_answer_has_lost_it() {
    let server = Server::serving(crate::operations(), ServerConfig::default(), Probes::default()).await;
    // No more than a head's beginning fits; the rest has to wait for its reader, who leaves.
    let (mut client, served) = tokio::io::duplex(64);
    let (_stop, stopped) = watch::channel(());
    let edge = server.edge.clone();
    let serving = tokio::spawn(answer_all(served, HERE, edge, stopped.clone()));
    send_create(&server, &mut client).await;
    let mut beginning = [0; 12];
    client.read_exact(&mut beginning).await.expect("a read");
    assert_eq!(&beginning, b"HTTP/1.1 202");
    assert!(!server.app.once.has_lost(), "it is still being written");
    drop(client);
    serving.await.expect("no panic");
    assert!(server.app.once.has_lost());

    // Read to its end it is delivered, however slowly.
    let (mut client, served) = tokio::io::duplex(64);
    tokio::spawn(answer_all(served, HERE, server.edge.clone(), stopped));
    send_create(&server, &mut client).await;
    let text = read_until(&mut client, "\"rel\":\"create\"").await;
    assert!(text.contains("idempotent-replayed: true"), "{text}");
    drop(client);
    assert_eq!(droplets(&server).await, 1);
}

#[tokio::test]
async fn what_was_done_before_its_answer_failed_is_told_to_every_kind_of_client_that_asks_again() {
    let server = failing().await;
    let mut there = 0;
    for how in ["error", "panic", "read"] {
        let body = json!({ "name": how, "region": "nyc3", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64" });
        let body = body.to_string();
        let key = format!("idempotency-key: {how}");
        for (first, again) in [
            (key.as_str(), key.as_str()),
            ("x-stainless-retry-count: 0", "x-stainless-retry-count: 1"),
            ("accept: */*", "accept: */*"),
        ] {
            let ask = async |header: &str| {
                server.send("POST /v2/droplets", &["authorization: Bearer full", header], body.clone()).await
            };
            ask(first).await.is_error(500, "server_error");
            there += 1;
            assert_eq!(droplets(&server).await, there, "it was done");
            let told = ask(again).await;
            assert_eq!((told.status, told.header("idempotent-replayed")), (202, "true"), "{how}, {first}");
            assert_eq!(told.json()["droplet"]["name"], how);
            assert_eq!(droplets(&server).await, there, "{how}, {first}: once");
        }
        assert!(!server.app.once.has_lost());
    }
}
