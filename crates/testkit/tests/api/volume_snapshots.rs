//! Snapshots of volumes, and volumes made from them (VOL-2, VOL-9, SNP-1, TAG-3, TAG-4).

use std::time::Duration;

use dewpoint_control::actions::Point;
use dewpoint_engine::{
    Operation, Storage as _,
    sim::{Delays, Moment},
};
use dewpoint_testkit::{Answer, Client, TestApp};
use serde_json::{Value, json};

use crate::{each, fault, for_good, volume_id, with};

async fn snapshot(client: &Client<'_>, volume: &str, changes: Value) -> Answer {
    client.post(&format!("/v2/volumes/{volume}/snapshots"), with(json!({ "name": "before" }), changes)).await
}

async fn snapshot_id(client: &Client<'_>, volume: &str) -> String {
    let made = snapshot(client, volume, json!({})).await.expect(201);
    made["snapshot"]["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_snapshot_is_there_at_once_and_outlives_its_volume_vol_9() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let volume = volume_id(&admin, json!({ "filesystem_type": "ext4" })).await;
    let made = snapshot(&admin, &volume, json!({ "tags": ["db"] })).await.expect(201)["snapshot"].clone();
    let expected = json!({
        "id": made["id"], "name": "before", "created_at": "2026-11-21T10:00:00Z", "regions": ["nyc3"],
        "resource_id": volume, "resource_type": "volume", "min_disk_size": 10, "size_gigabytes": 0.0, "tags": ["db"],
    });
    assert_eq!(made, expected);
    assert_eq!(admin.newest_action().await["type"], "snapshot");
    snapshot(&admin, &volume, json!({})).await.invalid();
    app.run_actions_to_end().await;

    let path = format!("/v2/volumes/snapshots/{}", made["id"].as_str().expect("an id"));
    let taken = admin.get(&path).await.expect(200)["snapshot"].clone();
    assert_eq!(taken, with(expected, json!({ "size_gigabytes": 1.0 })));
    let listed = admin.get(&format!("/v2/volumes/{volume}/snapshots")).await.expect(200);
    assert_eq!((&listed["snapshots"], &listed["meta"]["total"]), (&json!([taken]), &json!(1)));
    app.books_balance().await;

    admin.delete(&format!("/v2/volumes/{volume}")).await.expect(204);
    app.run_actions_to_end().await;
    admin.get(&path).await.expect(200);
    app.books_balance().await;
    app.other_account().await.get(&path).await.refusal(404, "not_found");
    app.other_account().await.delete(&path).await.refusal(404, "not_found");
    admin.delete(&path).await.expect(204);
    admin.get(&path).await.refusal(404, "not_found");
    admin.delete(&path).await.refusal(404, "not_found");
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test]
async fn a_volume_made_from_a_snapshot_has_its_region_size_and_file_system_vol_2() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let volume = volume_id(&admin, json!({ "filesystem_type": "xfs", "filesystem_label": "logs" })).await;
    let snapshot = snapshot_id(&admin, &volume).await;
    let make = async |name: &str, changes: Value| {
        admin.post("/v2/volumes", with(json!({ "name": name, "snapshot_id": snapshot }), changes)).await
    };
    // Neither the volume nor its snapshot is made yet, and the copy's own copy begins as well.
    let copy = make("copy", json!({ "size_gigabytes": 0 })).await;
    copy.invalid();
    let copy = make("copy", json!({})).await.expect(201)["volume"].clone();
    assert_eq!(
        (&copy["region"]["slug"], &copy["size_gigabytes"], &copy["filesystem_type"], &copy["filesystem_label"]),
        (&json!("nyc3"), &json!(10), &json!("xfs"), &json!("logs"))
    );
    let second = snapshot_id(&admin, copy["id"].as_str().expect("an id")).await;
    let body = json!({ "name": "copy-2", "snapshot_id": second, "size_gigabytes": 30, "region": "nyc3" });
    assert_eq!(admin.post("/v2/volumes", body).await.expect(201)["volume"]["size_gigabytes"], 30);
    let message = admin.delete(&format!("/v2/volumes/snapshots/{snapshot}")).await.invalid();
    assert!(message.contains("being made"), "{message}");
    make("small", json!({ "size_gigabytes": 9 })).await.invalid();
    make("elsewhere", json!({ "region": "fra1" })).await.invalid();
    let stranger = app.other_account().await;
    stranger.post("/v2/volumes", json!({ "name": "v", "snapshot_id": snapshot })).await.invalid();
    for unknown in ["00000000-0000-4000-8000-000000000000", "7"] {
        admin.post("/v2/volumes", json!({ "name": "v", "snapshot_id": unknown })).await.invalid();
    }

    app.run_actions_to_end().await;
    assert!(
        each(&admin.get("/v2/actions").await.expect(200)["actions"], "status").iter().all(|one| *one == "completed")
    );
    app.books_balance().await;
    admin.delete(&format!("/v2/volumes/snapshots/{snapshot}")).await.expect(204);
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_taken_goes_and_its_action_says_why() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let volume = volume_id(&admin, json!({})).await;
    app.run_actions_to_end().await;
    app.sim().faults().order(fault(Operation::SnapshotVolume, Moment::After, 1, for_good));
    let id = snapshot_id(&admin, &volume).await;
    let action = admin.newest_action().await["id"].as_u64().expect("a number");
    app.run_actions_to_end().await;
    assert!(admin.action_story(action).await["reason"].as_str().is_some_and(|why| why.contains("none is left")));
    admin.get(&format!("/v2/volumes/snapshots/{id}")).await.refusal(404, "not_found");
    app.books_balance().await;
}

