//! Droplets as they are read: states, addresses, lists and their filters, backup policies (DRO-*).

use std::net::Ipv4Addr;

use dewpoint_testkit::TestApp;
use serde_json::{Value, json};

use crate::{droplet, each, ids, resources};

const GPU: &str = "gpu-h100x1-80gb";

async fn gpu_droplet(app: &TestApp, name: &str) -> u64 {
    let body = droplet(json!({ "name": name, "size": GPU, "region": "nyc2", "image": "gpu-h100x1-base" }));
    let body = app.admin().post("/v2/droplets", body).await.expect(202);
    body["droplet"]["id"].as_u64().expect("a number")
}

async fn listed(app: &TestApp, query: &str) -> Vec<u64> {
    ids(&app.admin().get(&format!("/v2/droplets{query}")).await.expect(200)["droplets"])
}

#[tokio::test]
async fn a_droplet_goes_from_new_to_active_when_its_create_completes_dro_1_act_3() {
    let app = TestApp::start().await;
    let id = app.admin().create_droplet("web-1").await;
    let action = app.admin().newest_action().await["id"].as_u64().expect("a number");
    assert_eq!(app.admin().droplet(id).await["status"], "new");
    app.clock().advance(std::time::Duration::from_secs(5));
    app.run_actions_to_end().await;
    let shown = app.admin().droplet(id).await;
    assert_eq!((&shown["status"], &shown["locked"]), (&json!("active"), &json!(false)));
    let action = app.admin().action(action).await;
    assert_eq!((&action["status"], &action["completed_at"]), (&json!("completed"), &json!("2026-11-21T10:00:05Z")));
    assert_eq!(action["started_at"], "2026-11-21T10:00:00Z", "PRO-6");
}

#[tokio::test]
async fn an_active_droplet_has_a_public_and_a_private_address_dro_2_dro_3() {
    let app = TestApp::start().await;
    let id = app.admin().active_droplet("web-1").await;
    let v4 = app.admin().droplet(id).await["networks"]["v4"].clone();
    assert_eq!(each(&v4, "type"), ["public", "private"], "RIP-6: the own public one first");
    let address = |one: &Value, name: &str| one[name].as_str().expect(name).parse::<Ipv4Addr>().expect("an address");
    assert!(address(&v4[0], "ip_address").octets()[0] == 100);
    assert_eq!(
        (address(&v4[0], "netmask"), address(&v4[0], "gateway")),
        ([255, 192, 0, 0].into(), [100, 64, 0, 1].into())
    );
    assert!(address(&v4[1], "ip_address").is_private());
    assert_eq!((address(&v4[1], "netmask"), &v4[1]["gateway"]), ([255, 255, 0, 0].into(), &json!(null)));
    let vpc = app.admin().droplet(id).await["vpc_uuid"].as_str().expect("a VPC").to_owned();
    let range = app.admin().get(&format!("/v2/vpcs/{vpc}")).await.expect(200)["vpc"]["ip_range"].clone();
    let base: Ipv4Addr =
        range.as_str().and_then(|range| range.strip_suffix("/16")).expect("a /16").parse().expect("an address");
    assert_eq!(address(&v4[1], "ip_address").octets()[..2], base.octets()[..2], "from the VPC's range");
}

#[tokio::test]
async fn addresses_stay_through_power_cycles_dro_4() {
    let app = TestApp::start().await;
    let id = app.admin().active_droplet("web-1").await;
    let before = app.admin().droplet(id).await["networks"].clone();
    for kind in ["power_cycle", "power_off", "power_on", "reboot"] {
        app.admin().act(id, kind).await.expect(201);
        app.run_actions_to_end().await;
        assert_eq!(app.admin().droplet(id).await["networks"], before, "{kind}");
    }
}

