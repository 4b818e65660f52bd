//! What a create can ask for: keys, tags, user data, backups, networks, the agent, a GPU (CRE-9 to CRE-12, CRE-15 to CRE-20).

use dewpoint_api::DropletId;
use dewpoint_engine::sim::Equipment;
use dewpoint_store::{Tx, droplets};
use dewpoint_testkit::{TestApp, fingerprint, public_key};
use serde_json::{Value, json};

use crate::droplet;

/// What the machine of a Droplet is made from.
async fn seed(app: &TestApp, id: u64) -> dewpoint_store::DropletSeed {
    app.store().read(move |tx: &mut dyn Tx| droplets::droplet_seed(tx, DropletId(id))).await.expect("a seed")
}

async fn add_keys(app: &TestApp, count: u8) -> Vec<u64> {
    let mut ids = Vec::new();
    for number in 0..count {
        let body = json!({ "name": format!("key-{number}"), "public_key": public_key(number) });
        let key = app.admin().post("/v2/account/keys", body).await.expect(201);
        ids.push(key["ssh_key"]["id"].as_u64().expect("a number"));
    }
    ids
}

async fn created(app: &TestApp, changes: Value) -> Value {
    app.admin().post("/v2/droplets", droplet(changes)).await.expect(202)["droplet"].clone()
}

async fn refused(app: &TestApp, changes: Value) -> String {
    app.admin().post("/v2/droplets", droplet(changes)).await.invalid()
}

#[tokio::test]
async fn keys_are_named_by_number_digits_or_fingerprint_cre_9() {
    let app = TestApp::start().await;
    let keys = add_keys(&app, 3).await;
    let upper = fingerprint(2).to_uppercase();
    let made =
        created(&app, json!({ "ssh_keys": [keys[0], keys[1].to_string(), upper, keys[2], fingerprint(0)] })).await;
    let seed = seed(&app, made["id"].as_u64().expect("a number")).await;
    assert_eq!(seed.ssh_keys, [public_key(0), public_key(1), public_key(2)], "each once");
}

#[tokio::test]
async fn an_unknown_key_refuses_the_create_and_is_named_cre_9() {
    let app = TestApp::start().await;
    let keys = add_keys(&app, 1).await;
    let unknown = fingerprint(9);
    let message =
        refused(&app, json!({ "ssh_keys": [keys[0], 7, unknown, "key-0", 9_223_372_036_854_775_808_u64] })).await;
    assert_eq!(
        message,
        format!("7, {unknown}, key-0, 9223372036854775808 are invalid key identifiers for Droplet creation.")
    );
}

#[tokio::test]
async fn another_accounts_key_is_unknown_cre_9() {
    let app = TestApp::start().await;
    let keys = add_keys(&app, 1).await;
    let other = app.other_account().await;
    for key in [json!(keys[0]), json!(fingerprint(0))] {
        let message = other.post("/v2/droplets", droplet(json!({ "ssh_keys": [key] }))).await.invalid();
        assert!(message.contains("are invalid key identifiers"), "{message}");
    }
}

#[tokio::test]
async fn a_droplet_without_keys_is_made_all_the_same_cre_10() {
    let app = TestApp::start().await;
    let made = created(&app, json!({ "ssh_keys": [] })).await;
    assert!(seed(&app, made["id"].as_u64().expect("a number")).await.ssh_keys.is_empty());
}

#[tokio::test]
async fn user_data_of_64_kib_is_kept_to_the_byte_and_shown_nowhere_cre_11() {
    let app = TestApp::start().await;
    let mut text = "#!/bin/sh\n# é \u{1F980} \\ \"\r\n".to_owned();
    text.push_str(&"x".repeat(65_536 - text.len()));
    assert_eq!(text.len(), 65_536);
    let made = created(&app, json!({ "user_data": text })).await;
    let id = made["id"].as_u64().expect("a number");
    assert_eq!(seed(&app, id).await.user_data, Some(text));
    app.run_actions_to_end().await;
    assert!(!app.admin().get(&format!("/v2/droplets/{id}")).await.text.contains("#!/bin/sh"));
}

