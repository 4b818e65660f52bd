//! Firewalls (FW-1 to FW-7): what they are and may be, whom they guard, when they are in force, and what the real clients send.

mod clients;
mod force;
mod life;
mod refused;
mod sight;

use dewpoint_testkit::{Client, TestApp};
use serde_json::{Value, json};

use crate::{droplet, with};

/// The body of an ordinary firewall with changes: SSH in from anywhere, everything out.
fn firewall(changes: Value) -> Value {
    let everywhere = json!({ "addresses": ["0.0.0.0/0", "::/0"] });
    let ordinary = json!({
        "name": "wall",
        "inbound_rules": [{ "protocol": "tcp", "ports": "22", "sources": everywhere }],
        "outbound_rules": [{ "protocol": "tcp", "ports": "all", "destinations": everywhere }],
    });
    with(ordinary, changes)
}

/// Makes a firewall and returns it as the answer shows it.
async fn make(client: &Client<'_>, changes: Value) -> Value {
    client.post("/v2/firewalls", firewall(changes)).await.expect(202)["firewall"].clone()
}

/// The path of a firewall.
fn path(firewall: &Value) -> String {
    format!("/v2/firewalls/{}", firewall["id"].as_str().expect("an id"))
}

/// A firewall as it is now.
async fn shown(client: &Client<'_>, firewall: &Value) -> Value {
    client.get(&path(firewall)).await.expect(200)["firewall"].clone()
}

/// Makes an active Droplet that bears these tags.
async fn tagged(app: &TestApp, name: &str, tags: &[&str]) -> u64 {
    let made = app.admin().post("/v2/droplets", droplet(json!({ "name": name, "tags": tags }))).await.expect(202);
    app.run_actions_to_end().await;
    made["droplet"]["id"].as_u64().expect("a number")
}

/// Inbound rules that let in TCP port `ports` from these sources.
#[expect(clippy::needless_pass_by_value, reason = "callers write what it holds in place")]
fn inbound(ports: &str, sources: Value) -> Value {
    json!([{ "protocol": "tcp", "ports": ports, "sources": sources }])
}
