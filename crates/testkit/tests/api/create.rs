//! What a create makes and answers (CRE-1 to CRE-4, CRE-21 to CRE-23).

use dewpoint_testkit::{TestApp, droplet_body};
use serde_json::json;

use crate::{droplet, each, ids};

#[tokio::test]
async fn one_name_makes_one_droplet_and_one_action_cre_1() {
    let app = TestApp::start().await;
    let answer = app.admin().post("/v2/droplets", droplet_body("web-1")).await;
    let body = answer.expect(202);
    assert_eq!((body["droplet"]["name"].as_str(), body.get("droplets")), (Some("web-1"), None));
    let links = &body["links"]["actions"];
    assert_eq!(each(links, "rel"), ["create"]);
    let id = &links[0]["id"];
    assert_eq!(links[0]["href"], format!("http://dew.test/v2/actions/{id}"), "ACT-1");
    let action = app.admin().action(id.as_u64().expect("a number")).await;
    assert_eq!((&action["type"], &action["status"]), (&json!("create"), &json!("in-progress")), "ACT-4");
    assert_eq!((&action["resource_id"], &action["completed_at"]), (&body["droplet"]["id"], &json!(null)));
}

#[tokio::test]
async fn several_names_make_droplets_and_actions_in_their_order_cre_1() {
    let app = TestApp::start().await;
    let body = droplet(json!({ "name": null, "names": ["c", "a", "b"] }));
    let body = app.admin().post("/v2/droplets", body).await.expect(202);
    assert_eq!(each(&body["droplets"], "name"), ["c", "a", "b"]);
    assert_eq!(body.get("droplet"), None);
    let made = ids(&body["droplets"]);
    for (action, droplet) in ids(&body["links"]["actions"]).into_iter().zip(&made) {
        assert_eq!(app.admin().action(action).await["resource_id"], *droplet);
    }
    app.run_actions_to_end().await;
    assert_eq!(app.machines().await, made);
    app.books_balance().await;
}

#[tokio::test]
async fn one_name_in_names_still_answers_with_a_list_cre_1() {
    let app = TestApp::start().await;
    let body = app.admin().post("/v2/droplets", droplet(json!({ "name": null, "names": ["a"] }))).await.expect(202);
    assert_eq!((each(&body["droplets"], "name").len(), body.get("droplet")), (1, None));
}

#[tokio::test]
async fn ten_names_are_taken_and_may_repeat_cre_2() {
    let app = TestApp::start().await;
    let body = droplet(json!({ "name": null, "names": vec!["same"; 10] }));
    app.admin().post("/v2/droplets", body.clone()).await.expect(202);
    app.admin().post("/v2/droplets", body).await.expect(202);
    app.run_actions_to_end().await;
    assert_eq!(app.admin().all("/v2/droplets?name=same", "droplets").await.len(), 20);
    app.books_balance().await;
}

#[tokio::test]
async fn names_are_host_names_cre_3() {
    let app = TestApp::start().await;
    let longest = "a".repeat(255);
    for name in ["a", "9", "web-1.example.com", "-a", ".a", "A.B-c", &longest] {
        let body = app.admin().post("/v2/droplets", droplet(json!({ "name": name }))).await.expect(202);
        assert_eq!(body["droplet"]["name"], name);
    }
}

#[tokio::test]
async fn a_new_droplet_is_new_locked_and_without_addresses_cre_21() {
    let app = TestApp::start().await;
    let body = droplet(json!({ "backups": true, "ipv6": true }));
    let made = app.admin().post("/v2/droplets", body).await.expect(202)["droplet"].clone();
    assert_eq!((&made["status"], &made["locked"]), (&json!("new"), &json!(true)));
    assert_eq!(made["networks"], json!({ "v4": [], "v6": [] }));
    for empty in ["volume_ids", "backup_ids", "snapshot_ids"] {
        assert_eq!(made[empty], json!([]), "{empty}");
    }
    for null in ["next_backup_window", "kernel"] {
        assert_eq!(made.get(null), Some(&json!(null)), "{null}");
    }
}

#[tokio::test]
async fn a_new_droplet_can_be_looked_at_at_once_cre_23() {
    let app = TestApp::start().await;
    let id = app.admin().create_droplet("web-1").await;
    assert_eq!(app.admin().droplet(id).await["status"], "new");
    assert_eq!(ids(&app.admin().get("/v2/droplets").await.expect(200)["droplets"]), [id]);
    let actions = app.admin().get(&format!("/v2/droplets/{id}/actions")).await.expect(200);
    assert_eq!(each(&actions["actions"], "type"), ["create"]);
}

#[tokio::test]
async fn features_list_what_is_on_cre_22() {
    let app = TestApp::start().await;
    let features = async |changes| {
        let body = app.admin().post("/v2/droplets", droplet(changes)).await.expect(202);
        body["droplet"]["features"].clone()
    };
    assert_eq!(features(json!({})).await, json!(["private_networking"]));
    let all = json!({ "backups": true, "ipv6": true, "monitoring": true, "with_droplet_agent": true });
    assert_eq!(features(all).await, json!(["backups", "ipv6", "monitoring", "private_networking", "droplet_agent"]));
}

#[tokio::test]
async fn ids_of_droplets_and_actions_are_never_used_twice() {
    let app = TestApp::start().await;
    let first = app.admin().active_droplet("web-1").await;
    app.admin().delete(&format!("/v2/droplets/{first}")).await.expect(204);
    app.run_actions_to_end().await;
    let second = app.admin().active_droplet("web-1").await;
    assert!(second > first, "{second} after {first}");
    let actions = app.admin().all("/v2/actions", "actions").await;
    let numbers: Vec<_> = actions.iter().map(|action| action["id"].as_u64().expect("a number")).collect();
    assert!(numbers.is_sorted_by(|newer, older| newer > older), "newest first, each its own: {numbers:?}");
}
