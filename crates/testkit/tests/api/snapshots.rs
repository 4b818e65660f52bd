//! Snapshots of Droplets and of volumes, as one list (SNP-1, SNP-2).

use dewpoint_engine::Storage as _;
use dewpoint_testkit::{Client, TestApp};
use serde_json::{Value, json};

use crate::each;

/// A snapshot of a Droplet: the Droplet's number, and the snapshot's id as text.
async fn of_droplet(app: &TestApp, name: &str) -> (u64, String) {
    let droplet = app.admin().active_droplet(name).await;
    let body = json!({ "type": "snapshot", "name": name });
    app.admin().post(&format!("/v2/droplets/{droplet}/actions"), body).await.expect(201);
    app.run_actions_to_end().await;
    (droplet, app.admin().droplet(droplet).await["snapshot_ids"][0].to_string())
}

/// A snapshot of a volume: the volume's id, and the snapshot's.
async fn of_volume(app: &TestApp, name: &str) -> (String, String) {
    let admin = app.admin();
    let body = json!({ "name": name, "region": "nyc3", "size_gigabytes": 3 });
    let volume = admin.post("/v2/volumes", body).await.expect(201)["volume"]["id"].as_str().expect("text").to_owned();
    let made = admin.post(&format!("/v2/volumes/{volume}/snapshots"), json!({ "name": name })).await.expect(201);
    app.run_actions_to_end().await;
    (volume, made["snapshot"]["id"].as_str().expect("text").to_owned())
}

async fn listed(client: &Client<'_>, query: &str) -> Vec<String> {
    let body = client.get(&format!("/v2/snapshots{query}")).await.expect(200);
    each(&body["snapshots"], "id").into_iter().map(|id| id.as_str().expect("text").to_owned()).collect()
}

#[tokio::test]
async fn snapshots_of_both_kinds_are_one_list_with_text_ids_snp_1() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let (droplet, image) = of_droplet(&app, "web").await;
    let (volume, copy) = of_volume(&app, "data").await;
    assert_eq!(listed(&admin, "").await, [image.clone(), copy.clone()]);
    assert_eq!(listed(&admin, "?resource_type=droplet").await, [image.as_str()]);
    assert_eq!(listed(&admin, "?resource_type=volume").await, [copy.as_str()]);
    admin.get("/v2/snapshots?resource_type=image").await.invalid();

    let first = admin.get(&format!("/v2/snapshots/{image}")).await.expect(200)["snapshot"].clone();
    assert_eq!(
        (&first["id"], &first["resource_id"], &first["resource_type"]),
        (&json!(image), &json!(droplet.to_string()), &json!("droplet"))
    );
    assert_eq!((&first["min_disk_size"], &first["regions"]), (&json!(25), &json!(["nyc3"])));
    let second = admin.get(&format!("/v2/snapshots/{copy}")).await.expect(200)["snapshot"].clone();
    assert_eq!((&second["resource_id"], &second["resource_type"]), (&json!(volume), &json!("volume")));
    assert_eq!((&second["min_disk_size"], &second["size_gigabytes"]), (&json!(3), &json!(0.3)));
}

#[tokio::test]
async fn pages_go_from_one_kind_to_the_other_pag_3() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let mut all = Vec::new();
    for name in ["a", "b", "c"] {
        all.push(of_droplet(&app, name).await.1);
    }
    for name in ["d", "e", "f"] {
        all.push(of_volume(&app, name).await.1);
    }
    for per_page in 1..=7 {
        let mut found = Vec::new();
        for page in 1..=6_usize.div_ceil(per_page) + 1 {
            let body = admin.get(&format!("/v2/snapshots?per_page={per_page}&page={page}")).await.expect(200);
            assert_eq!(body["meta"]["total"], 6);
            found.extend(each(&body["snapshots"], "id").into_iter().cloned());
        }
        assert_eq!(found, all.iter().map(|id| json!(id)).collect::<Vec<Value>>(), "{per_page} a page");
    }
}

#[tokio::test]
async fn a_snapshot_is_deleted_by_either_id() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let (droplet, image) = of_droplet(&app, "web").await;
    let (volume, copy) = of_volume(&app, "data").await;
    let other = app.other_account().await;
    for id in [&image, &copy] {
        let path = format!("/v2/snapshots/{id}");
        other.get(&path).await.refusal(404, "not_found");
        other.delete(&path).await.refusal(404, "not_found");
        admin.delete(&path).await.expect(204);
        admin.get(&path).await.refusal(404, "not_found");
        admin.delete(&path).await.refusal(404, "not_found");
    }
    app.run_actions_to_end().await;
    assert!(app.sim().images().await.expect("the simulator answers").is_empty());
    assert_eq!(admin.droplet(droplet).await["snapshot_ids"], json!([]));
    admin.get(&format!("/v2/volumes/{volume}")).await.expect(200);
    app.books_balance().await;
}

#[tokio::test]
async fn what_is_no_snapshot_is_not_found_among_them_snp_2() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let (_, image) = of_droplet(&app, "web").await;
    app.turn_into_backup(image.parse().expect("a number")).await;
    assert!(listed(&admin, "").await.is_empty(), "a backup is none");
    admin.get(&format!("/v2/snapshots/{image}")).await.refusal(404, "not_found");
    let custom = json!({ "name": "own", "url": "http://example.com/i.raw", "region": "nyc3" });
    let custom = admin.post("/v2/images", custom).await.expect(202)["image"]["id"].clone();
    for unknown in [custom.to_string(), "1".to_owned(), "760e09ef-dc84-11e8-981e-3cfdfeaae000".to_owned()] {
        admin.get(&format!("/v2/snapshots/{unknown}")).await.refusal(404, "not_found");
        admin.delete(&format!("/v2/snapshots/{unknown}")).await.refusal(404, "not_found");
    }
    admin.get("/v2/snapshots/ubuntu").await.refusal(400, "bad_request");
    admin.delete("/v2/snapshots/ubuntu").await.refusal(400, "bad_request");
}
