//! Projects and what is in them (PRJ-1).

use dewpoint_testkit::{Answer, Client, TestApp};
use serde_json::{Value, json};

use crate::{each, volume_id, with};

fn project(changes: Value) -> Value {
    with(json!({ "name": "web", "purpose": "Service or API" }), changes)
}

async fn made(client: &Client<'_>, changes: Value) -> String {
    let made = client.post("/v2/projects", project(changes)).await.expect(201);
    made["project"]["id"].as_str().expect("an id").to_owned()
}

async fn assign(client: &Client<'_>, to: &str, urns: Value) -> Answer {
    client.post(&format!("/v2/projects/{to}/resources"), json!({ "resources": urns })).await
}

async fn urns(client: &Client<'_>, of: &str) -> Vec<String> {
    let mut found: Vec<String> = client
        .all(&format!("/v2/projects/{of}/resources"), "resources")
        .await
        .iter()
        .map(|one| one["urn"].as_str().expect("a text").to_owned())
        .collect();
    found.sort();
    found
}

async fn patch(client: &Client<'_>, which: &str, body: Value) -> Answer {
    client.send_bytes("PATCH", &format!("/v2/projects/{which}"), body.to_string()).await
}

#[tokio::test]
async fn there_is_always_a_default_project_and_all_is_in_it() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let droplet = format!("do:droplet:{}", admin.active_droplet("web-1").await);
    let volume = format!("do:volume:{}", volume_id(&admin, json!({})).await);
    let default = admin.get("/v2/projects/default").await.expect(200)["project"].clone();
    assert_eq!((&default["is_default"], &default["environment"]), (&json!(true), &json!("Development")));
    let id = default["id"].as_str().expect("an id");
    assert_eq!(admin.get(&format!("/v2/projects/{id}")).await.expect(200)["project"], default);
    let listed = admin.get("/v2/projects").await.expect(200);
    assert_eq!((&listed["projects"], &listed["meta"]["total"]), (&json!([default]), &json!(1)));
    for of in ["default", id] {
        assert_eq!(urns(&admin, of).await, [droplet.clone(), volume.clone()]);
    }
    let first = admin.get("/v2/projects/default/resources?per_page=1").await.expect(200)["resources"][0].clone();
    let self_link = format!("http://dew.test/v2/droplets/{}", droplet.trim_start_matches("do:droplet:"));
    assert_eq!((&first["status"], &first["links"]["self"]), (&json!("ok"), &json!(self_link)));
    let reader = app.token_with(&["project:read", "block_storage:read"]).await;
    assert_eq!(urns(&reader, "default").await, [volume], "only what the token may see");
    app.other_account().await.get(&format!("/v2/projects/{id}")).await.refusal(404, "not_found");
    admin.delete(&format!("/v2/projects/{id}")).await.refusal(412, "precondition_failed");
}

#[tokio::test]
async fn projects_are_made_changed_and_deleted() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = made(&admin, json!({ "environment": "PRODUCTION", "description": "d" })).await;
    let path = format!("/v2/projects/{id}");
    let seen = admin.get(&path).await.expect(200)["project"].clone();
    assert_eq!(
        (&seen["environment"], &seen["purpose"], &seen["is_default"], &seen["description"]),
        (&json!("Production"), &json!("Service or API"), &json!(false), &json!("d"))
    );
    assert_eq!(seen["owner_uuid"], admin.get("/v2/account").await.expect(200)["account"]["uuid"]);
    admin.post("/v2/projects", project(json!({}))).await.refusal(409, "conflict");
    app.other_account().await.post("/v2/projects", project(json!({}))).await.expect(201);

    let changed = patch(&admin, &id, json!({ "purpose": "my own", "environment": "staging" })).await.expect(200);
    assert_eq!(changed["project"]["purpose"], "Other: my own");
    assert_eq!((&changed["project"]["environment"], &changed["project"]["name"]), (&json!("Staging"), &json!("web")));
    let whole = json!({
        "name": "shop", "description": "", "purpose": "IoT", "environment": "development", "is_default": false,
    });
    assert_eq!(admin.put(&path, whole.clone()).await.expect(200)["project"]["name"], "shop");
    for member in ["name", "description", "purpose", "environment", "is_default"] {
        let mut body = whole.clone();
        body[member] = json!(null);
        admin.put(&path, body).await.invalid();
    }
    for bad in [
        json!({ "name": "" }),
        json!({ "name": "n".repeat(176) }),
        json!({ "description": "d".repeat(256) }),
        json!({ "purpose": "" }),
        json!({ "environment": "moon" }),
        json!({ "is_default": "yes" }),
    ] {
        patch(&admin, &id, bad.clone()).await.invalid();
        admin.post("/v2/projects", project(with(json!({ "name": "other" }), bad))).await.invalid();
    }
    for missing in ["name", "purpose"] {
        admin.post("/v2/projects", project(json!({ missing: null }))).await.invalid();
    }
    patch(&admin, &id, json!({ "name": "Default" })).await.refusal(409, "conflict");
    admin.delete(&path).await.expect(204);
    for none in [path.as_str(), "/v2/projects/00000000-0000-4000-8000-000000000000", "/v2/projects/7"] {
        admin.get(none).await.refusal(404, "not_found");
        admin.delete(none).await.refusal(404, "not_found");
    }
}

