//! Whatever the API shows otherwise than before was told; also what is of another kind, to the same extent.

use std::collections::{BTreeMap, BTreeSet};

use dewpoint_testkit::{Answer, Client, TestApp, public_key};
use http::Request;
use serde_json::{Value, json};

use super::{now, since};
use crate::{droplet, resources, volume_id};

/// Everything the account has, by where it is; tokens by their id, since they have no path.
async fn all(client: &Client<'_>) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for (list, key, at, id) in [
        ("/v2/droplets", "droplets", "/v2/droplets", "id"),
        ("/v2/droplets?type=gpus", "droplets", "/v2/droplets", "id"),
        ("/v2/actions", "actions", "/v2/actions", "id"),
        ("/v2/images?private=true", "images", "/v2/images", "id"),
        ("/v2/account/keys", "ssh_keys", "/v2/account/keys", "id"),
        ("/v2/volumes", "volumes", "/v2/volumes", "id"),
        ("/v2/snapshots?resource_type=volume", "snapshots", "/v2/volumes/snapshots", "id"),
        ("/v2/projects", "projects", "/v2/projects", "id"),
        ("/v2/tags", "tags", "/v2/tags", "name"),
        ("/v2/vpcs", "vpcs", "/v2/vpcs", "id"),
        ("/v2/firewalls", "firewalls", "/v2/firewalls", "id"),
        ("/v2/vpc_peerings", "vpc_peerings", "/v2/vpc_peerings", "id"),
        ("/v2/reserved_ips", "reserved_ips", "/v2/reserved_ips", "ip"),
        ("/v2/reserved_ipv6", "reserved_ipv6s", "/v2/reserved_ipv6", "ip"),
        ("/v2/domains", "domains", "/v2/domains", "name"),
        ("/dew/v1/models", "models", "/dew/v1/models", "name"),
        ("/dew/v1/tokens", "tokens", "", "id"),
        ("/v2/gen-ai/models/api_keys", "api_key_infos", "", "uuid"),
    ] {
        for mut one in client.all(list, key).await {
            let name = one[id].as_str().map_or_else(|| one[id].to_string(), str::to_owned);
            let path = if at.is_empty() { name } else { format!("{at}/{name}") };
            // What is another resource's, or goes with the time alone.
            for member in ["last_used_at", "image", "droplet"] {
                one.as_object_mut().expect("an object").remove(member);
            }
            all.insert(path, one);
        }
    }
    all
}

/// What happens in a test, step by step; after each step whatever changed must have been told.
struct Watch<'app> {
    app: &'app TestApp,
    admin: Client<'app>,
    shown: BTreeMap<String, Value>,
    place: String,
    kinds: BTreeSet<(String, String)>,
}

impl<'app> Watch<'app> {
    async fn begin(app: &'app TestApp) -> Self {
        let admin = app.admin();
        let (shown, place) = (all(&admin).await, now(&admin).await);
        Self { app, admin, shown, place, kinds: BTreeSet::new() }
    }

    /// Compares what the API shows with what it showed, and both with what was told.
    async fn look(&mut self, what: &str) {
        let shown = all(&self.admin).await;
        let (events, next) = since(&self.admin, &self.place, "").await;
        assert!(events.len() < 1000, "{what}: the list was cut");
        let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for event in &events {
            let text = |name: &str| event[name].as_str().map(str::to_owned);
            let place = text("path").or_else(|| text("resource_id")).expect("a path or an id");
            let (kind, happened) = (text("kind").expect("a kind"), text("type").expect("a type"));
            self.kinds.insert((kind, happened.clone()));
            told.entry(place).or_default().insert(happened);
        }
        let paths: BTreeSet<&String> = self.shown.keys().chain(shown.keys()).collect();
        for path in paths {
            let (before, after) = (self.shown.get(path), shown.get(path));
            let expected = match (before, after) {
                (None, Some(_)) => "made",
                (Some(_), None) => "gone",
                _ if before == after => continue,
                _ => "changed",
            };
            let told = told.get(path);
            assert!(
                told.is_some_and(|told| told.contains(expected)),
                "{what}: {path} is {expected} and was told as {told:?}: {before:?} {after:?}"
            );
        }
        (self.shown, self.place) = (shown, next);
    }

    /// A step of the test: its answer, then what its action does.
    async fn step(&mut self, what: &str, status: u16, answer: Answer) -> Value {
        let body = answer.expect(status);
        self.look(what).await;
        self.app.run_actions_to_end().await;
        self.look(&format!("{what}, done")).await;
        body
    }

