//! What answers are read as: typed, and nothing of them lost.

use std::{any::type_name_of_val, time::Duration};

use dewpoint_client::{
    CreateDroplet, Error,
    blocking::{Blocking as _, BlockingStream as _},
    models::{Action, ActionStatus, Decimal},
    testing::Simulator,
};
use futures_util::StreamExt as _;
use serde_json::json;

use crate::script::{Script, ok, reply};

const ACTION: &str = r#"{"action":{"id":36804636,"status":"paused","type":"teleport","started_at":"2020-11-14T16:29:21.123456789Z",
    "completed_at":null,"resource_id":3164444,"resource_type":"balloon","region":null,"region_slug":"mars1","altitude":7,
    "crew":[1]}}"#;

#[tokio::test]
async fn words_and_members_that_are_newer_than_this_crate_are_kept() {
    let script = Script::of(vec![ok(ACTION)]).await;
    let action = script.client().actions().get(36804636).await.unwrap();
    assert_eq!((action.status.as_str(), action.status.known()), ("paused", None));
    assert_eq!((action.kind.as_str(), action.resource_type.as_str()), ("teleport", "balloon"));
    assert_eq!((action.member("altitude"), action.extra().len()), (Some(json!(7)), 2));
    assert_eq!(serde_json::to_value(&action).unwrap()["crew"], json!([1]), "and written as it came");
}

