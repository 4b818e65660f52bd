//! Bad input to a create: each is refused with a sentence, and leaves nothing at all (ERR-8).

use dewpoint_testkit::{Client, TestApp};
use serde_json::{Value, json};

use crate::{droplet, with};

/// What there is of everything a create could leave behind.
async fn traces(app: &TestApp) -> Vec<(&'static str, u64)> {
    let tables = ["droplets", "droplet_seeds", "actions", "tags", "tag_resources", "addresses", "vpcs", "list_counts"];
    let mut all = Vec::new();
    for table in tables {
        all.push((table, app.rows(table).await));
    }
    all
}

/// Posts a body that must be refused with this status, and checks that nothing is left of it.
async fn leaves_nothing(app: &TestApp, client: &Client<'_>, body: Value, status: u16, id: &str) -> String {
    let before = traces(app).await;
    let message = client.post("/v2/droplets", body.clone()).await.refusal(status, id);
    assert_eq!(traces(app).await, before, "ERR-8: {body} left something");
    assert!(app.machines().await.is_empty());
    message
}

#[tokio::test]
async fn a_create_without_what_is_required_is_refused_err_8() {
    let app = TestApp::start().await;
    for (missing, word) in [("name", "name"), ("size", "size"), ("image", "image")] {
        for value in [json!(null), json!("")] {
            let mut body = droplet(json!({ "tags": ["new-tag"] }));
            body[missing] = value.clone();
            let message = leaves_nothing(&app, &app.admin(), body, 422, "unprocessable_entity").await;
            assert!(message.contains(word), "{missing} {value}: {message}");
        }
    }
    leaves_nothing(&app, &app.admin(), json!({}), 422, "unprocessable_entity").await;
}

#[tokio::test]
async fn names_that_are_no_host_names_are_refused_in_the_known_words_cre_3_err_6() {
    let app = TestApp::start().await;
    let known = "Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)";
    for name in ["my droplet", "a_b", "a/b", "名", "web-", "web.", " ", "a\nb", "a\tb"] {
        let message =
            leaves_nothing(&app, &app.admin(), droplet(json!({ "name": name })), 422, "unprocessable_entity").await;
        assert!(message.contains(known), "{name:?}: {message}");
        let several = droplet(json!({ "name": null, "names": ["good", name], "tags": ["t"] }));
        let message = leaves_nothing(&app, &app.admin(), several, 422, "unprocessable_entity").await;
        assert!(message.contains(known), "all or none: {message}");
    }
    let long = droplet(json!({ "name": "a".repeat(256) }));
    assert!(leaves_nothing(&app, &app.admin(), long, 422, "unprocessable_entity").await.contains("255"));
}

#[tokio::test]
async fn name_and_names_together_none_or_eleven_of_them_are_refused_cre_1_cre_2() {
    let app = TestApp::start().await;
    for changes in [
        json!({ "names": ["a"] }),
        json!({ "name": null }),
        json!({ "name": null, "names": [] }),
        json!({ "name": null, "names": vec!["a"; 11] }),
        json!({ "name": null, "names": ["a", ""] }),
    ] {
        leaves_nothing(&app, &app.admin(), droplet(changes), 422, "unprocessable_entity").await;
    }
}

#[tokio::test]
async fn a_part_that_is_wrong_spoils_the_parts_that_are_right_err_8() {
    let app = TestApp::start().await;
    for wrong in [
        json!({ "ssh_keys": [99] }),
        json!({ "tags": ["new", "not good"] }),
        json!({ "user_data": "x".repeat(65_537) }),
        json!({ "size": "gpu-h100x1-80gb" }),
        json!({ "image": "no-such" }),
        json!({ "region": "foo" }),
        json!({ "volumes": ["no-such"] }),
        json!({ "vpc_uuid": "no-such" }),
        json!({ "backup_policy": { "plan": "daily" } }),
    ] {
        let good = droplet(json!({ "name": null, "names": ["a", "b"], "tags": ["new"], "user_data": "#!/bin/sh" }));
        leaves_nothing(&app, &app.admin(), with(good, wrong), 422, "unprocessable_entity").await;
    }
}

