//! Every POST there is, by the server's own table, asked again in every way clients ask again: one effect each (docs/once.md).
//! A new POST makes this fail until it is put in.

use axum::body::Body;
use dewpoint_engine::{Operation, sim::Moment};
use dewpoint_testkit::{Answer, TestApp, public_key};
use http::{Method, Request};
use serde_json::{Value, json};

use crate::{droplet, fault, for_good, volume_id};

/// How a client asks twice: what it sends the first and the second time, and whether the first answer is lost on its way.
const WAYS: [Way; 4] = [
    Way { name: "key", headers: [("idempotency-key", "k"); 2], killed: false },
    Way { name: "key, server killed", headers: [("idempotency-key", "k"); 2], killed: true },
    Way { name: "count", headers: [("x-stainless-retry-count", "0"), ("x-stainless-retry-count", "1")], killed: false },
    Way { name: "no mark, server killed", headers: [("x-nothing", ""); 2], killed: true },
];

#[derive(Clone, Copy, Debug)]
struct Way {
    name: &'static str,
    headers: [(&'static str, &'static str); 2],
    killed: bool,
}

/// What is there before a POST.
struct Scene {
    droplet: u64,
    volume: String,
    image: u64,
    project: String,
    /// A Droplet whose destroy failed in part.
    failed: u64,
    firewall: String,
    ip: String,
    vpcs: [String; 2],
    ipv6: String,
}

async fn scene(app: &TestApp) -> Scene {
    let admin = app.admin();
    let failed = admin.active_droplet("failed").await;
    app.sim().faults().order(fault(Operation::Destroy, Moment::Before, 1, for_good));
    let dangerous = format!("/v2/droplets/{failed}/destroy_with_associated_resources/dangerous");
    let request = Request::builder().method(Method::DELETE).uri(dangerous).header("host", "dew.test");
    let request = request.header("x-dangerous", "true").body(Body::empty()).expect("a request");
    admin.send(request).await.expect(202);
    app.run_actions_to_end().await;

    admin.post("/v2/domains", json!({ "name": "example.com" })).await.expect(201);
    let made = admin.post("/v2/droplets", droplet(json!({ "tags": ["web"], "ipv6": true }))).await.expect(202);
    let volume = volume_id(&admin, json!({})).await;
    let own = json!({ "name": "own", "url": "http://example.com/i.raw", "region": "nyc3" });
    let image = admin.post("/v2/images", own).await.expect(202);
    let site = json!({ "name": "site", "purpose": "Web Application" });
    let project = admin.post("/v2/projects", site).await.expect(201);
    let wall = admin.post("/v2/firewalls", firewall("wall")).await.expect(202);
    let mut vpcs = ["one", "two"].map(str::to_owned);
    for vpc in &mut vpcs {
        let made = admin.post("/v2/vpcs", json!({ "name": vpc, "region": "fra1" })).await.expect(201);
        *vpc = made["vpc"]["id"].as_str().expect("an id").to_owned();
    }
    let ip = admin.post("/v2/reserved_ips", json!({ "region": "nyc3" })).await.expect(202);
    let ipv6 = admin.post("/v2/reserved_ipv6", json!({ "region_slug": "nyc3" })).await.expect(201);
    app.run_actions_to_end().await;
    Scene {
        vpcs,
        ip: ip["reserved_ip"]["ip"].as_str().expect("an address").to_owned(),
        ipv6: ipv6["reserved_ipv6"]["ip"].as_str().expect("an address").to_owned(),
        droplet: made["droplet"]["id"].as_u64().expect("a number"),
        volume,
        image: image["image"]["id"].as_u64().expect("a number"),
        project: project["project"]["id"].as_str().expect("an id").to_owned(),
        failed,
        firewall: wall["firewall"]["id"].as_str().expect("an id").to_owned(),
    }
}

fn firewall(name: &str) -> Value {
    let rule = json!({ "protocol": "tcp", "ports": "22", "sources": { "addresses": ["::/0"] } });
    json!({ "name": name, "inbound_rules": [rule] })
}

