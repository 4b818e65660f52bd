//! A firewall: whom it lets in, whom not, and who is guarded by it.

use serde_json::json;

use crate::{
    droplet::Droplet,
    lab::{FRIEND, Lab},
    support::eventually,
};

/// Makes a firewall that lets one friend in, by SSH alone, and everything out. It guards whoever has the tag `guarded`.
pub(crate) fn guard(lab: &Lab) -> String {
    let everywhere = json!({ "addresses": ["0.0.0.0/0", "::/0"] });
    let firewall = json!({
        "name": "guard",
        "tags": ["guarded"],
        "inbound_rules": [{ "protocol": "tcp", "ports": "22", "sources": { "addresses": [FRIEND] } }],
        "outbound_rules": [
            { "protocol": "tcp", "ports": "all", "destinations": everywhere },
            { "protocol": "udp", "ports": "all", "destinations": everywhere },
            { "protocol": "icmp", "destinations": everywhere },
        ],
    });
    lab.ask("POST", "/v2/tags", Some(&json!({ "name": "guarded" })), 201);
    let made = lab.ask("POST", "/v2/firewalls", Some(&firewall), 202);
    made["firewall"]["id"].as_str().expect("an id").to_owned()
}

/// The guarded Droplet lets in its friend, as whom it is asked, and nobody else; what it asks itself is answered.
pub(crate) fn let_in_a_friend_alone(lab: &Lab, guard: &str, guarded: &Droplet<'_>, open: &Droplet<'_>) {
    eventually("firewall in force", || {
        let firewall = lab.ask("GET", &format!("/v2/firewalls/{guard}"), None, 200)["firewall"].clone();
        firewall["status"] == "succeeded" && firewall["pending_changes"] == json!([])
    });
    assert_eq!(guarded.run("hostname"), guarded.name);
    eventually("connection to the open one", || lab.connects(open.public, 22));
    assert!(!lab.connects(guarded.public, 22));
    open.is_kept_from(guarded.public);
    open.is_kept_from(guarded.private);
    open.is_kept_from(guarded.ipv6);
    guarded.reaches(open.public);
    guarded.reaches(open.private);
    guarded.reaches(open.ipv6);
}
