//! Domains by the DNS protocol.

use dewpoint_testkit::{Client, TestApp};
use hickory_proto::{op::ResponseCode, rr::RecordType};
use serde_json::{Value, json};

use super::{answers, ask, nothing, texts};

const RECORDS: &str = "/v2/domains/example.com/records";

async fn with_records(records: &[Value]) -> TestApp {
    let app = TestApp::start().await;
    app.admin().post("/v2/domains", json!({ "name": "example.com" })).await.expect(201);
    for record in records {
        make(&app.admin(), record.clone()).await;
    }
    app
}

async fn make(client: &Client<'_>, record: Value) -> u64 {
    client.post(RECORDS, record).await.expect(201)["domain_record"]["id"].as_u64().expect("a number")
}

fn a(name: &str, data: &str) -> Value {
    json!({ "type": "A", "name": name, "data": data })
}

#[tokio::test]
async fn every_type_is_told_as_it_was_made_dns_2() {
    let long = format!("{}{}", "a".repeat(255), "b".repeat(300));
    let app = with_records(&[
        a("www", "192.0.2.7"),
        json!({ "type": "AAAA", "name": "www", "data": "2001:db8::7", "ttl": 60 }),
        json!({ "type": "MX", "name": "@", "data": "mail.example.net.", "priority": 10 }),
        json!({ "type": "MX", "name": "@", "data": "@", "priority": 20, "ttl": 90 }),
        json!({ "type": "TXT", "name": "text", "data": long }),
        json!({ "type": "SRV", "name": "_sip._tcp", "data": "www", "priority": 1, "weight": 2, "port": 5060 }),
        json!({ "type": "CAA", "name": "@", "data": "letsencrypt.org.", "flags": 128, "tag": "issue" }),
        json!({ "type": "NS", "name": "@", "data": "ns.example.com." }),
        json!({ "type": "CNAME", "name": "out", "data": "else.example.net." }),
    ])
    .await;
    assert_eq!(answers(&app, "www.example.com.", RecordType::A).await, ["www.example.com. 1800 A 192.0.2.7"]);
    assert_eq!(answers(&app, "www.example.com.", RecordType::AAAA).await, ["www.example.com. 60 AAAA 2001:db8::7"]);
    // Records of one name and type may be kept for one time.
    assert_eq!(
        answers(&app, "example.com.", RecordType::MX).await,
        ["example.com. 90 MX 10 mail.example.net.", "example.com. 90 MX 20 example.com."]
    );
    let text = ask(&app, "text.example.com.", RecordType::TXT).await;
    let hickory_proto::rr::RData::TXT(parts) = &text.answers[0].data else { panic!("{text:?}") };
    let lengths: Vec<usize> = parts.txt_data.iter().map(|part| part.len()).collect();
    assert_eq!((lengths, parts.txt_data.concat()), (vec![255, 255, 45], long.into_bytes()));
    assert_eq!(
        answers(&app, "_sip._tcp.example.com.", RecordType::SRV).await,
        ["_sip._tcp.example.com. 1800 SRV 1 2 5060 www.example.com."]
    );
    assert_eq!(
        answers(&app, "example.com.", RecordType::CAA).await,
        ["example.com. 1800 CAA 128 issue \"letsencrypt.org\""]
    );
    let servers = answers(&app, "example.com.", RecordType::NS).await;
    assert_eq!(servers.len(), 4);
    assert_eq!(servers[3], "example.com. 1800 NS ns.example.com.");
    let serial = app.now().as_millis() / 1000;
    let start = answers(&app, "example.com.", RecordType::SOA).await;
    let said = format!("example.com. 1800 SOA ns1.digitalocean.com. hostmaster.example.com. {} ", serial + 9);
    assert!(start[0].starts_with(&said), "{start:?}");
    // Another domain's name is not ours to look up.
    assert_eq!(
        answers(&app, "out.example.com.", RecordType::A).await,
        ["out.example.com. 1800 CNAME else.example.net."]
    );
    assert_eq!(
        answers(&app, "out.example.com.", RecordType::CNAME).await,
        ["out.example.com. 1800 CNAME else.example.net."]
    );
    // Who asks for everything gets one type.
    assert_eq!(answers(&app, "www.example.com.", RecordType::ANY).await, ["www.example.com. 1800 A 192.0.2.7"]);
}

#[tokio::test]
async fn a_name_is_one_in_every_case_and_told_as_it_was_asked() {
    let app = with_records(&[a("WWW", "192.0.2.7")]).await;
    assert_eq!(answers(&app, "wWw.EXAMPLE.com.", RecordType::A).await, ["wWw.EXAMPLE.com. 1800 A 192.0.2.7"]);
}

