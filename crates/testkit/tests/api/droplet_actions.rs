//! What can be asked of a Droplet: power and rename, one by one and by tag (DAC-*, ACT-6, ACT-7, ACT-12).

use dewpoint_engine::{Engine as _, Error as EngineError, MachineId, Operation, sim::Moment};
use dewpoint_testkit::TestApp;
use serde_json::{Value, json};

use crate::{droplet, each, fault, ids};

async fn done(app: &TestApp, id: u64, kind: &str) -> Value {
    let action = app.admin().act(id, kind).await.expect(201)["action"].clone();
    assert_eq!((&action["type"], &action["status"]), (&json!(kind), &json!("in-progress")), "ACT-7");
    app.run_actions_to_end().await;
    app.admin().action(action["id"].as_u64().expect("a number")).await
}

async fn status(app: &TestApp, id: u64) -> String {
    app.books_balance().await;
    app.admin().droplet(id).await["status"].as_str().expect("a word").to_owned()
}

#[tokio::test]
async fn power_off_and_on_and_what_they_refuse_dac_1_err_5() {
    let app = TestApp::start().await;
    let id = app.admin().active_droplet("web-1").await;
    assert_eq!(app.admin().act(id, "power_on").await.invalid(), "Droplet is already powered on");
    assert_eq!(done(&app, id, "power_off").await["status"], "completed");
    assert_eq!(status(&app, id).await, "off");
    assert_eq!(app.admin().act(id, "power_off").await.invalid(), "Droplet is already powered off");
    assert_eq!(done(&app, id, "power_on").await["status"], "completed");
    assert_eq!(status(&app, id).await, "active");
}

#[tokio::test]
async fn shutdown_of_a_droplet_that_is_off_is_no_error_dac_1() {
    let app = TestApp::start().await;
    let id = app.admin().active_droplet("web-1").await;
    for _ in 0..2 {
        assert_eq!(done(&app, id, "shutdown").await["status"], "completed");
        assert_eq!(status(&app, id).await, "off");
    }
}

#[tokio::test]
async fn power_cycle_and_reboot_start_the_machine_anew_dac_2() {
    let app = TestApp::start().await;
    let id = app.admin().active_droplet("web-1").await;
    let started = async || {
        let observed = app.sim().observe(MachineId(id)).await.expect("the simulator answers");
        observed.expect("a machine").started_at.expect("it runs")
    };
    for kind in ["power_cycle", "reboot"] {
        let before = started().await;
        app.clock().advance(std::time::Duration::from_secs(60));
        assert_eq!(done(&app, id, kind).await["status"], "completed");
        assert!(started().await > before, "{kind}");
        assert_eq!(status(&app, id).await, "active");
    }
    done(&app, id, "power_off").await;
    assert_eq!(done(&app, id, "power_cycle").await["status"], "completed", "always restarts");
    assert_eq!(status(&app, id).await, "active");
}

#[tokio::test]
async fn a_guest_that_ignores_a_shutdown_stays_active_and_the_action_errs_dac_2() {
    let app = TestApp::start().await;
    let id = app.admin().active_droplet("web-1").await;
    let ignores = || {
        app.sim().faults().order(fault(Operation::Shutdown, Moment::Before, 1, EngineError::GuestIgnored));
    };
    ignores();
    let action = done(&app, id, "shutdown").await;
    assert_eq!(action["status"], "errored");
    assert!(action["completed_at"].is_string());
    assert_eq!(status(&app, id).await, "active");
    ignores();
    assert_eq!(done(&app, id, "reboot").await["status"], "completed", "its plug is pulled");
    assert_eq!(status(&app, id).await, "active");
}

