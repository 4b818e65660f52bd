//! Streams: they go on where one stopped, end with a reason, and are bounded.

use std::time::Duration;

use axum::body::Body;
use dewpoint_api::{AccountId, TagName};
use dewpoint_store::{Tx, feed, tags};
use dewpoint_testkit::{Client, TestApp};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::{now, since};

/// How long anything here may take.
const DEADLINE: Duration = Duration::from_secs(60);

fn request(query: &str, last: Option<&str>) -> Request<Body> {
    let request = Request::builder().uri(format!("/dew/v1/events?{query}")).header("host", "dew.test");
    let request = request.header("accept", "text/event-stream");
    let request = if let Some(last) = last { request.header("last-event-id", last) } else { request };
    request.body(Body::empty()).expect("a request")
}

/// One frame of a stream that is no comment.
#[derive(Clone, Debug, PartialEq)]
struct Frame {
    event: String,
    id: String,
    data: Value,
}

struct Stream {
    response: Response<Body>,
    text: String,
    comments: usize,
}

impl Stream {
    async fn open(client: &Client<'_>, query: &str, last: Option<&str>) -> Self {
        let response = client.begin(request(query, last)).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["connection"], "close");
        Self { response, text: String::new(), comments: 0 }
    }

    /// The next frame; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                if block.starts_with(':') {
                    self.comments += 1;
                    continue;
                }
                let field = |name: &str| {
                    let found = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                    found.unwrap_or_else(|| panic!("no {name} in {block:?}")).to_owned()
                };
                let data = serde_json::from_str(&field("data")).expect("JSON");
                return Some(Frame { event: field("event"), id: field("id"), data });
            }
            let taken = tokio::time::timeout(DEADLINE, self.response.body_mut().frame()).await.expect("it goes on");
            let Some(taken) = taken else {
                assert_eq!(self.text, "", "it ends between frames");
                return None;
            };
            let bytes = taken.expect("a body that does not fail").into_data().expect("no trailers");
            self.text.push_str(std::str::from_utf8(&bytes).expect("text"));
        }
    }

    async fn frame(&mut self, event: &str) -> Frame {
        let frame = self.next().await.unwrap_or_else(|| panic!("the stream ended before {event}"));
        assert_eq!(frame.event, event, "{frame:?}");
        frame
    }

    /// The last words, after which there is nothing.
    async fn end(&mut self, reason: &str) -> Frame {
        let frame = self.frame("end").await;
        assert_eq!(frame.data, json!({ "reason": reason }));
        assert_eq!(self.next().await, None);
        frame
    }
}

async fn tag(client: &Client<'_>, name: &str) {
    client.post("/v2/tags", json!({ "name": name })).await.expect(201);
}

/// Makes as many tags as there is room for events, and more, in one transaction.
async fn flood(app: &TestApp, account: AccountId, stem: &'static str) {
    let name = move |number| format!("{stem}{number}").parse::<TagName>().expect("a tag");
    let made = app.store().write(move |tx: &mut dyn Tx| {
        (0..feed::KEPT + 10).try_for_each(|number| tags::tag_ensure(tx, account, &name(number)).map(drop))
    });
    made.await.expect("the store takes them");
}

#[tokio::test]
async fn a_stream_goes_on_where_another_stopped_without_a_gap_or_a_repetition() {
    let app = TestApp::start().await;
    let admin = app.admin();
    tag(&admin, "before").await;
    let mut first = Stream::open(&admin, "", None).await;
    assert_eq!(first.frame("position").await.id, now(&admin).await, "it begins with what happens next");
    tag(&admin, "one").await;
    let one = first.frame("change").await;
    assert_eq!((&one.data["kind"], &one.data["resource_id"]), (&json!("tag"), &json!("one")));
    assert_eq!(one.data["id"], json!(one.id));
    drop(first);
    tag(&admin, "two").await;

    let mut second = Stream::open(&admin, "", Some(&one.id)).await;
    assert_eq!(second.frame("position").await.id, one.id);
    assert_eq!(second.frame("change").await.data["resource_id"], "two");
    tag(&admin, "three").await;
    assert_eq!(second.frame("change").await.data["resource_id"], "three");

    let mut third = Stream::open(&admin, &format!("since={}&type=made", one.id), None).await;
    third.frame("position").await;
    for name in ["two", "three"] {
        assert_eq!(third.frame("change").await.data["resource_id"], name);
    }
    let mut oldest = Stream::open(&admin, "since=0&kind=tag", None).await;
    oldest.frame("position").await;
    assert_eq!(oldest.frame("change").await.data["resource_id"], "before");
}