    async fn post(&mut self, path: &str, status: u16, body: Value) -> Value {
        let answer = self.admin.post(path, body.clone()).await;
        self.step(&format!("POST {path} {body}"), status, answer).await
    }

    async fn put(&mut self, path: &str, body: Value) -> Value {
        let answer = self.admin.put(path, body.clone()).await;
        self.step(&format!("PUT {path} {body}"), 200, answer).await
    }

    async fn delete(&mut self, path: &str) {
        let answer = self.admin.delete(path).await;
        self.step(&format!("DELETE {path}"), 204, answer).await;
    }
}

#[tokio::test]
async fn whatever_is_shown_otherwise_than_before_was_told() {
    let app = TestApp::start().await;
    let mut watch = Watch::begin(&app).await;
    let admin = app.admin();

    let key = watch.post("/v2/account/keys", 201, json!({ "name": "k", "public_key": public_key(1) })).await;
    let key = format!("/v2/account/keys/{}", key["ssh_key"]["id"]);
    watch.put(&key, json!({ "name": "other" })).await;
    watch.delete(&key).await;

    let volume = volume_id(&admin, json!({ "tags": ["data"] })).await;
    watch.look("a volume").await;
    let body = droplet(json!({ "tags": ["web"], "volumes": [volume], "backups": true }));
    let made = watch.post("/v2/droplets", 202, body).await;
    let id = made["droplet"]["id"].as_u64().expect("a number");
    let (path, act) = (format!("/v2/droplets/{id}"), format!("/v2/droplets/{id}/actions"));
    for body in [
        json!({ "type": "rename", "name": "web-2" }),
        json!({ "type": "power_off" }),
        json!({ "type": "resize", "size": "s-2vcpu-2gb", "disk": true }),
        json!({ "type": "power_on" }),
        json!({ "type": "enable_ipv6" }),
        json!({ "type": "disable_backups" }),
        json!({ "type": "snapshot", "name": "whole" }),
        json!({ "type": "rebuild", "image": "debian-12-x64" }),
        json!({ "type": "password_reset" }),
    ] {
        watch.post(&act, 201, body).await;
    }
    let image = admin.get(&format!("{path}/snapshots")).await.expect(200)["snapshots"][0]["id"].clone();
    let image = format!("/v2/images/{image}");
    watch.put(&image, json!({ "name": "renamed" })).await;
    watch.post(&format!("{image}/actions"), 201, json!({ "type": "transfer", "region": "ams3" })).await;
    watch.delete(&image).await;
    let custom = json!({
        "name": "c", "url": "https://images.example.com/a.qcow2", "region": "nyc3", "distribution": "Debian", "tags": ["web"],
    });
    watch.post("/v2/images", 202, custom).await;

    watch.post("/v2/tags", 201, json!({ "name": "loose" })).await;
    watch.post("/v2/tags/loose/resources", 204, resources(&[id])).await;
    let answer = admin.delete_with("/v2/tags/loose/resources", resources(&[id])).await;
    watch.step("untag", 204, answer).await;
    watch.delete("/v2/tags/web").await;

    let actions = format!("/v2/volumes/{volume}/actions");
    watch.post(&actions, 202, json!({ "type": "detach", "droplet_id": id })).await;
    watch.post(&actions, 202, json!({ "type": "resize", "size_gigabytes": 20 })).await;
    watch.post(&actions, 202, json!({ "type": "attach", "droplet_id": id })).await;
    let taken =
        watch.post(&format!("/v2/volumes/{volume}/snapshots"), 201, json!({ "name": "s", "tags": ["data"] })).await;
    let taken = taken["snapshot"]["id"].as_str().expect("an id").to_owned();
    watch.delete(&format!("/v2/volumes/snapshots/{taken}")).await;

    let project = watch.post("/v2/projects", 201, json!({ "name": "p", "purpose": "Testing" })).await;
    let project = format!("/v2/projects/{}", project["project"]["id"].as_str().expect("an id"));
    let urn = json!({ "resources": [format!("do:droplet:{id}")] });
    watch.post(&format!("{project}/resources"), 200, urn.clone()).await;
    watch.post("/v2/projects/default/resources", 200, urn).await;
    let whole = json!({
        "name": "q", "description": "", "purpose": "Testing", "environment": "Development", "is_default": false,
    });
    watch.put(&project, whole).await;
    watch.delete(&project).await;

    let vpc = watch.post("/v2/vpcs", 201, json!({ "name": "v", "region": "nyc3" })).await;
    let vpc = format!("/v2/vpcs/{}", vpc["vpc"]["id"].as_str().expect("an id"));
    watch.put(&vpc, json!({ "name": "w", "description": "" })).await;
    // Both are of the same moment, so their place in the list says nothing.
    let first = admin.all("/v2/vpcs", "vpcs").await.into_iter().find(|vpc| vpc["default"] == true).expect("a default");
    let first = format!("/v2/vpcs/{}", first["id"].as_str().expect("an id"));
    watch.put(&vpc, json!({ "name": "w", "default": true })).await;
    watch.put(&first, json!({ "name": "x", "default": true })).await;
    let pair = json!([first.rsplit('/').next(), vpc.rsplit('/').next()]);
    let peering =
        watch.post("/v2/vpc_peerings", 202, json!({ "name": "p", "vpc_ids": pair })).await["vpc_peering"].clone();
    let peering = format!("/v2/vpc_peerings/{}", peering["id"].as_str().expect("an id"));
    let answer = admin.patch(&peering, json!({ "name": "q" })).await;
    watch.step("rename the peering", 200, answer).await;
    let answer = admin.delete(&peering).await;
    watch.step("end the peering", 202, answer).await;
    watch.delete(&vpc).await;

    let sources = json!({ "droplet_ids": [id], "tags": ["wall"] });
    let rule = json!({ "protocol": "tcp", "ports": "22", "sources": sources });
    watch.post("/v2/tags", 201, json!({ "name": "wall" })).await;
    let body = json!({ "name": "wall", "inbound_rules": [rule], "droplet_ids": [id] });
    let wall = watch.post("/v2/firewalls", 202, body.clone()).await;
    let wall = format!("/v2/firewalls/{}", wall["firewall"]["id"].as_str().expect("an id"));
    watch.post(&format!("{wall}/tags"), 204, json!({ "tags": ["wall"] })).await;
    watch.post("/v2/tags/wall/resources", 204, resources(&[id])).await;
    watch
        .post(
            &format!("{wall}/rules"),
            204,
            json!({ "inbound_rules": [{ "protocol": "icmp", "sources": { "tags": ["wall"] } }] }),
        )
        .await;
    let guarded = watch.post("/v2/droplets", 202, droplet(json!({ "name": "guarded", "tags": ["wall"] }))).await;
    watch.put(&wall, body).await;
    watch.delete(&format!("/v2/droplets/{}", guarded["droplet"]["id"])).await;
    let answer = admin.delete_with(&format!("{wall}/droplets"), json!({ "droplet_ids": [id] })).await;
    watch.step("guard it no more", 204, answer).await;
    watch.post(&format!("{wall}/tags"), 204, json!({ "tags": ["wall"] })).await;
    watch.delete("/v2/tags/wall").await;
    watch.delete(&wall).await;

    watch.post("/v2/domains", 201, json!({ "name": "a.example" })).await;
    let record = json!({ "type": "A", "name": "www", "data": "192.0.2.1" });
    let record = watch.post("/v2/domains/a.example/records", 201, record).await["domain_record"]["id"].clone();
    let record = format!("/v2/domains/a.example/records/{record}");
    watch.put(&record, json!({ "data": "192.0.2.2" })).await;
    watch.delete(&record).await;
    watch.delete("/v2/domains/a.example").await;

    let ip = watch.post("/v2/reserved_ips", 202, json!({ "region": "nyc3" })).await["reserved_ip"]["ip"].clone();
    let ip = format!("/v2/reserved_ips/{}", ip.as_str().expect("an address"));
    watch.post(&format!("{ip}/actions"), 201, json!({ "type": "assign", "droplet_id": id })).await;
    watch.post(&format!("{ip}/actions"), 201, json!({ "type": "unassign" })).await;
    watch.delete(&ip).await;
    let ip =
        watch.post("/v2/reserved_ipv6", 201, json!({ "region_slug": "nyc3" })).await["reserved_ipv6"]["ip"].clone();
    let ip = format!("/v2/reserved_ipv6/{}", ip.as_str().expect("an address"));
    watch.post(&format!("{ip}/actions"), 201, json!({ "type": "assign", "droplet_id": id })).await;
    watch.post("/v2/floating_ips", 202, json!({ "droplet_id": id })).await;

    let key = watch.post("/v2/gen-ai/models/api_keys", 200, json!({ "name": "k" })).await["api_key_info"].clone();
    let key = format!("/v2/gen-ai/models/api_keys/{}", key["uuid"].as_str().expect("a uuid"));
    watch.put(&key, json!({ "name": "other" })).await;
    watch.put(&format!("{key}/regenerate"), json!({})).await;
    let answer = admin.delete(&key).await;
    watch.step("delete the key", 200, answer).await;

    let model = json!({ "name": "m", "droplets": { "tag": "gpu", "port": 8000 } });
    watch.post("/dew/v1/models", 202, model).await;
    watch.delete("/dew/v1/models/m").await;

    let token = watch.post("/dew/v1/tokens", 201, json!({ "name": "t" })).await;
    watch.delete(&format!("/dew/v1/tokens/{}", token["id"].as_str().expect("an id"))).await;

    let all = format!("{path}/destroy_with_associated_resources/dangerous");
    let request =
        Request::builder().method("DELETE").uri(&all).header("x-dangerous", "true").header("host", "dew.test");
    let answer = admin.send(request.body(axum::body::Body::empty()).expect("a request")).await;
    watch.step("destroy it all", 202, answer).await;
    let other = admin.create_droplet("web-3").await;
    watch.look("another").await;
    app.run_actions_to_end().await;
    watch.delete(&format!("/v2/droplets/{other}")).await;

    // Every kind of event was among them.
    let expected = [
        "droplet",
        "domain",
        "firewall",
        "image",
        "model",
        "project",
        "reserved_ip",
        "ssh_key",
        "tag",
        "token",
        "volume",
        "volume_snapshot",
        "vpc",
        "vpc_peering",
    ];
    let expected = expected.into_iter().flat_map(|kind| [(kind, "made"), (kind, "gone")]);
    for (kind, happened) in expected.chain([("action", "made"), ("action", "changed")]) {
        let pair = (kind.to_owned(), happened.to_owned());
        assert!(watch.kinds.contains(&pair), "no event {pair:?}: {:?}", watch.kinds);
    }
}

