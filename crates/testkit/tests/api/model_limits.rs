//! What model access keys may have and what they used, through the front door; embeddings; the ids of requests.

use std::time::Duration;

use dewpoint_api::KeyLimits;
use dewpoint_testkit::{Answer, TestApp};
use serde_json::{Value, json};

const CHAT: &str = "/v1/chat/completions";
const EMBEDDINGS: &str = "/v1/embeddings";
const KEYS: &str = "/v2/gen-ai/models/api_keys";

fn echo(text: &str, more: Value) -> Value {
    let messages = json!([{ "role": "user", "content": format!("echo {text}") }]);
    crate::with(json!({ "model": "dewpoint-scripted", "messages": messages }), more)
}

/// A new key's secret and uuid.
async fn key(app: &TestApp) -> (String, String) {
    let made = app.admin().post(KEYS, json!({ "name": "bot" })).await.expect(200)["api_key_info"].clone();
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    (text("secret_key"), text("uuid"))
}

async fn limit(app: &TestApp, uuid: &str, limits: Value) -> Value {
    app.admin().put(&format!("/dew/v1/model-keys/{uuid}/limits"), limits).await.expect(200)
}

async fn usage(app: &TestApp, query: &str) -> Value {
    app.admin().get(&format!("/dew/v1/usage{query}")).await.expect(200)
}

#[tokio::test]
async fn a_key_has_its_requests_a_minute_and_then_waits() {
    let app = TestApp::start().await;
    let (secret, uuid) = key(&app).await;
    let bot = app.bearer(&secret);
    let free = bot.post(CHAT, echo("a", json!({}))).await;
    assert_eq!((free.status, free.header("x-ratelimit-limit-requests")), (200, ""), "no limit, no headers");

    limit(&app, &uuid, json!({ "requests_per_minute": 3 })).await;
    for left in ["2", "1", "0"] {
        let answer = bot.post(CHAT, echo("a", json!({}))).await;
        assert_eq!((answer.status, answer.header("x-ratelimit-remaining-requests")), (200, left));
        assert_eq!(answer.header("x-ratelimit-limit-requests"), "3");
    }
    let refused = bot.post(CHAT, echo("a", json!({}))).await;
    let text = refused.refusal(429, "too_many_requests");
    assert!(text.contains("3 requests a minute") && text.contains("20 s"), "{text}");
    assert_eq!((refused.header("retry-after"), refused.header("x-ratelimit-reset-requests")), ("20", "1m0s"));
    assert_eq!(bot.post(EMBEDDINGS, json!({ "model": "dewpoint-scripted", "input": "a" })).await.status, 429);
    assert_eq!(bot.get("/v1/models").await.status, 200, "asking for no model costs nothing");
    assert_eq!(app.admin().post(CHAT, echo("a", json!({}))).await.status, 200, "another key's is its own");

    app.clock().advance(Duration::from_secs(20));
    assert_eq!(bot.post(CHAT, echo("a", json!({}))).await.status, 200);
    assert_eq!(bot.post(CHAT, echo("a", json!({}))).await.status, 429);
    limit(&app, &uuid, json!({})).await;
    assert_eq!(bot.post(CHAT, echo("a", json!({}))).await.status, 200, "from the answer on");
}

#[tokio::test]
async fn a_key_has_its_tokens_a_minute_by_what_answers_told() {
    let app = TestApp::start().await;
    let (secret, uuid) = key(&app).await;
    let bot = app.bearer(&secret);
    limit(&app, &uuid, json!({ "tokens_per_minute": 200 })).await;
    for stream in [false, true] {
        let more = json!({ "stream": stream, "stream_options": if stream { json!({ "include_usage": true }) } else { json!(null) } });
        let before = bot.post(CHAT, echo("one two three", more)).await;
        assert_eq!(before.status, 200, "{}", before.text);
    }
    let total = usage(&app, &format!("?key={uuid}")).await["total"].clone();
    let used = total["tokens_in"].as_u64().expect("tokens") + total["tokens_out"].as_u64().expect("tokens");
    assert_eq!((&total["requests"], &total["estimated"]), (&json!(2), &json!(0)));
    // The next request is told what is left before its own tokens are known: its estimate is taken from it.
    let body = echo("x", json!({}));
    let estimate = body.to_string().len().div_ceil(4) as u64;
    let answer = bot.post(CHAT, body).await;
    assert_eq!(answer.header("x-ratelimit-remaining-tokens"), (200 - used - estimate).to_string());
    let long = bot.post(CHAT, echo(&"word ".repeat(300), json!({}))).await;
    assert_eq!(long.status, 200, "it is let in while anything is left, and never cut off");
    let refused = bot.post(CHAT, echo("a", json!({}))).await;
    assert!(refused.refusal(429, "too_many_requests").contains("200 tokens a minute"));
    assert_eq!(refused.header("x-ratelimit-remaining-tokens"), "0");
    app.clock().advance(Duration::from_secs(600));
    assert_eq!(bot.post(CHAT, echo("a", json!({}))).await.status, 200);
}

