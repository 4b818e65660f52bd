//! Nobody gets in: every operation of the server's own table, called by everybody who must not get through (AUTH-3 to AUTH-5,
//! ERR-4, ERR-9). A new operation is in the table and so in here; a new name of a path parameter asks for a line in
//! [`Alice::value`].

use std::{collections::BTreeMap, time::Duration};

use dewpoint_api::Scope;
use dewpoint_server::{Access, Operation, operations};
use dewpoint_testkit::{Answer, Client, TestApp, public_key};
use http::Request;
use serde_json::{Value, json};

use crate::droplet;

/// What every name of the first account's resources holds, and nothing else does.
const MARK: &str = "of-alice";

/// The first account's resources, one of each kind.
struct Alice {
    droplet: String,
    droplet_action: String,
    image: String,
    image_action: String,
    ssh_key: String,
    volume: String,
    volume_action: String,
    volume_snapshot: String,
    project: String,
    vpc: String,
    reserved_ip: String,
    vpc_peering: String,
    free_vpcs: [String; 2],
    reserved_ip_action: String,
    reserved_ipv6: String,
    domain: String,
    domain_record: String,
    firewall: String,
    token: String,
    model_key: String,
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Alice {
    /// Makes one resource of each kind in the first account.
    async fn settle(app: &TestApp) -> Self {
        let admin = app.admin();
        let volume = json!({ "name": MARK, "region": "nyc3", "size_gigabytes": 1, "description": MARK });
        let volume = admin.post("/v2/volumes", volume).await.expect(201)["volume"]["id"].clone();
        let path = format!("/v2/volumes/{}", text(&volume));
        let resize = json!({ "type": "resize", "size_gigabytes": 2, "region": "nyc3" });
        let volume_action = admin.post(&format!("{path}/actions"), resize).await.expect(202)["action"]["id"].clone();
        app.run_actions_to_end().await;
        let snapshot = admin.post(&format!("{path}/snapshots"), json!({ "name": MARK })).await.expect(201);
        app.run_actions_to_end().await;
        let project = json!({ "name": MARK, "purpose": "Testing" });
        let project = admin.post("/v2/projects", project).await.expect(201)["project"]["id"].clone();
        let key =
            admin.post("/v2/account/keys", json!({ "name": MARK, "public_key": public_key(1) })).await.expect(201);
        let image = json!({
            "name": MARK, "url": "https://images.example.com/a.qcow2", "region": "nyc3", "distribution": "Debian",
        });
        let image = admin.post("/v2/images", image).await.expect(202)["image"]["id"].clone();
        let body = droplet(json!({ "name": format!("web-{MARK}"), "tags": [MARK], "volumes": [volume] }));
        let made = admin.post("/v2/droplets", body).await.expect(202);
        app.run_actions_to_end().await;
        let id = text(&made["droplet"]["id"]);
        let image_actions = admin.get(&format!("/v2/images/{image}/actions")).await.expect(200);
        let token = admin.post("/dew/v1/tokens", json!({ "name": MARK })).await.expect(201);
        let model_key = admin.post("/v2/gen-ai/models/api_keys", json!({ "name": MARK })).await.expect(200);
        // Every account may ask it.
        let model = json!({ "name": "everybodys", "droplets": { "tag": MARK, "port": 8000 } });
        admin.post("/dew/v1/models", model).await.expect(202);
        let domain = format!("{MARK}.example");
        admin.post("/v2/domains", json!({ "name": domain })).await.expect(201);
        let records = admin.get(&format!("/v2/domains/{domain}/records?type=NS")).await.expect(200);
        let target = json!({ "droplet_ids": [made["droplet"]["id"]], "tags": [MARK], "addresses": ["::/0"] });
        let wall = json!({
            "name": format!("wall-{MARK}"), "droplet_ids": [made["droplet"]["id"]], "tags": [MARK],
            "inbound_rules": [{ "protocol": "tcp", "ports": "22", "sources": target }],
        });
        let wall = admin.post("/v2/firewalls", wall).await.expect(202)["firewall"]["id"].clone();
        app.run_actions_to_end().await;
        let reserved = admin.post("/v2/reserved_ips", json!({ "droplet_id": made["droplet"]["id"] })).await.expect(202);
        let reserved_ipv6 = admin.post("/v2/reserved_ipv6", json!({ "region_slug": "nyc3" })).await.expect(201);
        app.run_actions_to_end().await;
        let vpc = text(&admin.droplet(made["droplet"]["id"].as_u64().expect("a number")).await["vpc_uuid"]);
        let mut free_vpcs = [format!("a-{MARK}"), format!("b-{MARK}")];
        for free in &mut free_vpcs {
            let body = json!({ "name": free, "region": "fra1" });
            *free = text(&admin.post("/v2/vpcs", body).await.expect(201)["vpc"]["id"]);
        }
        let peering = json!({ "name": MARK, "vpc_ids": [vpc, free_vpcs[0]] });
        let peering = admin.post("/v2/vpc_peerings", peering).await.expect(202);
        app.run_actions_to_end().await;
        Self {
            firewall: text(&wall),
            vpc_peering: text(&peering["vpc_peering"]["id"]),
            free_vpcs,
            reserved_ip: text(&reserved["reserved_ip"]["ip"]),
            reserved_ip_action: text(&reserved["links"]["actions"][0]["id"]),
            reserved_ipv6: text(&reserved_ipv6["reserved_ipv6"]["ip"]),
            domain,
            domain_record: text(&records["domain_records"][0]["id"]),
            vpc,
            droplet: id,
            droplet_action: text(&made["links"]["actions"][0]["id"]),
            image: text(&image),
            image_action: text(&image_actions["actions"][0]["id"]),
            ssh_key: text(&key["ssh_key"]["id"]),
            volume: text(&volume),
            project: text(&project),
            volume_action: text(&volume_action),
            volume_snapshot: text(&snapshot["snapshot"]["id"]),
            token: text(&token["id"]),
            model_key: text(&model_key["api_key_info"]["uuid"]),
        }
    }

    /// What stands for the parameter `name` of `path`: something of the first account's.
    fn value(&self, path: &str, name: &str) -> &str {
        match name {
            "droplet_id" => &self.droplet,
            "action_id" if path.starts_with("/v2/images/") => &self.image_action,
            "action_id" if path.starts_with("/v2/volumes/") => &self.volume_action,
            "action_id" if path.starts_with("/v2/reserved_ips/") => &self.reserved_ip_action,
            "action_id" if path.starts_with("/v2/floating_ips/") => &self.reserved_ip_action,
            "action_id" => &self.droplet_action,
            "reserved_ip" | "floating_ip" => &self.reserved_ip,
            "reserved_ipv6" => &self.reserved_ipv6,
            "image_id" => &self.image,
            "ssh_key_identifier" => &self.ssh_key,
            "tag_id" => MARK,
            "volume_id" => &self.volume,
            "project_id" => &self.project,
            "name" if path.starts_with("/dew/v1/models") => "everybodys",
            // Of a state of the simulator, which belongs to no account either.
            "name" => "none",
            "snapshot_id" => &self.volume_snapshot,
            "vpc_id" => &self.vpc,
            "firewall_id" => &self.firewall,
            "vpc_peering_id" => &self.vpc_peering,
            "domain_name" => &self.domain,
            "domain_record_id" => &self.domain_record,
            "token_id" => &self.token,
            "api_key_uuid" => &self.model_key,
            "model" => "everybodys",
            "*path" => "v1.json",
            // Faults belong to no account; who may not steer is refused before one is looked for.
            "fault_id" => "1",
            // Nor do GPUs: who may not put one back is refused before one is looked for.
            "host" | "gpu" => "none",
            _ => panic!("{path}: make one {{{name}}} in `settle` and name it in `value`"),
        }
    }

    /// The operation's path to the first account's resources.
    fn path(&self, operation: &Operation) -> String {
        let words = operation.path().split('/').map(|word| match parameter(word) {
            Some(name) => self.value(operation.path(), name),
            None => word,
        });
        words.collect::<Vec<_>>().join("/")
    }

    /// A body that has whatever an operation may need to be read and to get as far as looking for its resource.
    fn body(&self, operation: &Operation) -> Value {
        // It takes no other members.
        if operation.name() == "dew_droplets_console_type" {
            return json!({ "input": "x" });
        }
        let kind = match operation.path() {
            path if path.starts_with("/v2/images/") => "convert",
            path if path.starts_with("/v2/volumes/") => "detach",
            path if path.contains("_ip") => "unassign",
            _ => "power_off",
        };
        let resources = match operation.path() {
            path if path.starts_with("/v2/projects/") => json!([format!("do:droplet:{}", self.droplet)]),
            _ => json!([{ "resource_id": self.droplet, "resource_type": "droplet" }]),
        };
        json!({
            "resources": resources, "is_default": false,
            "name": "new-name", "type": kind, "region": "nyc3", "size_gigabytes": 1, "description": "",
            "distribution": "Debian", "purpose": "Testing", "environment": "Development", "ip_range": "10.9.0.0/24",
            "droplet_id": self.droplet.parse::<u64>().expect("a number"),
            "droplet_ids": [self.droplet.parse::<u64>().expect("a number")],
            "inbound_rules": [{ "protocol": "tcp", "ports": "22", "sources": { "addresses": ["::/0"] } }],
            "region_slug": "nyc3", "vpc_ids": self.free_vpcs, "vpc_id": self.free_vpcs[1],
        })
    }
}

/// The name of a path's word that is a parameter.
fn parameter(word: &str) -> Option<&str> {
    word.strip_prefix('{')?.strip_suffix('}')
}

fn has_parameters(operation: &Operation) -> bool {
    operation.path().contains('{')
}

async fn call(client: &Client<'_>, operation: &Operation, path: &str, body: &str) -> Answer {
    // What some operations ask for beside a token, so that it is the token that decides.
    let request = Request::builder().method(operation.method()).uri(path).header("x-dangerous", "true");
    client.send(request.header("host", "dew.test").body(body.to_owned().into()).expect("a request")).await
}

/// What the first account sees: the answer of every operation that only reads.
async fn view(app: &TestApp, alice: &Alice) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    for operation in operations().iter().filter(|operation| operation.method() == http::Method::GET) {
        let path = alice.path(operation);
        // There is no password to be told once and no destruction to follow.
        if (*operation.access() == Access::Operator && has_parameters(operation))
            || path.ends_with("/password")
            // It has to be asked something.
            || path == "/dew/v1/reach"
            || path.ends_with("/destroy_with_associated_resources/status")
        {
            continue;
        }
        let answer = app.admin().get(&path).await;
        assert_eq!(answer.status, operation.success().as_u16(), "{operation:?} {path}: {}", answer.text);
        // The log of requests and the list of accounts tell of others too, and grow by what is done here.
        let own =
            matches!(operation.access(), Access::Full | Access::Scopes(_)) && operation.name() != "dew_audit_list";
        if own {
            // Being refused is a use of a token; and events of all accounts are counted together.
            let counted = |part: &str| operation.name() == "dew_events" && part.starts_with("\"next\":");
            let text = answer.text.split(',').filter(|part| !part.contains("last_used_at") && !counted(part)).collect();
            seen.insert(path, text);
        }
    }
    seen
}

