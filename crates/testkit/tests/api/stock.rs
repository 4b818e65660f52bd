//! Hosts and GPUs that were declared, and what happens when there are none left: `/dew/v1/stock`, `dry_run`.

use dewpoint_testkit::{Answer, TestApp};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{droplet, with};

const H100: &str = "gpu-h100x1-80gb";
const EIGHT: &str = "gpu-h100x8-640gb";

fn gpu_host(name: &str, region: &str, count: u32) -> Value {
    let gpus = json!([{ "model": "nvidia_h100", "count": count }]);
    json!({ "name": name, "region": region, "vcpus": 192, "memory_mib": 2_097_152, "gpus": gpus })
}

async fn declared(hosts: Value, out_of_stock: Value) -> TestApp {
    let app = TestApp::start().await;
    declare(&app, hosts, out_of_stock).await;
    app
}

async fn declare(app: &TestApp, hosts: Value, out_of_stock: Value) -> Value {
    let body = json!({ "hosts": hosts, "out_of_stock": out_of_stock });
    app.admin().put("/dew/v1/stock", body).await.expect(200)
}

fn wish(changes: Value) -> Value {
    with(droplet(json!({ "size": H100, "image": "gpu-h100x1-base", "region": "nyc2" })), changes)
}

async fn create(app: &TestApp, changes: Value) -> Answer {
    app.admin().post("/v2/droplets", wish(changes)).await
}

async fn made(app: &TestApp, changes: Value) -> u64 {
    create(app, changes).await.expect(202)["droplet"]["id"].as_u64().expect("a number")
}

async fn free_gpus(app: &TestApp) -> Value {
    app.admin().get("/dew/v1/stock").await.expect(200)["hosts"][0]["gpus"][0]["free"].clone()
}

async fn status(app: &TestApp, id: u64) -> Value {
    app.admin().droplet(id).await["status"].clone()
}

async fn delete(app: &TestApp, id: u64) {
    app.admin().delete(&format!("/v2/droplets/{id}")).await.expect(204);
}

#[tokio::test]
async fn sixteen_creates_at_once_get_the_eight_gpus_there_are() {
    let app = declared(json!([gpu_host("h1", "nyc2", 8)]), json!({})).await;
    let answers = join_all((0..16).map(|_| create(&app, json!({})))).await;
    let made = answers.iter().filter(|answer| answer.status == 202).count();
    assert_eq!((made, free_gpus(&app).await), (8, json!(0)));
    for refused in answers.iter().filter(|answer| answer.status != 202) {
        refused.refusal(422, "unprocessable_entity");
    }
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test]
async fn a_refusal_names_the_regions_and_sizes_with_room() {
    let app = declared(json!([gpu_host("h1", "nyc2", 4), gpu_host("h2", "tor1", 8)]), json!({})).await;
    let refused = app.admin().post("/v2/droplets", wish(json!({ "size": EIGHT, "image": "gpu-h100x8-base" }))).await;
    let message = refused.refusal(422, "unprocessable_entity");
    assert_eq!(refused.json()["error_attributes"]["available_regions"], json!(["tor1"]));
    assert!(message.contains("too few of these GPUs free") || message.contains("not so many GPUs"), "{message}");
    assert!(message.contains(H100) && message.contains("tor1"), "{message}");
    // A create that leaves the region open goes where there is room.
    let open = json!({ "size": EIGHT, "image": "gpu-h100x8-base", "region": null });
    let body = app.admin().post("/v2/droplets", wish(open)).await.expect(202);
    assert_eq!(body["droplet"]["region"]["slug"], "tor1");
}

#[tokio::test]
async fn several_of_one_create_all_get_a_place_or_none() {
    let app = declared(json!([gpu_host("h1", "nyc2", 3)]), json!({})).await;
    let four = json!({ "name": null, "names": ["a", "b", "c", "d"] });
    create(&app, four).await.refusal(422, "unprocessable_entity");
    assert_eq!(free_gpus(&app).await, 3);
    create(&app, json!({ "name": null, "names": ["a", "b", "c"] })).await.expect(202);
    assert_eq!(free_gpus(&app).await, 0);
}

