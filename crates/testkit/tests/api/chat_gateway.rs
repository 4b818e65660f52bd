//! Models that upstreams serve: stubs on loopback that answer as told, in this process.

use std::time::Duration;

use dewpoint_server::{ModelConfig, Secret, UpstreamConfig};
use dewpoint_testkit::{
    FakeUpstream, TestApp, Then,
    upstream::{streamed, whole},
};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

const PATH: &str = "/v1/chat/completions";
/// For what must come; a test that works never waits so long.
const PATIENCE: Duration = Duration::from_secs(30);

async fn app(stubs: &[&FakeUpstream], patience: Duration) -> TestApp {
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
    let mut stub = FakeUpstream::saying(whole("200 OK", answer), Then::Close).await;
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
    let listed = async |query: &str| app.admin().get(&format!("/v2/gen-ai/models{query}")).await;
    for (query, total) in [
        ("", 2),
        ("?public_only=true&usecases=", 2),
        ("?usecases=MODEL_USECASE_AGENT&usecases=MODEL_USECASE_SERVERLESS", 2),
        ("?usecases=MODEL_USECASE_AGENT,MODEL_USECASE_SERVERLESS", 2),
        ("?usecases=MODEL_USECASE_AGENT", 0),
    ] {
        assert_eq!(listed(query).await.expect(200)["meta"]["total"], total, "{query}");
    }
    for query in ["?usecases=CHESS", "?public_only=maybe"] {
        listed(query).await.refusal(422, "unprocessable_entity");
    }
}

#[tokio::test]
async fn what_an_upstream_refuses_is_passed_on_and_not_asked_again() {
    let refusal = "{\"error\":{\"message\":\"no\"}}";
    let (mut first, mut second) = (
        FakeUpstream::saying(whole("400 Bad Request", refusal), Then::Close).await,
        FakeUpstream::saying(whole("200 OK", "{}"), Then::Close).await,
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
        let mut first = FakeUpstream::saying(bad.clone(), then).await;
        let mut second = FakeUpstream::saying(whole("200 OK", "{\"well\":1}"), Then::Close).await;
        let app = app(&[&first, &second], PATIENCE).await;
        let got = app.admin().post(PATH, ask()).await;
        assert_eq!((got.status, got.text.as_str()), (200, "{\"well\":1}"), "{bad}");
        first.heard().await;
        second.heard().await;
    }
}

#[tokio::test]
async fn one_that_is_silent_is_left_for_the_next() {
    let mut silent = FakeUpstream::saying("", Then::Wait).await;
    let second = FakeUpstream::saying(whole("200 OK", "{}"), Then::Close).await;
    let app = app(&[&silent, &second], Duration::from_millis(300)).await;
    assert_eq!(app.admin().post(PATH, ask()).await.status, 200);
    silent.heard().await;
    assert_eq!(silent.heard().await, "left");
}

#[tokio::test]
async fn when_none_answers_that_is_said() {
    let (first, second) = (FakeUpstream::saying("", Then::Close).await, FakeUpstream::saying("", Then::Close).await);
    let app = app(&[&first, &second], PATIENCE).await;
    let text = app.admin().post(PATH, ask()).await.refusal(503, "service_unavailable");
    assert!(text.contains("llama") && text.contains("2 asked"), "{text}");
}

#[tokio::test]
async fn a_stream_passes_byte_for_byte() {
    let events = ": alive\n\ndata: {\"a\": 1.50}\n\ndata: [DONE]\n\n";
    let stub = FakeUpstream::saying(streamed(events), Then::Wait).await;
    let app = app(&[&stub], PATIENCE).await;
    let got = app.admin().post(PATH, ask()).await;
    assert_eq!((got.status, got.text.as_str()), (200, events), "it ends with [DONE], also when the upstream stays");
    assert!(got.header("content-type").starts_with("text/event-stream"));
}

#[tokio::test]
async fn a_stream_that_breaks_ends_with_an_error_and_no_half_event_inf_6() {
    for (then, patience) in [(Then::Close, PATIENCE), (Then::Wait, Duration::from_millis(300))] {
        let stub = FakeUpstream::saying(streamed("data: {\"a\":1}\n\ndata: {\"b\":"), then).await;
        let mut other = FakeUpstream::saying(whole("200 OK", "{}"), Then::Close).await;
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
    let mut stub = FakeUpstream::saying(streamed("data: {\"a\":1}\n\n"), Then::Wait).await;
    let app = app(&[&stub], PATIENCE).await;
    let mut response = app.admin().post_unread(PATH, &ask()).await;
    let first = response.body_mut().frame().await.expect("an event").expect("it came").into_data().expect("bytes");
    assert_eq!(&first[..], b"data: {\"a\":1}\n\n", "at once, while the upstream goes on");
    stub.heard().await;
    drop(response);
    assert_eq!(stub.heard().await, "left");
}
