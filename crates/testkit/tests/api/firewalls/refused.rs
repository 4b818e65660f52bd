//! What cannot be a firewall is refused with a sentence that names the member, and nothing is half made.

use dewpoint_testkit::TestApp;
use serde_json::{Value, json};

use super::{firewall, inbound, make, path, shown, tagged};
use crate::with;

/// Bodies that no firewall can be made of, and what the refusal speaks of.
fn impossible() -> Vec<(Value, &'static str)> {
    let anywhere = json!({ "addresses": ["::/0"] });
    let ports = |ports: Value| json!({ "inbound_rules": [{ "protocol": "tcp", "ports": ports, "sources": anywhere }] });
    let sources = |sources: Value| json!({ "inbound_rules": inbound("22", sources) });
    let many: Vec<u64> = (1..=1001).collect();
    let names: Vec<String> = many.iter().map(|n| format!("tag-{n}")).collect();
    let rules: Vec<Value> = many.iter().map(|n| inbound(&n.to_string(), anywhere.clone())[0].clone()).collect();
    vec![
        (json!({ "name": null }), "name"),
        (json!({ "name": "" }), "name"),
        (json!({ "name": "a" }), "name"),
        (json!({ "name": "-wall" }), "name"),
        (json!({ "name": "two words" }), "name"),
        (json!({ "name": "under_score" }), "name"),
        (json!({ "name": "w".repeat(256) }), "name"),
        (json!({ "name": 7 }), "name"),
        (json!({ "inbound_rules": null, "outbound_rules": null }), "at least one rule"),
        (json!({ "inbound_rules": [], "outbound_rules": [] }), "at least one rule"),
        (json!({ "inbound_rules": {} }), "inbound_rules"),
        (json!({ "inbound_rules": [7] }), "inbound_rules[0]"),
        (json!({ "inbound_rules": [{}] }), "inbound_rules[0].protocol"),
        (
            json!({ "inbound_rules": [{ "protocol": "gre", "ports": "1", "sources": anywhere }] }),
            "inbound_rules[0].protocol",
        ),
        (
            json!({ "outbound_rules": [{ "protocol": "udp", "ports": "1", "sources": anywhere }] }),
            "outbound_rules[0].destinations",
        ),
        (ports(json!("0-70000")), "0-70000"),
        (ports(json!("9000-8000")), "backwards"),
        (ports(json!("70000")), "from 1 to 65535"),
        (ports(json!("-1")), "from 1 to 65535"),
        (ports(json!("ssh")), "from 1 to 65535"),
        (ports(json!("")), "ports is required"),
        (ports(json!(null)), "ports is required"),
        (ports(json!(-1)), "inbound_rules[0].ports"),
        (ports(json!([22])), "inbound_rules[0].ports"),
        (sources(json!({})), "names nobody"),
        (sources(json!(null)), "names nobody"),
        (sources(json!({ "addresses": [] })), "names nobody"),
        (sources(json!({ "addresses": ["10.0.0.0/33"] })), "\"10.0.0.0/33\""),
        (sources(json!({ "addresses": ["10.0.0"] })), "\"10.0.0\""),
        (sources(json!({ "addresses": ["example.com"] })), "\"example.com\""),
        (sources(json!({ "addresses": "::/0" })), "inbound_rules[0].sources.addresses"),
        (sources(json!({ "droplet_ids": [999_999] })), "there is no Droplet 999999"),
        (sources(json!({ "droplet_ids": [-1] })), "inbound_rules[0].sources.droplet_ids"),
        (sources(json!({ "droplet_ids": many })), "too many entries"),
        (sources(json!({ "tags": ["unknown"] })), "there is no tag unknown"),
        (sources(json!({ "tags": ["WEB"] })), "there is no tag WEB"),
        (sources(json!({ "tags": ["two words"] })), "inbound_rules[0].sources.tags"),
        (json!({ "inbound_rules": rules }), "at most 1000"),
        (json!({ "droplet_ids": [999_999] }), "there is no Droplet 999999"),
        (json!({ "droplet_ids": [0] }), "there is no Droplet 0"),
        (json!({ "droplet_ids": ["a"] }), "droplet_ids"),
        (json!({ "droplet_ids": many }), "droplet_ids has too many entries"),
        (json!({ "tags": ["unknown"] }), "there is no tag unknown"),
        (json!({ "tags": [""] }), "tag"),
        (json!({ "tags": names }), "tags has too many entries"),
    ]
}

#[tokio::test]
async fn what_cannot_be_a_firewall_is_a_422_and_nothing_is_made_fw_1_fw_3_fw_4() {
    let app = TestApp::start().await;
    let admin = app.admin();
    tagged(&app, "a", &["web"]).await;
    let standing = make(&admin, json!({ "name": "standing" })).await;
    app.run_actions_to_end().await;
    let before = shown(&admin, &standing).await;
    for (changes, about) in impossible() {
        for answer in [
            admin.post("/v2/firewalls", firewall(changes.clone())).await,
            admin.put(&path(&standing), firewall(changes.clone())).await,
        ] {
            let said = answer.invalid();
            assert!(said.contains(about), "{changes}: {said}");
        }
    }
    for broken in ["", "{", "[]", "\"wall\"", "null"] {
        let answer = admin.send_bytes("POST", "/v2/firewalls", broken).await;
        assert!([400, 422].contains(&answer.status), "{broken:?}: {} {}", answer.status, answer.text);
    }
    assert_eq!(shown(&admin, &standing).await, before);
    assert_eq!((app.rows("firewalls").await, app.rows("firewall_parties").await), (1, 0));
    assert_eq!(app.rows("firewall_changes").await, 0);
}