#[tokio::test]
async fn an_event_names_the_action_and_the_request_and_shows_its_object_when_asked() {
    let app = TestApp::start().await;
    let admin = app.admin();
    let place = now(&admin).await;
    let answer = admin.post("/v2/droplets", droplet(json!({ "tags": ["web"] }))).await;
    let (request, made) = (answer.header("x-request-id").to_owned(), answer.expect(202));
    let (id, action) = (&made["droplet"]["id"], &made["links"]["actions"][0]["id"]);
    let (events, next) = since(&admin, &place, "kind=droplet,action").await;
    let seen: Vec<(&Value, &Value, &Value)> =
        events.iter().map(|event| (&event["kind"], &event["type"], &event["request_id"])).collect();
    let asked = json!(request);
    assert_eq!(seen, [(&json!("droplet"), &json!("made"), &asked), (&json!("action"), &json!("made"), &asked)]);
    assert_eq!((&events[0]["resource_id"], &events[1]["resource_id"]), (id, action));
    assert_eq!(events[0]["at"], "2026-11-21T10:00:00Z");
    assert!(events[0].get("object").is_none(), "only ids unless asked for");

    app.run_actions_to_end().await;
    let (events, _) = since(&admin, &next, "kind=droplet&objects=true").await;
    let last = events.last().expect("it became active");
    assert_eq!(last["object"]["droplet"], admin.droplet(id.as_u64().expect("a number")).await);
    assert_eq!((&last["action_id"], &last["request_id"]), (action, &json!(null)));

    admin.delete(&format!("/v2/droplets/{id}")).await.expect(204);
    let (events, _) = since(&admin, &next, &format!("id={id}&type=gone&objects=true")).await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["object"], json!(null));
    let (earlier, _) = since(&admin, &next, &format!("id={id}&type=changed&objects=true")).await;
    assert!(earlier.iter().all(|event| event["object"].is_null()), "it is gone by now");
}

#[tokio::test]
async fn a_query_that_cannot_be_read_is_said_to_be() {
    let app = TestApp::start().await;
    for query in ["kind=droplets", "type=made,new", "since=yesterday", "limit=x", "objects=perhaps"] {
        let answer = app.admin().get(&format!("/dew/v1/events?{query}")).await;
        let message = answer.refusal(400, "bad_request");
        assert!(message.contains("cannot be read"), "{query}: {message}");
    }
}