#[tokio::test]
async fn an_account_is_told_of_its_own_alone() {
    let app = TestApp::start().await;
    let (admin, other) = (app.admin(), app.other_account().await);
    let mut stream = Stream::open(&other, "since=0", None).await;
    stream.frame("position").await;
    assert_eq!(stream.frame("change").await.data["kind"], "token", "its first token");
    app.admin().active_droplet("web-1").await;
    tag(&other, "mine").await;
    assert_eq!(stream.frame("change").await.data["resource_id"], "mine");
    let (own, _) = since(&admin, "0", "").await;
    assert!(own.iter().all(|event| event["resource_id"] != "mine"), "{own:?}");
    app.token_with(&["droplet:read"]).await.send(request("", None)).await.refusal(403, "forbidden");
    app.nobody().send(request("", None)).await.refusal(401, "unauthorized");
}

#[tokio::test]
async fn what_is_missing_is_said_to_be_and_the_rest_is_told() {
    let mut app = TestApp::start().await;
    let place = now(&app.admin()).await;
    let account = app.account().await;
    flood(&app, account, "t").await;
    let admin = app.admin();
    let mut late = Stream::open(&admin, "", Some(&place)).await;
    let gap = late.frame("gap").await;
    assert_eq!(gap.data, json!({ "reason": "too_old" }));
    let first = late.frame("change").await;
    let listed = admin.get(&format!("/dew/v1/events?since={place}&limit=1")).await.expect(200);
    assert_eq!((&listed["gap"], &listed["events"][0]), (&json!("too_old"), &first.data));
    let (again, _) = since(&admin, &gap.id, "").await;
    assert_eq!(again[0], first.data, "whoever read the gap alone goes on after it");
    drop(late);

    app.restart().await;
    let admin = app.admin();
    tag(&admin, "anew").await;
    for (query, last) in [("", Some(first.id.as_str())), ("", Some("none of ours")), ("since=00000000-7", None)] {
        let mut stream = Stream::open(&admin, query, last).await;
        assert_eq!(stream.frame("gap").await.data, json!({ "reason": "restarted" }));
        assert_eq!(stream.frame("change").await.data["resource_id"], "anew");
    }
}