#[tokio::test]
async fn a_gpu_is_free_again_when_its_machine_is_gone_and_not_before() {
    let app = declared(json!([gpu_host("h1", "nyc2", 1)]), json!({})).await;
    let id = made(&app, json!({})).await;
    app.run_actions_to_end().await;
    delete(&app, id).await;
    assert_eq!(free_gpus(&app).await, 0, "its machine is still there");
    create(&app, json!({})).await.refusal(422, "unprocessable_entity");
    app.run_actions_to_end().await;
    assert_eq!(free_gpus(&app).await, 1);
    made(&app, json!({})).await;
}

#[tokio::test]
async fn a_create_that_vanishes_is_accepted_then_fails_and_is_gone() {
    let app = declared(json!([gpu_host("h1", "nyc2", 1)]), json!({ H100: "vanish" })).await;
    made(&app, json!({})).await;
    let body = create(&app, json!({})).await.expect(202);
    let id = body["droplet"]["id"].as_u64().expect("a number");
    app.run_actions_to_end().await;
    let action = app.admin().action(body["links"]["actions"][0]["id"].as_u64().expect("a number")).await;
    assert_eq!(action["status"], "errored");
    app.admin().get(&format!("/v2/droplets/{id}")).await.refusal(404, "not_found");
    assert_eq!(free_gpus(&app).await, 0);
    app.books_balance().await;
}

#[tokio::test]
async fn creates_that_queue_run_in_their_order_when_there_is_room() {
    let mut app = declared(json!([gpu_host("h1", "nyc2", 1)]), json!({ H100: "queue" })).await;
    let [first, second, third] =
        [made(&app, json!({})).await, made(&app, json!({})).await, made(&app, json!({})).await];
    app.run_actions_to_end().await;
    let states = async |app: &TestApp| [status(app, second).await, status(app, third).await];
    assert_eq!(states(&app).await, ["new", "new"]);
    assert_eq!(app.admin().get("/dew/v1/stock").await.expect(200)["queued"], 2);
    // A server that starts anew finds them waiting.
    app.restart().await;
    app.run_actions_to_end().await;
    assert_eq!(states(&app).await, ["new", "new"]);
    delete(&app, first).await;
    app.run_actions_to_end().await;
    assert_eq!(states(&app).await, ["active", "new"], "who came first is first");
    let more = declare(&app, json!([gpu_host("h1", "nyc2", 2)]), json!({ H100: "queue" })).await;
    assert_eq!(more["hosts"][0]["gpus"][0]["free"], 1);
    app.run_actions_to_end().await;
    assert_eq!(states(&app).await, ["active", "active"]);
    assert_eq!((free_gpus(&app).await, app.backlog().await), (json!(0), 0));
    app.books_balance().await;
}

#[tokio::test]
async fn a_droplet_that_waits_can_be_deleted_and_lets_the_next_one_through() {
    let app = declared(json!([gpu_host("h1", "nyc2", 1)]), json!({ H100: "queue" })).await;
    let [first, second, third] =
        [made(&app, json!({})).await, made(&app, json!({})).await, made(&app, json!({})).await];
    app.run_actions_to_end().await;
    delete(&app, second).await;
    delete(&app, first).await;
    app.run_actions_to_end().await;
    assert_eq!(status(&app, third).await, "active");
    assert_eq!(app.backlog().await, 0);
    app.books_balance().await;
}

