//! When a firewall is in force: what the engine is given, whom that concerns, and what is told when it fails (FW-2, FW-5, FW-7).

use std::{collections::BTreeSet, pin::pin};

use dewpoint_engine::{Operation, sim::Moment};
use dewpoint_network::{Firewall, Peers, Protocol, Rule};
use dewpoint_testkit::TestApp;
use serde_json::json;
use tokio::sync::watch;

use super::{firewall, inbound, make, path, shown, tagged};
use crate::{fault, for_good, for_now, poll_once, resources};

/// A Dewpoint whose engine follows plans.
async fn wired() -> TestApp {
    TestApp::start_with(|setup| setup.equipment.network = true).await
}

fn set(machines: &[u64]) -> BTreeSet<u64> {
    machines.iter().copied().collect()
}

#[tokio::test]
async fn the_plan_has_every_firewall_that_guards_somebody_with_tags_as_machines() {
    let app = wired().await;
    let admin = app.admin();
    let (a, b, c) =
        (tagged(&app, "a", &["web"]).await, tagged(&app, "b", &["web", "db"]).await, tagged(&app, "c", &[]).await);
    let sources = json!({
        "addresses": ["192.0.2.7", "10.1.2.3/8", "2001:db8::1"], "droplet_ids": [c], "tags": ["db"],
        "load_balancer_uids": ["lb"], "kubernetes_ids": ["k"],
    });
    let rules = json!([
        { "protocol": "tcp", "ports": "8000-9000", "sources": sources },
        { "protocol": "icmp", "sources": { "load_balancer_uids": ["lb"] } },
        { "protocol": "udp", "ports": "all", "sources": { "addresses": ["::/0"] } },
    ]);
    let made =
        make(&admin, json!({ "inbound_rules": rules, "outbound_rules": null, "droplet_ids": [c], "tags": ["web"] }))
            .await;
    make(&admin, json!({ "name": "guards-nobody" })).await;
    app.run_actions_to_end().await;
    let rule = |protocol, ports, networks: &[&str], machines: &[u64]| Rule {
        protocol,
        ports,
        peers: Peers {
            networks: networks.iter().map(|text| text.parse().expect("a network")).collect(),
            machines: set(machines),
        },
    };
    let expected = Firewall {
        id: made["id"].as_str().and_then(|id| id.parse().ok()).expect("an id"),
        name: "wall".into(),
        machines: set(&[a, b, c]),
        inbound: vec![
            rule(Protocol::Tcp, Some(8000..=9000), &["192.0.2.7/32", "10.0.0.0/8", "2001:db8::1/128"], &[b, c]),
            rule(Protocol::Icmp, None, &[], &[]),
            rule(Protocol::Udp, None, &["::/0"], &[]),
        ],
        outbound: vec![],
    };
    assert_eq!(app.sim().plan().firewalls, std::slice::from_ref(&expected));

    admin.delete_with("/v2/tags/web/resources", resources(&[a])).await.expect(204);
    let change = json!([{ "droplet_id": a, "removing": true, "status": "waiting" }]);
    assert_eq!(shown(&admin, &made).await["pending_changes"], change);
    app.run_actions_to_end().await;
    assert_eq!(app.sim().plan().firewalls, [Firewall { machines: set(&[b, c]), ..expected }]);
    admin.delete(&path(&made)).await.expect(204);
    app.run_actions_to_end().await;
    assert_eq!(app.sim().plan().firewalls, []);
}

#[tokio::test]
async fn a_tagged_droplet_is_guarded_before_it_boots_fw_7() {
    let app = wired().await;
    tagged(&app, "a", &["web"]).await;
    make(&app.admin(), json!({ "tags": ["web"] })).await;
    app.run_actions_to_end().await;
    app.sim().faults().order(fault(Operation::PowerOn, Moment::Before, u32::MAX, for_now));
    let body = crate::droplet(json!({ "name": "later", "tags": ["web"] }));
    let later = app.admin().post("/v2/droplets", body).await.expect(202)["droplet"]["id"].as_u64().expect("a number");
    app.worker().run_until_idle().await;
    assert!(!app.running_machines().await.contains(&later), "it is about to boot");
    assert!(app.sim().plan().firewalls[0].machines.contains(&later));
}

#[tokio::test]
async fn what_cannot_be_put_in_force_says_so_and_what_was_stays_in_force_fw_2() {
    for for_real in [true, false] {
        let app = TestApp::start_with(|setup| setup.equipment.network = for_real).await;
        let admin = app.admin();
        let id = admin.active_droplet("a").await;
        let made = make(&admin, json!({ "droplet_ids": [id] })).await;
        app.run_actions_to_end().await;
        let before = app.sim().plan();

        app.sim().faults().order(fault(Operation::ApplyNetwork, Moment::Before, 2, for_good));
        admin.put(&path(&made), firewall(json!({ "outbound_rules": null, "droplet_ids": [id] }))).await.expect(200);
        app.run_actions_to_end().await;
        let failed = shown(&admin, &made).await;
        assert_eq!(failed["status"], "failed");
        assert_eq!(failed["pending_changes"], json!([{ "droplet_id": id, "removing": false, "status": "failed" }]));
        assert_eq!(failed["outbound_rules"], json!([]), "it is written as it is to be");
        assert_eq!(app.sim().plan(), before);

        // One that changes again is waiting again, and then fails with the rest.
        admin
            .post(
                &format!("{}/rules", path(&made)),
                json!({ "inbound_rules": inbound("1", json!({ "addresses": ["::/0"] })) }),
            )
            .await
            .expect(204);
        assert_eq!(shown(&admin, &made).await["status"], "waiting");
        app.run_actions_to_end().await;
        assert_eq!(shown(&admin, &made).await["status"], "failed");
        app.run_actions_to_end().await;
        let done = shown(&admin, &made).await;
        assert_eq!((&done["status"], &done["pending_changes"]), (&json!("succeeded"), &json!([])));
    }
}

#[tokio::test]
async fn what_waits_is_put_in_force_by_the_next_process() {
    for for_real in [true, false] {
        let mut app = TestApp::start_with(|setup| setup.equipment.network = for_real).await;
        let id = app.admin().active_droplet("a").await;
        let made = make(&app.admin(), json!({ "droplet_ids": [id] })).await;
        app.restart().await;
        assert_eq!(shown(&app.admin(), &made).await["status"], "succeeded");
        assert_eq!(app.sim().plan().firewalls.len(), usize::from(for_real));
    }
}

#[tokio::test]
async fn a_firewall_whose_client_left_is_put_in_force_all_the_same() {
    let app = wired().await;
    let admin = app.admin();
    let id = admin.active_droplet("a").await;
    app.run_actions_to_end().await;
    {
        let held = app.hold_writes();
        let mut asking = pin!(admin.post("/v2/firewalls", firewall(json!({ "droplet_ids": [id] }))));
        assert!(poll_once(&mut asking).await, "its write waits");
        // The client leaves before it is answered; then the write is carried out.
        drop(held);
    }
    app.until("it is made", async || app.rows("firewalls").await == 1).await;
    let (stop, stopped) = watch::channel(false);
    let keeping = tokio::spawn(app.control().clone().keep_network(stopped));
    app.until("it is in force", async || {
        let list = admin.get("/v2/firewalls").await.expect(200);
        list["firewalls"][0]["status"] == "succeeded" && app.sim().plan().firewalls.len() == 1
    })
    .await;
    stop.send(true).expect("it listens");
    keeping.await.expect("it ends");
}
