//! Snapshots of Droplets, and Droplets made from own images (DAC-5, ACT-9, CRE-5).

use dewpoint_engine::{MachineId, Operation, sim::Moment};
use dewpoint_testkit::{Client, TestApp};
use serde_json::{Value, json};

use crate::{droplet, each, fault, for_good, ids, with};

/// Takes a snapshot and returns its number.
async fn snapshot(app: &TestApp, droplet: u64, name: &str) -> u64 {
    let body = json!({ "type": "snapshot", "name": name });
    app.admin().post(&format!("/v2/droplets/{droplet}/actions"), body).await.expect(201);
    app.run_actions_to_end().await;
    let taken = app.admin().droplet(droplet).await["snapshot_ids"].clone();
    taken.as_array().and_then(|all| all.last()?.as_u64()).expect("a snapshot was taken")
}

async fn image(client: &Client<'_>, id: u64) -> Value {
    client.get(&format!("/v2/images/{id}")).await.expect(200)["image"].clone()
}

#[tokio::test]
async fn a_snapshot_is_an_image_as_old_as_its_action_dac_5_act_9() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.active_droplet("web-1").await;
    app.clock().advance(std::time::Duration::from_millis(90_500));
    let body = json!({ "type": "snapshot", "name": "before the change" });
    let action = admin.post(&format!("/v2/droplets/{id}/actions"), body).await.expect(201)["action"].clone();
    assert_eq!(admin.droplet(id).await["snapshot_ids"], json!([]), "nothing is there before it is whole");
    app.clock().advance(std::time::Duration::from_secs(40));
    app.run_actions_to_end().await;

    let shown = admin.droplet(id).await;
    assert_eq!(shown["status"], "active", "a live Droplet is allowed");
    let taken = ids(&json!([{ "id": shown["snapshot_ids"][0] }]))[0];
    let image = image(&admin, taken).await;
    assert_eq!(image["created_at"], action["started_at"], "ACT-9");
    let expected = json!({
        "name": "before the change", "type": "snapshot", "distribution": "Ubuntu", "slug": null, "public": false,
        "regions": ["nyc3"], "min_disk_size": 25, "status": "available", "tags": [],
    });
    for (member, value) in expected.as_object().expect("an object") {
        assert_eq!(&image[member], value, "{member}");
    }
    let listed = admin.get(&format!("/v2/droplets/{id}/snapshots")).await.expect(200);
    assert_eq!((ids(&listed["snapshots"]), &listed["meta"]["total"]), (vec![taken], &json!(1)));
    assert_eq!(admin.get(&format!("/v2/droplets/{id}/backups")).await.expect(200)["backups"], json!([]));
    let own = admin.get("/v2/images?private=true").await.expect(200);
    assert_eq!(ids(&own["images"]), [taken]);
    app.books_balance().await;
}

#[tokio::test]
async fn a_snapshot_without_a_name_has_one_and_a_bad_name_is_refused() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.active_droplet("web-1").await;
    let first = snapshot(&app, id, "").await;
    assert_eq!(image(&admin, first).await["name"], format!("web-1-{}", app.now().as_seconds()));
    let path = format!("/v2/droplets/{id}/actions");
    for name in ["a\nb".to_owned(), "n".repeat(256)] {
        admin.post(&path, json!({ "type": "snapshot", "name": name })).await.invalid();
    }
    admin.act(id, "power_off").await.expect(201);
    app.run_actions_to_end().await;
    let second = snapshot(&app, id, "off").await;
    assert_eq!(admin.droplet(id).await["snapshot_ids"], json!([first, second]), "of a stopped one too");
}

#[tokio::test]
async fn snapshots_are_seen_by_those_who_may_read_images_auth_6() {
    let app = TestApp::start().await;
    let id = app.admin().active_droplet("web-1").await;
    let taken = snapshot(&app, id, "s").await;
    let reader = app.token_with(&["droplet:read"]).await;
    assert_eq!(reader.droplet(id).await["snapshot_ids"], json!([]));
    let reader = app.token_with(&["droplet:read", "image:read"]).await;
    assert_eq!(reader.droplet(id).await["snapshot_ids"], json!([taken]));
    assert_eq!(reader.get("/v2/droplets").await.expect(200)["droplets"][0]["snapshot_ids"], json!([taken]));
    let other = app.other_account().await;
    other.get(&format!("/v2/droplets/{id}/snapshots")).await.refusal(404, "not_found");
}

#[tokio::test]
async fn snapshots_by_tag_are_one_a_droplet_act_12() {
    let app = TestApp::start().await;
    let admin = app.admin();
    for name in ["web-1", "web-2"] {
        admin.post("/v2/droplets", droplet(json!({ "name": name, "tags": ["web"] }))).await.expect(202);
    }
    app.run_actions_to_end().await;
    let body = json!({ "type": "snapshot", "name": "nightly" });
    let actions = admin.post("/v2/droplets/actions?tag_name=web", body).await.expect(201)["actions"].clone();
    assert_eq!(each(&actions, "type"), ["snapshot", "snapshot"]);
    app.run_actions_to_end().await;
    let own = admin.get("/v2/images?private=true").await.expect(200)["images"].clone();
    assert_eq!(each(&own, "name"), ["nightly", "nightly"]);
    app.books_balance().await;
}

