//! Domains and their records (DNS-1, DNS-2).

use dewpoint_testkit::{Client, TestApp};
use serde_json::{Value, json};

use crate::{each, with};

const RECORDS: &str = "/v2/domains/example.com/records";

async fn example(admin: &Client<'_>) {
    admin.post("/v2/domains", json!({ "name": "example.com" })).await.expect(201);
}

async fn make(client: &Client<'_>, record: Value) -> Value {
    client.post(RECORDS, record).await.expect(201)["domain_record"].clone()
}

/// The types and data of a domain's records.
async fn said(client: &Client<'_>) -> Vec<String> {
    let all = client.all(RECORDS, "domain_records").await;
    let text = |record: &Value, name: &str| record[name].as_str().expect("text").to_owned();
    all.iter().map(|one| format!("{} {} {}", text(one, "name"), text(one, "type"), text(one, "data"))).collect()
}

#[tokio::test]
async fn a_domain_has_its_first_records_by_itself_dns_1() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let body = json!({ "name": "Example.com", "ip_address": "192.0.2.1" });
    let made = admin.post("/v2/domains", body).await.expect(201)["domain"].clone();
    assert_eq!(made, json!({ "name": "example.com", "ttl": 1800, "zone_file": null }));
    assert_eq!(
        said(&admin).await,
        [
            "@ SOA 1800",
            "@ NS ns1.digitalocean.com",
            "@ NS ns2.digitalocean.com",
            "@ NS ns3.digitalocean.com",
            "@ A 192.0.2.1",
        ],
    );
    let shown = admin.get("/v2/domains/example.com").await.expect(200)["domain"].clone();
    let zone = shown["zone_file"].as_str().expect("a zone file");
    let serial = app.now().as_millis() / 1000;
    let lines: Vec<&str> = zone.lines().collect();
    assert_eq!(lines[..2], ["$ORIGIN example.com.", "$TTL 1800"]);
    let soa =
        format!("example.com. IN SOA ns1.digitalocean.com. hostmaster.example.com. {serial} 10800 3600 604800 1800");
    assert_eq!(lines[2], soa);
    assert_eq!(lines[3], "example.com. 1800 IN NS ns1.digitalocean.com.");
    assert_eq!(lines[6], "example.com. 1800 IN A 192.0.2.1");
    assert_eq!(admin.all("/v2/domains", "domains").await, [shown]);
}

#[tokio::test]
async fn a_domain_that_cannot_be_or_is_there_is_refused_dns_1() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let bad = [
        json!({}),
        json!({ "name": "" }),
        json!({ "name": "com" }),
        json!({ "name": "a b.com" }),
        json!({ "name": "a..com" }),
        json!({ "name": "192.0.2.1" }),
        json!({ "name": "example.com", "ip_address": "nowhere" }),
        json!({ "name": format!("{}.com", "a".repeat(64)) }),
        json!({ "name": 7 }),
    ];
    for body in bad {
        admin.post("/v2/domains", body).await.invalid();
    }
    assert_eq!(app.rows("domains").await + app.rows("domain_records").await, 0);
    example(&admin).await;
    for again in ["example.com", "EXAMPLE.com."] {
        assert!(admin.post("/v2/domains", json!({ "name": again })).await.invalid().contains("already exists"));
    }
    let other = app.other_account().await;
    for anothers in ["example.com", "www.example.com", "a.b.example.com"] {
        other.post("/v2/domains", json!({ "name": anothers })).await.invalid();
    }
    admin.post("/v2/domains", json!({ "name": "dev.example.com" })).await.expect(201);
    other.post("/v2/domains", json!({ "name": "notexample.com" })).await.expect(201);
    admin.post("/v2/domains", json!({ "name": "sub.other.org" })).await.expect(201);
    other.post("/v2/domains", json!({ "name": "other.org" })).await.invalid();
}