#[tokio::test]
async fn no_such_name_is_not_no_such_record() {
    let app = with_records(&[a("www", "192.0.2.7"), a("a.b.c", "192.0.2.8"), a("b-c", "192.0.2.9")]).await;
    for there in ["example.com.", "www.example.com.", "c.example.com.", "b.c.example.com."] {
        nothing(&app, there, RecordType::TXT, ResponseCode::NoError).await;
    }
    for absent in
        ["b.example.com.", "x.www.example.com.", "x.b.c.example.com.", "ww.example.com.", "w\\.w.example.com."]
    {
        nothing(&app, absent, RecordType::A, ResponseCode::NXDomain).await;
    }
    nothing(&app, "www.example.com.", RecordType::Unknown(65_280), ResponseCode::NoError).await;
}

#[tokio::test]
async fn what_is_no_domain_here_is_refused() {
    let app = with_records(&[]).await;
    for name in [".", "com.", "example.net.", "notexample.com.", "1.0.0.10.in-addr.arpa."] {
        let said = ask(&app, name, RecordType::A).await;
        assert_eq!(said.metadata.response_code, ResponseCode::Refused, "{name}");
        assert!(!said.metadata.authoritative && said.answers.is_empty() && said.authorities.is_empty(), "{said:?}");
    }
    for whole in [RecordType::AXFR, RecordType::IXFR] {
        let said = ask(&app, "example.com.", whole).await;
        assert_eq!((said.metadata.response_code, said.answers.len()), (ResponseCode::Refused, 0));
    }
}

