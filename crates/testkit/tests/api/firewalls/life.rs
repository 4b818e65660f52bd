//! A firewall's life: made, listed, replaced, changed in parts, deleted; and what goes with Droplets and tags that go.

use std::time::Duration;

use dewpoint_testkit::TestApp;
use serde_json::{Value, json};

use super::{firewall, inbound, make, path, shown, tagged};
use crate::{droplet, each, ids, resources, with};

#[tokio::test]
async fn a_firewall_is_made_waits_and_is_in_force_fw_1_fw_2() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.active_droplet("a").await;
    let made = make(&admin, json!({ "droplet_ids": [id] })).await;
    assert_eq!((&made["status"], &made["created_at"]), (&json!("waiting"), &json!("2026-11-21T10:00:00Z")));
    assert_eq!(made["pending_changes"], json!([{ "droplet_id": id, "removing": false, "status": "waiting" }]));
    assert_eq!(shown(&admin, &made).await, made);

    app.run_actions_to_end().await;
    let now = shown(&admin, &made).await;
    assert_eq!(now, with(made.clone(), json!({ "status": "succeeded", "pending_changes": [] })));
    let everywhere = json!({ "addresses": ["0.0.0.0/0", "::/0"] });
    let expected = json!({
        "id": made["id"], "name": "wall", "status": "succeeded", "created_at": made["created_at"], "pending_changes": [],
        "inbound_rules": [{ "protocol": "tcp", "ports": "22", "sources": everywhere }],
        "outbound_rules": [{ "protocol": "tcp", "ports": "0", "destinations": everywhere }],
        "droplet_ids": [id], "tags": [],
    });
    assert_eq!(now, expected);
}

#[tokio::test]
async fn what_a_firewall_is_made_of_reads_back_fw_3_fw_4() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = tagged(&app, "a", &["web", "Db"]).await;
    let sources = json!({
        "addresses": ["192.0.2.7", "10.0.0.0/8", "2001:db8::/32"], "droplet_ids": [id], "tags": ["Db"],
        "load_balancer_uids": ["4de7ac8b-495b-4884-9a69-1050c6793cd6"], "kubernetes_ids": ["cluster"],
    });
    let rule = |protocol: &str, ports: Value| json!({ "protocol": protocol, "ports": ports, "sources": sources });
    let asked = [
        rule("tcp", json!("8000-9000")),
        rule("udp", json!("all")),
        rule("udp", json!(53)),
        rule("icmp", json!(null)),
        rule("icmp", json!("1-65535")),
    ];
    let made = make(&admin, json!({ "inbound_rules": asked, "outbound_rules": [], "tags": ["web"] })).await;
    let rules = made["inbound_rules"].as_array().expect("rules").clone();
    let ports: Vec<_> = rules.iter().map(|rule| (&rule["protocol"], &rule["ports"])).collect();
    let words = |one: &str, two: &str| (json!(one), json!(two));
    let expected = [words("tcp", "8000-9000"), words("udp", "0"), words("udp", "53"), words("icmp", "0")];
    assert_eq!(
        ports,
        expected.iter().map(|(one, two)| (one, two)).collect::<Vec<_>>(),
        "two rules that mean one are one"
    );
    assert!(rules.iter().all(|rule| rule["sources"] == sources), "{rules:?}");
    assert_eq!(
        (&made["droplet_ids"], &made["tags"], &made["outbound_rules"]),
        (&json!([]), &json!(["web"]), &json!([]))
    );
}

#[tokio::test]
async fn firewalls_are_listed_oldest_first_and_are_an_accounts_own() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let mut made = Vec::new();
    for name in ["c3", "a1", "b2"] {
        made.push(make(&admin, json!({ "name": name })).await["id"].clone());
        app.clock().advance(Duration::from_secs(1));
    }
    let page = admin.get("/v2/firewalls?per_page=2").await.expect(200);
    assert_eq!((page["meta"]["total"].clone(), each(&page["firewalls"], "id")), (json!(3), vec![&made[0], &made[1]]));
    assert_eq!(admin.all("/v2/firewalls", "firewalls").await.len(), 3);
    let other = app.other_account().await;
    assert_eq!(other.get("/v2/firewalls").await.expect(200)["firewalls"], json!([]));
    make(&other, json!({ "name": "c3" })).await;
    assert_eq!(
        admin.post("/v2/firewalls", firewall(json!({ "name": "c3" }))).await.refusal(409, "conflict"),
        "duplicate name"
    );
}

