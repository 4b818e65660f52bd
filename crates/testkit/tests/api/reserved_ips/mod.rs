//! Reserved IPs and floating IPs (RIP-1 to RIP-4): made, moved, given up, and what is refused.

mod around;

use std::{collections::BTreeSet, net::Ipv4Addr, time::Duration};

use dewpoint_engine::{Operation, sim::Moment};
use dewpoint_network::Reserved;
use dewpoint_testkit::{Answer, Client, TestApp};
use serde_json::{Value, json};

use crate::{droplet, each, fault, for_good, for_now};

const BUSY: &str = "The floating IP already has a pending event.";

async fn reserve(client: &Client<'_>, body: Value) -> String {
    let made = client.post("/v2/reserved_ips", body).await.expect(202);
    made["reserved_ip"]["ip"].as_str().expect("an address").to_owned()
}

async fn act(client: &Client<'_>, ip: &str, body: Value) -> Answer {
    client.post(&format!("/v2/reserved_ips/{ip}/actions"), body).await
}

async fn assign(client: &Client<'_>, ip: &str, droplet: u64) -> Answer {
    act(client, ip, json!({ "type": "assign", "droplet_id": droplet })).await
}

async fn unassign(client: &Client<'_>, ip: &str) -> Answer {
    act(client, ip, json!({ "type": "unassign" })).await
}

async fn shown(client: &Client<'_>, ip: &str) -> Value {
    client.get(&format!("/v2/reserved_ips/{ip}")).await.expect(200)["reserved_ip"].clone()
}

async fn newest_status(app: &TestApp) -> Value {
    app.admin().newest_action().await["status"].clone()
}

/// A Dewpoint whose engine follows plans.
async fn wired() -> TestApp {
    TestApp::start_with(|setup| setup.equipment.network = true).await
}

fn leads(app: &TestApp) -> Vec<(String, u64)> {
    let line = |Reserved { address, machine }: &Reserved| (address.to_string(), *machine);
    app.sim().plan().reserved.iter().map(line).collect()
}

#[tokio::test]
async fn an_address_is_reserved_for_a_region_and_unassigned_rip_1_rip_2() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let made = admin.post("/v2/reserved_ips", json!({ "region": "nyc3" })).await.expect(202);
    assert_eq!(made["links"], json!({}));
    let ip = &made["reserved_ip"];
    assert_eq!((&ip["droplet"], &ip["locked"], &ip["region"]["slug"]), (&json!(null), &json!(false), &json!("nyc3")));
    assert!(ip["ip"].as_str().and_then(|ip| ip.parse::<Ipv4Addr>().ok()).is_some(), "{ip}");
    let default = admin.get("/v2/projects/default").await.expect(200)["project"]["id"].clone();
    assert_eq!(ip["project_id"], default);
    assert_eq!(shown(&admin, ip["ip"].as_str().expect("text")).await, *ip);
    assert_eq!(admin.get("/v2/actions").await.expect(200)["meta"]["total"], 0, "nothing has to happen for that");

    // The same object under two names (RIP-2).
    let floating = admin.get(&format!("/v2/floating_ips/{}", ip["ip"].as_str().expect("text"))).await.expect(200);
    assert_eq!(floating["floating_ip"], *ip);
    assert_eq!(admin.get("/v2/floating_ips").await.expect(200)["floating_ips"], json!([ip]));
    assert_eq!(admin.get("/v2/reserved_ips").await.expect(200)["reserved_ips"], json!([ip]));
    let other = admin.post("/v2/floating_ips", json!({ "region": "fra1" })).await.expect(202);
    assert_eq!((&other["links"], &other["floating_ip"]["region"]["slug"]), (&json!({}), &json!("fra1")));
    assert_eq!(admin.get("/v2/reserved_ips").await.expect(200)["meta"]["total"], 2);
    app.books_balance().await;
}

