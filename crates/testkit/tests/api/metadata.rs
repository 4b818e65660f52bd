//! What a Droplet is told of itself (MET-*), by its link and for its account from outside. `server/src/metadata/tree.rs` has what is
//! where.

use std::{io, sync::Arc, time::Duration};

use dewpoint_engine::{MachineId, MetadataListener};
use dewpoint_server::metadata::serve_metadata;
use dewpoint_testkit::{TestApp, droplet_body};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Mutex, mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

/// How long anything on this host may take before a test gives up.
const LONG: Duration = Duration::from_secs(60);

/// Hands over the connections a test makes, each as of the machine the test says: the part of the wire, which knows links.
#[derive(Debug)]
struct Links(Mutex<mpsc::Receiver<(TcpStream, MachineId)>>);

#[async_trait::async_trait]
impl MetadataListener for Links {
    async fn accept(&self) -> io::Result<(TcpStream, MachineId)> {
        self.0.lock().await.recv().await.ok_or_else(|| io::Error::other("the test is over"))
    }
}

/// A metadata service, and a way to come to it by a machine's link.
struct Service {
    sockets: Arc<TcpListener>,
    links: mpsc::Sender<(TcpStream, MachineId)>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Service {
    async fn start(app: &TestApp) -> Self {
        let sockets = Arc::new(TcpListener::bind("127.0.0.1:0").await.expect("a free port"));
        let (links, received) = mpsc::channel(64);
        let (stop, stopped) = oneshot::channel::<()>();
        let listener = Box::new(Links(Mutex::new(received)));
        let serving = serve_metadata(listener, app.control().clone(), async {
            let _ = stopped.await;
        });
        Self { sockets, links, stop, task: tokio::spawn(serving) }
    }

    async fn connect(&self, droplet: u64) -> TcpStream {
        let address = self.sockets.local_addr().expect("an address");
        let (client, server) = tokio::join!(TcpStream::connect(address), self.sockets.accept());
        let (server, _) = server.expect("accepted");
        self.links.send((server, MachineId(droplet))).await.expect("it is served");
        client.expect("connected")
    }

    /// Sends `request` whole and reads to the end.
    async fn send(&self, droplet: u64, request: &str) -> String {
        let mut stream = self.connect(droplet).await;
        // It may be answered and closed before all of it was sent.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut said = Vec::new();
        let _ = timeout(LONG, stream.read_to_end(&mut said)).await.expect("an end in time");
        String::from_utf8(said).expect("text")
    }

    /// The body at a path, which has to be there.
    async fn get(&self, droplet: u64, path: &str) -> String {
        let said = self.send(droplet, &format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await;
        let (head, body) = said.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{path}: {said}");
        body.to_owned()
    }

    async fn stop(self) {
        self.stop.send(()).expect("it serves");
        timeout(LONG, self.task).await.expect("it ends in time").expect("it ends well");
    }
}

/// Makes a Droplet with user data and tags; its number.
async fn droplet(app: &TestApp, name: &str) -> u64 {
    let mut body = droplet_body(name);
    body["ipv6"] = json!(true);
    body["user_data"] = json!(format!("#!/bin/sh\n# for {name}\nprintf '%s' \"$1\"\n\n"));
    body["tags"] = json!([format!("of-{name}")]);
    let made = app.admin().post("/v2/droplets", body).await.expect(202)["droplet"]["id"].as_u64().expect("a number");
    app.run_actions_to_end().await;
    made
}

fn object(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[tokio::test]
async fn each_droplet_is_told_its_own_whatever_it_sends_met_1() {
    let app = TestApp::start().await;
    let (one, two) = (droplet(&app, "one").await, droplet(&app, "two").await);
    let service = Service::start(&app).await;
    for (id, name) in [(one, "one"), (two, "two")] {
        assert_eq!(service.get(id, "/metadata/v1/id").await, id.to_string());
        assert_eq!(service.get(id, "/metadata/v1/hostname").await, name);
        let script = service.get(id, "/metadata/v1/user-data").await;
        assert_eq!(script, format!("#!/bin/sh\n# for {name}\nprintf '%s' \"$1\"\n\n"));
        let all = object(&service.get(id, "/metadata/v1.json").await);
        assert_eq!(
            (&all["droplet_id"], &all["user_data"], &all["tags"]),
            (&json!(id), &json!(script), &json!([format!("of-{name}")]))
        );
        let shown = app.admin().droplet(id).await;
        let of = |family: &str, kind: &str| {
            let all = shown["networks"][family].as_array().expect("addresses");
            all.iter().find(|one| one["type"] == kind).expect("an address")["ip_address"].clone()
        };
        let links = &all["interfaces"];
        assert_eq!(links["public"][0]["ipv4"]["ip_address"], of("v4", "public"));
        assert_eq!(links["public"][0]["ipv6"]["ip_address"], of("v6", "public"));
        assert_eq!(links["private"][0]["ipv4"]["ip_address"], of("v4", "private"));
        let private = service.get(id, "/metadata/v1/interfaces/private/0/ipv4/address").await;
        assert_eq!(json!(private), of("v4", "private"));
    }
    // No header, no host, no name of the other in the path makes one the other.
    let other = app.admin().droplet(two).await;
    let address = other["networks"]["v4"][0]["ip_address"].as_str().expect("an address").to_owned();
    for request in [
        format!(
            "GET /metadata/v1/id HTTP/1.1\r\nhost: {address}\r\nx-forwarded-for: {address}\r\nforwarded: for={address}\r\nx-real-ip: {address}\r\nx-droplet-id: {two}\r\nconnection: close\r\n\r\n"
        ),
        format!(
            "GET http://{address}/metadata/v1/id?droplet_id={two} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
        ),
        format!("GET /metadata/v1/id?id={two} HTTP/1.0\r\nauthorization: Bearer {two}\r\n\r\n"),
    ] {
        let said = service.send(one, &request).await;
        assert!(said.ends_with(&format!("\r\n\r\n{one}")), "{said}");
    }
    for path in [
        format!("/metadata/v1/{two}/id"),
        format!("/metadata/v1/id/../../{two}"),
        format!("/metadata/{two}/v1/id"),
        format!("/dew/v1/droplets/{two}"),
        format!("/v2/droplets/{two}"),
    ] {
        let said = service.send(one, &format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await;
        assert!(said.starts_with("HTTP/1.1 404 "), "{path}: {said}");
    }
    service.stop().await;
}

#[tokio::test]
async fn an_index_without_its_slash_moves_and_nothing_is_changed_by_asking_met_3() {
    let app = TestApp::start().await;
    let id = droplet(&app, "web").await;
    let service = Service::start(&app).await;
    let head = async |request: &str| {
        let said = service.send(id, &format!("{request}\r\nhost: a\r\nconnection: close\r\n\r\n")).await;
        let (head, body) = said.split_once("\r\n\r\n").expect("a head");
        (head.to_ascii_lowercase(), body.to_owned())
    };
    let (moved, _) = head("GET /metadata/v1/interfaces/public/0 HTTP/1.1").await;
    assert!(
        moved.starts_with("http/1.1 301 ") && moved.contains("\r\nlocation: /metadata/v1/interfaces/public/0/\r\n"),
        "{moved}"
    );
    let (index, body) = head("GET /metadata/v1/interfaces/ HTTP/1.1").await;
    assert!(index.contains("\r\ncontent-type: text/plain; charset=utf-8\r\n"), "{index}");
    assert_eq!(body, "public/\nprivate/");
    let (all, _) = head("GET /metadata/v1.json HTTP/1.1").await;
    assert!(all.contains("\r\ncontent-type: application/json\r\n"), "{all}");
    let (only, body) = head("HEAD /metadata/v1/id HTTP/1.1").await;
    assert!(only.starts_with("http/1.1 200 ") && body.is_empty(), "{only}");
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let (refused, _) = head(&format!("{method} /metadata/v1/id HTTP/1.1")).await;
        assert!(refused.starts_with("http/1.1 405 ") && refused.contains("\r\nallow: get, head\r\n"), "{refused}");
    }
    let (missing, body) = head("GET /latest/meta-data/ HTTP/1.1").await;
    assert!(missing.starts_with("http/1.1 404 ") && body == "not found\n", "{missing}");
    service.stop().await;
}

#[tokio::test]
async fn what_changes_is_told_without_a_restart_met_8() {
    let app = TestApp::start().await;
    let id = droplet(&app, "web").await;
    let service = Service::start(&app).await;
    let tag = json!({ "resources": [{ "resource_id": id.to_string(), "resource_type": "droplet" }] });
    app.admin().post("/v2/tags", json!({ "name": "later" })).await.expect(201);
    app.admin().post("/v2/tags/later/resources", tag.clone()).await.expect(204);
    let tags = async || {
        let told = service.get(id, "/metadata/v1/tags/").await;
        let mut tags: Vec<String> = told.lines().map(str::to_owned).collect();
        tags.sort();
        tags
    };
    assert_eq!(tags().await, ["later", "of-web"]);
    app.admin().delete_with("/v2/tags/later/resources", tag).await.expect(204);
    assert_eq!(tags().await, ["of-web"]);
    let rename = json!({ "type": "rename", "name": "other" });
    app.admin().post(&format!("/v2/droplets/{id}/actions"), rename).await.expect(201);
    app.run_actions_to_end().await;
    assert_eq!(service.get(id, "/metadata/v1/hostname").await, "other");
    app.admin().delete(&format!("/v2/droplets/{id}")).await.expect(204);
    app.run_actions_to_end().await;
    let said = service.send(id, "GET /metadata/v1/id HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 404 "), "{said}");
    service.stop().await;
}

#[tokio::test]
async fn reserved_ips_are_told_from_when_they_lead_there_until_they_do_not_met_5() {
    let app = TestApp::start().await;
    let id = droplet(&app, "web").await;
    let service = Service::start(&app).await;
    let (admin, v1) = (app.admin(), "/metadata/v1");
    let told = async || {
        let all = object(&service.get(id, "/metadata/v1.json").await);
        for (path, family) in
            [("reserved_ip/ipv4", &all["reserved_ip"]["ipv4"]), ("reserved_ip/ipv6", &all["reserved_ip"]["ipv6"])]
        {
            let active = service.get(id, &format!("{v1}/{path}/active")).await;
            assert_eq!(json!(active == "true"), family["active"], "{path}");
        }
        assert_eq!(all["floating_ip"]["ipv4"], all["reserved_ip"]["ipv4"]);
        all["reserved_ip"].clone()
    };
    let none = json!({ "ipv4": { "active": false }, "ipv6": { "active": false } });
    assert_eq!(told().await, none);

    let v4 = admin.post("/v2/reserved_ips", json!({ "region": "nyc3" })).await.expect(202)["reserved_ip"]["ip"].clone();
    let v6 = json!({ "region_slug": "nyc3" });
    let v6 = admin.post("/v2/reserved_ipv6", v6).await.expect(201)["reserved_ipv6"]["ip"].clone();
    let act = async |body: Value| {
        for (group, ip) in [("reserved_ips", &v4), ("reserved_ipv6", &v6)] {
            let ip = ip.as_str().expect("an address");
            admin.post(&format!("/v2/{group}/{ip}/actions"), body.clone()).await.expect(201);
            app.run_actions_to_end().await;
        }
    };
    act(json!({ "type": "assign", "droplet_id": id })).await;
    let both = json!({ "ipv4": { "active": true, "ip_address": v4 }, "ipv6": { "active": true, "ip_address": v6 } });
    assert_eq!(told().await, both);
    assert_eq!(json!(service.get(id, "/metadata/v1/floating_ip/ipv4/ip_address").await), v4);
    act(json!({ "type": "unassign" })).await;
    assert_eq!(told().await, none);
    service.stop().await;
}

#[tokio::test]
async fn one_machine_cannot_take_the_places_of_the_others() {
    let app = TestApp::start().await;
    let (one, two) = (droplet(&app, "one").await, droplet(&app, "two").await);
    let service = Service::start(&app).await;
    let mut held = Vec::new();
    for _ in 0..16 {
        let mut stream = service.connect(one).await;
        stream.write_all(b"GET /metadata/v1/id HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("sent");
        // Its head has come back: the connection has its place.
        stream.read_u8().await.expect("an answer");
        held.push(stream);
    }
    let end = timeout(LONG, service.connect(one).await.read(&mut [0; 1])).await.expect("in time");
    assert!(matches!(end, Ok(0) | Err(_)), "the seventeenth is closed: {end:?}");
    assert_eq!(service.get(two, "/metadata/v1/id").await, two.to_string());

    let long = format!("GET /metadata/v1/id HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(20_000));
    let said = service.send(two, &long).await;
    assert!(said.starts_with("HTTP/1.1 431 ") || said.is_empty(), "{said}");
    let said = service.send(two, "NO HTTP AT ALL\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 400 "), "{said}");
    drop(held);
    service.stop().await;
}

#[tokio::test]
async fn an_account_sees_what_its_droplet_sees() {
    let app = TestApp::start().await;
    let id = droplet(&app, "web").await;
    let service = Service::start(&app).await;
    let admin = app.admin();
    let at = |path: &str| format!("/dew/v1/droplets/{id}/metadata{path}");
    assert_eq!(admin.get(&at("")).await.text, "v1/\nv1.json");
    for path in
        ["/v1/", "/v1/id", "/v1/user-data", "/v1/interfaces/public/0/ipv4/address", "/v1/tags/", "/v1/dns/nameservers"]
    {
        let shown = admin.get(&at(path)).await;
        assert_eq!((shown.status, shown.header("content-type")), (200, "text/plain; charset=utf-8"), "{path}");
        assert_eq!(shown.text, service.get(id, &format!("/metadata{path}")).await, "{path}");
        assert_eq!(admin.get(&at(path.trim_end_matches('/'))).await.text, shown.text, "{path}");
    }
    let all = admin.get(&at("/v1.json")).await;
    assert_eq!(all.json(), object(&service.get(id, "/metadata/v1.json").await));
    for path in ["/v1/none", "/v2", "/v1/../v1/id", "/v1/id/x"] {
        admin.get(&at(path)).await.refusal(404, "not_found");
    }
    app.other_account().await.get(&at("/v1.json")).await.refusal(404, "not_found");
    app.token_with(&["droplet:read"]).await.get(&at("/v1.json")).await.refusal(403, "forbidden");
    app.nobody().get(&at("/v1.json")).await.refusal(401, "unauthorized");
    service.stop().await;
}
