//! GPUs by their names: handed to machines and taken back, parked, missing, given back by who is off; on hosts that were declared
//! and on hosts that the engine tells of.

mod books;
mod metal;
mod off;
mod parked;
mod told;

use dewpoint_control::WhenOff;
use dewpoint_engine::{GpuState, Host, HostGpu, HostGpus, MachineId, sim::Equipment};
use dewpoint_testkit::{Answer, TestApp};
use serde_json::{Value, json};

use crate::{droplet, with};

const H100: &str = "gpu-h100x1-80gb";
/// The first two GPUs of a host that names its own.
const FIRST: &str = "0000:17:00.0";
const SECOND: &str = "0000:65:00.0";

/// A host of an engine that has these GPUs of its own.
fn host_with(gpus: &[(&str, GpuState)]) -> Host {
    let gpu = |(address, state): &(&str, GpuState)| HostGpu {
        address: address.parse().expect("an address"),
        model: "nvidia_h100".to_owned(),
        memory_mib: 81_920,
        node: Some(0),
        state: state.clone(),
    };
    Host { name: "metal".into(), vcpus: 48, memory_mib: 524_288, gpus: HostGpus::These(gpus.iter().map(gpu).collect()) }
}

/// A Dewpoint on one host with two GPUs of its own.
async fn on_metal(when_off: WhenOff) -> TestApp {
    let hosts = vec![host_with(&[(FIRST, GpuState::Ready), (SECOND, GpuState::Ready)])];
    TestApp::start_with(|setup| {
        setup.equipment = Equipment { hosts, ..Equipment::default() };
        setup.control.gpus_when_off = when_off;
    })
    .await
}

async fn declared(count: u32) -> TestApp {
    let app = TestApp::start().await;
    declare(&app, count).await;
    app
}

async fn declare(app: &TestApp, count: u32) {
    let gpus = json!([{ "model": "nvidia_h100", "count": count }]);
    let gpus = if count == 0 { json!([]) } else { gpus };
    let host = json!({ "name": "h1", "region": "nyc2", "vcpus": 192, "memory_mib": 2_097_152, "gpus": gpus });
    app.admin().put("/dew/v1/stock", json!({ "hosts": [host] })).await.expect(200);
}

fn wish(changes: Value) -> Value {
    with(droplet(json!({ "size": H100, "image": "gpu-h100x1-base", "region": "nyc2" })), changes)
}

async fn create(app: &TestApp, changes: Value) -> Answer {
    app.admin().post("/v2/droplets", wish(changes)).await
}

/// An active GPU Droplet.
async fn made(app: &TestApp) -> u64 {
    let id = create(app, json!({})).await.expect(202)["droplet"]["id"].as_u64().expect("a number");
    app.run_actions_to_end().await;
    assert_eq!(status(app, id).await, "active");
    id
}

async fn status(app: &TestApp, id: u64) -> Value {
    app.admin().droplet(id).await["status"].clone()
}

/// Asks for an action and does it.
async fn act(app: &TestApp, id: u64, kind: &str) {
    app.admin().act(id, kind).await.expect(201);
    app.run_actions_to_end().await;
}

async fn delete(app: &TestApp, id: u64) {
    app.admin().delete(&format!("/v2/droplets/{id}")).await.expect(204);
    app.run_actions_to_end().await;
}

/// What the GPUs of the first host are, in the order of their places.
async fn states(app: &TestApp) -> Vec<String> {
    let stock = app.admin().get("/dew/v1/stock").await.expect(200);
    let devices = stock["hosts"][0]["devices"].as_array().expect("a list").clone();
    devices.iter().map(|gpu| gpu["state"].as_str().expect("a word").to_owned()).collect()
}

async fn alerts(app: &TestApp) -> Vec<String> {
    let stock = app.admin().get("/dew/v1/stock").await.expect(200);
    stock["alerts"].as_array().expect("a list").iter().map(|text| text.as_str().expect("a text").to_owned()).collect()
}

/// The GPUs that a Droplet's machine was made with.
async fn machine_gpus(app: &TestApp, id: u64) -> Vec<String> {
    let spec = app.sim().spec(MachineId(id)).await.expect("the simulator answers").expect("a machine");
    spec.gpus.iter().map(ToString::to_string).collect()
}