#[tokio::test]
async fn a_snapshot_deleted_while_it_is_taken_leaves_nothing() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let volume = volume_id(&admin, json!({})).await;
    let id = snapshot_id(&admin, &volume).await;
    admin.delete(&format!("/v2/volumes/snapshots/{id}")).await.expect(204);
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test]
async fn what_cannot_be_a_snapshot_is_refused() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let volume = volume_id(&admin, json!({})).await;
    for bad in [
        json!({ "name": null }),
        json!({ "name": "" }),
        json!({ "name": "n".repeat(256) }),
        json!({ "tags": ["no good"] }),
    ] {
        snapshot(&admin, &volume, bad).await.invalid();
    }
    snapshot(&admin, "00000000-0000-4000-8000-000000000000", json!({})).await.refusal(404, "not_found");
    snapshot(&app.other_account().await, &volume, json!({})).await.refusal(404, "not_found");
    assert_eq!((app.rows("volume_snapshots").await, app.rows("tags").await), (0, 0), "ERR-8");
    let maker = app.token_with(&["block_storage_snapshot:create"]).await;
    snapshot(&maker, &volume, json!({ "tags": ["db"] })).await.refusal(403, "forbidden");
    let maker = app.token_with(&["block_storage:create"]).await;
    let from = json!({ "name": "v", "snapshot_id": "00000000-0000-4000-8000-000000000000" });
    maker.post("/v2/volumes", from).await.refusal(403, "forbidden");
}

#[tokio::test]
async fn snapshots_of_volumes_carry_tags_tag_3_tag_4() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let volume = volume_id(&admin, json!({})).await;
    let id = snapshot_id(&admin, &volume).await;
    admin.post("/v2/tags", json!({ "name": "keep" })).await.expect(201);
    let body = json!({ "resources": [{ "resource_id": id, "resource_type": "volume_snapshot" }] });
    let unknown = json!({ "resources": [{ "resource_id": "7", "resource_type": "volume_snapshot" }] });
    admin.post("/v2/tags/keep/resources", unknown).await.refusal(404, "not_found");
    app.other_account().await.post("/v2/tags", json!({ "name": "keep" })).await.expect(201);
    admin.post("/v2/tags/keep/resources", body.clone()).await.expect(204);
    let uses = admin.get("/v2/tags/keep").await.expect(200)["tag"]["resources"]["volume_snapshots"].clone();
    let uri = format!("http://dew.test/v2/volumes/snapshots/{id}");
    assert_eq!(uses, json!({ "count": 1, "last_tagged_uri": uri }));
    let tags = async || admin.get(&format!("/v2/volumes/snapshots/{id}")).await.expect(200)["snapshot"]["tags"].clone();
    assert_eq!(tags().await, json!(["keep"]));
    admin.delete_with("/v2/tags/keep/resources", body).await.expect(204);
    assert_eq!(tags().await, json!([]));
}

