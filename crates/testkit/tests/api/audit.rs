//! The audit log, `/dew/v1/audit`: who asked for which change, and how it was answered.

use std::time::Duration;

use axum::body::{Body, Bytes};
use dewpoint_testkit::{Client, TestApp, droplet_body};
use http::Request;
use serde_json::{Value, json};

use crate::each;

const AUDIT: &str = "/dew/v1/audit";

async fn entries(client: &Client<'_>, query: &str) -> Vec<Value> {
    let body = client.get(&format!("{AUDIT}?{query}")).await.expect(200);
    body["entries"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn a_change_is_written_down_with_who_what_and_when() {
    let app = TestApp::start().await;
    app.clock().advance(Duration::from_secs(7));
    let made = app.admin().post("/v2/droplets", droplet_body("web-1")).await;
    made.expect(202);
    let account = app.admin().get("/v2/account").await.expect(200)["account"]["uuid"].clone();
    let tokens = app.admin().get("/dew/v1/tokens").await.expect(200);

    let log = entries(&app.admin(), "").await;

    assert_eq!(log.len(), 1, "reading is no change: {log:?}");
    assert_eq!(log[0]["id"], 1);
    let told = ["at", "operation", "method", "path", "request_id"].map(|name| log[0][name].as_str().expect("text"));
    let request_id = made.header("x-request-id");
    assert_eq!(told, ["2026-11-21T10:00:07Z", "droplets_create", "POST", "/v2/droplets", request_id]);
    assert_eq!((&log[0]["status"], &log[0]["account_uuid"]), (&json!(202), &account));
    assert_eq!((&log[0]["token_id"], &log[0]["token_name"]), (&tokens["tokens"][0]["id"], &json!("bootstrap")));
}

#[tokio::test]
async fn every_changing_operation_is_written_down_whatever_its_answer() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let mut wanted = Vec::new();
    for operation in dewpoint_server::operations() {
        // What replaces the simulator's whole state replaces its log too.
        if operation.path().starts_with("/dew/v1/reset") || operation.path().starts_with("/dew/v1/snapshots") {
            continue;
        }
        let path = operation.path().replace(['{', '}'], "");
        let answer = admin.send_bytes(operation.method().as_str(), &path, "").await;
        // Asking a model changes nothing.
        let changes =
            operation.method() != http::Method::GET && *operation.access() != dewpoint_server::Access::ModelKey;
        if changes {
            wanted.push((operation.name().to_owned(), answer.status, answer.header("x-request-id").to_owned()));
        }
    }
    wanted.reverse();
    let log = entries(&admin, "limit=1000").await;
    let told: Vec<_> = log
        .iter()
        .map(|entry| {
            let text = |name: &str| entry[name].as_str().expect("text").to_owned();
            (
                text("operation"),
                u16::try_from(entry["status"].as_u64().expect("a number")).expect("a status"),
                text("request_id"),
            )
        })
        .collect();
    assert_eq!(told, wanted);
}

#[tokio::test]
async fn refusals_are_written_down_and_who_has_no_token_cannot_fill_the_log() {
    let app = TestApp::start().await;
    app.token_with(&["read"]).await.delete("/v2/droplets/7").await.refusal(403, "forbidden");
    for _ in 0..100 {
        app.bearer("dop_v1_guess").delete("/v2/droplets/7").await.refusal(401, "unauthorized");
    }
    app.clock().advance(Duration::from_secs(60));
    app.nobody().delete("/v2/droplets/7").await.refusal(401, "unauthorized");

    let refused = entries(&app.admin(), "status=401&limit=1000").await;
    assert_eq!(refused.len(), 61);
    assert_eq!((&refused[0]["left_out"], &refused[0]["account_uuid"]), (&json!(40), &json!(null)));
    assert!(refused[1].get("left_out").is_none());
    let forbidden = entries(&app.admin(), "status=403").await;
    assert_eq!(each(&json!(forbidden), "path"), ["/v2/droplets/7"]);
    assert!(forbidden[0]["token_id"].is_string());
}

#[tokio::test]
async fn no_body_and_no_secret_is_ever_in_it() {
    let app = TestApp::start().await;
    let mut body = droplet_body("web-1");
    body["user_data"] = json!("#!/bin/sh\necho sesame");
    app.admin().post("/v2/droplets", body).await.expect(202);
    let made = app.admin().post("/dew/v1/tokens", json!({ "name": "ci" })).await.expect(201);
    app.bearer("dop_v1_sesame")
        .post("/v2/tags?token=sesame", json!({ "name": "sesame" }))
        .await
        .refusal(401, "unauthorized");
    app.admin().delete("/v2/droplets?tag_name=web&password=sesame").await;
    let log = app.admin().get(AUDIT).await;
    assert_eq!(log.expect(200)["entries"][0]["path"], "/v2/droplets?tag_name=web");
    for secret in ["sesame", made["token"].as_str().expect("a secret"), app.admin().token()] {
        assert!(!log.text.contains(secret), "{secret}: {}", log.text);
    }
}

#[tokio::test]
async fn an_account_reads_its_own_entries_and_the_operator_all() {
    let app = TestApp::start().await;
    let other = app.other_account().await;
    other.post("/v2/tags", json!({ "name": "mine" })).await.expect(201);
    app.admin().post("/v2/tags", json!({ "name": "web" })).await.expect(201);
    app.nobody().post("/v2/tags", json!({ "name": "web" })).await.refusal(401, "unauthorized");
    let uuid = async |client: &Client<'_>| {
        let body = client.get("/v2/account").await.expect(200);
        body["account"]["uuid"].as_str().expect("text").to_owned()
    };
    let (own, admins) = (uuid(&other).await, uuid(&app.admin()).await);

    assert_eq!(each(&json!(entries(&other, "").await), "account_uuid"), [&json!(own)]);
    assert_eq!(entries(&other, &format!("account={own}")).await.len(), 1);
    other.get(&format!("{AUDIT}?account={admins}")).await.refusal(404, "not_found");
    assert_eq!(entries(&app.admin(), "").await.len(), 3);
    assert_eq!(entries(&app.admin(), &format!("account={own}")).await.len(), 1);
    app.token_with(&["read"]).await.get(AUDIT).await.refusal(403, "forbidden");
}

