//! Tags (TAG-1 to TAG-4).

use dewpoint_testkit::TestApp;
use serde_json::{Value, json};

use crate::{each, resources};

async fn make(app: &TestApp, name: &str) -> Value {
    app.admin().post("/v2/tags", json!({ "name": name })).await.expect(201)["tag"].clone()
}

async fn count(app: &TestApp, tag: &str) -> Value {
    app.admin().get(&format!("/v2/tags/{tag}")).await.expect(200)["tag"]["resources"]["droplets"]["count"].clone()
}

#[tokio::test]
async fn a_tag_is_made_once_and_keeps_its_first_case_tag_1_tag_2() {
    let app = TestApp::start().await;
    for name in ["prod", "prod", "PROD", "Prod"] {
        assert_eq!(make(&app, name).await["name"], "prod", "{name}");
    }
    assert_eq!(app.admin().get("/v2/tags").await.expect(200)["meta"]["total"], 1);
    app.admin().get("/v2/tags/prod").await.expect(200);
    app.admin().get("/v2/tags/PROD").await.refusal(404, "not_found");
    app.admin().delete("/v2/tags/PROD").await.refusal(404, "not_found");
    app.admin().get("/v2/tags/prod").await.expect(200);
}

#[tokio::test]
async fn tags_have_letters_digits_and_three_signs_tag_1() {
    let app = TestApp::start().await;
    let longest = "t".repeat(255);
    for good in ["web", "env:prod", "a_b-c:9", "9", ":", &longest] {
        assert_eq!(make(&app, good).await["name"], good);
    }
    for bad in ["", " ", "a/b", "a.b", "*", "a b", "é", "a\n", &"t".repeat(256)] {
        app.admin().post("/v2/tags", json!({ "name": bad })).await.invalid();
    }
    for bad in [json!({}), json!({ "name": null }), json!({ "name": 7 }), json!({ "name": ["a"] }), json!([])] {
        app.admin().post("/v2/tags", bad).await.invalid();
    }
    for none in ["a%2Fb", "a.b", "%2A", "unknown"] {
        app.admin().get(&format!("/v2/tags/{none}")).await.refusal(404, "not_found");
        app.admin().delete(&format!("/v2/tags/{none}")).await.refusal(404, "not_found");
    }
}

#[tokio::test]
async fn tagging_twice_is_fine_and_untagging_what_is_not_tagged_too_tag_3() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.create_droplet("web-1").await;
    make(&app, "web").await;
    for _ in 0..2 {
        admin.post("/v2/tags/web/resources", resources(&[id])).await.expect(204);
    }
    assert_eq!((count(&app, "web").await, admin.droplet(id).await["tags"].clone()), (json!(1), json!(["web"])));
    for _ in 0..2 {
        admin.delete_with("/v2/tags/web/resources", resources(&[id])).await.expect(204);
    }
    assert_eq!((count(&app, "web").await, admin.droplet(id).await["tags"].clone()), (json!(0), json!([])));
}

#[tokio::test]
async fn a_resource_may_be_named_by_a_number_and_a_volume_by_its_id_tag_3() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.create_droplet("web-1").await;
    let volume = json!({ "name": "data", "region": "nyc3", "size_gigabytes": 1 });
    let volume = admin.post("/v2/volumes", volume).await.expect(201)["volume"]["id"].clone();
    make(&app, "web").await;
    let both = json!({ "resources": [
        { "resource_id": id, "resource_type": "droplet" },
        { "resource_id": volume, "resource_type": "volume" },
    ] });
    admin.post("/v2/tags/web/resources", both).await.expect(204);
    let shown = admin.get("/v2/tags/web").await.expect(200)["tag"]["resources"].clone();
    assert_eq!((&shown["count"], &shown["volumes"]["count"]), (&json!(2), &json!(1)));
    let path = format!("/v2/volumes/{}", volume.as_str().expect("an id"));
    assert_eq!(admin.get(&path).await.expect(200)["volume"]["tags"], json!(["web"]));
    admin.delete(&path).await.expect(204);
    assert_eq!(admin.get("/v2/tags/web").await.expect(200)["tag"]["resources"]["count"], 1);
}