#[tokio::test]
async fn a_body_that_is_no_answer_is_told_with_its_place() {
    let script = Script::of(vec![
        reply(200, &[("x-request-id", "r-9")], r#"{"droplets":[{"id":"x"}],"meta":{"total":1}}"#),
        ok("<html>"),
    ])
    .await;
    let client = script.client();
    let error = client.droplets().list().await.unwrap_err();
    assert!(matches!(error, Error::Decode(_)) && error.to_string().contains("droplets[0]"), "{error}");
    assert_eq!(error.request_id(), Some("r-9"));
    assert!(matches!(client.account().get().await.unwrap_err(), Error::Decode(_)));
}

#[tokio::test]
async fn a_refusal_that_is_no_json_still_has_its_status() {
    let script = Script::of(vec![reply(418, &[("x-request-id", "r-2")], "short and stout")]).await;
    let error = script.client().account().get().await.unwrap_err();
    let refusal = error.refusal().unwrap();
    assert_eq!((refusal.status.as_u16(), refusal.body.as_str()), (418, "short and stout"));
    assert!(matches!(error, Error::Status(_)) && error.to_string().contains("r-2"), "{error}");
}

#[tokio::test]
async fn the_token_is_sent_and_told_nowhere() {
    let script =
        Script::of(vec![reply(401, &[], r#"{"id":"unauthorized","message":"Unable to authenticate you."}"#)]).await;
    let client = script.client();
    let error = client.account().get().await.unwrap_err();
    assert_eq!(script.asked()[0].header("authorization"), Some("Bearer dop_v1_secret"));
    assert!(script.asked()[0].header("user-agent").unwrap().starts_with("dewpoint-client/"));
    let told = format!("{error} {error:?} {client:?} {:?}", client.account().get());
    assert!(!told.contains("secret"), "{told}");
}

#[tokio::test]
async fn prices_are_exact_and_times_are_times() {
    let simulator = Simulator::start().unwrap();
    let client = simulator.client();
    let sizes = client.sizes().list().all().await.unwrap();
    let small = sizes.iter().find(|size| size.slug.as_str() == "s-1vcpu-1gb").unwrap();
    assert_eq!(small.price_hourly, "0.00893".parse().unwrap());
    assert_eq!((small.price_hourly * 1000).to_string(), "8.93");
    let all: Decimal = sizes.iter().map(|size| size.price_monthly).sum();
    assert!(all > small.price_monthly, "{all} is of type {}", type_name_of_val(&all));
    let created = client.droplets().create(CreateDroplet::new("a", "s-1vcpu-1gb", "ubuntu-24-04-x64")).await.unwrap();
    let since = simulator.now().since(created.created_at);
    assert!(since < Duration::from_secs(60), "{since:?}");
}

#[tokio::test]
async fn all_pages_are_one_stream_and_one_page_is_a_page() {
    let simulator = Simulator::start().unwrap();
    let client = simulator.client();
    for number in 0..7 {
        client.tags().create(&format!("t{number}")).await.unwrap();
    }
    let page = client.tags().list().per_page(3).await.unwrap();
    assert_eq!((page.len(), page.total, page.number, page.has_next()), (3, 7, 1, true));
    let last = client.tags().list().per_page(3).page(3).await.unwrap();
    assert_eq!((last.len(), last.has_next()), (1, false));
    let names = |tags: Vec<dewpoint_client::Kept<dewpoint_client::models::Tag>>| -> Vec<String> {
        tags.iter().map(|tag| tag.name.to_string()).collect()
    };
    let streamed: Vec<_> = client.tags().list().per_page(3).stream().map(Result::unwrap).collect().await;
    let (streamed, all) = (names(streamed), names(client.tags().list().all().await.unwrap()));
    assert_eq!((streamed.len(), &streamed), (7, &all));
}

#[tokio::test]
async fn a_stream_ends_with_the_error_of_the_page_that_failed() {
    let first =
        r#"{"tags":[{"name":"a"}],"links":{"pages":{"next":"http://elsewhere.test/?page=2"}},"meta":{"total":2}}"#;
    let script = Script::of(vec![ok(first), reply(422, &[], "{}")]).await;
    let mut stream = script.client().tags().list().stream();
    assert_eq!(stream.next().await.unwrap().unwrap().name.as_str(), "a");
    assert!(matches!(stream.next().await, Some(Err(Error::Unprocessable(_)))));
    assert!(stream.next().await.is_none());
    assert!(
        script.asked()[1].line().starts_with("GET /v2/tags?page=2&per_page=200 "),
        "the link's host is not followed"
    );
}

#[tokio::test]
async fn an_action_that_fails_and_one_that_takes_too_long_are_errors() {
    let ended = ACTION.replace("paused", "errored");
    let script = Script::of(vec![ok(&ended), ok(ACTION)]).await;
    let client = script.client();
    let error = client.actions().wait(1).await.unwrap_err();
    assert!(matches!(&error, Error::ActionFailed(action) if action.status == ActionStatus::Errored), "{error:?}");
    let quick = Duration::from_millis(1);
    let error = client.actions().wait(1).every(quick, quick).deadline(quick * 20).await.unwrap_err();
    assert!(matches!(error, Error::WaitedTooLong { .. }) && script.asked().len() >= 2, "{error:?}");
}

#[tokio::test]
async fn what_has_no_method_goes_through_the_raw_door() {
    let simulator = Simulator::start().unwrap();
    let client = simulator.client();
    let answer = client.raw().post("/v2/tags", &json!({ "name": "raw" })).answer().await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.value["tag"]["name"]), (201, &json!("raw")));
    assert!(answer.request_id().is_some() && answer.rate_limit().unwrap().remaining > 0);
    assert_eq!(client.raw().delete("/v2/tags/raw").await.unwrap(), json!(null));
    let read = client.raw().request_as::<serde_json::Value>(http::Method::GET, "/v2/actions", None::<&()>);
    assert_eq!(read.await.unwrap()["actions"], json!([]));
    for bad in ["v2/tags", "//evil.test/v2/tags", "http://evil.test/"] {
        assert!(matches!(client.raw().get(bad).await, Err(Error::Config(_))), "{bad}");
    }
}

#[test]
fn without_a_runtime_one_blocks() {
    let simulator = Simulator::start().unwrap();
    let client = simulator.client();
    let wanted = CreateDroplet::new("web-1", "s-1vcpu-1gb", "ubuntu-24-04-x64");
    let created = client.droplets().create(&wanted).blocking().unwrap();
    assert_eq!(created.wait_ready(&client).blocking().unwrap().id, created.id);
    let actions: Vec<Action> =
        client.actions().list().stream().blocking_iter().map(|action| action.unwrap().into_inner()).collect();
    assert!(actions.iter().any(|action| Some(action.id) == created.action_id()));
}
