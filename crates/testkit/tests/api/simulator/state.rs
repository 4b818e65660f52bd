//! `/dew/v1/reset` and `/dew/v1/snapshots`: the whole state, kept and put back.

use std::time::Duration;

use dewpoint_engine::sim::Delays;
use dewpoint_testkit::TestApp;
use serde_json::json;

use crate::each;

#[tokio::test]
async fn a_reset_leaves_what_there_was_at_the_start_and_gives_the_same_numbers_again() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let first = admin.active_droplet("web-1").await;
    let revoked = app.token_with(&["droplet:read"]).await;
    admin
        .post("/dew/v1/faults", json!({ "effect": { "type": "status", "status": 500 }, "path": "/v2/sizes" }))
        .await
        .expect(201);
    admin.put("/dew/v1/delays", json!({ "delays": [{ "seconds": 1 }] })).await.expect(200);
    admin.put("/dew/v1/clock", json!({ "advance_seconds": 60 })).await.expect(200);

    admin.post("/dew/v1/reset", json!(null)).await.expect(200);
    assert_eq!(admin.get("/v2/droplets").await.expect(200)["meta"]["total"], 0);
    assert_eq!(admin.get("/v2/actions").await.expect(200)["meta"]["total"], 0);
    assert!(app.machines().await.is_empty());
    assert_eq!(revoked.get("/v2/droplets").await.status, 401, "tokens made since are gone, also from memory");
    assert_eq!(admin.get("/dew/v1/faults").await.expect(200), json!({ "faults": [] }));
    assert_eq!(admin.get("/dew/v1/delays").await.expect(200), json!({ "delays": [] }));
    assert_eq!(admin.get("/dew/v1/clock").await.expect(200)["now"], "2026-11-21T10:00:00Z");
    assert_eq!(admin.active_droplet("web-1").await, first, "numbers begin anew");
    app.books_balance().await;
}

#[tokio::test]
async fn a_snapshot_of_a_hundred_droplets_is_put_back_whole_however_often() {
    let app = TestApp::start().await;
    let admin = app.admin();
    for batch in 0..10 {
        let names: Vec<String> = (0..10).map(|number| format!("web-{batch}-{number}")).collect();
        let body = crate::droplet(json!({ "names": names, "name": null, "tags": ["web"] }));
        admin.post("/v2/droplets", body).await.expect(202);
    }
    app.run_actions_to_end().await;
    let before = admin.get("/v2/droplets?per_page=200").await.expect(200);
    let taken = admin.put("/dew/v1/snapshots/hundred", json!(null)).await.expect(200)["snapshot"].clone();
    assert_eq!((&taken["name"], &taken["taken_at"]), (&json!("hundred"), &json!("2026-11-21T10:00:00Z")));

    let mut took = Vec::new();
    for _ in 0..3 {
        assert_eq!(admin.delete("/v2/droplets?tag_name=web").await.status, 204);
        app.run_actions_to_end().await;
        assert!(app.machines().await.is_empty());
        let restored = admin.post("/dew/v1/snapshots/hundred/restore", json!(null)).await.expect(200);
        took.push(restored["snapshot"]["took_us"].as_u64().expect("a time"));
        assert_eq!(admin.get("/v2/droplets?per_page=200").await.expect(200), before);
        app.books_balance().await;
    }
    eprintln!("100 Droplets: taken in {} us, put back in {took:?} us, {} bytes", taken["took_us"], taken["bytes"]);

    let list = admin.get("/dew/v1/snapshots").await.expect(200);
    assert_eq!(each(&list["snapshots"], "name"), ["hundred"]);
    assert_eq!(admin.delete("/dew/v1/snapshots/hundred").await.status, 204);
    admin.post("/dew/v1/snapshots/hundred/restore", json!(null)).await.refusal(404, "not_found");
}

#[tokio::test]
async fn an_action_at_work_is_let_go_of_and_goes_on_from_the_snapshot() {
    let app = TestApp::start().await;
    let admin = app.admin();
    app.sim().set_delays(Delays { power_on: Duration::from_secs(60), ..Delays::default() });
    let id = admin.create_droplet("web-1").await;
    let steering = async {
        app.until("the machine starts", async || app.clock().sleepers() > 1).await;
        admin.put("/dew/v1/snapshots/starting", json!(null)).await.expect(200);
        app.until("the worker took it up again", async || app.clock().sleepers() > 1).await;
        admin.post("/dew/v1/reset", json!(null)).await.expect(200);
    };
    tokio::join!(app.run_actions_to_end(), steering);
    admin.get(&format!("/v2/droplets/{id}")).await.refusal(404, "not_found");
    app.books_balance().await;

    admin.post("/dew/v1/snapshots/starting/restore", json!(null)).await.expect(200);
    assert_eq!(admin.droplet(id).await["status"], "new");
    let moving = async {
        app.until("the machine starts again", async || app.clock().sleepers() > 1).await;
        app.clock().advance(Duration::from_secs(60));
    };
    tokio::join!(app.run_actions_to_end(), moving);
    assert_eq!(admin.droplet(id).await["status"], "active");
    app.books_balance().await;
}
