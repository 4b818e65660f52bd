//! The frame from end to end, with operations made for the purpose: what every answer has, whatever the handler.

mod limits;
mod lost;
mod real;
mod socket;
mod tls;

use std::{sync::Arc, time::Duration};

use axum::{body::Body, extract::Request, response::Response};
use dewpoint_api::{AccountId, DropletId, Scope};
use dewpoint_clock::{Clock, ManualClock, Timestamp};
use dewpoint_control::{self as control, Control, ControlConfig, Parts, Random, catalogue::Catalogue};
use dewpoint_engine::sim::SimEngine;
use dewpoint_store::sqlite;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::{
    Again, ApiError, App, Caller, Done, Edge, Json, Limits, Operation, Paging, Path, Probes, ServerConfig, app,
    rate::Bucket,
};

async fn whole(Json(body): Json<Value>) -> Json<Value> {
    Json(body)
}

async fn one(caller: Caller, Path(id): Path<DropletId>) -> Result<Json<Value>, ApiError> {
    caller.require(Scope::DropletRead)?;
    Ok(Json(json!({ "id": id, "account": caller.account, "sees_images": caller.has(Scope::ImageRead) })))
}

async fn many(paging: Paging) -> Json<Value> {
    let all: Vec<u32> = (0..45).collect();
    let page = paging.slice(all.into_iter());
    Json(json!({ "numbers": page.items, "links": page.links, "meta": page.meta }))
}

async fn gone() -> Done {
    Done
}

async fn panicking() -> Done {
    panic!("a secret of the handler's")
}

async fn failing() -> Result<Done, ApiError> {
    Err(ApiError::internal(std::io::Error::other("a secret of the store's")))
}

async fn conflicting() -> Result<Done, ApiError> {
    Err(control::Error::Conflict("already exists".into()).into())
}

async fn foreign() -> (StatusCode, &'static str) {
    (StatusCode::IM_A_TEAPOT, "<h1>I am a teapot</h1>")
}

fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v2/droplets", many).id("many").needs(&[Scope::DropletRead]).paged(),
        Operation::post("/v2/droplets", whole, Again::Empty).id("whole").needs(&[Scope::DropletCreate]),
        Operation::delete("/v2/droplets", gone).id("gone").needs(&[Scope::DropletDelete]),
        Operation::get("/v2/droplets/{droplet_id}", one).id("one").needs(&[Scope::DropletRead]),
        Operation::get("/v2/account/keys", many).id("keys").needs(&[Scope::SshKeyRead]).counted_in(Bucket::Keys),
        Operation::put("/v2/either", gone)
            .id("either")
            .needs(&[Scope::TagCreate, Scope::TagDelete])
            .needs(&[Scope::SshKeyRead]),
        Operation::get("/v2/any", gone).id("any"),
        Operation::get("/dew/v1/tokens", many).id("ours").needs_full_token(),
        Operation::get("/open", gone).id("open").open(),
        Operation::get("/panicking", panicking).id("panicking").open(),
        Operation::get("/failing", failing).id("failing").open(),
        Operation::get("/conflicting", conflicting).id("conflicting").open(),
        Operation::get("/foreign", foreign).id("foreign").open(),
    ]
}

/// The frame with the operations above, a store of its own and three tokens: `full`, `read` (all that ends in `:read`) and
/// `keys` (`ssh_key:read` alone).
struct Server {
    app: App,
    edge: Edge,
    control: Control,
    account: AccountId,
    clock: Arc<ManualClock>,
    tokens: [(&'static str, String); 3],
    _directory: TempDir,
}

/// An answer, read to its end.
struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {:?}", self.text))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    #[track_caller]
    fn is_error(&self, status: u16, id: &str) {
        let body = self.json();
        assert_eq!((self.status, body["id"].as_str()), (status, Some(id)), "{body}");
        assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()));
        assert_eq!(body["request_id"], self.header("x-request-id"), "ERR-1");
        assert_eq!(self.header("content-type"), "application/json; charset=utf-8", "PRO-1");
    }
}

