//! `x-stainless-retry-count`, which the Python SDK sends with everything: a retry joins what its first attempt has done.

use std::time::Duration;

use dewpoint_server::Limits;
use dewpoint_testkit::{TestApp, droplet_body};
use futures_util::future::join_all;
use serde_json::json;

use crate::{ids, poll_once};

const DROPLETS: &str = "/v2/droplets";
const ATTEMPT: [[(&str, &str); 1]; 3] =
    [[("x-stainless-retry-count", "0")], [("x-stainless-retry-count", "1")], [("x-stainless-retry-count", "2")]];

/// How many Droplets there are.
async fn count(app: &TestApp) -> usize {
    app.admin().all(DROPLETS, "droplets").await.len()
}

#[tokio::test]
async fn a_retry_whose_first_answer_was_lost_is_told_of_the_droplet_also_after_a_kill() {
    let mut app = TestApp::start().await;
    let body = droplet_body("web-1");
    assert_eq!(app.admin().post_and_lose(DROPLETS, &ATTEMPT[0], &body).await, 202);
    let first = app.admin().post_with(DROPLETS, &ATTEMPT[1], &body).await.expect(202);
    app.restart().await;
    let second = app.admin().post_with(DROPLETS, &ATTEMPT[2], &body).await;
    assert_eq!(second.expect(202)["droplet"]["id"], first["droplet"]["id"]);
    assert_eq!((second.header("idempotent-replayed"), count(&app).await), ("true", 1));
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test]
async fn a_retry_whose_first_attempt_never_arrived_is_the_first_one() {
    let app = TestApp::start().await;
    let body = droplet_body("web-1");
    let made = app.admin().post_with(DROPLETS, &ATTEMPT[1], &body).await;
    assert_eq!((made.status, made.header("idempotent-replayed")), (202, ""));
    let again = app.admin().post_with(DROPLETS, &ATTEMPT[2], &body).await.expect(202);
    assert_eq!(again["droplet"]["id"], made.json()["droplet"]["id"]);
    assert_eq!(count(&app).await, 1);
}

#[tokio::test]
async fn two_honest_creates_stay_two_and_each_retry_gets_one_of_them() {
    let app = TestApp::start().await;
    let (admin, body) = (app.admin(), droplet_body("web-1"));
    let firsts = join_all((0..2).map(|_| admin.post_with(DROPLETS, &ATTEMPT[0], &body))).await;
    let mut made: Vec<_> = firsts.iter().map(|answer| answer.expect(202)["droplet"]["id"].clone()).collect();
    let mut told = Vec::new();
    for _ in 0..2 {
        told.push(admin.post_with(DROPLETS, &ATTEMPT[1], &body).await.expect(202)["droplet"]["id"].clone());
    }
    made.sort_by_key(|id| id.as_u64());
    told.sort_by_key(|id| id.as_u64());
    assert_eq!((told, count(&app).await), (made, 2));
}

#[tokio::test]
async fn of_equal_requests_one_after_the_other_a_retry_means_the_last() {
    let app = TestApp::start().await;
    let body = droplet_body("web-1");
    app.admin().post_with(DROPLETS, &ATTEMPT[0], &body).await.expect(202);
    assert_eq!(app.admin().post_and_lose(DROPLETS, &ATTEMPT[0], &body).await, 202);
    let newest = *ids(&serde_json::Value::Array(app.admin().all(DROPLETS, "droplets").await)).last().expect("two");
    let told = app.admin().post_with(DROPLETS, &ATTEMPT[1], &body).await.expect(202);
    assert_eq!(told["droplet"]["id"], newest);
    let again = app.admin().post_with(DROPLETS, &ATTEMPT[2], &body).await.expect(202);
    assert_eq!(again["droplet"]["id"], newest, "the second retry means the same as the first");
    assert_eq!(count(&app).await, 2);
}

