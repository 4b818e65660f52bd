//! Chat completions of the scripted model, through the front door (INF-1 to INF-9, AUTH-8).

use dewpoint_testkit::{Answer, TestApp};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

const MODEL: &str = "dewpoint-scripted";
const PATH: &str = "/v1/chat/completions";

fn ask(text: &str, more: Value) -> Value {
    crate::with(json!({ "model": MODEL, "messages": [{ "role": "user", "content": text }] }), more)
}

/// The data of each event of a stream, which has nothing else in it (INF-2).
fn events(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let whole = answer.text.strip_suffix("\n\n").expect("the last event ends with a blank line");
    whole.split("\n\n").map(|event| event.strip_prefix("data: ").expect("one line of data").to_owned()).collect()
}

/// A number that `/metrics` tells.
async fn metric(app: &TestApp, name: &str) -> u64 {
    let text = app.nobody().get("/metrics").await.text;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}"));
    line.trim().parse().expect("a number")
}

#[tokio::test]
async fn the_scripted_model_is_there_from_the_start_inf_9() {
    let app = TestApp::start().await;
    let models = app.admin().get("/v1/models").await.expect(200);
    let created = app.now().as_seconds();
    let one = json!({ "id": MODEL, "object": "model", "created": created, "owned_by": "dewpoint" });
    assert_eq!(models, json!({ "object": "list", "data": [one] }));
}

#[tokio::test]
async fn an_answer_is_one_object_and_its_path_has_two_names_inf_1() {
    let app = TestApp::start().await;
    for path in [PATH, "/chat/completions"] {
        let answer = app.admin().post(path, ask("echo Hello there.", json!({}))).await;
        let body = answer.expect(200);
        assert!(answer.header("content-type").starts_with("application/json"));
        let message =
            json!({ "role": "assistant", "content": "Hello there.", "refusal": null, "reasoning_content": null });
        let choice = json!({ "index": 0, "message": message, "finish_reason": "stop", "logprobs": null });
        assert_eq!((&body["object"], &body["choices"]), (&json!("chat.completion"), &json!([choice])));
        assert_eq!((&body["model"], body["created"].as_i64()), (&json!(MODEL), Some(app.now().as_seconds())));
        assert_eq!(body["usage"]["completion_tokens"], 3);
    }
}

#[tokio::test]
async fn a_stream_is_events_and_ends_with_done_inf_2_inf_4() {
    let app = TestApp::start().await;
    let more = json!({ "stream": true, "n": 2, "stream_options": { "include_usage": true } });
    let answer = app.admin().post(PATH, ask("tell me", more)).await;
    assert!(answer.header("content-type").starts_with("text/event-stream"));
    assert_eq!((answer.header("content-encoding"), answer.header("x-accel-buffering")), ("", "no"));
    let mut events = events(&answer);
    assert_eq!(events.pop().as_deref(), Some("[DONE]"));
    let chunks: Vec<Value> = events.iter().map(|event| serde_json::from_str(event).expect("JSON")).collect();
    assert!(chunks.iter().all(|chunk| chunk["object"] == "chat.completion.chunk" && chunk["id"] == chunks[0]["id"]));
    let (last, others) = chunks.split_last().expect("chunks");
    assert_eq!(last["choices"], json!([]));
    assert!(last["usage"]["total_tokens"].as_u64() > Some(4));
    let ends = others.iter().filter(|chunk| chunk["choices"][0]["finish_reason"] == "stop").count();
    assert_eq!(ends, 2);
}

