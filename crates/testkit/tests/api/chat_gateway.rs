//! Models that upstreams serve: stubs on loopback that answer as told, in this process.

use std::{sync::Arc, time::Duration};

use dewpoint_server::{ModelConfig, Secret, UpstreamConfig};
use dewpoint_testkit::TestApp;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

const PATH: &str = "/v1/chat/completions";
/// For what must come; a test that works never waits so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a stub does once it was asked.
#[derive(Clone, Copy)]
enum Then {
    Close,
    /// Stays silent until the other side has closed.
    Wait,
}

/// An upstream: gives each request this text, and says what it was asked and, after a wait, that it was left.
struct Stub {
    url: String,
    told: mpsc::UnboundedReceiver<String>,
}

impl Stub {
    async fn start(answer: impl Into<String>, then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let (say, told) = mpsc::unbounded_channel();
        let answer: Arc<str> = answer.into().into();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answer), then, say.clone()));
            }
        });
        Self { url, told }
    }

    async fn heard(&mut self) -> String {
        timeout(PATIENCE, self.told.recv()).await.expect("it is asked in time").expect("the stub runs")
    }

    fn was_asked(&mut self) -> bool {
        self.told.try_recv().is_ok()
    }
}

async fn serve(mut stream: TcpStream, answer: Arc<str>, then: Then, say: mpsc::UnboundedSender<String>) {
    let mut asked = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let Ok(count @ 1..) = stream.read(&mut buffer).await else { return };
        asked.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&asked);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            break;
        }
    }
    say.send(String::from_utf8(asked).expect("text")).ok();
    stream.write_all(answer.as_bytes()).await.ok();
    if matches!(then, Then::Wait) {
        while let Ok(1..) = stream.read(&mut buffer).await {}
        say.send("left".to_owned()).ok();
    }
}

