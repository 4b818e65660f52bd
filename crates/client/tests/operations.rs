//! Every operation that the server serves has a method here, and each method reaches it.
//!
//! A program of its own, since it listens to the spans of all threads.
#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use dewpoint_client::{
    Client, CreateDroplet, CreateImage, CreateVolume, OPERATIONS,
    models::{
        AccountCreateRequest, ActionStatus, BackupPlan, BackupPolicyRequest, DomainRecordRequest, DropletActionRequest,
        DropletId, EmbeddingRequest, FirewallRequest, FirewallRuleTarget, FirewallRulesRequest, ImageActionRequest,
        ImageUpdateRequest, InboundRuleRequest, KeyLimits, ProjectRequest, ReservedIpActionRequest,
        SelectiveDestroyRequest, ServedByDroplets, ServedModelRequest, ServedModelState, StockDeclaration, TagResource,
        TokenCreateRequest, TokenId, VolumeActionRequest, VolumeSnapshotCreateRequest, VpcCreateRequest,
        VpcUpdateRequest,
    },
    resources::FaultOrder,
    testing::Simulator,
};
use tracing::span::{Attributes, Record};
use tracing_subscriber::{
    Layer,
    layer::{Context as LayerContext, SubscriberExt as _},
};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIrW0pTs4W3lIRLH0jzAKqFPAPMZMDJ4tBjvVHsC3HcM me@here";

#[test]
fn every_served_operation_has_a_method_and_no_other_has() {
    let mut served: BTreeSet<(String, String, String)> = BTreeSet::new();
    let spec: toml::Table = include_str!("../../../spec/operations.toml").parse().unwrap();
    let is_served = |row: &&toml::Value| row["status"].as_str() != Some("not yet");
    for row in spec["operations"].as_array().unwrap().iter().filter(is_served) {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        served.insert((text("id"), text("method"), text("path")));
    }
    for own in dewpoint_server::operations().iter().filter(|one| one.name().starts_with("dew_")) {
        served.insert((own.name().to_owned(), own.method().to_string(), own.path().to_owned()));
    }
    let here: BTreeSet<(String, String, String)> =
        OPERATIONS.iter().map(|one| (one.id.to_owned(), one.method.to_owned(), one.path.to_owned())).collect();
    assert_eq!(here.len(), OPERATIONS.len(), "no operation stands twice in the table");
    let missing: Vec<_> = served.difference(&here).collect();
    let stale: Vec<_> = here.difference(&served).collect();
    assert!(missing.is_empty() && stale.is_empty(), "without a method: {missing:?}; not served: {stale:?}");
}

/// Which operations were answered with a success, as the client's spans tell.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The operation of each span that is open.
    open: BTreeMap<u64, String>,
    succeeded: BTreeSet<String>,
}

impl Seen {
    fn succeeded(&self) -> BTreeSet<String> {
        self.0.lock().unwrap().succeeded.clone()
    }
}

#[derive(Default)]
struct Told {
    operation: Option<String>,
    status: Option<u64>,
}

impl tracing::field::Visit for Told {
    fn record_debug(&mut self, _: &tracing::field::Field, _: &dyn std::fmt::Debug) {}
    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        if field.name() == "operation" {
            self.operation = Some(value.to_owned());
        }
    }
    fn record_u64(&mut self, field: &tracing::field::Field, value: u64) {
        if field.name() == "http.status" {
            self.status = Some(value);
        }
    }
}

impl<S: tracing::Subscriber> Layer<S> for Seen {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &tracing::Id, _: LayerContext<'_, S>) {
        if attributes.metadata().name() == "dewpoint_call" {
            let mut told = Told::default();
            attributes.record(&mut told);
            self.0.lock().unwrap().open.insert(id.into_u64(), told.operation.unwrap());
        }
    }

    fn on_record(&self, id: &tracing::Id, values: &Record<'_>, _: LayerContext<'_, S>) {
        let mut told = Told::default();
        values.record(&mut told);
        let mut state = self.0.lock().unwrap();
        if let Some(operation) = state.open.get(&id.into_u64()).cloned()
            && told.status.is_some_and(|status| (200..300).contains(&status))
        {
            state.succeeded.insert(operation);
        }
    }

    fn on_close(&self, id: tracing::Id, _: LayerContext<'_, S>) {
        self.0.lock().unwrap().open.remove(&id.into_u64());
    }
}

