//! Hosts that the engine tells of: placed on like declared ones, by what they have and what is taken of it.

use dewpoint_control::{ControlConfig, WhenOff};
use dewpoint_engine::{GpuState, Host, HostGpus, sim::Equipment};
use dewpoint_testkit::TestApp;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{FIRST, SECOND, alerts, create, delete, host_with, machine_gpus, made, on_metal, states, wish};
use crate::{droplet, each};

#[tokio::test]
async fn a_create_gets_gpus_of_the_engines_host_and_the_third_of_two_is_refused() {
    let app = on_metal(WhenOff::Keep).await;
    let answers = join_all((0..3).map(|_| create(&app, json!({})))).await;
    let ids: Vec<u64> = answers
        .iter()
        .filter(|answer| answer.status == 202)
        .map(|answer| answer.json()["droplet"]["id"].as_u64().expect("a number"))
        .collect();
    assert_eq!(ids.len(), 2);
    let refused = answers.iter().find(|answer| answer.status != 202).expect("one of them");
    let message = refused.refusal(422, "unprocessable_entity");
    assert!(
        message.contains(&format!("Size {}", super::H100)) && message.contains("too few of these GPUs free"),
        "{message}"
    );
    app.run_actions_to_end().await;
    let mut names = [machine_gpus(&app, ids[0]).await, machine_gpus(&app, ids[1]).await].concat();
    names.sort();
    assert_eq!(names, [FIRST, SECOND]);
    assert_eq!(states(&app).await, ["used", "used"]);
    app.books_balance().await;
    delete(&app, ids[0]).await;
    app.books_balance().await;
    made(&app).await;
    assert_eq!(states(&app).await, ["used", "used"]);
    app.books_balance().await;
}

#[tokio::test]
async fn sizes_are_available_where_a_host_could_serve_them_at_all_cre_6() {
    let app = on_metal(WhenOff::Keep).await;
    let sizes = app.admin().all("/v2/sizes", "sizes").await;
    let available = |slug: &str| sizes.iter().find(|size| size["slug"] == slug).expect("a size")["available"].clone();
    // One GPU of two that there are; eight; none of that model; more memory than the host has.
    assert_eq!(available("gpu-h100x1-80gb"), true);
    assert_eq!(available("gpu-h100x8-640gb"), false);
    assert_eq!(available("gpu-mi300x1-192gb"), false);
    assert_eq!(available("s-1vcpu-1gb"), true);
    made(&app).await;
    made(&app).await;
    let now = app.admin().all("/v2/sizes", "sizes").await;
    assert_eq!(now, sizes, "it could serve them, and has none left");
    let eight = wish(json!({ "size": "gpu-h100x8-640gb", "image": "gpu-h100x8-base" }));
    let refused = app.admin().post("/v2/droplets", eight).await;
    assert!(refused.refusal(422, "unprocessable_entity").contains("no host here can serve it"));
}

#[tokio::test]
async fn every_region_that_sells_a_size_is_the_engines_host() {
    let app = on_metal(WhenOff::Keep).await;
    create(&app, json!({ "region": "tor1" })).await.expect(202);
    create(&app, json!({ "region": "nyc2" })).await.expect(202);
    let stock = app.admin().get("/dew/v1/stock").await.expect(200);
    assert_eq!((&stock["declared"], &stock["hosts"][0]["region"]), (&json!(false), &Value::Null));
    assert_eq!(stock["hosts"][0]["gpus"], json!([{ "model": "nvidia_h100", "total": 2, "used": 2, "free": 0 }]));
}

#[tokio::test]
async fn memory_of_a_host_with_gpus_is_promised_once_to_gpu_droplets_and_others() {
    let app = on_metal(WhenOff::Keep).await;
    // 524288 MiB: two of 245760, and 32768 are left.
    made(&app).await;
    made(&app).await;
    let create = async |size: &str| app.admin().post("/v2/droplets", droplet(json!({ "size": size }))).await;
    create("s-4vcpu-8gb").await.expect(202);
    create("s-8vcpu-16gb").await.expect(202);
    let refused = create("s-8vcpu-16gb").await.refusal(422, "unprocessable_entity");
    assert!(refused.contains("too little memory free"), "{refused}");
}

#[tokio::test]
async fn a_host_without_gpus_is_counted_when_the_operator_says_so_and_what_was_there_before_too() {
    let equipment = |hosts| Equipment { hosts, ..Equipment::default() };
    let plain = || Host { name: "metal".into(), vcpus: 4, memory_mib: 4096, gpus: HostGpus::NONE };
    let create =
        async |app: &TestApp, size: &str| app.admin().post("/v2/droplets", droplet(json!({ "size": size }))).await;
    let uncounted = TestApp::start_with(|setup| setup.equipment = equipment(vec![plain()])).await;
    for _ in 0..3 {
        create(&uncounted, "s-1vcpu-2gb").await.expect(202);
    }
    assert_eq!(uncounted.admin().get("/dew/v1/stock").await.expect(200)["hosts"], json!([]));

    let config = ControlConfig { count_hosts: true, ..ControlConfig::default() };
    let mut app = TestApp::start_with(|setup| {
        setup.equipment = equipment(vec![plain()]);
        setup.control = config;
    })
    .await;
    create(&app, "s-1vcpu-2gb").await.expect(202);
    create(&app, "s-1vcpu-2gb").await.expect(202);
    create(&app, "s-1vcpu-1gb").await.refusal(422, "unprocessable_entity");
    app.run_actions_to_end().await;
    // As one that an earlier version made: nothing is written of what it has.
    let forget = |tx: &mut dyn dewpoint_store::Tx| tx.execute("DELETE FROM holdings", &[]).map(drop);
    app.store().write(forget).await.expect("the store can be written");
    app.restart().await;
    create(&app, "s-1vcpu-1gb").await.refusal(422, "unprocessable_entity");
    app.books_balance().await;
}

#[tokio::test]
async fn a_host_whose_only_gpu_shows_its_console_is_as_one_without() {
    let hosts = vec![host_with(&[(FIRST, GpuState::Unusable("it drives the console".to_owned()))])];
    let app = TestApp::start_with(|setup| setup.equipment = Equipment { hosts, ..Equipment::default() }).await;
    let stock = app.admin().get("/dew/v1/stock").await.expect(200);
    assert_eq!((&stock["hosts"], &stock["generation"]), (&json!([]), &json!(0)));
    for _ in 0..40 {
        let body = droplet(json!({ "size": "s-8vcpu-16gb" }));
        app.admin().post("/v2/droplets", body).await.expect(202);
    }
    create(&app, json!({})).await.refusal(422, "unprocessable_entity");
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test]
async fn gpus_a_host_cannot_give_are_shown_and_never_given() {
    let why = "it drives the console".to_owned();
    let hosts = vec![host_with(&[(FIRST, GpuState::Unusable(why)), (SECOND, GpuState::Ready)])];
    let app = TestApp::start_with(|setup| setup.equipment = Equipment { hosts, ..Equipment::default() }).await;
    let id = made(&app).await;
    assert_eq!(machine_gpus(&app, id).await, [SECOND]);
    create(&app, json!({})).await.refusal(422, "unprocessable_entity");
    let stock = app.admin().get("/dew/v1/stock").await.expect(200);
    let devices = &stock["hosts"][0]["devices"];
    assert_eq!(each(devices, "state"), ["unusable", "used"]);
    assert_eq!(each(devices, "droplet_id"), [&Value::Null, &json!(id)]);
    assert_eq!(devices[0]["reason"], "it drives the console");
    assert_eq!(alerts(&app).await, Vec::<String>::new(), "nobody needs it");
}