#[tokio::test]
async fn what_cannot_be_is_refused_before_a_token_is_made_inf_8() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let picture = json!([{ "role": "user", "content": [{ "type": "image_url", "image_url": { "url": "data:," } }] }]);
    let schema = json!({ "type": "json_schema", "json_schema": { "name": "a", "schema": { "type": "strnig" } } });
    for (more, named) in [
        (json!({ "n": 129 }), "n "),
        (json!({ "temperature": 3 }), "temperature "),
        (json!({ "messages": [] }), "messages "),
        (json!({ "messages": picture }), "messages[0].content[0] "),
        (json!({ "response_format": schema }), "response_format.json_schema.schema.type "),
        (json!({ "stream_options": {} }), "stream_options "),
        (json!({ "n": "two" }), "n "),
    ] {
        let text = admin.post(PATH, ask("hi", more)).await.invalid();
        assert!(text.starts_with(named), "{text}");
    }
    let text = admin.post(PATH, ask("hi", json!({ "model": "gpt-9" }))).await.refusal(404, "not_found");
    assert!(text.contains("gpt-9") && text.contains(MODEL), "{text}");
    let text = admin.post(PATH, ask("hi", json!({ "max_tokens": 9000 }))).await.refusal(400, "bad_request");
    assert!(text.contains("8192") && text.contains("9005"), "{text}");
    admin.send_bytes("POST", PATH, "{").await.refusal(400, "bad_request");
    admin.send_bytes("POST", PATH, "").await.refusal(400, "bad_request");
    assert_eq!(metric(&app, "dewpoint_chat_tokens_made_total ").await, 0);
}

#[tokio::test]
async fn a_client_that_goes_away_stops_the_model_inf_7() {
    let app = TestApp::start().await;
    let body = ask("count to 1000000", json!({ "stream": true }));
    let mut response = app.admin().post_unread(PATH, &body).await;
    for _ in 0..5 {
        response.body_mut().frame().await.expect("an event").expect("it is made in memory");
    }
    assert_eq!(metric(&app, "dewpoint_chat_streams ").await, 1);
    drop(response);
    assert_eq!(metric(&app, "dewpoint_chat_streams ").await, 0);
    let made = metric(&app, "dewpoint_chat_tokens_made_total ").await;
    assert!((3..=6).contains(&made), "{made} tokens for five events");
}

#[tokio::test]
async fn only_a_full_token_asks_models_auth_8() {
    let app = TestApp::start().await;
    app.nobody().post(PATH, ask("hi", json!({}))).await.refusal(401, "unauthorized");
    let some = app.token_with(&["droplet:read"]).await;
    some.post(PATH, ask("hi", json!({}))).await.refusal(403, "forbidden");
    some.get("/v1/models").await.refusal(403, "forbidden");
}

#[tokio::test]
async fn a_model_access_key_asks_models_and_nothing_else_and_is_shown_once_auth_8() {
    let mut app = TestApp::start().await;
    let keys = "/v2/gen-ai/models/api_keys";
    app.admin().post(keys, json!({})).await.invalid();
    let made = app.admin().post(keys, json!({ "name": "bot" })).await.expect(200)["api_key_info"].clone();
    let secret = made["secret_key"].as_str().expect("a secret").to_owned();
    let path = format!("{keys}/{}", made["uuid"].as_str().expect("a uuid"));
    let status = async |app: &TestApp, secret: &str| {
        let asked = app.bearer(secret).post(PATH, ask("hi", json!({}))).await.status;
        assert_eq!(app.bearer(secret).get("/v1/models").await.status, asked);
        asked
    };
    assert_eq!(status(&app, &secret).await, 200);
    for other in ["/v2/account", keys, "/dew/v1/tokens", "/v2/regions"] {
        app.bearer(&secret).get(other).await.refusal(401, "unauthorized");
    }
    let list = app.admin().get(keys).await;
    assert_eq!(list.expect(200)["api_key_infos"][0]["name"], "bot");
    assert!(!list.text.contains(&secret) && !list.text.contains("secret_key"), "{}", list.text);
    assert_eq!(app.admin().put(&path, json!({ "name": "robot" })).await.expect(200)["api_key_info"]["name"], "robot");
    app.other_account().await.delete(&path).await.refusal(404, "not_found");

    let again = app.admin().put(&format!("{path}/regenerate"), json!({})).await.expect(200)["api_key_info"].clone();
    let other = again["secret_key"].as_str().expect("a secret").to_owned();
    assert_eq!((status(&app, &secret).await, status(&app, &other).await), (401, 200), "the old one at once no more");
    app.restart().await;
    assert_eq!((status(&app, &secret).await, status(&app, &other).await), (401, 200), "also after a restart");
    let gone = app.admin().delete(&path).await.expect(200);
    assert!(gone["api_key_info"]["deleted_at"].is_string());
    assert_eq!(status(&app, &other).await, 401);
    app.admin().delete(&path).await.refusal(404, "not_found");
}