#[tokio::test]
async fn put_replaces_everything_and_what_is_left_out_is_reset_fw_6() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let (a, b) = (tagged(&app, "a", &["web"]).await, tagged(&app, "b", &[]).await);
    let made = make(&admin, json!({ "droplet_ids": [a, b], "tags": ["web"] })).await;
    app.run_actions_to_end().await;

    let body = json!({ "name": "other", "outbound_rules": [{ "protocol": "icmp", "destinations": { "droplet_ids": [a] } }], "droplet_ids": [b] });
    let put = admin.put(&path(&made), body).await.expect(200)["firewall"].clone();
    assert_eq!((&put["name"], &put["inbound_rules"], &put["tags"]), (&json!("other"), &json!([]), &json!([])));
    assert_eq!(
        (&put["droplet_ids"], &put["created_at"], &put["status"]),
        (&json!([b]), &made["created_at"], &json!("waiting"))
    );
    let change = |id: u64, removing: bool| json!({ "droplet_id": id, "removing": removing, "status": "waiting" });
    assert_eq!(put["pending_changes"], json!([change(a, true), change(b, false)]));
    app.run_actions_to_end().await;
    assert_eq!(shown(&admin, &made).await, with(put.clone(), json!({ "status": "succeeded", "pending_changes": [] })));

    let bare = firewall(json!({ "name": "other", "outbound_rules": null }));
    let put = admin.put(&path(&made), bare).await.expect(200)["firewall"].clone();
    assert_eq!((&put["droplet_ids"], &put["outbound_rules"]), (&json!([]), &json!([])));
    assert_eq!(put["pending_changes"], json!([change(b, true)]));

    // A name is taken by others alone, and a refusal changes nothing.
    make(&admin, json!({ "name": "taken" })).await;
    app.run_actions_to_end().await;
    let before = shown(&admin, &made).await;
    let taken = admin.put(&path(&made), firewall(json!({ "name": "taken" }))).await;
    assert_eq!(taken.refusal(409, "conflict"), "duplicate name");
    admin.put(&path(&made), json!({ "name": "other" })).await.invalid();
    admin.put(&path(&made), firewall(json!({ "name": null }))).await.invalid();
    assert_eq!(shown(&admin, &made).await, before);
    // The same again is nothing new.
    let again = admin.put(&path(&made), firewall(json!({ "name": "other", "outbound_rules": null }))).await.expect(200);
    assert_eq!(again["firewall"], before);
}