#[tokio::test]
async fn resources_are_put_into_projects_each_with_its_own_outcome() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let number = admin.active_droplet("web-1").await;
    let volume = volume_id(&admin, json!({})).await;
    app.run_actions_to_end().await;
    let (droplet, disk) = (format!("do:droplet:{number}"), format!("do:volume:{volume}"));
    let theirs = format!("do:droplet:{}", app.other_account().await.active_droplet("theirs").await);
    let (id, other) = (made(&admin, json!({})).await, made(&admin, json!({ "name": "other" })).await);

    let wanted = json!([droplet, disk, theirs, "do:floatingip:1.2.3.4", "do:droplet:07", "do:volume:x", "do:space:"]);
    let body = assign(&admin, &id, wanted).await.expect(200);
    let not = "not_found";
    assert_eq!(each(&body["resources"], "status"), ["assigned", "assigned", not, not, not, not, not]);
    assert_eq!(body["resources"][2]["links"], json!({}), "no address of what is not there");
    for nonsense in ["nonsense", "", "do:moon:1"] {
        let refused = assign(&admin, &other, json!([droplet, nonsense])).await.invalid();
        assert!(refused.contains("URNs"), "{refused}");
        let nowhere = "2f85be8a-43b9-4ca3-ba6e-2ed871caace0";
        assign(&admin, nowhere, json!([nonsense])).await.refusal(404, "not_found");
    }
    assert_eq!(urns(&admin, &id).await, [droplet.clone(), disk.clone()]);
    assert_eq!(urns(&admin, "default").await, [""; 0]);
    let again = assign(&admin, &id, json!([droplet])).await.expect(200);
    assert_eq!(each(&again["resources"], "status"), ["already_assigned"]);
    assign(&admin, &other, json!([disk])).await.expect(200);
    assert_eq!((urns(&admin, &id).await, urns(&admin, &other).await), (vec![droplet.clone()], vec![disk.clone()]));
    admin.delete(&format!("/v2/projects/{id}")).await.refusal(412, "precondition_failed");
    let blind = app.token_with(&["project:assign_resource"]).await;
    let unseen = assign(&blind, &id, json!([disk])).await.expect(200);
    assert_eq!(each(&unseen["resources"], "status"), [not], "AUTH-5");
    let back = assign(&admin, "default", json!([disk])).await.expect(200);
    assert_eq!(each(&back["resources"], "status"), ["assigned"]);
    assert_eq!(urns(&admin, "default").await, std::slice::from_ref(&disk));
    app.books_balance().await;

    // What goes away leaves its project, so that this can go as well.
    assign(&admin, &other, json!([disk])).await.expect(200);
    admin.delete(&format!("/v2/droplets/{number}")).await.expect(204);
    admin.delete(&format!("/v2/volumes/{volume}")).await.expect(204);
    app.run_actions_to_end().await;
    app.books_balance().await;
    for empty in [id, other] {
        admin.delete(&format!("/v2/projects/{empty}")).await.expect(204);
    }
}

#[tokio::test]
async fn another_project_can_be_the_default_and_nothing_moves_by_that() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let before = format!("do:droplet:{}", admin.active_droplet("web-1").await);
    let former =
        admin.get("/v2/projects/default").await.expect(200)["project"]["id"].as_str().expect("an id").to_owned();
    patch(&admin, "default", json!({ "is_default": false })).await.invalid();
    let id = made(&admin, json!({ "is_default": true })).await;
    assert_eq!(admin.get("/v2/projects/default").await.expect(200)["project"]["id"], json!(id));
    let after = format!("do:droplet:{}", admin.active_droplet("web-2").await);
    assert_eq!(
        (urns(&admin, &former).await, urns(&admin, "default").await),
        (vec![before.clone()], vec![after.clone()])
    );
    patch(&admin, &former, json!({ "is_default": true })).await.expect(200);
    assert_eq!((urns(&admin, "default").await, urns(&admin, &id).await), (vec![before], vec![after]));
    let defaults = admin.all("/v2/projects", "projects").await;
    assert_eq!(defaults.iter().filter(|one| one["is_default"] == true).count(), 1);
    app.books_balance().await;
}

#[tokio::test]
async fn reading_projects_writes_nothing_once_the_default_one_is_there() {
    let app = TestApp::start().await;
    let paths = ["/v2/projects", "/v2/projects/default", "/v2/projects/default/resources"];
    let first = app.admin().get(paths[1]).await.expect(200)["project"]["id"].clone();
    let by_id = format!("/v2/projects/{}", first.as_str().expect("an id"));
    let before = app.store().commits();
    for path in paths.into_iter().chain([by_id.as_str()]) {
        app.admin().get(path).await.expect(200);
    }
    assert_eq!(app.store().commits(), before);
}
