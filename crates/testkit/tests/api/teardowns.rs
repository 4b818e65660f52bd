//! A Droplet destroyed with what belongs to it (DEL-5 to DEL-8).

use dewpoint_engine::{Operation, Storage as _, sim::Moment};
use dewpoint_testkit::{Answer, Client, TestApp};
use http::Request;
use serde_json::{Value, json};

use crate::{fault, for_good, for_now, volume_id};

/// An active Droplet that has a snapshot, a volume that has one too, and a second volume.
struct Scene {
    droplet: u64,
    image: u64,
    volumes: [String; 2],
    snapshot: String,
}

async fn scene(app: &TestApp) -> Scene {
    let admin = app.admin();
    let volumes = [volume_id(&admin, json!({})).await, volume_id(&admin, json!({ "name": "logs" })).await];
    let body = crate::droplet(json!({ "volumes": volumes }));
    let droplet = admin.post("/v2/droplets", body).await.expect(202)["droplet"]["id"].as_u64().expect("a number");
    app.run_actions_to_end().await;
    let taken = admin.post(&format!("/v2/volumes/{}/snapshots", volumes[0]), json!({ "name": "before" })).await;
    let snapshot = taken.expect(201)["snapshot"]["id"].as_str().expect("an id").to_owned();
    app.run_actions_to_end().await;
    let body = json!({ "type": "snapshot", "name": "whole" });
    admin.post(&format!("/v2/droplets/{droplet}/actions"), body).await.expect(201);
    app.run_actions_to_end().await;
    let listed = admin.get(&format!("/v2/droplets/{droplet}/snapshots")).await.expect(200);
    let image = listed["snapshots"][0]["id"].as_u64().expect("a number");
    Scene { droplet, image, volumes, snapshot }
}

fn path(droplet: u64, rest: &str) -> String {
    format!("/v2/droplets/{droplet}/destroy_with_associated_resources{rest}")
}

async fn dangerous(client: &Client<'_>, droplet: u64) -> Answer {
    let request = Request::builder().method("DELETE").uri(path(droplet, "/dangerous")).header("x-dangerous", "true");
    client.send(request.header("host", "dew.test").body(axum::body::Body::empty()).expect("a request")).await
}

async fn status(app: &TestApp, droplet: u64) -> Value {
    app.admin().get(&path(droplet, "/status")).await.expect(200)
}

/// Whether everything of the scene is gone, and told so.
async fn all_is_gone(app: &TestApp, scene: &Scene, case: &str) {
    let told = status(app, scene.droplet).await;
    assert_eq!(told["failures"], 0, "{case}: {told}");
    assert!(told["completed_at"].is_string(), "{case}: {told}");
    assert!(told["droplet"]["destroyed_at"].is_string(), "{case}: {told}");
    assert_eq!(told["resources"]["volumes"].as_array().map(Vec::len), Some(2), "{case}");
    for kind in ["volumes", "volume_snapshots", "snapshots"] {
        for part in told["resources"][kind].as_array().expect("a list") {
            assert!(part["destroyed_at"].is_string() && part.get("error_message").is_none(), "{case}: {part}");
        }
    }
    let admin = app.admin();
    admin.get(&format!("/v2/droplets/{}", scene.droplet)).await.refusal(404, "not_found");
    assert_eq!(admin.get("/v2/volumes").await.expect(200)["meta"]["total"], 0, "{case}");
    admin.get(&format!("/v2/volumes/snapshots/{}", scene.snapshot)).await.refusal(404, "not_found");
    admin.get(&format!("/v2/images/{}", scene.image)).await.refusal(404, "not_found");
    assert_eq!(app.sim().images().await.expect("the simulator answers"), [], "{case}");
    app.books_balance().await;
}