#[tokio::test]
async fn reserved_for_a_droplet_it_is_assigned_by_an_action_that_locks_both_rip_1_act_6() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.active_droplet("web-1").await;
    let made = admin.post("/v2/reserved_ips", json!({ "droplet_id": id })).await.expect(202);
    let ip = made["reserved_ip"]["ip"].as_str().expect("an address").to_owned();
    assert_eq!((&made["reserved_ip"]["droplet"], &made["reserved_ip"]["locked"]), (&json!(null), &json!(true)));
    let action = &made["links"]["actions"][0];
    assert_eq!((&action["rel"], &made["links"]["droplets"][0]["rel"]), (&json!("assign_ip"), &json!("droplet")));
    assert_eq!(made["links"]["droplets"][0]["id"], id);
    assert_eq!(action["href"], format!("http://dew.test/v2/actions/{}", action["id"]));
    assert_eq!(admin.droplet(id).await["locked"], true);
    assert_eq!(
        admin.droplet(id).await["networks"]["v4"].as_array().map(Vec::len),
        Some(2),
        "not before it leads there"
    );

    // A second event is refused, of the address and of the Droplet.
    for answer in [assign(&admin, &ip, id).await, unassign(&admin, &ip).await] {
        assert_eq!(answer.invalid(), BUSY);
    }
    assert_eq!(admin.delete(&format!("/v2/reserved_ips/{ip}")).await.invalid(), BUSY);
    let busy = "Droplet already has a pending event.";
    assert_eq!(admin.delete(&format!("/v2/droplets/{id}")).await.invalid(), busy);
    let second = reserve(&admin, json!({ "region": "nyc3" })).await;
    assert_eq!(assign(&admin, &second, id).await.invalid(), busy);

    app.run_actions_to_end().await;
    let ip = shown(&admin, &ip).await;
    assert_eq!((&ip["locked"], &ip["droplet"]), (&json!(false), &admin.droplet(id).await), "the whole Droplet");
    let v4 = admin.droplet(id).await["networks"]["v4"].clone();
    assert_eq!(each(&v4, "type"), ["public", "public", "private"]);
    assert_eq!(v4[1]["ip_address"], ip["ip"], "RIP-6: behind the own one");
    app.books_balance().await;
}

#[tokio::test]
async fn actions_of_an_address_are_shown_everywhere_by_both_names_act_8_act_11_act_13() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.active_droplet("web-1").await;
    let ip = reserve(&admin, json!({ "region": "nyc3" })).await;
    let action = assign(&admin, &ip, id).await.expect(201)["action"].clone();
    let number = u32::from(ip.parse::<Ipv4Addr>().expect("an address"));
    assert_eq!(
        (&action["type"], &action["status"], &action["resource_type"], &action["resource_id"], &action["region_slug"]),
        (&json!("assign_ip"), &json!("in-progress"), &json!("reserved_ip"), &json!(number), &json!("nyc3"))
    );
    app.run_actions_to_end().await;
    app.clock().advance(Duration::from_secs(1));
    let floating =
        admin.post(&format!("/v2/floating_ips/{ip}/actions"), json!({ "type": "unassign" })).await.expect(201);
    assert_eq!(
        (&floating["action"]["type"], &floating["action"]["resource_type"]),
        (&json!("unassign_ip"), &json!("floating_ip"))
    );
    app.run_actions_to_end().await;
    for (name, kind) in [("reserved_ips", "reserved_ip"), ("floating_ips", "floating_ip")] {
        let all = admin.get(&format!("/v2/{name}/{ip}/actions")).await.expect(200);
        assert_eq!(each(&all["actions"], "type"), ["unassign_ip", "assign_ip"], "newest first");
        assert_eq!(each(&all["actions"], "resource_type"), [kind, kind]);
        let one = admin.get(&format!("/v2/{name}/{ip}/actions/{}", action["id"])).await.expect(200)["action"].clone();
        assert_eq!((&one["status"], &one["resource_type"]), (&json!("completed"), &json!(kind)));
    }
    let path = format!("/v2/actions/{}", action["id"]);
    assert_eq!(admin.get(&path).await.expect(200)["action"]["resource_type"], "floating_ip");
    let request = http::Request::get(&path).header("host", "dew.test");
    let request = request.header("accept", "application/json, application/vnd.digitalocean.reserveip+json");
    let newer = admin.send(request.body(axum::body::Body::empty()).expect("a request")).await.expect(200);
    assert_eq!(newer["action"]["resource_type"], "reserved_ip");
    // An action of something else, and one of another address.
    let create = admin.get("/v2/actions").await.expect(200)["actions"][2]["id"].clone();
    let other = reserve(&admin, json!({ "region": "nyc3" })).await;
    for path in
        [format!("{ip}/actions/{create}"), format!("{other}/actions/{}", action["id"]), format!("{ip}/actions/7")]
    {
        admin.get(&format!("/v2/reserved_ips/{path}")).await.refusal(404, "not_found");
    }
    // Terraform asks for the action of an address that is given up meanwhile (RIP-4).
    admin.delete(&format!("/v2/reserved_ips/{ip}")).await.expect(204);
    admin.get(&format!("/v2/reserved_ips/{ip}/actions/{}", action["id"])).await.expect(200);
    admin.get(&format!("/v2/reserved_ips/{ip}/actions")).await.refusal(404, "not_found");
}