#[tokio::test]
async fn lists_leave_gpu_droplets_out_unless_they_are_asked_for_dro_5() {
    let app = TestApp::start().await;
    let (plain, gpu) = (app.admin().create_droplet("web-1").await, gpu_droplet(&app, "train-1").await);
    assert_eq!(listed(&app, "").await, [plain]);
    assert_eq!(listed(&app, "?type=droplets").await, [plain]);
    assert_eq!(listed(&app, "?type=gpus").await, [gpu]);
    assert_eq!(listed(&app, "?name=train-1").await, [0; 0], "a name is looked for among one kind");
    assert_eq!(listed(&app, "?name=train-1&type=gpus").await, [gpu]);
    app.admin().post("/v2/tags", json!({ "name": "all" })).await.expect(201);
    app.admin().post("/v2/tags/all/resources", resources(&[plain, gpu])).await.expect(204);
    assert_eq!(listed(&app, "?tag_name=all").await, [plain, gpu], "a tag finds both kinds");
    let body = app.admin().get("/v2/droplets?type=gpus").await.expect(200);
    assert_eq!(body["meta"]["total"], 1);
    assert_eq!(app.admin().droplet(gpu).await["id"], gpu);
}

#[tokio::test]
async fn a_name_is_matched_whole_and_without_case_dro_5() {
    let app = TestApp::start().await;
    let first = app.admin().create_droplet("Web-1").await;
    app.admin().create_droplet("web-10").await;
    let second = app.admin().create_droplet("wEB-1").await;
    assert_eq!(listed(&app, "?name=web-1").await, [first, second]);
    assert_eq!(listed(&app, "?name=WEB-1").await, [first, second]);
    assert_eq!(listed(&app, "?name=web").await, [0; 0]);
    assert_eq!(listed(&app, "?name=web-%25").await, [0; 0], "no pattern");
}

#[tokio::test]
async fn a_tag_filter_goes_with_no_other_and_matches_its_case_dro_5_tag_1() {
    let app = TestApp::start().await;
    let body = app.admin().post("/v2/droplets", droplet(json!({ "tags": ["Web"] }))).await.expect(202);
    let id = body["droplet"]["id"].as_u64().expect("a number");
    assert_eq!(listed(&app, "?tag_name=Web").await, [id]);
    for none in ["?tag_name=web", "?tag_name=unknown", "?tag_name=not%20a%20tag"] {
        assert_eq!(listed(&app, none).await, [0; 0], "{none}");
    }
    for combined in ["?tag_name=Web&name=web-1", "?tag_name=Web&type=gpus", "?tag_name=Web&type=droplets", "?type=vms"]
    {
        app.admin().get(&format!("/v2/droplets{combined}")).await.invalid();
    }
    assert_eq!(listed(&app, "?tag_name=&name=&type=").await, [id], "empty is not asked");
}

#[tokio::test]
async fn a_gpu_droplet_shows_its_gpus_and_disks_dro_6() {
    let app = TestApp::start().await;
    let (plain, gpu) = (app.admin().create_droplet("web-1").await, gpu_droplet(&app, "train-1").await);
    let shown = app.admin().droplet(gpu).await;
    assert_eq!(shown["gpu_info"]["model"], "nvidia_h100");
    assert_eq!(shown["gpu_info"]["vram"], json!({ "amount": 80, "unit": "gib" }));
    assert_eq!(each(&shown["disk_info"], "type"), ["local", "scratch"]);
    let shown = app.admin().droplet(plain).await;
    assert_eq!(shown.get("gpu_info"), None);
    assert_eq!(shown["disk_info"], json!([{ "type": "local", "size": { "amount": 25, "unit": "gib" } }]));
}

#[tokio::test]
async fn the_next_backup_window_moves_with_time_dro_7() {
    let app = TestApp::start().await;
    let policy = json!({ "plan": "daily", "hour": 12 });
    let body = droplet(json!({ "backups": true, "backup_policy": policy }));
    let id = app.admin().post("/v2/droplets", body).await.expect(202)["droplet"]["id"].as_u64().expect("a number");
    app.run_actions_to_end().await;
    let start = async || app.admin().droplet(id).await["next_backup_window"]["start"].clone();
    assert_eq!(start().await, "2026-11-21T12:00:00Z");
    app.clock().advance(std::time::Duration::from_secs(2 * 3600));
    assert_eq!(start().await, "2026-11-22T12:00:00Z");
    let plain = app.admin().active_droplet("web-2").await;
    assert_eq!(app.admin().droplet(plain).await["next_backup_window"], json!(null));
}