#[tokio::test]
async fn every_method_reaches_the_real_server_and_reads_its_answer() {
    let seen = Seen::default();
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(seen.clone())).unwrap();
    let simulator = Simulator::start().unwrap();
    let client = simulator.client();

    catalogue(&client).await;
    keys(&client).await;
    let droplet = droplets(&client).await;
    images(&client, droplet).await;
    volumes(&client, droplet).await;
    networks(&client, droplet).await;
    addresses(&client, droplet).await;
    names(&client, droplet).await;
    models(&client).await;
    own(&client, droplet).await;
    ends(&client, droplet).await;
    steered(&client).await;

    let all: BTreeSet<String> = OPERATIONS.iter().map(|one| one.id.to_owned()).collect();
    let refused_here = BTreeSet::from(["dew_stock_put_back".to_owned()]);
    let answered = &seen.succeeded() | &refused_here;
    let not_called: Vec<_> = all.difference(&answered).cloned().collect();
    assert!(not_called.is_empty(), "no method was answered with a success: {not_called:?}");
}

async fn models(client: &Client) {
    let model = client.models().list().await.unwrap().items[0].id.clone();
    assert!(client.inference().models().await.unwrap().iter().any(|one| one.id == model));
    let wanted = dewpoint_client::chat::CreateCompletion::new(model).user("Hello").max_tokens(1);
    client.chat().completions().create(wanted).await.unwrap();
    let keys = client.inference().api_keys();
    let made = keys.create("for tests").await.unwrap();
    assert!(made.secret_key.is_some());
    assert_eq!(keys.update(made.uuid, "for others").await.unwrap().name, "for others");
    assert_ne!(keys.regenerate(made.uuid).await.unwrap().secret_key, made.secret_key);
    assert_eq!(keys.list().await.unwrap().items.len(), 1);
    assert!(keys.delete(made.uuid).await.unwrap().deleted_at.is_some());
}

async fn over(client: &Client, action: &dewpoint_client::models::Action) {
    let quick = Duration::from_millis(2);
    client.actions().wait(action.id).every(quick, quick * 10).await.unwrap();
}

/// Waits until no action runs.
async fn all_over(client: &Client) {
    let quick = Duration::from_millis(2);
    for action in client.actions().list().all().await.unwrap() {
        if action.status == ActionStatus::InProgress {
            client.actions().wait(action.id).every(quick, quick * 10).await.unwrap();
        }
    }
}

async fn catalogue(client: &Client) {
    assert!(client.account().get().await.unwrap().droplet_limit > 0);
    assert!(client.regions().list().await.unwrap().iter().any(|region| region.slug.as_str() == "nyc3"));
    let sizes = client.sizes().list().all().await.unwrap();
    assert!(sizes.iter().any(|size| size.gpu_info.is_some()));
    assert!(!client.images().list().await.unwrap().is_empty());
    client.images().get("ubuntu-24-04-x64").await.unwrap();
}

async fn keys(client: &Client) {
    let keys = client.gpu_droplets().account().keys();
    let key = keys.create("mine", KEY).await.unwrap();
    assert_eq!(keys.get(key.id).await.unwrap(), keys.get(&key.fingerprint).await.unwrap());
    assert_eq!(keys.update(key.id, "yours").await.unwrap().name, "yours");
    assert_eq!(keys.list().await.unwrap().total, 1);
    keys.delete(&key.fingerprint).await.unwrap();
}