#[tokio::test]
async fn every_type_has_its_members_and_null_for_the_others_dns_2() {
    let app = TestApp::start().await;
    let admin = app.admin();
    example(&admin).await;
    let nothing = json!({ "priority": null, "port": null, "weight": null, "flags": null, "tag": null, "ttl": 1800 });
    // Zeros, as godo sends them for what it has no value for.
    let zeros = json!({ "priority": 0, "port": 0, "weight": 0, "flags": 0 });
    let cases = [
        (json!({ "type": "A", "name": "www", "data": "192.0.2.7" }), json!({})),
        (json!({ "type": "AAAA", "name": "www", "data": "2001:DB8::0:7" }), json!({ "data": "2001:db8::7" })),
        (
            json!({ "type": "cname", "name": "Web", "data": "www" }),
            json!({ "type": "CNAME", "name": "web", "data": "www.example.com" }),
        ),
        (json!({ "type": "CNAME", "name": "out", "data": "a.example.net." }), json!({ "data": "a.example.net" })),
        (
            json!({ "type": "MX", "name": "mail.example.com.", "data": "@", "priority": 10 }),
            json!({ "name": "mail", "priority": 10 }),
        ),
        (
            json!({ "type": "MX", "data": "mx.example.net.", "priority": 0 }),
            json!({ "name": "@", "data": "mx.example.net", "priority": 0 }),
        ),
        (json!({ "type": "NS", "name": "dev", "data": "ns.example.net." }), json!({ "data": "ns.example.net" })),
        (json!({ "type": "TXT", "name": "_dmarc", "data": "v=DMARC1; p=\"none\"" }), json!({})),
        (
            json!({ "type": "SRV", "name": "_sip._tcp", "data": "@", "priority": 1, "port": 5060, "weight": 2 }),
            json!({ "priority": 1, "port": 5060, "weight": 2 }),
        ),
        (
            json!({ "type": "CAA", "name": "@", "data": "letsencrypt.org.", "flags": 0, "tag": "issue" }),
            json!({ "data": "letsencrypt.org", "flags": 0, "tag": "issue" }),
        ),
        (
            json!({ "type": "CAA", "name": "@", "data": "mailto:a@example.com", "flags": 128, "tag": "iodef", "ttl": 90 }),
            json!({ "flags": 128, "tag": "iodef", "ttl": 90 }),
        ),
        (json!({ "type": "A", "name": "*.any", "data": "192.0.2.8", "ttl": 30 }), json!({ "ttl": 30 })),
    ];
    for (asked, kept) in cases {
        let made = make(&admin, with(zeros.clone(), asked.clone())).await;
        let mut expected = nothing.clone();
        for (member, value) in [asked, kept].iter().flat_map(|part| part.as_object().expect("an object")) {
            expected[member] = value.clone();
        }
        expected["id"] = made["id"].clone();
        assert_eq!(made, expected);
        assert_eq!(admin.get(&format!("{RECORDS}/{}", made["id"])).await.expect(200)["domain_record"], made);
    }
    let zone = admin.get("/v2/domains/example.com").await.expect(200)["domain"]["zone_file"].clone();
    for line in [
        "www.example.com. 1800 IN A 192.0.2.7",
        "web.example.com. 1800 IN CNAME www.example.com.",
        "mail.example.com. 1800 IN MX 10 example.com.",
        "_sip._tcp.example.com. 1800 IN SRV 1 2 5060 example.com.",
        "example.com. 1800 IN CAA 0 issue \"letsencrypt.org\"",
        "_dmarc.example.com. 1800 IN TXT \"v=DMARC1; p=\\\"none\\\"\"",
        "*.any.example.com. 30 IN A 192.0.2.8",
    ] {
        assert!(zone.as_str().expect("text").lines().any(|one| one == line), "{line} is not in\n{zone}");
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_is_refused_and_nothing_is_made_dns_2() {
    let app = TestApp::start().await;
    let admin = app.admin();
    example(&admin).await;
    let before = said(&admin).await;
    let a = json!({ "type": "A", "name": "www", "data": "192.0.2.7" });
    let bad = [
        json!({ "type": null }),
        json!({ "type": "PTR" }),
        json!({ "type": "SOA" }),
        json!({ "name": null }),
        json!({ "name": "www.example.org." }),
        json!({ "name": "a b" }),
        json!({ "name": "-a" }),
        json!({ "name": "a".repeat(64) }),
        json!({ "data": null }),
        json!({ "data": "nowhere" }),
        json!({ "data": "::1" }),
        json!({ "type": "AAAA" }),
        json!({ "type": "CNAME", "data": "http://example.net/" }),
        json!({ "type": "CNAME", "name": "@", "data": "example.net." }),
        json!({ "type": "MX", "data": "mx.example.net." }),
        json!({ "type": "MX", "data": "mx.example.net.", "priority": 65_536 }),
        json!({ "type": "MX", "data": "mx.example.net.", "priority": -1 }),
        json!({ "type": "SRV", "data": "@", "priority": 1, "weight": 1 }),
        json!({ "type": "SRV", "data": "@", "port": 1, "weight": 1 }),
        json!({ "type": "CAA", "data": "ca.example.net.", "flags": 0 }),
        json!({ "type": "CAA", "data": "ca.example.net.", "tag": "issue" }),
        json!({ "type": "CAA", "data": "ca.example.net.", "flags": 256, "tag": "issue" }),
        json!({ "type": "CAA", "data": "ca.example.net.", "flags": 0, "tag": "other" }),
        json!({ "type": "TXT", "data": "a\nb" }),
        json!({ "type": "TXT", "data": "a".repeat(4097) }),
        json!({ "ttl": 29 }),
        json!({ "ttl": -1 }),
        json!({ "ttl": 4_294_967_296_u64 }),
    ];
    for changes in bad {
        admin.post(RECORDS, with(a.clone(), changes)).await.invalid();
    }
    assert_eq!(said(&admin).await, before);
    admin.post("/v2/domains/none.example/records", a).await.refusal(404, "not_found");
}

#[tokio::test]
async fn another_name_for_a_thing_stands_alone_dns_2() {
    let app = TestApp::start().await;
    let admin = app.admin();
    example(&admin).await;
    make(&admin, json!({ "type": "A", "name": "www", "data": "192.0.2.7" })).await;
    let alias = make(&admin, json!({ "type": "CNAME", "name": "web", "data": "www" })).await;
    for body in [
        json!({ "type": "CNAME", "name": "www", "data": "@" }),
        json!({ "type": "CNAME", "name": "web", "data": "@" }),
        json!({ "type": "TXT", "name": "web", "data": "text" }),
    ] {
        assert!(admin.post(RECORDS, body).await.invalid().contains("stands alone"));
    }
    let path = format!("{RECORDS}/{}", alias["id"]);
    assert!(admin.patch(&path, json!({ "name": "www" })).await.invalid().contains("stands alone"));
    admin.patch(&path, json!({ "data": "other" })).await.expect(200);
}

#[tokio::test]
async fn put_and_patch_change_what_they_name_and_the_serial_grows_dns_2() {
    let app = TestApp::start().await;
    let admin = app.admin();
    example(&admin).await;
    let serial = async || {
        let zone = admin.get("/v2/domains/example.com").await.expect(200)["domain"]["zone_file"].clone();
        let soa = zone.as_str().and_then(|zone| zone.lines().nth(2)).expect("a SOA line").to_owned();
        soa.split(' ').nth(5).and_then(|word| word.parse::<u64>().ok()).expect("a serial number")
    };
    let mut last = serial().await;
    let mut grew = async || {
        let now = serial().await;
        assert!(now > last, "{now} is not above {last}");
        last = now;
    };
    let made = make(&admin, json!({ "type": "CNAME", "name": "a", "data": "x.example.net.", "ttl": 90 })).await;
    grew().await;
    let path = format!("{RECORDS}/{}", made["id"]);
    let patched = admin.patch(&path, json!({ "name": "b" })).await.expect(200)["domain_record"].clone();
    assert_eq!(patched, with(made.clone(), json!({ "name": "b" })));
    grew().await;
    // As godo edits: no type, zeros for what it has no value for.
    let edit = json!({ "name": "c", "data": "y.example.net.", "priority": 0, "port": 0, "weight": 0, "flags": 0, "ttl": 1000 });
    let put = admin.put(&path, edit.clone()).await.expect(200)["domain_record"].clone();
    assert_eq!(put, with(made.clone(), json!({ "name": "c", "data": "y.example.net", "ttl": 1000 })));
    grew().await;
    admin.put(&path, edit).await.expect(200);
    assert_eq!(serial().await, last, "nothing changed");

    let retyped = admin.patch(&path, json!({ "type": "MX", "priority": 5 })).await.expect(200)["domain_record"].clone();
    assert_eq!((&retyped["data"], &retyped["priority"]), (&json!("y.example.net"), &json!(5)));
    admin.patch(&path, json!({ "type": "A" })).await.invalid();
    admin.patch(&path, json!({ "ttl": 1 })).await.invalid();
    admin.delete(&path).await.expect(204);
    admin.delete(&path).await.refusal(404, "not_found");
    admin.get(&path).await.refusal(404, "not_found");
}

#[tokio::test]
async fn of_the_start_of_a_zone_only_the_time_changes_dns_2() {
    let app = TestApp::start().await;
    let admin = app.admin();
    example(&admin).await;
    let list = admin.get(&format!("{RECORDS}?type=SOA")).await.expect(200);
    let soa = list["domain_records"][0].clone();
    let path = format!("{RECORDS}/{}", soa["id"]);
    admin.delete(&path).await.invalid();
    let put = json!({ "name": "other", "data": "7", "type": "A", "ttl": 600 });
    let changed = admin.put(&path, put).await.expect(200)["domain_record"].clone();
    assert_eq!(changed, with(soa, json!({ "ttl": 600 })));
    assert_eq!(admin.get("/v2/domains/example.com").await.expect(200)["domain"]["ttl"], 600);
}

#[tokio::test]
async fn records_are_listed_by_whole_name_and_type_dns_2() {
    let app = TestApp::start().await;
    let admin = app.admin();
    example(&admin).await;
    make(&admin, json!({ "type": "A", "name": "sub", "data": "192.0.2.1" })).await;
    make(&admin, json!({ "type": "A", "name": "sub", "data": "192.0.2.2" })).await;
    make(&admin, json!({ "type": "TXT", "name": "sub", "data": "text" })).await;
    let count = async |query: &str| {
        let page = admin.get(&format!("{RECORDS}?{query}")).await.expect(200);
        let rows = page["domain_records"].as_array().map_or(0, Vec::len);
        assert_eq!(page["meta"]["total"], rows);
        rows
    };
    assert_eq!(count("name=sub.example.com").await, 3);
    assert_eq!(count("name=SUB.example.com.&type=a").await, 2);
    assert_eq!(count("name=sub.example.com&type=MX").await, 0);
    assert_eq!(count("name=sub").await, 0, "the name is whole");
    assert_eq!(count("name=example.com&type=NS").await, 3);
    assert_eq!(count("name=sub.example.org").await, 0);
    admin.get(&format!("{RECORDS}?type=PTR")).await.invalid();
}

#[tokio::test]
async fn a_domain_goes_with_its_records_and_out_of_its_project() {
    let app = TestApp::start().await;
    let admin = app.admin();
    example(&admin).await;
    let project = json!({ "name": "web", "purpose": "IoT" });
    let project = admin.post("/v2/projects", project).await.expect(201)["project"]["id"].clone();
    let resources = format!("/v2/projects/{}/resources", project.as_str().expect("an id"));
    let put = json!({ "resources": ["do:domain:example.com", "do:domain:other.com"] });
    let came_out = admin.post(&resources, put).await.expect(200)["resources"].clone();
    assert_eq!(each(&came_out, "status"), ["assigned", "not_found"]);
    let link = came_out[0]["links"]["self"].as_str().expect("a link").to_owned();
    assert!(link.ends_with("/v2/domains/example.com"), "{link}");
    let urns = async || admin.get(&resources).await.expect(200)["resources"].clone();
    assert_eq!(each(&urns().await, "urn"), ["do:domain:example.com"]);

    admin.delete("/v2/domains/example.com").await.expect(204);
    assert_eq!(urns().await, json!([]));
    assert_eq!(app.rows("domain_records").await, 0);
    admin.delete("/v2/domains/example.com").await.refusal(404, "not_found");
    admin.get(RECORDS).await.refusal(404, "not_found");
    example(&admin).await;
}

#[tokio::test]
async fn records_need_the_right_to_make_or_to_change_dns_2() {
    let app = TestApp::start().await;
    example(&app.admin()).await;
    let body = |name: &str| json!({ "type": "A", "name": name, "data": "192.0.2.7" });
    for (scope, name) in [("domain:create", "a"), ("domain:update", "b")] {
        app.token_with(&[scope]).await.post(RECORDS, body(name)).await.expect(201);
    }
    app.token_with(&["domain:read"]).await.post(RECORDS, body("c")).await.refusal(403, "forbidden");
}
