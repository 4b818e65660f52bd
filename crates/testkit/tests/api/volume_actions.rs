//! Attach, detach, resize (VOL-5 to VOL-8, ACT-6 to ACT-8, ACT-11).

use dewpoint_engine::{Operation, sim::Moment};
use dewpoint_testkit::{Answer, Client, TestApp};
use serde_json::{Value, json};

use crate::{droplet, each, fault, for_good, volume_id};

async fn act(client: &Client<'_>, volume: &str, body: Value) -> Answer {
    client.post(&format!("/v2/volumes/{volume}/actions"), body).await
}

async fn attach(client: &Client<'_>, volume: &str, droplet: u64) -> Answer {
    act(client, volume, json!({ "type": "attach", "droplet_id": droplet })).await
}

async fn detach(client: &Client<'_>, volume: &str, droplet: u64) -> Answer {
    act(client, volume, json!({ "type": "detach", "droplet_id": droplet })).await
}

async fn shown(client: &Client<'_>, volume: &str) -> Value {
    client.get(&format!("/v2/volumes/{volume}")).await.expect(200)["volume"].clone()
}

#[tokio::test]
async fn attach_and_detach_are_actions_that_lock_the_droplet_vol_5_act_6() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.active_droplet("web-1").await;
    // Right after the create, as Terraform does it: the volume is not made yet.
    let volume = volume_id(&admin, json!({})).await;
    let action = attach(&admin, &volume, id).await.expect(202)["action"].clone();
    assert_eq!(
        (&action["type"], &action["status"], &action["resource_type"], &action["resource_id"], &action["region_slug"]),
        (&json!("attach_volume"), &json!("in-progress"), &json!("volume"), &json!(null), &json!("nyc3")),
        "ACT-8, ACT-11"
    );
    assert_eq!(shown(&admin, &volume).await["droplet_ids"], json!([]), "not before it is done");
    assert_eq!(admin.droplet(id).await["locked"], true);
    let busy = "Droplet already has a pending event.";
    assert_eq!(admin.act(id, "power_off").await.invalid(), busy);
    assert_eq!(attach(&admin, &volume, id).await.invalid(), busy);
    assert_eq!(act(&admin, &volume, json!({ "type": "resize", "size_gigabytes": 20 })).await.invalid(), busy);
    admin.delete(&format!("/v2/droplets/{id}")).await.invalid();
    admin.delete(&format!("/v2/volumes/{volume}")).await.refusal(409, "conflict");

    app.run_actions_to_end().await;
    assert_eq!(shown(&admin, &volume).await["droplet_ids"], json!([id]));
    assert_eq!(admin.droplet(id).await["volume_ids"], json!([volume]));
    app.books_balance().await;
    assert_eq!(attach(&admin, &volume, id).await.invalid(), "This volume is already attached");
    let other = admin.active_droplet("web-2").await;
    assert_eq!(attach(&admin, &volume, other).await.invalid(), "This volume is already attached");
    assert_eq!(detach(&admin, &volume, other).await.invalid(), "Attachment not found", "VOL-6");

    let action = detach(&admin, &volume, id).await.expect(202)["action"].clone();
    assert_eq!((&action["type"], &admin.droplet(id).await["locked"]), (&json!("detach_volume"), &json!(true)));
    app.run_actions_to_end().await;
    assert_eq!(shown(&admin, &volume).await["droplet_ids"], json!([]));
    assert_eq!(detach(&admin, &volume, id).await.invalid(), "Attachment not found");
    app.books_balance().await;

    let path = format!("/v2/volumes/{volume}/actions");
    let listed = admin.get(&path).await.expect(200);
    assert_eq!(each(&listed["actions"], "type"), ["detach_volume", "attach_volume", "create"]);
    assert_eq!(admin.get(&format!("{path}/{}", action["id"])).await.expect(200)["action"]["status"], "completed");
    admin.get(&format!("{path}/1000001")).await.refusal(404, "not_found");
    let stranger = app.other_account().await;
    stranger.get(&path).await.refusal(404, "not_found");
    attach(&stranger, &volume, id).await.refusal(404, "not_found");
}