#[tokio::test]
async fn what_belongs_to_a_droplet_is_listed_with_its_cost_del_5() {
    let app = TestApp::start().await;
    let scene = scene(&app).await;
    let listed = app.admin().get(&path(scene.droplet, "")).await.expect(200);
    let volume = |index: usize, name: &str| json!({ "id": scene.volumes[index], "name": name, "cost": "1.00" });
    let mut volumes = vec![volume(0, "data"), volume(1, "logs")];
    volumes.sort_by_key(|volume| volume["id"].to_string());
    let expected = json!({
        "reserved_ips": [], "floating_ips": [], "volumes": volumes,
        "snapshots": [{ "id": scene.image.to_string(), "name": "whole", "cost": "0.15" }],
        "volume_snapshots": [{ "id": scene.snapshot, "name": "before", "cost": "0.06" }],
    });
    assert_eq!(listed, expected);
    let reader = app.token_with(&["droplet:read", "block_storage:read"]).await;
    let seen = reader.get(&path(scene.droplet, "")).await.expect(200);
    assert_eq!((&seen["volumes"], &seen["volume_snapshots"]), (&expected["volumes"], &json!([])), "AUTH-6");
    app.other_account().await.get(&path(scene.droplet, "")).await.refusal(404, "not_found");
}

#[tokio::test]
async fn dangerous_destroys_everything_and_its_status_stays_del_6_del_7() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let scene = scene(&app).await;
    for rest in ["/status", "/retry"] {
        let method = if rest == "/retry" { "POST" } else { "GET" };
        admin.send_bytes(method, &path(scene.droplet, rest), "").await.refusal(404, "not_found");
    }
    admin.delete(&path(scene.droplet, "/dangerous")).await.refusal(400, "bad_request");
    dangerous(&app.other_account().await, scene.droplet).await.refusal(404, "not_found");
    let answer = dangerous(&admin, scene.droplet).await;
    assert_eq!((answer.status, answer.text.as_str()), (202, ""));

    let told = status(&app, scene.droplet).await;
    assert_eq!((&told["completed_at"], &told["failures"]), (&json!(null), &json!(0)));
    assert_eq!(told["droplet"], json!({ "id": scene.droplet.to_string(), "name": "web-1" }));
    assert_eq!(admin.droplet(scene.droplet).await["locked"], true);
    dangerous(&admin, scene.droplet).await.invalid();
    admin.post(&path(scene.droplet, "/retry"), json!({})).await.refusal(409, "conflict");
    admin.delete(&format!("/v2/volumes/{}", scene.volumes[0])).await.refusal(409, "conflict");

    app.run_actions_to_end().await;
    all_is_gone(&app, &scene, "dangerous").await;
    admin.post(&path(scene.droplet, "/retry"), json!({})).await.expect(202);
    assert_eq!(app.backlog().await, 0, "nothing is left to try again");
    app.other_account().await.get(&path(scene.droplet, "/status")).await.refusal(404, "not_found");
}

#[tokio::test]
async fn selective_destroys_what_is_named_and_keeps_the_rest_del_6() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let scene = scene(&app).await;
    let stranger = volume_id(&admin, json!({ "name": "stranger" })).await;
    app.run_actions_to_end().await;
    let selective = path(scene.droplet, "/selective");
    for wrong in [
        json!({ "volumes": [stranger] }),
        json!({ "volumes": [scene.snapshot] }),
        json!({ "snapshots": ["7"] }),
        json!({ "reserved_ips": ["1"] }),
        json!({ "floating_ips": ["1"] }),
        json!({ "volumes": "all" }),
    ] {
        admin.delete_with(&selective, wrong).await.invalid();
    }
    assert_eq!(app.backlog().await, 0, "ERR-8");
    admin.delete_with(&selective, json!({ "volumes": [scene.volumes[1]], "snapshots": null })).await.expect(202);
    app.run_actions_to_end().await;
    let told = status(&app, scene.droplet).await;
    assert_eq!(told["resources"]["volumes"].as_array().map(Vec::len), Some(1));
    assert_eq!((&told["resources"]["volume_snapshots"], &told["failures"]), (&json!([]), &json!(0)));
    let kept = admin.get(&format!("/v2/volumes/{}", scene.volumes[0])).await.expect(200)["volume"].clone();
    assert_eq!(kept["droplet_ids"], json!([]), "DEL-3");
    admin.get(&format!("/v2/volumes/snapshots/{}", scene.snapshot)).await.expect(200);
    admin.get(&format!("/v2/images/{}", scene.image)).await.expect(200);
    admin.get(&format!("/v2/volumes/{}", scene.volumes[1])).await.refusal(404, "not_found");
    app.books_balance().await;
}