/// Makes one that the others use.
async fn droplets(client: &Client) -> DropletId {
    let droplets = client.gpu_droplets();
    let wanted = CreateDroplet::new("web-1", "s-1vcpu-1gb", "ubuntu-24-04-x64").region("nyc3").tag("web");
    let made = droplets.create(&wanted).await.unwrap();
    made.wait_active(client).every(Duration::from_millis(2), Duration::from_millis(20)).await.unwrap();
    assert_eq!(droplets.list().tag("web").await.unwrap().total, 1);
    assert_eq!(droplets.list().name("web-1").await.unwrap().total, 1);
    assert_eq!(droplets.get(&made).await.unwrap().name, "web-1");
    droplets.list_kernels(&made).await.unwrap();
    droplets.list_neighbors(&made).await.unwrap();
    droplets.list_neighbor_ids().await.unwrap();
    droplets.list_firewalls(&made).await.unwrap();
    droplets.list_snapshots(&made).await.unwrap();
    let actions = droplets.actions();
    let snapshot = actions.snapshot(&made, "as it is").await.unwrap();
    over(client, &snapshot).await;
    assert_eq!(actions.get(&made, snapshot.id).await.unwrap().id, snapshot.id);
    assert!(actions.list(&made).await.unwrap().total >= 2);
    let daily = BackupPolicyRequest { plan: Some(BackupPlan::Daily.as_str().to_owned()), ..Default::default() };
    over(client, &actions.enable_backups(&made, Some(daily)).await.unwrap()).await;
    let off = DropletActionRequest { kind: "power_off".to_owned(), ..Default::default() };
    for action in actions.bulk_initiate("web", &off).await.unwrap() {
        over(client, &action).await;
    }
    over(client, &actions.power_on(&made).await.unwrap()).await;
    assert!(client.actions().list().await.unwrap().total >= 4);
    let backups = droplets.backups();
    backups.list(&made).await.unwrap();
    assert!(backups.get_policy(&made).await.unwrap().backup_enabled);
    assert_eq!(backups.list_policies().await.unwrap()[0].droplet_id, made.id);
    assert!(!backups.list_supported_policies().await.unwrap().supported_policies.is_empty());
    made.id
}

async fn images(client: &Client, droplet: DropletId) {
    let images = client.gpu_droplets().images();
    let snapshot = client.droplets().get(droplet).await.unwrap().snapshot_ids[0];
    let custom = CreateImage::new("own", "https://images.example.com/own.qcow2", "nyc3").distribution("Debian");
    images.create(custom).await.unwrap();
    assert_eq!(images.rename(snapshot, "renamed").await.unwrap().name, "renamed");
    images
        .update(snapshot, &ImageUpdateRequest { name: Some("again".to_owned()), ..Default::default() })
        .await
        .unwrap();
    let wanted = ImageActionRequest { kind: "transfer".to_owned(), region: Some("nyc1".into()) };
    let action = images.actions().initiate(snapshot, &wanted).await.unwrap();
    over(client, &action).await;
    assert_eq!(images.actions().get(snapshot, action.id).await.unwrap().id, action.id);
    assert!(!images.actions().list(snapshot).await.unwrap().is_empty());
    assert!(client.snapshots().list().await.unwrap().iter().any(|one| one.id == snapshot.to_string()));
    client.snapshots().get(snapshot).await.unwrap();
    all_over(client).await;
    client.snapshots().delete(snapshot).await.unwrap();
    over(client, &client.droplets().actions().snapshot(droplet, "another").await.unwrap()).await;
    all_over(client).await;
    images.delete(client.droplets().get(droplet).await.unwrap().snapshot_ids[0]).await.unwrap();
}

