//! Custom images and the account's own: fetched, listed, renamed, transferred, deleted (IMG-*).

use dewpoint_engine::{Error as EngineError, Operation, Storage as _, sim::Moment};
use dewpoint_testkit::{Client, TestApp};
use serde_json::{Value, json};

use crate::{each, fault, for_good, ids, with};

fn custom(changes: Value) -> Value {
    let base = json!({
        "name": "nixos", "url": "https://images.example.com/nixos.qcow2.gz", "region": "nyc3",
        "distribution": "NixOS", "description": "my own", "tags": ["base-image"],
    });
    with(base, changes)
}

/// Asks for a custom image and returns its number; nothing has worked on it yet.
async fn asked_for(client: &Client<'_>, changes: Value) -> u64 {
    let body = client.post("/v2/images", custom(changes)).await.expect(202);
    body["image"]["id"].as_u64().expect("a number")
}

async fn available(app: &TestApp, changes: Value) -> u64 {
    let id = asked_for(&app.admin(), changes).await;
    app.run_actions_to_end().await;
    assert_eq!(image(&app.admin(), id).await["status"], "available");
    id
}

async fn image(client: &Client<'_>, id: u64) -> Value {
    client.get(&format!("/v2/images/{id}")).await.expect(200)["image"].clone()
}

async fn names(app: &TestApp) -> Vec<String> {
    app.sim().images().await.expect("the simulator answers").iter().map(ToString::to_string).collect()
}

fn refused(_: dewpoint_engine::MachineId) -> EngineError {
    EngineError::ImportRefused("The image has a backing file.".to_owned())
}

#[tokio::test]
async fn a_custom_image_goes_from_new_to_available_img_4() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let asked = admin.post("/v2/images", custom(json!({}))).await.expect(202)["image"].clone();
    assert_eq!(asked["status"], "NEW");
    assert_eq!((&asked["type"], &asked["slug"], &asked["public"]), (&json!("custom"), &json!(null), &json!(false)));
    assert_eq!((&asked["distribution"], &asked["tags"]), (&json!("Unknown"), &json!(["base-image"])));
    assert_eq!((&asked["min_disk_size"], &asked["size_gigabytes"]), (&json!(null), &json!(null)));
    let id = asked["id"].as_u64().expect("a number");
    assert_eq!(image(&admin, id).await, asked);

    app.run_actions_to_end().await;

    let made = image(&admin, id).await;
    assert_eq!(made["status"], "available");
    assert_eq!((&made["min_disk_size"], &made["size_gigabytes"]), (&json!(2), &json!(0.5)));
    assert_eq!((&made["regions"], &made["error_message"]), (&json!(["nyc3"]), &json!("")));
    assert_eq!(names(&app).await, [format!("own-image-{id}")]);
    let actions = admin.get(&format!("/v2/images/{id}/actions")).await.expect(200)["actions"].clone();
    assert_eq!(each(&actions, "type"), [&json!("create")]);
    assert_eq!(each(&actions, "resource_type"), [&json!("image")], "ACT-11");
}

#[tokio::test]
async fn an_import_that_is_refused_says_why_and_leaves_nothing_img_4() {
    let app = TestApp::start().await;
    let admin = app.admin();
    app.sim().faults().order(fault(Operation::Import, Moment::Before, 1, refused));
    let id = asked_for(&admin, json!({})).await;
    app.run_actions_to_end().await;
    let failed = image(&admin, id).await;
    assert_eq!(failed["status"], "deleted");
    assert_eq!(failed["error_message"], "The image has a backing file.");
    assert_eq!(admin.newest_action().await["status"], "errored");
    assert!(names(&app).await.is_empty());
    admin.delete(&format!("/v2/images/{id}")).await.expect(204);
    admin.get(&format!("/v2/images/{id}")).await.refusal(404, "not_found");

    app.sim().faults().order(fault(Operation::Import, Moment::After, 1, for_good));
    let id = asked_for(&admin, json!({})).await;
    app.run_actions_to_end().await;
    let told = image(&admin, id).await["error_message"].as_str().expect("words").to_owned();
    assert!(told.contains("could not be fetched"), "what failed on the host is not for the caller: {told}");
    assert!(names(&app).await.is_empty(), "what the engine had made is discarded");
}

#[tokio::test]
async fn a_bad_request_for_an_image_leaves_nothing_err_8() {
    let app = TestApp::start().await;
    let admin = app.admin();
    for bad in [
        json!({ "name": null }),
        json!({ "url": "ftp://example.com/a" }),
        json!({ "url": "not an address" }),
        json!({ "region": null }),
        json!({ "region": "xyz5" }),
        json!({ "region": "ams1" }),
        json!({ "tags": ["good", "not good"] }),
    ] {
        admin.post("/v2/images", custom(bad)).await.invalid();
    }
    assert_eq!((app.rows("images").await, app.rows("tags").await, app.rows("actions").await), (0, 0, 0));
}

#[tokio::test]
async fn own_images_follow_the_public_ones_and_are_listed_alone_img_1() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let public = admin.all("/v2/images", "images").await.len();
    let own =
        [available(&app, json!({ "name": "a" })).await, available(&app, json!({ "name": "b", "tags": null })).await];
    let all = Value::Array(admin.all("/v2/images", "images").await);
    assert_eq!(ids(&all)[public..], own);
    assert_eq!(ids(&admin.get("/v2/images?private=true").await.expect(200)["images"]), own);
    assert_eq!(ids(&admin.get("/v2/images?tag_name=base-image").await.expect(200)["images"]), own[..1]);
    assert_eq!(admin.get("/v2/images?type=distribution&private=true").await.expect(200)["meta"]["total"], 0);
    let page = admin.get(&format!("/v2/images?per_page=1&page={}", public + 2)).await.expect(200);
    assert_eq!((ids(&page["images"]), &page["meta"]["total"]), (vec![own[1]], &json!(public + 2)));

    let other = app.other_account().await;
    assert_eq!(other.get("/v2/images?private=true").await.expect(200)["meta"]["total"], 0);
    for path in [format!("/v2/images/{}", own[0]), format!("/v2/images/{}/actions", own[0])] {
        other.get(&path).await.refusal(404, "not_found");
    }
    other.delete(&format!("/v2/images/{}", own[0])).await.refusal(404, "not_found");
}