#[tokio::test]
async fn rename_changes_the_name_when_it_is_done_dac_4() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.active_droplet("web-1").await;
    let path = format!("/v2/droplets/{id}/actions");
    let action = admin.post(&path, json!({ "type": "rename", "name": "Web-2.example.com" })).await.expect(201);
    assert_eq!(admin.droplet(id).await["name"], "web-1");
    app.run_actions_to_end().await;
    assert_eq!(admin.droplet(id).await["name"], "Web-2.example.com");
    assert_eq!(ids(&admin.get("/v2/droplets?name=web-2.EXAMPLE.com").await.expect(200)["droplets"]), [id]);
    assert_eq!(admin.get("/v2/droplets?name=web-1").await.expect(200)["meta"]["total"], 0);
    assert_eq!(admin.action(action["action"]["id"].as_u64().expect("a number")).await["status"], "completed");
    for name in [json!(null), json!(""), json!("a b"), json!("a_b"), json!("a".repeat(256)), json!(7), json!(["a"])] {
        admin.post(&path, json!({ "type": "rename", "name": name })).await.invalid();
    }
    assert_eq!(app.backlog().await, 0);
    // Off Droplets are renamed as well.
    done(&app, id, "power_off").await;
    admin.post(&path, json!({ "type": "rename", "name": "web-3" })).await.expect(201);
    app.run_actions_to_end().await;
    assert_eq!((admin.droplet(id).await["name"].as_str(), status(&app, id).await.as_str()), (Some("web-3"), "off"));
}

#[tokio::test]
async fn enable_private_networking_completes_and_changes_nothing() {
    let app = TestApp::start().await;
    let id = app.admin().active_droplet("web-1").await;
    let before = app.admin().droplet(id).await;
    assert_eq!(done(&app, id, "enable_private_networking").await["status"], "completed");
    assert_eq!(app.admin().droplet(id).await, before);
}

#[tokio::test]
async fn a_type_that_is_unknown_or_lacks_its_member_is_refused_dac_10() {
    let app = TestApp::start().await;
    let id = app.admin().active_droplet("web-1").await;
    let path = format!("/v2/droplets/{id}/actions");
    for body in [
        json!({}),
        json!({ "type": "" }),
        json!({ "type": null }),
        json!({ "type": "explode" }),
        json!({ "type": "POWER_OFF" }),
        json!({ "type": "create" }),
        json!({ "type": "destroy" }),
        json!({ "type": "attach" }),
        json!({ "type": "attach_volume" }),
        json!({ "type": "rename" }),
        json!({ "type": "resize" }),
        json!({ "type": "rebuild" }),
        json!({ "type": "restore" }),
        json!({ "type": "change_kernel" }),
        json!({ "type": "change_kernel", "kernel": 7 }),
        json!({ "type": 7 }),
        json!({ "type": ["power_off"] }),
        json!([]),
    ] {
        app.admin().post(&path, body).await.invalid();
    }
    app.admin().send_bytes("POST", &path, "").await.refusal(400, "bad_request");
    app.admin().send_bytes("POST", &path, "{").await.refusal(400, "bad_request");
    assert_eq!(app.rows("actions").await, 1);
}

#[tokio::test]
async fn one_action_at_a_time_and_creation_is_one_act_6() {
    let app = TestApp::start().await;
    let id = app.admin().create_droplet("web-1").await;
    let busy = "Droplet already has a pending event.";
    assert_eq!(app.admin().act(id, "power_off").await.invalid(), busy, "while it is made");
    app.run_actions_to_end().await;
    app.admin().act(id, "power_off").await.expect(201);
    assert_eq!(app.admin().droplet(id).await["locked"], true);
    assert_eq!(app.admin().droplet(id).await["status"], "active", "until it is done");
    for kind in ["power_on", "power_off", "reboot", "enable_private_networking"] {
        assert_eq!(app.admin().act(id, kind).await.invalid(), busy, "{kind}");
    }
    app.run_actions_to_end().await;
    assert_eq!(app.admin().droplet(id).await["locked"], false);
    app.admin().act(id, "power_on").await.expect(201);
}