#[tokio::test]
async fn a_volume_whose_snapshot_comes_to_nothing_goes_with_it_and_says_why() {
    let mut app = TestApp::start().await;
    let volume = volume_id(&app.admin(), json!({})).await;
    app.run_actions_to_end().await;
    let path = format!("/v2/volumes/{volume}/snapshots");
    let taken = app.admin().post(&path, json!({ "name": "before" })).await.expect(201);
    let body = json!({ "name": "copy", "snapshot_id": taken["snapshot"]["id"] });
    let copy = app.admin().post("/v2/volumes", body.clone()).await.expect(201)["volume"]["id"].clone();
    let action = app.admin().newest_action().await["id"].as_u64().expect("a number");
    app.sim().faults().order(fault(Operation::SnapshotVolume, Moment::Before, 1, for_good));
    app.crash_worker_at("create", "make", Point::Before);
    app.run_actions_to_end().await;
    assert!(app.worker_has_crashed(), "the copy waits until there is no snapshot");
    app.restart().await;
    app.run_actions_to_end().await;

    let story = app.admin().action_story(action).await;
    let reason = story["reason"].as_str().expect("a reason");
    assert!(reason.contains("came to nothing"), "{reason}");
    let copy = format!("/v2/volumes/{}", copy.as_str().expect("an id"));
    app.admin().get(&copy).await.refusal(404, "not_found");
    app.books_balance().await;
    app.admin().post("/v2/volumes", body).await.invalid();
}

#[tokio::test]
async fn a_volume_made_behind_the_failure_of_its_snapshot_leaves_no_snapshot_behind() {
    let app = TestApp::start().await;
    let volume = volume_id(&app.admin(), json!({})).await;
    app.run_actions_to_end().await;
    let path = format!("/v2/volumes/{volume}/snapshots");
    let taken = app.admin().post(&path, json!({ "name": "before" })).await.expect(201);
    let body = json!({ "name": "copy", "snapshot_id": taken["snapshot"]["id"] });
    app.admin().post("/v2/volumes", body).await.expect(201);
    // The one who takes it is told that it failed, while the one who makes the copy still takes it.
    app.sim().set_delays(Delays { snapshot: Duration::from_secs(10), ..Delays::default() });
    let fault = json!({ "effect": { "type": "step_error", "action": "snapshot", "step": "take" }, "count": 1 });
    app.admin().post("/dew/v1/faults", fault).await.expect(201);
    let worker = app.worker();
    let working = tokio::spawn(async move { worker.run_until_idle().await });
    app.until("the snapshot has come to nothing", async || app.rows("volume_snapshots").await == 0).await;
    app.until("both are over", async || {
        if app.clock().sleepers() > 0 {
            app.clock().advance(Duration::from_millis(100));
        }
        working.is_finished()
    })
    .await;
    working.await.expect("it ends in order");
    app.run_actions_to_end_in_time().await;
    assert_eq!(app.sim().images().await.expect("the simulator answers"), []);
    assert_eq!(app.admin().get("/v2/volumes").await.expect(200)["meta"]["total"], 1);
    app.books_balance().await;
}

#[tokio::test]
async fn a_volume_whose_making_failed_is_made_by_the_attach_and_never_again() {
    let app = TestApp::start().await;
    let droplet = app.admin().active_droplet("web-1").await;
    app.sim().faults().order(fault(Operation::EnsureVolume, Moment::Before, 1, for_good));
    let volume = volume_id(&app.admin(), json!({})).await;
    app.run_actions_to_end().await;
    assert!(!app.volume_records().await[0].made);
    app.books_balance().await;
    let act = async |kind: &str| {
        let body = json!({ "type": kind, "droplet_id": droplet });
        app.admin().post(&format!("/v2/volumes/{volume}/actions"), body).await.expect(202);
        app.sim().faults().listen();
        app.run_actions_to_end().await;
        app.sim().faults().listen()
    };
    assert_eq!(act("attach").await, [Operation::EnsureVolume, Operation::Attach]);
    assert!(app.volume_records().await[0].made);
    app.books_balance().await;
    act("detach").await;
    assert_eq!(act("attach").await, [Operation::Attach], "one that was made is what it is");
    app.books_balance().await;
}
