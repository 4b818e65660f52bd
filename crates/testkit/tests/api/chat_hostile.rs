//! Upstreams that do what they should not: each gets its client an answer that says so, or another upstream's, and none keeps a
//! request of ours.

use std::time::Duration;

use dewpoint_server::{ModelConfig, UpstreamConfig};
use dewpoint_testkit::{
    FakeUpstream, TestApp, Then,
    upstream::{streamed, whole},
};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

const PATH: &str = "/v1/chat/completions";
const PATIENCE: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(200);
const EVENT: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";

async fn app(stub: &FakeUpstream, change: impl FnOnce(&mut ModelConfig)) -> TestApp {
    let mut model = ModelConfig::new("llama", vec![UpstreamConfig::new(stub.url.clone())]);
    (model.first_byte, model.between) = (PATIENCE, PATIENCE);
    change(&mut model);
    TestApp::start_with(|setup| setup.server.models = vec![model]).await
}

fn ask() -> Value {
    json!({ "model": "llama", "messages": [], "stream": true })
}

async fn metric(app: &TestApp, begin: &str) -> Option<u64> {
    let text = app.nobody().get("/metrics").await.text;
    text.lines().find(|line| line.starts_with(begin))?.rsplit(' ').next()?.parse().ok()
}

/// No request is counted as under way.
async fn nothing_is_held(app: &TestApp) {
    let idle = async || metric(app, "dewpoint_upstream_busy{").await == Some(0);
    app.until("no request is held", idle).await;
}

/// Many bytes without a line's end.
fn many() -> &'static str {
    Box::leak("x".repeat(256 * 1024).into_boxed_str())
}

/// What its client reads of an upstream that fails before it gave anything.
async fn refused(answer: String, then: Then, because: &str) {
    let stub = FakeUpstream::saying(answer.clone(), then).await;
    let app = app(&stub, |model| (model.first_byte, model.between) = (SHORT * 5, SHORT * 5)).await;
    let text = app.admin().post(PATH, ask()).await.refusal(503, "service_unavailable");
    assert!(text.contains(because), "{because}: {text}");
    nothing_is_held(&app).await;
    assert_eq!(metric(&app, "dewpoint_upstream_errors_total{").await, Some(1), "{because}");
}

/// The words of the error that ends a stream, and what came before it.
async fn broken(stub: FakeUpstream, change: impl FnOnce(&mut ModelConfig)) -> (String, String) {
    let app = app(&stub, change).await;
    let got = app.admin().post(PATH, ask()).await;
    assert_eq!(got.status, 200, "{}", got.text);
    let at = got.text.rfind("data: {\"error\"").unwrap_or_else(|| panic!("no error in {:?}", got.text));
    let (before, error) = got.text.split_at(at);
    let error: Value = serde_json::from_str(error["data: ".len()..].trim_end()).expect("JSON");
    nothing_is_held(&app).await;
    let errors = metric(&app, "dewpoint_chat_errors_total{").await;
    assert_eq!(errors, Some(1), "a stream that broke is an error");
    (error["error"]["message"].as_str().expect("a message").to_owned(), before.to_owned())
}

#[tokio::test]
async fn what_is_no_answer_is_not_passed_on() {
    let head = |more: &str, body: &str| format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{more}\r\n\r\n{body}");
    for (answer, because) in [
        ("not HTTP at all\r\n\r\n".to_owned(), "broke off"),
        (whole("302 Found", "{}"), "302"),
        (whole("204 No Content", ""), "no JSON object"),
        (head("content-type: text/html", "<html>Welcome</html>"), "no JSON object"),
        (head("content-type: application/json", "{\"cut\": "), "no JSON object"),
        (head("content-type: application/json\r\ncontent-length: 2\r\nx: y", "{}}}}")[..94].to_owned(), "broke off"),
        (head("content-type: application/json\r\ncontent-encoding: gzip", "\u{1f}"), "gzip"),
        (head("content-type: text/event-stream\r\ncontent-encoding: br", "x"), "br"),
        (head("content-length: 50\r\ncontent-type: application/json", "{}"), "broke off"),
        (head("content-length: 2\r\ncontent-length: 3\r\ncontent-type: application/json", "{}"), "broke off"),
        (head("transfer-encoding: chunked", "zz\r\n{}"), "broke off"),
    ] {
        refused(answer, Then::Close, because).await;
    }
}

