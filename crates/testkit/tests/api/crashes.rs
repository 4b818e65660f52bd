//! Kills and restarts: what was answered finishes, and the next start puts machines, addresses and Droplets in agreement.

use std::{net::Ipv4Addr, time::Duration};

use dewpoint_control::actions::Point;
use dewpoint_engine::{Engine as _, Error as EngineError, MachineId, MachineSpec, Operation, Power, sim::Moment};
use dewpoint_store::{Tx, addresses};
use dewpoint_testkit::TestApp;
use serde_json::json;

use crate::{droplet, each, fault, for_good, for_now, ids};

#[tokio::test]
async fn creates_that_were_answered_finish_after_a_kill() {
    let mut app = TestApp::start().await;
    let names = droplet(json!({ "name": null, "names": (0..10).map(|n| format!("d{n}")).collect::<Vec<_>>() }));
    let body = app.admin().post("/v2/droplets", names).await.expect(202);
    let (made, begun) = (ids(&body["droplets"]), ids(&body["links"]["actions"]));
    app.crash_worker_at("create", "boot", Point::Done);
    app.run_actions_to_end().await;
    assert!(app.worker_has_crashed());
    assert_eq!(app.backlog().await, 1);
    app.restart().await;
    app.run_actions_to_end().await;
    for action in begun {
        assert_eq!(app.admin().action(action).await["status"], "completed");
    }
    assert_eq!(app.machines().await, made);
    app.books_balance().await;
}

#[tokio::test]
async fn what_nobody_worked_on_before_the_kill_finishes_too() {
    let mut app = TestApp::start().await;
    let id = app.admin().create_droplet("web-1").await;
    app.restart().await;
    app.run_actions_to_end().await;
    assert_eq!(app.admin().droplet(id).await["status"], "active");
    app.admin().delete(&format!("/v2/droplets/{id}")).await.expect(204);
    app.restart().await;
    app.run_actions_to_end().await;
    assert!(app.machines().await.is_empty());
    app.books_balance().await;
}

#[tokio::test]
async fn a_restart_removes_a_machine_that_nobody_owns() {
    let mut app = TestApp::start().await;
    let id = app.admin().active_droplet("web-1").await;
    let spec: MachineSpec = app.sim().spec(MachineId(id)).await.expect("it answers").expect("a machine");
    app.sim().ensure(MachineId(7), &spec).await.expect("a stranger's machine");
    app.sim().power(MachineId(7), Power::On).await.expect("which runs");
    app.restart().await;
    assert_eq!(app.machines().await, [id]);
    app.books_balance().await;
}

#[tokio::test]
async fn a_restart_leaves_machines_alone_that_an_action_sees_to() {
    let mut app = TestApp::start().await;
    let gone = app.admin().active_droplet("gone").await;
    app.admin().delete(&format!("/v2/droplets/{gone}")).await.expect(204);
    let coming = app.admin().create_droplet("coming").await;
    app.crash_worker_at("create", "boot", Point::Done);
    app.sim().faults().order(fault(Operation::Destroy, Moment::Before, 1, for_now));
    app.run_actions_to_end().await;
    app.restart().await;
    assert_eq!(app.machines().await, [gone, coming]);
    app.run_actions_to_end().await;
    assert_eq!(app.machines().await, [coming]);
    app.books_balance().await;
}

#[tokio::test]
async fn a_restart_finds_what_machines_did_meanwhile() {
    let mut app = TestApp::start().await;
    let (off, lost, on) = (
        app.admin().active_droplet("off").await,
        app.admin().active_droplet("lost").await,
        app.admin().active_droplet("on").await,
    );
    app.admin().act(on, "power_off").await.expect(201);
    app.run_actions_to_end().await;
    app.sim().power(MachineId(off), Power::Off).await.expect("its guest goes off");
    app.sim().power(MachineId(on), Power::On).await.expect("someone starts it");
    app.sim().destroy(MachineId(lost)).await.expect("it is lost");
    app.restart().await;
    let admin = app.admin();
    let mut statuses = Vec::new();
    for id in [off, lost, on] {
        statuses.push(admin.droplet(id).await["status"].as_str().expect("a word").to_owned());
    }
    assert_eq!(statuses, ["off", "off", "active"]);
    admin.delete(&format!("/v2/droplets/{lost}")).await.expect(204);
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test]
async fn running_machines_keep_running_and_are_found_again() {
    let mut app = TestApp::start().await;
    let id = app.admin().active_droplet("web-1").await;
    let before = app.sim().observe(MachineId(id)).await.expect("it answers");
    let shown = app.admin().droplet(id).await;
    app.clock().advance(Duration::from_secs(3600));
    for _ in 0..3 {
        app.restart().await;
    }
    assert_eq!(app.sim().observe(MachineId(id)).await.expect("it answers"), before, "not started anew");
    assert_eq!(app.admin().droplet(id).await, shown);
    app.books_balance().await;
}

