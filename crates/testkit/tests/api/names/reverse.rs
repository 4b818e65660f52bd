//! The names of Droplets' addresses (CRE-4).

use std::net::IpAddr;

use dewpoint_testkit::TestApp;
use hickory_proto::{
    op::ResponseCode,
    rr::{Name, RecordType},
};
use serde_json::{Value, json};

use super::{answers, ask, nothing};

/// The names in the tree of addresses of a Droplet's two public addresses.
fn reversed(droplet: &Value) -> [String; 2] {
    ["v4", "v6"].map(|family| {
        let all = droplet["networks"][family].as_array().expect("addresses");
        let public = all.iter().find(|one| one["type"] == "public").expect("a public address");
        let address: IpAddr = public["ip_address"].as_str().and_then(|text| text.parse().ok()).expect("an address");
        Name::from(address).to_ascii()
    })
}

async fn droplet(app: &TestApp, client: &dewpoint_testkit::Client<'_>, name: &str) -> (u64, [String; 2]) {
    let mut body = dewpoint_testkit::droplet_body(name);
    body["ipv6"] = json!(true);
    let made = client.post("/v2/droplets", body).await.expect(202)["droplet"]["id"].as_u64().expect("a number");
    app.run_actions_to_end().await;
    (made, reversed(&client.droplet(made).await))
}

#[tokio::test]
async fn addresses_have_the_name_of_a_droplet_that_is_a_host_of_a_domain_cre_4() {
    let app = TestApp::start().await;
    let admin = app.admin();
    admin.post("/v2/domains", json!({ "name": "example.com" })).await.expect(201);
    let (id, at) = droplet(&app, &admin, "Web-1.Example.com").await;
    for name in &at {
        assert_eq!(answers(&app, name, RecordType::PTR).await, [format!("{name} 1800 PTR web-1.example.com.")]);
        nothing(&app, name, RecordType::A, ResponseCode::NoError).await;
    }
    // There is no record of the name itself, unless somebody makes one.
    nothing(&app, "web-1.example.com.", RecordType::A, ResponseCode::NXDomain).await;

    let rename = json!({ "type": "rename", "name": "other.example.com" });
    admin.post(&format!("/v2/droplets/{id}/actions"), rename).await.expect(201);
    app.run_actions_to_end().await;
    assert_eq!(answers(&app, &at[0], RecordType::PTR).await, [format!("{} 1800 PTR other.example.com.", at[0])]);
    let rename = json!({ "type": "rename", "name": "other" });
    admin.post(&format!("/v2/droplets/{id}/actions"), rename).await.expect(201);
    app.run_actions_to_end().await;
    nothing(&app, &at[0], RecordType::PTR, ResponseCode::NXDomain).await;

    let (id, at) = droplet(&app, &admin, "example.com").await;
    assert_eq!(answers(&app, &at[1], RecordType::PTR).await, [format!("{} 1800 PTR example.com.", at[1])]);
    admin.delete(&format!("/v2/droplets/{id}")).await.expect(204);
    app.run_actions_to_end().await;
    for name in &at {
        nothing(&app, name, RecordType::PTR, ResponseCode::NXDomain).await;
    }
}

#[tokio::test]
async fn a_name_that_is_in_no_domain_of_the_account_is_no_addresss_cre_4() {
    let app = TestApp::start().await;
    let (admin, other) = (app.admin(), app.other_account().await);
    other.post("/v2/domains", json!({ "name": "example.com" })).await.expect(201);
    for name in ["web.example.com", "example.com", "web.example.net", "web", ".", "-a.example.org", "a..example.org"] {
        if admin.post("/v2/droplets", dewpoint_testkit::droplet_body(name)).await.status != 202 {
            continue;
        }
        let (_, at) = droplet(&app, &admin, name).await;
        for at in &at {
            nothing(&app, at, RecordType::PTR, ResponseCode::NXDomain).await;
        }
    }
    // It comes with the domain and goes with it.
    let (_, at) = droplet(&app, &admin, "web.example.net").await;
    admin.post("/v2/domains", json!({ "name": "example.net" })).await.expect(201);
    assert_eq!(answers(&app, &at[0], RecordType::PTR).await.len(), 1);
    admin.delete("/v2/domains/example.net").await.expect(204);
    nothing(&app, &at[0], RecordType::PTR, ResponseCode::NXDomain).await;
}

#[tokio::test]
async fn the_zones_of_the_pools_are_whole_and_nobodys_domain() {
    let app = TestApp::start_with(|setup| {
        setup.control.public_v4_pool = Some(("198.51.100.0".parse().expect("an address"), 24));
    })
    .await;
    let admin = app.admin();
    let zone = "100.51.198.in-addr.arpa.";
    let start = answers(&app, zone, RecordType::SOA).await;
    assert!(start[0].starts_with("100.51.198.in-addr.arpa. 1800 SOA ns1.digitalocean.com."), "{start:?}");
    assert_eq!(answers(&app, zone, RecordType::NS).await.len(), 3);
    nothing(&app, zone, RecordType::A, ResponseCode::NoError).await;
    nothing(&app, &format!("7.{zone}"), RecordType::PTR, ResponseCode::NXDomain).await;
    nothing(&app, &format!("x.7.{zone}"), RecordType::PTR, ResponseCode::NXDomain).await;
    assert_eq!(
        ask(&app, "99.51.198.in-addr.arpa.", RecordType::PTR).await.metadata.response_code,
        ResponseCode::Refused
    );

    admin.post("/v2/domains", json!({ "name": "51.198.in-addr.arpa" })).await.expect(201);
    let records = "/v2/domains/51.198.in-addr.arpa/records";
    for name in ["7.100", "*"] {
        admin.post(records, json!({ "type": "TXT", "name": name, "data": "mine" })).await.expect(201);
    }
    nothing(&app, &format!("7.{zone}"), RecordType::TXT, ResponseCode::NXDomain).await;
    assert_eq!(answers(&app, "1.99.51.198.in-addr.arpa.", RecordType::TXT).await.len(), 1, "not of the pool");
}
