//! Actions of all kinds (ACT-1 to ACT-5, ACT-11).

use dewpoint_testkit::TestApp;
use serde_json::json;

use crate::{each, ids};

#[tokio::test]
async fn an_action_has_its_documented_members_act_2() {
    let app = TestApp::start().await;
    let id = app.admin().active_droplet("web-1").await;
    let action = app.admin().newest_action().await;
    let members = action.as_object().expect("an object");
    let expected =
        ["id", "status", "type", "started_at", "completed_at", "resource_id", "resource_type", "region", "region_slug"];
    assert_eq!(members.len(), expected.len());
    assert!(expected.iter().all(|name| members.contains_key(*name)), "{action}");
    assert_eq!((&action["resource_id"], &action["resource_type"]), (&json!(id), &json!("droplet")), "ACT-11");
    assert_eq!((&action["region"]["slug"], &action["region_slug"]), (&json!("nyc3"), &json!("nyc3")));
}

#[tokio::test]
async fn actions_of_all_droplets_are_listed_newest_first_pag_9() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let (first, second) = (admin.active_droplet("a").await, admin.active_droplet("b").await);
    admin.act(first, "power_off").await.expect(201);
    let body = admin.get("/v2/actions").await.expect(200);
    assert_eq!(each(&body["actions"], "type"), ["power_off", "create", "create"]);
    assert_eq!(each(&body["actions"], "resource_id"), [first, second, first]);
    assert!(ids(&body["actions"]).is_sorted_by(|newer, older| newer > older));
    assert_eq!(each(&body["actions"], "status"), ["in-progress", "completed", "completed"], "ACT-3");
}

#[tokio::test]
async fn the_link_of_a_create_leads_to_its_action_act_5() {
    let app = TestApp::start().await;
    let body = app.admin().post("/v2/droplets", dewpoint_testkit::droplet_body("a")).await.expect(202);
    let link = &body["links"]["actions"][0];
    let path = link["href"].as_str().and_then(|href| href.strip_prefix("http://dew.test")).expect("an address here");
    assert_eq!(app.admin().get(path).await.expect(200)["action"]["id"], link["id"]);
}

#[tokio::test]
async fn actions_stay_readable_after_their_droplet_is_gone() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.active_droplet("a").await;
    let create = admin.newest_action().await["id"].as_u64().expect("a number");
    admin.delete(&format!("/v2/droplets/{id}")).await.expect(204);
    app.run_actions_to_end().await;
    assert_eq!(admin.action(create).await["status"], "completed");
    assert_eq!(admin.get("/v2/actions").await.expect(200)["meta"]["total"], 2);
}

#[tokio::test]
async fn the_story_of_an_action_tells_its_steps() {
    let app = TestApp::start().await;
    app.admin().active_droplet("a").await;
    let action = app.admin().newest_action().await;
    let story = app.admin().action_story(action["id"].as_u64().expect("a number")).await;
    assert_eq!(story["action"], action);
    assert_eq!(each(&story["timeline"], "step"), ["ensure", "attach", "boot"]);
    assert_eq!((&story["attempt"], &story["reason"]), (&json!(1), &json!(null)));
    app.admin().get("/dew/v1/actions/7").await.refusal(404, "not_found");
}