#[tokio::test]
async fn one_resource_that_is_not_there_keeps_all_from_being_tagged_tag_3() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.create_droplet("web-1").await;
    make(&app, "web").await;
    let with = |id: Value, kind: Value| {
        let mut body = resources(&[id_of(&id)]);
        body["resources"][0]["resource_id"] = id;
        body["resources"][0]["resource_type"] = kind;
        body
    };
    fn id_of(value: &Value) -> u64 {
        value.as_u64().unwrap_or_default()
    }
    for (unknown, kind) in [
        (json!("7"), json!("droplet")),
        (json!("web-1"), json!("droplet")),
        (json!("9223372036854775808"), json!("droplet")),
        (json!(null), json!("droplet")),
        (json!("not-a-uuid"), json!("volume")),
        (json!("104"), json!("image")),
        (json!("1"), json!("database")),
    ] {
        let mut body = with(unknown.clone(), kind.clone());
        let good = resources(&[id])["resources"][0].clone();
        body["resources"].as_array_mut().expect("a list").insert(0, good);
        admin.post("/v2/tags/web/resources", body).await.refusal(404, "not_found");
    }
    for (id, kind) in
        [(json!(id), json!("car")), (json!(id), json!("")), (json!(id), json!(null)), (json!({}), json!("droplet"))]
    {
        admin.post("/v2/tags/web/resources", with(id, kind)).await.invalid();
    }
    for body in [json!({}), json!({ "resources": [] }), json!({ "resources": null }), json!({ "resources": {} })] {
        admin.post("/v2/tags/web/resources", body).await.invalid();
    }
    admin.post("/v2/tags/unknown/resources", resources(&[id])).await.refusal(404, "not_found");
    admin.post("/v2/tags/WEB/resources", resources(&[id])).await.refusal(404, "not_found");
    assert_eq!(count(&app, "web").await, 0);
}

#[tokio::test]
async fn a_deleted_tag_leaves_everything_it_was_on_tag_2() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.create_droplet("web-1").await;
    for tag in ["a", "b"] {
        make(&app, tag).await;
        admin.post(&format!("/v2/tags/{tag}/resources"), resources(&[id])).await.expect(204);
    }
    admin.delete("/v2/tags/a").await.expect(204);
    assert_eq!(admin.droplet(id).await["tags"], json!(["b"]));
    admin.get("/v2/tags/a").await.refusal(404, "not_found");
    assert_eq!(admin.get("/v2/droplets?tag_name=a").await.expect(200)["meta"]["total"], 0);
    make(&app, "a").await;
    assert_eq!(count(&app, "a").await, 0, "made anew, it is on nothing");
}

#[tokio::test]
async fn a_tag_tells_what_carries_it_by_kind_and_which_came_last_tag_4() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let tag = make(&app, "web").await;
    for kind in ["droplets", "images", "volumes", "volume_snapshots", "databases"] {
        assert_eq!(tag["resources"][kind], json!({ "count": 0 }), "{kind}");
    }
    let (first, second) = (admin.create_droplet("a").await, admin.create_droplet("b").await);
    for id in [second, first] {
        app.clock().advance(std::time::Duration::from_secs(1));
        admin.post("/v2/tags/web/resources", resources(&[id])).await.expect(204);
    }
    let resources = admin.get("/v2/tags/web").await.expect(200)["tag"]["resources"].clone();
    let last = format!("http://dew.test/v2/droplets/{first}");
    assert_eq!((&resources["count"], &resources["last_tagged_uri"]), (&json!(2), &json!(last)));
    assert_eq!(resources["droplets"], json!({ "count": 2, "last_tagged_uri": last }));
}

#[tokio::test]
async fn tags_are_listed_by_name() {
    let app = TestApp::start().await;
    for name in ["web", "API", "db"] {
        make(&app, name).await;
    }
    let body = app.admin().get("/v2/tags").await.expect(200);
    assert_eq!(each(&body["tags"], "name"), ["API", "db", "web"]);
}
