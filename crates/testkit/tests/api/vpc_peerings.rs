//! VPC peerings (PEE-1 to PEE-3): made, in force, renamed, ended, and what is refused.

use dewpoint_engine::{Operation, sim::Moment};
use dewpoint_testkit::{Client, TestApp};
use serde_json::{Value, json};

use crate::{each, fault, for_now};

async fn wired() -> TestApp {
    TestApp::start_with(|setup| setup.equipment.network = true).await
}

async fn vpc(client: &Client<'_>, name: &str, region: &str) -> String {
    let made = client.post("/v2/vpcs", json!({ "name": name, "region": region })).await.expect(201);
    made["vpc"]["id"].as_str().expect("an id").to_owned()
}

async fn peer(client: &Client<'_>, name: &str, one: &str, other: &str) -> Value {
    let body = json!({ "name": name, "vpc_ids": [one, other] });
    client.post("/v2/vpc_peerings", body).await.expect(202)["vpc_peering"].clone()
}

fn path(peering: &Value) -> String {
    format!("/v2/vpc_peerings/{}", peering["id"].as_str().expect("an id"))
}

/// The pairs in force, as texts.
fn in_force(app: &TestApp) -> Vec<[String; 2]> {
    let pair = |one: &dewpoint_network::Peering| [one.between.0.to_string(), one.between.1.to_string()];
    app.sim().plan().peerings.iter().map(pair).collect()
}

fn sorted(one: &str, other: &str) -> [String; 2] {
    let mut pair = [one.to_owned(), other.to_owned()];
    pair.sort();
    pair
}

#[tokio::test]
async fn a_peering_is_provisioning_until_it_is_in_force_and_deleting_until_it_is_not_pee_1_pee_2() {
    let app = wired().await;
    let admin = app.admin();
    let (a, b) = (vpc(&admin, "a", "nyc3").await, vpc(&admin, "b", "fra1").await);
    let made = peer(&admin, "a-to-b", &a, &b).await;
    assert_eq!((&made["name"], &made["status"]), (&json!("a-to-b"), &json!("PROVISIONING")));
    assert_eq!((&made["vpc_ids"], &made["created_at"]), (&json!(sorted(&a, &b)), &json!("2026-11-21T10:00:00Z")));
    assert_eq!(admin.get(&path(&made)).await.expect(200)["vpc_peering"], made);
    assert_eq!(in_force(&app), Vec::<[String; 2]>::new());

    app.run_actions_to_end().await;
    assert_eq!(admin.get(&path(&made)).await.expect(200)["vpc_peering"]["status"], "ACTIVE");
    assert_eq!(in_force(&app), [sorted(&a, &b)]);

    let deleting = admin.delete(&path(&made)).await.expect(202)["vpc_peering"].clone();
    assert_eq!((&deleting["status"], &deleting["id"]), (&json!("DELETING"), &made["id"]));
    assert_eq!(admin.get(&path(&made)).await.expect(200)["vpc_peering"], deleting);
    assert_eq!(admin.delete(&path(&made)).await.expect(202)["vpc_peering"], deleting, "asked again");
    admin.post("/v2/vpc_peerings", json!({ "name": "again", "vpc_ids": [b, a] })).await.invalid();
    app.run_actions_to_end().await;
    admin.get(&path(&made)).await.refusal(404, "not_found");
    admin.delete(&path(&made)).await.refusal(404, "not_found");
    assert_eq!(in_force(&app), Vec::<[String; 2]>::new());
    peer(&admin, "again", &b, &a).await;
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test]
async fn in_the_simulator_without_a_network_it_becomes_active_all_the_same() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let (a, b) = (vpc(&admin, "a", "nyc3").await, vpc(&admin, "b", "nyc3").await);
    let made = peer(&admin, "p", &a, &b).await;
    app.run_actions_to_end().await;
    assert_eq!(admin.get(&path(&made)).await.expect(200)["vpc_peering"]["status"], "ACTIVE");
    admin.delete(&path(&made)).await.expect(202);
    app.run_actions_to_end().await;
    admin.get(&path(&made)).await.refusal(404, "not_found");
    app.books_balance().await;
}

