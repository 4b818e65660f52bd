//! SSH keys (KEY-1, KEY-2).

use dewpoint_testkit::{TestApp, fingerprint, public_key};
use serde_json::json;

use crate::ids;

const KEYS: &str = "/v2/account/keys";

#[tokio::test]
async fn a_key_is_added_with_its_fingerprint_key_1() {
    let app = TestApp::start().await;
    let answer = app.admin().post(KEYS, json!({ "name": "laptop", "public_key": public_key(1) })).await;
    let key = answer.expect(201)["ssh_key"].clone();
    assert_eq!((&key["name"], &key["public_key"]), (&json!("laptop"), &json!(public_key(1))));
    assert_eq!(key["fingerprint"], fingerprint(1));
    assert!(key["id"].is_u64());
}

#[tokio::test]
async fn the_same_key_again_is_refused_also_by_another_name_key_1() {
    let app = TestApp::start().await;
    let admin = app.admin();
    admin.post(KEYS, json!({ "name": "laptop", "public_key": public_key(1) })).await.expect(201);
    let commented = public_key(1).replace("key-1", "other comment");
    for key in [public_key(1), commented, format!("  {}\n", public_key(1))] {
        let message = admin.post(KEYS, json!({ "name": "again", "public_key": key })).await.invalid();
        assert_eq!(message, "SSH Key is already in use on your account");
    }
    assert_eq!(app.rows("ssh_keys").await, 1);
    let other = app.other_account().await;
    other.post(KEYS, json!({ "name": "mine too", "public_key": public_key(1) })).await.expect(201);
}

#[tokio::test]
async fn what_is_no_key_is_refused_key_1() {
    let app = TestApp::start().await;
    let bad = [
        json!({ "name": "x" }),
        json!({ "name": "x", "public_key": "" }),
        json!({ "name": "x", "public_key": null }),
        json!({ "name": "x", "public_key": 7 }),
        json!({ "name": "x", "public_key": "ssh-ed25519" }),
        json!({ "name": "x", "public_key": "ssh-ed25519 AAAA" }),
        json!({ "name": "x", "public_key": format!("command=\"id\" {}", public_key(1)) }),
        json!({ "name": "x", "public_key": format!("{}\n{}", public_key(1), public_key(2)) }),
        json!({ "name": "x", "public_key": format!("{}\r{}", public_key(1), public_key(2)) }),
        json!({ "name": "x", "public_key": "-----BEGIN OPENSSH PRIVATE KEY-----" }),
        json!({ "public_key": public_key(1) }),
        json!({ "name": "", "public_key": public_key(1) }),
        json!({ "name": "n".repeat(256), "public_key": public_key(1) }),
        json!({}),
    ];
    for body in bad {
        app.admin().post(KEYS, body).await.invalid();
    }
    assert_eq!(app.rows("ssh_keys").await, 0);
}

#[tokio::test]
async fn a_key_is_found_renamed_and_removed_by_number_or_fingerprint_key_2() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let mut made = Vec::new();
    for number in 1..=2 {
        let body = json!({ "name": format!("k{number}"), "public_key": public_key(number) });
        made.push(admin.post(KEYS, body).await.expect(201)["ssh_key"]["id"].as_u64().expect("a number"));
    }
    let by_number = format!("{KEYS}/{}", made[0]);
    let by_fingerprint = format!("{KEYS}/{}", fingerprint(1));
    let encoded = format!("{KEYS}/{}", fingerprint(1).replace(':', "%3A").to_uppercase());
    let shown = admin.get(&by_number).await.expect(200);
    for path in [&by_fingerprint, &encoded] {
        assert_eq!(admin.get(path).await.expect(200), shown);
    }
    let renamed = admin.put(&by_fingerprint, json!({ "name": "new", "public_key": public_key(9) })).await.expect(200);
    assert_eq!(
        (&renamed["ssh_key"]["name"], &renamed["ssh_key"]["public_key"]),
        (&json!("new"), &json!(public_key(1)))
    );
    assert_eq!(admin.put(&by_number, json!({ "name": "newer" })).await.expect(200)["ssh_key"]["name"], "newer");
    for bad in [json!({}), json!({ "name": "" }), json!({ "name": 7 })] {
        admin.put(&by_number, bad).await.invalid();
    }
    admin.delete(&by_fingerprint).await.expect(204);
    for path in [&by_number, &by_fingerprint] {
        admin.get(path).await.refusal(404, "not_found");
        admin.delete(path).await.refusal(404, "not_found");
        admin.put(path, json!({ "name": "x" })).await.refusal(404, "not_found");
    }
    admin.delete(&format!("{KEYS}/{}", made[1])).await.expect(204);
    assert_eq!(admin.get(KEYS).await.expect(200)["meta"]["total"], 0);
}

#[tokio::test]
async fn keys_are_listed_oldest_first() {
    let app = TestApp::start().await;
    let mut made = Vec::new();
    for number in [3, 1, 2] {
        let body = json!({ "name": "k", "public_key": public_key(number) });
        made.push(app.admin().post(KEYS, body).await.expect(201)["ssh_key"]["id"].as_u64().expect("a number"));
    }
    assert_eq!(ids(&app.admin().get(KEYS).await.expect(200)["ssh_keys"]), made);
    for unknown in ["1", "9223372036854775808", "k", "aa:bb", "%20"] {
        app.admin().get(&format!("{KEYS}/{unknown}")).await.refusal(404, "not_found");
    }
}

#[tokio::test]
async fn the_documented_fixtures_are_there_when_asked_for() {
    let app = TestApp::start().await;
    app.control().load_documented_fixtures().await.expect("they can be loaded");
    app.control().load_documented_fixtures().await.expect("and again");
    let fingerprint = "3b:16:e4:bf:8b:00:8b:b8:59:8c:a9:d3:f0:19:fa:45";
    let body = json!({
        "name": "example.com", "region": "nyc3", "size": "s-1vcpu-1gb", "image": "ubuntu-20-04-x64",
        "ssh_keys": [289794, fingerprint], "backups": true, "ipv6": true, "monitoring": true,
        "tags": ["env:prod", "web"], "user_data": "#cloud-config\nruncmd:\n  - touch /test.txt\n",
        "vpc_uuid": "760e09ef-dc84-11e8-981e-3cfdfeaae000",
    });
    let made = app.admin().post("/v2/droplets", body).await.expect(202)["droplet"].clone();
    assert_eq!(made["vpc_uuid"], "760e09ef-dc84-11e8-981e-3cfdfeaae000");
    let next = json!({ "name": "k", "public_key": public_key(1) });
    let next = app.admin().post(KEYS, next).await.expect(201)["ssh_key"]["id"].as_u64();
    assert!(next > Some(289_794), "numbers go on above it: {next:?}");
    app.run_actions_to_end().await;
    app.books_balance().await;
}
