//! VPCs: made, changed, deleted, what is in them, and the default one of a region (VPC-1 to VPC-5).

use std::time::Duration;

use dewpoint_testkit::TestApp;
use serde_json::{Value, json};

use crate::{droplet, with};

#[tokio::test]
async fn a_regions_default_vpc_appears_with_its_first_droplet_vpc_2() {
    let app = TestApp::start().await;
    let admin = app.admin();
    assert_eq!(admin.get("/v2/vpcs").await.expect(200)["vpcs"], json!([]));
    let made = admin.post("/v2/droplets", droplet(json!({}))).await.expect(202)["droplet"].clone();
    let vpc = admin.get("/v2/vpcs").await.expect(200)["vpcs"][0].clone();
    assert_eq!((&vpc["id"], &vpc["name"]), (&made["vpc_uuid"], &json!("default-nyc3")));
    assert_eq!((&vpc["default"], &vpc["region"]), (&json!(true), &json!("nyc3")));
    assert!(vpc["ip_range"].as_str().is_some_and(|range| range.starts_with("10.") && range.ends_with("/16")));
    let id = vpc["id"].as_str().expect("an id");
    assert_eq!(vpc["urn"], format!("do:vpc:{id}"));
    assert_eq!(admin.get(&format!("/v2/vpcs/{id}")).await.expect(200)["vpc"], vpc);
    for none in ["7", "00000000-0000-0000-0000-000000000000", "default-nyc3"] {
        admin.get(&format!("/v2/vpcs/{none}")).await.refusal(404, "not_found");
    }
}

#[tokio::test]
async fn default_vpcs_of_accounts_and_regions_never_overlap_within_an_account() {
    let app = TestApp::start().await;
    let admin = app.admin();
    for region in ["nyc1", "nyc3", "fra1", "tor1"] {
        admin.post("/v2/droplets", droplet(json!({ "region": region }))).await.expect(202);
    }
    let vpcs = admin.all("/v2/vpcs", "vpcs").await;
    let mut ranges: Vec<&str> = vpcs.iter().map(|vpc| vpc["ip_range"].as_str().expect("a range")).collect();
    ranges.sort_unstable();
    ranges.dedup();
    assert_eq!(ranges.len(), 4);
    let other = app.other_account().await;
    let made = other.post("/v2/droplets", droplet(json!({}))).await.expect(202)["droplet"].clone();
    assert!(vpcs.iter().all(|vpc| vpc["id"] != made["vpc_uuid"]));
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test]
async fn the_length_of_default_vpcs_is_config() {
    let app = TestApp::start_with(|setup| setup.control.default_vpc_prefix = 20).await;
    app.admin().active_droplet("a").await;
    let vpc = app.admin().get("/v2/vpcs").await.expect(200)["vpcs"][0].clone();
    assert!(vpc["ip_range"].as_str().is_some_and(|range| range.ends_with("/20")), "{vpc}");
    let shown =
        app.admin().get("/v2/droplets").await.expect(200)["droplets"][0]["networks"]["v4"][1]["netmask"].clone();
    assert_eq!(shown, "255.255.240.0");
}

#[tokio::test]
async fn creates_side_by_side_make_one_default_vpc() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let body = || droplet(json!({ "name": null, "names": ["a", "b"] }));
    let answers = tokio::join!(
        admin.post("/v2/droplets", body()),
        admin.post("/v2/droplets", body()),
        admin.post("/v2/droplets", body()),
        admin.post("/v2/droplets", body()),
    );
    for answer in [answers.0, answers.1, answers.2, answers.3] {
        answer.expect(202);
    }
    assert_eq!(app.rows("vpcs").await, 1);
    app.run_actions_to_end().await;
    app.books_balance().await;
}

fn vpc(changes: Value) -> Value {
    with(json!({ "name": "env.prod-vpc", "region": "nyc3" }), changes)
}

#[tokio::test]
async fn a_vpc_is_made_as_asked_and_the_first_of_its_region_is_the_default_vpc_1_vpc_2() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let body = vpc(json!({ "description": "production", "ip_range": "10.10.10.0/24" }));
    let first = admin.post("/v2/vpcs", body).await.expect(201)["vpc"].clone();
    assert_eq!((&first["name"], &first["description"]), (&json!("env.prod-vpc"), &json!("production")));
    assert_eq!((&first["ip_range"], &first["default"]), (&json!("10.10.10.0/24"), &json!(true)));
    app.clock().advance(Duration::from_secs(1));
    let second = admin.post("/v2/vpcs", vpc(json!({ "name": "b" }))).await.expect(201)["vpc"].clone();
    assert_eq!((&second["default"], &second["description"]), (&json!(false), &json!("")));
    assert!(second["ip_range"].as_str().is_some_and(|range| range.ends_with("/20")), "{second}");
    let droplet = admin.post("/v2/droplets", droplet(json!({}))).await.expect(202)["droplet"].clone();
    assert_eq!(droplet["vpc_uuid"], first["id"], "who names no VPC is in the default one");
    assert_eq!(admin.all("/v2/vpcs", "vpcs").await, [first, second], "none was made for it");
}

