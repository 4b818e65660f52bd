//! `/dew/v1/faults`: bad days on demand.

use dewpoint_testkit::{TestApp, droplet_body};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use crate::{each, with};

const FAULTS: &str = "/dew/v1/faults";

/// Orders a fault; its number.
async fn order(app: &TestApp, order: Value) -> u64 {
    let fault = app.admin().post(FAULTS, order).await.expect(201);
    fault["fault"]["id"].as_u64().expect("a number")
}

#[tokio::test]
async fn a_storm_of_errors_has_the_documented_bodies_and_blows_over() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let path = "/v2/droplets";
    let id = order(&app, json!({ "effect": { "type": "status", "status": 500 }, "path": path, "count": 2 })).await;
    assert_eq!(admin.get(path).await.refusal(500, "server_error"), "Unexpected server-side error");
    let seen = admin.get(FAULTS).await.expect(200)["faults"][0].clone();
    assert_eq!((&seen["id"], &seen["struck"], &seen["count"]), (&json!(id), &json!(1), &json!(2)));
    admin.post(path, droplet_body("never")).await.refusal(500, "server_error");
    assert_eq!(admin.get(path).await.expect(200)["meta"]["total"], 0, "it made nothing, and is over");
    assert_eq!(admin.get(FAULTS).await.expect(200), json!({ "faults": [] }));

    for (status, id) in [
        (400, "bad_request"),
        (401, "unauthorized"),
        (403, "forbidden"),
        (404, "not_found"),
        (409, "conflict"),
        (422, "unprocessable_entity"),
        (502, "server_error"),
        (503, "service_unavailable"),
    ] {
        let effect = json!({ "type": "status", "status": status, "retry_after": 7 });
        order(&app, json!({ "effect": effect, "count": 1 })).await;
        let answer = admin.get("/v2/account").await;
        answer.refusal(status, id);
        assert_eq!(answer.header("retry-after"), "7");
    }
    let effect = json!({ "type": "status", "status": 503, "message": "Come back later." });
    order(&app, json!({ "effect": effect, "count": 1 })).await;
    assert_eq!(admin.get("/v2/account").await.refusal(503, "service_unavailable"), "Come back later.");
}

#[tokio::test]
async fn too_many_requests_and_a_pending_event_look_as_documented_rate_3_err_5() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.active_droplet("web-1").await;
    order(&app, json!({ "effect": { "type": "too_many_requests", "retry_after": 3 }, "count": 1 })).await;
    let answer = admin.get("/v2/account").await;
    assert_eq!(answer.refusal(429, "too_many_requests"), "API rate limit exceeded.");
    assert_eq!((answer.header("retry-after"), answer.header("ratelimit-remaining")), ("3", "0"));

    let path = "/v2/droplets/*/actions";
    order(&app, json!({ "effect": { "type": "pending_event" }, "method": "POST", "path": path, "count": 1 })).await;
    assert_eq!(admin.act(id, "power_off").await.invalid(), "Droplet already has a pending event.");
    admin.act(id, "power_off").await.expect(201);
    app.run_actions_to_end().await;
    app.books_balance().await;
}

#[tokio::test]
async fn a_fault_for_a_tag_strikes_what_is_about_droplets_with_it() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let plain = admin.active_droplet("plain").await;
    let tagged = admin.post("/v2/droplets", with(droplet_body("red"), json!({ "tags": ["red"] }))).await.expect(202);
    let tagged = tagged["droplet"]["id"].as_u64().expect("a number");
    app.run_actions_to_end().await;
    order(&app, json!({ "effect": { "type": "status", "status": 503 }, "tag": "red" })).await;

    admin.get(&format!("/v2/droplets/{plain}")).await.expect(200);
    admin.get(&format!("/v2/droplets/{tagged}")).await.refusal(503, "service_unavailable");
    admin.get("/v2/droplets?tag_name=red").await.refusal(503, "service_unavailable");
    let another = with(droplet_body("another"), json!({ "tags": ["Red"] }));
    admin.post("/v2/droplets", another).await.refusal(503, "service_unavailable");
    admin.post("/v2/droplets", droplet_body("another")).await.expect(202);
}

#[tokio::test]
async fn a_delay_passes_on_the_clock_or_in_real_time() {
    let app = TestApp::start().await;
    let admin = app.admin();
    order(&app, json!({ "effect": { "type": "delay", "milliseconds": 60_000 }, "path": "/v2/account", "count": 1 }))
        .await;
    let moving = async {
        app.until("the request waits", async || app.clock().sleepers() > 0).await;
        admin.put("/dew/v1/clock", json!({ "advance_seconds": 60 })).await.expect(200);
    };
    let (answer, ()) = tokio::join!(admin.get("/v2/account"), moving);
    answer.expect(200);

    let effect = json!({ "type": "delay", "milliseconds": 20, "real": true });
    order(&app, json!({ "effect": effect, "path": "/v2/account", "count": 1 })).await;
    let began = std::time::Instant::now();
    admin.get("/v2/account").await.expect(200);
    assert!(began.elapsed().as_millis() >= 20);
}