#[tokio::test]
async fn parts_are_added_and_taken_away_fw_6() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let (a, b) = (tagged(&app, "a", &["web"]).await, tagged(&app, "b", &["db"]).await);
    let made = make(&admin, json!({})).await;
    app.run_actions_to_end().await;
    let at = |part: &str| format!("{}/{part}", path(&made));
    let now = async || shown(&admin, &made).await;

    for _ in 0..2 {
        admin.post(&at("droplets"), json!({ "droplet_ids": [b, a, b] })).await.expect(204);
    }
    admin.post(&at("tags"), json!({ "tags": ["web", "db", "web"] })).await.expect(204);
    assert_eq!(
        (now().await["droplet_ids"].clone(), now().await["tags"].clone()),
        (json!([a, b]), json!(["db", "web"]))
    );
    for _ in 0..2 {
        admin.delete_with(&at("droplets"), json!({ "droplet_ids": [b, 999_999] })).await.expect(204);
        admin.delete_with(&at("tags"), json!({ "tags": ["db", "never-there"] })).await.expect(204);
    }
    assert_eq!((now().await["droplet_ids"].clone(), now().await["tags"].clone()), (json!([a]), json!(["web"])));

    let more = inbound("443-444", json!({ "tags": ["web"], "droplet_ids": [a] }));
    for _ in 0..2 {
        admin.post(&at("rules"), json!({ "inbound_rules": more })).await.expect(204);
    }
    assert_eq!(now().await["inbound_rules"].as_array().map(Vec::len), Some(2));
    let before = now().await;
    // All that are named have to be there, or none goes.
    let less = json!([more[0], { "protocol": "tcp", "ports": "1", "sources": { "tags": ["web"] } }]);
    let said = admin.delete_with(&at("rules"), json!({ "inbound_rules": less })).await.invalid();
    assert!(said.starts_with("inbound_rules[1] is no rule of this firewall"), "{said}");
    assert_eq!(now().await, before);
    // The same rule written otherwise.
    let same = inbound("22", json!({ "addresses": ["::/0", "0.0.0.0/0"] }));
    let all =
        json!([{ "protocol": "tcp", "ports": "1-65535", "destinations": { "addresses": ["::/0", "0.0.0.0/0"] } }]);
    admin.delete_with(&at("rules"), json!({ "inbound_rules": same, "outbound_rules": all })).await.expect(204);
    let after = now().await;
    assert_eq!((&after["inbound_rules"], &after["outbound_rules"]), (&more, &json!([])));
    admin.delete_with(&at("rules"), json!({ "inbound_rules": more })).await.expect(204);
    assert_eq!(now().await["inbound_rules"], json!([]), "one without rules lets nothing through");
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test]
async fn a_droplets_firewalls_are_those_of_its_number_and_of_its_tags_fw_7() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let (a, b) = (tagged(&app, "a", &["web"]).await, tagged(&app, "b", &[]).await);
    let by_number = make(&admin, json!({ "name": "by-number", "droplet_ids": [a] })).await;
    app.clock().advance(Duration::from_secs(1));
    let by_tag = make(&admin, json!({ "name": "by-tag", "tags": ["web"] })).await;
    make(
        &admin,
        json!({ "name": "naming", "inbound_rules": inbound("1", json!({ "tags": ["web"], "droplet_ids": [a] })) }),
    )
    .await;
    let of = async |id: u64| {
        let list = admin.get(&format!("/v2/droplets/{id}/firewalls")).await.expect(200);
        assert_eq!(list["meta"]["total"].as_u64(), list["firewalls"].as_array().map(|all| all.len() as u64));
        each(&list["firewalls"], "id").into_iter().cloned().collect::<Vec<Value>>()
    };
    assert_eq!(of(a).await, [by_number["id"].clone(), by_tag["id"].clone()]);
    assert_eq!(of(b).await, Vec::<Value>::new());
    let later = tagged(&app, "later", &["web"]).await;
    assert_eq!(of(later).await, [by_tag["id"].clone()], "a Droplet made later");
    admin.post("/v2/tags/web/resources", resources(&[b])).await.expect(204);
    assert_eq!(of(b).await, [by_tag["id"].clone()]);
    admin.delete_with("/v2/tags/web/resources", resources(&[a, b])).await.expect(204);
    assert_eq!((of(a).await, of(b).await), (vec![by_number["id"].clone()], vec![]));
    admin.get("/v2/droplets/999999/firewalls").await.refusal(404, "not_found");
    app.other_account().await.get(&format!("/v2/droplets/{a}/firewalls")).await.refusal(404, "not_found");
}