/// Panics unless the first account sees what it saw before.
async fn unchanged(app: &TestApp, alice: &Alice, before: &BTreeMap<String, String>) {
    for (path, text) in view(app, alice).await {
        assert_eq!(Some(&text), before.get(&path), "{path} has changed");
    }
}

#[tokio::test]
async fn without_a_good_token_every_operation_is_a_401_before_its_body_is_read_auth_3_err_9() {
    let app = TestApp::start().await;
    let alice = Alice::settle(&app).await;
    let admin = app.admin();
    let of = async |body: Value| admin.post("/dew/v1/tokens", body).await.expect(201);
    let expired = of(json!({ "name": "expired", "expires_in": 5 })).await;
    let revoked = of(json!({ "name": "revoked" })).await;
    // Both were good and are known: what is remembered of them must not let them in.
    for token in [&expired, &revoked] {
        app.bearer(&text(&token["token"])).get("/v2/account").await.expect(200);
    }
    app.clock().advance(Duration::from_secs(5));
    admin.delete(&format!("/dew/v1/tokens/{}", text(&revoked["id"]))).await.expect(204);
    let before = view(&app, &alice).await;

    let nobodies = [
        ("no token", String::new()),
        ("an unknown one", "dop_v1_unknown".to_owned()),
        ("an expired one", text(&expired["token"])),
        ("a revoked one", text(&revoked["token"])),
        ("a token's id", alice.token.clone()),
        ("a good one with a letter more", format!("{}x", admin.token())),
    ];
    let mut refused = 0;
    for operation in operations() {
        let path = alice.path(&operation);
        for (what, token) in &nobodies {
            let answer = call(&app.bearer(token), &operation, &path, "{").await;
            if *operation.access() == Access::Open {
                assert_eq!(answer.status, operation.success().as_u16(), "{operation:?} with {what}");
            } else {
                let message = answer.refusal(401, "unauthorized");
                assert_eq!(message, "Unable to authenticate you.", "{operation:?} tells {what} more than it should");
                assert_eq!(answer.header("www-authenticate"), "Bearer");
                refused += 1;
            }
        }
    }
    unchanged(&app, &alice, &before).await;
    assert_eq!(app.backlog().await, 0);
    eprintln!("{refused} calls without a good token, each a 401");
}

