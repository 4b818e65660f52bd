//! The main bodies as a whole: what a client reads, member by member. To accept a change, run the tests with
//! `INSTA_UPDATE=always` and look at the difference.

use dewpoint_engine::{Error, Operation, sim::Moment};
use dewpoint_testkit::{TestApp, public_key};
use insta::{Settings, assert_json_snapshot};
use serde_json::{Value, json};

use crate::{droplet, fault};

/// Runs `check` with what is random, or long and shown elsewhere, put out of sight.
fn redacted(check: impl FnOnce()) {
    let mut settings = Settings::clone_current();
    for uuid in
        [".**.vpc_uuid", ".volume.id", ".vpc.id", ".vpc.urn", ".account.uuid", ".account.team.uuid", ".token.id"]
    {
        settings.add_redaction(
            uuid,
            insta::dynamic_redaction(|value, _| match value.as_str() {
                Some(_) => "[uuid]".into(),
                None => value,
            }),
        );
    }
    for (selector, word) in [
        (".**.region.sizes", "[the region's sizes]"),
        (".**.size.regions", "[the size's regions]"),
        (".**.image.regions", "[the image's regions]"),
        (".**.volume_ids[]", "[uuid]"),
    ] {
        settings.add_redaction(selector, word);
    }
    settings.bind(check);
}

async fn whole_droplet(app: &TestApp) -> Value {
    let admin = app.admin();
    let volume = json!({ "name": "data", "region": "nyc3", "size_gigabytes": 10 });
    let volume = admin.post("/v2/volumes", volume).await.expect(201)["volume"]["id"].clone();
    let key = admin.post("/v2/account/keys", json!({ "name": "k", "public_key": public_key(1) })).await.expect(201);
    let body = droplet(json!({
        "ssh_keys": [key["ssh_key"]["id"]], "backups": true, "ipv6": true, "monitoring": true,
        "backup_policy": { "plan": "weekly", "weekday": "TUE", "hour": 8 },
        "tags": ["web", "env:prod"], "user_data": "#!/bin/sh\n", "volumes": [volume],
    }));
    admin.post("/v2/droplets", body).await.expect(202)
}

#[tokio::test]
async fn droplet_as_it_is_accepted() {
    let app = TestApp::start().await;
    let body = whole_droplet(&app).await;
    redacted(|| assert_json_snapshot!(body));
}

#[tokio::test]
async fn droplet_as_it_runs() {
    let app = TestApp::start().await;
    let id = whole_droplet(&app).await["droplet"]["id"].as_u64().expect("a number");
    app.run_actions_to_end().await;
    let body = json!({ "droplet": app.admin().droplet(id).await });
    redacted(|| assert_json_snapshot!(body));
}

#[tokio::test]
async fn gpu_droplet_as_it_runs() {
    let app = TestApp::start().await;
    let body = droplet(json!({ "size": "gpu-h100x1-80gb", "region": "tor1", "image": "gpu-h100x1-base" }));
    let id = app.admin().post("/v2/droplets", body).await.expect(202)["droplet"]["id"].as_u64().expect("a number");
    app.run_actions_to_end().await;
    let body = json!({ "droplet": app.admin().droplet(id).await });
    redacted(|| assert_json_snapshot!(body));
}

#[tokio::test]
async fn droplets_as_they_are_listed() {
    let app = TestApp::start().await;
    app.admin().post("/v2/droplets", droplet(json!({ "name": null, "names": ["a", "b", "c"] }))).await.expect(202);
    let mut body = app.admin().get("/v2/droplets?per_page=1&page=2").await.expect(200);
    body["droplets"] = json!([body["droplets"][0]["name"]]);
    redacted(|| assert_json_snapshot!(body));
}

#[tokio::test]
async fn action_as_it_runs_and_as_it_ends() {
    let app = TestApp::start().await;
    let id = app.admin().active_droplet("web-1").await;
    let running = app.admin().act(id, "power_off").await.expect(201);
    app.clock().advance(std::time::Duration::from_secs(3));
    app.run_actions_to_end().await;
    let ended = app.admin().action(running["action"]["id"].as_u64().expect("a number")).await;
    redacted(|| assert_json_snapshot!(json!({ "running": running, "ended": ended })));
}

/// One object of a catalogue's list.
async fn listed(path: &str, key: &str, slug: &str) -> Value {
    let app = TestApp::start().await;
    let all = app.admin().all(path, key).await;
    all.into_iter().find(|one| one["slug"] == slug).expect("it is listed")
}

