//! What was deleted or is over goes for good after a while, so that the store does not grow with its history.

use std::time::Duration;

use dewpoint_testkit::TestApp;
use http::Request;
use serde_json::json;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// An own image, made of this Droplet.
async fn image_of(app: &TestApp, droplet: u64) -> u64 {
    let body = json!({ "type": "snapshot", "name": "whole" });
    app.admin().post(&format!("/v2/droplets/{droplet}/actions"), body).await.expect(201);
    app.run_actions_to_end().await;
    app.admin().droplet(droplet).await["snapshot_ids"][0].as_u64().expect("a number")
}

async fn forgotten(app: &TestApp) -> u64 {
    app.control().forget_round().await.expect("the store can be written")
}

#[tokio::test]
async fn a_deleted_image_is_forgotten_after_thirty_days_unless_a_droplet_was_made_from_it() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let droplet = admin.active_droplet("web-1").await;
    let image = image_of(&app, droplet).await;
    let twin = admin.post("/v2/droplets", crate::droplet(json!({ "image": image }))).await.expect(202);
    let twin = twin["droplet"]["id"].as_u64().expect("a number");
    app.run_actions_to_end().await;
    let path = format!("/v2/images/{image}");
    admin.delete(&path).await.expect(204);
    app.run_actions_to_end().await;
    admin.delete(&path).await.invalid();

    app.clock().advance(DAY * 29);
    assert_eq!(forgotten(&app).await, 0);
    app.clock().advance(DAY * 2);
    assert_eq!(forgotten(&app).await, 0, "it is the name of what the other Droplet was made from");
    assert_eq!(admin.droplet(twin).await["image"]["name"], "whole");
    admin.delete(&format!("/v2/droplets/{twin}")).await.expect(204);
    app.run_actions_to_end().await;
    assert_eq!((forgotten(&app).await, forgotten(&app).await), (1, 0));
    admin.delete(&path).await.refusal(404, "not_found");
    assert_eq!(app.rows("images").await, 0);
    app.books_balance().await;
}

#[tokio::test]
async fn a_teardown_that_is_over_tells_of_itself_for_thirty_days() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let droplet = admin.active_droplet("web-1").await;
    let path = format!("/v2/droplets/{droplet}/destroy_with_associated_resources");
    let request = Request::builder().method("DELETE").uri(format!("{path}/dangerous")).header("x-dangerous", "true");
    let request = request.header("host", "dew.test").body(axum::body::Body::empty()).expect("a request");
    admin.send(request).await.expect(202);
    app.clock().advance(DAY * 31);
    assert_eq!(forgotten(&app).await, 0, "it is not over");
    app.run_actions_to_end().await;
    app.clock().advance(DAY * 29);
    assert_eq!(forgotten(&app).await, 0);
    admin.get(&format!("{path}/status")).await.expect(200);
    app.clock().advance(DAY);
    assert_eq!(forgotten(&app).await, 1);
    admin.get(&format!("{path}/status")).await.refusal(404, "not_found");
    app.books_balance().await;
}