#[tokio::test]
async fn an_address_this_host_cannot_use_is_replaced_and_banned_until_the_next_start() {
    let mut app = TestApp::start().await;
    let unusable: fn(MachineId) -> EngineError = |_| EngineError::AddressUnusable(Ipv4Addr::new(100, 64, 0, 2));
    app.sim().faults().order(fault(Operation::PowerOn, Moment::Before, 1, unusable));
    let id = app.admin().active_droplet("web-1").await;
    let address = async |app: &TestApp, id| {
        let shown = app.admin().droplet(id).await["networks"]["v4"][0]["ip_address"].clone();
        shown.as_str().expect("an address").to_owned()
    };
    assert_eq!(address(&app, id).await, "100.64.0.3");
    assert!(app.addresses().await.contains(&("public-v4".to_owned(), 2, None)), "banned");
    app.books_balance().await;
    app.restart().await;
    assert!(app.addresses().await.iter().all(|(.., holder)| holder.is_some()), "tried again by the next server");
    app.books_balance().await;
}

#[tokio::test]
async fn a_replacement_of_an_address_that_is_cut_off_half_way_is_finished() {
    let mut app = TestApp::start().await;
    let unusable: fn(MachineId) -> EngineError = |_| EngineError::AddressUnusable(Ipv4Addr::new(100, 64, 0, 2));
    app.sim().faults().order(fault(Operation::PowerOn, Moment::Before, 1, unusable));
    app.sim().faults().order(fault(Operation::Change, Moment::Before, 1, for_now));
    let id = app.admin().create_droplet("web-1").await;
    app.run_actions_to_end().await;
    app.restart().await;
    app.run_actions_to_end().await;
    assert_eq!(app.admin().droplet(id).await["networks"]["v4"][0]["ip_address"], "100.64.0.3");
    app.books_balance().await;
}

#[tokio::test]
async fn a_host_without_any_usable_address_fails_the_create_and_keeps_nothing_of_it() {
    let pool = (Ipv4Addr::new(192, 0, 2, 0), 30);
    let app = TestApp::start_with(|setup| setup.control.public_v4_pool = Some(pool)).await;
    let unusable: fn(MachineId) -> EngineError = |_| EngineError::AddressUnusable(Ipv4Addr::new(192, 0, 2, 2));
    app.sim().faults().order(fault(Operation::PowerOn, Moment::Before, 1, unusable));
    app.admin().create_droplet("web-1").await;
    let action = app.admin().newest_action().await["id"].as_u64().expect("a number");
    app.run_actions_to_end().await;
    let story = app.admin().action_story(action).await;
    assert_eq!(story["action"]["status"], "errored");
    assert!(story["reason"].as_str().is_some_and(|reason| reason.contains("address")), "{story}");
    assert!(app.droplet_records().await.is_empty());
    app.books_balance().await;
}

#[tokio::test]
async fn a_failed_create_leaves_an_errored_action_and_its_reason_cre_23() {
    let app = TestApp::start().await;
    let body = droplet(json!({ "tags": ["web"], "user_data": "#!/bin/sh", "ipv6": true }));
    let id = app.admin().post("/v2/droplets", body).await.expect(202)["droplet"]["id"].as_u64().expect("a number");
    app.sim().faults().order(fault(Operation::PowerOn, Moment::Before, 1, for_good));
    app.run_actions_to_end().await;
    app.admin().get(&format!("/v2/droplets/{id}")).await.refusal(404, "not_found");
    let action = app.admin().newest_action().await;
    assert_eq!((&action["status"], &action["resource_id"]), (&json!("errored"), &json!(id)));
    let story = app.admin().action_story(action["id"].as_u64().expect("a number")).await;
    assert!(story["reason"].as_str().is_some_and(|reason| reason.contains("none is left")), "{story}");
    assert_eq!(each(&story["timeline"], "step"), ["ensure", "attach", "boot", "remove"]);
    assert!(app.addresses().await.iter().all(|(.., holder)| holder.is_none()), "they are given back");
    app.books_balance().await;
}

#[tokio::test]
async fn addresses_of_a_droplet_that_is_gone_are_given_back_by_the_next_start() {
    let mut app = TestApp::start().await;
    let id = app.admin().active_droplet("web-1").await;
    app.store()
        .write(|tx: &mut dyn Tx| {
            let rested = dewpoint_clock::Timestamp::default();
            let positions = addresses::Positions { pool: "public-v4", first: 2, size: 100, rested };
            addresses::address_take(tx, &positions, Some(dewpoint_api::DropletId(7)))?;
            Ok::<_, dewpoint_store::Error>(())
        })
        .await
        .expect("an address of nobody's");
    app.restart().await;
    assert_eq!(app.addresses().await.iter().filter_map(|(.., holder)| *holder).collect::<Vec<_>>(), [id, id]);
    app.books_balance().await;
}