#[tokio::test]
async fn droplets_and_tags_that_go_leave_firewalls_and_what_is_read_can_be_written_back() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let (a, b) = (tagged(&app, "a", &["web", "db"]).await, tagged(&app, "b", &["web"]).await);
    let rules = json!([
        inbound("1", json!({ "droplet_ids": [a] }))[0],
        inbound("2", json!({ "droplet_ids": [a, b], "tags": ["db", "web"] }))[0],
        inbound("3", json!({ "tags": ["db"] }))[0],
        inbound("4", json!({ "droplet_ids": [a], "load_balancer_uids": ["lb"] }))[0],
    ]);
    let made = make(&admin, json!({ "inbound_rules": rules, "droplet_ids": [a, b], "tags": ["db"] })).await;
    app.run_actions_to_end().await;
    admin.delete(&format!("/v2/droplets/{a}")).await.expect(204);
    let now = shown(&admin, &made).await;
    let left = json!([
        inbound("2", json!({ "droplet_ids": [b], "tags": ["db", "web"] }))[0],
        inbound("3", json!({ "tags": ["db"] }))[0],
        inbound("4", json!({ "load_balancer_uids": ["lb"] }))[0],
    ]);
    assert_eq!((&now["inbound_rules"], &now["droplet_ids"]), (&left, &json!([b])));
    assert_eq!(now["pending_changes"], json!([{ "droplet_id": b, "removing": false, "status": "waiting" }]));
    admin.delete("/v2/tags/db").await.expect(204);
    let now = shown(&admin, &made).await;
    let left = json!([inbound("2", json!({ "droplet_ids": [b], "tags": ["web"] }))[0], left[2]]);
    assert_eq!((&now["inbound_rules"], &now["tags"]), (&left, &json!([])));
    assert_eq!(admin.put(&path(&made), now.clone()).await.expect(200)["firewall"], now);
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test]
async fn a_droplet_destroyed_with_all_that_is_its_leaves_firewalls_too() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let (id, other) = (tagged(&app, "a", &["web"]).await, tagged(&app, "b", &[]).await);
    let made = make(&admin, json!({ "droplet_ids": [id, other], "tags": ["web"] })).await;
    let request = http::Request::builder()
        .method("DELETE")
        .uri(format!("/v2/droplets/{id}/destroy_with_associated_resources/dangerous"))
        .header("x-dangerous", "true")
        .header("host", "dew.test");
    admin.send(request.body(axum::body::Body::empty()).expect("a request")).await.expect(202);
    app.run_actions_to_end().await;
    let now = shown(&admin, &made).await;
    assert_eq!((&now["droplet_ids"], &now["status"]), (&json!([other]), &json!("succeeded")));
    app.books_balance().await;
}

#[tokio::test]
async fn a_droplet_whose_create_fails_leaves_no_trace_in_firewalls() {
    let app = TestApp::start().await;
    let admin = app.admin();
    tagged(&app, "a", &["web"]).await;
    let made = make(&admin, json!({ "tags": ["web"] })).await;
    app.sim().faults().order(crate::fault(
        dewpoint_engine::Operation::Ensure,
        dewpoint_engine::sim::Moment::Before,
        1,
        crate::for_good,
    ));
    let body = droplet(json!({ "name": "b", "tags": ["web"] }));
    let failing = admin.post("/v2/droplets", body).await.expect(202)["droplet"]["id"].clone();
    assert!(each(&shown(&admin, &made).await["pending_changes"], "droplet_id").contains(&&failing));
    app.run_actions_to_end().await;
    let now = shown(&admin, &made).await;
    assert_eq!((&now["pending_changes"], &now["status"]), (&json!([]), &json!("succeeded")));
    app.books_balance().await;
}

#[tokio::test]
async fn a_deleted_firewall_is_gone() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.active_droplet("a").await;
    let made = make(&admin, json!({ "droplet_ids": [id] })).await;
    admin.delete(&path(&made)).await.expect(204);
    admin.get(&path(&made)).await.refusal(404, "not_found");
    admin.delete(&path(&made)).await.refusal(404, "not_found");
    assert_eq!(ids(&admin.get("/v2/droplets").await.expect(200)["droplets"]), [id]);
    make(&admin, json!({})).await;
    for table in ["firewall_parties", "firewall_changes"] {
        assert!(app.rows(table).await <= 1, "{table}");
    }
    app.run_actions_to_end().await;
    app.books_balance().await;
}