impl Server {
    async fn with(config: ServerConfig) -> Self {
        Self::serving(operations(), config, Probes::default()).await
    }

    async fn serving(operations: Vec<Operation>, config: ServerConfig, probes: Probes) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_600_000_000_500)));
        let parts = Parts {
            random: Random::default(),
            store: sqlite::open(&directory.path().join("dew.db")).expect("a new store"),
            engine: Arc::new(
                SimEngine::open(&directory.path().join("sim.db"), clock.clone()).expect("a new simulator"),
            ),
            clock: clock.clone(),
            catalogue: Catalogue::built_in(),
            config: ControlConfig::default(),
        };
        let control = Control::new(parts).await.expect("parts that fit");
        let admin = control.bootstrap(None).await.expect("a write").expect("an empty store");
        let state = App::with_operations(control.clone(), config, probes, operations);
        let (account, edge) = (admin.record.account, app(state.clone()));
        let tokens = [("full", admin.secret.clone()), ("read", String::new()), ("keys", String::new())];
        let mut server = Self { app: state, edge, control, account, clock, tokens, _directory: directory };
        server.tokens[1].1 = server.new_token("read").await;
        server.tokens[2].1 = server.new_token("ssh_key:read").await;
        server
    }

    /// A new token with these scopes.
    async fn new_token(&self, scopes: &str) -> String {
        let request = serde_json::from_value(json!({ "name": scopes, "scopes": scopes })).expect("a request");
        self.control.token_create(self.account, &request).await.expect("a token").secret
    }

    async fn new() -> Self {
        Self::with(ServerConfig::default()).await
    }

    /// What to send for the token of that name; the name itself when there is none.
    fn token<'a>(&'a self, name: &'a str) -> &'a str {
        self.tokens.iter().find(|(known, _)| *known == name).map_or(name, |(_, secret)| secret)
    }

    /// Sends `METHOD path` with headers as `name: value` and a body. A token is given by its name.
    async fn send(&self, line: &str, headers: &[&str], body: impl Into<Body>) -> Answer {
        let (method, path) = line.split_once(' ').expect("METHOD path");
        let mut request = Request::builder().method(method).uri(path);
        for header in headers {
            let (name, value) = header.split_once(": ").expect("name: value");
            match value.split_once(' ').filter(|_| name == "authorization") {
                Some((scheme, token)) => request = request.header(name, format!("{scheme} {}", self.token(token))),
                None => request = request.header(name, value),
            }
        }
        let request = request.body(body.into()).expect("a good request");
        let response: Response = self.edge.clone().oneshot(request).await.expect("the edge never fails");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body in memory").to_bytes();
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        Answer { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    async fn get(&self, path: &str, token: &str) -> Answer {
        self.send(&format!("GET {path}"), &[&format!("authorization: Bearer {token}")], "").await
    }
}

#[tokio::test]
async fn a_good_request_is_answered_with_the_headers_every_answer_has_rate_1() {
    let server = Server::new().await;
    let answer = server.get("/v2/droplets/7", "read").await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "id": 7, "account": 1, "sees_images": true })));
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    let limits = ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"].map(|name| answer.header(name));
    assert_eq!(limits, ["5000", "5000", "1600003600"]);
    assert_eq!(answer.header("x-request-id").len(), 36);
    assert_eq!(answer.header("access-control-allow-origin"), "", "no Origin, no CORS");
}

#[tokio::test]
async fn errors_of_every_kind_have_one_shape() {
    let server = Server::new().await;
    let full = "authorization: Bearer full";
    server.send("GET /v2/droplets", &[], "").await.is_error(401, "unauthorized");
    server.get("/v2/droplets", "unknown").await.is_error(401, "unauthorized");
    server.get("/v2/droplets", "keys").await.is_error(403, "forbidden");
    server.get("/v2/nothing", "full").await.is_error(404, "not_found");
    server.get("/v2/droplets/seven", "full").await.is_error(404, "not_found");
    server.get("/v2/droplets?page=0", "full").await.is_error(400, "bad_request");
    server.send("PATCH /v2/droplets", &[full], "").await.is_error(405, "method_not_allowed");
    server.send("POST /v2/droplets", &[full], "").await.is_error(400, "bad_request");
    server.send("POST /v2/droplets", &[full], vec![b' '; 1_100_000]).await.is_error(413, "bad_request");
    server.send("GET /conflicting", &[], "").await.is_error(409, "conflict");
    server.send("GET /failing", &[], "").await.is_error(500, "server_error");
    server.send("GET /foreign", &[], "").await.is_error(418, "bad_request");
}