#[tokio::test]
async fn user_data_of_one_byte_more_is_refused_cre_11() {
    let app = TestApp::start().await;
    let message = refused(&app, json!({ "user_data": "x".repeat(65_537) })).await;
    assert!(message.contains("65536 bytes"), "{message}");
    let message = refused(&app, json!({ "user_data": "é".repeat(32_769) })).await;
    assert!(message.contains("65536 bytes"), "bytes count, not characters: {message}");
}

#[tokio::test]
async fn tags_are_made_where_they_do_not_exist_and_kept_as_first_written_cre_12_tag_1() {
    let app = TestApp::start().await;
    app.admin().post("/v2/tags", json!({ "name": "Env:Prod" })).await.expect(201);
    let made = created(&app, json!({ "tags": ["web", "ENV:prod", "web", "Web"] })).await;
    assert_eq!(made["tags"], json!(["Env:Prod", "web"]));
    assert_eq!(app.admin().droplet(made["id"].as_u64().expect("a number")).await["tags"], made["tags"]);
    assert_eq!(app.rows("tags").await, 2);
    let message = refused(&app, json!({ "tags": ["good", "not good"] })).await;
    assert!(message.contains("not good"), "{message}");
    assert_eq!(app.rows("tags").await, 2, "ERR-8");
}

#[tokio::test]
async fn backups_without_a_policy_are_daily_at_an_hour_of_ours_cre_15() {
    let app = TestApp::start().await;
    let id = created(&app, json!({ "backups": true })).await["id"].as_u64().expect("a number");
    let policy = app.admin().get(&format!("/v2/droplets/{id}/backups/policy")).await.expect(200)["policy"].clone();
    assert_eq!((&policy["backup_enabled"], &policy["backup_policy"]["plan"]), (&json!(true), &json!("daily")));
    let hour = policy["backup_policy"]["hour"].as_u64().expect("an hour");
    assert!([0, 4, 8, 12, 16, 20].contains(&hour), "{hour}");
    assert_eq!(policy["backup_policy"]["window_length_hours"], 4);
    assert_eq!(policy["backup_policy"]["retention_period_days"], 7);
    assert_eq!(policy["backup_policy"].get("weekday"), None);
}

#[tokio::test]
async fn a_backup_policy_is_kept_as_asked_cre_15_dro_7() {
    let app = TestApp::start().await;
    let body = json!({ "backups": true, "backup_policy": { "plan": "weekly", "weekday": "MON", "hour": 20 } });
    let id = created(&app, body).await["id"].as_u64().expect("a number");
    app.run_actions_to_end().await;
    // It is Saturday, 21 November.
    let window = app.admin().droplet(id).await["next_backup_window"].clone();
    assert_eq!(window, json!({ "start": "2026-11-23T20:00:00Z", "end": "2026-11-24T00:00:00Z" }));
    let policy = app.admin().get(&format!("/v2/droplets/{id}/backups/policy")).await.expect(200)["policy"].clone();
    assert_eq!(policy["next_backup_window"], window);
    assert_eq!(policy["backup_policy"]["retention_period_days"], 28);
}

#[tokio::test]
async fn a_backup_policy_that_cannot_be_is_refused_cre_15() {
    let app = TestApp::start().await;
    let policies = [
        json!({ "plan": "hourly" }),
        json!({ "plan": "weekly", "weekday": "Monday" }),
        json!({ "plan": "daily", "weekday": "MON" }),
        json!({ "plan": "daily", "hour": 3 }),
        json!({ "plan": "daily", "hour": -4 }),
        json!({ "hour": 4 }),
        json!({}),
    ];
    for policy in policies {
        let message = refused(&app, json!({ "backups": true, "backup_policy": policy })).await;
        assert!(message.starts_with("backup_policy "), "{policy}: {message}");
    }
    let good = json!({ "plan": "daily", "hour": 4 });
    let message = refused(&app, json!({ "backup_policy": good })).await;
    assert!(message.contains("backups"), "a policy without backups: {message}");
    refused(&app, json!({ "backups": false, "backup_policy": good })).await;
}

