//! What is sent again, and what never is.

use std::time::{Duration, Instant};

use dewpoint_client::{CreateDroplet, Error, RetryPosts, resources::FaultOrder, testing::Simulator};

use crate::script::{Reply, Script, ok, reply};

const REGIONS: &str = r#"{"regions":[],"links":{},"meta":{"total":0}}"#;
const TAG: &str = r#"{"tag":{"name":"a"}}"#;

#[tokio::test]
async fn a_get_is_sent_again_after_5xx_and_broken_connections() {
    let script = Script::of(vec![reply(503, &[], ""), Reply::Hangup, reply(500, &[], "{}"), ok(REGIONS)]).await;
    assert_eq!(script.client().regions().list().await.unwrap().total, 0);
    assert_eq!(script.asked().len(), 4);
}

#[tokio::test]
async fn retries_come_to_an_end_with_the_last_refusal() {
    let body = r#"{"id":"service_unavailable","message":"Later.","request_id":"r-1"}"#;
    let script = Script::of(vec![reply(503, &[], body)]).await;
    let error = script.client().regions().list().retries(2).await.unwrap_err();
    assert!(matches!(&error, Error::Server(refusal) if refusal.message == "Later."), "{error:?}");
    assert_eq!((error.request_id(), script.asked().len()), (Some("r-1"), 3));
}

#[tokio::test]
async fn a_post_keeps_its_key_over_retries_and_each_post_has_its_own() {
    let script = Script::of(vec![Reply::Hangup, reply(502, &[], ""), ok(TAG)]).await;
    let client = script.client();
    client.tags().create("a").await.unwrap();
    client.tags().create("a").await.unwrap();
    let keys: Vec<String> =
        script.asked().iter().map(|asked| asked.header("idempotency-key").unwrap().to_owned()).collect();
    assert_eq!((keys.len(), &keys[0], &keys[0]), (4, &keys[1], &keys[2]));
    assert_ne!(keys[0], keys[3]);
}

#[tokio::test]
async fn a_post_that_may_have_arrived_is_not_repeated_where_keys_are_not_known() {
    for first in [Reply::Hangup, reply(500, &[], "")] {
        let script = Script::of(vec![first, ok(TAG)]).await;
        let client = script.builder(RetryPosts::NotSent).build().unwrap();
        client.tags().create("a").await.unwrap_err();
        assert_eq!(script.asked().len(), 1);
    }
    let script = Script::of(vec![reply(429, &[], ""), ok(TAG)]).await;
    script.builder(RetryPosts::NotSent).build().unwrap().tags().create("a").await.unwrap();
    assert_eq!(script.asked().len(), 2, "a 429 was not carried out");
    let script = Script::of(vec![Reply::Hangup, ok(TAG)]).await;
    let client = script.builder(RetryPosts::Keyed).without_idempotency_keys().build().unwrap();
    client.tags().create("a").await.unwrap_err();
    assert_eq!(script.asked()[0].header("idempotency-key"), None);
}

#[tokio::test]
async fn the_pause_that_a_server_asks_for_is_kept() {
    let script = Script::of(vec![reply(429, &[("retry-after-ms", "120")], ""), ok(REGIONS)]).await;
    let began = Instant::now();
    script.client().regions().list().await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(120), "{:?}", began.elapsed());
    let script = Script::of(vec![reply(429, &[("retry-after", "3600")], "")]).await;
    let error = script.client().regions().list().await.unwrap_err();
    assert_eq!(error.refusal().unwrap().retry_after, Some(Duration::from_secs(3600)), "longer than anybody would wait");
    assert_eq!(script.asked().len(), 1);
}

#[tokio::test]
async fn the_server_may_forbid_and_demand_retries() {
    let script = Script::of(vec![reply(503, &[("x-should-retry", "false")], "")]).await;
    script.client().regions().list().await.unwrap_err();
    assert_eq!(script.asked().len(), 1);
    let script = Script::of(vec![reply(409, &[("x-should-retry", "true")], ""), ok(TAG)]).await;
    script.client().tags().create("a").await.unwrap();
    assert_eq!(script.asked().len(), 2);
}

#[tokio::test]
async fn a_delete_whose_answer_was_lost_is_done_when_nothing_is_left_to_delete() {
    let gone = reply(404, &[], r#"{"id":"not_found","message":"gone"}"#);
    let script = Script::of(vec![Reply::Hangup, gone.clone()]).await;
    script.client().droplets().delete(7).await.unwrap();
    let script = Script::of(vec![gone]).await;
    assert!(script.client().droplets().delete(7).await.unwrap_err().is_not_found(), "here it was never there");
}

#[tokio::test]
async fn a_call_that_is_not_answered_in_time_says_so() {
    let script = Script::of(vec![Reply::Silence]).await;
    let call = script.client().regions().list().timeout(Duration::from_millis(50)).retries(0);
    let error = call.await.unwrap_err();
    assert!(matches!(error, Error::Timeout(_)), "{error:?}");
    assert!(error.to_string().starts_with("GET /v2/regions ") && error.to_string().contains("in time"), "{error}");
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_sent() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = dewpoint_client::Client::builder().base_url(url).token("t").retries(0).build().unwrap();
    let error = client.account().get().await.unwrap_err();
    assert!(matches!(&error, Error::Connection(broken) if !broken.was_sent), "{error:?}");
    assert!(error.to_string().contains("could not connect"), "{error}");
}

/// The real server, that does what is asked and loses the answer: the SDK asks again, and there is one Droplet.
#[tokio::test]
async fn a_create_whose_answer_is_lost_makes_one_droplet() {
    let simulator = Simulator::start().unwrap();
    let client = simulator.client();
    let faults = client.dewpoint().simulator().faults();
    for order in [FaultOrder::dropped(), FaultOrder::status_after_effect(503)] {
        faults.order(&order.on("POST", "/v2/droplets").times(1)).await.unwrap();
    }
    let wanted = CreateDroplet::new("once", "s-1vcpu-1gb", "ubuntu-24-04-x64");
    let answer = client.droplets().create(&wanted).answer().await.unwrap();
    assert!(answer.was_replayed(), "the first attempt had made it");
    let there = client.droplets().list().await.unwrap();
    assert_eq!((there.total, there[0].id), (1, answer.value.id));
}