#[tokio::test]
async fn aliases_are_followed_within_the_domain() {
    let alias = |name: &str, data: &str| json!({ "type": "CNAME", "name": name, "data": data });
    let app = with_records(&[
        a("www", "192.0.2.7"),
        alias("one", "two"),
        alias("two", "www"),
        alias("gone", "nowhere"),
        alias("loop", "pool"),
        alias("pool", "loop"),
        alias("self", "self"),
        alias("over", "x.sub"),
    ])
    .await;
    assert_eq!(
        answers(&app, "one.example.com.", RecordType::A).await,
        [
            "one.example.com. 1800 CNAME two.example.com.",
            "two.example.com. 1800 CNAME www.example.com.",
            "www.example.com. 1800 A 192.0.2.7",
        ]
    );
    let missing = ask(&app, "gone.example.com.", RecordType::A).await;
    assert_eq!(missing.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(texts(&missing.answers), ["gone.example.com. 1800 CNAME nowhere.example.com."]);
    let other = ask(&app, "one.example.com.", RecordType::TXT).await;
    assert_eq!((other.answers.len(), other.authorities.len()), (2, 1), "{other:?}");
    assert_eq!(answers(&app, "loop.example.com.", RecordType::A).await.len(), 2);
    assert_eq!(answers(&app, "self.example.com.", RecordType::A).await.len(), 1);
    // Another domain of the account's is another zone: its answer is its own.
    app.admin().post("/v2/domains", json!({ "name": "sub.example.com" })).await.expect(201);
    assert_eq!(answers(&app, "over.example.com.", RecordType::A).await.len(), 1);
    nothing(&app, "x.sub.example.com.", RecordType::A, ResponseCode::NXDomain).await;
}

#[tokio::test]
async fn a_star_stands_for_every_name_that_is_not_there() {
    let app = with_records(&[
        a("*", "192.0.2.1"),
        a("*.dev", "192.0.2.2"),
        a("www.dev", "192.0.2.3"),
        json!({ "type": "CNAME", "name": "*.alias", "data": "www.dev" }),
        a("x.y", "192.0.2.4"),
    ])
    .await;
    let told = async |name: &str| answers(&app, name, RecordType::A).await;
    assert_eq!(told("any.example.com.").await, ["any.example.com. 1800 A 192.0.2.1"]);
    assert_eq!(told("a.b.example.com.").await, ["a.b.example.com. 1800 A 192.0.2.1"]);
    assert_eq!(told("a.b.dev.example.com.").await, ["a.b.dev.example.com. 1800 A 192.0.2.2"]);
    assert_eq!(told("www.dev.example.com.").await, ["www.dev.example.com. 1800 A 192.0.2.3"]);
    assert_eq!(told("*.dev.example.com.").await, ["*.dev.example.com. 1800 A 192.0.2.2"]);
    assert_eq!(
        told("q.alias.example.com.").await,
        ["q.alias.example.com. 1800 CNAME www.dev.example.com.", "www.dev.example.com. 1800 A 192.0.2.3"]
    );
    // The odd name is not one of ours, and so the star's.
    assert_eq!(told("o\\.dd.example.com.").await.len(), 1);
    // It has no other type, and does not reach below names that are there (RFC 4592).
    nothing(&app, "any.example.com.", RecordType::TXT, ResponseCode::NoError).await;
    nothing(&app, "dev.example.com.", RecordType::A, ResponseCode::NoError).await;
    nothing(&app, "below.x.y.example.com.", RecordType::A, ResponseCode::NXDomain).await;
    nothing(&app, "z.y.example.com.", RecordType::A, ResponseCode::NXDomain).await;
    nothing(&app, "below.www.dev.example.com.", RecordType::A, ResponseCode::NXDomain).await;
}

#[tokio::test]
async fn a_part_that_is_handed_on_is_referred_to_with_addresses() {
    let ns = |name: &str, data: &str| json!({ "type": "NS", "name": name, "data": data });
    let app = with_records(&[
        ns("sub", "ns.sub"),
        ns("sub", "ns.example.net."),
        a("ns.sub", "192.0.2.53"),
        json!({ "type": "AAAA", "name": "ns.sub", "data": "2001:db8::53" }),
        a("hidden.sub", "192.0.2.9"),
        json!({ "type": "CNAME", "name": "alias", "data": "www.sub" }),
        ns("deep.sub", "ns.elsewhere.net."),
    ])
    .await;
    for (name, kind) in [
        ("sub.example.com.", RecordType::A),
        ("sub.example.com.", RecordType::NS),
        ("hidden.sub.example.com.", RecordType::A),
        ("x.deep.sub.example.com.", RecordType::MX),
    ] {
        let said = ask(&app, name, kind).await;
        assert_eq!(said.metadata.response_code, ResponseCode::NoError);
        assert!(!said.metadata.authoritative && said.answers.is_empty(), "{name}: {said:?}");
        assert_eq!(
            texts(&said.authorities),
            ["sub.example.com. 1800 NS ns.sub.example.com.", "sub.example.com. 1800 NS ns.example.net."]
        );
        assert_eq!(
            texts(&said.additionals),
            ["ns.sub.example.com. 1800 A 192.0.2.53", "ns.sub.example.com. 1800 AAAA 2001:db8::53"]
        );
    }
    let said = ask(&app, "alias.example.com.", RecordType::A).await;
    assert_eq!((said.answers.len(), said.authorities.len()), (1, 2), "{said:?}");
    nothing(&app, "sub.example.com.", RecordType::DS, ResponseCode::NoError).await;
}

#[tokio::test]
async fn what_the_api_changes_is_told_at_once() {
    let app = with_records(&[]).await;
    let admin = app.admin();
    let serial = async || {
        let said = ask(&app, "example.com.", RecordType::SOA).await;
        let hickory_proto::rr::RData::SOA(soa) = &said.answers[0].data else { panic!("{said:?}") };
        soa.serial
    };
    nothing(&app, "www.example.com.", RecordType::A, ResponseCode::NXDomain).await;
    let first = serial().await;
    let id = make(&admin, a("www", "192.0.2.7")).await;
    assert_eq!(answers(&app, "www.example.com.", RecordType::A).await, ["www.example.com. 1800 A 192.0.2.7"]);
    let second = serial().await;
    let path = format!("{RECORDS}/{id}");
    admin.patch(&path, json!({ "data": "192.0.2.8", "name": "web" })).await.expect(200);
    nothing(&app, "www.example.com.", RecordType::A, ResponseCode::NXDomain).await;
    assert_eq!(answers(&app, "web.example.com.", RecordType::A).await, ["web.example.com. 1800 A 192.0.2.8"]);
    let third = serial().await;
    admin.delete(&path).await.expect(204);
    nothing(&app, "web.example.com.", RecordType::A, ResponseCode::NXDomain).await;
    assert!(first < second && second < third && third < serial().await);
    let start = &admin.get(&format!("{RECORDS}?type=SOA")).await.expect(200)["domain_records"][0]["id"];
    admin.patch(&format!("{RECORDS}/{start}"), json!({ "ttl": 60 })).await.expect(200);
    let said = ask(&app, "web.example.com.", RecordType::A).await;
    assert!(texts(&said.authorities)[0].starts_with("example.com. 60 SOA"), "{said:?}");

    admin.delete("/v2/domains/example.com").await.expect(204);
    assert_eq!(ask(&app, "example.com.", RecordType::SOA).await.metadata.response_code, ResponseCode::Refused);
}