#[tokio::test]
async fn members_of_the_wrong_type_are_refused_and_named_err_3() {
    let app = TestApp::start().await;
    let wrong = [
        ("name", json!(7)),
        ("name", json!(["a"])),
        ("names", json!("a")),
        ("names", json!([1])),
        ("size", json!(1)),
        ("image", json!({})),
        ("image", json!(1.5)),
        ("image", json!(-1)),
        ("region", json!(["nyc3"])),
        ("ssh_keys", json!("7")),
        ("ssh_keys", json!([{}])),
        ("ssh_keys", json!([null])),
        ("ssh_keys", json!([-1])),
        ("backups", json!("yes")),
        ("backups", json!(1)),
        ("ipv6", json!("true")),
        ("monitoring", json!([])),
        ("public_networking", json!("no")),
        ("with_droplet_agent", json!(0)),
        ("user_data", json!({})),
        ("user_data", json!(["#!/bin/sh"])),
        ("tags", json!("web")),
        ("tags", json!([1])),
        ("tags", json!([null])),
        ("volumes", json!("id")),
        ("volumes", json!([{}])),
        ("volumes", json!([1])),
        ("vpc_uuid", json!(1)),
        ("backup_policy", json!("daily")),
        ("backup_policy", json!({ "plan": 1 })),
        ("backup_policy", json!({ "plan": "daily", "hour": "4" })),
        ("gpu_partition_mode", json!(1)),
    ];
    for (member, value) in wrong {
        let mut body = droplet(json!({ "backups": true }));
        body[member] = value.clone();
        let message = leaves_nothing(&app, &app.admin(), body, 422, "unprocessable_entity").await;
        assert!(message.contains(member), "{member}: {value}: {message}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_object_is_refused() {
    let app = TestApp::start().await;
    for body in [json!([]), json!("text"), json!(1), json!(null), json!([droplet(json!({}))])] {
        leaves_nothing(&app, &app.admin(), body, 422, "unprocessable_entity").await;
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_is_a_400_err_2() {
    let app = TestApp::start().await;
    let before = traces(&app).await;
    let bodies: [&[u8]; 7] = [
        b"",
        b"{",
        b"name=web-1&region=nyc3",
        b"{\"name\": \"web-1\",}",
        b"{\"name\": \"\xff\xfe\"}",
        b"\xef\xbb\xbf{}",
        b"{\"name\": \"a\nb\"}",
    ];
    for body in bodies {
        let answer = app.admin().send_bytes("POST", "/v2/droplets", body.to_vec()).await;
        answer.refusal(400, "bad_request");
    }
    assert_eq!(traces(&app).await, before);
}

#[tokio::test]
async fn a_body_of_ten_megabytes_is_a_413() {
    let app = TestApp::start().await;
    let body = droplet(json!({ "user_data": "x".repeat(10_000_000) })).to_string();
    let answer = app.admin().send_bytes("POST", "/v2/droplets", body).await;
    assert_eq!(answer.status, 413);
    assert_eq!(app.rows("droplets").await, 0);
}

#[tokio::test]
async fn a_zero_character_is_refused_wherever_it_is() {
    let app = TestApp::start().await;
    for changes in
        [json!({ "name": "a\u{0}b" }), json!({ "user_data": "#!/bin/sh\u{0}" }), json!({ "tags": ["a\u{0}"] })]
    {
        leaves_nothing(&app, &app.admin(), droplet(changes), 422, "unprocessable_entity").await;
    }
}

#[tokio::test]
async fn what_godo_sends_for_members_it_has_no_value_for_means_nothing_pro_5() {
    let app = TestApp::start().await;
    let body = json!({
        "name": "web-1", "region": "", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64",
        "ssh_keys": null, "backups": false, "ipv6": false, "private_networking": false, "monitoring": false,
        "tags": null, "volumes": null, "vpc_uuid": "", "user_data": "", "with_droplet_agent": null,
        "public_networking": null, "backup_policy": null, "gpu_partition_mode": null, "names": null,
        "something_new": { "nobody": ["knows"] },
    });
    let made = app.admin().post("/v2/droplets", body.clone()).await.expect(202);
    assert_eq!(made["droplet"]["features"], json!(["private_networking"]));
    for member in ["region", "backups", "ipv6", "private_networking", "monitoring", "vpc_uuid", "user_data"] {
        let mut body = body.clone();
        body[member] = json!(null);
        app.admin().post("/v2/droplets", body).await.expect(202);
    }
}

#[tokio::test]
async fn an_image_as_number_from_godo_is_taken_cre_5() {
    let app = TestApp::start().await;
    let made = app.admin().post("/v2/droplets", droplet(json!({ "image": 104 }))).await.expect(202);
    assert_eq!(made["droplet"]["image"]["slug"], "ubuntu-24-04-x64");
}

#[tokio::test]
async fn a_create_without_a_token_is_refused_before_its_body_is_looked_at_err_9() {
    let app = TestApp::start().await;
    leaves_nothing(&app, &app.nobody(), json!({}), 401, "unauthorized").await;
    let reader = app.token_with(&["read"]).await;
    leaves_nothing(&app, &reader, json!([]), 403, "forbidden").await;
}
