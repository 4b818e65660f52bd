//! VPCs as far as they are read: list, get, and the default one of a region (VPC-2).

use dewpoint_testkit::TestApp;
use serde_json::json;

use crate::droplet;

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
