//! Which upstream answers: names of their own, sockets, checks, fallbacks, Droplets with a tag; and what is told of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use dewpoint_server::{CheckConfig, FoundConfig, ModelConfig, UpstreamConfig};
use dewpoint_testkit::{
    Answer, FakeUpstream, TestApp, Then,
    upstream::{streamed, whole},
};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

const PATH: &str = "/v1/chat/completions";
const USAGE: &str = "{\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":9}}";

async fn app(models: Vec<ModelConfig>) -> TestApp {
    TestApp::start_with(|setup| setup.server.models = models).await
}

fn ask(model: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": "echo hi" }] })
}

async fn metrics(app: &TestApp) -> String {
    app.nobody().get("/metrics").await.text
}

/// Whether `/metrics` has a line that begins and ends so.
async fn tells(app: &TestApp, begin: &str, end: &str) -> bool {
    metrics(app).await.lines().any(|line| line.starts_with(begin) && line.ends_with(end))
}

fn by(answer: &Answer) -> &str {
    answer.header("x-dewpoint-model")
}

#[tokio::test]
async fn an_upstreams_own_name_for_the_model_is_all_that_changes_in_a_body() {
    let mut stub = FakeUpstream::saying(whole("200 OK", USAGE), Then::Close).await;
    let own = UpstreamConfig { model: Some("meta/Llama".to_owned()), ..UpstreamConfig::new(stub.url.clone()) };
    let app = app(vec![ModelConfig::new("llama", vec![own])]).await;
    let body = "{ \"x\": 1.50, \"model\" :  \"llama\", \"messages\":[{\"content\":\"zero \\u0000\"}] }";
    let got = app.admin().send_bytes("POST", PATH, body).await;
    assert_eq!((got.status, got.text.as_str(), by(&got)), (200, USAGE, "llama"));
    assert!(stub.heard().await.ends_with(&body.replace("\"llama\"", "\"meta/Llama\"")));
    let asked = app.admin().send_bytes("POST", "/v1/embeddings", body).await;
    assert_eq!((asked.status, asked.text.as_str()), (200, USAGE));
    assert!(stub.heard().await.starts_with("POST /v1/embeddings "));
}

#[tokio::test]
async fn an_upstream_may_be_a_unix_socket() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("llama.sock");
    let mut stub = FakeUpstream::at(&path, whole("200 OK", USAGE)).await;
    let app = app(vec![ModelConfig::new("llama", vec![UpstreamConfig::new(stub.url.clone())])]).await;
    assert_eq!(app.admin().post(PATH, ask("llama")).await.text, USAGE);
    assert!(stub.heard().await.starts_with("POST /v1/chat/completions "));
}

#[tokio::test]
async fn checks_leave_out_who_fails_them_until_it_does_not() {
    let is_well = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&is_well);
    let first = FakeUpstream::start(move |asked| match (asked.starts_with("GET /v1/models "), told.load(SeqCst)) {
        (true, false) => (whole("503 Service Unavailable", "{}"), Then::Close),
        (true, true) => (whole("200 OK", "{}"), Then::Close),
        (false, _) => (whole("200 OK", "{\"by\":1}"), Then::Close),
    })
    .await;
    let second = FakeUpstream::saying(whole("200 OK", "{\"by\":2}"), Then::Close).await;
    let check = CheckConfig { every: Duration::from_millis(20), ..CheckConfig::default() };
    let upstreams = [&first, &second].map(|stub| UpstreamConfig::new(stub.url.clone())).to_vec();
    let app = app(vec![ModelConfig { check: Some(check), ..ModelConfig::new("llama", upstreams) }]).await;
    let up = format!("dewpoint_upstream_up{{model=\"llama\",upstream=\"{}\"}}", first.url);

    app.until("it is left out", async || tells(&app, &up, " 0").await).await;
    for _ in 0..4 {
        assert_eq!(app.admin().post(PATH, ask("llama")).await.text, "{\"by\":2}");
    }
    is_well.store(true, SeqCst);
    app.until("it is back", async || tells(&app, &up, " 1").await).await;
    app.until("it is asked", async || app.admin().post(PATH, ask("llama")).await.text == "{\"by\":1}").await;
}