#[tokio::test]
async fn a_dropped_reply_closes_the_connection_after_the_effect() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = dewpoint_server::serve(listener, None, app.edge().clone(), async move { drop(stopped.await) });
    order(&app, json!({ "effect": { "type": "drop" }, "method": "POST", "count": 1 })).await;

    let asking = async {
        let body = droplet_body("web-1").to_string();
        let mut answers = Vec::new();
        for _ in 0..2 {
            let mut stream = TcpStream::connect(address).await.expect("it listens");
            let head = format!(
                "POST /v2/droplets HTTP/1.1\r\nhost: dew\r\nauthorization: Bearer {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                admin.token(),
                body.len()
            );
            stream.write_all(head.as_bytes()).await.expect("it takes the request");
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.expect("the connection is closed in order");
            answers.push(String::from_utf8(answer).expect("text"));
        }
        let _ = stop.send(());
        answers
    };
    let (served, answers) = tokio::join!(serving, asking);
    served.expect("it served");
    assert_eq!(answers[0], "", "no byte of an answer");
    assert!(answers[1].starts_with("HTTP/1.1 202 "), "{}", answers[1]);
    assert_eq!(admin.all("/v2/droplets", "droplets").await.len(), 1, "a known loss: the second is told of the first");
    let log = admin.get("/dew/v1/requests?method=POST").await.expect(200)["requests"].clone();
    assert_eq!(each(&log, "status"), [&Value::Null, &json!(202)]);
}

#[tokio::test]
async fn an_action_errors_at_the_step_that_was_ordered() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let effect = json!({ "type": "step_error", "action": "create", "step": "boot", "message": "the host caught fire" });
    order(&app, json!({ "effect": effect, "count": 1 })).await;
    admin.create_droplet("unlucky").await;
    app.run_actions_to_end().await;
    let action = admin.newest_action().await;
    assert_eq!(action["status"], "errored");
    let story = admin.action_story(action["id"].as_u64().expect("a number")).await;
    assert!(story["reason"].as_str().is_some_and(|why| why.contains("boot") && why.contains("caught fire")), "{story}");
    admin.active_droplet("lucky").await;
    app.books_balance().await;

    // One that may work the next time is tried again.
    let effect = json!({ "type": "step_error", "action": "power_off", "transient": true });
    order(&app, json!({ "effect": effect, "count": 2, "tag": "t" })).await;
    let wanted = with(droplet_body("tagged"), json!({ "tags": ["t"] }));
    let id = admin.post("/v2/droplets", wanted).await.expect(202)["droplet"]["id"].as_u64().expect("a number");
    app.run_actions_to_end().await;
    admin.act(id, "power_off").await.expect(201);
    app.run_actions_to_end_in_time().await;
    assert_eq!(admin.droplet(id).await["status"], "off");
    assert_eq!(admin.get(FAULTS).await.expect(200), json!({ "faults": [] }), "it struck twice");
}

#[tokio::test]
async fn a_droplet_vanishes_from_the_engine_or_altogether() {
    let mut app = TestApp::start().await;
    let machine = app.admin().active_droplet("machine").await;
    let whole = app.admin().active_droplet("whole").await;
    let path = format!("/v2/droplets/{machine}");
    order(&app, json!({ "effect": { "type": "vanish", "what": "machine" }, "path": path, "count": 1 })).await;
    app.admin().get(&path).await.expect(200);
    assert_eq!(app.machines().await, [whole]);
    app.restart().await;
    assert_eq!(app.admin().droplet(machine).await["status"], "off", "found by the next look");

    let path = format!("/v2/droplets/{whole}");
    order(&app, json!({ "effect": { "type": "vanish", "what": "droplet" }, "path": path, "after": 1, "count": 1 }))
        .await;
    app.admin().get(&path).await.expect(200);
    app.admin().get(&path).await.refusal(404, "not_found");
    app.run_actions_to_end().await;
    assert!(app.machines().await.is_empty());
}

#[tokio::test]
async fn a_stale_read_answers_what_it_answered_before_the_change() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = admin.active_droplet("web-1").await;
    order(&app, json!({ "effect": { "type": "stale" }, "count": 2 })).await;
    assert_eq!(admin.droplet(id).await["status"], "active");
    assert_eq!(admin.droplet(id).await["status"], "active", "nothing changed: not counted");
    admin.act(id, "power_off").await.expect(201);
    app.run_actions_to_end().await;
    assert_eq!(admin.droplet(id).await["status"], "active");
    assert_eq!(admin.droplet(id).await["status"], "active");
    assert_eq!(admin.droplet(id).await["status"], "off");
}

#[tokio::test]
async fn a_fault_can_be_taken_back_and_a_wrong_one_is_refused() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let id = order(&app, json!({ "effect": { "type": "status", "status": 500 } })).await;
    assert_eq!(admin.delete(&format!("{FAULTS}/{id}")).await.status, 204);
    admin.delete(&format!("{FAULTS}/{id}")).await.refusal(404, "not_found");
    admin.get("/v2/account").await.expect(200);
    order(&app, json!({ "effect": { "type": "status", "status": 500 } })).await;
    assert_eq!(admin.delete(FAULTS).await.status, 204);
    admin.get("/v2/account").await.expect(200);
    for wrong in [
        json!({}),
        json!({ "effect": { "type": "explode" } }),
        json!({ "effect": { "type": "status", "status": 200 } }),
        json!({ "effect": { "type": "drop" }, "probability": 2 }),
        json!({ "effect": { "type": "drop" }, "metod": "GET" }),
    ] {
        admin.post(FAULTS, wrong).await.invalid();
    }
}
