//! Our own tokens, `/dew/v1/tokens`: shown once, expiring, revoked at once (AUTH-1, AUTH-3).

use std::time::Duration;

use dewpoint_testkit::TestApp;
use http::{Request, header};
use serde_json::json;

use crate::each;

const TOKENS: &str = "/dew/v1/tokens";

/// The status of a request with this token.
async fn status(app: &TestApp, token: &str) -> u16 {
    let request = Request::get("/v2/droplets").header(header::AUTHORIZATION, format!("Bearer {token}"));
    app.nobody().send(request.body(axum::body::Body::empty()).expect("a request")).await.status
}

#[tokio::test]
async fn a_token_is_shown_once_and_works() {
    let app = TestApp::start().await;
    app.clock().advance(Duration::from_secs(1));
    let body = json!({ "name": "ci", "scopes": ["droplet:read"], "expires_in": 60 });
    let made = app.admin().post(TOKENS, body).await.expect(201);
    let secret = made["token"].as_str().expect("a secret");
    assert!(secret.starts_with("dop_v1_") && secret.len() > 40, "AUTH-1");
    assert_eq!((&made["name"], &made["scopes"]), (&json!("ci"), &json!(["droplet:read"])));
    assert_eq!(made["expires_at"], "2026-11-21T10:01:01Z");
    assert_eq!(status(&app, secret).await, 200);
    let list = app.admin().get(TOKENS).await;
    assert_eq!(each(&list.expect(200)["tokens"], "name"), ["bootstrap", "ci"]);
    assert!(!list.text.contains("dop_v1_"), "not again");
}

#[tokio::test]
async fn a_token_ends_when_its_time_is_over_err_2() {
    let app = TestApp::start().await;
    let made = app.admin().post(TOKENS, json!({ "expires_in": 60 })).await.expect(201);
    let secret = made["token"].as_str().expect("a secret");
    app.clock().advance(Duration::from_secs(59));
    assert_eq!(status(&app, secret).await, 200);
    app.clock().advance(Duration::from_secs(1));
    assert_eq!(status(&app, secret).await, 401);
    assert_eq!(status(&app, "dop_v1_unknown").await, 401);
}

#[tokio::test]
async fn a_revoked_token_is_refused_from_the_answer_on() {
    let app = TestApp::start().await;
    let made = app.admin().post(TOKENS, json!({ "name": "ci" })).await.expect(201);
    let secret = made["token"].as_str().expect("a secret").to_owned();
    assert_eq!(status(&app, &secret).await, 200);
    let path = format!("{TOKENS}/{}", made["id"].as_str().expect("an id"));
    app.admin().delete(&path).await.expect(204);
    assert_eq!(status(&app, &secret).await, 401);
    app.admin().delete(&path).await.refusal(404, "not_found");
    assert_eq!(app.admin().get(TOKENS).await.expect(200)["meta"]["total"], 1);
    let mut app = app;
    app.restart().await;
    assert_eq!(status(&app, &secret).await, 401, "also after a restart");
}

#[tokio::test]
async fn tokens_that_cannot_be_are_refused() {
    let app = TestApp::start().await;
    for body in [
        json!({ "scopes": [] }),
        json!({ "scopes": ["droplet:fly"] }),
        json!({ "scopes": "" }),
        json!({ "scopes": 7 }),
        json!({ "expires_in": 0 }),
        json!({ "expires_in": -1 }),
        json!({ "expires_in": "soon" }),
        json!({ "expires": 60 }),
        json!({ "scope": ["droplet:read"] }),
        json!({ "name": 7 }),
        json!([]),
    ] {
        app.admin().post(TOKENS, body).await.invalid();
    }
    assert_eq!(app.rows("tokens").await, 1);
    let endless = app.admin().post(TOKENS, json!({ "expires_in": u64::MAX })).await.expect(201);
    assert_eq!(status(&app, endless["token"].as_str().expect("a secret")).await, 200);
    app.admin().get(TOKENS).await.expect(200);
}

#[tokio::test]
async fn what_is_our_own_needs_a_full_token() {
    let app = TestApp::start().await;
    let id = app.admin().active_droplet("a").await;
    let all_but_full = app.token_with(&["read", "droplet:create", "droplet:update", "droplet:delete"]).await;
    for path in [TOKENS.to_owned(), format!("/dew/v1/droplets/{id}"), format!("/dew/v1/droplets/{id}/access")] {
        all_but_full.get(&path).await.refusal(403, "forbidden");
        app.nobody().get(&path).await.refusal(401, "unauthorized");
    }
    all_but_full.post(TOKENS, json!({})).await.refusal(403, "forbidden");
}

#[tokio::test]
async fn anothers_token_can_be_neither_seen_nor_revoked() {
    let app = TestApp::start().await;
    let made = app.admin().post(TOKENS, json!({ "name": "ci" })).await.expect(201);
    let other = app.other_account().await;
    assert_eq!(other.get(TOKENS).await.expect(200)["meta"]["total"], 1, "its own");
    other.delete(&format!("{TOKENS}/{}", made["id"].as_str().expect("an id"))).await.refusal(404, "not_found");
    assert_eq!(status(&app, made["token"].as_str().expect("a secret")).await, 200);
}

#[tokio::test]
async fn a_tokens_last_use_is_shown_to_the_minute_and_survives_a_restart() {
    let mut app = TestApp::start().await;
    let made = app.admin().post(TOKENS, json!({ "name": "ci", "expires_in": 600 })).await.expect(201);
    let secret = made["token"].as_str().expect("a secret").to_owned();
    assert_eq!(made["last_used_at"], json!(null));
    let last_used = async |app: &TestApp| {
        let list = app.admin().get(TOKENS).await.expect(200);
        let token = list["tokens"].as_array().expect("a list").iter().find(|token| token["name"] == "ci").cloned();
        token.expect("it is listed")["last_used_at"].clone()
    };
    assert_eq!(last_used(&app).await, json!(null));
    assert_eq!(status(&app, &secret).await, 200);
    assert_eq!(last_used(&app).await, "2026-11-21T10:00:00Z");
    app.clock().advance(Duration::from_secs(59));
    assert_eq!(status(&app, &secret).await, 200);
    assert_eq!(last_used(&app).await, "2026-11-21T10:00:00Z", "within a minute it is not written again");
    app.restart().await;
    app.clock().advance(Duration::from_secs(1));
    assert_eq!(status(&app, &secret).await, 200);
    assert_eq!(last_used(&app).await, "2026-11-21T10:01:00Z");
    app.clock().advance(Duration::from_secs(600));
    assert_eq!(status(&app, &secret).await, 401);
    assert_eq!(last_used(&app).await, "2026-11-21T10:01:00Z", "an attempt is no use");
}
