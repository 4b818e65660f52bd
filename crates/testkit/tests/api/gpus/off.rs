//! GPU Droplets that are off: they keep their GPUs, or give them back and take some again, as the operator wants it.

use dewpoint_control::WhenOff;
use dewpoint_engine::{MachineId, Operation, sim::Moment};
use dewpoint_testkit::TestApp;
use serde_json::json;

use super::{FIRST, SECOND, act, create, delete, machine_gpus, made, on_metal, states, status};
use crate::{fault, for_good};

/// Two active Droplets that have both GPUs.
async fn both_taken(when_off: WhenOff) -> (TestApp, [u64; 2]) {
    let app = on_metal(when_off).await;
    let ids = [made(&app).await, made(&app).await];
    (app, ids)
}

#[tokio::test]
async fn a_droplet_that_is_off_keeps_its_gpu_unless_told_otherwise() {
    let (app, [first, _]) = both_taken(WhenOff::Keep).await;
    let own = machine_gpus(&app, first).await;
    for kind in ["power_off", "power_on", "shutdown", "power_on", "reboot", "power_cycle"] {
        act(&app, first, kind).await;
        assert_eq!(
            (states(&app).await, machine_gpus(&app, first).await),
            (vec!["used".to_owned(); 2], own.clone()),
            "{kind}"
        );
        app.books_balance().await;
    }
    create(&app, json!({})).await.refusal(422, "unprocessable_entity");
}

#[tokio::test]
async fn where_gpus_are_freed_the_next_one_gets_it_and_power_on_is_out_of_stock_until_one_is_back() {
    let (app, [first, second]) = both_taken(WhenOff::Free).await;
    act(&app, first, "power_off").await;
    assert_eq!(machine_gpus(&app, first).await, Vec::<String>::new());
    app.books_balance().await;
    let third = made(&app).await;
    let refused = app.admin().act(first, "power_on").await;
    let message = refused.refusal(422, "unprocessable_entity");
    assert!(message.contains("out of stock on host metal") && message.contains("power"), "{message}");
    assert_eq!(refused.json()["error_attributes"]["available_regions"], json!([]));
    for kind in ["power_cycle", "rebuild"] {
        let body = json!({ "type": kind, "image": "gpu-h100x1-base" });
        app.admin().post(&format!("/v2/droplets/{first}/actions"), body).await.refusal(422, "unprocessable_entity");
    }
    assert_eq!(status(&app, first).await, "off");
    act(&app, second, "shutdown").await;
    act(&app, first, "power_on").await;
    assert_eq!((status(&app, first).await, states(&app).await), (json!("active"), vec!["used".to_owned(); 2]));
    let mut names = [machine_gpus(&app, first).await, machine_gpus(&app, third).await].concat();
    names.sort();
    assert_eq!(names, [FIRST, SECOND]);
    app.books_balance().await;
    for id in [first, second, third] {
        delete(&app, id).await;
    }
    assert_eq!(states(&app).await, ["free", "free"]);
    app.books_balance().await;
}

#[tokio::test]
async fn a_droplet_that_is_off_without_gpus_can_be_rebuilt_resized_and_renamed() {
    let (app, [first, _]) = both_taken(WhenOff::Free).await;
    act(&app, first, "power_off").await;
    let ask = async |body| {
        app.admin().post(&format!("/v2/droplets/{first}/actions"), body).await.expect(201);
        app.run_actions_to_end().await;
        app.books_balance().await;
    };
    ask(json!({ "type": "rename", "name": "other" })).await;
    ask(json!({ "type": "snapshot", "name": "before" })).await;
    ask(json!({ "type": "rebuild", "image": "gpu-h100x1-base" })).await;
    assert_eq!(status(&app, first).await, "active");
    assert_eq!(machine_gpus(&app, first).await.len(), 1);
    ask(json!({ "type": "reboot" })).await;
    assert_eq!(states(&app).await, ["used", "used"]);
}

#[tokio::test]
async fn the_gpu_of_a_guest_that_goes_off_by_itself_is_freed_too() {
    let mut app = on_metal(WhenOff::Free).await;
    let id = made(&app).await;
    app.sim().guest_powers_off(MachineId(id)).await.expect("it runs");
    app.restart().await;
    app.run_actions_to_end().await;
    assert_eq!((status(&app, id).await, states(&app).await), (json!("off"), vec!["free".to_owned(); 2]));
    let actions = app.admin().all(&format!("/v2/droplets/{id}/actions"), "actions").await;
    assert_eq!((&actions[0]["type"], &actions[0]["status"]), (&json!("power_off"), &json!("completed")));
    app.books_balance().await;
}

#[tokio::test]
async fn a_power_on_that_fails_gives_back_what_it_took_again() {
    for operation in [Operation::TakeGpus, Operation::PowerOn, Operation::Change] {
        let app = on_metal(WhenOff::Free).await;
        let id = made(&app).await;
        act(&app, id, "power_off").await;
        app.sim().faults().order(fault(operation, Moment::Before, 1, for_good));
        act(&app, id, "power_on").await;
        assert_eq!(
            (status(&app, id).await, states(&app).await),
            (json!("off"), vec!["free".to_owned(); 2]),
            "{operation}"
        );
        app.books_balance().await;
        act(&app, id, "power_on").await;
        assert_eq!(status(&app, id).await, "active");
        app.books_balance().await;
    }
}
