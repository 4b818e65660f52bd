//! GPUs that could not be reset, and GPUs that are not there any more.

use dewpoint_control::WhenOff;
use dewpoint_engine::Operation;
use dewpoint_engine::sim::Moment;
use serde_json::json;

use super::{
    FIRST, SECOND, act, alerts, create, declare, declared, delete, machine_gpus, made, on_metal, states, status,
};
use crate::{fault, for_good};

fn gpu(address: &str) -> dewpoint_engine::GpuAddress {
    address.parse().expect("an address")
}

#[tokio::test]
async fn a_gpu_that_cannot_be_reset_is_parked_until_the_operator_puts_it_back() {
    let mut app = on_metal(WhenOff::Keep).await;
    let id = made(&app).await;
    let own = machine_gpus(&app, id).await.remove(0);
    app.sim().spoil_gpu("metal", gpu(&own)).await.expect("the simulator answers");
    delete(&app, id).await;
    app.admin().get(&format!("/v2/droplets/{id}")).await.refusal(404, "not_found");
    assert_eq!(states(&app).await, ["parked", "free"]);
    let told = alerts(&app).await;
    assert!(told.len() == 1 && told[0].contains(&own) && told[0].contains("could not be reset"), "{told:?}");
    assert_eq!(app.control().gpus_in_trouble(), (0, 1));
    app.books_balance().await;
    // It stays out of stock, also for a server that starts anew.
    app.restart().await;
    let other = made(&app).await;
    assert_eq!(machine_gpus(&app, other).await, [SECOND]);
    create(&app, json!({})).await.refusal(422, "unprocessable_entity");
    let path = format!("/dew/v1/stock/parked/metal/{own}");
    app.other_account().await.delete(&path).await.refusal(403, "forbidden");
    app.admin().delete(&path).await.expect(204);
    app.admin().delete(&path).await.refusal(404, "not_found");
    app.admin().delete("/dew/v1/stock/parked/metal/nonsense").await.refusal(404, "not_found");
    assert_eq!((states(&app).await, alerts(&app).await), (vec!["free".to_owned(), "used".to_owned()], Vec::new()));
    let again = made(&app).await;
    assert_eq!(machine_gpus(&app, again).await, [own]);
    app.books_balance().await;
}

#[tokio::test]
async fn a_declared_gpu_is_parked_too_and_a_new_declaration_does_not_put_it_back() {
    let app = declared(1).await;
    let id = made(&app).await;
    app.sim().spoil_gpu("h1", gpu("0000:01:00.0")).await.expect("the simulator answers");
    delete(&app, id).await;
    assert_eq!(states(&app).await, ["parked"]);
    declare(&app, 1).await;
    assert_eq!(states(&app).await, ["parked"]);
    app.admin().delete("/dew/v1/stock").await.expect(204);
    assert_eq!(alerts(&app).await, Vec::<String>::new(), "there is plenty");
    declare(&app, 1).await;
    assert_eq!(states(&app).await, ["parked"]);
    create(&app, json!({})).await.refusal(422, "unprocessable_entity");
    app.admin().delete("/dew/v1/stock/parked/h1/0000:01:00.0").await.expect(204);
    made(&app).await;
    app.books_balance().await;
}

#[tokio::test]
async fn a_gpu_whose_giving_back_fails_for_good_is_parked_and_the_destroy_of_its_droplet_is_told_as_it_is() {
    let app = declared(1).await;
    let id = made(&app).await;
    app.sim().faults().order(fault(Operation::GiveBackGpus, Moment::Before, 2, for_good));
    delete(&app, id).await;
    assert_eq!(states(&app).await, ["parked"]);
    assert!(alerts(&app).await[0].contains("could not be given back"), "{:?}", alerts(&app).await);
    assert_eq!((app.backlog().await, app.machines().await), (0, Vec::new()));
    app.admin().get(&format!("/v2/droplets/{id}")).await.refusal(404, "not_found");
}

#[tokio::test]
async fn a_step_error_parks_a_gpu_as_a_fault_of_the_simulator() {
    let app = declared(1).await;
    let id = made(&app).await;
    let effect = json!({ "type": "step_error", "action": "destroy", "step": "gpus" });
    app.admin().post("/dew/v1/faults", json!({ "effect": effect, "count": 1 })).await.expect(201);
    delete(&app, id).await;
    assert_eq!(states(&app).await, ["free"], "it was given back in spite of it");
    app.books_balance().await;
}