/// A request that this POST carries out; what its path names is there.
fn request(operation: &str, scene: &Scene) -> (String, Value) {
    let Scene { droplet: id, volume, image, project, failed, firewall: wall, ip, ipv6, vpcs } = scene;
    let assign = json!({ "type": "assign", "droplet_id": id });
    let (off, attach) = (json!({ "type": "power_off" }), json!({ "type": "attach", "droplet_id": id }));
    let urns = json!({ "resources": [format!("do:droplet:{id}")] });
    match operation {
        "droplets_create" => ("/v2/droplets".into(), droplet(json!({ "name": null, "names": ["b", "a"] }))),
        "droplets_destroy_retryWithAssociatedResources" => {
            (format!("/v2/droplets/{failed}/destroy_with_associated_resources/retry"), json!({}))
        }
        "dropletActions_post" => (format!("/v2/droplets/{id}/actions"), off),
        "dropletActions_post_byTag" => ("/v2/droplets/actions?tag_name=web".into(), off),
        "images_create_custom" => {
            ("/v2/images".into(), json!({ "name": "new", "url": "http://example.com/j.raw", "region": "nyc3" }))
        }
        "imageActions_post" => (format!("/v2/images/{image}/actions"), json!({ "type": "transfer", "region": "lon1" })),
        "volumes_create" => ("/v2/volumes".into(), crate::volume(json!({ "name": "more" }))),
        "volumeActions_post" => {
            ("/v2/volumes/actions".into(), crate::with(attach, json!({ "volume_name": "data", "region": "nyc3" })))
        }
        "volumeActions_post_byId" => (format!("/v2/volumes/{volume}/actions"), attach),
        "volumeSnapshots_create" => (format!("/v2/volumes/{volume}/snapshots"), json!({ "name": "nightly" })),
        "tags_create" => ("/v2/tags".into(), json!({ "name": "prod" })),
        "tags_assign_resources" => ("/v2/tags/web/resources".into(), crate::resources(&[*id])),
        "projects_create" => ("/v2/projects".into(), json!({ "name": "lab", "purpose": "Web Application" })),
        "projects_assign_resources" => (format!("/v2/projects/{project}/resources"), urns),
        "projects_assign_resources_default" => ("/v2/projects/default/resources".into(), urns),
        "domains_create" => ("/v2/domains".into(), json!({ "name": "example.org" })),
        "domains_create_record" => {
            ("/v2/domains/example.com/records".into(), json!({ "type": "A", "name": "www", "data": "192.0.2.1" }))
        }
        "firewalls_create" => ("/v2/firewalls".into(), firewall("new")),
        "firewalls_assign_droplets" => (format!("/v2/firewalls/{wall}/droplets"), json!({ "droplet_ids": [id] })),
        "firewalls_add_tags" => (format!("/v2/firewalls/{wall}/tags"), json!({ "tags": ["web"] })),
        "firewalls_add_rules" => {
            let rule = json!({ "protocol": "udp", "ports": "53", "destinations": { "addresses": ["::/0"] } });
            (format!("/v2/firewalls/{wall}/rules"), json!({ "outbound_rules": [rule] }))
        }
        "vpcPeerings_create" => ("/v2/vpc_peerings".into(), json!({ "name": "p", "vpc_ids": vpcs })),
        "vpcs_create_peerings" => (format!("/v2/vpcs/{}/peerings", vpcs[0]), json!({ "name": "p", "vpc_id": vpcs[1] })),
        "vpcs_create" => ("/v2/vpcs".into(), json!({ "name": "inner", "region": "nyc3" })),
        "reservedIPs_create" => ("/v2/reserved_ips".into(), json!({ "droplet_id": id, "region": "nyc3" })),
        "floatingIPs_create" => ("/v2/floating_ips".into(), json!({ "region": "nyc3" })),
        "reservedIPsActions_post" => (format!("/v2/reserved_ips/{ip}/actions"), assign),
        "floatingIPsAction_post" => (format!("/v2/floating_ips/{ip}/actions"), assign),
        "reservedIPv6_create" => ("/v2/reserved_ipv6".into(), json!({ "region_slug": "nyc3" })),
        "reservedIPv6Actions_post" => (format!("/v2/reserved_ipv6/{ipv6}/actions"), assign),
        "sshKeys_create" => ("/v2/account/keys".into(), json!({ "name": "k", "public_key": public_key(1) })),
        "genai_create_model_api_key" => ("/v2/gen-ai/models/api_keys".into(), json!({ "name": "ci" })),
        "dew_droplets_console_type" => (format!("/dew/v1/droplets/{id}/console"), json!({ "input": "root\r" })),
        "dew_models_add" => {
            ("/dew/v1/models".into(), json!({ "name": "m", "droplets": { "tag": "gpu", "port": 8000 } }))
        }
        "dew_tokens_create" => ("/dew/v1/tokens".into(), json!({ "name": "ci", "scopes": "read" })),
        "dew_accounts_create" => ("/dew/v1/accounts".into(), json!({ "name": "guests" })),
        _ => panic!("say here what {operation} is asked, so that it is known to be done once"),
    }
}