async fn volumes(client: &Client, droplet: DropletId) {
    let volumes = client.gpu_droplets().volumes();
    let volume = volumes.create(CreateVolume::new("data", 5, "nyc3")).await.unwrap();
    assert_eq!(volumes.list().name("data").region("nyc3").await.unwrap()[0].id, volume.id);
    volumes.get(volume.id).await.unwrap();
    all_over(client).await;
    over(client, &volumes.actions().attach(volume.id, droplet).await.unwrap()).await;
    let by_name = VolumeActionRequest {
        kind: "detach".to_owned(),
        volume_name: Some("data".to_owned()),
        region: Some("nyc3".into()),
        droplet_id: Some(droplet),
        ..Default::default()
    };
    let detached = volumes.actions().initiate_by_name(&by_name).await.unwrap();
    over(client, &detached).await;
    volumes.actions().get(volume.id, detached.id).await.unwrap();
    assert!(volumes.actions().list(volume.id).await.unwrap().total >= 2);
    let wanted = VolumeSnapshotCreateRequest { name: "then".to_owned(), ..Default::default() };
    let snapshot = volumes.snapshots().create(volume.id, &wanted).await.unwrap();
    all_over(client).await;
    assert_eq!(volumes.snapshots().list(volume.id).await.unwrap().total, 1);
    volumes.snapshots().get(&snapshot.id).await.unwrap();
    volumes.snapshots().delete(&snapshot.id).await.unwrap();
    all_over(client).await;
    volumes.delete(volume.id).await.unwrap();
    volumes.create(CreateVolume::new("other", 1, "nyc3")).await.unwrap();
    all_over(client).await;
    volumes.delete_by_name("other", "nyc3").await.unwrap();
}

async fn networks(client: &Client, droplet: DropletId) {
    let vpcs = client.vpcs();
    let one = vpcs.create_in("one", "nyc3").await.unwrap();
    let wanted = VpcCreateRequest { name: "two".to_owned(), region: Some("nyc3".into()), ..Default::default() };
    let two = vpcs.create(&wanted).await.unwrap();
    let renamed = VpcUpdateRequest { name: Some("uno".to_owned()), ..Default::default() };
    assert_eq!(vpcs.update(one.id, &renamed).await.unwrap().name, "uno");
    vpcs.patch(one.id, &renamed).await.unwrap();
    assert!(vpcs.list().await.unwrap().total >= 2);
    vpcs.list_members(vpcs.get(one.id).await.unwrap().id).await.unwrap();
    let peering = client.vpc_peerings().create("both", [one.id, two.id]).await.unwrap();
    assert_eq!(vpcs.peerings().list(one.id).await.unwrap()[0].0.id, peering.id);
    client.vpc_peerings().rename(peering.id, "two-ways").await.unwrap();
    vpcs.peerings().rename(one.id, peering.id, "ways").await.unwrap();
    assert_eq!(client.vpc_peerings().list().await.unwrap().total, 1);
    client.vpc_peerings().get(peering.id).await.unwrap();
    let three = vpcs.create_in("three", "nyc3").await.unwrap();
    vpcs.peerings().create(one.id, "others", three.id).await.unwrap();
    all_over(client).await;
    client.vpc_peerings().delete(peering.id).await.unwrap();
    vpcs.delete(vpcs.create_in("four", "nyc3").await.unwrap().id).await.unwrap();

    let firewalls = client.gpu_droplets().firewalls();
    let everybody = FirewallRuleTarget { addresses: vec!["0.0.0.0/0".to_owned()], ..Default::default() };
    let rule = |ports: &str| InboundRuleRequest {
        protocol: "tcp".to_owned(),
        ports: ports.to_owned(),
        sources: everybody.clone(),
    };
    let wanted = FirewallRequest { name: "web".to_owned(), inbound_rules: vec![rule("22")], ..Default::default() };
    let wall = firewalls.create(&wanted).await.unwrap();
    firewalls.update(wall.id, &wanted).await.unwrap();
    firewalls.droplets().add(wall.id, [droplet]).await.unwrap();
    firewalls.droplets().remove(wall.id, [droplet]).await.unwrap();
    firewalls.tags().add(wall.id, ["web"]).await.unwrap();
    firewalls.tags().remove(wall.id, ["web"]).await.unwrap();
    let more = FirewallRulesRequest { inbound_rules: vec![rule("80")], ..Default::default() };
    firewalls.rules().add(wall.id, &more).await.unwrap();
    assert_eq!(firewalls.get(wall.id).await.unwrap().inbound_rules.len(), 2);
    firewalls.rules().remove(wall.id, &more).await.unwrap();
    assert_eq!(firewalls.list().await.unwrap().total, 1);
    firewalls.delete(wall.id).await.unwrap();
}