#[tokio::test]
async fn policies_are_an_object_keyed_by_droplet_dro_8() {
    let app = TestApp::start().await;
    let plain = app.admin().create_droplet("web-1").await;
    let body = droplet(json!({ "backups": true }));
    let backed = app.admin().post("/v2/droplets", body).await.expect(202)["droplet"]["id"].clone();
    let gpu = gpu_droplet(&app, "train-1").await;
    let body = app.admin().get("/v2/droplets/backups/policies").await.expect(200);
    let policies = body["policies"].as_object().expect("an object");
    assert_eq!(policies[&plain.to_string()]["backup_enabled"], false);
    assert_eq!(policies[&backed.to_string()]["backup_enabled"], true);
    assert_eq!(policies[&backed.to_string()]["droplet_id"], backed);
    assert!(policies.contains_key(&gpu.to_string()), "GPU Droplets have policies too");
    assert_eq!((&body["meta"]["total"], &body["links"]), (&json!(3), &json!({})));
    let one = app.admin().get(&format!("/v2/droplets/{plain}/backups/policy")).await.expect(200)["policy"].clone();
    assert_eq!((&one["backup_enabled"], &one["next_backup_window"]), (&json!(false), &json!(null)));
    app.admin().get("/v2/droplets/1/backups/policy").await.refusal(404, "not_found");
}

#[tokio::test]
async fn supported_policies_are_daily_and_weekly_dro_9() {
    let app = TestApp::start().await;
    let body = app.admin().get("/v2/droplets/backups/supported_policies").await.expect(200);
    let policies = body["supported_policies"].as_array().expect("a list");
    let find = |name: &str| policies.iter().find(|policy| policy["name"] == name).expect(name);
    for (name, days, kept) in [("weekly", 7, 28), ("daily", 0, 7)] {
        let policy = find(name);
        assert_eq!(policy["possible_days"].as_array().map(Vec::len), Some(days), "{name}");
        assert_eq!((&policy["retention_period_days"], &policy["window_length_hours"]), (&json!(kept), &json!(4)));
        assert_eq!(policy["possible_window_starts"], json!([0, 4, 8, 12, 16, 20]));
    }
}

#[tokio::test]
async fn size_region_and_image_are_whole_objects_dro_12() {
    let app = TestApp::start().await;
    let id = app.admin().create_droplet("web-1").await;
    let shown = app.admin().droplet(id).await;
    let sizes = app.admin().all("/v2/sizes", "sizes").await;
    let regions = app.admin().all("/v2/regions", "regions").await;
    let images = app.admin().all("/v2/images", "images").await;
    assert!(sizes.contains(&shown["size"]) && regions.contains(&shown["region"]) && images.contains(&shown["image"]));
    assert_eq!(shown["size_slug"], shown["size"]["slug"]);
    assert_eq!((&shown["memory"], &shown["vcpus"], &shown["disk"]), (&json!(1024), &json!(1), &json!(25)));
    assert!(shown["vpc_uuid"].is_string());
}

#[tokio::test]
async fn an_id_that_is_none_is_not_found_err_4() {
    let app = TestApp::start().await;
    app.admin().create_droplet("web-1").await;
    for id in [
        "0",
        "1",
        "-1",
        "web-1",
        "1e3",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
    ] {
        for path in [format!("/v2/droplets/{id}"), format!("/v2/droplets/{id}/actions"), format!("/v2/actions/{id}")] {
            let message = app.admin().get(&path).await.refusal(404, "not_found");
            assert!(message.contains("The resource you were accessing could not be found."), "{path}: {message}");
        }
        app.admin().delete(&format!("/v2/droplets/{id}")).await.refusal(404, "not_found");
        app.admin().act(7, "power_off").await.refusal(404, "not_found");
    }
}

#[tokio::test]
async fn a_guest_that_goes_off_by_itself_is_shown_off() {
    let app = TestApp::start().await;
    let id = app.admin().active_droplet("web-1").await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let following = tokio::spawn(app.control().clone().follow_changes(stopped));
    // It listens once it was first given a turn, which on this one thread is now.
    tokio::task::yield_now().await;
    app.sim().guest_powers_off(dewpoint_engine::MachineId(id)).await.expect("the machine is there");
    app.until("it is off", async || app.admin().droplet(id).await["status"] == "off").await;
    stop.send_replace(true);
    following.await.expect("it stops when told to");
    app.books_balance().await;
    app.admin().act(id, "power_on").await.expect(201);
    app.run_actions_to_end().await;
    assert_eq!(app.admin().droplet(id).await["status"], "active");
}
