//! `/dew/v1/delays`: how long actions take.

use dewpoint_testkit::TestApp;
use serde_json::json;

const DELAYS: &str = "/dew/v1/delays";

#[tokio::test]
async fn an_action_waits_until_it_or_its_droplet_was_read_often_enough() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.active_droplet("web-1").await;
    let other = admin.active_droplet("web-2").await;
    let delays = json!({ "delays": [{ "resource_id": other.to_string(), "instant": true }, { "type": "power_off", "reads": 3 }] });
    assert_eq!(admin.put(DELAYS, delays.clone()).await.expect(200), delays);
    assert_eq!(admin.get(DELAYS).await.expect(200), delays);
    admin.droplet(id).await;
    let action = admin.act(id, "power_off").await.expect(201)["action"]["id"].as_u64().expect("a number");
    admin.act(other, "power_off").await.expect(201);
    let reading = async {
        app.until("the other one is off", async || app.running_machines().await == [id]).await;
        for _ in 0..2 {
            assert_eq!(admin.droplet(id).await["status"], "active");
        }
        assert_eq!(app.running_machines().await, [id]);
        assert_eq!(admin.action(action).await["status"], "in-progress", "the third read");
    };
    tokio::join!(app.run_actions_to_end(), reading);
    assert_eq!(admin.action(action).await["status"], "completed");
    assert_eq!(admin.droplet(id).await["status"], "off");
    app.books_balance().await;
}

#[tokio::test]
async fn an_action_waits_for_its_time_and_no_longer_than_the_delay_is_there() {
    let app = TestApp::start().await;
    let admin = app.admin();
    admin
        .put(DELAYS, json!({ "delays": [{ "resource_type": "droplet", "type": "create", "seconds": 30 }] }))
        .await
        .expect(200);
    let first = admin.create_droplet("web-1").await;
    let moving = async {
        // The hold, and the lease that is renewed meanwhile.
        app.until("the create waits", async || app.clock().sleepers() > 1).await;
        admin.put("/dew/v1/clock", json!({ "advance_seconds": 30 })).await.expect(200);
    };
    tokio::join!(app.run_actions_to_end(), moving);
    assert_eq!(admin.droplet(first).await["status"], "active");

    let second = admin.create_droplet("web-2").await;
    let lifting = async {
        app.until("the create waits", async || app.clock().sleepers() > 1).await;
        admin.put(DELAYS, json!({ "delays": [] })).await.expect(200);
    };
    tokio::join!(app.run_actions_to_end(), lifting);
    assert_eq!(admin.droplet(second).await["status"], "active");

    for wrong in [json!({ "seconds": 1, "reads": 1 }), json!({}), json!({ "seconds": -1 }), json!({ "second": 1 })] {
        admin.put(DELAYS, json!({ "delays": [wrong] })).await.invalid();
    }
}
