//! Could A reach B: the question as it is asked of the API, answered from the rows.

use dewpoint_testkit::{Client, TestApp};
use serde_json::{Value, json};

use crate::droplet;

async fn make(app: &TestApp, client: &Client<'_>, changes: Value) -> u64 {
    let made = client.post("/v2/droplets", droplet(changes)).await.expect(202);
    app.run_actions_to_end().await;
    made["droplet"]["id"].as_u64().expect("a number")
}

/// A Droplet's addresses: public, private, IPv6.
async fn addresses(client: &Client<'_>, id: u64) -> [String; 3] {
    let shown = client.droplet(id).await;
    let of = |family: &str, kind: &str| {
        let all = shown["networks"][family].as_array().cloned().unwrap_or_default();
        let found = all.into_iter().find(|one| one["type"] == kind);
        found.map_or(String::new(), |one| one["ip_address"].as_str().expect("text").to_owned())
    };
    [of("v4", "public"), of("v4", "private"), of("v6", "public")]
}

async fn ask(client: &Client<'_>, from: &str, to: &str, port: u16) -> Value {
    client.get(&format!("/dew/v1/reach?from={from}&to={to}&protocol=tcp&port={port}")).await.expect(200)
}

#[tokio::test]
async fn two_droplets_reach_each_other_until_a_firewall_says_otherwise_by_number_or_tag() {
    for for_real in [false, true] {
        let app = TestApp::start_with(|setup| setup.equipment.network = for_real).await;
        let admin = app.admin();
        let a = make(&app, &admin, json!({ "name": "a", "ipv6": true })).await;
        let b = make(&app, &admin, json!({ "name": "b", "ipv6": true })).await;
        let (from, [public, private, v6]) = (format!("droplet:{a}"), addresses(&admin, b).await);
        for to in [&public, &private, &v6] {
            let answer = ask(&admin, &from, to, 22).await;
            assert_eq!((&answer["reached"], &answer["real"]), (&json!(true), &json!(for_real)), "{to}: {answer}");
        }
        let open = ask(&admin, &from, &private, 22).await;
        assert_eq!(open["answer"], format!("Yes: no firewall guards Droplet {b} (b): everything comes to it."));

        let rule =
            json!({ "protocol": "tcp", "ports": "22", "sources": { "addresses": ["8.8.8.8"], "tags": ["door"] } });
        admin.post("/v2/tags", json!({ "name": "door" })).await.expect(201);
        let wall = json!({ "name": "wall", "inbound_rules": [rule], "droplet_ids": [b] });
        let wall = admin.post("/v2/firewalls", wall).await.expect(202)["firewall"]["id"].clone();
        let [_, source, _] = addresses(&admin, a).await;
        let closed = ask(&admin, &from, &private, 22).await;
        assert_eq!(closed["reached"], false);
        let expected =
            format!("No: firewall wall of Droplet {b} (b) has no inbound rule for TCP port 22 from {source}.");
        assert_eq!(closed["answer"], expected);
        assert_eq!(ask(&admin, "8.8.8.8", &public, 22).await["reached"], true);
        assert_eq!(ask(&admin, "8.8.8.9", &public, 22).await["reached"], false);

        admin.post("/v2/tags/door/resources", crate::resources(&[a])).await.expect(204);
        let opened = ask(&admin, &from, &private, 22).await;
        let step = opened["steps"].as_array().and_then(|steps| steps.last().cloned()).expect("steps");
        assert_eq!(
            (&opened["reached"], &step["stops"], &step["kind"]),
            (&json!(true), &json!(false), &json!("firewall"))
        );
        assert_eq!((&step["firewall_id"], &step["rule"]), (&wall, &json!(1)));
        assert_eq!((&step["droplet_id"], &step["direction"]), (&json!(b), &json!("inbound")));
        assert_eq!(ask(&admin, &from, &private, 23).await["reached"], false);
        let ping = admin.get(&format!("/dew/v1/reach?from={from}&to={private}&protocol=icmp")).await.expect(200);
        assert_eq!(ping["reached"], false);
    }
}

#[tokio::test]
async fn droplets_of_different_vpcs_have_no_private_way_and_nobody_is_told_of_anothers() {
    let app = TestApp::start().await;
    let (admin, other) = (app.admin(), app.other_account().await);
    let vpc =
        admin.post("/v2/vpcs", json!({ "name": "inner", "region": "fra1" })).await.expect(201)["vpc"]["id"].clone();
    let a = make(&app, &admin, json!({ "name": "a" })).await;
    let b = make(&app, &admin, json!({ "name": "b", "region": "fra1", "vpc_uuid": vpc })).await;
    let theirs = make(&app, &other, json!({ "name": "theirs" })).await;
    let wall = json!({
        "name": "secret", "droplet_ids": [theirs],
        "inbound_rules": [{ "protocol": "tcp", "ports": "1", "sources": { "addresses": ["::/0"] } }],
    });
    other.post("/v2/firewalls", wall).await.expect(202);
    let from = format!("droplet:{a}");
    let [_, private, _] = addresses(&admin, b).await;
    let said = ask(&admin, &from, &private, 22).await;
    assert_eq!(said["answer"], "No: the address is in VPC inner, which is not peered with VPC default-nyc3.");
    assert_eq!((&said["steps"][0]["kind"], &said["steps"][0]["stops"]), (&json!("obstacle"), &json!(true)));

    let [public, _, _] = addresses(&other, theirs).await;
    let said = ask(&admin, &from, &public, 22).await;
    assert!(!said.to_string().contains("secret") && !said.to_string().contains("theirs"), "{said}");
    assert_eq!(said["reached"], true, "as if it were anywhere in the world: {said}");
    admin.get(&format!("/dew/v1/reach?from=droplet:{theirs}&to={public}&port=22")).await.refusal(404, "not_found");
}

#[tokio::test]
async fn a_question_that_cannot_be_read_is_a_400_that_says_how_it_is_asked() {
    let app = TestApp::start().await;
    let admin = app.admin();
    for (query, about) in [
        ("", "from is a Droplet"),
        ("from=web-1&to=10.0.0.5&port=22", "from is a Droplet"),
        ("from=droplet:x&to=10.0.0.5&port=22", "from is a Droplet"),
        ("from=droplet:7", "to is an address"),
        ("from=8.8.8.8&to=10.0.0.0/8&port=22", "to is an address"),
        ("from=8.8.8.8&to=10.0.0.5&protocol=gre&port=22", "protocol is tcp, udp or icmp"),
        ("from=8.8.8.8&to=10.0.0.5", "port is a number"),
        ("from=8.8.8.8&to=10.0.0.5&port=0", "port is a number"),
        ("from=8.8.8.8&to=10.0.0.5&port=70000", "port is a number"),
    ] {
        let said = admin.get(&format!("/dew/v1/reach?{query}")).await.refusal(400, "bad_request");
        assert!(said.contains(about), "{query}: {said}");
    }
    admin.get("/dew/v1/reach?from=droplet:7&to=10.0.0.5&port=22").await.refusal(404, "not_found");
    let poor = app.token_with(&["droplet:read", "firewall:read"]).await;
    poor.get("/dew/v1/reach?from=8.8.8.8&to=10.0.0.5&port=22").await.refusal(403, "forbidden");
}
