//! A Rust test against the simulator, as `docs/simulator.md` shows it.

mod support;

use serde_json::{Value, json};
use support::{Server, TOKEN};

/// Asks below `/dew/v1`; the answer's text.
fn steer(url: &str, path: &str, body: &str) -> Result<String, ureq::Error> {
    let request = ureq::post(format!("{url}/dew/v1/{path}")).header("Authorization", format!("Bearer {TOKEN}"));
    request.send(body)?.body_mut().read_to_string()
}

fn sizes(url: &str) -> Result<u16, ureq::Error> {
    let request = ureq::get(format!("{url}/v2/sizes")).header("Authorization", format!("Bearer {TOKEN}"));
    request.call().map(|answer| answer.status().as_u16())
}

fn a_refusal_blows_over(url: &str) -> Result<(), ureq::Error> {
    steer(url, "reset", "")?;
    steer(url, "faults", r#"{ "effect": { "type": "status", "status": 503 }, "path": "/v2/sizes", "count": 1 }"#)?;
    assert!(matches!(sizes(url), Err(ureq::Error::StatusCode(503))));
    assert_eq!(sizes(url)?, 200);
    Ok(())
}

/// The same with PUT.
fn put(url: &str, path: &str, body: &str) -> Result<String, ureq::Error> {
    let request = ureq::put(format!("{url}/dew/v1/{path}")).header("Authorization", format!("Bearer {TOKEN}"));
    request.send(body)?.body_mut().read_to_string()
}

/// What `GET path` answers; `None` for 404.
fn get(url: &str, path: &str) -> Result<Option<Value>, ureq::Error> {
    match ureq::get(format!("{url}{path}")).header("Authorization", format!("Bearer {TOKEN}")).call() {
        Ok(mut answer) => Ok(Some(serde_json::from_str(&answer.body_mut().read_to_string()?).expect("JSON"))),
        Err(ureq::Error::StatusCode(404)) => Ok(None),
        Err(other) => Err(other),
    }
}

/// Makes a Droplet with this tag; its path once its create has ended so.
fn made(url: &str, tag: &str, status: &str) -> Result<String, ureq::Error> {
    let body =
        json!({ "name": "web-1", "region": "nyc3", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64", "tags": [tag] });
    let request = ureq::post(format!("{url}/v2/droplets")).header("Authorization", format!("Bearer {TOKEN}"));
    let answer = request.send(body.to_string())?.body_mut().read_to_string()?;
    let made: Value = serde_json::from_str(&answer).expect("JSON");
    let action = format!("/v2/actions/{}", made["links"]["actions"][0]["id"]);
    loop {
        let seen = get(url, &action)?.expect("an action stays")["action"]["status"].clone();
        if seen != "in-progress" {
            assert_eq!(seen, status);
            return Ok(format!("/v2/droplets/{}", made["droplet"]["id"]));
        }
    }
}

fn a_state_is_put_back_and_every_effect_strikes(url: &str) -> Result<(), ureq::Error> {
    let sizes_fault = |effect: Value| json!({ "effect": effect, "path": "/v2/sizes", "count": 1 }).to_string();
    for (effect, status) in [
        (json!({ "type": "too_many_requests", "retry_after": 1 }), 429),
        (json!({ "type": "pending_event" }), 422),
        (json!({ "type": "status", "status": 500 }), 500),
    ] {
        steer(url, "faults", &sizes_fault(effect))?;
        assert!(matches!(sizes(url), Err(ureq::Error::StatusCode(seen)) if seen == status));
    }
    steer(url, "faults", &sizes_fault(json!({ "type": "delay", "milliseconds": 20, "real": true })))?;
    assert_eq!(sizes(url)?, 200);
    steer(url, "faults", &sizes_fault(json!({ "type": "drop" })))?;
    assert!(sizes(url).is_err(), "no answer");

    let droplet = made(url, "web", "completed")?;
    put(url, "snapshots/one", "")?;
    for effect in [json!({ "type": "stale" }), json!({ "type": "vanish", "what": "droplet" })] {
        let after = u64::from(effect["type"] == "vanish");
        steer(url, "faults", &json!({ "effect": effect, "path": droplet, "after": after, "count": 1 }).to_string())?;
    }
    assert!(get(url, &droplet)?.is_some());
    assert!(get(url, &droplet)?.is_some(), "gone, and shown as it was");
    assert!(get(url, &droplet)?.is_none());
    steer(url, "snapshots/one/restore", "")?;
    assert!(get(url, &droplet)?.is_some(), "as if nothing had happened");

    steer(url, "faults", r#"{ "effect": { "type": "step_error", "step": "boot" }, "tag": "unlucky" }"#)?;
    made(url, "unlucky", "errored")?;
    put(url, "delays", r#"{ "delays": [{ "type": "create", "reads": 3 }] }"#)?;
    made(url, "web", "completed")?;
    put(url, "clock", r#"{ "advance_seconds": 3600 }"#)?;

    let asked = get(url, "/dew/v1/requests?method=POST&path=/v2/droplets")?.expect("the log");
    assert_eq!(asked["total"], 3);
    let told = get(url, "/dew/v1/events?since=0&kind=everything")?.expect("a list");
    assert_eq!(told["events"][1]["type"], "restored");
    Ok(())
}

#[test]
fn the_example_of_the_page_holds() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(directory.path());
    let log = server.log();
    let (_, rest) = log.split_once("Serving on ").expect("it says where");
    let url = rest.split_whitespace().next().expect("an address");
    a_refusal_blows_over(url).expect("no other error");
    a_state_is_put_back_and_every_effect_strikes(url).expect("no other error");
    assert!(server.terminate().success());
}