#[tokio::test]
async fn an_action_is_one_of_its_own_droplet() {
    let app = TestApp::start().await;
    let (first, second) = (app.admin().active_droplet("a").await, app.admin().active_droplet("b").await);
    let action = done(&app, first, "power_off").await["id"].clone();
    let shown = app.admin().get(&format!("/v2/droplets/{first}/actions/{action}")).await.expect(200);
    assert_eq!(shown["action"], app.admin().action(action.as_u64().expect("a number")).await);
    app.admin().get(&format!("/v2/droplets/{second}/actions/{action}")).await.refusal(404, "not_found");
    let listed = app.admin().get(&format!("/v2/droplets/{first}/actions")).await.expect(200);
    assert_eq!(each(&listed["actions"], "type"), ["power_off", "create"], "newest first");
    assert_eq!(listed["meta"]["total"], 2);
}

#[tokio::test]
async fn a_tag_asks_every_droplet_that_carries_it_act_12() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let names = droplet(json!({ "name": null, "names": ["a", "b"], "tags": ["web"] }));
    let made = ids(&admin.post("/v2/droplets", names).await.expect(202)["droplets"]);
    let alone = admin.create_droplet("alone").await;
    app.run_actions_to_end().await;
    let body = admin.post("/v2/droplets/actions?tag_name=web", json!({ "type": "power_off" })).await.expect(201);
    let mut asked: Vec<u64> = each(&body["actions"], "resource_id").iter().filter_map(|id| id.as_u64()).collect();
    asked.sort_unstable();
    assert_eq!(asked, made);
    app.run_actions_to_end().await;
    assert_eq!(app.running_machines().await, [alone]);
    for kind in ["power_on", "shutdown", "power_cycle"] {
        admin.post("/v2/droplets/actions?tag_name=web", json!({ "type": kind })).await.expect(201);
        app.run_actions_to_end().await;
    }
    app.books_balance().await;
}

#[tokio::test]
async fn a_tag_nobody_carries_asks_nobody_act_12() {
    let app = TestApp::start().await;
    app.admin().post("/v2/tags", json!({ "name": "unused" })).await.expect(201);
    for tag in ["unused", "unknown", "not%20a%20tag"] {
        let body =
            app.admin().post(&format!("/v2/droplets/actions?tag_name={tag}"), json!({ "type": "power_off" })).await;
        assert_eq!(body.expect(201)["actions"], json!([]), "{tag}");
    }
}

#[tokio::test]
async fn a_tag_takes_only_some_types_and_must_be_named_act_12() {
    let app = TestApp::start().await;
    let admin = app.admin();
    admin.post("/v2/droplets", droplet(json!({ "tags": ["web"] }))).await.expect(202);
    app.run_actions_to_end().await;
    for kind in ["reboot", "resize", "rebuild", "restore", "password_reset", "enable_private_networking", "nonsense"] {
        admin.post("/v2/droplets/actions?tag_name=web", json!({ "type": kind })).await.invalid();
    }
    admin.post("/v2/droplets/actions?tag_name=web", json!({ "type": "rename", "name": "x" })).await.invalid();
    for path in ["/v2/droplets/actions", "/v2/droplets/actions?tag_name="] {
        admin.post(path, json!({ "type": "power_off" })).await.invalid();
    }
    assert_eq!(app.backlog().await, 0);
}

#[tokio::test]
async fn one_droplet_that_refuses_keeps_the_tag_from_asking_any_act_12() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let names = droplet(json!({ "name": null, "names": ["a", "b"], "tags": ["web"] }));
    let made = ids(&admin.post("/v2/droplets", names).await.expect(202)["droplets"]);
    app.run_actions_to_end().await;
    admin.act(made[1], "reboot").await.expect(201);
    let message = admin.post("/v2/droplets/actions?tag_name=web", json!({ "type": "power_off" })).await.invalid();
    assert_eq!(message, "Droplet already has a pending event.");
    assert_eq!(admin.droplet(made[0]).await["locked"], false);
    app.run_actions_to_end().await;
    app.books_balance().await;
}