#[tokio::test]
async fn one_that_is_deleted_while_it_is_provisioning_never_becomes_active() {
    let mut app = wired().await;
    let (a, b) = (vpc(&app.admin(), "a", "nyc3").await, vpc(&app.admin(), "b", "nyc3").await);
    let made = peer(&app.admin(), "p", &a, &b).await;
    app.sim().faults().order(fault(Operation::ApplyNetwork, Moment::Before, 1, for_now));
    app.control().settle_what_changed().await.expect_err("the network cannot be made");
    assert_eq!(app.admin().get(&path(&made)).await.expect(200)["vpc_peering"]["status"], "PROVISIONING");
    app.admin().delete(&path(&made)).await.expect(202);
    // A server that starts anew goes on with it.
    app.restart().await;
    app.run_actions_to_end().await;
    app.admin().get(&path(&made)).await.refusal(404, "not_found");
    assert_eq!(in_force(&app), Vec::<[String; 2]>::new());
    app.books_balance().await;
}

#[tokio::test]
async fn what_cannot_be_peered_is_refused_and_nothing_is_made_pee_1() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let (a, b, c) = (vpc(&admin, "a", "nyc3").await, vpc(&admin, "b", "nyc3").await, vpc(&admin, "c", "nyc3").await);
    let foreign = vpc(&app.other_account().await, "theirs", "nyc3").await;
    let none = "00000000-0000-4000-8000-000000000000";
    for (body, why) in [
        (json!({}), "name"),
        (json!({ "name": "p" }), "exactly two"),
        (json!({ "name": "p", "vpc_ids": [a] }), "exactly two"),
        (json!({ "name": "p", "vpc_ids": [a, b, c] }), "exactly two"),
        (json!({ "name": "p", "vpc_ids": [a, a] }), "with itself"),
        (json!({ "name": "p", "vpc_ids": [a, none] }), "no VPC of your account"),
        (json!({ "name": "p", "vpc_ids": [foreign, a] }), "no VPC of your account"),
        (json!({ "name": "", "vpc_ids": [a, b] }), "name"),
        (json!({ "name": "two words", "vpc_ids": [a, b] }), "name"),
        (json!({ "name": "a.b", "vpc_ids": [a, b] }), "name"),
        (json!({ "name": "p", "vpc_ids": ["a", "b"] }), ""),
    ] {
        let said = admin.post("/v2/vpc_peerings", body.clone()).await.invalid();
        assert!(said.contains(why), "{body}: {said}");
    }
    assert_eq!(app.rows("vpc_peerings").await, 0);
    peer(&admin, "p", &a, &b).await;
    for (body, why) in [
        (json!({ "name": "q", "vpc_ids": [a, b] }), "peered already"),
        (json!({ "name": "q", "vpc_ids": [b, a] }), "peered already"),
        (json!({ "name": "p", "vpc_ids": [b, c] }), "same name"),
    ] {
        let said = admin.post("/v2/vpc_peerings", body.clone()).await.invalid();
        assert!(said.contains(why), "{body}: {said}");
    }
    assert_eq!(app.rows("vpc_peerings").await, 1);
}

#[tokio::test]
async fn ranges_that_overlap_are_never_peered_pee_1() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let (a, b) = (vpc(&admin, "a", "nyc3").await, vpc(&admin, "b", "nyc3").await);
    // No two of an account do, unless somebody wrote them so behind the product's back.
    let sql = "UPDATE vpcs SET ip_range = '10.100.0.0/24' WHERE name = 'b'";
    let done = app.store().write(move |tx: &mut dyn dewpoint_store::Tx| tx.execute(sql, &[])).await;
    assert_eq!(done.expect("the store can be written"), 1);
    let said = admin.post("/v2/vpc_peerings", json!({ "name": "p", "vpc_ids": [a, b] })).await.invalid();
    assert!(said.contains("overlap"), "{said}");
}