#[tokio::test]
async fn who_says_nothing_or_never_ends_its_head_is_left() {
    refused(String::new(), Then::Wait, "silent").await;
    refused("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n".to_owned(), Then::Wait, "silent").await;
    refused("HTTP/1.1 200 OK\r\n".to_owned(), Then::Repeat("x-more: and more\r\n"), "broke off").await;
    refused("HTTP/1.1 200 OK\r\nx: ".to_owned(), Then::Repeat("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), "broke off").await;
    let endless = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"a\":\"";
    refused(
        endless.to_owned(),
        Then::Repeat("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
        "longer than",
    )
    .await;
}

#[tokio::test]
async fn a_stream_that_stalls_or_is_cut_ends_with_an_error_inf_6() {
    let stub = FakeUpstream::saying(streamed(EVENT), Then::Wait).await;
    let (error, before) = broken(stub, |model| model.between = SHORT).await;
    assert_eq!(before, EVENT);
    assert!(error.contains("silent"), "{error}");
    let stub = FakeUpstream::saying(streamed(&format!("{EVENT}data: {{\"half")), Then::Close).await;
    let (error, before) = broken(stub, |_| ()).await;
    assert_eq!(before, EVENT);
    assert!(error.contains("before the end"), "{error}");
    let lie = format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 900\r\n\r\n{EVENT}");
    let (error, before) = broken(FakeUpstream::saying(lie, Then::Close).await, |_| ()).await;
    assert_eq!(before, EVENT);
    assert!(error.contains("broke off"), "{error}");
}

#[tokio::test]
async fn a_stream_without_end_ends_by_its_line_by_its_time_or_by_its_client() {
    let stub = FakeUpstream::saying(streamed(EVENT), Then::Repeat(many())).await;
    let (error, before) = broken(stub, |_| ()).await;
    assert_eq!(before, EVENT);
    assert!(error.contains("event of more than"), "{error}");

    let stub = FakeUpstream::saying(streamed(EVENT), Then::Repeat(": alive\n\n")).await;
    let (error, _) = broken(stub, |model| model.whole = SHORT).await;
    assert!(error.contains("took longer than 200ms"), "{error}");

    let mut stub = FakeUpstream::saying(streamed(EVENT), Then::Repeat(EVENT)).await;
    let app = app(&stub, |_| ()).await;
    let mut response = app.admin().post_unread(PATH, &ask()).await;
    response.body_mut().frame().await.expect("an event").expect("it came");
    stub.heard().await;
    drop(response);
    assert_eq!(stub.heard().await, "left");
    nothing_is_held(&app).await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_first_byte_closes_the_upstream() {
    let mut stub = FakeUpstream::saying("", Then::Wait).await;
    let app = app(&stub, |_| ()).await;
    let client = app.admin();
    let asking = client.post(PATH, ask());
    tokio::select! {
        answer = asking => panic!("answered {}", answer.status),
        heard = stub.heard() => assert!(heard.starts_with("POST ")),
    }
    assert_eq!(stub.heard().await, "left");
    nothing_is_held(&app).await;
    assert_eq!(metric(&app, "dewpoint_upstream_errors_total{").await, Some(0), "that was no fault of the upstream's");
}

#[tokio::test]
async fn garbage_between_events_passes_and_is_not_counted() {
    let events = format!("data: garbage\n\ndata: [1,2]\n\n{EVENT}data: [DONE]\n\n");
    let stub = FakeUpstream::saying(streamed(&events), Then::Close).await;
    let app = app(&stub, |_| ()).await;
    assert_eq!(app.admin().post(PATH, ask()).await.text, events);
    assert_eq!(metric(&app, "dewpoint_chat_tokens_out_total{").await, Some(1));
}