#[tokio::test]
async fn a_retry_of_another_token_body_or_path_or_after_the_horizon_is_a_new_request() {
    let app = TestApp::start_with(|setup| setup.server.retry_horizon = Duration::from_secs(60)).await;
    let body = droplet_body("web-1");
    app.admin().post_with(DROPLETS, &ATTEMPT[0], &body).await.expect(202);
    let colleague = app.token_with(&["full"]).await;
    let made = [
        colleague.post_with(DROPLETS, &ATTEMPT[1], &body).await,
        app.admin().post_with(DROPLETS, &ATTEMPT[1], &droplet_body("web-2")).await,
        app.admin().post_with("/v2/droplets?a=b", &ATTEMPT[1], &body).await,
    ];
    for answer in made {
        assert_eq!((answer.status, answer.header("idempotent-replayed")), (202, ""), "{}", answer.text);
    }
    app.clock().advance(Duration::from_secs(60));
    app.admin().post_with(DROPLETS, &ATTEMPT[1], &body).await.expect(202);
    assert_eq!(count(&app).await, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_that_overtake_or_race_their_first_attempt_make_one_droplet() {
    let app = TestApp::start().await;
    let admin = app.admin();
    admin.get("/v2/account").await.expect(200);
    for round in 0..20 {
        let body = droplet_body(&format!("web-{round}"));
        let writes = app.hold_writes();
        let mut first = Box::pin(admin.post_with(DROPLETS, &ATTEMPT[0], &body));
        assert!(poll_once(&mut first).await, "its write waits");
        drop(first);
        let mut retry = Box::pin(admin.post_with(DROPLETS, &ATTEMPT[1], &body));
        assert!(poll_once(&mut retry).await, "it waits for the first");
        drop(writes);
        let (one, two) = tokio::join!(retry, admin.post_with(DROPLETS, &ATTEMPT[2], &body));
        assert_eq!(one.expect(202)["droplet"]["id"], two.expect(202)["droplet"]["id"], "round {round}");
    }
    assert_eq!(count(&app).await, 20);
}

#[tokio::test]
async fn a_late_first_retry_after_the_second_has_no_effect() {
    let app = TestApp::start().await;
    let body = droplet_body("web-1");
    let mut told = Vec::new();
    for attempt in [0, 2, 1, 1] {
        told.push(app.admin().post_with(DROPLETS, &ATTEMPT[attempt], &body).await.expect(202)["droplet"]["id"].clone());
    }
    told.dedup();
    assert_eq!((told.len(), count(&app).await), (1, 1));
}

#[tokio::test]
async fn a_retry_of_an_attempt_that_did_nothing_is_carried_out() {
    let app = TestApp::start().await;
    let (admin, off) = (app.admin(), json!({ "type": "power_off" }));
    let droplet = admin.active_droplet("web-1").await;
    let path = format!("{DROPLETS}/{droplet}/actions");
    let done = admin.post_with(&path, &ATTEMPT[0], &off).await.expect(201)["action"]["id"].clone();
    app.run_actions_to_end().await;
    // The Droplet is off, so this attempt is refused; then it is on, and the retry of the refused one means it.
    admin.post_with(&path, &ATTEMPT[0], &off).await.invalid();
    admin.act(droplet, "power_on").await.expect(201);
    app.run_actions_to_end().await;
    let retried = admin.post_with(&path, &ATTEMPT[1], &off).await;
    assert_ne!(retried.expect(201)["action"]["id"], done);
    assert_eq!(retried.header("idempotent-replayed"), "");
    app.run_actions_to_end().await;
    assert_eq!(admin.droplet(droplet).await["status"], "off");
}

#[tokio::test]
async fn an_image_action_is_told_again_in_both_its_forms_act_10() {
    let app = TestApp::start().await;
    let image = json!({ "name": "own", "url": "http://example.com/i.raw", "region": "nyc3" });
    let image = app.admin().post("/v2/images", image).await.expect(202)["image"]["id"].clone();
    app.run_actions_to_end().await;
    let (path, body) = (format!("/v2/images/{image}/actions"), json!({ "type": "transfer", "region": "lon1" }));
    let first = app.admin().post_with(&path, &ATTEMPT[0], &body).await.expect(201);
    let again = app.admin().post_with(&path, &ATTEMPT[1], &body).await;
    assert_eq!((again.expect(201), again.header("idempotent-replayed")), (first, "true"));
}

#[tokio::test]
async fn a_retry_of_an_attempt_that_was_over_the_limit_is_carried_out() {
    let app = TestApp::start_with(|setup| setup.server.limits = Limits::DigitalOcean).await;
    let (admin, body) = (app.admin(), droplet_body("web-1"));
    // An honest create, then one that is turned away: its retry, equal to the honest one, is not told of that.
    admin.post_with(DROPLETS, &ATTEMPT[0], &body).await.expect(202);
    while admin.get("/v2/account").await.status != 429 {}
    admin.post_with(DROPLETS, &ATTEMPT[0], &body).await.refusal(429, "too_many_requests");
    admin.post_with(DROPLETS, &ATTEMPT[1], &body).await.refusal(429, "too_many_requests");
    app.clock().advance(Duration::from_secs(60));
    let retried = admin.post_with(DROPLETS, &ATTEMPT[2], &body).await;
    assert_eq!((retried.status, retried.header("idempotent-replayed"), count(&app).await), (202, "", 2));
}

#[tokio::test]
async fn a_retry_that_was_over_the_limit_leaves_what_its_first_attempt_has_done() {
    let app = TestApp::start_with(|setup| setup.server.limits = Limits::DigitalOcean).await;
    let (admin, body) = (app.admin(), droplet_body("web-1"));
    assert_eq!(admin.post_and_lose(DROPLETS, &ATTEMPT[0], &body).await, 202);
    while admin.get("/v2/account").await.status != 429 {}
    admin.post_with(DROPLETS, &ATTEMPT[1], &body).await.refusal(429, "too_many_requests");
    app.clock().advance(Duration::from_secs(60));
    let told = admin.post_with(DROPLETS, &ATTEMPT[2], &body).await;
    assert_eq!((told.status, told.header("idempotent-replayed"), count(&app).await), (202, "true", 1));
}

#[tokio::test]
async fn an_attempt_that_a_fault_refused_has_done_nothing() {
    let app = TestApp::start().await;
    let (admin, body) = (app.admin(), droplet_body("web-1"));
    admin.post_with(DROPLETS, &ATTEMPT[0], &body).await.expect(202);
    for effect in [json!({ "type": "too_many_requests" }), json!({ "type": "status", "status": 503 })] {
        let order = json!({ "effect": effect, "method": "POST", "path": DROPLETS, "count": 1 });
        admin.post("/dew/v1/faults", order).await.expect(201);
        let before = count(&app).await;
        assert!(admin.post_with(DROPLETS, &ATTEMPT[0], &body).await.status >= 429);
        let retried = admin.post_with(DROPLETS, &ATTEMPT[1], &body).await;
        assert_eq!((retried.status, retried.header("idempotent-replayed")), (202, ""), "{effect}");
        assert_eq!(count(&app).await, before + 1);
    }
}

#[tokio::test]
async fn a_fault_of_the_service_after_the_effect_is_no_second_droplet_for_any_client() {
    let app = TestApp::start().await;
    let (admin, body) = (app.admin(), droplet_body("web-1"));
    let key = [("idempotency-key", "a")];
    for (made, (first, again)) in [(&key[..], &key[..]), (&ATTEMPT[0], &ATTEMPT[1]), (&[], &[])].iter().enumerate() {
        let effect = json!({ "type": "status", "status": 502, "after_effect": true });
        let order = json!({ "effect": effect, "method": "POST", "path": DROPLETS, "count": 1 });
        admin.post("/dew/v1/faults", order).await.expect(201);
        assert_eq!(admin.post_with(DROPLETS, first, &body).await.status, 502);
        assert_eq!(count(&app).await, made + 1, "it was done");
        let told = admin.post_with(DROPLETS, again, &body).await;
        assert_eq!((told.status, told.header("idempotent-replayed"), count(&app).await), (202, "true", made + 1));
    }
    app.run_actions_to_end().await;
    app.books_balance().await;
}
