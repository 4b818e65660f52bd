//! The plan of the network that an engine with real links is given: when, with what in it, and what happens when it fails.

use dewpoint_engine::{Operation, sim::Moment};
use dewpoint_network::{Link, LinkKind, Plan};
use dewpoint_testkit::TestApp;
use serde_json::{Value, json};

use crate::{droplet, fault, for_good, for_now};

/// A Dewpoint whose engine follows plans.
async fn wired() -> TestApp {
    TestApp::start_with(|setup| setup.equipment.network = true).await
}

/// The links of a Droplet in a plan.
fn links_of<'a>(plan: &'a Plan, droplet: &Value) -> Vec<&'a Link> {
    plan.links.iter().filter(|link| *droplet == link.machine).collect()
}

#[tokio::test]
async fn a_droplets_links_are_in_force_before_it_boots() {
    let app = wired().await;
    app.sim().faults().listen();
    let made = app.admin().post("/v2/droplets", droplet(json!({ "ipv6": true }))).await.expect(202)["droplet"].clone();
    app.run_actions_to_end().await;

    assert_eq!(app.sim().faults().listen(), [Operation::Ensure, Operation::ApplyNetwork, Operation::PowerOn]);
    let plan = app.sim().plan();
    let [vpc] = &plan.vpcs[..] else { panic!("one VPC: {plan:?}") };
    assert_eq!(vpc.id.to_string(), made["vpc_uuid"]);
    assert!(vpc.range.contains(&vpc.gateway));
    let [public, private] = links_of(&plan, &made["id"])[..] else { panic!("two links: {plan:?}") };
    assert_eq!((public.kind, private.kind), (LinkKind::Public, LinkKind::Private(vpc.id)));
    let shown = app.admin().get(&format!("/v2/droplets/{}", made["id"])).await.expect(200)["droplet"].clone();
    let v4 = |at: usize| shown["networks"]["v4"][at]["ip_address"].clone();
    assert_eq!(public.ipv4.map(|net| net.addr().to_string()).map(Value::from), Some(v4(0)));
    assert_eq!(public.ipv4.map(|net| net.prefix_len()), Some(10), "the simulator's pool");
    assert_eq!(
        public.ipv6.map(|net| (net.addr().to_string(), net.prefix_len())),
        Some((shown["networks"]["v6"][0]["ip_address"].as_str().expect("an address").to_owned(), 64))
    );
    assert_eq!(private.ipv4.map(|net| net.addr().to_string()).map(Value::from), Some(v4(1)));
    assert_eq!(private.ipv4.map(|net| net.prefix_len()), Some(vpc.range.prefix_len()));
    assert!(private.ipv4.is_some_and(|net| net.addr() != vpc.gateway), "the gateway is no Droplet's");
    let specs = app.sim().spec(dewpoint_engine::MachineId(public.machine)).await.expect("a look").expect("a machine");
    assert_eq!(specs.nics.iter().map(|nic| nic.mac.0).collect::<Vec<_>>(), [public.mac, private.mac]);
}

#[tokio::test]
async fn what_changes_of_a_droplet_changes_on_the_wire() {
    let app = wired().await;
    let id = app.admin().active_droplet("a").await;
    let path = format!("/v2/droplets/{id}");
    let has_v6 = |plan: &Plan| links_of(plan, &id.into()).iter().any(|link| link.ipv6.is_some());
    assert!(!has_v6(&app.sim().plan()));

    app.admin().post(&format!("{path}/actions"), json!({ "type": "enable_ipv6" })).await.expect(201);
    app.run_actions_to_end().await;
    assert!(has_v6(&app.sim().plan()));

    app.admin().delete(&path).await.expect(204);
    app.control().settle_what_changed().await.expect("it is put in force");
    assert_eq!(links_of(&app.sim().plan(), &id.into()).len(), 0, "before its machine is gone");
}

#[tokio::test]
async fn without_public_networking_there_is_one_link() {
    let app = wired().await;
    let made = app.admin().post("/v2/droplets", droplet(json!({ "public_networking": false }))).await.expect(202);
    app.run_actions_to_end().await;
    let plan = app.sim().plan();
    let [link] = links_of(&plan, &made["droplet"]["id"])[..] else { panic!("one link: {plan:?}") };
    assert!(matches!(link.kind, LinkKind::Private(_)));
}

#[tokio::test]
async fn a_start_puts_everything_in_force_before_machines_are_touched() {
    let mut app = wired().await;
    app.admin().active_droplet("a").await;
    let before = app.sim().plan();
    app.restart().await;
    assert_eq!(app.sim().plan(), before);
}

#[tokio::test]
async fn a_network_that_fails_for_now_is_tried_again_and_one_that_fails_for_good_ends_the_create() {
    let app = wired().await;
    app.sim().faults().order(fault(Operation::ApplyNetwork, Moment::Before, 2, for_now));
    let made = app.admin().post("/v2/droplets", droplet(json!({}))).await.expect(202)["droplet"].clone();
    app.run_actions_to_end_in_time().await;
    let path = format!("/v2/droplets/{}", made["id"]);
    assert_eq!(app.admin().get(&path).await.expect(200)["droplet"]["status"], "active");
    let before = app.sim().plan();

    app.sim().faults().order(fault(Operation::ApplyNetwork, Moment::Before, 1, for_good));
    let made = app.admin().post("/v2/droplets", droplet(json!({}))).await.expect(202)["droplet"].clone();
    app.run_actions_to_end_in_time().await;
    app.admin().get(&format!("/v2/droplets/{}", made["id"])).await.refusal(404, "not_found");
    assert_eq!(app.sim().plan(), before, "what was in force is so again");
    app.books_balance().await;
}

#[tokio::test]
async fn where_links_are_not_real_no_create_asks_for_the_network() {
    let app = TestApp::start().await;
    app.sim().faults().listen();
    let id = app.admin().active_droplet("a").await;
    app.admin().delete(&format!("/v2/droplets/{id}")).await.expect(204);
    app.run_actions_to_end().await;
    assert!(!app.sim().faults().listen().contains(&Operation::ApplyNetwork));
    assert_eq!(app.sim().plan(), Plan::default());
}