async fn addresses(client: &Client, droplet: DropletId) {
    let reserved = client.reserved_ips();
    let ip = reserved.create_in("nyc3").await.unwrap().ip;
    let assigned = reserved.actions().assign(ip, droplet).await.unwrap();
    over(client, &assigned).await;
    reserved.actions().get(ip, assigned.id).await.unwrap();
    assert!(reserved.actions().list(ip).await.unwrap().iter().any(|action| action.id == assigned.id));
    assert_eq!(reserved.get(ip).await.unwrap().droplet.as_ref().unwrap().id, droplet);
    assert_eq!(reserved.list().await.unwrap().total, 1);
    over(client, &reserved.actions().unassign(ip).await.unwrap()).await;
    all_over(client).await;
    reserved.delete(ip).await.unwrap();

    let floating = client.gpu_droplets().floating_ips();
    let ip = floating.create_in("nyc3").await.unwrap().0.ip;
    let wanted = ReservedIpActionRequest { kind: "assign".to_owned(), droplet_id: Some(droplet) };
    let assigned = floating.actions().initiate(ip, &wanted).await.unwrap();
    over(client, &assigned).await;
    floating.actions().get(ip, assigned.id).await.unwrap();
    floating.actions().list(ip).await.unwrap();
    floating.get(ip).await.unwrap();
    assert_eq!(floating.list().await.unwrap().total, 1);
    over(client, &floating.actions().unassign(ip).await.unwrap()).await;
    all_over(client).await;
    floating.delete(ip).await.unwrap();

    let v6 = client.reserved_ipv6();
    let ip = v6.create("nyc3").await.unwrap().ip;
    over(client, &client.droplets().actions().enable_ipv6(droplet).await.unwrap()).await;
    over(client, &v6.actions().assign(ip, droplet).await.unwrap()).await;
    v6.get(ip).await.unwrap();
    assert_eq!(v6.list().await.unwrap().total, 1);
    over(client, &v6.actions().unassign(ip).await.unwrap()).await;
    all_over(client).await;
    v6.delete(ip).await.unwrap();
}

async fn names(client: &Client, droplet: DropletId) {
    let tags = client.tags();
    tags.create("db").await.unwrap();
    let this = || [TagResource { resource_id: droplet.to_string(), resource_type: "droplet".to_owned() }];
    tags.resources().assign("db", this()).await.unwrap();
    assert_eq!(tags.get("db").await.unwrap().resources.droplets.count, 1);
    tags.resources().unassign("db", this()).await.unwrap();
    assert!(tags.list().await.unwrap().total >= 2);
    tags.delete("db").await.unwrap();

    let domains = client.domains();
    domains.create("example.com", Some("192.0.2.1".parse().unwrap())).await.unwrap();
    assert_eq!(domains.list().await.unwrap()[0].name, domains.get("example.com").await.unwrap().name);
    let wanted = DomainRecordRequest {
        kind: Some("A".to_owned()),
        name: Some("www".to_owned()),
        data: Some("192.0.2.2".to_owned()),
        ..Default::default()
    };
    let records = domains.records();
    let record = records.create("example.com", &wanted).await.unwrap();
    records.update("example.com", record.id, &wanted).await.unwrap();
    let patch = DomainRecordRequest { ttl: Some(60), ..wanted };
    assert_eq!(records.patch("example.com", record.id, &patch).await.unwrap().ttl, 60);
    assert_eq!(records.get("example.com", record.id).await.unwrap().name, "www");
    assert_eq!(records.list("example.com").name("www.example.com").await.unwrap().total, 1);
    records.delete("example.com", record.id).await.unwrap();
    domains.delete("example.com").await.unwrap();

    let projects = client.projects();
    let request = |name: &str, is_default| ProjectRequest {
        name: Some(name.to_owned()),
        description: Some(String::new()),
        purpose: Some("Web Application".to_owned()),
        environment: Some("Staging".to_owned()),
        is_default: Some(is_default),
    };
    let project = projects.create(&request("side", false)).await.unwrap();
    assert_eq!(projects.get(project.id).await.unwrap().name, "side");
    projects.update(project.id, &request("aside", false)).await.unwrap();
    projects
        .patch(project.id, &ProjectRequest { name: Some("b-side".to_owned()), ..Default::default() })
        .await
        .unwrap();
    assert_eq!(projects.list().await.unwrap().total, 2);
    let urn = format!("do:droplet:{droplet}");
    assert_eq!(projects.resources().assign(project.id, [&urn]).await.unwrap()[0].urn, urn);
    assert_eq!(projects.resources().list(project.id).await.unwrap().total, 1);
    let own = projects.default();
    own.assign_resources([&urn]).await.unwrap();
    assert!(own.list_resources().await.unwrap().iter().any(|one| one.urn == urn));
    assert!(own.get().await.unwrap().is_default);
    own.update(&request("main", true)).await.unwrap();
    own.patch(&ProjectRequest { name: Some("first".to_owned()), ..Default::default() }).await.unwrap();
    projects.delete(project.id).await.unwrap();
}

