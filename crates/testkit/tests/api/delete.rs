//! Deleting Droplets: one, by tag, and what happens to the rest (DEL-1 to DEL-4).

use dewpoint_testkit::{TestApp, public_key};
use serde_json::json;

use crate::{droplet, resources};

#[tokio::test]
async fn a_deleted_droplet_is_gone_at_once_and_its_machine_soon_del_1() {
    let app = TestApp::start().await;
    let id = app.admin().active_droplet("web-1").await;
    let path = format!("/v2/droplets/{id}");
    let answer = app.admin().delete(&path).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""), "PRO-1");
    app.admin().get(&path).await.refusal(404, "not_found");
    app.admin().delete(&path).await.refusal(404, "not_found");
    app.admin().act(id, "power_on").await.refusal(404, "not_found");
    app.admin().get(&format!("{path}/actions")).await.refusal(404, "not_found");
    assert_eq!(app.machines().await, [id], "not yet");
    assert_eq!(app.addresses().await.len(), 2, "its addresses rest while the machine has them");
    app.run_actions_to_end().await;
    assert!(app.machines().await.is_empty() && app.addresses().await.is_empty());
    let action = app.admin().newest_action().await;
    assert_eq!(
        (&action["type"], &action["status"], &action["resource_id"]),
        (&json!("destroy"), &json!("completed"), &json!(id))
    );
    app.books_balance().await;
}

#[tokio::test]
async fn a_droplet_under_an_action_is_not_deleted_del_2_act_6() {
    let app = TestApp::start().await;
    let id = app.admin().create_droplet("web-1").await;
    let path = format!("/v2/droplets/{id}");
    assert_eq!(app.admin().delete(&path).await.invalid(), "Droplet already has a pending event.", "creating");
    app.run_actions_to_end().await;
    app.admin().act(id, "reboot").await.expect(201);
    assert_eq!(app.admin().delete(&path).await.invalid(), "Droplet already has a pending event.");
    app.run_actions_to_end().await;
    app.admin().delete(&path).await.expect(204);
}

#[tokio::test]
async fn an_off_droplet_can_be_deleted_del_1() {
    let app = TestApp::start().await;
    let id = app.admin().active_droplet("web-1").await;
    app.admin().act(id, "power_off").await.expect(201);
    app.run_actions_to_end().await;
    app.admin().delete(&format!("/v2/droplets/{id}")).await.expect(204);
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test]
async fn volumes_keys_and_tags_outlive_the_droplet_del_3_key_2() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let volume = json!({ "name": "data", "region": "nyc3", "size_gigabytes": 10 });
    let volume = admin.post("/v2/volumes", volume).await.expect(201)["volume"]["id"].clone();
    let key = admin.post("/v2/account/keys", json!({ "name": "k", "public_key": public_key(1) })).await.expect(201);
    let key = key["ssh_key"]["id"].clone();
    let body = droplet(json!({ "volumes": [volume], "ssh_keys": [key], "tags": ["web"], "user_data": "#!/bin/sh" }));
    let id = admin.post("/v2/droplets", body).await.expect(202)["droplet"]["id"].as_u64().expect("a number");
    app.run_actions_to_end().await;
    admin.delete(&format!("/v2/droplets/{id}")).await.expect(204);
    app.run_actions_to_end().await;
    let path = format!("/v2/volumes/{}", volume.as_str().expect("an id"));
    assert_eq!(admin.get(&path).await.expect(200)["volume"]["droplet_ids"], json!([]), "detached and kept");
    admin.get(&format!("/v2/account/keys/{key}")).await.expect(200);
    let tag = admin.get("/v2/tags/web").await.expect(200)["tag"].clone();
    assert_eq!(tag["resources"]["count"], 0);
    assert_eq!(app.rows("droplet_seeds").await, 0, "what was secret is gone");
    app.books_balance().await;
}

#[tokio::test]
async fn a_tag_deletes_what_carries_it_and_nothing_else_del_4() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let (first, second, third) =
        (admin.create_droplet("a").await, admin.create_droplet("b").await, admin.create_droplet("c").await);
    let gpu = json!({ "size": "gpu-h100x1-80gb", "region": "nyc2", "tags": ["old"] });
    admin.post("/v2/droplets", droplet(gpu)).await.expect(202);
    app.run_actions_to_end().await;
    admin.post("/v2/tags/old/resources", resources(&[first, third])).await.expect(204);
    admin.delete("/v2/droplets?tag_name=old").await.expect(204);
    app.run_actions_to_end().await;
    assert_eq!(app.machines().await, [second], "GPU Droplets are included");
    admin.delete("/v2/droplets?tag_name=old").await.expect(204);
    app.books_balance().await;
}

#[tokio::test]
async fn a_tag_that_is_missing_unknown_or_in_another_case_deletes_nothing_del_4() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let body = admin.post("/v2/droplets", droplet(json!({ "tags": ["old"] }))).await.expect(202);
    app.run_actions_to_end().await;
    for path in ["/v2/droplets", "/v2/droplets?tag_name=", "/v2/droplets?tag=old", "/v2/droplets/"] {
        admin.delete(path).await.invalid();
    }
    for path in [
        "/v2/droplets?tag_name=unknown",
        "/v2/droplets?tag_name=OLD",
        "/v2/droplets?tag_name=a%20b",
        "/v2/droplets?tag_name=*",
    ] {
        admin.delete(path).await.refusal(404, "not_found");
    }
    app.run_actions_to_end().await;
    assert_eq!(app.machines().await, [body["droplet"]["id"].as_u64().expect("a number")]);
}

#[tokio::test]
async fn one_busy_droplet_keeps_the_tag_from_deleting_any_del_2_del_4() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let names = droplet(json!({ "name": null, "names": ["a", "b"], "tags": ["t"] }));
    let made = crate::ids(&admin.post("/v2/droplets", names).await.expect(202)["droplets"]);
    app.run_actions_to_end().await;
    admin.act(made[1], "reboot").await.expect(201);
    assert_eq!(admin.delete("/v2/droplets?tag_name=t").await.invalid(), "Droplet already has a pending event.");
    assert_eq!(app.rows("droplets").await, 2);
    app.run_actions_to_end().await;
    admin.delete("/v2/droplets?tag_name=t").await.expect(204);
    app.run_actions_to_end().await;
    app.books_balance().await;
}