#[tokio::test]
async fn a_new_declaration_replaces_the_old_and_what_is_used_stays_used() {
    let app = declared(json!([gpu_host("h1", "nyc2", 4)]), json!({})).await;
    for _ in 0..3 {
        made(&app, json!({})).await;
    }
    let fewer = declare(&app, json!([gpu_host("h1", "nyc2", 2)]), json!({})).await;
    assert_eq!(fewer["hosts"][0]["gpus"][0], json!({ "model": "nvidia_h100", "total": 2, "used": 3, "free": 0 }));
    create(&app, json!({})).await.refusal(422, "unprocessable_entity");
    let more = declare(&app, json!([gpu_host("h1", "nyc2", 5)]), json!({})).await;
    assert_eq!(more["hosts"][0]["gpus"][0], json!({ "model": "nvidia_h100", "total": 5, "used": 3, "free": 2 }));
    assert_eq!(more["generation"], 3);
    app.admin().delete("/dew/v1/stock").await.expect(204);
    assert_eq!(app.admin().get("/dew/v1/stock").await.expect(200)["declared"], false);
    for _ in 0..9 {
        made(&app, json!({})).await;
    }
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test]
async fn a_resize_needs_room_on_its_host_and_gives_back_what_it_leaves() {
    let host = json!({ "name": "h1", "region": "nyc3", "vcpus": 8, "memory_mib": 4096 });
    let app = declared(json!([host]), json!({})).await;
    let small = json!({ "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64", "region": "nyc3" });
    let id = app.admin().post("/v2/droplets", droplet(small.clone())).await.expect(202)["droplet"]["id"].clone();
    let id = id.as_u64().expect("a number");
    app.admin().post("/v2/droplets", droplet(small)).await.expect(202);
    app.run_actions_to_end().await;
    app.admin().act(id, "power_off").await.expect(201);
    app.run_actions_to_end().await;
    let resize = async |size: &str| {
        let body = json!({ "type": "resize", "size": size });
        app.admin().post(&format!("/v2/droplets/{id}/actions"), body).await
    };
    let refusal = resize("s-2vcpu-4gb").await.refusal(422, "unprocessable_entity");
    assert!(refusal.contains("too little memory free"), "{refusal}");
    resize("s-1vcpu-2gb").await.expect(201);
    app.run_actions_to_end().await;
    let memory = async || app.admin().get("/dew/v1/stock").await.expect(200)["hosts"][0]["memory_mib"].clone();
    assert_eq!(memory().await, json!({ "total": 4096, "used": 3072, "free": 1024 }));
    resize("s-1vcpu-1gb").await.expect(201);
    app.run_actions_to_end().await;
    assert_eq!(memory().await["used"], 2048);
}

#[tokio::test]
async fn a_dry_run_tells_what_would_happen_and_makes_nothing() {
    let app = declared(json!([gpu_host("h1", "nyc2", 1)]), json!({})).await;
    let dry = async |changes: Value| app.admin().post("/v2/droplets?dry_run=true", wish(changes)).await;
    let told = dry(json!({ "name": "web-1" })).await.expect(200)["dry_run"].clone();
    assert_eq!(told["placements"], json!([{ "name": "web-1", "region": "nyc2", "host": "h1" }]));
    assert_eq!((&told["price_hourly"], &told["reasons"]), (&json!(3.39), &json!([])));
    let full = dry(json!({ "name": null, "names": ["a", "b"] })).await.expect(200)["dry_run"].clone();
    assert_eq!(full["placements"], json!([]));
    assert!(full["reasons"][0].as_str().expect("a reason").contains("out of stock"), "{full}");
    dry(json!({ "size": "no-such-size" })).await.invalid();
    assert_eq!(app.admin().get("/v2/droplets?type=gpus").await.expect(200)["meta"]["total"], 0);
    assert_eq!((free_gpus(&app).await, app.backlog().await), (json!(1), 0));
    let before = told["droplets_left"].as_u64().expect("a number");
    made(&app, json!({})).await;
    app.admin().delete("/dew/v1/stock").await.expect(204);
    let plenty = dry(json!({})).await.expect(200)["dry_run"].clone();
    assert_eq!((&plenty["droplets_left"], &plenty["placements"][0]["host"]), (&json!(before - 1), &json!("sim-1")));
}

#[tokio::test]
async fn a_declaration_that_makes_no_sense_changes_nothing() {
    let app = declared(json!([gpu_host("h1", "nyc2", 1)]), json!({})).await;
    let host = |changes: Value| with(gpu_host("h1", "nyc2", 1), changes);
    for (hosts, out_of_stock) in [
        (json!([host(json!({})), host(json!({}))]), json!({})),
        (json!([host(json!({ "region": "nowhere" }))]), json!({})),
        (json!([host(json!({ "vcpus": 0 }))]), json!({})),
        (json!([host(json!({ "name": "" }))]), json!({})),
        (json!([host(json!({ "gpus": [{ "model": "nvidia_h100", "count": 65 }] }))]), json!({})),
        (json!([host(json!({ "gpus": [{ "model": "", "count": 1 }] }))]), json!({})),
        (json!([]), json!({ "no-such-size": "refuse" })),
    ] {
        app.admin().put("/dew/v1/stock", json!({ "hosts": hosts, "out_of_stock": out_of_stock })).await.invalid();
    }
    let stock = app.admin().get("/dew/v1/stock").await.expect(200);
    assert_eq!((&stock["generation"], &stock["hosts"][0]["name"]), (&json!(1), &json!("h1")));
}