#[tokio::test]
async fn what_cannot_be_done_to_a_volume_is_refused_vol_5_vol_6_vol_7() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.active_droplet("web-1").await;
    let (volume, elsewhere) =
        (volume_id(&admin, json!({})).await, volume_id(&admin, json!({ "region": "fra1" })).await);
    app.run_actions_to_end().await;
    let stranger = app.other_account().await;
    let theirs = stranger.active_droplet("theirs").await;
    for bad in [
        json!({}),
        json!({ "type": "explode" }),
        json!({ "type": "attach" }),
        json!({ "type": "detach" }),
        json!({ "type": "resize" }),
        json!({ "type": "attach", "droplet_id": 7 }),
        json!({ "type": "attach", "droplet_id": theirs }),
        json!({ "type": "attach", "droplet_id": id, "region": "fra1" }),
        json!({ "type": "attach", "droplet_id": id, "tags": ["no good"] }),
        json!({ "type": "resize", "size_gigabytes": 10 }),
        json!({ "type": "resize", "size_gigabytes": 9 }),
        json!({ "type": "resize", "size_gigabytes": 16_385 }),
    ] {
        act(&admin, &volume, bad.clone()).await.invalid();
    }
    let message = attach(&admin, &elsewhere, id).await.invalid();
    assert!(message.contains("region"), "{message}");
    assert_eq!(app.backlog().await, 0, "ERR-8");
    assert_eq!(app.rows("tags").await, 0, "ERR-8");
    app.books_balance().await;
}

#[tokio::test]
async fn a_volume_grows_attached_or_not_and_keeps_its_place_vol_7() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.active_droplet("web-1").await;
    let volume = volume_id(&admin, json!({})).await;
    let action = act(&admin, &volume, json!({ "type": "resize", "size_gigabytes": 20 })).await.expect(202);
    assert_eq!(action["action"]["type"], "resize");
    app.run_actions_to_end().await;
    attach(&admin, &volume, id).await.expect(202);
    app.run_actions_to_end().await;
    act(&admin, &volume, json!({ "type": "resize", "size_gigabytes": 30, "region": "nyc3" })).await.expect(202);
    assert_eq!(shown(&admin, &volume).await["size_gigabytes"], 20, "not before it is done");
    app.run_actions_to_end().await;
    let seen = shown(&admin, &volume).await;
    assert_eq!((&seen["size_gigabytes"], &seen["droplet_ids"]), (&json!(30), &json!([id])));
    app.books_balance().await;
}

#[tokio::test]
async fn a_volume_is_named_by_name_and_region_too_vol_8() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.active_droplet("web-1").await;
    let (here, there) = (volume_id(&admin, json!({})).await, volume_id(&admin, json!({ "region": "fra1" })).await);
    let by_name = async |body| admin.post("/v2/volumes/actions", body).await;
    let wanted = json!({ "type": "attach", "droplet_id": id, "volume_name": "data", "region": "NYC3", "tags": ["db"] });
    by_name(wanted).await.expect(202);
    app.run_actions_to_end().await;
    assert_eq!(shown(&admin, &here).await["droplet_ids"], json!([id]));
    assert_eq!(shown(&admin, &here).await["tags"], json!(["db"]));
    assert_eq!(shown(&admin, &there).await["droplet_ids"], json!([]));
    by_name(json!({ "type": "detach", "droplet_id": id, "volume_name": "data" })).await.invalid();
    by_name(json!({ "type": "detach", "droplet_id": id, "region": "nyc3" })).await.invalid();
    let none = json!({ "type": "detach", "droplet_id": id, "volume_name": "none", "region": "nyc3" });
    by_name(none).await.refusal(404, "not_found");
    by_name(json!({ "type": "detach", "droplet_id": id, "volume_name": "data", "region": "nyc3" })).await.expect(202);
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test]
async fn a_droplet_has_at_most_fifteen_volumes_vol_5() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.active_droplet("web-1").await;
    for number in 0..16 {
        let volume = volume_id(&admin, json!({ "name": format!("v-{number}") })).await;
        let answer = attach(&admin, &volume, id).await;
        if number < 15 {
            answer.expect(202);
        } else {
            answer.invalid();
        }
        app.run_actions_to_end().await;
    }
    app.books_balance().await;
}

