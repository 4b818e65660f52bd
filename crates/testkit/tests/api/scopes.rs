//! What a token may do and see (AUTH-3 to AUTH-6).

use dewpoint_testkit::{TestApp, public_key};
use serde_json::{Value, json};

use crate::{droplet, resources};

#[tokio::test]
async fn a_create_needs_a_scope_for_each_of_its_parts_auth_5() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let key = admin.post("/v2/account/keys", json!({ "name": "k", "public_key": public_key(1) })).await.expect(201);
    let volume = async |name: &str| {
        let body = json!({ "name": name, "region": "nyc3", "size_gigabytes": 1 });
        admin.post("/v2/volumes", body).await.expect(201)["volume"]["id"].clone()
    };
    let vpc = admin.post("/v2/droplets", droplet(json!({}))).await.expect(202)["droplet"]["vpc_uuid"].clone();
    let parts: [(Value, &str); 5] = [
        (json!({}), "image:read"),
        (json!({ "ssh_keys": [key["ssh_key"]["id"]] }), "ssh_key:read"),
        (json!({ "tags": ["web"] }), "tag:create"),
        (json!({ "volumes": [volume("v").await] }), "block_storage:read"),
        (json!({ "vpc_uuid": vpc }), "vpc:read"),
    ];
    let all = ["droplet:create", "image:read", "ssh_key:read", "tag:create", "block_storage:read", "vpc:read"];
    let before = app.rows("droplets").await;
    for (part, scope) in &parts {
        let without: Vec<&str> = all.iter().copied().filter(|one| one != scope).collect();
        let client = app.token_with(&without).await;
        let message = client.post("/v2/droplets", droplet(part.clone())).await.refusal(403, "forbidden");
        assert_eq!(message, "You are not authorized to perform this operation.", "{scope}");
        assert_eq!((app.rows("droplets").await, app.rows("tags").await), (before, 0), "ERR-8: {scope}");
    }
    for (part, scope) in parts {
        let client = app.token_with(&["droplet:create", "image:read", scope]).await;
        client.post("/v2/droplets", droplet(part)).await.expect(202);
    }
    let client = app.token_with(&all[1..]).await;
    client.post("/v2/droplets", droplet(json!({}))).await.refusal(403, "forbidden");
}

#[tokio::test]
async fn parts_that_are_empty_need_no_scope_auth_5_pro_5() {
    let app = TestApp::start().await;
    let client = app.token_with(&["droplet:create", "image:read"]).await;
    let mut body = droplet(json!({ "vpc_uuid": "", "ssh_keys": [], "tags": [] }));
    body["volumes"] = json!(null);
    client.post("/v2/droplets", body).await.expect(202);
}

#[tokio::test]
async fn a_token_sees_of_a_droplet_what_its_scopes_let_it_auth_6() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let volume = json!({ "name": "data", "region": "nyc3", "size_gigabytes": 1 });
    let volume = admin.post("/v2/volumes", volume).await.expect(201)["volume"]["id"].clone();
    let body = droplet(json!({ "tags": ["web"], "volumes": [volume] }));
    let id = admin.post("/v2/droplets", body).await.expect(202)["droplet"]["id"].as_u64().expect("a number");
    app.run_actions_to_end().await;
    let whole = admin.droplet(id).await;
    let members = [
        ("image", "image:read", json!(null)),
        ("tags", "tag:read", json!([])),
        ("volume_ids", "block_storage:read", json!([])),
        ("vpc_uuid", "vpc:read", json!(null)),
    ];
    let bare = app.token_with(&["droplet:read"]).await;
    for (member, scope, hidden) in members {
        assert_eq!(bare.droplet(id).await[member], hidden, "{member} without {scope}");
        let listed = bare.get("/v2/droplets").await.expect(200)["droplets"][0].clone();
        assert_eq!(listed[member], hidden, "{member} in a list");
        let seeing = app.token_with(&["droplet:read", scope]).await;
        assert_eq!(seeing.droplet(id).await[member], whole[member], "{member} with {scope}");
    }
    let creator = app.token_with(&["droplet:create", "image:read"]).await;
    let made = creator.post("/v2/droplets", droplet(json!({}))).await.expect(202)["droplet"].clone();
    assert_eq!(
        (made.get("vpc_uuid"), &made["image"]["slug"]),
        (None, &json!("ubuntu-24-04-x64")),
        "its own answer too"
    );
}

#[tokio::test]
async fn a_tag_counts_what_the_token_may_see_auth_6_tag_4() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let volume = json!({ "name": "data", "region": "nyc3", "size_gigabytes": 1, "tags": ["web"] });
    admin.post("/v2/volumes", volume).await.expect(201);
    for _ in 0..2 {
        admin.post("/v2/droplets", droplet(json!({ "tags": ["web"] }))).await.expect(202);
    }
    let counts = async |scopes: &[&str]| {
        let client = app.token_with(scopes).await;
        let tag = client.get("/v2/tags/web").await.expect(200)["tag"].clone();
        let listed = client.get("/v2/tags").await.expect(200)["tags"][0].clone();
        assert_eq!(listed, tag);
        let resources = &tag["resources"];
        [&resources["count"], &resources["droplets"]["count"], &resources["volumes"]["count"]]
            .map(|count| count.as_u64().expect("a number"))
    };
    assert_eq!(counts(&["tag:read"]).await, [0, 0, 0]);
    assert_eq!(counts(&["tag:read", "droplet:read"]).await, [2, 2, 0]);
    assert_eq!(counts(&["tag:read", "block_storage:read"]).await, [1, 0, 1]);
    assert_eq!(counts(&["read"]).await, [3, 2, 1]);
    let bare = app.token_with(&["tag:read"]).await;
    assert_eq!(bare.get("/v2/tags/web").await.expect(200)["tag"]["resources"].get("last_tagged_uri"), None);
}