#[tokio::test]
async fn droplets_are_in_the_vpc_they_name_with_an_address_of_its_range() {
    let app = TestApp::start().await;
    let admin = app.admin();
    admin.post("/v2/vpcs", vpc(json!({}))).await.expect(201);
    let small = vpc(json!({ "name": "small", "ip_range": "192.168.7.0/28" }));
    let small = admin.post("/v2/vpcs", small).await.expect(201)["vpc"]["id"].clone();
    let mut addresses = Vec::new();
    for number in 0..13 {
        let body = droplet(json!({ "name": format!("web-{number}"), "vpc_uuid": small }));
        let made = admin.post("/v2/droplets", body).await.expect(202)["droplet"]["id"].clone();
        app.run_actions_to_end().await;
        let shown = admin.get(&format!("/v2/droplets/{made}")).await.expect(200)["droplet"].clone();
        let v4 = shown["networks"]["v4"].as_array().expect("addresses").clone();
        let private = v4.into_iter().find(|one| one["type"] == "private").expect("a private address");
        addresses.push(private["ip_address"].as_str().expect("text").to_owned());
    }
    let expected: Vec<String> = (2..15).map(|last| format!("192.168.7.{last}")).collect();
    assert_eq!(addresses, expected);
    let full =
        admin.post("/v2/droplets", droplet(json!({ "name": "one-too-many", "vpc_uuid": small }))).await.invalid();
    assert!(full.contains("No private address is left in VPC small"), "{full}");
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test]
async fn ranges_of_an_account_never_overlap_also_when_made_side_by_side_vpc_1() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let named = |name: &str, range: &str| vpc(json!({ "name": name, "ip_range": range }));
    admin.post("/v2/vpcs", named("a", "10.10.0.0/16")).await.expect(201);
    for range in ["10.10.0.0/16", "10.10.3.0/24", "10.10.255.240/28"] {
        let said = admin.post("/v2/vpcs", named("b", range)).await.invalid();
        assert_eq!(said, "This range/size overlaps with another VPC network in your account: a 10.10.0.0/16.");
    }
    app.other_account().await.post("/v2/vpcs", named("a", "10.10.0.0/16")).await.expect(201);
    let chosen = |name: &str| admin.post("/v2/vpcs", vpc(json!({ "name": name })));
    let answers = tokio::join!(chosen("c"), chosen("d"), chosen("e"), chosen("f"), chosen("g"), chosen("h"));
    for answer in [answers.0, answers.1, answers.2, answers.3, answers.4, answers.5] {
        answer.expect(201);
    }
    let all = admin.all("/v2/vpcs", "vpcs").await;
    let mut ranges: Vec<&str> = all.iter().map(|vpc| vpc["ip_range"].as_str().expect("a range")).collect();
    ranges.sort_unstable();
    ranges.dedup();
    assert_eq!(ranges.len(), 7);
}

#[tokio::test]
async fn a_vpc_that_cannot_be_is_refused_and_nothing_is_made_vpc_1() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let bad = [
        json!({ "name": "" }),
        json!({ "name": "two words" }),
        json!({ "name": null }),
        json!({ "name": "under_score" }),
        json!({ "description": "x".repeat(256) }),
        json!({ "region": null }),
        json!({ "region": "mars1" }),
        json!({ "region": "ams1" }),
        json!({ "ip_range": "10.0.0.0/8" }),
        json!({ "ip_range": "10.0.0.0/29" }),
        json!({ "ip_range": "8.8.8.0/24" }),
        json!({ "ip_range": "10.0.0.7/24" }),
        json!({ "ip_range": "fd00::/64" }),
        json!({ "ip_range": "anything" }),
        json!({ "ip_range": 7 }),
    ];
    for body in bad {
        admin.post("/v2/vpcs", vpc(body)).await.invalid();
    }
    assert_eq!(app.rows("vpcs").await, 0);
    admin.post("/v2/vpcs", vpc(json!({}))).await.expect(201);
    let said = admin.post("/v2/vpcs", vpc(json!({ "region": "fra1" }))).await.invalid();
    assert!(said.contains("same name"), "{said}");
}