async fn own(client: &Client, droplet: DropletId) {
    let dewpoint = client.dewpoint();
    let story = dewpoint.droplets().get(droplet).await.unwrap();
    assert_eq!((story.id, story.engine.as_str()), (droplet, "sim"));
    dewpoint.droplets().access(droplet).await.unwrap();
    over(client, &client.droplets().actions().password_reset(droplet).await.unwrap()).await;
    assert!(!dewpoint.droplets().password(droplet).await.unwrap().password.is_empty());
    let mut console = dewpoint.droplets().console_follow(droplet).await.unwrap();
    dewpoint.droplets().type_into(droplet, "hello").await.unwrap();
    assert_eq!(console.next().await.unwrap().unwrap(), "hello");
    assert_eq!(dewpoint.droplets().console(droplet).await.unwrap(), b"hello");
    drop(console);
    assert!(dewpoint.droplets().metadata(droplet).await.unwrap().contains("v1"));
    assert_eq!(dewpoint.droplets().metadata_at(droplet, "v1/hostname").await.unwrap(), "web-1");
    let last = client.actions().list().await.unwrap()[0].id;
    assert!(!dewpoint.actions().get(last).await.unwrap().timeline.is_empty());
    let droplets = Some(ServedByDroplets { tag: "gpu".parse().unwrap(), port: 8000 });
    let wanted = ServedModelRequest { name: Some("m".to_owned()), droplets, ..ServedModelRequest::default() };
    let models = dewpoint.models();
    assert_eq!(models.add(&wanted).await.unwrap().name, "m");
    assert_eq!(models.list().await.unwrap().len(), 1);
    assert_eq!(models.get("m").await.unwrap().state, ServedModelState::Waiting);
    models.delete("m").await.unwrap();
    let token = dewpoint.tokens().create(&TokenCreateRequest::default()).await.unwrap();
    assert!(dewpoint.tokens().list().await.unwrap().iter().any(|one| one.id == token.about.id));
    dewpoint.tokens().revoke(token.about.id).await.unwrap();
    let request = AccountCreateRequest { name: "other".to_owned(), ..Default::default() };
    assert!(!dewpoint.accounts().create(&request).await.unwrap().token.is_empty());
    assert_eq!(dewpoint.accounts().list().await.unwrap().total, 2);
    assert!(!dewpoint.audit().query("limit", 5).await.unwrap().entries.is_empty());
    let bot = serde_json::json!({ "name": "bot" });
    let made = client.raw().post("/v2/gen-ai/models/api_keys", &bot).await.unwrap();
    let key: TokenId = serde_json::from_value(made["api_key_info"]["uuid"].clone()).unwrap();
    let wanted = EmbeddingRequest::new("dewpoint-scripted", vec!["a cat".to_owned(), "a dog".to_owned()]);
    assert_eq!(client.embeddings().create(wanted).await.unwrap().data.len(), 2);
    let limits = KeyLimits { tokens_per_day: Some(7), ..Default::default() };
    assert_eq!(dewpoint.limit_model_key(key, &limits).await.unwrap().in_force, limits);
    assert_eq!(dewpoint.model_key_limits(key).await.unwrap().limits, limits);
    assert_eq!(dewpoint.usage().query("key", key).await.unwrap().total, 0);
    assert!(dewpoint.usage_total().await.unwrap().total.requests >= 1);
    dewpoint.reach(&format!("droplet:{droplet}"), "192.0.2.1".parse().unwrap(), "tcp", Some(443)).await.unwrap();
    let events = dewpoint.list_events().query("kind", "droplet").await.unwrap();
    assert!(events.events.iter().any(|event| event.path.is_some()));

    let mut stream = dewpoint.events(Some("0")).await.unwrap();
    assert!(!stream.next().await.unwrap().unwrap().id.is_empty());
    drop(stream);

    let mut backup = dewpoint.backup().await.unwrap();
    let mut bytes = 0;
    while let Some(piece) = backup.next().await {
        bytes += piece.unwrap().len();
    }
    assert!(bytes > 1000, "a backup has all there is");
}