#[tokio::test]
async fn no_body_destroys_the_droplet_alone() {
    let app = TestApp::start().await;
    let scene = scene(&app).await;
    app.admin().delete(&path(scene.droplet, "/selective")).await.expect(202);
    app.run_actions_to_end().await;
    assert!(status(&app, scene.droplet).await["droplet"]["destroyed_at"].is_string());
    assert_eq!(app.admin().get("/v2/volumes").await.expect(200)["meta"]["total"], 2);
    app.books_balance().await;
}

#[tokio::test]
async fn a_volume_that_is_busy_holds_it_up() {
    let app = TestApp::start().await;
    let scene = scene(&app).await;
    let body = json!({ "type": "resize", "size_gigabytes": 20 });
    app.admin().post(&format!("/v2/volumes/{}/actions", scene.volumes[0]), body).await.expect(202);
    dangerous(&app.admin(), scene.droplet).await.invalid();
    app.run_actions_to_end().await;
    dangerous(&app.admin(), scene.droplet).await.expect(202);
    app.run_actions_to_end().await;
    all_is_gone(&app, &scene, "in the end").await;
}

#[tokio::test]
async fn what_fails_is_told_and_the_rest_is_done_and_retry_does_the_failed_again_del_7_del_8() {
    for operation in [Operation::Destroy, Operation::RemoveVolume, Operation::RemoveImage] {
        for times_for_now in [None, Some(1), Some(5)] {
            let case = format!("{operation:?} fails, for now: {times_for_now:?}");
            let app = TestApp::start().await;
            let scene = scene(&app).await;
            let (times, error) = match times_for_now {
                None => (1, for_good as fn(_) -> _),
                Some(times) => (times, for_now as fn(_) -> _),
            };
            app.sim().faults().order(fault(operation, Moment::Before, times, error));
            dangerous(&app.admin(), scene.droplet).await.expect(202);
            let action = app.admin().newest_action().await["id"].as_u64().expect("a number");
            app.run_actions_to_end_in_time().await;
            let told = status(&app, scene.droplet).await;
            // Two volumes and two images share the five times, which are over before their tries are.
            let fails = told["failures"].as_u64().expect("a number") > 0;
            let story = app.admin().action_story(action).await;
            assert_eq!(story["action"]["status"], if fails { "errored" } else { "completed" }, "{case}: {story}");
            assert_eq!(fails, times_for_now.is_none() || (times == 5 && operation == Operation::Destroy), "{case}");
            if fails {
                assert!(told.to_string().contains("could not be removed"), "{case}: {told}");
                assert!(told["completed_at"].is_string(), "{case}: {told}");
                app.books_balance().await;
                app.admin().post(&path(scene.droplet, "/retry"), json!({})).await.expect(202);
                app.run_actions_to_end_in_time().await;
            }
            all_is_gone(&app, &scene, &case).await;
        }
    }
}

#[tokio::test]
async fn a_volume_that_was_given_to_another_droplet_is_not_destroyed_by_a_retry() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let scene = scene(&app).await;
    let other = admin.active_droplet("other").await;
    app.sim().faults().order(fault(Operation::RemoveVolume, Moment::Before, 2, for_good));
    dangerous(&admin, scene.droplet).await.expect(202);
    app.run_actions_to_end().await;
    assert_eq!(status(&app, scene.droplet).await["failures"], 2);
    let body = json!({ "type": "attach", "droplet_id": other });
    let actions = format!("/v2/volumes/{}/actions", scene.volumes[0]);
    admin.post(&actions, body).await.expect(202);
    admin.post(&path(scene.droplet, "/retry"), json!({})).await.refusal(409, "conflict");
    app.run_actions_to_end().await;
    admin.post(&path(scene.droplet, "/retry"), json!({})).await.expect(202);
    app.run_actions_to_end().await;
    let told = status(&app, scene.droplet).await;
    assert_eq!(told["failures"], 1);
    assert!(told.to_string().contains("attached volume cannot be deleted"), "{told}");
    let kept = admin.get(&format!("/v2/volumes/{}", scene.volumes[0])).await.expect(200)["volume"].clone();
    assert_eq!(kept["droplet_ids"], json!([other]));
    app.books_balance().await;
}
