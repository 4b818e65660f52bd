//! The whole API as it is served, through the front door: real router, fresh files, the simulator, a clock that stands still.
//! A file a subject; names of rules (CRE-1, ERR-8, …) are those of the behaviour contract.

mod accounts;
mod actions;
mod audit;
mod auth_matrix;
mod backups;
mod bodies;
mod catalogue;
mod chat;
mod chat_gateway;
mod chat_hostile;
mod chat_upstreams;
mod check;
mod console;
mod crashes;
mod create;
mod create_options;
mod create_places;
mod create_refused;
mod delete;
mod domains;
mod droplet_actions;
mod droplet_snapshots;
mod droplets;
mod events;
mod firewalls;
mod gpus;
mod history;
mod hostile;
mod hostile_socket;
mod images;
mod leases;
mod metadata;
mod model;
mod model_limits;
mod models;
mod names;
mod once_every;
mod once_keys;
mod once_lost;
mod once_retries;
mod pages;
mod passwords;
mod projects;
mod reach;
mod readiness;
mod rebuilds;
mod reserved_ips;
mod scopes;
mod simulator;
mod snapshots;
mod ssh_keys;
mod steps;
mod stock;
mod tags;
mod teardowns;
mod tokens;
mod volume_actions;
mod volume_model;
mod volume_snapshots;
mod volumes;
mod vpc_peerings;
mod vpcs;
mod wire;

use std::{future::Future, pin::Pin, task::Poll};

use dewpoint_engine::{
    Error as EngineError, MachineId, Operation,
    sim::{Fault, Moment},
};
use serde_json::{Value, json};

/// Polls a future once and answers whether it is still pending: a client that may leave in the middle.
async fn poll_once(future: &mut (impl Future + Unpin)) -> bool {
    std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx).is_pending())).await
}

/// `base` with the members of `changes` put over it; a null removes one.
fn with(mut base: Value, changes: Value) -> Value {
    let Value::Object(members) = changes else { panic!("no object: {changes}") };
    for (name, value) in members {
        match value {
            Value::Null => base.as_object_mut().expect("an object").remove(&name),
            value => base.as_object_mut().expect("an object").insert(name, value),
        };
    }
    base
}

/// The body of an ordinary create with changes.
fn droplet(changes: Value) -> Value {
    with(dewpoint_testkit::droplet_body("web-1"), changes)
}

/// The member `name` of each object of a list.
fn each<'v>(list: &'v Value, name: &str) -> Vec<&'v Value> {
    list.as_array().unwrap_or_else(|| panic!("no list: {list}")).iter().map(|one| &one[name]).collect()
}

/// The numbers of the objects of a list.
fn ids(list: &Value) -> Vec<u64> {
    each(list, "id").into_iter().map(|id| id.as_u64().expect("a number")).collect()
}

/// The body that tags or untags Droplets.
fn resources(droplets: &[u64]) -> Value {
    let each = droplets.iter().map(|id| json!({ "resource_id": id.to_string(), "resource_type": "droplet" }));
    json!({ "resources": each.collect::<Vec<_>>() })
}

/// The body of an ordinary volume with changes.
fn volume(changes: Value) -> Value {
    with(json!({ "name": "data", "region": "nyc3", "size_gigabytes": 10 }), changes)
}

/// Makes a volume and returns its id.
async fn volume_id(client: &dewpoint_testkit::Client<'_>, changes: Value) -> String {
    let made = client.post("/v2/volumes", volume(changes)).await.expect(201);
    made["volume"]["id"].as_str().expect("an id").to_owned()
}

/// A fault of whichever machine comes next.
fn fault(operation: Operation, moment: Moment, times: u32, error: fn(MachineId) -> EngineError) -> Fault {
    Fault { operation, machine: None, moment, times, error }
}

/// An error that asking again does not help.
fn for_good(_: MachineId) -> EngineError {
    EngineError::NoDevice("none is left".to_owned())
}

/// An error that may be over the next time.
fn for_now(_: MachineId) -> EngineError {
    EngineError::Host { operation: "do that", problem: "not now".to_owned(), transient: true }
}