#[tokio::test]
async fn sizes_as_they_are_listed() {
    let (plain, gpu) =
        (listed("/v2/sizes", "sizes", "s-1vcpu-1gb").await, listed("/v2/sizes", "sizes", "gpu-mi350x8-2304gb").await);
    assert_json_snapshot!(json!({ "plain": plain, "gpu": gpu }));
}

#[tokio::test]
async fn region_as_it_is_listed() {
    let region = listed("/v2/regions", "regions", "nyc3").await;
    assert_json_snapshot!(region, { ".sizes" => "[the region's sizes]" });
}

#[tokio::test]
async fn image_as_it_is_read() {
    let app = TestApp::start().await;
    assert_json_snapshot!(app.admin().get("/v2/images/ubuntu-24-04-x64").await.expect(200));
}

#[tokio::test]
async fn ssh_key_as_it_is_added() {
    let app = TestApp::start().await;
    let body = json!({ "name": "laptop", "public_key": public_key(1) });
    assert_json_snapshot!(app.admin().post("/v2/account/keys", body).await.expect(201));
}

#[tokio::test]
async fn tag_as_it_is_read() {
    let app = TestApp::start().await;
    app.admin().post("/v2/droplets", droplet(json!({ "tags": ["web"] }))).await.expect(202);
    assert_json_snapshot!(app.admin().get("/v2/tags/web").await.expect(200));
}

#[tokio::test]
async fn vpc_as_it_is_read() {
    let app = TestApp::start().await;
    app.admin().create_droplet("web-1").await;
    let vpc = json!({ "vpc": app.admin().get("/v2/vpcs").await.expect(200)["vpcs"][0] });
    redacted(|| assert_json_snapshot!(vpc));
}

#[tokio::test]
async fn volume_as_it_is_made() {
    let app = TestApp::start().await;
    let body = json!({
        "name": "data", "region": "nyc3", "size_gigabytes": 10, "description": "for the database", "tags": ["db"],
        "filesystem_type": "ext4", "filesystem_label": "data",
    });
    let body = app.admin().post("/v2/volumes", body).await.expect(201);
    redacted(|| assert_json_snapshot!(body));
}

#[tokio::test]
async fn account_as_it_is_read() {
    let app = TestApp::start().await;
    let body = app.admin().get("/v2/account").await.expect(200);
    redacted(|| assert_json_snapshot!(body));
}

#[tokio::test]
async fn backup_policies_as_they_are_read() {
    let app = TestApp::start().await;
    whole_droplet(&app).await;
    let policies = app.admin().get("/v2/droplets/backups/policies").await.expect(200);
    let supported = app.admin().get("/v2/droplets/backups/supported_policies").await.expect(200);
    assert_json_snapshot!(json!({ "policies": policies, "supported": supported }));
}

#[tokio::test]
async fn refusals_as_they_are_read() {
    let app = TestApp::start().await;
    let mut refusals = Vec::new();
    for answer in [
        app.admin().post("/v2/droplets", droplet(json!({ "name": "my droplet" }))).await,
        app.admin().post("/v2/droplets", droplet(json!({ "size": 7 }))).await,
        app.admin().send_bytes("POST", "/v2/droplets", "{").await,
        app.admin().get("/v2/droplets/7").await,
        app.nobody().get("/v2/droplets").await,
        app.token_with(&["droplet:read"]).await.post("/v2/droplets", json!({})).await,
        app.admin().send_bytes("PATCH", "/v2/droplets", "").await,
    ] {
        refusals.push(json!({ "status": answer.status, "body": answer.json() }));
    }
    assert_json_snapshot!(json!({ "refusals": refusals }), { ".refusals[].body.request_id" => "[uuid]" });
}

#[tokio::test]
async fn story_of_an_action_that_failed() {
    let app = TestApp::start().await;
    app.admin().create_droplet("web-1").await;
    let dies = |id| Error::Died { id, last_words: "no such kernel".to_owned() };
    app.sim().faults().order(fault(Operation::PowerOn, Moment::Before, 1, dies));
    let action = app.admin().newest_action().await["id"].as_u64().expect("a number");
    app.run_actions_to_end().await;
    let mut story = app.admin().action_story(action).await;
    story["action"] = json!(story["action"]["status"]);
    assert_json_snapshot!(story);
}
