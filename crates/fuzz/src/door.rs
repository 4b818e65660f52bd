//! Requests through the front door, in this process: the real router over the simulator.

use std::cell::RefCell;

use axum::body::Body;
use dewpoint_testkit::{Answer, TestApp, droplet_body};
use http::{HeaderName, HeaderValue, Method, Request};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

/// A server with a Droplet and its like in it, put back to that state after every request that changed something.
struct Door {
    runtime: Runtime,
    app: TestApp,
    droplet: u64,
}

const KEPT: &str = "/dew/v1/snapshots/kept";

thread_local! {
    static DOOR: RefCell<Option<Door>> = const { RefCell::new(None) };
}

impl Door {
    fn open() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let (app, droplet) = runtime.block_on(async {
            let app = TestApp::start().await;
            let droplet = app.admin().active_droplet("web-1").await;
            let volume = json!({ "name": "data", "region": "nyc3", "size_gigabytes": 1, "tags": ["prod"] });
            app.admin().post("/v2/volumes", volume).await.expect(201);
            let key = json!({ "name": "k", "public_key": dewpoint_testkit::public_key(1) });
            app.admin().post("/v2/account/keys", key).await.expect(201);
            app.run_actions_to_end().await;
            app.admin().send_bytes("PUT", KEPT, Body::empty()).await.expect(200);
            (app, droplet)
        });
        Self { runtime, app, droplet }
    }

    /// Sends a request, checks what holds for every answer, lets `look` look, and puts everything back.
    fn send(&self, request: Request<Body>, look: impl AsyncFnOnce(&TestApp, &Answer)) {
        self.runtime.block_on(async {
            let (method, admin) = (request.method().clone(), self.app.admin());
            let before = (self.app.rows("droplets").await, self.app.rows("actions").await, self.app.rows("tags").await);
            let head_only = method == Method::HEAD;
            let answer = admin.send(request).await;
            sound(&answer, head_only);
            let after = (self.app.rows("droplets").await, self.app.rows("actions").await, self.app.rows("tags").await);
            assert!(answer.status < 300 || before == after, "refused, and left something behind: {answer:?}");
            look(&self.app, &answer).await;
            if method != Method::GET && answer.status < 300 {
                self.app.run_actions_to_end().await;
                self.app.books_balance().await;
                admin.send_bytes("POST", &format!("{KEPT}/restore"), Body::empty()).await.expect(200);
            }
        });
    }
}

fn door(run: impl FnOnce(&Door)) {
    DOOR.with_borrow_mut(|door| run(door.get_or_insert_with(Door::open)));
}

/// What every answer is: no fault of ours, and JSON in the one shape of errors if it is a refusal.
fn sound(answer: &Answer, head_only: bool) {
    assert!((200..500).contains(&answer.status), "{answer:?}");
    if head_only || matches!(answer.status, 202 | 204) && answer.text.is_empty() {
        return;
    }
    if answer.status >= 400 {
        let body: Value = serde_json::from_str(&answer.text).expect("a refusal is JSON");
        let texts = [&body["id"], &body["message"], &body["request_id"]];
        assert!(texts.iter().all(|text| text.as_str().is_some_and(|text| !text.is_empty())), "{answer:?}");
        assert!(answer.text.len() < 4000, "a refusal repeats what was sent: {} bytes", answer.text.len());
    }
}

fn build(method: &str, path: &str, body: &[u8]) -> Option<Request<Body>> {
    Request::builder().method(method).uri(path).header("host", "dew.test").body(Body::from(body.to_vec())).ok()
}

