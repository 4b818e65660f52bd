//! Clients that say nothing of retries, as godo, Terraform and doctl: only an answer known to be lost is given again.

use std::time::Duration;

use dewpoint_testkit::{TestApp, droplet_body};
use serde_json::json;

use crate::poll_once;

const DROPLETS: &str = "/v2/droplets";

async fn count(app: &TestApp) -> usize {
    app.admin().all(DROPLETS, "droplets").await.len()
}

#[tokio::test]
async fn two_equal_creates_that_were_answered_stay_two_droplets() {
    let app = TestApp::start().await;
    for _ in 0..2 {
        let answer = app.admin().post_with(DROPLETS, &[], &droplet_body("web-1")).await;
        assert_eq!((answer.status, answer.header("idempotent-replayed")), (202, ""));
    }
    assert_eq!(count(&app).await, 2);
}

#[tokio::test]
async fn after_a_lost_answer_the_next_equal_request_is_its_retry_and_the_one_after_is_not() {
    let app = TestApp::start().await;
    let body = droplet_body("web-1");
    assert_eq!(app.admin().post_and_lose(DROPLETS, &[], &body).await, 202);
    let told = app.admin().post_with(DROPLETS, &[], &body).await;
    assert_eq!((told.status, told.header("idempotent-replayed"), count(&app).await), (202, "true", 1));
    let new = app.admin().post_with(DROPLETS, &[], &body).await.expect(202);
    assert_ne!(new["droplet"]["id"], told.json()["droplet"]["id"]);
    assert_eq!(count(&app).await, 2);
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test]
async fn an_answer_may_be_lost_as_often_as_it_is_given() {
    let app = TestApp::start().await;
    let body = droplet_body("web-1");
    for _ in 0..5 {
        assert_eq!(app.admin().post_and_lose(DROPLETS, &[], &body).await, 202);
    }
    let told = app.admin().post_with(DROPLETS, &[], &body).await;
    assert_eq!((told.status, told.header("idempotent-replayed"), count(&app).await), (202, "true", 1));
}

#[tokio::test]
async fn two_lost_answers_are_given_once_each() {
    let app = TestApp::start().await;
    let body = droplet_body("web-1");
    let (one, two) = (app.admin(), app.admin());
    // Both are under way before either is lost.
    let (first, second) = tokio::join!(one.post_unread(DROPLETS, &body), two.post_unread(DROPLETS, &body));
    drop((first, second));
    let mut told = Vec::new();
    for _ in 0..2 {
        told.push(app.admin().post_with(DROPLETS, &[], &body).await.expect(202)["droplet"]["id"].as_u64());
    }
    told.sort_unstable();
    told.dedup();
    assert_eq!((told.len(), count(&app).await), (2, 2));
}

#[tokio::test]
async fn a_client_that_left_before_the_commit_is_told_after_it() {
    let app = TestApp::start().await;
    let (admin, body) = (app.admin(), droplet_body("web-1"));
    admin.get("/v2/account").await.expect(200);
    let writes = app.hold_writes();
    let mut leaving = Box::pin(admin.post_with(DROPLETS, &[], &body));
    assert!(poll_once(&mut leaving).await, "its write waits");
    drop(leaving);
    let mut again = Box::pin(admin.post_with(DROPLETS, &[], &body));
    assert!(poll_once(&mut again).await, "it waits for what becomes of the first");
    drop(writes);
    let told = again.await;
    assert_eq!((told.status, told.header("idempotent-replayed"), count(&app).await), (202, "true", 1));
}

#[tokio::test]
async fn a_client_that_left_before_the_commit_twice_is_told_the_third_time() {
    let app = TestApp::start().await;
    let (admin, body) = (app.admin(), droplet_body("web-1"));
    admin.get("/v2/account").await.expect(200);
    let writes = app.hold_writes();
    for _ in 0..3 {
        let mut leaving = Box::pin(admin.post_with(DROPLETS, &[], &body));
        assert!(poll_once(&mut leaving).await);
    }
    drop(writes);
    let told = admin.post_with(DROPLETS, &[], &body).await;
    assert_eq!((told.status, told.header("idempotent-replayed"), count(&app).await), (202, "true", 1));
}

