//! `/dew/v1/clock`: everything runs by the clock, and the clock can be moved.

use std::time::Duration;

use dewpoint_engine::sim::Delays;
use dewpoint_testkit::TestApp;
use serde_json::json;

const CLOCK: &str = "/dew/v1/clock";

#[tokio::test]
async fn the_clock_is_moved_frozen_and_set_back_to_real() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let shown = admin.get(CLOCK).await.expect(200);
    assert_eq!(
        shown,
        json!({ "now": "2026-11-21T10:00:00Z", "now_ms": 1_795_255_200_000_u64, "rate": 0.0, "real": false })
    );

    let shown = admin.put(CLOCK, json!({ "advance_seconds": 3600.5 })).await.expect(200);
    assert_eq!(shown["now_ms"], 1_795_255_200_000_u64 + 3_600_500);
    let shown = admin.put(CLOCK, json!({ "now": "2030-01-01T00:00:00Z", "advance_seconds": 1 })).await.expect(200);
    assert_eq!(shown["now"], "2030-01-01T00:00:01Z");
    let shown = admin.put(CLOCK, json!({ "rate": 60 })).await.expect(200);
    assert_eq!((&shown["rate"], &shown["real"]), (&json!(60.0), &json!(false)));
    let frozen = admin.put(CLOCK, json!({ "frozen": true })).await.expect(200);
    assert_eq!(
        (&frozen["rate"], admin.get(CLOCK).await.expect(200)["now_ms"] == frozen["now_ms"]),
        (&json!(0.0), true)
    );
    assert_eq!(admin.put(CLOCK, json!({ "frozen": false })).await.expect(200)["rate"], 1.0);
    let real = admin.put(CLOCK, json!({ "real": true })).await.expect(200);
    assert_eq!((&real["rate"], &real["real"]), (&json!(1.0), &json!(true)));

    for wrong in [
        json!({}),
        json!({ "rate": -1 }),
        json!({ "rate": 1e9 }),
        json!({ "advance_seconds": -1 }),
        json!({ "advance_seconds": 1e300 }),
        json!({ "real": true, "rate": 2 }),
        json!({ "speed": 2 }),
    ] {
        admin.put(CLOCK, wrong).await.invalid();
    }
}

#[tokio::test]
async fn what_takes_time_is_over_as_soon_as_the_clock_was_moved_past_it() {
    let app = TestApp::start().await;
    app.sim().set_delays(Delays { power_on: Duration::from_secs(600), ..Delays::default() });
    let admin = app.admin();
    let id = admin.create_droplet("web-1").await;
    let working = async {
        app.run_actions_to_end().await;
    };
    let moving = async {
        // The machine that starts, and the lease that is renewed meanwhile.
        app.until("the machine starts", async || app.clock().sleepers() > 1).await;
        assert_eq!(admin.droplet(id).await["status"], "new");
        admin.put(CLOCK, json!({ "advance_seconds": 600 })).await.expect(200);
    };
    tokio::join!(working, moving);
    assert_eq!(admin.droplet(id).await["status"], "active");
    app.books_balance().await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_leaves_no_action_leased_for_long() {
    let app = TestApp::start().await;
    let admin = app.admin();
    admin.put(CLOCK, json!({ "advance_seconds": 86_400 })).await.expect(200);
    let id = admin.create_droplet("web-1").await;
    app.crash_worker_at("create", "boot", dewpoint_control::actions::Point::Before);
    app.run_actions_to_end().await;
    assert!(app.worker_has_crashed());

    admin.put(CLOCK, json!({ "now": "2026-11-21T10:00:00Z" })).await.expect(200);
    app.clock().advance(app.control().config().lease);
    app.run_actions_to_end().await;
    assert_eq!(admin.droplet(id).await["status"], "active");
}

#[tokio::test]
async fn steering_needs_a_full_token() {
    let app = TestApp::start().await;
    let reader = app.token_with(&["droplet:read"]).await;
    assert_eq!(reader.put(CLOCK, json!({ "rate": 1 })).await.status, 403);
    assert_eq!(app.nobody().get(CLOCK).await.status, 401);
}