#[tokio::test]
async fn a_gpu_that_vanishes_raises_an_alert_and_its_droplet_is_not_started_without_it() {
    let mut app = on_metal(WhenOff::Keep).await;
    let id = made(&app).await;
    let own = machine_gpus(&app, id).await.remove(0);
    let place = app.admin().get("/dew/v1/events?wait=0").await.json()["next"].clone();
    app.sim().lose_gpu("metal", gpu(&own), true).await.expect("the simulator answers");
    app.control().refresh_stock().await.expect("it can be looked at");

    assert_eq!(states(&app).await, ["missing", "free"]);
    let told = alerts(&app).await;
    assert!(told.len() == 1 && told[0].contains(&own) && told[0].contains(&format!("Droplet {id} has it")), "{told:?}");
    assert_eq!(app.control().gpus_in_trouble(), (1, 0));
    let since = place.as_str().expect("a place");
    let events = app.admin().get(&format!("/dew/v1/events?after={since}&wait=0")).await.json();
    let kinds: Vec<_> = events["events"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|event| (event["kind"].clone(), event["resource_id"].clone()))
        .collect();
    assert!(kinds.contains(&(json!("gpu"), json!(format!("metal/{own}")))), "{kinds:?}");
    assert!(kinds.contains(&(json!("droplet"), json!(id))), "{kinds:?}");
    let found = app.findings().await;
    assert!(found.iter().any(|finding| finding.rule == "gpu-missing" && finding.what.contains(&own)), "{found:?}");

    // It is shown as it is.
    assert_eq!(status(&app, id).await, "active");
    for kind in ["reboot", "power_cycle"] {
        let refused = app.admin().act(id, kind).await.refusal(422, "unprocessable_entity");
        assert!(refused.contains(&own) && refused.contains("is missing") && refused.contains("snapshot"), "{refused}");
    }
    act(&app, id, "power_off").await;
    app.admin().act(id, "power_on").await.refusal(422, "unprocessable_entity");
    app.restart().await;
    assert_eq!(status(&app, id).await, "off");
    app.admin().act(id, "power_on").await.refusal(422, "unprocessable_entity");
    // Nor is it anybody else's, nor forgotten, while the Droplet has it.
    let path = format!("/dew/v1/stock/parked/metal/{own}");
    app.admin().delete(&path).await.refusal(404, "not_found");

    app.sim().lose_gpu("metal", gpu(&own), false).await.expect("the simulator answers");
    app.control().refresh_stock().await.expect("it can be looked at");
    assert_eq!((states(&app).await, alerts(&app).await), (vec!["used".to_owned(), "free".to_owned()], Vec::new()));
    act(&app, id, "power_on").await;
    assert_eq!((status(&app, id).await, machine_gpus(&app, id).await), (json!("active"), vec![own]));
    app.books_balance().await;
}

#[tokio::test]
async fn a_missing_gpu_that_nobody_has_is_told_of_until_it_is_forgotten() {
    let app = on_metal(WhenOff::Keep).await;
    app.sim().lose_gpu("metal", gpu(FIRST), true).await.expect("the simulator answers");
    app.control().refresh_stock().await.expect("it can be looked at");
    assert!(alerts(&app).await[0].contains("forget it with DELETE /dew/v1/stock/parked/metal/0000:17:00.0"));
    app.admin().delete("/dew/v1/stock/parked/metal/0000:17:00.0").await.expect(204);
    app.control().refresh_stock().await.expect("it can be looked at");
    assert_eq!((states(&app).await, alerts(&app).await), (vec!["free".to_owned()], Vec::new()));
    app.sim().lose_gpu("metal", gpu(FIRST), false).await.expect("the simulator answers");
    app.control().refresh_stock().await.expect("it can be looked at");
    assert_eq!(states(&app).await, ["free", "free"]);
}

#[tokio::test]
async fn a_declaration_with_fewer_gpus_is_as_if_they_had_been_pulled_out() {
    let app = declared(2).await;
    let [first, second] = [made(&app).await, made(&app).await];
    declare(&app, 1).await;
    let mut refused = 0;
    for id in [first, second] {
        act(&app, id, "power_off").await;
        refused += u64::from(app.admin().act(id, "power_on").await.status == 422);
    }
    app.run_actions_to_end().await;
    assert_eq!((refused, alerts(&app).await.len()), (1, 1));
    declare(&app, 2).await;
    assert_eq!(alerts(&app).await, Vec::<String>::new());
    for id in [first, second] {
        if status(&app, id).await == "off" {
            act(&app, id, "power_on").await;
        }
        delete(&app, id).await;
    }
    assert_eq!(states(&app).await, ["free", "free"]);
    app.books_balance().await;
}