#[tokio::test]
async fn assigning_an_assigned_one_moves_it_and_unassigning_an_unassigned_one_is_refused_rip_3() {
    let app = wired().await;
    let admin = app.admin();
    let (a, b) = (admin.active_droplet("a").await, admin.active_droplet("b").await);
    let ip = reserve(&admin, json!({ "droplet_id": a })).await;
    app.run_actions_to_end().await;
    assert_eq!(leads(&app), [(ip.clone(), a)]);
    let again = assign(&admin, &ip, a).await.invalid();
    assert!(again.contains("already assigned"), "{again}");

    assign(&admin, &ip, b).await.expect(201);
    assert_eq!(shown(&admin, &ip).await["droplet"]["id"], a, "until it leads elsewhere");
    app.run_actions_to_end().await;
    assert_eq!((&shown(&admin, &ip).await["droplet"]["id"], leads(&app)), (&json!(b), vec![(ip.clone(), b)]));
    assert_eq!(admin.droplet(a).await["networks"]["v4"].as_array().map(Vec::len), Some(2));

    unassign(&admin, &ip).await.expect(201);
    app.run_actions_to_end().await;
    assert_eq!((&shown(&admin, &ip).await["droplet"], leads(&app)), (&json!(null), vec![]));
    assert_eq!(unassign(&admin, &ip).await.invalid(), "The reserved IP is not assigned to a Droplet.");
    app.books_balance().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_nothing_is_half_done_rip_3() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.active_droplet("web-1").await;
    let private = admin.post("/v2/droplets", droplet(json!({ "public_networking": false }))).await.expect(202);
    let private = private["droplet"]["id"].as_u64().expect("a number");
    let away = admin.post("/v2/droplets", droplet(json!({ "region": "fra1" }))).await.expect(202);
    let away = away["droplet"]["id"].as_u64().expect("a number");
    app.run_actions_to_end().await;
    let foreign = app.other_account().await.active_droplet("theirs").await;
    let before = app.rows("addresses").await;
    for body in [
        json!({}),
        json!({ "region": "" }),
        json!({ "region": "mars1" }),
        json!({ "region": "ams1" }),
        json!({ "droplet_id": 7 }),
        json!({ "droplet_id": foreign }),
        json!({ "droplet_id": private }),
        json!({ "droplet_id": away, "region": "nyc3" }),
        json!({ "region": "nyc3", "project_id": "00000000-0000-4000-8000-000000000000" }),
        json!({ "region": "nyc3", "project_id": "mine" }),
        json!({ "region": "nyc3", "project_id": "" }),
        json!({ "region": 7 }),
    ] {
        for path in ["/v2/reserved_ips", "/v2/floating_ips"] {
            admin.post(path, body.clone()).await.invalid();
        }
    }
    assert_eq!((app.rows("reserved_ips").await, app.rows("addresses").await), (0, before), "nothing is half allocated");

    let ip = reserve(&admin, json!({ "region": "nyc3", "droplet_id": id })).await;
    app.run_actions_to_end().await;
    let other = reserve(&admin, json!({ "region": "nyc3" })).await;
    for (body, why) in [
        (json!({}), "type is required"),
        (json!({ "type": "explode" }), "not an action"),
        (json!({ "type": "assign" }), "droplet_id is required"),
        (json!({ "type": "assign", "droplet_id": 7 }), "no Droplet"),
        (json!({ "type": "assign", "droplet_id": foreign }), "no Droplet"),
        (json!({ "type": "assign", "droplet_id": private }), "public networking"),
        (json!({ "type": "assign", "droplet_id": away }), "region"),
        (json!({ "type": "assign", "droplet_id": id }), &format!("already has the reserved IP {ip}")),
        (json!({ "type": "unassign" }), "not assigned"),
    ] {
        let said = act(&admin, &other, body.clone()).await.invalid();
        assert!(said.contains(why), "{body}: {said}");
    }
    admin.post("/v2/reserved_ips", json!({ "droplet_id": id })).await.invalid();
    for none in ["192.0.2.1", "anything", "::1", "0198.19.0.2"] {
        admin.get(&format!("/v2/reserved_ips/{none}")).await.refusal(404, "not_found");
        act(&admin, none, json!({})).await.refusal(404, "not_found");
        admin.delete(&format!("/v2/floating_ips/{none}")).await.refusal(404, "not_found");
    }
    assert_eq!(app.backlog().await, 0);
    app.books_balance().await;
}

