//! `/dew/v1/events`: what changes is told, to whom it concerns, without a gap or saying that there is one.

mod changes;
mod streams;

use dewpoint_testkit::Client;
use serde_json::Value;

/// The events since a place as a list, and the place to go on from.
async fn since(client: &Client<'_>, place: &str, query: &str) -> (Vec<Value>, String) {
    let answer = client.get(&format!("/dew/v1/events?limit=1000&since={place}&{query}")).await.expect(200);
    assert_eq!(answer["gap"], Value::Null, "{answer}");
    (answer["events"].as_array().expect("a list").clone(), answer["next"].as_str().expect("a place").to_owned())
}

/// The place after everything that happened so far.
async fn now(client: &Client<'_>) -> String {
    let mut place = "0".to_owned();
    loop {
        let (events, next) = since(client, &place, "").await;
        if events.is_empty() {
            return next;
        }
        place = next;
    }
}