/// How many of everything there are.
async fn counts(app: &TestApp) -> Vec<u64> {
    let mut counts = Vec::new();
    for table in [
        "droplets",
        "actions",
        "images",
        "volumes",
        "volume_snapshots",
        "tags",
        "ssh_keys",
        "projects",
        "tokens",
        "model_keys",
        "models",
        "vpcs",
        "firewalls",
        "firewall_parties",
        "domains",
        "domain_records",
    ]
    .into_iter()
    .chain(["accounts", "reserved_ips", "vpc_peerings"])
    {
        let sql = format!("SELECT COUNT(*) FROM {table}");
        let read = move |tx: &mut dyn dewpoint_store::Tx| tx.query_one(&sql, &[], |row| row.next::<u64>());
        counts.push(app.store().read(read).await.unwrap_or_else(|error| panic!("{table}: {error}")));
    }
    counts
}

/// The numbers and names an answer shows: what is meant, whatever its state.
fn named(answer: &Answer) -> Vec<String> {
    fn visit(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => members.iter().for_each(|(name, value)| match (name.as_str(), value) {
                ("id" | "name" | "urn" | "ip", value) => found.push(value.to_string()),
                ("action" | "actions" | "links" | "droplet" | "droplets" | "resources", value) => visit(value, found),
                (_, value) if ["id", "name", "ip"].iter().all(|name| value[*name].is_null()) => {}
                (_, value) => visit(value, found),
            }),
            Value::Array(items) => items.iter().for_each(|item| visit(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    visit(&answer.json(), &mut found);
    found
}

async fn ask_twice(operation: &str, way: Way) {
    let case = format!("{operation}, {}", way.name);
    let mut app = TestApp::start().await;
    let scene = scene(&app).await;
    let (path, body) = request(operation, &scene);
    let before = counts(&app).await;
    let first = match way.name {
        // It is done, the answer says otherwise, and what the server knows of that goes with it.
        "no mark, server killed" => {
            let effect = json!({ "type": "status", "status": 502, "after_effect": true });
            let order = json!({ "effect": effect, "method": "POST", "path": "*", "count": 1 });
            app.admin().post("/dew/v1/faults", order).await.expect(201);
            assert_eq!(app.admin().post_with(&path, &[], &body).await.status, 502, "{case}");
            None
        }
        _ => Some(app.admin().post_with(&path, &way.headers[..1], &body).await),
    };
    if way.killed {
        app.restart().await;
    }
    let between = counts(&app).await;
    let again = app.admin().post_with(&path, &way.headers[1..], &body).await;
    assert_eq!(counts(&app).await, between, "{case}: it was done again: {}", again.text);
    if ["dew_tokens_create", "dew_accounts_create", "genai_create_model_api_key"].contains(&operation) {
        assert_ne!(between, before, "{case} did nothing");
        assert!(again.refusal(409, "conflict").contains("Revoke it"), "{case}");
        return;
    }
    assert!((200..300).contains(&again.status), "{case}: {} {}", again.status, again.text);
    assert_eq!(again.header("idempotent-replayed"), "true", "{case}");
    if let Some(first) = first {
        assert_eq!((again.status, named(&again)), (first.status, named(&first)), "{case}");
    }
    if !again.text.is_empty() {
        assert!(!named(&again).is_empty(), "{case} shows nothing: {}", again.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_post_of_the_table_has_one_effect_however_it_is_asked_again() {
    let posts = dewpoint_server::operations().into_iter().filter(|one| *one.method() == Method::POST);
    let (once, each_time): (Vec<_>, Vec<_>) = posts.partition(dewpoint_server::Operation::is_done_once);
    let each_time: Vec<_> = each_time.iter().map(|one| one.name()).collect();
    // Answers of models, of which nothing is kept; a backup, which is another one each time, and what steers the simulator: why, the operation itself says.
    assert_eq!(
        each_time,
        [
            "inference_create_embedding",
            "inference_create_chat_completion",
            "chat_completions",
            "dew_backup_take",
            "dew_faults_order",
            "dew_reset",
            "dew_snapshots_restore"
        ]
    );
    assert!(once.len() >= 22, "{once:?}");
    for operation in once {
        for way in WAYS {
            ask_twice(operation.name(), way).await;
        }
    }
}