/// The body of a create, as it came. What was made is called as it was asked to be.
pub(crate) fn create_body(data: &[u8]) {
    let Some(request) = build("POST", "/v2/droplets", data) else { return };
    door(|door| {
        door.send(request, async |app, answer| {
            if answer.status != 202 {
                return;
            }
            let (asked, made) = (serde_json::from_slice::<Value>(data).expect("JSON"), answer.json());
            let one = made["droplet"].is_object();
            let names: Vec<&Value> = if one {
                vec![&made["droplet"]["name"]]
            } else {
                made["droplets"].as_array().expect("several").iter().map(|droplet| &droplet["name"]).collect()
            };
            let wanted: Vec<&Value> =
                if one { vec![&asked["name"]] } else { asked["names"].as_array().expect("names").iter().collect() };
            assert_eq!(names, wanted);
            let id = if one { &made["droplet"]["id"] } else { &made["droplets"][0]["id"] };
            let read = app.admin().get(&format!("/v2/droplets/{id}")).await.expect(200);
            assert_eq!(&read["droplet"]["name"], names[0]);
        });
    });
}

/// A whole request: `METHOD PATH`, headers, an empty line, the body. `ID` in the path is the number of a Droplet.
pub(crate) fn request(data: &[u8]) {
    let end = data.windows(2).position(|two| two == b"\n\n");
    let (head, body) = end.map_or((data, &b""[..]), |end| (&data[..end], &data[end + 2..]));
    let Ok(head) = std::str::from_utf8(head) else { return };
    let mut lines = head.lines();
    let Some((method, path)) = lines.next().and_then(|line| line.split_once(' ')) else { return };
    // Steering belongs to this target alone, and clients' waits would be real ones.
    if path.contains("/dew/") || path.contains("%") && path.contains("dew") {
        return;
    }
    door(|door| {
        let path = path.replace("ID", &door.droplet.to_string());
        let Some(mut request) = build(method, &path, body) else { return };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let name = HeaderName::from_bytes(name.trim().as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.trim().as_bytes())) {
                request.headers_mut().append(name, value);
            }
        }
        door.send(request, async |_, answer| {
            assert!(answer.headers.get("x-injected").is_none(), "{answer:?}");
        });
    });
}

/// The first byte chooses a collection, the rest is the query. Links lead back to the server and hold no markup.
pub(crate) fn query(data: &[u8]) {
    const PATHS: [&str; 9] =
        ["droplets", "images", "sizes", "snapshots", "volumes", "tags", "actions", "projects", "account/keys"];
    let Some((first, query)) = data.split_first() else { return };
    let Ok(query) = std::str::from_utf8(query) else { return };
    let path = PATHS[usize::from(*first) % PATHS.len()];
    let Some(request) = build("GET", &format!("/v2/{path}?{query}"), b"") else { return };
    door(|door| {
        door.send(request, async |_, answer| {
            if answer.status != 200 {
                return;
            }
            let body = answer.json();
            assert!(body["meta"]["total"].is_u64(), "{body}");
            for link in body["links"]["pages"].as_object().into_iter().flatten().map(|(_, link)| link) {
                let link = link.as_str().expect("an address");
                assert!(link.starts_with("http://dew.test/v2/") && link.parse::<http::Uri>().is_ok(), "{link}");
            }
        });
    });
}

/// User data of any text reaches the machine byte for byte, or is refused for its length.
pub(crate) fn user_data(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut body = droplet_body("fed");
    body["user_data"] = json!(text);
    let Some(request) = build("POST", "/v2/droplets", body.to_string().as_bytes()) else { return };
    door(|door| {
        door.send(request, async |app, answer| {
            let fits = text.len() <= 65_536 && !text.contains('\0');
            assert_eq!(answer.status == 202, fits, "{} bytes: {answer:?}", text.len());
            if !fits {
                return;
            }
            assert!(text.len() < 20 || !answer.text.contains(text), "user data is not shown");
            app.run_actions_to_end().await;
            let id = answer.json()["droplet"]["id"].as_u64().expect("a number");
            let kept = app.droplet_records().await.into_iter().find(|record| record.id.0 == id).expect("a row");
            assert_eq!(kept.id.0, id);
            assert_eq!(app.admin().droplet(id).await["status"], "active");
        });
    });
}