#[tokio::test]
async fn an_address_given_up_leads_nowhere_and_rests_before_it_is_given_again() {
    // Five addresses: eight less network, gateway and broadcast.
    let app = TestApp::start_with(|setup| {
        setup.control.reserved_v4_pool = (Ipv4Addr::new(198, 51, 100, 0), 29);
        setup.equipment.network = true;
    })
    .await;
    let admin = app.admin();
    let id = admin.active_droplet("web-1").await;
    let mut all = vec![reserve(&admin, json!({ "droplet_id": id })).await];
    for _ in 0..4 {
        all.push(reserve(&admin, json!({ "region": "nyc3" })).await);
    }
    let expected: Vec<String> = (2..7).map(|last| format!("198.51.100.{last}")).collect();
    assert_eq!(all, expected);
    let full = admin.post("/v2/reserved_ips", json!({ "region": "nyc3" })).await.invalid();
    assert_eq!(full, "No reserved IPv4 address is left: network.reserved_v4_pool is exhausted.");
    app.run_actions_to_end().await;

    // It is gone at once, and its address held until nothing leads there.
    admin.delete(&format!("/v2/reserved_ips/{}", all[0])).await.expect(204);
    admin.get(&format!("/v2/reserved_ips/{}", all[0])).await.refusal(404, "not_found");
    admin.delete(&format!("/v2/reserved_ips/{}", all[0])).await.refusal(404, "not_found");
    assert_eq!(admin.newest_action().await["type"], "release_ip");
    assert_eq!(admin.droplet(id).await["networks"]["v4"].as_array().map(Vec::len), Some(2));
    app.clock().advance(Duration::from_secs(3600));
    admin.post("/v2/reserved_ips", json!({ "region": "nyc3" })).await.invalid();
    app.run_actions_to_end().await;
    assert_eq!(leads(&app), []);
    let resting = admin.post("/v2/floating_ips", json!({ "region": "nyc3" })).await.invalid();
    assert!(resting.ends_with("1 were given back a moment ago and still rest: try again in a while."), "{resting}");
    app.clock().advance(app.control().config().address_quarantine);
    assert_eq!(reserve(&admin, json!({ "region": "nyc3" })).await, all[0]);
    app.books_balance().await;
}

#[tokio::test]
async fn nobody_is_given_an_address_that_another_has() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let other = app.other_account().await;
    let region = || json!({ "region": "nyc3" });
    let answers = tokio::join!(
        reserve(&admin, region()),
        reserve(&other, region()),
        reserve(&admin, region()),
        reserve(&other, region()),
        reserve(&admin, region()),
        reserve(&other, region())
    );
    let given = [answers.0, answers.1, answers.2, answers.3, answers.4, answers.5];
    assert_eq!(given.iter().collect::<BTreeSet<_>>().len(), 6, "{given:?}");
    for ip in [&given[1], &given[3]] {
        admin.get(&format!("/v2/reserved_ips/{ip}")).await.refusal(404, "not_found");
        unassign(&admin, ip).await.refusal(404, "not_found");
        admin.delete(&format!("/v2/reserved_ips/{ip}")).await.refusal(404, "not_found");
    }
    app.books_balance().await;
}

#[tokio::test]
async fn an_account_has_at_most_as_many_as_it_may() {
    let app = TestApp::start_with(|setup| setup.control.reserved_ip_limit = 2).await;
    let admin = app.admin();
    assert_eq!(admin.get("/v2/account").await.expect(200)["account"]["reserved_ip_limit"], 2);
    reserve(&admin, json!({ "region": "nyc3" })).await;
    admin.post("/v2/reserved_ipv6", json!({ "region_slug": "nyc3" })).await.expect(201);
    for (path, body) in
        [("/v2/reserved_ips", json!({ "region": "nyc3" })), ("/v2/reserved_ipv6", json!({ "region_slug": "nyc3" }))]
    {
        let said = admin.post(path, body).await.invalid();
        assert!(said.contains("limit"), "{said}");
    }
    reserve(&app.other_account().await, json!({ "region": "nyc3" })).await;
}