#[tokio::test]
async fn a_days_tokens_are_known_after_a_restart() {
    let mut app = TestApp::start().await;
    let (secret, uuid) = key(&app).await;
    limit(&app, &uuid, json!({ "tokens_per_day": 300 })).await;
    assert_eq!(app.bearer(&secret).post(CHAT, echo(&"word ".repeat(300), json!({}))).await.status, 200);
    assert_eq!(app.bearer(&secret).post(CHAT, echo("a", json!({}))).await.status, 429);
    app.control().write_usage().await.expect("the store can be written");
    app.restart().await;
    let refused = app.bearer(&secret).post(CHAT, echo("a", json!({}))).await;
    assert!(refused.refusal(429, "too_many_requests").contains("300 tokens a day"));
}

#[tokio::test]
async fn limits_are_an_accounts_own_and_the_configurations_hold_where_there_are_none() {
    let usual = KeyLimits { requests_per_minute: Some(1), ..KeyLimits::default() };
    let app = TestApp::start_with(|setup| setup.server.inference.limits = usual).await;
    let (secret, uuid) = key(&app).await;
    let path = format!("/dew/v1/model-keys/{uuid}/limits");
    let none = json!({ "requests_per_minute": null, "tokens_per_minute": null, "tokens_per_day": null });
    let in_force = crate::with(none.clone(), json!({ "requests_per_minute": 1 }));
    assert_eq!(app.admin().get(&path).await.expect(200), json!({ "limits": none, "in_force": in_force }));
    assert_eq!(app.bearer(&secret).post(CHAT, echo("a", json!({}))).await.status, 200);
    assert_eq!(app.bearer(&secret).post(CHAT, echo("a", json!({}))).await.status, 429);
    assert_eq!(app.admin().post(CHAT, echo("a", json!({}))).await.status, 200, "a token is no key");
    let shown = limit(&app, &uuid, json!({ "tokens_per_day": 5 })).await;
    assert_eq!(shown["in_force"], crate::with(in_force, json!({ "tokens_per_day": 5 })));
    app.other_account().await.get(&path).await.refusal(404, "not_found");
    app.other_account().await.put(&path, json!({})).await.refusal(404, "not_found");
    app.admin().put(&path, json!({ "tokens_per_day": -1 })).await.invalid();
    app.admin().put(&path, json!({ "tokens_per_day": 10_000_000_000_000_u64 })).await.invalid();
    let listed = app.admin().get(KEYS).await.expect(200);
    assert_eq!(listed["api_key_infos"][0].as_object().map(|key| key.len()), Some(4), "strict clients see no more");
}

#[tokio::test]
async fn what_keys_used_is_told_by_minute_key_and_model() {
    let app = TestApp::start().await;
    let (secret, uuid) = key(&app).await;
    let bot = app.bearer(&secret);
    let told = bot.post(CHAT, echo("one two", json!({}))).await.expect(200)["usage"].clone();
    bot.post(CHAT, echo("a", json!({ "temperature": 9 }))).await.invalid();
    bot.post(CHAT, echo("a", json!({ "model": "none" }))).await.refusal(404, "not_found");
    app.clock().advance(Duration::from_secs(60));
    bot.post(CHAT, echo("one two three", json!({ "stream": true }))).await;
    app.admin().post(EMBEDDINGS, json!({ "model": "dewpoint-scripted", "input": ["a", "b c"] })).await.expect(200);

    let all = usage(&app, "").await;
    let of_bot = usage(&app, &format!("?key={uuid}")).await;
    assert_eq!((&all["meta"]["total"], &of_bot["meta"]["total"]), (&json!(3), &json!(2)));
    let (later, first) = (&of_bot["usage"][0], &of_bot["usage"][1]);
    let counts = |row: &Value| [&row["requests"], &row["errors"], &row["estimated"]].map(|one| one.as_u64());
    assert_eq!(counts(first), [Some(2), Some(0), Some(0)], "a refusal is a request and no error of ours");
    assert_eq!((&first["tokens_in"], &first["tokens_out"]), (&told["prompt_tokens"], &told["completion_tokens"]));
    assert_eq!((counts(later), &later["tokens_out"]), ([Some(1), Some(0), Some(1)], &json!(3)), "three chunks spoke");
    assert_eq!((&first["minute"], &later["minute"]), (&json!("2026-11-21T10:00:00Z"), &json!("2026-11-21T10:01:00Z")));
    let embedded = all["usage"].as_array().expect("rows").iter().find(|row| row["key_id"] != uuid.as_str());
    assert_eq!(embedded.map(|row| (&row["tokens_in"], &row["tokens_out"])), Some((&json!(3), &json!(0))));
    let sum: u64 = all["usage"].as_array().expect("rows").iter().filter_map(|row| row["tokens_in"].as_u64()).sum();
    assert_eq!(all["total"]["tokens_in"], sum);

    assert_eq!(usage(&app, "?from=2026-11-21T10:01:00Z").await["meta"]["total"], 2);
    assert_eq!(usage(&app, "?to=2026-11-21T10:01:00Z").await["meta"]["total"], 1);
    assert_eq!(usage(&app, "?model=none").await["total"]["requests"], 0);
    let page = usage(&app, "?per_page=1&page=2").await;
    assert!(page["usage"].as_array().is_some_and(|rows| rows.len() == 1) && page["links"]["pages"]["next"].is_string());
    assert_eq!(app.other_account().await.get("/dew/v1/usage").await.expect(200)["meta"]["total"], 0);
}