/// What ends Droplets.
async fn ends(client: &Client, droplet: DropletId) {
    let droplets = client.gpu_droplets();
    all_over(client).await;
    let together = droplets.destroy_with_associated_resources();
    together.list(droplet).await.unwrap();
    together.delete_dangerous(droplet).await.unwrap();
    until_destroyed(client, droplet).await;

    let wanted = CreateDroplet::new("web-2", "s-1vcpu-1gb", "ubuntu-24-04-x64").region("nyc3").tag("all");
    let quick = Duration::from_millis(2);
    let second = droplets.create(&wanted).await.unwrap();
    second.wait_active(client).every(quick, quick * 10).await.unwrap();
    together.delete_selective(&second, &SelectiveDestroyRequest::default()).await.unwrap();
    until_destroyed(client, second.id).await;
    together.retry(&second).await.unwrap(); // nothing is left to try again, and that is fine

    let third = droplets.create(&wanted).await.unwrap();
    third.wait_active(client).every(quick, quick * 10).await.unwrap();
    all_over(client).await;
    droplets.delete(&third).await.unwrap();
    droplets.delete_by_tag("all").await.unwrap();
}

async fn until_destroyed(client: &Client, droplet: DropletId) {
    let together = client.droplets().destroy_with_associated_resources();
    let began = std::time::Instant::now();
    while together.check_status(droplet).await.unwrap().completed_at.is_none() {
        assert!(began.elapsed().as_secs() < 30, "Droplet {droplet} is not destroyed");
    }
}

async fn steered(client: &Client) {
    let simulator = client.dewpoint().simulator();
    let before = simulator.clock().await.unwrap().now;
    assert!(simulator.advance(Duration::from_secs(3600)).await.unwrap().now > before);
    assert!(simulator.delays().await.unwrap().is_empty());
    simulator.set_delays(&[]).await.unwrap();
    let fault = simulator.faults().order(&FaultOrder::status(503).on("GET", "/v2/nothing")).await.unwrap();
    assert_eq!(simulator.faults().list().await.unwrap()[0].id, fault.id);
    simulator.faults().delete(fault.id).await.unwrap();
    simulator.faults().clear().await.unwrap();
    simulator.requests().keep(Some(10), Some(false)).await.unwrap();
    assert!(!simulator.requests().list().await.unwrap().is_empty());
    simulator.requests().clear().await.unwrap();
    simulator.stock().declare(&StockDeclaration::default()).await.unwrap();
    assert!(simulator.stock().get().await.unwrap().declared);
    // A GPU of the simulator is parked only by a fault that its own tests order: here there is none to put back.
    let error = simulator.stock().put_back("metal", "0000:17:00.0").await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
    simulator.stock().clear().await.unwrap();
    simulator.states().take("now").await.unwrap();
    assert_eq!(simulator.states().list().await.unwrap().len(), 1);
    simulator.states().restore("now").await.unwrap();
    simulator.states().delete("now").await.unwrap();
    simulator.reset().await.unwrap();
}
