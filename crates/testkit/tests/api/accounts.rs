//! The account, and that nobody reaches what is another's.

use dewpoint_testkit::{TestApp, fingerprint, public_key};
use serde_json::json;

use crate::{droplet, resources};

#[tokio::test]
async fn the_account_tells_its_limits_acc_1() {
    let app = TestApp::start_with(|setup| {
        setup.control.droplet_limit = 25;
        setup.control.volume_limit = 5;
        setup.control.reserved_ip_limit = 3;
    })
    .await;
    let account = app.admin().get("/v2/account").await.expect(200)["account"].clone();
    assert_eq!((&account["droplet_limit"], &account["volume_limit"]), (&json!(25), &json!(5)));
    assert_eq!((&account["reserved_ip_limit"], &account["floating_ip_limit"]), (&json!(3), &json!(3)));
    assert_eq!((&account["status"], &account["email_verified"]), (&json!("active"), &json!(true)));
    for text in ["email", "name", "uuid", "status_message"] {
        assert!(account[text].is_string(), "{text}");
    }
    assert!(account["team"]["uuid"].is_string() && account["team"]["name"].is_string());
    let other = app.other_account().await.get("/v2/account").await.expect(200)["account"].clone();
    assert_ne!(other["uuid"], account["uuid"]);
}

#[tokio::test]
async fn what_is_anothers_looks_as_if_it_were_not_there_err_4() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let volume = json!({ "name": "data", "region": "nyc3", "size_gigabytes": 1 });
    let volume =
        admin.post("/v2/volumes", volume).await.expect(201)["volume"]["id"].as_str().expect("an id").to_owned();
    let key = admin.post("/v2/account/keys", json!({ "name": "k", "public_key": public_key(1) })).await.expect(201);
    let key = key["ssh_key"]["id"].clone();
    let body = admin.post("/v2/droplets", droplet(json!({ "tags": ["web"] }))).await.expect(202);
    let id = body["droplet"]["id"].as_u64().expect("a number");
    let action = body["links"]["actions"][0]["id"].clone();
    app.run_actions_to_end().await;
    let vpc = admin.droplet(id).await["vpc_uuid"].as_str().expect("an id").to_owned();

    let other = app.other_account().await;
    for path in [
        format!("/v2/droplets/{id}"),
        format!("/v2/droplets/{id}/actions"),
        format!("/v2/droplets/{id}/actions/{action}"),
        format!("/v2/droplets/{id}/backups/policy"),
        format!("/v2/actions/{action}"),
        format!("/v2/volumes/{volume}"),
        format!("/v2/vpcs/{vpc}"),
        format!("/v2/account/keys/{key}"),
        format!("/v2/account/keys/{}", fingerprint(1)),
        "/v2/tags/web".to_owned(),
        format!("/dew/v1/droplets/{id}"),
        format!("/dew/v1/droplets/{id}/access"),
        format!("/dew/v1/actions/{action}"),
    ] {
        other.get(&path).await.refusal(404, "not_found");
    }
    for path in [
        format!("/v2/droplets/{id}"),
        "/v2/droplets?tag_name=web".to_owned(),
        format!("/v2/volumes/{volume}"),
        "/v2/volumes?name=data&region=nyc3".to_owned(),
        format!("/v2/account/keys/{key}"),
        "/v2/tags/web".to_owned(),
    ] {
        other.delete(&path).await.refusal(404, "not_found");
    }
    other.act(id, "power_off").await.refusal(404, "not_found");
    other.put(&format!("/v2/account/keys/{key}"), json!({ "name": "mine" })).await.refusal(404, "not_found");
    other.post("/v2/tags", json!({ "name": "web" })).await.expect(201);
    other.post("/v2/tags/web/resources", resources(&[id])).await.refusal(404, "not_found");
    let none = other.post("/v2/droplets/actions?tag_name=web", json!({ "type": "power_off" })).await.expect(201);
    assert_eq!(none["actions"], json!([]));
    other.delete("/v2/droplets?tag_name=web").await.expect(204);
    for (path, key) in [
        ("/v2/droplets", "droplets"),
        ("/v2/droplets?tag_name=web", "droplets"),
        ("/v2/droplets?name=web-1", "droplets"),
        ("/v2/actions", "actions"),
        ("/v2/volumes", "volumes"),
        ("/v2/vpcs", "vpcs"),
        ("/v2/account/keys", "ssh_keys"),
    ] {
        let body = other.get(path).await.expect(200);
        assert_eq!((&body[key], &body["meta"]["total"]), (&json!([]), &json!(0)), "{path}");
    }
    assert_eq!(other.get("/v2/tags/web").await.expect(200)["tag"]["resources"]["count"], 0);
    assert_eq!(app.admin().get("/v2/tags/web").await.expect(200)["tag"]["resources"]["count"], 1);
    app.books_balance().await;
}