#[tokio::test]
async fn a_handler_that_panics_is_a_500_that_says_nothing() {
    let server = Server::new().await;
    for path in ["GET /panicking", "GET /failing"] {
        let answer = server.send(path, &[], "").await;
        answer.is_error(500, "server_error");
        assert!(!answer.text.contains("secret"));
    }
    assert_eq!(server.send("GET /open", &[], "").await.status, 204, "and the next request is answered");
}

#[tokio::test]
async fn a_method_the_path_does_not_take_is_a_405_with_allow() {
    let answer = Server::new().await.send("PATCH /v2/droplets", &[], "").await;
    assert_eq!((answer.status, answer.header("allow")), (405, "GET, POST, DELETE, HEAD, OPTIONS"));
}

#[tokio::test]
async fn head_is_get_without_the_body_pro_8() {
    let server = Server::new().await;
    let get = server.get("/v2/droplets/7", "full").await;
    let head = server.send("HEAD /v2/droplets/7", &["authorization: Bearer full"], "").await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), get.text.len().to_string());
    assert_eq!(head.header("content-type"), get.header("content-type"));
    let refused = server.send("HEAD /v2/droplets/7", &[], "").await;
    assert_eq!((refused.status, refused.text.as_str()), (401, ""));
}

#[tokio::test]
async fn a_trailing_slash_and_an_absolute_target_are_the_same_path() {
    let server = Server::new().await;
    assert_eq!(server.get("/v2/droplets/7/", "full").await.status, 200);
    assert_eq!(server.get("http://127.0.0.1:8080/v2/droplets/7", "full").await.status, 200);
}

#[tokio::test]
async fn pages_of_other_origins_may_call_pro_8() {
    let server = Server::new().await;
    let asked = [
        "origin: https://example.com",
        "access-control-request-method: DELETE",
        "access-control-request-headers: authorization, x-mine",
    ];
    let preflight = server.send("OPTIONS /v2/droplets", &asked, "").await;
    assert_eq!((preflight.status, preflight.text.as_str(), preflight.header("content-type")), (204, "", ""));
    assert_eq!(preflight.header("access-control-allow-origin"), "https://example.com");
    assert_eq!(preflight.header("access-control-allow-headers"), "authorization, x-mine");
    assert!(preflight.header("access-control-allow-methods").contains("DELETE"));
    assert_eq!(preflight.header("access-control-max-age"), "600");
    assert_eq!(preflight.header("allow"), "GET, POST, DELETE, HEAD, OPTIONS", "the path's own methods");
    let unknown = server.send("OPTIONS /v2/nothing", &asked, "").await;
    assert!(unknown.status == 204 && unknown.header("allow").contains("PATCH"), "{}", unknown.header("allow"));

    let refused = server.send("GET /v2/droplets", &["origin: https://example.com"], "").await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, "https://example.com"));
    assert_eq!(refused.header("access-control-allow-credentials"), "true");
    assert!(refused.header("access-control-expose-headers").contains("RateLimit-Remaining"));
}

#[tokio::test]
async fn scopes_of_one_entry_are_all_needed_and_entries_are_alternatives_auth_4() {
    let server = Server::new().await;
    let put = async |token: &str| {
        server.send("PUT /v2/either", &[&format!("authorization: bearer {token}")], "").await.status
    };
    assert_eq!([put("full").await, put("keys").await, put("read").await], [204, 204, 204]);
    assert_eq!(server.get("/v2/any", "keys").await.status, 204, "no scope asked for, but a token");
    assert_eq!(server.get("/v2/any", "").await.status, 401);
    assert_eq!(server.get("/dew/v1/tokens", "full").await.status, 200);
    assert_eq!(server.get("/dew/v1/tokens", "read").await.status, 403);
}