#[tokio::test]
async fn put_replaces_patch_changes_a_part_and_the_default_moves_vpc_2_vpc_5() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let make = async |name: &str, region: &str| {
        let body = vpc(json!({ "name": name, "region": region, "description": "first" }));
        admin.post("/v2/vpcs", body).await.expect(201)["vpc"]["id"].as_str().expect("an id").to_owned()
    };
    let (a, b, elsewhere) = (make("a", "nyc3").await, make("b", "nyc3").await, make("c", "fra1").await);
    let path = format!("/v2/vpcs/{b}");

    let patched = admin.patch(&path, json!({ "name": "b2" })).await.expect(200)["vpc"].clone();
    assert_eq!((&patched["name"], &patched["description"]), (&json!("b2"), &json!("first")));
    let put = admin.put(&path, json!({ "name": "b3" })).await.expect(200)["vpc"].clone();
    assert_eq!((&put["name"], &put["description"]), (&json!("b3"), &json!("")));
    admin.put(&path, json!({ "description": "no name" })).await.invalid();
    for taken in ["a", "c"] {
        admin.patch(&path, json!({ "name": taken })).await.invalid();
    }
    admin.patch(&path, json!({ "description": "y".repeat(256) })).await.invalid();

    let moved = admin.patch(&path, json!({ "default": true })).await.expect(200)["vpc"].clone();
    assert_eq!((&moved["default"], &moved["name"]), (&json!(true), &json!("b3")));
    let is_default = async |id: &str| admin.get(&format!("/v2/vpcs/{id}")).await.expect(200)["vpc"]["default"].clone();
    assert_eq!((is_default(&a).await, is_default(&elsewhere).await), (json!(false), json!(true)));
    let kept = admin.patch(&path, json!({ "default": false })).await.expect(200)["vpc"].clone();
    assert_eq!(kept["default"], true, "a region keeps its default");
    let fixed = admin.patch(&path, json!({ "ip_range": "10.9.0.0/16", "region": "fra1" })).await.expect(200);
    assert_eq!((&fixed["vpc"]["ip_range"], &fixed["vpc"]["region"]), (&kept["ip_range"], &json!("nyc3")));
}

#[tokio::test]
async fn a_vpc_goes_when_it_is_empty_and_not_the_default_vpc_3_vpc_4() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let make = async |name: &str| {
        admin.post("/v2/vpcs", vpc(json!({ "name": name }))).await.expect(201)["vpc"]["id"]
            .as_str()
            .expect("an id")
            .to_owned()
    };
    let (default, other) = (make("a").await, make("b").await);
    admin.delete(&format!("/v2/vpcs/{default}")).await.refusal(403, "forbidden");

    let path = format!("/v2/vpcs/{other}");
    let body = droplet(json!({ "vpc_uuid": other, "name": null, "names": ["web-1", "web-2"] }));
    let made = admin.post("/v2/droplets", body).await.expect(202)["droplets"].clone();
    app.run_actions_to_end().await;
    let refused = admin.delete(&path).await;
    assert!(refused.refusal(409, "conflict").contains("Can not delete VPC with members"));
    let members = admin.all(&format!("{path}/members"), "members").await;
    let expected = made.as_array().expect("two").iter().map(|droplet| {
        json!({
            "urn": format!("do:droplet:{}", droplet["id"]), "name": droplet["name"],
            "created_at": droplet["created_at"],
        })
    });
    assert_eq!(members, expected.collect::<Vec<_>>());
    assert_eq!(admin.get(&format!("{path}/members?resource_type=droplet")).await.expect(200)["meta"]["total"], 2);
    assert_eq!(admin.get(&format!("{path}/members?resource_type=database")).await.expect(200)["members"], json!([]));

    for one in made.as_array().expect("two") {
        admin.delete(&format!("/v2/droplets/{}", one["id"])).await.expect(204);
    }
    assert_eq!(admin.all(&format!("{path}/members"), "members").await, [] as [Value; 0], "at once");
    admin.delete(&path).await.expect(204);
    admin.delete(&path).await.refusal(404, "not_found");
    admin.get(&format!("{path}/members")).await.refusal(404, "not_found");
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test]
async fn a_default_vpc_finds_a_name_also_where_its_own_is_taken_cre_14() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let taken = vpc(json!({ "name": "default-nyc3", "region": "fra1" }));
    admin.post("/v2/vpcs", taken).await.expect(201);
    let made = admin.post("/v2/droplets", droplet(json!({}))).await.expect(202)["droplet"].clone();
    let vpc =
        admin.get(&format!("/v2/vpcs/{}", made["vpc_uuid"].as_str().expect("an id"))).await.expect(200)["vpc"].clone();
    assert!(vpc["name"].as_str().is_some_and(|name| name.starts_with("default-nyc3-")), "{vpc}");
    assert_eq!(vpc["default"], true);
}

#[tokio::test]
async fn members_are_shown_to_who_may_see_droplets_auth_6() {
    let app = TestApp::start().await;
    let made = app.admin().post("/v2/droplets", droplet(json!({}))).await.expect(202)["droplet"].clone();
    let path = format!("/v2/vpcs/{}/members", made["vpc_uuid"].as_str().expect("an id"));
    let blind = app.token_with(&["vpc:read"]).await;
    assert_eq!(blind.get(&path).await.expect(200)["members"], json!([]));
    let sees = app.token_with(&["vpc:read", "droplet:read"]).await;
    assert_eq!(sees.get(&path).await.expect(200)["members"].as_array().map(Vec::len), Some(1));
}
