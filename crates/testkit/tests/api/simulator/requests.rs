//! `/dew/v1/requests`: the log of what was asked.

use dewpoint_testkit::{TestApp, droplet_body};
use serde_json::{Value, json};

use crate::each;

const LOG: &str = "/dew/v1/requests";

fn texts(list: &Value, name: &str) -> Vec<String> {
    each(list, name).into_iter().map(|value| value.as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn every_request_but_those_that_steer_is_in_the_log_with_how_it_was_answered() {
    let app = TestApp::start().await;
    let admin = app.admin();
    admin.get(LOG).await.expect(200);
    admin.get("/healthz").await.expect(200);
    let created = admin.post("/v2/droplets", droplet_body("web-1")).await;
    admin.get("/v2/droplets?page=2&per_page=1").await.expect(200);
    app.nobody().get("/v2/account").await;
    admin.get("/v2/nothing").await;

    let body = admin.get(LOG).await.expect(200);
    let log = &body["requests"];
    assert_eq!(body["total"], 4);
    assert_eq!(texts(log, "path"), ["/v2/droplets", "/v2/droplets", "/v2/account", "/v2/nothing"]);
    assert_eq!(each(log, "status"), [202, 200, 401, 404]);
    assert_eq!(each(log, "id"), [1, 2, 3, 4]);
    let first = &log[0];
    assert_eq!(first["request_id"], created.header("x-request-id"));
    assert_eq!((&first["method"], &first["at"]), (&json!("POST"), &json!("2026-11-21T10:00:00Z")));
    assert_eq!(first["request_bytes"], droplet_body("web-1").to_string().len());
    assert_eq!(first["answer_bytes"], created.text.len());
    assert!(first["token_id"].is_string() && first.get("body").is_none(), "{first}");
    assert_eq!((&log[1]["query"], &log[2]["token_id"]), (&json!("page=2&per_page=1"), &Value::Null));
    assert!(!body.to_string().contains(admin.token()), "never the token");

    for (filter, found) in [
        ("method=post", vec![1]),
        ("path=/v2/droplets", vec![1, 2]),
        ("status=404", vec![4]),
        ("since=2", vec![3, 4]),
        ("limit=1", vec![4]),
        ("method=GET&path=/v2/d", vec![2]),
    ] {
        assert_eq!(each(&admin.get(&format!("{LOG}?{filter}")).await.expect(200)["requests"], "id"), found, "{filter}");
    }
    assert_eq!(admin.delete(LOG).await.status, 204);
    assert_eq!(admin.get(LOG).await.expect(200), json!({ "requests": [], "total": 0 }));
}

#[tokio::test]
async fn bodies_are_kept_when_asked_for_and_without_secrets() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let keeping = admin.put(LOG, json!({ "bodies": true, "capacity": 2 })).await.expect(200);
    assert_eq!(keeping, json!({ "bodies": true, "capacity": 2 }));
    let wanted = crate::droplet(json!({ "user_data": "#!/bin/sh\nthe-secret" }));
    admin.post("/v2/droplets", wanted.clone()).await.expect(202);
    admin.post("/v2/droplets", json!("no object")).await;

    let log = admin.get(LOG).await.expect(200)["requests"].clone();
    assert_eq!(log[0]["body"], crate::with(wanted, json!({ "user_data": "[redacted]" })));
    assert_eq!(log[1]["body"], "no object");
    admin.get("/v2/account").await.expect(200);
    assert_eq!(each(&admin.get(LOG).await.expect(200)["requests"], "id"), [2, 3], "the log is bounded");
    admin.put(LOG, json!({ "capacity": 1_000_000 })).await.invalid();
}