#[tokio::test]
async fn scope_is_checked_before_the_body_is_read_err_9() {
    let server = Server::new().await;
    let answer = server.send("POST /v2/droplets", &["authorization: Bearer read"], "{").await;
    answer.is_error(403, "forbidden");
    let answer = server.send("POST /v2/droplets", &["authorization: Bearer full"], "{").await;
    answer.is_error(400, "bad_request");
}

#[tokio::test]
async fn any_content_type_will_do_and_a_delete_may_name_one_without_a_body_pro_3() {
    let server = Server::new().await;
    for kind in ["application/json", "text/plain", "application/x-www-form-urlencoded"] {
        let headers = ["authorization: Bearer full", &format!("content-type: {kind}")];
        assert_eq!(server.send("POST /v2/droplets", &headers, "{}").await.status, 200, "{kind}");
    }
    let headers = ["authorization: Bearer full", "content-type: application/json", "accept: */*"];
    let answer = server.send("DELETE /v2/droplets", &headers, "").await;
    assert_eq!((answer.status, answer.text.as_str(), answer.header("content-type")), (204, "", ""));
    assert_eq!(server.send("DELETE /v2/droplets", &headers, "{\"resources\": []}").await.status, 204);
}

#[tokio::test]
async fn a_page_links_to_its_neighbours_on_the_host_that_was_called_pag_8() {
    let server = Server::new().await;
    let headers = ["authorization: Bearer full", "host: 127.0.0.1:8080"];
    let answer = server.send("GET /v2/droplets?tag_name=a%3Ab&page=2&per_page=10", &headers, "").await.json();
    let url = |page| format!("http://127.0.0.1:8080/v2/droplets?tag_name=a%3Ab&per_page=10&page={page}");
    assert_eq!(
        answer["links"],
        json!({ "pages": { "first": url(1), "prev": url(1), "next": url(3), "last": url(5) } })
    );
    assert_eq!((answer["meta"]["total"].as_u64(), answer["numbers"][0].as_u64()), (Some(45), Some(10)));
    let all = server.send("GET /v2/droplets?per_page=1000", &headers, "").await.json();
    assert_eq!(
        (all["links"].clone(), all["numbers"].as_array().map(Vec::len)),
        (json!({}), Some(45)),
        "clamped: PAG-2"
    );
}

#[tokio::test]
async fn requests_over_the_limit_are_a_429_until_time_passes_rate_3() {
    let server = Server::with(ServerConfig { limits: Limits::DigitalOcean, ..ServerConfig::default() }).await;
    let first = server.get("/v2/droplets", "full").await;
    assert_eq!((first.status, first.header("ratelimit-remaining")), (200, "4999"));
    for _ in 0..10 {
        assert_eq!(server.get("/v2/account/keys", "full").await.status, 200);
    }
    let refused = server.get("/v2/account/keys", "full").await;
    refused.is_error(429, "too_many_requests");
    assert_eq!(refused.json()["message"], "API rate limit exceeded.");
    assert_eq!((refused.header("ratelimit-remaining"), refused.header("retry-after")), ("0", "60"));
    assert_eq!(
        refused.header("ratelimit-reset"),
        (server.clock.now() + Duration::from_secs(3600)).as_seconds().to_string()
    );

    server.clock.advance(Duration::from_secs(60));
    assert_eq!(server.get("/v2/account/keys", "full").await.status, 200);
    assert_eq!(server.get("/v2/droplets", "unknown").await.header("ratelimit-remaining"), "5000", "counted for nobody");
}

#[tokio::test]
async fn a_request_refused_for_its_scope_counts_all_the_same_err_9() {
    let server = Server::with(ServerConfig { limits: Limits::DigitalOcean, ..ServerConfig::default() }).await;
    for left in ["4999", "4998"] {
        let answer = server.get("/dew/v1/tokens", "read").await;
        assert_eq!((answer.status, answer.header("ratelimit-remaining")), (403, left));
    }
}