#[tokio::test]
async fn a_volume_shows_droplets_and_tags_to_who_may_see_them_auth_6() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let volume = json!({ "name": "data", "region": "nyc3", "size_gigabytes": 1, "tags": ["web"] });
    let volume = admin.post("/v2/volumes", volume).await.expect(201)["volume"]["id"].clone();
    admin.post("/v2/droplets", droplet(json!({ "volumes": [volume] }))).await.expect(202);
    let bare = app.token_with(&["block_storage:read"]).await;
    let shown = bare.get("/v2/volumes").await.expect(200)["volumes"][0].clone();
    assert_eq!((&shown["droplet_ids"], &shown["tags"]), (&json!([]), &json!([])));
    let reader = app.token_with(&["read"]).await;
    let shown = reader.get("/v2/volumes").await.expect(200)["volumes"][0].clone();
    assert_eq!((shown["droplet_ids"].as_array().map(Vec::len), &shown["tags"]), (Some(1), &json!(["web"])));
}

#[tokio::test]
async fn tagging_needs_the_right_to_change_the_resource_auth_5() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.create_droplet("web-1").await;
    let volume = json!({ "name": "data", "region": "nyc3", "size_gigabytes": 1 });
    let volume = admin.post("/v2/volumes", volume).await.expect(201)["volume"]["id"].clone();
    let volumes = json!({ "resources": [{ "resource_id": volume, "resource_type": "volume" }] });
    admin.post("/v2/tags", json!({ "name": "web" })).await.expect(201);
    let path = "/v2/tags/web/resources";

    let tagger = app.token_with(&["tag:create", "tag:delete"]).await;
    for body in [resources(&[id]), resources(&[7]), volumes.clone()] {
        tagger.post(path, body.clone()).await.refusal(403, "forbidden");
        tagger.delete_with(path, body).await.refusal(403, "forbidden");
    }
    let updater = app.token_with(&["droplet:update"]).await;
    updater.post(path, resources(&[id])).await.refusal(403, "forbidden");
    for (body, scope) in [(resources(&[id]), "droplet:update"), (volumes, "block_storage:update")] {
        let client = app.token_with(&["tag:create", "tag:delete", scope]).await;
        client.post(path, body.clone()).await.expect(204);
        client.delete_with(path, body).await.expect(204);
    }
}

#[tokio::test]
async fn what_names_a_tag_needs_the_right_to_it_auth_5() {
    let app = TestApp::start().await;
    let admin = app.admin();
    admin.post("/v2/droplets", droplet(json!({ "tags": ["web"] }))).await.expect(202);
    app.run_actions_to_end().await;
    let deleter = app.token_with(&["droplet:delete"]).await;
    deleter.delete("/v2/droplets?tag_name=web").await.refusal(403, "forbidden");
    let reader = app.token_with(&["droplet:read"]).await;
    reader.get("/v2/droplets?tag_name=web").await.refusal(403, "forbidden");
    let reader = app.token_with(&["droplet:read", "tag:read"]).await;
    assert_eq!(reader.get("/v2/droplets?tag_name=web").await.expect(200)["meta"]["total"], 1);
    let maker = app.token_with(&["block_storage:create"]).await;
    let volume = json!({ "name": "data", "region": "nyc3", "size_gigabytes": 1, "tags": ["web"] });
    maker.post("/v2/volumes", volume.clone()).await.refusal(403, "forbidden");
    let maker = app.token_with(&["block_storage:create", "tag:create"]).await;
    maker.post("/v2/volumes", volume).await.expect(201);
    let deleter = app.token_with(&["droplet:delete", "tag:read"]).await;
    deleter.delete("/v2/droplets?tag_name=web").await.expect(204);
}

#[tokio::test]
async fn some_droplet_actions_need_more_than_the_right_to_update_auth_5() {
    let app = TestApp::start().await;
    let id = app.admin().active_droplet("web-1").await;
    let updater = app.token_with(&["droplet:update"]).await;
    for kind in ["restore", "password_reset", "rebuild", "resize", "snapshot"] {
        let body = json!({ "type": kind, "image": 1, "size": "s-1vcpu-2gb", "name": "n" });
        let answer = updater.post(&format!("/v2/droplets/{id}/actions"), body).await;
        answer.refusal(403, "forbidden");
    }
    updater.act(id, "power_off").await.expect(201);
    app.run_actions_to_end().await;
    let reader = app.token_with(&["read"]).await;
    reader.act(id, "power_on").await.refusal(403, "forbidden");
}

#[tokio::test]
async fn a_read_only_token_reads_everything_and_changes_nothing_auth_3() {
    let app = TestApp::start().await;
    let id = app.admin().active_droplet("web-1").await;
    let reader = app.token_with(&["read"]).await;
    for operation in dewpoint_server::operations() {
        if !operation.path().starts_with("/v2") {
            continue;
        }
        let path = operation.path().replace("{droplet_id}", &id.to_string()).replace(['{', '}'], "");
        let answer = reader.send_bytes(operation.method().as_str(), &path, "{}").await;
        // How a destruction goes is for those to see who may destroy: so has it the public description.
        let is_read = operation.method() == http::Method::GET
            && operation.name() != "droplets_get_DestroyAssociatedResourcesStatus";
        assert_eq!(answer.status == 403, !is_read, "{operation:?}: {}", answer.text);
    }
    assert_eq!(app.backlog().await, 0);
}