#[tokio::test]
async fn a_client_that_reads_too_slowly_is_told_so_at_last_and_cut_off() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let mut stream = Stream::open(&admin, "kind=tag", None).await;
    stream.frame("position").await;
    tag(&admin, "first").await;
    let mut last = stream.frame("change").await;
    let account = app.account().await;
    // It holds one chunk and waits to hand over another: nobody waits for it.
    flood(&app, account, "a").await;
    flood(&app, account, "b").await;
    flood(&app, account, "c").await;
    let end = loop {
        let frame = stream.next().await.expect("last words");
        if frame.event == "end" {
            break frame;
        }
        assert_eq!(frame.event, "change");
        last = frame;
    };
    assert_eq!(end.data, json!({ "reason": "too_slow" }));
    assert_eq!(last.id, end.id, "it may go on after what it has");
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn a_stream_ends_with_its_token_and_with_what_its_token_was_made_in() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let mut tokens = Vec::new();
    for name in ["revoked", "reset", "expired"] {
        let lifetime = if name == "expired" { json!(60) } else { json!(null) };
        tokens.push(admin.post("/dew/v1/tokens", json!({ "name": name, "expires_in": lifetime })).await.expect(201));
    }
    let bearer = |number: usize| app.bearer(tokens[number]["token"].as_str().expect("a token"));
    let (of_revoked, of_reset, of_expired) = (bearer(0), bearer(1), bearer(2));
    // None of them asks for tokens: the end comes all the same.
    let mut streams = Vec::new();
    for client in [&of_revoked, &of_reset, &of_expired] {
        let mut stream = Stream::open(client, "kind=droplet", None).await;
        stream.frame("position").await;
        streams.push(stream);
    }
    admin.delete(&format!("/dew/v1/tokens/{}", tokens[0]["id"].as_str().expect("an id"))).await.expect(204);
    streams[0].end("token").await;
    app.clock().advance(Duration::from_secs(61));
    tag(&admin, "news").await;
    streams[2].end("token").await;

    let mut own = Stream::open(&admin, "kind=droplet", None).await;
    own.frame("position").await;
    admin.put("/dew/v1/snapshots/now", json!(null)).await.expect(200);
    admin.post("/dew/v1/snapshots/now/restore", json!(null)).await.expect(200);
    for stream in [&mut own, &mut streams[1]] {
        let restored = stream.frame("restored").await;
        assert_eq!((&restored.data["kind"], &restored.data["resource_id"]), (&json!("everything"), &json!("now")));
    }
    admin.post("/dew/v1/reset", json!(null)).await.expect(200);
    assert_eq!(own.frame("reset").await.data["type"], "reset");
    streams[1].end("token").await;
    let id = admin.create_droplet("web-1").await;
    assert_eq!(own.frame("change").await.data["resource_id"], json!(id));
}

#[tokio::test]
async fn an_account_has_so_many_streams_and_those_that_end_make_room() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let mut open = Vec::new();
    for _ in 0..32 {
        open.push(Stream::open(&admin, "", None).await);
    }
    let message = admin.send(request("", None)).await.refusal(429, "too_many_requests");
    assert!(message.contains("32"), "{message}");
    admin.get("/dew/v1/events").await.expect(200);
    let other = app.other_account().await;
    drop(Stream::open(&other, "", None).await);
    open.clear();
    app.until("there is room", async || {
        let answer = admin.begin(request("", None)).await;
        answer.status() == 200
    })
    .await;
}

#[tokio::test]
async fn a_silent_stream_shows_that_it_lives_and_how_far_it_is() {
    let app = TestApp::start_with(|setup| setup.server.event_keep_alive = Duration::from_millis(5)).await;
    let admin = app.admin();
    let mut stream = Stream::open(&admin, "kind=droplet", None).await;
    let begin = stream.frame("position").await;
    tag(&admin, "not-asked-for").await;
    let moved = stream.frame("position").await;
    assert_eq!(moved.id, now(&admin).await, "what it passed over it need not see again");
    assert_ne!(moved.id, begin.id);
    // Three pings at least pass before something happens.
    while stream.comments < 3 {
        let taken = tokio::time::timeout(DEADLINE, stream.response.body_mut().frame()).await.expect("it goes on");
        let bytes = taken.expect("no end").expect("a body").into_data().expect("no trailers");
        assert!(bytes.starts_with(b":"), "{bytes:?}");
        stream.comments += 1;
    }
}

#[tokio::test]
async fn a_stale_read_of_everything_is_not_waited_for_by_a_stream() {
    let app = TestApp::start().await;
    let admin = app.admin();
    admin.post("/dew/v1/faults", json!({ "effect": { "type": "stale" }, "path": "*" })).await.expect(201);
    let mut stream = Stream::open(&admin, "", None).await;
    stream.frame("position").await;
    tag(&admin, "one").await;
    assert_eq!(stream.frame("change").await.data["resource_id"], "one");
    let (log, _) = (admin.get("/dew/v1/requests").await.expect(200), ());
    assert!(log["requests"].as_array().expect("a list").iter().all(|one| one["path"] != "/dew/v1/events"), "{log}");
}