#[tokio::test]
async fn an_own_image_is_renamed_and_a_public_one_is_not_img_5() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let path = format!("/v2/images/{}", available(&app, json!({})).await);
    let body = json!({ "name": "better", "distribution": "debian", "description": "" });
    let changed = admin.put(&path, body).await.expect(200)["image"].clone();
    assert_eq!(
        (&changed["name"], &changed["distribution"], &changed["description"]),
        (&json!("better"), &json!("Debian"), &json!(""))
    );
    assert_eq!(admin.get(&path).await.expect(200)["image"], changed);
    assert_eq!(admin.put(&path, json!({})).await.expect(200)["image"], changed, "what is left out stays");
    admin.put("/v2/images/ubuntu-22-04-x64", json!({ "name": "x" })).await.refusal(403, "forbidden");
    admin.put("/v2/images/299999999", json!({ "name": "x" })).await.refusal(404, "not_found");
}

#[tokio::test]
async fn a_deleted_image_is_gone_and_says_so_when_deleted_again_img_6_err_5() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = available(&app, json!({})).await;
    let path = format!("/v2/images/{id}");
    admin.delete(&path).await.expect(204);
    admin.get(&path).await.refusal(404, "not_found");
    assert_eq!(admin.get("/v2/images?private=true").await.expect(200)["meta"]["total"], 0);
    assert_eq!(admin.delete(&path).await.invalid(), "Image Can not delete an already deleted image.");
    app.run_actions_to_end().await;
    assert!(names(&app).await.is_empty());
    assert_eq!(admin.get("/v2/tags/base-image").await.expect(200)["tag"]["resources"]["images"]["count"], 0);
    admin.delete("/v2/images/299999999").await.refusal(404, "not_found");
    admin.delete("/v2/images/debian-12-x64").await.refusal(403, "forbidden");
}

#[tokio::test]
async fn an_image_deleted_while_it_is_fetched_leaves_nothing() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = asked_for(&admin, json!({})).await;
    admin.delete(&format!("/v2/images/{id}")).await.expect(204);
    app.run_actions_to_end().await;
    assert_eq!(app.backlog().await, 0);
    assert!(names(&app).await.is_empty());
    admin.get(&format!("/v2/images/{id}")).await.refusal(404, "not_found");
}

#[tokio::test]
async fn an_image_is_transferred_region_by_region_img_7_act_10() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = available(&app, json!({})).await;
    let path = format!("/v2/images/{id}/actions");
    let asked = admin.post(&path, json!({ "type": "transfer", "region": "LON1" })).await.expect(201);
    assert_eq!((&asked["type"], &asked["status"]), (&json!("transfer"), &json!("in-progress")));
    assert_eq!(asked["action"]["id"], asked["id"], "flat, and under `action`");
    assert_eq!((&asked["resource_id"], &asked["region_slug"]), (&json!(id), &json!("lon1")));
    app.run_actions_to_end().await;
    assert_eq!(image(&admin, id).await["regions"], json!(["nyc3", "lon1"]));
    let one = admin.get(&format!("{path}/{}", asked["id"])).await.expect(200);
    assert_eq!((&one["status"], &one["action"]["status"]), (&json!("completed"), &json!("completed")));
    assert_eq!(admin.action(one["id"].as_u64().expect("a number")).await["type"], "transfer", "ACT-1");

    for bad in [
        json!({ "type": "transfer", "region": "lon1" }),
        json!({ "type": "transfer" }),
        json!({ "type": "transfer", "region": "xyz5" }),
        json!({ "type": "convert" }),
        json!({ "type": "power_off" }),
        json!({}),
    ] {
        admin.post(&path, bad).await.invalid();
    }
    admin.post("/v2/images/299999999/actions", json!({})).await.refusal(404, "not_found");
}

#[tokio::test]
async fn an_image_that_is_on_its_way_is_not_transferred() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = asked_for(&admin, json!({})).await;
    admin.post(&format!("/v2/images/{id}/actions"), json!({ "type": "transfer", "region": "lon1" })).await.invalid();
}

#[tokio::test]
async fn tags_are_put_on_images_tag_3() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = available(&app, json!({ "tags": [] })).await;
    admin.post("/v2/tags", json!({ "name": "golden" })).await.expect(201);
    let body = json!({ "resources": [{ "resource_id": id.to_string(), "resource_type": "image" }] });
    admin.post("/v2/tags/golden/resources", body.clone()).await.expect(204);
    assert_eq!(image(&admin, id).await["tags"], json!(["golden"]));
    let reader = app.token_with(&["image:read"]).await;
    assert_eq!(image(&reader, id).await["tags"], json!([]), "AUTH-6");
    admin.delete_with("/v2/tags/golden/resources", body).await.expect(204);
    assert_eq!(image(&admin, id).await["tags"], json!([]));
    let writer = app.token_with(&["image:create"]).await;
    writer.post("/v2/images", custom(json!({}))).await.refusal(403, "forbidden");
    writer.post("/v2/images", custom(json!({ "tags": null }))).await.expect(202);
}