#[tokio::test]
async fn a_droplet_that_goes_leaves_its_address_unassigned_and_kept_del_3() {
    let app = wired().await;
    let admin = app.admin();
    let id = admin.active_droplet("web-1").await;
    let ip = reserve(&admin, json!({ "droplet_id": id })).await;
    app.run_actions_to_end().await;
    admin.delete(&format!("/v2/droplets/{id}")).await.expect(204);
    assert_eq!(shown(&admin, &ip).await["droplet"], json!(null), "at once");
    app.run_actions_to_end().await;
    assert_eq!(leads(&app), []);
    let next = admin.active_droplet("web-2").await;
    assign(&admin, &ip, next).await.expect(201);
    app.run_actions_to_end().await;
    assert_eq!(leads(&app), [(ip, next)]);
    app.books_balance().await;
}

#[tokio::test]
async fn the_droplet_it_leaves_may_go_while_it_moves() {
    let app = wired().await;
    let admin = app.admin();
    let (a, b) = (admin.active_droplet("a").await, admin.active_droplet("b").await);
    let ip = reserve(&admin, json!({ "droplet_id": a })).await;
    app.run_actions_to_end().await;
    assign(&admin, &ip, b).await.expect(201);
    admin.delete(&format!("/v2/droplets/{b}")).await.invalid();
    admin.delete(&format!("/v2/droplets/{a}")).await.expect(204);
    // The wire fails it for good: back it cannot go, since nobody is there.
    app.sim().faults().order(fault(Operation::ApplyNetwork, Moment::Before, 1, for_good));
    app.run_actions_to_end().await;
    let actions = admin.get(&format!("/v2/reserved_ips/{ip}/actions")).await.expect(200);
    assert_eq!(each(&actions["actions"], "status"), ["errored", "completed"]);
    assert_eq!((&shown(&admin, &ip).await["droplet"], leads(&app)), (&json!(null), vec![]));
    assign(&admin, &ip, b).await.expect(201);
    app.run_actions_to_end().await;
    assert_eq!(leads(&app), [(ip, b)]);
    app.books_balance().await;
}

#[tokio::test]
async fn an_address_leads_where_it_led_when_the_wire_fails_for_good() {
    let app = wired().await;
    let admin = app.admin();
    let (a, b) = (admin.active_droplet("a").await, admin.active_droplet("b").await);
    let ip = reserve(&admin, json!({ "droplet_id": a })).await;
    app.run_actions_to_end().await;
    app.sim().faults().order(fault(Operation::ApplyNetwork, Moment::Before, 2, for_now));
    assign(&admin, &ip, b).await.expect(201);
    app.run_actions_to_end_in_time().await;
    assert_eq!((newest_status(&app).await, leads(&app)), (json!("completed"), vec![(ip.clone(), b)]));
    for moment in [Moment::Before, Moment::After] {
        app.sim().faults().order(fault(Operation::ApplyNetwork, moment, 1, for_good));
        assign(&admin, &ip, a).await.expect(201);
        app.run_actions_to_end().await;
        assert_eq!((newest_status(&app).await, leads(&app)), (json!("errored"), vec![(ip.clone(), b)]), "{moment:?}");
        let now = shown(&admin, &ip).await;
        assert_eq!((&now["droplet"]["id"], &now["locked"]), (&json!(b), &json!(false)));
    }
    app.books_balance().await;
}

#[tokio::test]
async fn a_start_puts_every_address_where_it_led_and_goes_on_with_a_move() {
    let mut app = wired().await;
    let (a, b) = (app.admin().active_droplet("a").await, app.admin().active_droplet("b").await);
    let (one, two) = (
        reserve(&app.admin(), json!({ "droplet_id": a })).await,
        reserve(&app.admin(), json!({ "region": "nyc3" })).await,
    );
    app.run_actions_to_end().await;
    assign(&app.admin(), &two, b).await.expect(201);
    app.restart().await;
    app.run_actions_to_end().await;
    assert_eq!(leads(&app), [(one, a), (two, b)]);
    app.books_balance().await;
}
