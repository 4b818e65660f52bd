//! A caller of the API, in the same process: requests go through the whole router, not over a socket.

use axum::body::Body;
use dewpoint_api::ActionId;
use http::{HeaderMap, Method, Request, Response, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::{TestApp, droplet_body};

/// Someone with a token.
#[derive(Clone, Debug)]
pub struct Client<'app> {
    app: &'app TestApp,
    token: String,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body as it came.
    pub text: String,
}

impl Answer {
    /// The body as JSON, null when there is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        if self.text.is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {:?}", self.text))
    }

    /// A header as text, empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap_or_default())
    }

    /// The body of an answer that must have this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    /// The message of a refusal that must have this status and `id` (ERR-1, ERR-2).
    #[track_caller]
    pub fn refusal(&self, status: u16, id: &str) -> String {
        let body = self.json();
        assert_eq!((self.status, body["id"].as_str()), (status, Some(id)), "{body}");
        assert_eq!(body["request_id"], self.header("x-request-id"), "ERR-1: one id in body and header");
        body["message"].as_str().filter(|text| !text.is_empty()).expect("a refusal says why").to_owned()
    }

    /// The message of a 422.
    #[track_caller]
    pub fn invalid(&self) -> String {
        self.refusal(422, "unprocessable_entity")
    }
}

fn post(path: &str, headers: &[(&str, &str)], body: &Value) -> Request<Body> {
    let request = Request::builder().method(Method::POST).uri(path).header(header::HOST, "dew.test");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(Body::from(body.to_string())).expect("a request")
}

impl<'app> Client<'app> {
    pub(crate) fn new(app: &'app TestApp, token: String) -> Self {
        Self { app, token }
    }

    /// The token itself.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Sends a request with this caller's token and whatever else it has.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.begin(request).await.into_parts();
        let bytes = body.collect().await.expect("a body in memory").to_bytes();
        let text = String::from_utf8(bytes.to_vec()).expect("answers are UTF-8");
        Answer { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    /// Sends a request and returns its answer unread: dropped, its body was never delivered.
    pub async fn begin(&self, mut request: Request<Body>) -> Response<Body> {
        if !self.token.is_empty() {
            let value = format!("Bearer {}", self.token).parse().expect("a token is header text");
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        self.app.edge().clone().oneshot(request).await.expect("it never fails")
    }

    /// `POST path` with a JSON body and headers.
    pub async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        self.send(post(path, headers, body)).await
    }

    /// Sends `POST path` and loses the answer: it was made, and nobody reads it. Its status, for the test alone.
    pub async fn post_and_lose(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> u16 {
        self.begin(post(path, headers, body)).await.status().as_u16()
    }

    /// Sends `POST path` and returns the answer unread.
    pub async fn post_unread(&self, path: &str, body: &Value) -> Response<Body> {
        self.begin(post(path, &[], body)).await
    }

    /// Sends these bytes as the body.
    pub async fn send_bytes(&self, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        let method: Method = method.parse().expect("a method");
        let request = Request::builder().method(method).uri(path).header(header::HOST, "dew.test");
        self.send(request.body(body.into()).expect("a request")).await
    }

    /// `GET path`
    pub async fn get(&self, path: &str) -> Answer {
        self.send_bytes("GET", path, Body::empty()).await
    }

    /// `POST path` with a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send_bytes("POST", path, body.to_string()).await
    }

    /// `PUT path` with a JSON body.
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send_bytes("PUT", path, body.to_string()).await
    }

    /// `PATCH path` with a JSON body.
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send_bytes("PATCH", path, body.to_string()).await
    }

    /// `DELETE path` without a body.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send_bytes("DELETE", path, Body::empty()).await
    }

    /// `DELETE path` with a JSON body.
    pub async fn delete_with(&self, path: &str, body: Value) -> Answer {
        self.send_bytes("DELETE", path, body.to_string()).await
    }

    /// Asks for an ordinary Droplet and returns its number; nothing has worked on it yet.
    pub async fn create_droplet(&self, name: &str) -> u64 {
        let body = self.post("/v2/droplets", droplet_body(name)).await.expect(202);
        body["droplet"]["id"].as_u64().expect("a number")
    }

    /// Makes an ordinary Droplet that runs.
    pub async fn active_droplet(&self, name: &str) -> u64 {
        let id = self.create_droplet(name).await;
        self.app.run_actions_to_end().await;
        assert_eq!(self.droplet(id).await["status"], "active");
        id
    }

    /// A Droplet there is.
    pub async fn droplet(&self, id: u64) -> Value {
        self.get(&format!("/v2/droplets/{id}")).await.expect(200)["droplet"].clone()
    }

    /// Asks a Droplet for an action that has no members of its own.
    pub async fn act(&self, id: u64, kind: &str) -> Answer {
        self.post(&format!("/v2/droplets/{id}/actions"), json!({ "type": kind })).await
    }

    /// An action there is.
    pub async fn action(&self, id: u64) -> Value {
        self.get(&format!("/v2/actions/{id}")).await.expect(200)["action"].clone()
    }

    /// The newest action.
    pub async fn newest_action(&self) -> Value {
        self.get("/v2/actions?per_page=1").await.expect(200)["actions"][0].clone()
    }

    /// An action with its timeline and reason, as its operator sees it.
    pub async fn action_story(&self, id: u64) -> Value {
        self.get(&format!("/dew/v1/actions/{}", ActionId(id))).await.expect(200)
    }

    /// All objects of a collection, page by page, checking that every page tells the same total.
    pub async fn all(&self, path: &str, key: &str) -> Vec<Value> {
        let mut found = Vec::new();
        for page in 1.. {
            let sign = if path.contains('?') { '&' } else { '?' };
            let body = self.get(&format!("{path}{sign}page={page}&per_page=200")).await.expect(200);
            let items = body[key].as_array().expect("a list");
            found.extend(items.iter().cloned());
            let total = body["meta"]["total"].as_u64().expect("a total");
            if items.is_empty() || found.len() as u64 >= total {
                assert_eq!(found.len() as u64, total, "the total of {path}");
                break;
            }
        }
        found
    }
}
