//! A Droplet's serial console through the front door: what is typed comes back from the simulator's guest.

use std::time::Duration;

use axum::body::Body;
use dewpoint_testkit::{Client, TestApp};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use serde_json::json;
use tokio::time::timeout;

/// How long anything here may take.
const DEADLINE: Duration = Duration::from_secs(60);

async fn follow(client: &Client<'_>, path: &str) -> Response<Body> {
    let request = Request::builder().uri(format!("{path}?follow=true")).header("host", "dew.test");
    let response = client.begin(request.body(Body::empty()).expect("a request")).await;
    assert_eq!(response.status(), 200);
    response
}

/// What comes until `last` has come; with `None` until the stream ends.
async fn heard(stream: &mut Response<Body>, last: Option<&str>) -> String {
    let mut text = String::new();
    while last.is_none_or(|last| !text.ends_with(last)) {
        let frame = timeout(DEADLINE, stream.frame()).await.unwrap_or_else(|_| panic!("nothing behind {text:?}"));
        match (frame, last) {
            (Some(frame), _) => {
                text.push_str(&String::from_utf8_lossy(&frame.expect("a frame").into_data().expect("bytes")))
            }
            (None, None) => break,
            (None, Some(last)) => panic!("it ended behind {text:?}, before {last:?}"),
        }
    }
    text
}

#[tokio::test]
async fn a_console_tells_what_it_told_and_what_is_typed_once_and_ends_with_the_droplet() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.active_droplet("web").await;
    let path = format!("/dew/v1/droplets/{id}/console");
    assert_eq!(admin.get(&path).await.text, "");

    let mut first = follow(&admin, &path).await;
    admin.post(&path, json!({ "input": "ls\r" })).await.expect(204);
    assert_eq!(heard(&mut first, Some("\r")).await, "ls\r");
    // Sent again because its answer was lost: typed once.
    let key = [("idempotency-key", "k")];
    for replayed in ["", "true"] {
        let answer = admin.post_with(&path, &key, &json!({ "input": "é" })).await;
        answer.expect(204);
        assert_eq!(answer.header("idempotent-replayed"), replayed);
    }
    admin.post(&path, json!({ "input": "!" })).await.expect(204);
    assert_eq!(heard(&mut first, Some("!")).await, "é!");
    assert_eq!(admin.get(&path).await.text, "ls\ré!");
    let mut second = follow(&admin, &path).await;
    assert_eq!(heard(&mut second, Some("!")).await, "ls\ré!");

    admin.post(&format!("/v2/droplets/{id}/actions"), json!({ "type": "power_off" })).await.expect(201);
    app.run_actions_to_end().await;
    for stream in [&mut first, &mut second] {
        assert_eq!(heard(stream, None).await, "");
    }
    assert!(admin.post(&path, json!({ "input": "x" })).await.invalid().contains("is off"));
    let mut past = follow(&admin, &path).await;
    assert_eq!(heard(&mut past, None).await, "ls\ré!", "what it wrote is there, and that is all");
}

#[tokio::test]
async fn what_cannot_be_typed_is_refused_and_a_full_token_is_needed() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let path = format!("/dew/v1/droplets/{}/console", admin.active_droplet("web").await);
    for input in [String::new(), "x".repeat(4097)] {
        assert!(admin.post(&path, json!({ "input": input })).await.invalid().contains("1 to 4096 bytes"));
    }
    admin.post(&path, json!({ "input": "x", "enter": true })).await.refusal(422, "unprocessable_entity");
    admin.post(&path, json!({ "input": "x".repeat(4096) })).await.expect(204);
    let other = app.token_with(&["droplet:read", "droplet:update"]).await;
    other.get(&path).await.refusal(403, "forbidden");
    app.other_account().await.post(&path, json!({ "input": "x" })).await.refusal(404, "not_found");
}

#[tokio::test]
async fn after_a_reset_a_droplet_of_the_same_number_has_a_console_of_its_own() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let path = format!("/dew/v1/droplets/{}/console", admin.active_droplet("web").await);
    let mut old = follow(&admin, &path).await;
    admin.post(&path, json!({ "input": "x" })).await.expect(204);
    assert_eq!(heard(&mut old, Some("x")).await, "x");
    admin.post("/dew/v1/reset", json!({})).await.expect(200);
    assert_eq!(heard(&mut old, None).await, "");
    let again = format!("/dew/v1/droplets/{}/console", admin.active_droplet("web").await);
    assert_eq!((&again, admin.get(&again).await.text.as_str()), (&path, ""));
}

#[tokio::test]
async fn a_token_that_is_revoked_hears_nothing_more() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let path = format!("/dew/v1/droplets/{}/console", admin.active_droplet("web").await);
    let token = admin.post("/dew/v1/tokens", json!({ "name": "short" })).await.expect(201);
    let text = token["token"].as_str().expect("a token").to_owned();
    let mut stream = follow(&app.bearer(&text), &path).await;
    admin.delete(&format!("/dew/v1/tokens/{}", token["id"].as_str().expect("an id"))).await.expect(204);
    admin.post(&path, json!({ "input": "secret" })).await.expect(204);
    assert_eq!(heard(&mut stream, None).await, "");
}
