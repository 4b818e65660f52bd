//! What a token sees of a firewall, and what it may write without seeing it (AUTH-5, AUTH-6).

use dewpoint_testkit::TestApp;
use serde_json::json;

use super::{firewall, inbound, make, path, shown, tagged};

#[tokio::test]
async fn droplets_and_tags_are_shown_to_who_may_read_them_in_rules_too_auth_6() {
    let app = TestApp::start().await;
    let id = tagged(&app, "a", &["web"]).await;
    let sources = json!({ "addresses": ["::/0"], "droplet_ids": [id], "tags": ["web"] });
    let made =
        make(&app.admin(), json!({ "inbound_rules": inbound("22", sources), "droplet_ids": [id], "tags": ["web"] }))
            .await;
    let seen = async |scopes: &[&str]| {
        let shown = shown(&app.token_with(scopes).await, &made).await;
        let rule = shown["inbound_rules"][0]["sources"].clone();
        assert_eq!(rule["addresses"], json!(["::/0"]), "that is nobody's");
        let (droplets, tags) = (shown["droplet_ids"] == json!([id]), shown["tags"] == json!(["web"]));
        assert_eq!((rule["droplet_ids"].is_array(), rule["tags"].is_array()), (droplets, tags));
        assert_eq!(shown["pending_changes"].as_array().is_some_and(|all| !all.is_empty()), droplets);
        assert_eq!(shown["status"], "waiting");
        (droplets, tags)
    };
    assert_eq!(seen(&["firewall:read"]).await, (false, false));
    assert_eq!(seen(&["firewall:read", "droplet:read"]).await, (true, false));
    assert_eq!(seen(&["firewall:read", "tag:read"]).await, (false, true));
    assert_eq!(seen(&["firewall:read", "droplet:read", "tag:read"]).await, (true, true));
}

#[tokio::test]
async fn who_names_droplets_and_tags_may_see_them_auth_5() {
    let app = TestApp::start().await;
    let id = tagged(&app, "a", &["web"]).await;
    let made = make(&app.admin(), json!({ "name": "standing" })).await;
    let all = ["firewall:create", "firewall:update", "droplet:read", "tag:read"];
    let without = async |missing: &str| {
        let scopes: Vec<&str> = all.into_iter().filter(|scope| *scope != missing).collect();
        app.token_with(&scopes).await
    };
    let cases = [
        ("droplet:read", json!({ "droplet_ids": [id] })),
        ("droplet:read", json!({ "inbound_rules": inbound("1", json!({ "droplet_ids": [id] })) })),
        ("tag:read", json!({ "tags": ["web"] })),
        ("tag:read", json!({ "inbound_rules": inbound("1", json!({ "tags": ["web"] })) })),
    ];
    for (number, (missing, changes)) in cases.into_iter().enumerate() {
        let named = crate::with(changes.clone(), json!({ "name": format!("wall-{number}") }));
        let part = match (&changes["droplet_ids"], &changes["tags"]) {
            (ids, _) if ids.is_array() => "droplets",
            (_, tags) if tags.is_array() => "tags",
            _ => "rules",
        };
        let poor = without(missing).await;
        let at = format!("{}/{part}", path(&made));
        poor.post("/v2/firewalls", firewall(named.clone())).await.refusal(403, "forbidden");
        poor.put(&path(&made), firewall(changes.clone())).await.refusal(403, "forbidden");
        poor.post(&at, changes.clone()).await.refusal(403, "forbidden");
        poor.delete_with(&at, changes.clone()).await.refusal(403, "forbidden");
        let rich = app.token_with(&all).await;
        rich.post("/v2/firewalls", firewall(named)).await.expect(202);
        rich.post(&at, changes).await.expect(204);
    }
}

#[tokio::test]
async fn who_does_not_see_what_a_firewall_names_cannot_replace_it_fw_6() {
    let app = TestApp::start().await;
    let id = tagged(&app, "a", &["web"]).await;
    let blind = app.token_with(&["firewall:read", "firewall:update"]).await;
    for changes in [
        json!({ "name": "one", "droplet_ids": [id] }),
        json!({ "name": "two", "tags": ["web"] }),
        json!({ "name": "three", "inbound_rules": inbound("1", json!({ "droplet_ids": [id], "addresses": ["::/0"] })) }),
    ] {
        let made = make(&app.admin(), changes).await;
        // What it reads, written back, would take away what it does not see.
        let read = shown(&blind, &made).await;
        blind.put(&path(&made), read).await.refusal(403, "forbidden");
        assert_eq!(shown(&app.admin(), &made).await, made);
    }
    let open = make(&app.admin(), json!({ "name": "four" })).await;
    let read = shown(&blind, &open).await;
    blind.put(&path(&open), read).await.expect(200);
}
