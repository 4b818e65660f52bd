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

const ACCOUNTS: &str = "/dew/v1/accounts";

#[tokio::test]
async fn the_operator_makes_accounts_that_have_nothing_in_common() {
    let app = TestApp::start().await;
    app.admin().create_droplet("web-1").await;
    let body = json!({ "name": "Team A", "email": "a@example.com" });
    let made = app.admin().post(ACCOUNTS, body.clone()).await.expect(201);
    let token = made["token"].as_str().expect("a secret");
    assert!(token.starts_with("dop_v1_"), "AUTH-1");
    let team = app.bearer(token);
    let account = team.get("/v2/account").await.expect(200)["account"].clone();
    assert_eq!((&account["uuid"], &account["email"]), (&made["account"]["uuid"], &json!("a@example.com")));
    assert_eq!(account["team"]["name"], "Team A");
    assert_eq!(team.get("/v2/droplets").await.expect(200)["meta"]["total"], 0);
    team.create_droplet("web-1").await;
    assert_eq!(app.admin().get("/v2/droplets").await.expect(200)["meta"]["total"], 1);

    app.admin().post(ACCOUNTS, body).await.refusal(409, "conflict");
    let list = app.admin().get(ACCOUNTS).await;
    assert_eq!(crate::each(&list.expect(200)["accounts"], "name"), ["Admin", "Team A"]);
    assert!(!list.text.contains("dop_v1_"), "its token is not shown again");
    for bad in [json!({}), json!({ "name": "" }), json!({ "name": "B", "email": "nobody" }), json!({ "name": 7 })] {
        app.admin().post(ACCOUNTS, bad).await.invalid();
    }
    assert_eq!(app.rows("accounts").await, 2);
}

#[tokio::test]
async fn only_a_full_token_of_the_first_account_reaches_accounts() {
    let mut app = TestApp::start().await;
    let made = app.admin().post(ACCOUNTS, json!({ "name": "Team A" })).await.expect(201);
    let token = made["token"].as_str().expect("a secret").to_owned();
    app.restart().await;
    let team = app.bearer(&token);
    let all: Vec<&str> = dewpoint_api::Scope::ALL.iter().map(|scope| scope.as_str()).collect();
    for who in [team, app.token_with(&["read"]).await, app.token_with(&all).await] {
        who.post(ACCOUNTS, json!({ "name": "Team B" })).await.refusal(403, "forbidden");
        who.get(ACCOUNTS).await.refusal(403, "forbidden");
    }
    let second = app.token_with(&["full"]).await;
    second.post(ACCOUNTS, json!({ "name": "Team B" })).await.expect(201);
}