#[tokio::test]
async fn pages_lead_to_older_entries_and_filters_are_kept() {
    let app = TestApp::start().await;
    for number in 0..5 {
        app.admin().post("/v2/tags", json!({ "name": format!("tag-{number}") })).await.expect(201);
        app.admin().delete("/v2/tags/none").await.refusal(404, "not_found");
    }
    let mut path = format!("{AUDIT}?operation=tags_create&limit=2");
    let mut numbers = Vec::new();
    loop {
        let body = app.admin().get(&path).await.expect(200);
        numbers.extend(each(&body["entries"], "id").into_iter().map(|id| id.as_u64().expect("a number")));
        let Some(next) = body["next"].as_str() else { break };
        path = next.strip_prefix("http://dew.test").expect("on the host that was called").to_owned();
    }
    assert_eq!(numbers, [9, 7, 5, 3, 1]);
    for bad in ["limit=0", "limit=some", "status=x", "before=-1", "since=yesterday", "account=1", "token=1"] {
        app.admin().get(&format!("{AUDIT}?{bad}")).await.refusal(400, "bad_request");
    }
    let until = app.now();
    app.clock().advance(Duration::from_secs(1));
    app.admin().post("/v2/tags", json!({ "name": "late" })).await.expect(201);
    assert_eq!(entries(&app.admin(), &format!("since={}", app.now())).await.len(), 1);
    assert_eq!(entries(&app.admin(), &format!("until={until}")).await.len(), 0);
    assert_eq!(entries(&app.admin(), &format!("until={}", app.now())).await.len(), 10);
}

#[tokio::test]
async fn what_was_written_stays_and_is_cut_at_its_old_end() {
    let mut app = TestApp::start_with(|setup| {
        setup.control.audit_keep = Duration::from_secs(3600);
        setup.control.audit_most = 5;
    })
    .await;
    app.admin().post("/v2/tags", json!({ "name": "old" })).await.expect(201);
    app.control().write_journal().await.expect("the store can be written");
    app.restart().await;
    app.clock().advance(Duration::from_secs(3600));
    assert_eq!(entries(&app.admin(), "").await.len(), 1, "an hour old is not older than an hour");
    app.clock().advance(Duration::from_secs(1));
    assert_eq!(entries(&app.admin(), "").await.len(), 0);
    for number in 0..8 {
        app.admin().post("/v2/tags", json!({ "name": format!("tag-{number}") })).await.expect(201);
    }
    assert_eq!(entries(&app.admin(), "").await.len(), 5);
}

#[tokio::test]
async fn a_client_that_leaves_is_written_down_too() {
    let app = TestApp::start().await;
    let request = || {
        let endless = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        let request = Request::post("/v2/droplets").header("authorization", format!("Bearer {}", app.admin().token()));
        request.body(Body::from_stream(endless)).expect("a request")
    };
    let admin = app.admin();
    // Its token is known from now on: the request then gets as far as its body without waiting for anything.
    admin.get("/v2/account").await.expect(200);
    tokio::select! {
        biased;
        answer = admin.send(request()) => panic!("answered {answer:?}"),
        () = std::future::ready(()) => {}
    }
    let log = entries(&app.admin(), "").await;
    assert_eq!(each(&json!(log), "status"), [&json!(499)]);
    assert!(log[0]["account_uuid"].is_string());
}

#[tokio::test]
async fn the_journal_is_kept_beside_the_server_without_being_asked() {
    let app = TestApp::start().await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let keeper = tokio::spawn(app.control().clone().keep_journal(stopped));
    app.admin().post("/v2/tags", json!({ "name": "web" })).await.expect(201);
    let written = async || {
        app.clock().advance(dewpoint_control::audit::GATHERED_FOR);
        app.rows("audit").await == 1
    };
    app.until("the entry is written", written).await;
    stop.send_replace(true);
    keeper.await.expect("it ends when told");
}