#[tokio::test]
async fn a_create_attaches_its_volumes_before_the_machine_starts_cre_13() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let volume = volume_id(&admin, json!({})).await;
    let other = volume_id(&admin, json!({ "name": "logs" })).await;
    // None of the three actions has begun: the create makes the volumes itself.
    let made = admin.post("/v2/droplets", droplet(json!({ "volumes": [volume, other] }))).await.expect(202);
    let id = made["droplet"]["id"].as_u64().expect("a number");
    assert_eq!(attach(&admin, &volume, id).await.invalid(), "This volume is already attached");
    app.run_actions_to_end().await;
    assert_eq!(admin.droplet(id).await["volume_ids"].as_array().map(Vec::len), Some(2));
    app.books_balance().await;
}

#[tokio::test]
async fn a_volume_of_a_deleted_droplet_is_free_at_once_del_3() {
    for order in ["the old machine goes first", "the new one is served first"] {
        let app = TestApp::start().await;
        let admin = app.admin();
        let (old, new) = (admin.active_droplet("old").await, admin.active_droplet("new").await);
        let volume = volume_id(&admin, json!({})).await;
        attach(&admin, &volume, old).await.expect(202);
        app.run_actions_to_end().await;
        if order == "the new one is served first" {
            // The machine is still there when the volume is wanted: the attach takes it from there.
            app.sim().faults().order(fault(Operation::Destroy, Moment::Before, 1, crate::for_now));
        }
        admin.delete(&format!("/v2/droplets/{old}")).await.expect(204);
        assert_eq!(shown(&admin, &volume).await["droplet_ids"], json!([]), "{order}");
        attach(&admin, &volume, new).await.expect(202);
        app.run_actions_to_end_in_time().await;
        assert_eq!(shown(&admin, &volume).await["droplet_ids"], json!([new]), "{order}");
        app.books_balance().await;
    }
}

#[tokio::test]
async fn a_volume_that_could_not_be_made_stays_and_an_attach_tries_again() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.active_droplet("web-1").await;
    app.sim().faults().order(fault(Operation::EnsureVolume, Moment::Before, 2, for_good));
    let volume = volume_id(&admin, json!({})).await;
    app.run_actions_to_end().await;
    assert_eq!(admin.newest_action().await["status"], "errored");
    app.books_balance().await;
    let failed = attach(&admin, &volume, id).await.expect(202)["action"]["id"].as_u64().expect("a number");
    app.run_actions_to_end().await;
    assert!(admin.action_story(failed).await["reason"].as_str().is_some_and(|why| why.contains("none is left")));
    assert_eq!(shown(&admin, &volume).await["droplet_ids"], json!([]));
    attach(&admin, &volume, id).await.expect(202);
    app.run_actions_to_end().await;
    assert_eq!(shown(&admin, &volume).await["droplet_ids"], json!([id]));
    app.books_balance().await;
}

#[tokio::test]
async fn a_volume_deleted_before_it_was_made_is_not_left_behind() {
    let app = TestApp::start().await;
    let volume = volume_id(&app.admin(), json!({})).await;
    app.admin().delete(&format!("/v2/volumes/{volume}")).await.expect(204);
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test]
async fn each_action_needs_its_scope_auth_5() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let (id, volume) = (admin.active_droplet("web-1").await, volume_id(&admin, json!({})).await);
    app.run_actions_to_end().await;
    let actor = app.token_with(&["block_storage_action:create"]).await;
    let tagged = json!({ "type": "attach", "droplet_id": id, "tags": ["db"] });
    act(&actor, &volume, tagged.clone()).await.refusal(403, "forbidden");
    let tagger = app.token_with(&["block_storage_action:create", "tag:create"]).await;
    act(&tagger, &volume, tagged).await.expect(202);
    let path = format!("/v2/volumes/{volume}/actions");
    actor.get(&path).await.refusal(403, "forbidden");
    app.token_with(&["block_storage_action:read"]).await.get(&path).await.expect(200);
}
