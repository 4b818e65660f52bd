//! From active to ready, and how to get in: what `/dew/v1/droplets` tells.

use std::time::Duration;

use dewpoint_engine::sim::Delays;
use dewpoint_testkit::TestApp;
use serde_json::{Value, json};

use crate::each;

async fn story(app: &TestApp, id: u64) -> Value {
    app.admin().get(&format!("/dew/v1/droplets/{id}")).await.expect(200)
}

/// An active Droplet whose guest takes this long to answer and to run its user data.
async fn slow_droplet(app: &TestApp, ready: Duration) -> u64 {
    app.sim().set_delays(Delays { ready, ..Delays::default() });
    let id = app.admin().active_droplet("web-1").await;
    assert_eq!(story(app, id).await["readiness"], "pending", "active comes before ready");
    id
}

/// Moves the clock by looks of a watch until readiness is told, at most this long.
async fn wait_while_pending(app: &TestApp, id: u64, at_most: Duration) -> Value {
    let look = Duration::from_millis(250);
    for _ in 0..at_most.as_millis() / look.as_millis() {
        app.until("the watch sleeps or is over", async || {
            app.clock().sleepers() > 0 || story(app, id).await["readiness"] != "pending"
        })
        .await;
        if story(app, id).await["readiness"] != "pending" {
            break;
        }
        app.clock().advance(look);
        // Who was woken is given a turn, and so sleeps no longer.
        tokio::task::yield_now().await;
    }
    app.until("it is told", async || story(app, id).await["readiness"] != "pending").await;
    story(app, id).await
}

#[tokio::test]
async fn the_way_to_ready_is_told_with_its_times() {
    let app = TestApp::start().await;
    let id = app.admin().create_droplet("web-1").await;
    let story = app.admin().get(&format!("/dew/v1/droplets/{id}")).await.expect(200);
    assert_eq!(story["readiness"], "pending");
    assert_eq!(each(&story["milestones"], "name"), ["accepted", "placed"]);
    app.clock().advance(std::time::Duration::from_millis(1500));
    app.run_actions_to_end().await;
    let story = app.admin().get(&format!("/dew/v1/droplets/{id}")).await.expect(200);
    assert_eq!(each(&story["milestones"], "name"), ["accepted", "placed", "started", "active", "ssh", "ready"]);
    assert_eq!(each(&story["milestones"], "after_ms"), [0, 0, 1500, 1500, 1500, 1500]);
    assert_eq!(
        (&story["readiness"], &story["engine"], &story["host"]),
        (&json!("ready"), &json!("sim"), &json!("sim-1"))
    );
    let access = app.admin().get(&format!("/dew/v1/droplets/{id}/access")).await.expect(200);
    assert_eq!((&access["ports"], &access["ssh"]), (&json!([]), &json!(null)));
    app.admin().get("/dew/v1/droplets/1").await.refusal(404, "not_found");
    app.admin().get("/dew/v1/droplets/1/access").await.refusal(404, "not_found");
}

#[tokio::test]
async fn a_guest_that_needs_time_is_active_first_and_ready_later() {
    let app = TestApp::start().await;
    let id = slow_droplet(&app, Duration::from_secs(5)).await;
    let story = wait_while_pending(&app, id, Duration::from_secs(10)).await;
    assert_eq!((&story["readiness"], &story["readiness_detail"]), (&json!("ready"), &json!(null)));
    assert_eq!(each(&story["milestones"], "name"), ["accepted", "placed", "started", "active", "ssh", "ready"]);
    assert_eq!(each(&story["milestones"], "after_ms"), [0, 0, 0, 0, 5000, 5000]);
}

#[tokio::test]
async fn a_restart_goes_on_waiting_for_a_guest() {
    let mut app = TestApp::start().await;
    let id = slow_droplet(&app, Duration::from_secs(5)).await;
    app.clock().advance(Duration::from_secs(2));
    app.restart().await;
    let story = wait_while_pending(&app, id, Duration::from_secs(10)).await;
    assert_eq!(story["readiness"], "ready");
    let ready_after = each(&story["milestones"], "after_ms").last().and_then(|last| last.as_u64());
    assert!(ready_after >= Some(5000), "not before its time: {ready_after:?}");
}

#[tokio::test]
async fn a_guest_that_never_answers_is_unknown_after_the_limit_and_restarts_do_not_prolong_it() {
    let limit = Duration::from_secs(20);
    let mut app = TestApp::start_with(|setup| setup.control.readiness_limit = limit).await;
    let id = slow_droplet(&app, Duration::from_secs(1_000_000)).await;
    app.clock().advance(Duration::from_secs(15));
    app.restart().await;
    let told = wait_while_pending(&app, id, Duration::from_secs(10)).await;
    assert_eq!(
        (&told["readiness"], &told["readiness_detail"]),
        (&json!("unknown"), &json!("SSH did not answer in time"))
    );
    assert_eq!(app.admin().droplet(id).await["status"], "active");
}

#[tokio::test]
async fn a_droplet_deleted_before_it_is_ready_is_waited_for_no_more() {
    let app = TestApp::start().await;
    let id = slow_droplet(&app, Duration::from_secs(5)).await;
    app.until("the watch sleeps", async || app.clock().sleepers() == 1).await;
    app.admin().delete(&format!("/v2/droplets/{id}")).await.expect(204);
    app.run_actions_to_end().await;
    app.clock().advance(Duration::from_millis(250));
    app.until("the watch is over", async || app.clock().sleepers() == 0).await;
    app.books_balance().await;
}