#[tokio::test]
async fn another_model_answers_when_none_of_its_upstreams_does() {
    let full = FakeUpstream::saying(whole("429 Too Many Requests", "{\"error\":{}}"), Then::Close).await;
    let mut small = FakeUpstream::saying(whole("200 OK", USAGE), Then::Close).await;
    let upstream = |stub: &FakeUpstream| vec![UpstreamConfig::new(stub.url.clone())];
    let fallbacks = vec!["none".to_owned(), "small".to_owned()];
    let app = app(vec![
        ModelConfig { fallbacks: fallbacks.clone(), ..ModelConfig::new("large", upstream(&full)) },
        ModelConfig::new("small", upstream(&small)),
        ModelConfig { fallbacks: vec!["dewpoint-scripted".to_owned()], ..ModelConfig::new("gone", Vec::new()) },
        ModelConfig { fallbacks: vec!["gone".to_owned()], ..ModelConfig::new("lonely", upstream(&full)) },
    ])
    .await;
    let got = app.admin().post(PATH, ask("large")).await;
    assert_eq!((got.status, got.text.as_str(), by(&got)), (200, USAGE, "small"));
    let asked = small.heard().await;
    assert!(asked.contains("\"model\":\"small\""), "its own name: {asked}");
    let got = app.admin().post(PATH, ask("gone")).await;
    assert_eq!(
        (got.expect(200)["choices"][0]["message"]["content"].as_str(), by(&got)),
        (Some("hi"), "dewpoint-scripted")
    );
    let got = app.admin().post(PATH, ask("lonely")).await;
    assert_eq!((got.status, by(&got)), (429, "lonely"), "the first refusal when nobody answers");
    let used = app.admin().get("/dew/v1/usage?model=large").await.expect(200);
    assert_eq!(
        (&used["total"]["tokens_in"], &used["total"]["tokens_out"]),
        (&json!(7), &json!(9)),
        "by what was asked for"
    );
}

#[tokio::test]
async fn what_upstreams_and_models_did_is_told() {
    let events = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";
    let stub = FakeUpstream::saying(streamed(events), Then::Close).await;
    let app = app(vec![ModelConfig::new("llama", vec![UpstreamConfig::new(stub.url.clone())])]).await;
    assert_eq!(app.admin().post(PATH, ask("llama")).await.text, events);
    for (begin, end) in [
        ("dewpoint_chat_requests_total{model=\"llama\",key=\"", "\"} 1"),
        ("dewpoint_chat_tokens_in_total{model=\"llama\",", " 5"),
        ("dewpoint_chat_tokens_out_total{model=\"llama\",", " 2"),
        ("dewpoint_chat_first_token_seconds_count{model=\"llama\",", " 1"),
        ("dewpoint_chat_queue_seconds_count{model=\"llama\",", " 1"),
        ("dewpoint_upstream_requests_total{model=\"llama\",upstream=\"http://127.0.0.1:", "} 1"),
        ("dewpoint_upstream_tokens_out_total{model=\"llama\",", " 2"),
        ("dewpoint_upstream_up{model=\"llama\",", " 1"),
        ("dewpoint_upstream_busy{model=\"llama\",", " 0"),
    ] {
        assert!(tells(&app, begin, end).await, "no {begin}…{end} in\n{}", metrics(&app).await);
    }
}