fn whole(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

/// A stream as HTTP sends it when it does not say how long it is.
fn streamed(events: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{events}")
}

async fn app(stubs: &[&Stub], patience: Duration) -> TestApp {
    let upstreams = stubs.iter().map(|stub| {
        let key = Some(Secret::new("of-the-upstream"));
        UpstreamConfig { key, ..UpstreamConfig::new(stub.url.clone()) }
    });
    let model =
        ModelConfig { first_byte: patience, between: patience, ..ModelConfig::new("llama", upstreams.collect()) };
    TestApp::start_with(|setup| setup.server.models = vec![model]).await
}

fn ask() -> Value {
    json!({ "model": "llama", "messages": [], "stream": true, "unknown": { "kept": 1.50 } })
}

#[tokio::test]
async fn bodies_pass_as_they_are_with_the_key_and_the_request_id() {
    let answer = "{ \"id\":\"x\",  \"choices\":[], \"unknown\": 1.50 }";
    let mut stub = Stub::start(whole("200 OK", answer), Then::Close).await;
    let app = app(&[&stub], PATIENCE).await;
    let body = "{ \"model\" : \"llama\", \"unknown\": 1.50, \"messages\":[] }";
    let got = app.admin().send_bytes("POST", PATH, body).await;
    assert_eq!((got.status, got.text.as_str()), (200, answer));
    let asked = stub.heard().await;
    assert!(asked.starts_with("POST /v1/chat/completions ") && asked.ends_with(body), "{asked}");
    assert!(asked.contains(&format!("x-request-id: {}", got.header("x-request-id"))), "{asked}");
    assert!(asked.contains("authorization: Bearer of-the-upstream"), "not the caller's own: {asked}");
    let models = app.admin().get("/v1/models").await.expect(200);
    assert_eq!(models["data"][1]["id"], "llama");
    assert_eq!(app.admin().get("/v2/gen-ai/models").await.expect(200)["meta"]["total"], 2);
}

#[tokio::test]
async fn what_an_upstream_refuses_is_passed_on_and_not_asked_again() {
    let refusal = "{\"error\":{\"message\":\"no\"}}";
    let (mut first, mut second) = (
        Stub::start(whole("400 Bad Request", refusal), Then::Close).await,
        Stub::start(whole("200 OK", "{}"), Then::Close).await,
    );
    let app = app(&[&first, &second], PATIENCE).await;
    let got = app.admin().post(PATH, ask()).await;
    assert_eq!((got.status, got.text.as_str()), (400, refusal));
    first.heard().await;
    assert!(!second.was_asked());
}

#[tokio::test]
async fn before_the_first_byte_the_next_upstream_is_asked() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{\"half\":";
    for (bad, then) in [
        (whole("500 Internal Server Error", "{}"), Then::Close),
        (whole("503 Service Unavailable", "{}"), Then::Close),
        (String::new(), Then::Close),
        (cut.to_owned(), Then::Close),
        ("what is this\r\n\r\n".to_owned(), Then::Close),
    ] {
        let mut first = Stub::start(bad.clone(), then).await;
        let mut second = Stub::start(whole("200 OK", "{\"well\":1}"), Then::Close).await;
        let app = app(&[&first, &second], PATIENCE).await;
        let got = app.admin().post(PATH, ask()).await;
        assert_eq!((got.status, got.text.as_str()), (200, "{\"well\":1}"), "{bad}");
        first.heard().await;
        second.heard().await;
    }
}

#[tokio::test]
async fn one_that_is_silent_is_left_for_the_next() {
    let mut silent = Stub::start("", Then::Wait).await;
    let second = Stub::start(whole("200 OK", "{}"), Then::Close).await;
    let app = app(&[&silent, &second], Duration::from_millis(300)).await;
    assert_eq!(app.admin().post(PATH, ask()).await.status, 200);
    silent.heard().await;
    assert_eq!(silent.heard().await, "left");
}

#[tokio::test]
async fn when_none_answers_that_is_said() {
    let (first, second) = (Stub::start("", Then::Close).await, Stub::start("", Then::Close).await);
    let app = app(&[&first, &second], PATIENCE).await;
    let text = app.admin().post(PATH, ask()).await.refusal(503, "service_unavailable");
    assert!(text.contains("llama") && text.contains("2 asked"), "{text}");
}

#[tokio::test]
async fn a_stream_passes_byte_for_byte() {
    let events = ": alive\n\ndata: {\"a\": 1.50}\n\ndata: [DONE]\n\n";
    let stub = Stub::start(streamed(events), Then::Wait).await;
    let app = app(&[&stub], PATIENCE).await;
    let got = app.admin().post(PATH, ask()).await;
    assert_eq!((got.status, got.text.as_str()), (200, events), "it ends with [DONE], also when the upstream stays");
    assert!(got.header("content-type").starts_with("text/event-stream"));
}

#[tokio::test]
async fn a_stream_that_breaks_ends_with_an_error_and_no_half_event_inf_6() {
    for (then, patience) in [(Then::Close, PATIENCE), (Then::Wait, Duration::from_millis(300))] {
        let stub = Stub::start(streamed("data: {\"a\":1}\n\ndata: {\"b\":"), then).await;
        let mut other = Stub::start(whole("200 OK", "{}"), Then::Close).await;
        let app = app(&[&stub, &other], patience).await;
        let got = app.admin().post(PATH, ask()).await;
        let rest = got.text.strip_prefix("data: {\"a\":1}\n\n").expect("the whole event");
        let error: Value =
            serde_json::from_str(rest.strip_prefix("data: ").expect("one event").trim_end()).expect("JSON");
        assert!(error["error"]["message"].as_str().is_some_and(|text| text.contains("llama broke off")), "{error}");
        assert!(!other.was_asked(), "after the first byte no other is asked");
    }
}

#[tokio::test]
async fn a_client_that_leaves_closes_the_upstream_inf_7() {
    let mut stub = Stub::start(streamed("data: {\"a\":1}\n\n"), Then::Wait).await;
    let app = app(&[&stub], PATIENCE).await;
    let mut response = app.admin().post_unread(PATH, &ask()).await;
    let first = response.body_mut().frame().await.expect("an event").expect("it came").into_data().expect("bytes");
    assert_eq!(&first[..], b"data: {\"a\":1}\n\n", "at once, while the upstream goes on");
    stub.heard().await;
    drop(response);
    assert_eq!(stub.heard().await, "left");
}