#[tokio::test]
async fn what_was_used_survives_a_restart_once_it_is_written() {
    let mut app = TestApp::start().await;
    app.admin().post(CHAT, echo("a", json!({}))).await.expect(200);
    app.control().write_usage().await.expect("the store can be written");
    app.admin().post(CHAT, echo("a", json!({}))).await.expect(200);
    app.restart().await;
    assert_eq!(usage(&app, "").await["total"]["requests"], 1, "a kill loses what was not written");
}

#[tokio::test]
async fn texts_become_vectors_as_numbers_or_base64() {
    let app = TestApp::start().await;
    let ask = async |more: Value| {
        let body = crate::with(json!({ "model": "dewpoint-scripted", "input": "a cat" }), more);
        app.admin().post(EMBEDDINGS, body).await
    };
    let one = ask(json!({})).await.expect(200);
    assert_eq!((&one["object"], &one["model"]), (&json!("list"), &json!("dewpoint-scripted")));
    let vector = one["data"][0]["embedding"].as_array().expect("numbers").clone();
    assert_eq!((vector.len(), &one["data"][0]["index"]), (384, &json!(0)));
    let two = ask(json!({ "input": ["a cat", "a dog"], "dimensions": 8 })).await.expect(200);
    assert_eq!(two["data"].as_array().map(Vec::len), Some(2));
    let packed = ask(json!({ "encoding_format": "base64" })).await.expect(200);
    assert_eq!(packed["data"][0]["embedding"].as_str().map(str::len), Some(2048));
    assert!(ask(json!({ "input": [] })).await.invalid().starts_with("input "));
    ask(json!({ "input": "a ".repeat(9000) })).await.refusal(400, "bad_request");
    ask(json!({ "model": "none" })).await.refusal(404, "not_found");
    app.nobody().post(EMBEDDINGS, json!({})).await.refusal(401, "unauthorized");
}

#[tokio::test]
async fn a_request_keeps_the_id_that_its_client_gave_it_where_nothing_is_written_down() {
    let app = TestApp::start().await;
    let id = |answer: &Answer| answer.header("x-request-id").to_owned();
    let named = |name: &'static str| [("x-request-id", name)];
    let answer = app.admin().post_with(CHAT, &named("run-7.a:b"), &echo("a", json!({}))).await;
    assert_eq!((answer.status, id(&answer).as_str()), (200, "run-7.a:b"));
    let refused = app.admin().post_with(CHAT, &named("run-8"), &echo("a", json!({ "n": 0 }))).await;
    refused.invalid();
    assert_eq!(id(&refused), "run-8");
    for unfit in ["", "two words", "a\"b"] {
        let answer = app.admin().post_with(CHAT, &named(unfit), &echo("a", json!({}))).await;
        assert!(id(&answer).len() == 36 && answer.status == 200, "{unfit}");
    }
    let tag = app.admin().post_with("/v2/tags", &named("run-9"), &json!({ "name": "t" })).await;
    assert_eq!((tag.status, id(&tag).len()), (201, 36), "what changes something is known by an id of ours");
}

#[tokio::test]
async fn a_long_conversation_is_taken_and_one_beyond_the_limit_refused() {
    let app = TestApp::start_with(|setup| setup.server.inference.body_most = 3 * 1024 * 1024).await;
    let ask = async |length: usize| app.admin().post(CHAT, echo(&"x".repeat(length), json!({}))).await;
    let text = ask(2 * 1024 * 1024).await.refusal(400, "bad_request");
    assert!(text.contains("8192"), "the model's own limit, not the body's: {text}");
    assert_eq!(ask(4 * 1024 * 1024).await.status, 413);
    assert_eq!(app.admin().post("/v2/tags", json!({ "name": "x".repeat(2 * 1024 * 1024) })).await.status, 413);
}