#[tokio::test]
async fn a_client_that_left_and_would_have_been_refused_is_no_longer_waited_for() {
    let app = TestApp::start().await;
    let (admin, body) = (app.admin(), crate::droplet(json!({ "ssh_keys": [7] })));
    admin.get("/v2/account").await.expect(200);
    let writes = app.hold_writes();
    let mut leaving = Box::pin(admin.post_with(DROPLETS, &[], &body));
    assert!(poll_once(&mut leaving).await);
    drop(leaving);
    drop(writes);
    admin.post_with(DROPLETS, &[], &body).await.invalid();
    assert_eq!(count(&app).await, 0);
}

#[tokio::test]
async fn a_lost_refusal_is_no_effect_and_a_lost_answer_is_forgotten_after_the_horizon() {
    let app = TestApp::start_with(|setup| setup.server.retry_horizon = Duration::from_secs(60)).await;
    let full = crate::droplet(json!({ "ssh_keys": [7] }));
    assert_eq!(app.admin().post_and_lose(DROPLETS, &[], &full).await, 422);
    app.admin().post_with(DROPLETS, &[], &full).await.invalid();

    let body = droplet_body("web-1");
    assert_eq!(app.admin().post_and_lose(DROPLETS, &[], &body).await, 202);
    app.clock().advance(Duration::from_secs(60));
    assert_eq!(app.admin().post_with(DROPLETS, &[], &body).await.header("idempotent-replayed"), "");
    assert_eq!(count(&app).await, 2);
}

#[tokio::test]
async fn another_token_or_body_is_not_given_a_lost_answer() {
    let app = TestApp::start().await;
    let body = droplet_body("web-1");
    assert_eq!(app.admin().post_and_lose(DROPLETS, &[], &body).await, 202);
    let colleague = app.token_with(&["full"]).await;
    assert_eq!(colleague.post_with(DROPLETS, &[], &body).await.header("idempotent-replayed"), "");
    let other = app.admin().post_with(DROPLETS, &[], &droplet_body("web-2")).await;
    assert_eq!(other.header("idempotent-replayed"), "");
    assert_eq!(count(&app).await, 3);
    assert_eq!(app.admin().post_with(DROPLETS, &[], &body).await.header("idempotent-replayed"), "true");
}

#[tokio::test]
async fn what_a_killed_server_did_not_answer_is_told_by_its_successor_once() {
    let mut app = TestApp::start().await;
    let body = droplet_body("web-1");
    assert_eq!(app.admin().post_and_lose(DROPLETS, &[], &body).await, 202);
    app.restart().await;
    // Lost again, and the next process killed as well.
    assert_eq!(app.admin().post_and_lose(DROPLETS, &[], &body).await, 202);
    app.restart().await;
    let told = app.admin().post_with(DROPLETS, &[], &body).await;
    assert_eq!((told.status, told.header("idempotent-replayed"), count(&app).await), (202, "true", 1));
    app.restart().await;
    let new = app.admin().post_with(DROPLETS, &[], &body).await;
    assert_eq!((new.status, new.header("idempotent-replayed"), count(&app).await), (202, "", 2));
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test]
async fn what_a_killed_server_had_answered_is_made_again_when_it_is_asked_again() {
    let mut app = TestApp::start().await;
    let (body, other) = (droplet_body("web-1"), droplet_body("web-2"));
    app.admin().post_with(DROPLETS, &[], &body).await.expect(202);
    assert_eq!(app.admin().post_and_lose(DROPLETS, &[], &other).await, 202);
    app.restart().await;
    let honest = app.admin().post_with(DROPLETS, &[], &body).await;
    assert_eq!((honest.status, honest.header("idempotent-replayed"), count(&app).await), (202, "", 3));
    // The other one is told for its time, and by the same token.
    let colleague = app.token_with(&["full"]).await;
    assert_eq!(colleague.post_with(DROPLETS, &[], &other).await.header("idempotent-replayed"), "");
    app.clock().advance(Duration::from_secs(599));
    app.restart().await;
    assert_eq!(app.admin().post_and_lose(DROPLETS, &[], &other).await, 202);
    assert_eq!(count(&app).await, 4);
    app.clock().advance(Duration::from_secs(1));
    app.restart().await;
    assert_eq!(app.admin().post_with(DROPLETS, &[], &other).await.header("idempotent-replayed"), "");
    assert_eq!(count(&app).await, 5);
}