#[tokio::test]
async fn a_part_that_cannot_be_is_a_422_and_changes_nothing_fw_6() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = tagged(&app, "a", &["web"]).await;
    let made = make(&admin, json!({})).await;
    app.run_actions_to_end().await;
    let before = shown(&admin, &made).await;
    let at = |part: &str| format!("{}/{part}", path(&made));
    for (part, body, about) in [
        ("droplets", json!({}), "droplet_ids is required"),
        ("droplets", json!({ "droplet_ids": [] }), "droplet_ids is required"),
        ("droplets", json!({ "droplet_ids": [id, 999_999] }), "there is no Droplet 999999"),
        ("droplets", json!({ "droplet_ids": (1..=1001).collect::<Vec<u64>>() }), "too many entries"),
        ("tags", json!({}), "tags is required"),
        ("tags", json!({ "tags": ["web", "unknown"] }), "there is no tag unknown"),
        ("tags", json!({ "tags": ["two words"] }), "tag"),
        ("rules", json!({}), "inbound_rules or outbound_rules is required"),
        (
            "rules",
            json!({ "inbound_rules": [], "outbound_rules": null }),
            "inbound_rules or outbound_rules is required",
        ),
        ("rules", json!({ "inbound_rules": inbound("9-1", json!({ "tags": ["web"] })) }), "backwards"),
        ("rules", json!({ "inbound_rules": inbound("9", json!({ "droplet_ids": [7] })) }), "there is no Droplet 7"),
    ] {
        let said = admin.post(&at(part), body.clone()).await.invalid();
        assert!(said.contains(about), "{body}: {said}");
    }
    for (part, body) in [("droplets", json!({})), ("tags", json!({ "tags": [] })), ("rules", json!({}))] {
        admin.delete_with(&at(part), body).await.invalid();
    }
    assert_eq!(shown(&admin, &made).await, before);
    for part in ["droplets", "tags", "rules"] {
        let none = "/v2/firewalls/00000000-0000-0000-0000-000000000000";
        admin.post(&format!("{none}/{part}"), json!({})).await.refusal(404, "not_found");
        admin.post(&format!("/v2/firewalls/7/{part}"), json!({})).await.refusal(404, "not_found");
    }
}

#[tokio::test]
async fn a_rule_naming_another_accounts_droplet_or_tag_names_nobody_there_is() {
    let app = TestApp::start().await;
    let (admin, other) = (app.admin(), app.other_account().await);
    let id = tagged(&app, "a", &["web"]).await;
    for changes in [
        json!({ "droplet_ids": [id] }),
        json!({ "tags": ["web"] }),
        json!({ "inbound_rules": inbound("22", json!({ "droplet_ids": [id] })) }),
        json!({ "inbound_rules": inbound("22", json!({ "tags": ["web"] })) }),
    ] {
        let said = other.post("/v2/firewalls", firewall(changes)).await.invalid();
        assert!(said.contains("there is no "), "{said}");
    }
    other.post("/v2/tags", json!({ "name": "web" })).await.expect(201);
    make(&other, json!({ "tags": ["web"] })).await;
    app.run_actions_to_end().await;
    assert_eq!(admin.get(&format!("/v2/droplets/{id}/firewalls")).await.expect(200)["firewalls"], json!([]));
}

#[tokio::test]
async fn the_largest_firewall_there_may_be_is_made_and_one_rule_more_is_not() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let rule = |n: usize| {
        let addresses: Vec<String> = (0..5).map(|last| format!("10.{}.{}.{last}", n / 256, n % 256)).collect();
        inbound(&(n + 1).to_string(), json!({ "addresses": addresses }))[0].clone()
    };
    let rules: Vec<Value> = (0..1000).map(rule).collect();
    let made = make(&admin, json!({ "inbound_rules": rules, "outbound_rules": null })).await;
    assert_eq!(made["inbound_rules"].as_array().map(Vec::len), Some(1000));
    let more = format!("{}/rules", path(&made));
    let said = admin.post(&more, json!({ "inbound_rules": [rule(1000)] })).await.invalid();
    assert!(said.contains("at most 1000 rules, and this would be 1001"), "{said}");
    admin.delete_with(&more, json!({ "inbound_rules": [rule(0)] })).await.expect(204);
    let wide = with(
        rule(0),
        json!({ "sources": { "addresses": ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"] } }),
    );
    let said = admin.post(&more, json!({ "inbound_rules": [wide] })).await.invalid();
    assert!(said.contains("at most 5000 addresses"), "{said}");
    admin.post(&more, json!({ "inbound_rules": [rule(0)] })).await.expect(204);
}