#[tokio::test]
async fn ipv6_is_given_when_asked_for_cre_16_dro_2_dro_3() {
    let app = TestApp::start().await;
    let id =
        created(&app, json!({ "ipv6": true, "private_networking": false })).await["id"].as_u64().expect("a number");
    app.run_actions_to_end().await;
    let shown = app.admin().droplet(id).await;
    let v6 = shown["networks"]["v6"].as_array().expect("a list");
    assert_eq!((v6.len(), &v6[0]["type"], &v6[0]["netmask"]), (1, &json!("public"), &json!(64)));
    let text = v6[0]["ip_address"].as_str().expect("an address");
    assert!(text.parse::<std::net::Ipv6Addr>().is_ok_and(|address| address.to_string() == text), "{text}");
    assert_eq!(shown["features"], json!(["ipv6", "private_networking"]));
}

#[tokio::test]
async fn without_public_networking_there_is_a_private_address_alone_cre_17() {
    let app = TestApp::start().await;
    let id = created(&app, json!({ "public_networking": false })).await["id"].as_u64().expect("a number");
    app.run_actions_to_end().await;
    let networks = app.admin().droplet(id).await["networks"].clone();
    assert_eq!(crate::each(&networks["v4"], "type"), ["private"]);
    assert_eq!(networks["v6"], json!([]));
    app.books_balance().await;
    let message = refused(&app, json!({ "public_networking": false, "ipv6": true })).await;
    assert!(message.contains("ipv6"), "{message}");
}

#[tokio::test]
async fn an_agent_that_must_be_there_needs_an_image_that_can_have_it_cre_18_err_5() {
    let app = TestApp::start().await;
    assert!(
        refused(&app, json!({ "with_droplet_agent": true, "image": "rancheros" })).await.contains("is not supported")
    );
    created(&app, json!({ "with_droplet_agent": false, "image": "rancheros" })).await;
    created(&app, json!({ "image": "rancheros" })).await;
    created(&app, json!({ "with_droplet_agent": true })).await;

    let equipment = Equipment { droplet_agent: false, ..Equipment::default() };
    let without = TestApp::start_with(|setup| setup.equipment = equipment).await;
    assert!(refused(&without, json!({ "with_droplet_agent": true })).await.contains("is not supported"));
}

#[tokio::test]
async fn a_partition_mode_is_for_sizes_that_have_it_and_shown_once_cre_19() {
    let app = TestApp::start().await;
    let mode = "PARTITION_MODE_DPX_NPS2";
    let gpu = json!({
        "size": "gpu-mi350x8-2304gb", "region": "tor1", "image": "gpu-amd-base", "gpu_partition_mode": mode
    });
    let made = created(&app, gpu.clone()).await;
    assert_eq!(made["gpu_partition_mode"], mode);
    let id = made["id"].as_u64().expect("a number");
    assert_eq!(app.admin().droplet(id).await.get("gpu_partition_mode"), None);
    let whole = created(&app, crate::with(gpu.clone(), json!({ "gpu_partition_mode": "" }))).await;
    assert_eq!(whole.get("gpu_partition_mode"), None);
    for (size, mode) in [("gpu-h100x1-80gb", mode), ("s-1vcpu-1gb", mode), ("gpu-mi350x8-2304gb", "HALF")] {
        let body = crate::with(gpu.clone(), json!({ "size": size, "gpu_partition_mode": mode }));
        assert!(refused(&app, body).await.contains("gpu_partition_mode"), "{size} {mode}");
    }
}

#[tokio::test]
async fn the_droplet_limit_counts_every_name_and_both_kinds_cre_20() {
    let app = TestApp::start_with(|setup| setup.control.droplet_limit = 3).await;
    let account = app.admin().get("/v2/account").await.expect(200);
    assert_eq!(account["account"]["droplet_limit"], 3);
    let gpu = created(&app, json!({ "size": "gpu-h100x1-80gb", "region": "nyc2" })).await;
    let two = |names: Value| droplet(json!({ "name": null, "names": names }));
    let message = app.admin().post("/v2/droplets", two(json!(["a", "b", "c"]))).await.invalid();
    assert_eq!(message, "creating this/these droplet(s) will exceed your droplet limit");
    assert_eq!(app.rows("droplets").await, 1, "all or none");
    app.admin().post("/v2/droplets", two(json!(["a", "b"]))).await.expect(202);
    refused(&app, json!({})).await;
    app.run_actions_to_end().await;
    app.admin().delete(&format!("/v2/droplets/{}", gpu["id"])).await.expect(204);
    created(&app, json!({})).await;
    let other = app.other_account().await;
    other.post("/v2/droplets", droplet(json!({}))).await.expect(202);
}
