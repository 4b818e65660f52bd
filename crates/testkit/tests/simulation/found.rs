//! What seeds have found, each as a test of its own: a seed is another run as soon as anything about the dice changes.

use dewpoint_engine::MachineId;
use dewpoint_store::sqlite::Fate;
use dewpoint_testkit::{Setup, Steppers, TestApp, droplet_body};
use serde_json::json;
use tokio::{sync::watch, task::yield_now};

use crate::world::{attend, attend_sim};

/// A server with one active Droplet, stepped by hand; and somebody who follows what machines do by themselves, until the
/// sender is gone.
async fn with_a_follower() -> (TestApp, Steppers, u64, watch::Sender<bool>) {
    let (app, mut steppers) = TestApp::stepped(Setup::default(), 1).await;
    attend(&mut steppers, app.bootstrap()).await;
    let id = attend(&mut steppers, async { app.admin().active_droplet("web-1").await }).await;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(app.control().clone().follow_changes(stopped));
    yield_now().await;
    (app, steppers, id, stop)
}

async fn power_off(app: &TestApp, steppers: &mut Steppers, id: u64) {
    attend_sim(steppers, app.sim().guest_powers_off(MachineId(id))).await.expect("it is there");
    yield_now().await;
}

async fn status(app: &TestApp, steppers: &mut Steppers, id: u64) -> serde_json::Value {
    attend(steppers, async { app.admin().droplet(id).await["status"].clone() }).await
}

#[tokio::test]
async fn a_machine_that_goes_off_as_an_action_begins_is_looked_at_when_that_ends() {
    let (app, mut steppers, id, _stop) = with_a_follower().await;
    // The action is accepted by the first write, and what the follower has seen is the second.
    let path = format!("/v2/droplets/{id}/actions");
    let edge = app.edge().clone();
    let request = http::Request::post(path)
        .header(http::header::HOST, "dew.test")
        .header(http::header::AUTHORIZATION, format!("Bearer {}", app.admin().token()))
        .body(axum::body::Body::from(json!({ "type": "snapshot" }).to_string()))
        .expect("a request");
    let asked = tokio::spawn(async move { tower::ServiceExt::oneshot(edge, request).await });
    while steppers.store.waiting().0 == 0 {
        yield_now().await;
        steppers.store.read(Fate::Good);
    }
    power_off(&app, &mut steppers, id).await;
    while steppers.store.waiting().0 < 2 {
        steppers.store.read(Fate::Good);
        steppers.sim.step();
        yield_now().await;
    }
    steppers.store.write(1, Fate::Good).expect("a step");
    yield_now().await;
    assert_eq!(attend(&mut steppers, asked).await.expect("it is answered").expect("it never fails").status(), 201);
    attend(&mut steppers, app.run_actions_to_end()).await;
    assert_eq!(status(&app, &mut steppers, id).await, "off");
    attend(&mut steppers, app.books_balance()).await;
}

#[tokio::test]
async fn a_change_that_cannot_be_looked_at_is_looked_at_again() {
    let (app, mut steppers, id, _stop) = with_a_follower().await;
    power_off(&app, &mut steppers, id).await;
    assert_eq!(steppers.store.waiting(), (0, 1), "the follower wants to read the Droplet's row");
    steppers.store.read(Fate::Refused);
    assert_eq!(status(&app, &mut steppers, id).await, "active", "nobody knows yet");
    app.clock().advance(std::time::Duration::from_secs(1));
    let mut asked = 0;
    while status(&app, &mut steppers, id).await != "off" {
        asked += 1;
        assert!(asked < 10, "nobody looks at it again");
    }
}

#[tokio::test]
async fn a_machine_that_went_off_before_a_start_is_seen_though_an_action_was_under_way() {
    let mut app = TestApp::start().await;
    let id = app.admin().active_droplet("web-1").await;
    app.admin().act(id, "snapshot").await.expect(201);
    app.sim().guest_powers_off(MachineId(id)).await.expect("it is there");
    app.restart().await;
    app.run_actions_to_end().await;
    assert_eq!(app.admin().droplet(id).await["status"], "off");
    app.books_balance().await;
}

#[tokio::test]
async fn a_full_disk_of_a_stepped_store_is_met_and_leaves_nothing() {
    let (app, mut steppers) = TestApp::stepped(Setup::default(), 1).await;
    attend(&mut steppers, app.bootstrap()).await;
    let mut body = droplet_body("web-1");
    body["user_data"] = json!("x".repeat(20_000));
    let admin = app.admin();
    let mut asked = Box::pin(admin.post("/v2/droplets", body));
    let answer = loop {
        tokio::select! {
            biased;
            answer = &mut asked => break answer,
            () = yield_now() => {}
        }
        steppers.store.read(Fate::Good);
        if steppers.store.waiting().0 > 0 {
            assert!(steppers.store.write(1, Fate::Full { pages_left: 0 }).expect("a step"), "20 kB need pages");
        }
    };
    answer.refusal(503, "service_unavailable");
    let left = attend(&mut steppers, app.droplet_records()).await;
    assert!(left.is_empty(), "{left:?}");
}
