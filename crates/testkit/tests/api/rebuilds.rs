//! New disks and other sizes: rebuild, restore, resize, IPv6 (DAC-3, DAC-6, DAC-8).

use dewpoint_engine::{MachineId, sim::Delays};
use dewpoint_testkit::{Answer, TestApp};
use serde_json::{Value, json};

use crate::{droplet, with};

async fn ask(app: &TestApp, id: u64, body: Value) -> Answer {
    app.admin().post(&format!("/v2/droplets/{id}/actions"), body).await
}

/// Asks for an action and sees it through; the Droplet after it.
async fn done(app: &TestApp, id: u64, body: Value) -> Value {
    let action = ask(app, id, body).await.expect(201)["action"].clone();
    app.run_actions_to_end_in_time().await;
    let action = app.admin().action(action["id"].as_u64().expect("a number")).await;
    assert_eq!(action["status"], "completed", "{action}");
    app.books_balance().await;
    app.admin().droplet(id).await
}

async fn made(app: &TestApp, changes: Value) -> u64 {
    let body = app.admin().post("/v2/droplets", droplet(changes)).await.expect(202);
    app.run_actions_to_end().await;
    body["droplet"]["id"].as_u64().expect("a number")
}

#[tokio::test]
async fn a_rebuild_changes_the_image_and_nothing_else_dac_6() {
    let app = TestApp::start().await;
    let id = made(&app, json!({ "ipv6": true, "tags": ["web"] })).await;
    let before = app.admin().droplet(id).await;
    for named in [json!("debian-12-x64"), before["image"]["id"].clone()] {
        let after = done(&app, id, json!({ "type": "rebuild", "image": named })).await;
        assert!(after["image"]["slug"] == named || after["image"]["id"] == named, "{}", after["image"]);
        let unchanged = |droplet: &Value| with(droplet.clone(), json!({ "image": null }));
        assert_eq!(unchanged(&after), unchanged(&before));
    }
    done(&app, id, json!({ "type": "power_off" })).await;
    let after = done(&app, id, json!({ "type": "rebuild", "image": "debian-12-x64" })).await;
    assert_eq!(after["status"], "active", "it is on when it is rebuilt");
}

#[tokio::test]
async fn a_rebuilt_droplet_is_ready_anew() {
    let app = TestApp::start().await;
    let id = made(&app, json!({})).await;
    let story = async || app.admin().get(&format!("/dew/v1/droplets/{id}")).await.expect(200);
    assert_eq!(story().await["readiness"], "ready");
    let minute = std::time::Duration::from_secs(60);
    app.sim().set_delays(Delays { ready: minute, ..Delays::default() });
    ask(&app, id, json!({ "type": "rebuild", "image": "debian-12-x64" })).await.expect(201);
    app.run_actions_to_end().await;
    assert_eq!(story().await["readiness"], "pending", "its guest begins anew");
    app.clock().advance(minute);
    app.until("it is ready", async || story().await["readiness"] == "ready").await;
}

#[tokio::test]
async fn a_rebuild_needs_an_image_that_fits_dac_10() {
    let app = TestApp::start_with(|setup| {
        setup.equipment.missing_images = vec![dewpoint_engine::ImageName::new("debian-12-x64").expect("a name")];
    })
    .await;
    let id = made(&app, json!({})).await;
    for image in [json!(null), json!(""), json!("no-such-image"), json!(1), json!(200_000_001), json!("debian-12-x64")]
    {
        ask(&app, id, json!({ "type": "rebuild", "image": image })).await.invalid();
    }
    assert_eq!(app.backlog().await, 0);
    let large = made(&app, json!({ "size": "s-1vcpu-2gb" })).await;
    let taken = done(&app, large, json!({ "type": "snapshot" })).await["snapshot_ids"][0].clone();
    let refusal = ask(&app, id, json!({ "type": "rebuild", "image": taken })).await.invalid();
    assert!(refusal.contains("at least 50 GB"), "{refusal}");
    app.books_balance().await;
}

