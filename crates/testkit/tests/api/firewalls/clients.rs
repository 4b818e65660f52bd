//! The requests that Terraform and doctl send, both by godo, and what they need of the answers.

use dewpoint_testkit::{Client, TestApp};
use serde_json::{Value, json};

use super::tagged;

/// godo sends every member, null where it has nothing.
fn godo(name: &str, inbound: &Value, outbound: &Value, droplets: &Value, tags: &Value) -> Value {
    json!({ "name": name, "inbound_rules": inbound, "outbound_rules": outbound, "droplet_ids": droplets, "tags": tags })
}

/// What Terraform keeps of an answer: sets, with all ports as `all`.
fn terraform_state(firewall: &Value) -> Value {
    let rules = |list: &str, side: &str| -> Vec<String> {
        let mut rules: Vec<String> = firewall[list]
            .as_array()
            .expect("rules")
            .iter()
            .map(|rule| {
                let (protocol, ports) =
                    (rule["protocol"].as_str().expect("text"), rule["ports"].as_str().expect("text"));
                let ports = match (protocol, ports) {
                    ("icmp", _) => "",
                    (_, "0") => "all",
                    (_, ports) => ports,
                };
                format!("{protocol} {ports} {}", rule[side])
            })
            .collect();
        rules.sort();
        rules
    };
    json!({
        "name": firewall["name"], "droplet_ids": firewall["droplet_ids"], "tags": firewall["tags"],
        "inbound": rules("inbound_rules", "sources"), "outbound": rules("outbound_rules", "destinations"),
    })
}

async fn state(client: &Client<'_>, path: &str) -> Value {
    terraform_state(&client.get(path).await.expect(200)["firewall"])
}

#[tokio::test]
async fn what_terraform_applies_it_reads_back_without_a_difference() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = tagged(&app, "a", &["frontend"]).await;
    let everywhere = json!({ "addresses": ["0.0.0.0/0", "::/0"] });
    // The examples of its documentation and of its acceptance tests.
    let inbound = json!([
        { "protocol": "tcp", "ports": "22", "sources": { "addresses": ["192.168.1.0/24", "2002:1:2::/48"] } },
        { "protocol": "tcp", "ports": "80", "sources": everywhere },
        { "protocol": "tcp", "ports": "1-65535", "sources": { "tags": ["frontend"] } },
        { "protocol": "icmp", "sources": everywhere },
    ]);
    let outbound = json!([
        { "protocol": "tcp", "ports": "53", "destinations": everywhere },
        { "protocol": "udp", "ports": "all", "destinations": everywhere },
        { "protocol": "icmp", "ports": "1-65535", "destinations": everywhere },
    ]);
    let body = godo("only-22-80-and-443", &inbound, &outbound, &json!([id]), &json!(null));
    let made = admin.post("/v2/firewalls", body).await.expect(202)["firewall"].clone();
    let path = format!("/v2/firewalls/{}", made["id"].as_str().expect("an id"));
    let expected = json!({
        "name": "only-22-80-and-443", "droplet_ids": [id], "tags": [],
        "inbound": [
            r#"icmp  {"addresses":["0.0.0.0/0","::/0"]}"#,
            r#"tcp 1-65535 {"tags":["frontend"]}"#,
            r#"tcp 22 {"addresses":["192.168.1.0/24","2002:1:2::/48"]}"#,
            r#"tcp 80 {"addresses":["0.0.0.0/0","::/0"]}"#,
        ],
        "outbound": [
            r#"icmp  {"addresses":["0.0.0.0/0","::/0"]}"#,
            r#"tcp 53 {"addresses":["0.0.0.0/0","::/0"]}"#,
            r#"udp all {"addresses":["0.0.0.0/0","::/0"]}"#,
        ],
    });
    assert_eq!(state(&admin, &path).await, expected);
    app.run_actions_to_end().await;
    assert_eq!(state(&admin, &path).await, expected, "also once it is in force");

    // An update is a PUT of all of it; what was taken out of the configuration is null.
    let body = godo("only-22-80-and-443", &json!([inbound[0]]), &json!(null), &json!(null), &json!(["frontend"]));
    admin.put(&path, body).await.expect(200);
    let now = state(&admin, &path).await;
    assert_eq!((&now["droplet_ids"], &now["tags"], &now["outbound"]), (&json!([]), &json!(["frontend"]), &json!([])));
    assert_eq!(now["inbound"], json!([expected["inbound"][2]]));
    admin.delete(&path).await.expect(204);
    admin.get(&path).await.refusal(404, "not_found");
}

#[tokio::test]
async fn doctls_commands_do_what_they_say() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let (a, b) = (tagged(&app, "a", &["web"]).await, tagged(&app, "b", &[]).await);
    // doctl compute firewall create --name ssh --inbound-rules "protocol:tcp,ports:22,droplet_id:…,tag:web" --tag-names web
    let rule = json!([{ "protocol": "tcp", "ports": "22", "sources": { "tags": ["web"], "droplet_ids": [b] } }]);
    let body = godo("ssh", &rule, &json!(null), &json!([]), &json!(["web"]));
    let made = admin.post("/v2/firewalls", body).await.expect(202)["firewall"].clone();
    let path = format!("/v2/firewalls/{}", made["id"].as_str().expect("an id"));
    for member in ["id", "name", "status", "created_at"] {
        assert!(made[member].is_string(), "{member}: {made}");
    }
    // list, with godo's pages; list-by-droplet
    let list = admin.get("/v2/firewalls?page=1&per_page=200").await.expect(200);
    assert_eq!((&list["firewalls"][0]["id"], &list["meta"]["total"]), (&made["id"], &json!(1)));
    let list = admin.get(&format!("/v2/droplets/{a}/firewalls?page=1&per_page=200")).await.expect(200);
    assert_eq!(list["firewalls"][0]["id"], made["id"]);
    // add-droplets, remove-droplets, add-tags, remove-tags
    admin.post(&format!("{path}/droplets"), json!({ "droplet_ids": [a, b] })).await.expect(204);
    admin.delete_with(&format!("{path}/droplets"), json!({ "droplet_ids": [a] })).await.expect(204);
    admin.delete_with(&format!("{path}/tags"), json!({ "tags": ["web"] })).await.expect(204);
    admin.post(&format!("{path}/tags"), json!({ "tags": ["web"] })).await.expect(204);
    // add-rules and remove-rules, --outbound-rules "protocol:udp,ports:0,address:0.0.0.0/0"
    let rules = json!({
        "inbound_rules": null,
        "outbound_rules": [{ "protocol": "udp", "ports": "0", "destinations": { "addresses": ["0.0.0.0/0"] } }],
    });
    admin.post(&format!("{path}/rules"), rules.clone()).await.expect(204);
    let now = admin.get(&path).await.expect(200)["firewall"].clone();
    assert_eq!(
        (&now["droplet_ids"], &now["tags"], &now["outbound_rules"]),
        (&json!([b]), &json!(["web"]), &rules["outbound_rules"])
    );
    admin.delete_with(&format!("{path}/rules"), rules).await.expect(204);
    // update --name, with what `get` showed of the rest
    let body = godo("ssh-2", &now["inbound_rules"], &json!(null), &json!([a]), &json!(null));
    assert_eq!(admin.put(&path, body).await.expect(200)["firewall"]["name"], "ssh-2");
    // delete: godo sends a content type and no body
    let request = http::Request::builder().method("DELETE").uri(&path).header("host", "dew.test");
    let request =
        request.header("content-type", "application/json").body(axum::body::Body::empty()).expect("a request");
    admin.send(request).await.expect(204);
}