#[tokio::test]
async fn below_a_vpc_the_keys_are_others_pee_3() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let (a, b, c) = (vpc(&admin, "a", "nyc3").await, vpc(&admin, "b", "fra1").await, vpc(&admin, "c", "fra1").await);
    let below = |vpc: &str| format!("/v2/vpcs/{vpc}/peerings");
    let made = admin.post(&below(&a), json!({ "name": "p", "vpc_id": b })).await.expect(202)["peering"].clone();
    assert_eq!((&made["vpc_ids"], &made["status"]), (&json!(sorted(&a, &b)), &json!("PROVISIONING")));
    app.clock().advance(std::time::Duration::from_secs(1));
    let second = peer(&admin, "q", &b, &c).await;
    app.run_actions_to_end().await;
    let names = async |path: &str, key: &str| {
        let listed = admin.get(path).await.expect(200);
        assert_eq!(listed["meta"]["total"].as_u64(), listed[key].as_array().map(|all| all.len() as u64));
        each(&listed[key], "name").into_iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(names(&below(&a), "peerings").await, ["p"]);
    assert_eq!(names(&below(&b), "peerings").await, ["p", "q"]);
    assert_eq!(names("/v2/vpc_peerings", "vpc_peerings").await, ["p", "q"]);
    assert_eq!(names("/v2/vpc_peerings?region=nyc3", "vpc_peerings").await, ["p"]);
    assert_eq!(names("/v2/vpc_peerings?region=lon1", "vpc_peerings").await, Vec::<String>::new());

    for bad in [json!({ "name": "r" }), json!({ "name": "r", "vpc_id": a }), json!({ "vpc_id": c })] {
        admin.post(&below(&a), bad).await.invalid();
    }
    let id = made["id"].as_str().expect("an id");
    let renamed = admin.patch(&format!("{}/{id}", below(&a)), json!({ "name": "p2" })).await.expect(200);
    assert_eq!((&renamed["peering"]["name"], &renamed["peering"]["status"]), (&json!("p2"), &json!("ACTIVE")));
    let renamed = admin.patch(&path(&made), json!({ "name": "p3" })).await.expect(200)["vpc_peering"].clone();
    assert_eq!((&renamed["name"], &renamed["id"]), (&json!("p3"), &made["id"]));
    admin.patch(&path(&made), json!({ "name": "p3" })).await.expect(200);
    for bad in [json!({}), json!({ "name": "" }), json!({ "name": "a b" }), json!({ "name": "q" })] {
        admin.patch(&path(&made), bad).await.invalid();
    }
    let of_others = second["id"].as_str().expect("an id");
    admin.patch(&format!("{}/{of_others}", below(&a)), json!({ "name": "x" })).await.refusal(404, "not_found");
    let none = "00000000-0000-4000-8000-000000000000";
    admin.get(&below(none)).await.refusal(404, "not_found");
    admin.post(&below(none), json!({})).await.refusal(404, "not_found");
    let other = app.other_account().await;
    for at in [path(&made), below(&a)] {
        other.get(&at).await.refusal(404, "not_found");
    }
    other.delete(&path(&made)).await.refusal(404, "not_found");
}

#[tokio::test]
async fn a_vpc_with_peerings_is_not_deleted_until_they_are_gone_vpc_3() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let (a, b) = (vpc(&admin, "a", "nyc3").await, vpc(&admin, "b", "nyc3").await);
    let made = peer(&admin, "p", &b, &a).await;
    let gone = format!("/v2/vpcs/{b}");
    for _ in 0..2 {
        let said = admin.delete(&gone).await.refusal(409, "conflict");
        assert!(said.contains("peering p"), "{said}");
        admin.delete(&path(&made)).await.expect(202);
    }
    app.run_actions_to_end().await;
    admin.delete(&gone).await.expect(204);
    app.run_actions_to_end().await;
    app.books_balance().await;
}