#[tokio::test]
async fn with_every_scope_but_a_needed_one_each_operation_is_a_403_before_its_body_is_read_auth_3_auth_4() {
    let app = TestApp::start().await;
    let alice = Alice::settle(&app).await;
    let all: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
    let mut without = BTreeMap::new();
    for missing in &all {
        let others: Vec<&str> = all.iter().copied().filter(|name| name != missing).collect();
        without.insert(*missing, app.token_with(&others).await);
    }
    let every_scope = app.token_with(&all).await;
    let mut refused: Vec<(Operation, Vec<Client<'_>>)> = Vec::new();
    for operation in operations() {
        let mut who = Vec::new();
        match operation.access() {
            Access::Open => {}
            Access::Full | Access::ModelKey | Access::Operator => who.push(every_scope.clone()),
            Access::Scopes(alternatives) => {
                let needed: Vec<&str> = alternatives.iter().flatten().map(|scope| scope.as_str()).collect();
                // Only an operation without alternatives is closed by a single missing scope.
                if alternatives.len() == 1 {
                    who.extend(needed.iter().map(|missing| without[missing].clone()));
                }
                let others: Vec<&str> = all.iter().copied().filter(|name| !needed.contains(name)).collect();
                if !needed.is_empty() {
                    who.push(app.token_with(&others).await);
                }
            }
        }
        refused.push((operation, who));
    }
    let before = view(&app, &alice).await;
    let calls: usize = refused.iter().map(|(_, who)| who.len()).sum();
    for (operation, who) in &refused {
        for client in who {
            call(client, operation, &alice.path(operation), "{").await.refusal(403, "forbidden");
        }
    }
    unchanged(&app, &alice, &before).await;
    eprintln!("{calls} calls without a needed scope, each a 403, over {} operations", refused.len());
}

#[tokio::test]
async fn with_exactly_its_scopes_each_operation_lets_one_in_auth_3_auth_4() {
    let app = TestApp::start().await;
    for operation in operations() {
        let Access::Scopes(alternatives) = operation.access() else { continue };
        let path = operation.path().replace(['{', '}'], "");
        for scopes in alternatives {
            let names: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
            let answer = call(&app.token_with(&names).await, &operation, &path, "").await;
            // Naming a tag needs the right to see it, also where none is named (AUTH-5).
            let by_tag = operation.name() == "droplets_destroy_byTag";
            assert!(answer.status != 401 && (answer.status != 403 || by_tag), "{operation:?}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn to_another_account_everything_is_as_if_it_were_not_there_err_4() {
    let app = TestApp::start().await;
    let alice = Alice::settle(&app).await;
    let before = view(&app, &alice).await;
    assert!(before.values().any(|text| text.contains(MARK)), "the first account sees its own");
    let other = app.other_account().await;
    for operation in operations() {
        let (path, body) = (alice.path(&operation), alice.body(&operation).to_string());
        let reads = operation.method() == http::Method::GET;
        let answer = call(&other, &operation, &path, if reads { "" } else { &body }).await;
        match operation.access() {
            Access::Open => continue,
            Access::Operator => drop(answer.refusal(403, "forbidden")),
            Access::Full | Access::Scopes(_) if has_parameters(&operation) => {
                assert_eq!(answer.status, 404, "{operation:?} {path}: {}", answer.text);
                answer.refusal(404, "not_found");
                let head = other.send_bytes("HEAD", &path, "").await;
                // A password is told once, and never to HEAD.
                let hidden = [404, 422].contains(&head.status) && head.text.is_empty();
                assert!(!reads || hidden, "{operation:?}: HEAD {}", head.status);
            }
            Access::Full | Access::ModelKey | Access::Scopes(_) => {
                assert_ne!(answer.status, 403, "{operation:?}: its own are its own")
            }
        }
        // What it asked for itself is in its own audit log.
        let told = answer.text.replace(&format!("/v2/tags/{MARK}"), "").replace(&format!("/v2/domains/{MARK}"), "");
        assert!(!told.contains(MARK), "{operation:?} tells of another account: {told}");
    }
    for query in [format!("tag_name={MARK}"), format!("name=web-{MARK}"), format!("name={MARK}"), "private=true".into()]
    {
        for operation in operations().iter().filter(|operation| !has_parameters(operation)) {
            if operation.method() == http::Method::POST || operation.name() == "dew_audit_list" {
                continue;
            }
            let answer = call(&other, operation, &format!("{}?{query}", operation.path()), "").await;
            let data = answer.text.replace(&query, "");
            assert!(!data.contains(MARK), "{operation:?} with {query}: {data}");
        }
    }
    app.run_actions_to_end().await;
    unchanged(&app, &alice, &before).await;
}

#[tokio::test]
async fn what_a_body_names_of_another_account_is_not_there_err_4() {
    let app = TestApp::start().await;
    let alice = Alice::settle(&app).await;
    let before = view(&app, &alice).await;
    let other = app.other_account().await;
    let number = |text: &str| text.parse::<u64>().expect("a number");
    for part in [
        json!({ "ssh_keys": [number(&alice.ssh_key)] }),
        json!({ "image": number(&alice.image) }),
        json!({ "volumes": [alice.volume] }),
        json!({ "vpc_uuid": alice.vpc }),
    ] {
        let answer = other.post("/v2/droplets", droplet(part.clone())).await;
        assert!([404, 422].contains(&answer.status), "{part}: {} {}", answer.status, answer.text);
        assert!(!answer.text.contains(MARK), "{part}: {}", answer.text);
    }
    other.post("/v2/tags", json!({ "name": "mine" })).await.expect(201);
    for (kind, id) in [("droplet", &alice.droplet), ("volume", &alice.volume), ("image", &alice.image)] {
        let resources = json!({ "resources": [{ "resource_id": id, "resource_type": kind }] });
        let answer = other.post("/v2/tags/mine/resources", resources).await;
        assert_eq!(answer.status, 404, "{kind}: {}", answer.text);
    }
    assert_eq!(other.get("/v2/droplets").await.expect(200)["meta"]["total"], 0);
    unchanged(&app, &alice, &before).await;
}

/// What of an answer is another resource's, and so for those who may read that: where it is, and the scope it takes.
fn embedded(value: &Value, at: &str, is_root: bool, found: &mut Vec<(String, Scope)>) {
    let some = |member: &Value| match member {
        Value::Array(items) => items.iter().any(|item| !item.is_object()),
        Value::Null => false,
        _ => true,
    };
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let at = format!("{at}.{name}");
                let counted = member["count"].as_u64().is_some_and(|count| count > 0);
                let billed = member.as_array().is_some_and(|items| items.iter().any(|item| item["cost"].is_string()));
                let scope = match name.as_str() {
                    "image" if !is_root && some(member) => Some(Scope::ImageRead),
                    "backup_ids" | "snapshot_ids" if some(member) => Some(Scope::ImageRead),
                    "tags" if some(member) => Some(Scope::TagRead),
                    "droplet" if !is_root && some(member) => Some(Scope::DropletRead),
                    "project_id" if some(member) => Some(Scope::ProjectRead),
                    "reserved_ips" | "floating_ips" if billed => Some(Scope::ReservedIpRead),
                    "urn" if text(member).starts_with("do:floatingip:") => Some(Scope::ReservedIpRead),
                    "volume_ids" if some(member) => Some(Scope::BlockStorageRead),
                    "droplet_ids" if some(member) => Some(Scope::DropletRead),
                    "vpc_uuid" if some(member) => Some(Scope::VpcRead),
                    "sizes" if some(member) => Some(Scope::SizesRead),
                    "regions" if members.contains_key("price_monthly") && some(member) => Some(Scope::RegionsRead),
                    "urn" if text(member).starts_with("do:droplet:") => Some(Scope::DropletRead),
                    "urn" if text(member).starts_with("do:volume:") => Some(Scope::BlockStorageRead),
                    "droplets" if counted => Some(Scope::DropletRead),
                    "images" if counted => Some(Scope::ImageRead),
                    "volumes" if counted || billed => Some(Scope::BlockStorageRead),
                    "volume_snapshots" if counted || billed => Some(Scope::BlockStorageSnapshotRead),
                    "snapshots" if billed => Some(Scope::ImageRead),
                    _ => None,
                };
                found.extend(scope.map(|scope| (at.clone(), scope)));
                embedded(member, &at, false, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| embedded(item, at, false, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn an_answer_holds_of_other_resources_what_the_token_may_read_and_no_more_auth_6() {
    let app = TestApp::start().await;
    let alice = Alice::settle(&app).await;
    let admin = app.admin();
    let snapshot = json!({ "type": "snapshot", "name": MARK });
    admin.post(&format!("/v2/droplets/{}/actions", alice.droplet), snapshot).await.expect(201);
    app.run_actions_to_end().await;
    let snapshot = admin.droplet(alice.droplet.parse().expect("a number")).await["snapshot_ids"][0].clone();
    for (kind, id) in [
        ("volume", &alice.volume),
        ("volume_snapshot", &alice.volume_snapshot),
        ("image", &alice.image),
        ("image", &text(&snapshot)),
    ] {
        let tagged = json!({ "resources": [{ "resource_id": id, "resource_type": kind }] });
        admin.post(&format!("/v2/tags/{MARK}/resources"), tagged).await.expect(204);
    }
    let project = json!({ "resources": [format!("do:droplet:{}", alice.droplet), format!("do:volume:{}", alice.volume), format!("do:floatingip:{}", alice.reserved_ip)] });
    admin.post(&format!("/v2/projects/{}/resources", alice.project), project).await.expect(200);

    let (mut seen, mut hidden) = (BTreeMap::<Scope, Vec<String>>::new(), 0);
    let all = operations();
    let (reads, changes): (Vec<&Operation>, Vec<&Operation>) =
        all.iter().partition(|operation| operation.method() == http::Method::GET);
    let changes = changes.into_iter().filter(|operation| operation.method() != http::Method::DELETE);
    for operation in reads.into_iter().chain(changes) {
        let Access::Scopes(alternatives) = operation.access() else { continue };
        let (path, reads) = (alice.path(operation), operation.method() == http::Method::GET);
        if reads {
            let mut shown = Vec::new();
            embedded(&call(&admin, operation, &path, "").await.json(), operation.name(), true, &mut shown);
            for (at, scope) in shown {
                seen.entry(scope).or_default().push(at);
            }
        }
        for scopes in alternatives {
            let names: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
            let body = if reads { String::new() } else { alice.body(operation).to_string() };
            let answer = call(&app.token_with(&names).await, operation, &path, &body).await;
            if answer.text.is_empty() {
                continue;
            }
            let mut shown = Vec::new();
            embedded(&answer.json(), operation.name(), true, &mut shown);
            for (at, scope) in shown {
                // What was named in the request itself tells nothing.
                let named = !reads && at.ends_with(".urn");
                assert!(scopes.contains(&scope) || named, "{at} is shown without {scope}: {}", answer.text);
            }
            hidden += 1;
        }
    }
    // What was looked for is there for those who may see it, so that what was not found was hidden.
    for scope in [
        Scope::BlockStorageRead,
        Scope::BlockStorageSnapshotRead,
        Scope::DropletRead,
        Scope::ImageRead,
        Scope::ProjectRead,
        Scope::RegionsRead,
        Scope::ReservedIpRead,
        Scope::SizesRead,
        Scope::TagRead,
        Scope::VpcRead,
    ] {
        assert!(seen.contains_key(&scope), "nothing of {scope} was there to be hidden");
    }
    assert!(hidden > 40, "{hidden} answers");
}