#[tokio::test]
async fn a_restore_is_from_a_backup_of_this_droplet_dac_6() {
    let app = TestApp::start().await;
    let (id, other) = (made(&app, json!({ "backups": true })).await, made(&app, json!({ "backups": true })).await);
    for one in [id, other] {
        app.move_to_backup(one).await;
        app.backup_round().await;
    }
    let admin = app.admin();
    let of = async |id: u64| admin.droplet(id).await["backup_ids"][0].clone();
    let snapshot = done(&app, id, json!({ "type": "snapshot" })).await["snapshot_ids"][0].clone();
    for image in [json!(null), of(other).await, snapshot, json!("ubuntu-24-04-x64"), json!(1)] {
        ask(&app, id, json!({ "type": "restore", "image": image })).await.invalid();
    }
    let backup = of(id).await;
    let after = done(&app, id, json!({ "type": "restore", "image": backup })).await;
    assert_eq!((&after["image"]["id"], &after["status"]), (&backup, &json!("active")));
    assert_eq!(after["backup_ids"], json!([backup]), "it is still there");
}

#[tokio::test]
async fn a_resize_goes_up_without_the_disk_and_back_and_up_with_it_dac_3() {
    let app = TestApp::start().await;
    let id = made(&app, json!({})).await;
    let refusal = ask(&app, id, json!({ "type": "resize", "size": "s-1vcpu-2gb" })).await.invalid();
    assert!(refusal.contains("powered off"), "{refusal}");
    done(&app, id, json!({ "type": "power_off" })).await;
    let figures = |droplet: &Value| {
        let members = ["size_slug", "memory", "vcpus", "disk", "status"].map(|name| droplet[name].clone());
        assert_eq!(droplet["size"]["slug"], droplet["size_slug"]);
        assert_eq!(droplet["disk_info"][0]["size"]["amount"], droplet["disk"]);
        json!(members)
    };
    let up = json!({ "type": "resize", "size": "s-1vcpu-2gb" });
    let back = json!({ "type": "resize", "size": "s-1vcpu-1gb" });
    assert_eq!(figures(&done(&app, id, up.clone()).await), json!(["s-1vcpu-2gb", 2048, 1, 25, "off"]));
    assert_eq!(figures(&done(&app, id, back.clone()).await), json!(["s-1vcpu-1gb", 1024, 1, 25, "off"]));
    let up = with(up, json!({ "disk": true }));
    assert_eq!(figures(&done(&app, id, up).await), json!(["s-1vcpu-2gb", 2048, 1, 50, "off"]));
    let refusal = ask(&app, id, back).await.invalid();
    assert!(refusal.contains("Size can not decrease size of Droplet's disk image"), "{refusal}");
}

#[tokio::test]
async fn a_resize_needs_a_size_that_is_offered_and_the_same_gpus_dac_3() {
    let app = TestApp::start_with(|setup| {
        setup.equipment.hosts[0].vcpus = 64;
    })
    .await;
    let id = made(&app, json!({})).await;
    let gpu = made(&app, json!({ "size": "gpu-h100x1-80gb", "region": "nyc2" })).await;
    for one in [id, gpu] {
        done(&app, one, json!({ "type": "power_off" })).await;
    }
    for size in [json!(null), json!(""), json!("no-such-size"), json!("gpu-h100x1-80gb"), json!("gpu-h100x8-640gb")] {
        ask(&app, id, json!({ "type": "resize", "size": size })).await.invalid();
    }
    for size in ["s-1vcpu-1gb", "gpu-mi300x1-192gb", "s-4vcpu-8gb"] {
        ask(&app, gpu, json!({ "type": "resize", "size": size })).await.invalid();
    }
    assert_eq!(app.backlog().await, 0);
    app.books_balance().await;
}

#[tokio::test]
async fn ipv6_comes_once_to_a_running_or_stopped_droplet_dac_8() {
    let app = TestApp::start().await;
    let (on, off) = (made(&app, json!({})).await, made(&app, json!({})).await);
    done(&app, off, json!({ "type": "power_off" })).await;
    // A name the guest has not heard of yet is no reason to refuse.
    done(&app, on, json!({ "type": "rename", "name": "other" })).await;
    for id in [on, off] {
        let after = done(&app, id, json!({ "type": "enable_ipv6" })).await;
        let address = after["networks"]["v6"][0]["ip_address"].as_str().expect("an address").to_owned();
        assert!(after["features"].as_array().is_some_and(|all| all.contains(&json!("ipv6"))), "{}", after["features"]);
        let spec = app.sim().spec(MachineId(id)).await.expect("the simulator answers").expect("a machine");
        let link = spec.nics.iter().find_map(|nic| nic.ipv6).expect("a link with IPv6");
        assert_eq!(link.address.to_string(), address);
        ask(&app, id, json!({ "type": "enable_ipv6" })).await.invalid();
    }
    let private = made(&app, json!({ "public_networking": false })).await;
    ask(&app, private, json!({ "type": "enable_ipv6" })).await.invalid();
}