#[tokio::test]
async fn a_droplet_is_made_from_a_snapshot_and_shows_it_for_ever_cre_5() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let first = admin.active_droplet("web-1").await;
    let taken = snapshot(&app, first, "golden").await;

    for named in [json!(taken), json!(taken.to_string())] {
        let made = admin.post("/v2/droplets", droplet(json!({ "image": named }))).await.expect(202)["droplet"].clone();
        assert_eq!((&made["image"]["id"], &made["image"]["slug"]), (&json!(taken), &json!(null)));
        app.run_actions_to_end().await;
        let id = made["id"].as_u64().expect("a number");
        let spec = app.sim().spec(MachineId(id)).await.expect("the simulator answers").expect("a machine");
        assert_eq!(spec.image.as_str(), format!("own-image-{taken}"));
        assert_eq!(admin.droplet(id).await["image"]["name"], "golden");
    }
    let regionless = with(droplet(json!({ "image": taken })), json!({ "region": null }));
    let made = admin.post("/v2/droplets", regionless).await.expect(202)["droplet"].clone();
    assert_eq!(made["region"]["slug"], "nyc3", "where its image is");
    app.run_actions_to_end().await;

    admin.delete(&format!("/v2/droplets/{first}")).await.expect(204);
    admin.delete(&format!("/v2/images/{taken}")).await.expect(204);
    app.run_actions_to_end().await;
    let shown = admin.droplet(made["id"].as_u64().expect("a number")).await;
    assert_eq!((&shown["image"]["id"], &shown["image"]["status"]), (&json!(taken), &json!("deleted")));
    app.books_balance().await;
}

#[tokio::test]
async fn an_own_image_must_be_there_fit_and_be_in_the_region_cre_5() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let big = droplet(json!({ "size": "s-1vcpu-2gb" }));
    let id = admin.post("/v2/droplets", big).await.expect(202)["droplet"]["id"].as_u64().expect("a number");
    app.run_actions_to_end().await;
    let taken = snapshot(&app, id, "golden").await;
    let refused = async |client: &Client<'_>, changes: Value| {
        client.post("/v2/droplets", droplet(with(json!({ "image": taken }), changes))).await.invalid()
    };
    assert!(refused(&admin, json!({})).await.contains("at least 50 GB"), "its disk was that large");
    let fits = json!({ "size": "s-1vcpu-2gb" });
    let elsewhere = with(fits.clone(), json!({ "region": "lon1" }));
    assert_eq!(refused(&admin, elsewhere).await, "Image is not available in this region.");
    let other = app.other_account().await;
    assert_eq!(refused(&other, fits.clone()).await, "You specified an invalid image for Droplet creation.");

    let coming = json!({ "name": "own", "url": "http://example.com/i.raw", "region": "nyc3" });
    let coming = admin.post("/v2/images", coming).await.expect(202)["image"]["id"].clone();
    let refusal = admin.post("/v2/droplets", droplet(json!({ "image": coming }))).await.invalid();
    assert!(refusal.contains("not available yet"), "{refusal}");
    app.run_actions_to_end().await;
    admin.post("/v2/droplets", droplet(json!({ "image": coming }))).await.expect(202);

    admin.delete(&format!("/v2/images/{taken}")).await.expect(204);
    assert_eq!(refused(&admin, fits).await, "You specified an invalid image for Droplet creation.");
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test]
async fn an_image_is_kept_while_a_droplet_is_made_or_built_anew_from_it() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.active_droplet("web-1").await;
    let taken = snapshot(&app, id, "golden").await;
    let path = format!("/v2/images/{taken}");
    let made = admin.post("/v2/droplets", droplet(json!({ "image": taken }))).await.expect(202)["droplet"].clone();
    admin.delete(&path).await.invalid();
    app.run_actions_to_end().await;
    assert_eq!(admin.droplet(made["id"].as_u64().expect("a number")).await["status"], "active");

    let rebuild = json!({ "type": "rebuild", "image": taken });
    for _ in 0..2 {
        // Also when the rebuild fails it lets go of the image.
        app.sim().faults().order(fault(Operation::Rebuild, Moment::Before, 1, for_good));
        admin.post(&format!("/v2/droplets/{id}/actions"), rebuild.clone()).await.expect(201);
        admin.delete(&path).await.invalid();
        app.run_actions_to_end().await;
    }
    admin.delete(&path).await.expect(204);
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test]
async fn kernels_and_neighbors_dro_10_dro_11() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let (one, two) = (admin.active_droplet("web-1").await, admin.active_droplet("web-2").await);
    let kernels = admin.get(&format!("/v2/droplets/{one}/kernels")).await.expect(200);
    assert_eq!((&kernels["kernels"], &kernels["meta"]["total"]), (&json!([]), &json!(0)));
    let beside = async |client: &Client<'_>, id: u64| client.get(&format!("/v2/droplets/{id}/neighbors")).await;
    assert_eq!(ids(&beside(&admin, one).await.expect(200)["droplets"]), [two]);
    let reports = "/v2/reports/droplet_neighbors_ids";
    assert_eq!(admin.get(reports).await.expect(200), json!({ "neighbor_ids": [[one, two]] }));
    let other = app.other_account().await;
    beside(&other, one).await.refusal(404, "not_found");
    let theirs = other.create_droplet("web-1").await;
    assert_eq!(beside(&other, theirs).await.expect(200)["droplets"], json!([]), "only one's own are told of");
    assert_eq!(other.get(reports).await.expect(200), json!({ "neighbor_ids": [] }));
}