#[tokio::test]
async fn a_server_that_ends_tells_its_streams_and_whoever_waits() {
    let stub = FakeUpstream::start(|asked| match asked.contains("\"stream\":true") {
        true => (streamed("data: {\"a\":1}\n\n"), Then::Wait),
        false => (String::new(), Then::Wait),
    })
    .await;
    let mut stub = stub;
    let model = ModelConfig::new("llama", vec![UpstreamConfig::new(stub.url.clone())]);
    let app = TestApp::start_with(|setup| {
        setup.server.models = vec![model];
        setup.server.inference.ending = Duration::ZERO;
    })
    .await;
    let streaming = crate::with(ask("llama"), json!({ "stream": true }));
    let mut response = app.admin().post_unread(PATH, &streaming).await;
    response.body_mut().frame().await.expect("an event").expect("it came");
    let endless = json!({ "model": "dewpoint-scripted", "stream": true, "messages": [{ "role": "user", "content": "count to 1000000" }] });
    let scripted = app.admin().post_unread(PATH, &endless).await;
    stub.heard().await;
    let client = app.admin();
    let waiting = client.post(PATH, ask("llama"));
    let ends = async {
        stub.heard().await;
        app.edge().stop_streams();
    };
    let (waiting, ()) = tokio::join!(waiting, ends);
    assert!(waiting.refusal(503, "service_unavailable").contains("ending"));
    for body in [response.into_body(), scripted.into_body()] {
        let rest = String::from_utf8(body.collect().await.expect("it ends").to_bytes().to_vec()).expect("text");
        assert!(rest.ends_with("\n\n") && rest.contains("data: {\"error\"") && rest.contains("ending"), "{rest}");
    }
    assert_eq!(stub.heard().await, "left");
}

#[tokio::test]
async fn a_model_of_droplets_answers_while_one_with_the_tag_is_active() {
    let found = FoundConfig { tag: "llm".parse().expect("a tag"), port: 8000, key: None };
    let mut app = app(vec![ModelConfig { droplets: Some(found), ..ModelConfig::new("llama", Vec::new()) }]).await;
    let listed = async |app: &TestApp| {
        let models = app.admin().get("/v1/models").await.expect(200);
        models["data"].as_array().expect("a list").iter().any(|model| model["id"] == "llama")
    };
    let text = app.admin().post(PATH, ask("llama")).await.refusal(503, "service_unavailable");
    assert!(text.contains("llm") && text.contains("llama") && !listed(&app).await, "{text}");

    let id = app.admin().create_droplet("gpu-1").await;
    let resources = json!({ "resources": [{ "resource_id": id.to_string(), "resource_type": "droplet" }] });
    app.admin().post("/v2/tags", json!({ "name": "llm" })).await.expect(201);
    app.admin().post("/v2/tags/llm/resources", resources.clone()).await;
    assert_eq!(app.admin().post(PATH, ask("llama")).await.status, 503, "not before it is active");
    app.run_actions_to_end().await;
    let got = app.admin().post(PATH, ask("llama")).await;
    assert_eq!((got.expect(200)["model"].as_str(), by(&got), listed(&app).await), (Some("llama"), "llama", true));

    app.restart().await;
    assert_eq!(app.admin().post(PATH, ask("llama")).await.status, 200, "known after a restart");
    assert!(app.admin().send_bytes("DELETE", "/v2/tags/llm/resources", resources.to_string()).await.status == 204);
    assert_eq!((app.admin().post(PATH, ask("llama")).await.status, listed(&app).await), (503, false));
    app.admin().post("/v2/tags/llm/resources", resources).await;
    app.admin().delete(&format!("/v2/droplets/{id}")).await;
    app.run_actions_to_end().await;
    assert_eq!(app.admin().post(PATH, ask("llama")).await.status, 503, "gone when it is deleted");
    let other = app.other_account().await;
    let body = crate::with(dewpoint_testkit::droplet_body("gpu-2"), json!({ "tags": ["llm"] }));
    other.post("/v2/droplets", body).await.expect(202);
    app.run_actions_to_end().await;
    assert_eq!(app.admin().post(PATH, ask("llama")).await.status, 503, "another account's Droplets serve nobody else");
}
