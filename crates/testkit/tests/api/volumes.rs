//! Volumes: made, listed, deleted (VOL-1 to VOL-4, VOL-8, VOL-9).

use dewpoint_engine::{Operation, sim::Moment};
use dewpoint_testkit::TestApp;
use serde_json::json;

use crate::{droplet, each, fault, for_good, volume};

#[tokio::test]
async fn a_volume_reads_back_as_it_was_made_vol_3_vol_4() {
    let app = TestApp::start().await;
    let body = volume(json!({
        "region": "NYC3", "description": "for the database", "filesystem_type": "ext4", "filesystem_label": "sixteen-letters-",
        "tags": ["db"], "snapshot_id": "",
    }));
    let made = app.admin().post("/v2/volumes", body).await.expect(201)["volume"].clone();
    assert_eq!(
        (&made["name"], &made["size_gigabytes"], &made["droplet_ids"]),
        (&json!("data"), &json!(10), &json!([]))
    );
    assert_eq!((&made["filesystem_type"], &made["filesystem_label"]), (&json!("ext4"), &json!("sixteen-letters-")));
    assert_eq!(
        (&made["region"]["slug"], &made["tags"]),
        (&json!("nyc3"), &json!(["db"])),
        "a whole region: VOL-4, PRO-9"
    );
    let path = format!("/v2/volumes/{}", made["id"].as_str().expect("an id"));
    assert_eq!(app.admin().get(&path).await.expect(200)["volume"], made);
    for none in ["/v2/volumes/7", "/v2/volumes/00000000-0000-0000-0000-000000000000", "/v2/volumes/data"] {
        app.admin().get(none).await.refusal(404, "not_found");
        app.admin().delete(none).await.refusal(404, "not_found");
    }
}

#[tokio::test]
async fn a_name_is_taken_once_in_a_region_vol_1() {
    let app = TestApp::start().await;
    let admin = app.admin();
    admin.post("/v2/volumes", volume(json!({}))).await.expect(201);
    let answer = admin.post("/v2/volumes", volume(json!({ "size_gigabytes": 5, "tags": ["new"] }))).await;
    assert!(answer.refusal(409, "conflict").contains("already exists"));
    assert_eq!(answer.header("x-should-retry"), "false", "ERR-10");
    assert_eq!(app.rows("tags").await, 0, "ERR-8");
    admin.post("/v2/volumes", volume(json!({ "region": "fra1" }))).await.expect(201);
    app.other_account().await.post("/v2/volumes", volume(json!({}))).await.expect(201);
}

#[tokio::test]
async fn what_cannot_be_a_volume_is_refused_vol_1_vol_2_vol_3() {
    let app = TestApp::start().await;
    let bad = [
        json!({ "name": "Data" }),
        json!({ "name": "1data" }),
        json!({ "name": "da_ta" }),
        json!({ "name": "a b" }),
        json!({ "name": "" }),
        json!({ "name": "v".repeat(65) }),
        json!({ "name": 7 }),
        json!({ "size_gigabytes": 0 }),
        json!({ "size_gigabytes": -1 }),
        json!({ "size_gigabytes": 16_385 }),
        json!({ "size_gigabytes": 1.5 }),
        json!({ "size_gigabytes": "10" }),
        json!({ "size_gigabytes": 9_223_372_036_854_775_808_u64 }),
        json!({ "region": "foo" }),
        json!({ "region": "ams1" }),
        json!({ "region": "" }),
        json!({ "filesystem_type": "btrfs" }),
        json!({ "filesystem_label": "label" }),
        json!({ "filesystem_type": "ext4", "filesystem_label": "seventeen-letters" }),
        json!({ "filesystem_type": "xfs", "filesystem_label": "thirteen-char" }),
        json!({ "filesystem_type": "xfs", "filesystem_label": "éééééééé" }),
        json!({ "tags": ["not good"] }),
        json!({ "snapshot_id": "no-such" }),
    ];
    for changes in bad {
        app.admin().post("/v2/volumes", volume(changes)).await.invalid();
    }
    for missing in ["name", "region", "size_gigabytes"] {
        let mut body = volume(json!({}));
        body[missing] = json!(null);
        app.admin().post("/v2/volumes", body).await.invalid();
    }
    assert_eq!((app.rows("volumes").await, app.rows("tags").await), (0, 0));
}

#[tokio::test]
async fn volumes_are_listed_and_deleted_by_name_and_region_vol_8() {
    let app = TestApp::start().await;
    let admin = app.admin();
    for (name, region) in [("a", "nyc3"), ("b", "nyc3"), ("a", "fra1")] {
        admin.post("/v2/volumes", volume(json!({ "name": name, "region": region }))).await.expect(201);
        app.clock().advance(std::time::Duration::from_secs(1));
    }
    let names = async |query: &str| {
        let body = admin.get(&format!("/v2/volumes{query}")).await.expect(200);
        each(&body["volumes"], "name")
            .into_iter()
            .map(|name| name.as_str().expect("text").to_owned())
            .collect::<String>()
    };
    assert_eq!(names("").await, "aba", "oldest first");
    assert_eq!((names("?region=NYC3").await, names("?name=a").await), ("ab".into(), "aa".into()));
    assert_eq!((names("?name=a&region=fra1").await, names("?name=A").await), ("a".into(), String::new()));
    for incomplete in ["", "?name=a", "?region=nyc3", "?name=&region=nyc3"] {
        admin.delete(&format!("/v2/volumes{incomplete}")).await.invalid();
    }
    admin.delete("/v2/volumes?name=a&region=NYC3").await.expect(204);
    admin.delete("/v2/volumes?name=a&region=nyc3").await.refusal(404, "not_found");
    assert_eq!(names("").await, "ba");
}

#[tokio::test]
async fn an_attached_volume_is_not_deleted_vol_9() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.post("/v2/volumes", volume(json!({}))).await.expect(201)["volume"]["id"].clone();
    let made = admin.post("/v2/droplets", droplet(json!({ "volumes": [id] }))).await.expect(202)["droplet"].clone();
    app.run_actions_to_end().await;
    let path = format!("/v2/volumes/{}", id.as_str().expect("an id"));
    for path in [path.as_str(), "/v2/volumes?name=data&region=nyc3"] {
        let answer = admin.delete(path).await;
        assert_eq!(answer.refusal(409, "conflict"), "attached volume cannot be deleted");
        assert_eq!(answer.header("x-should-retry"), "false");
    }
    admin.delete(&format!("/v2/droplets/{}", made["id"])).await.expect(204);
    admin.delete(&path).await.expect(204);
    admin.get(&path).await.refusal(404, "not_found");
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test]
async fn a_failed_create_gives_its_volumes_back() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.post("/v2/volumes", volume(json!({}))).await.expect(201)["volume"]["id"].clone();
    admin.post("/v2/droplets", droplet(json!({ "volumes": [id] }))).await.expect(202);
    app.sim().faults().order(fault(Operation::Ensure, Moment::Before, 1, for_good));
    app.run_actions_to_end().await;
    let shown = admin.get(&format!("/v2/volumes/{}", id.as_str().expect("an id"))).await.expect(200);
    assert_eq!(shown["volume"]["droplet_ids"], json!([]));
    app.books_balance().await;
}

#[tokio::test]
async fn the_volume_limit_holds() {
    let app = TestApp::start_with(|setup| setup.control.volume_limit = 1).await;
    app.admin().post("/v2/volumes", volume(json!({}))).await.expect(201);
    let message = app.admin().post("/v2/volumes", volume(json!({ "name": "more" }))).await.invalid();
    assert!(message.contains("limit"), "{message}");
}
