//! How each flow comes about: what there is before, and which operation asks for it.

use dewpoint_api::{
    ActionKind::{self, *},
    ResourceType::{self, *},
};
use dewpoint_control::WhenOff;
use dewpoint_engine::{GpuState, Host, HostGpu, HostGpus, Operation, sim::Moment};
use dewpoint_testkit::{Answer, TestApp};
use http::Request;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::world::deletable;
use crate::{fault, for_good, with};

/// What is there before the action is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// An active Droplet, with these members in its create.
    Droplet(&'static str),
    /// An action on that Droplet.
    Act(&'static str),
    /// A volume of 10 GiB.
    Volume,
    /// It is attached to the Droplet.
    Attached,
    /// A snapshot of it.
    VolumeSnapshot,
    /// A custom image.
    Image,
    /// That image is a backup.
    AsBackup,
    /// A backup of the Droplet, made by schedule.
    Backup,
    /// The Droplet was destroyed with its volume, which failed.
    FailedTeardown,
    /// A reserved IP in nyc3.
    ReservedIp,
    /// It is assigned to the Droplet.
    Assigned,
    /// A reserved IPv6 address in nyc3.
    ReservedIpv6,
    /// It is assigned to the Droplet.
    Assigned6,
    /// The only host there is names two GPUs of its own; those of who is off are freed, or not.
    OnMetal { frees: bool },
    /// The only host there is has no room, and gets some when the create has been asked for.
    NoRoom,
}

/// One way to a flow.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    /// The flow.
    pub(super) flow: (ResourceType, ActionKind),
    /// The operation that asks for it, by its id; [`BY_ITSELF`] when none does.
    pub(super) by: &'static str,
    /// The operation that asks again after it failed.
    pub(super) again: &'static str,
    /// What tells it from others of the same flow and operation.
    pub(super) note: &'static str,
    given: &'static [Given],
    query: &'static str,
    body: &'static str,
    /// Whether what the engine refuses counts as done when the engine has it so: of a teardown.
    pub(super) heals: bool,
    /// What its request makes at once, by what `deletable` calls it: that stays when the action fails.
    pub(super) keeps: Option<&'static str>,
    /// Whether it is but another way to ask for what an earlier scenario has: the main troubles are enough then.
    pub(super) is_variant: bool,
    /// A step that only variants have: it is tried under every trouble all the same.
    pub(super) own_step: &'static str,
}

/// The destroy of a Droplet with all that belongs to it.
const DANGEROUS: &str = "droplets_destroy_withAssociatedResourcesDangerous";

/// Backups come by schedule.
pub(super) const BY_ITSELF: &str = "";

impl Scenario {
    /// Its name in the text of a failure.
    pub(super) fn name(&self) -> String {
        let (resource, kind) = self.flow;
        let by = if self.by == BY_ITSELF { "the schedule" } else { self.by };
        format!("{kind} of a {resource} by {by}{}", self.note)
    }

    /// A Dewpoint for it: with a network where that is what its steps change.
    pub(super) async fn app(&self) -> TestApp {
        let wired = matches!(self.flow.0, ReservedIp | ReservedIpv6);
        let metal = self.given.iter().find_map(|given| match given {
            Given::OnMetal { frees } => Some(if *frees { WhenOff::Free } else { WhenOff::Keep }),
            _ => None,
        });
        TestApp::start_with(|setup| {
            setup.equipment.network = wired;
            if let Some(when_off) = metal {
                setup.equipment.hosts = vec![metal_host()];
                setup.control.gpus_when_off = when_off;
            }
        })
        .await
    }

    /// What is there before.
    pub(super) fn given(&self) -> &'static [Given] {
        self.given
    }

    /// What its request has behind the question mark.
    pub(super) fn query(&self) -> &'static str {
        self.query
    }

    /// The body it asks with, with some id in the place of each.
    pub(super) fn body_for_any_id(&self) -> String {
        Stage { droplet: "1".into(), image: "1".into(), ..Stage::default() }.fill(self.body)
    }

    fn given_too(self, note: &'static str, given: &'static [Given]) -> Self {
        Self { note, given, ..self }
    }

    /// Marks another way to an action that is carried out like an earlier one.
    fn variant(self) -> Self {
        Self { is_variant: true, ..self }
    }

    /// The same of a Droplet with a GPU, which has a step of its own. What that does, starting or stopping, is tried under every
    /// trouble in one flow of each sort.
    fn with_gpus(self, note: &'static str) -> Self {
        let alone = matches!(self.flow.1, Create | Destroy | PowerOn | PowerOff) && self.by != DANGEROUS;
        Self { note, own_step: if alone { "gpus" } else { "" }, ..self.variant() }
    }

    /// Names what its request makes at once.
    fn keeping(self, thing: &'static str) -> Self {
        Self { keeps: Some(thing), ..self }
    }

    fn with_query(self, query: &'static str) -> Self {
        Self { query, ..self }
    }
}

fn asked(flow: (ResourceType, ActionKind), by: &'static str, given: &'static [Given], body: &'static str) -> Scenario {
    Scenario {
        flow,
        by,
        again: by,
        note: "",
        given,
        query: "",
        body,
        heals: false,
        keeps: None,
        is_variant: false,
        own_step: "",
    }
}

const DROPLET: &[Given] = &[Given::Droplet("{}")];
const TAGGED: &[Given] = &[Given::Droplet(r#"{"tags":["web"]}"#)];
const OFF: &[Given] = &[Given::Droplet(r#"{"tags":["web"]}"#), Given::Act(r#"{"type":"power_off"}"#)];
const SAVED: &[Given] = &[Given::Droplet(r#"{"tags":["web"],"backups":true}"#)];
const BACKED_UP: &[Given] = &[Given::Droplet(r#"{"backups":true}"#), Given::Backup];
const VOLUME: &[Given] = &[Given::Volume];
const APART: &[Given] = &[Given::Droplet("{}"), Given::Volume];
const ATTACHED: &[Given] = &[Given::Droplet("{}"), Given::Volume, Given::Attached];
const RESERVED: &[Given] = &[Given::Droplet("{}"), Given::ReservedIp];
const LED: &[Given] = &[Given::Droplet("{}"), Given::ReservedIp, Given::Assigned];
const RESERVED6: &[Given] = &[Given::Droplet(r#"{"ipv6":true}"#), Given::ReservedIpv6];
const LED6: &[Given] = &[Given::Droplet(r#"{"ipv6":true}"#), Given::ReservedIpv6, Given::Assigned6];
const SNAPPED: &[Given] = &[Given::Volume, Given::VolumeSnapshot];
const IMAGE: &[Given] = &[Given::Image];
const WHOLE: &[Given] = &[
    Given::Droplet(r#"{"backups":true}"#),
    Given::Volume,
    Given::Attached,
    Given::VolumeSnapshot,
    Given::Act(r#"{"type":"snapshot","name":"whole"}"#),
    Given::Backup,
    Given::ReservedIp,
    Given::Assigned,
];

const GPU: &str = r#"{"region":"nyc2","size":"gpu-h100x1-80gb","image":"gpu-h100x1-base"}"#;
const GPU_SAVED: &str = r#"{"region":"nyc2","size":"gpu-h100x1-80gb","image":"gpu-h100x1-base","backups":true}"#;
const METAL: &[Given] = &[Given::OnMetal { frees: false }];
const GPU_ON: &[Given] = &[Given::OnMetal { frees: false }, Given::Droplet(GPU)];
const GPU_OFF: &[Given] =
    &[Given::OnMetal { frees: false }, Given::Droplet(GPU), Given::Act(r#"{"type":"power_off"}"#)];
const GPU_BACKED_UP: &[Given] = &[Given::OnMetal { frees: false }, Given::Droplet(GPU_SAVED), Given::Backup];
const FREED_ON: &[Given] = &[Given::OnMetal { frees: true }, Given::Droplet(GPU)];
const FREED_OFF: &[Given] =
    &[Given::OnMetal { frees: true }, Given::Droplet(GPU), Given::Act(r#"{"type":"power_off"}"#)];

/// A host that names its own GPUs.
fn metal_host() -> Host {
    let gpu = |address: &str| HostGpu {
        address: address.parse().expect("an address"),
        model: "nvidia_h100".to_owned(),
        memory_mib: 81_920,
        node: None,
        state: GpuState::Ready,
    };
    let gpus = HostGpus::These(["0000:17:00.0", "0000:65:00.0"].map(gpu).into());
    Host { name: "metal".into(), vcpus: 64, memory_mib: 1_048_576, gpus }
}

/// Every way there is.
pub(super) fn scenarios() -> Vec<Scenario> {
    let on_droplet = |kind, given, body| asked((Droplet, kind), "dropletActions_post", given, body);
    let by_tag = |kind, given, body| {
        asked((Droplet, kind), "dropletActions_post_byTag", given, body).with_query("tag_name=web").variant()
    };
    let on_image = |kind, given, body| asked((Image, kind), "imageActions_post", given, body);
    let by_id = |kind, given, body| asked((Volume, kind), "volumeActions_post_byId", given, body);
    let by_name = |kind, given, body| asked((Volume, kind), "volumeActions_post", given, body).variant();
    let destroy = |by, given| asked((Droplet, Destroy), by, given, "");
    let create = |given, body| asked((Droplet, Create), "droplets_create", given, body);
    const NEW: &str = r#"{"name":"web-1","region":"nyc3","size":"s-1vcpu-1gb","image":"ubuntu-24-04-x64"}"#;
    const ASSIGN: &str = r#"{"type":"assign","droplet_id":{droplet}}"#;
    const UNASSIGN: &str = r#"{"type":"unassign"}"#;
    const RETRY: &str = "droplets_destroy_retryWithAssociatedResources";
    const SELECTIVE: &str = "droplets_destroy_withAssociatedResourcesSelective";
    let teardown = |by, given| Scenario { again: RETRY, heals: true, ..destroy(by, given) };
    vec![
        create(&[], NEW),
        create(&[], r#"{"name":"web-1","region":"tor1","size":"gpu-h100x1-80gb","image":"gpu-h100x1-base"}"#)
            .given_too(", with a GPU", &[]),
        create(METAL, r#"{"name":"web-1","region":"nyc2","size":"gpu-h100x1-80gb","image":"gpu-h100x1-base"}"#)
            .with_gpus(", with a GPU of its host"),
        destroy("droplets_destroy", GPU_ON).with_gpus(", with a GPU of its host"),
        teardown(DANGEROUS, GPU_ON).with_gpus(", with a GPU of its host"),
        on_droplet(PowerOn, GPU_OFF, r#"{"type":"power_on"}"#).with_gpus(", with a GPU of its host"),
        on_droplet(PowerOn, FREED_OFF, r#"{"type":"power_on"}"#).with_gpus(", that let go of its GPU"),
        on_droplet(PowerOff, FREED_ON, r#"{"type":"power_off"}"#).with_gpus(", that lets go of its GPU"),
        on_droplet(Shutdown, FREED_ON, r#"{"type":"shutdown"}"#).with_gpus(", that lets go of its GPU"),
        on_droplet(Reboot, GPU_ON, r#"{"type":"reboot"}"#).with_gpus(", with a GPU of its host"),
        on_droplet(PowerCycle, FREED_OFF, r#"{"type":"power_cycle"}"#).with_gpus(", that let go of its GPU"),
        on_droplet(Rebuild, GPU_ON, r#"{"type":"rebuild","image":"gpu-h100x8-base"}"#)
            .with_gpus(", with a GPU of its host"),
        on_droplet(Restore, GPU_BACKED_UP, r#"{"type":"restore","image":{image}}"#).with_gpus(", with a GPU of its host"),
        create(&[Given::NoRoom], NEW).given_too(", without room at first", &[Given::NoRoom]),
        create(
            VOLUME,
            r#"{"name":"web-1","region":"nyc3","size":"s-1vcpu-1gb","image":"ubuntu-24-04-x64","volumes":["{volume}"],"ipv6":true,"tags":["web"],"user_data":"x"}"#,
        )
        .given_too(", with a volume", VOLUME),
        create(IMAGE, r#"{"name":"web-1","region":"nyc3","size":"s-1vcpu-1gb","image":{image}}"#)
            .given_too(", from an own image", IMAGE),
        destroy("droplets_destroy", ATTACHED),
        destroy("droplets_destroy", BACKED_UP).given_too(", with a backup", BACKED_UP),
        destroy("droplets_destroy_byTag", TAGGED).with_query("tag_name=web").variant(),
        teardown(DANGEROUS, WHOLE),
        Scenario { body: r#"{"volumes":["{volume}"],"reserved_ips":["{ip}"]}"#, ..teardown(SELECTIVE, WHOLE) },
        destroy("droplets_destroy", LED).given_too(", with a reserved IP", LED),
        teardown(RETRY, &[Given::Droplet("{}"), Given::Volume, Given::Attached, Given::FailedTeardown]),
        on_droplet(PowerOn, OFF, r#"{"type":"power_on"}"#),
        on_droplet(PowerOff, DROPLET, r#"{"type":"power_off"}"#),
        on_droplet(Shutdown, DROPLET, r#"{"type":"shutdown"}"#),
        on_droplet(Reboot, DROPLET, r#"{"type":"reboot"}"#),
        on_droplet(PowerCycle, DROPLET, r#"{"type":"power_cycle"}"#),
        on_droplet(Rename, DROPLET, r#"{"type":"rename","name":"web-2"}"#),
        on_droplet(EnablePrivateNetworking, DROPLET, r#"{"type":"enable_private_networking"}"#),
        on_droplet(Snapshot, DROPLET, r#"{"type":"snapshot","name":"before"}"#),
        on_droplet(Rebuild, DROPLET, r#"{"type":"rebuild","image":"debian-12-x64"}"#),
        on_droplet(Restore, BACKED_UP, r#"{"type":"restore","image":{image}}"#),
        on_droplet(Resize, OFF, r#"{"type":"resize","size":"s-1vcpu-2gb","disk":true}"#),
        on_droplet(EnableIpv6, DROPLET, r#"{"type":"enable_ipv6"}"#),
        on_droplet(EnableBackups, DROPLET, r#"{"type":"enable_backups"}"#),
        on_droplet(DisableBackups, SAVED, r#"{"type":"disable_backups"}"#),
        on_droplet(ChangeBackupPolicy, SAVED, r#"{"type":"change_backup_policy","backup_policy":{"plan":"weekly"}}"#),
        on_droplet(PasswordReset, DROPLET, r#"{"type":"password_reset"}"#),
        asked((Droplet, Backup), BY_ITSELF, SAVED, ""),
        by_tag(PowerOn, OFF, r#"{"type":"power_on"}"#),
        by_tag(PowerOff, TAGGED, r#"{"type":"power_off"}"#),
        by_tag(Shutdown, TAGGED, r#"{"type":"shutdown"}"#),
        by_tag(PowerCycle, TAGGED, r#"{"type":"power_cycle"}"#),
        by_tag(EnableIpv6, TAGGED, r#"{"type":"enable_ipv6"}"#),
        by_tag(EnableBackups, TAGGED, r#"{"type":"enable_backups"}"#),
        by_tag(DisableBackups, SAVED, r#"{"type":"disable_backups"}"#),
        by_tag(Snapshot, TAGGED, r#"{"type":"snapshot","name":"before"}"#),
        asked(
            (Image, Create),
            "images_create_custom",
            &[],
            r#"{"name":"own","url":"http://example.com/i.raw","region":"nyc3"}"#,
        ),
        asked((Image, Destroy), "images_delete", IMAGE, ""),
        asked((Image, Destroy), "snapshots_delete", &[Given::Droplet("{}"), Given::Act(r#"{"type":"snapshot","name":"before"}"#)], ""),
        on_image(Transfer, IMAGE, r#"{"type":"transfer","region":"lon1"}"#),
        on_image(Convert, &[Given::Image, Given::AsBackup], r#"{"type":"convert"}"#),
        asked((Volume, Create), "volumes_create", &[], r#"{"name":"data","region":"nyc3","size_gigabytes":10}"#),
        asked((Volume, Create), "volumes_create", SNAPPED, r#"{"name":"copy","snapshot_id":"{snapshot}"}"#)
            .given_too(", from a snapshot", SNAPPED),
        asked((Volume, Destroy), "volumes_delete", VOLUME, ""),
        asked((Volume, Destroy), "volumes_delete_byName", VOLUME, "").with_query("name=data&region=nyc3").variant(),
        by_id(AttachVolume, APART, r#"{"type":"attach","droplet_id":{droplet}}"#),
        by_id(DetachVolume, ATTACHED, r#"{"type":"detach","droplet_id":{droplet}}"#),
        by_id(ActionKind::Resize, VOLUME, r#"{"type":"resize","size_gigabytes":20}"#),
        by_name(AttachVolume, APART, r#"{"type":"attach","droplet_id":{droplet},"volume_name":"data","region":"nyc3"}"#),
        by_name(DetachVolume, ATTACHED, r#"{"type":"detach","droplet_id":{droplet},"volume_name":"data","region":"nyc3"}"#),
        by_name(ActionKind::Resize, ATTACHED, r#"{"type":"resize","size_gigabytes":20,"volume_name":"data","region":"nyc3"}"#),
        asked((ReservedIp, AssignIp), "reservedIPs_create", DROPLET, r#"{"droplet_id":{droplet}}"#)
            .keeping("reserved ip"),
        asked((ReservedIp, AssignIp), "reservedIPsActions_post", RESERVED, ASSIGN),
        asked((ReservedIp, UnassignIp), "reservedIPsActions_post", LED, UNASSIGN),
        asked((ReservedIp, ReleaseIp), "reservedIPs_delete", LED, ""),
        asked((ReservedIp, AssignIp), "floatingIPs_create", DROPLET, r#"{"droplet_id":{droplet}}"#)
            .keeping("reserved ip")
            .variant(),
        asked((ReservedIp, AssignIp), "floatingIPsAction_post", RESERVED, ASSIGN).variant(),
        asked((ReservedIp, UnassignIp), "floatingIPsAction_post", LED, UNASSIGN).variant(),
        asked((ReservedIp, ReleaseIp), "floatingIPs_delete", LED, "").variant(),
        asked((ReservedIpv6, AssignIp), "reservedIPv6Actions_post", RESERVED6, ASSIGN).variant(),
        asked((ReservedIpv6, UnassignIp), "reservedIPv6Actions_post", LED6, UNASSIGN).variant(),
        asked((ReservedIpv6, ReleaseIp), "reservedIPv6_delete", LED6, "").variant(),
        asked((Volume, Snapshot), "volumeSnapshots_create", VOLUME, r#"{"name":"before"}"#),
        asked((VolumeSnapshot, Destroy), "volumeSnapshots_delete_byId", SNAPPED, ""),
        asked((VolumeSnapshot, Destroy), "snapshots_delete", SNAPPED, "").variant(),
    ]
}

/// The ids of what was given.
#[derive(Clone, Debug, Default)]
pub(super) struct Stage {
    droplet: String,
    volume: String,
    image: String,
    snapshot: String,
    ip: String,
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

impl Stage {
    /// Puts there what is given, beside a Droplet that has nothing to do with any of it.
    pub(super) async fn set(app: &TestApp, given: &[Given]) -> Self {
        app.admin().active_droplet("bystander").await;
        let mut stage = Self::default();
        for one in given {
            stage.add(app, *one).await;
            app.run_actions_to_end().await;
            stage.look(app).await;
        }
        assert_eq!(app.backlog().await, 0, "all that is given is there");
        stage
    }

    async fn add(&self, app: &TestApp, given: Given) {
        let admin = app.admin();
        let act =
            async |body: Value| admin.post(&format!("/v2/droplets/{}/actions", self.droplet), body).await.expect(201);
        match given {
            Given::Droplet(members) => {
                admin.post("/v2/droplets", crate::droplet(json_of(members))).await.expect(202);
            }
            Given::Act(body) => drop(act(json_of(body)).await),
            Given::Volume => drop(admin.post("/v2/volumes", crate::volume(json!({}))).await.expect(201)),
            Given::Attached => {
                let body = with(json!({ "type": "attach" }), json!({ "droplet_id": json_of(&self.droplet) }));
                admin.post(&format!("/v2/volumes/{}/actions", self.volume), body).await.expect(202);
            }
            Given::VolumeSnapshot => {
                let path = format!("/v2/volumes/{}/snapshots", self.volume);
                admin.post(&path, json!({ "name": "before" })).await.expect(201);
            }
            Given::Image => {
                let body = json!({ "name": "own", "url": "http://example.com/i.raw", "region": "nyc3" });
                admin.post("/v2/images", body).await.expect(202);
            }
            Given::AsBackup => app.turn_into_backup(self.image.parse().expect("a number")).await,
            Given::Backup => {
                app.move_to_backup(self.droplet.parse().expect("a number")).await;
                app.backup_round().await;
            }
            Given::ReservedIp => {
                admin.post("/v2/reserved_ips", json!({ "region": "nyc3" })).await.expect(202);
            }
            Given::ReservedIpv6 => {
                admin.post("/v2/reserved_ipv6", json!({ "region_slug": "nyc3" })).await.expect(201);
            }
            Given::Assigned | Given::Assigned6 => {
                let list = if given == Given::Assigned { "reserved_ips" } else { "reserved_ipv6" };
                let body = with(json!({ "type": "assign" }), json!({ "droplet_id": json_of(&self.droplet) }));
                admin.post(&format!("/v2/{list}/{}/actions", self.ip), body).await.expect(201);
            }
            Given::FailedTeardown => {
                app.sim().faults().order(fault(Operation::RemoveVolume, Moment::Before, 1, for_good));
                let path = format!("/v2/droplets/{}/destroy_with_associated_resources/dangerous", self.droplet);
                send(app, "DELETE", &path, "").await.expect(202);
            }
            // The engine was given it before.
            Given::OnMetal { .. } => {}
            Given::NoRoom => declare_host(app, 512).await,
        }
    }

    /// Learns the ids of what is there now; what is gone keeps its id.
    pub(super) async fn look(&mut self, app: &TestApp) {
        for (name, path) in deletable(app).await {
            let id = path.rsplit('/').next().expect("a path").to_owned();
            match name.split_once(' ').expect("two words") {
                ("Droplet", "web-1") => self.droplet = id,
                ("volume", "data") => self.volume = id,
                ("image", _) => self.image = id,
                ("snapshot", _) => self.snapshot = id,
                ("reserved", _) => self.ip = id,
                _ => {}
            }
        }
    }

    /// `text` with the ids in their places.
    fn fill(&self, text: &str) -> String {
        // What both lists of snapshots call one is the volume's where there is one.
        let snapshot_id = if self.snapshot.is_empty() { &self.image } else { &self.snapshot };
        [
            ("{droplet_id}", &self.droplet),
            ("{droplet}", &self.droplet),
            ("{volume_id}", &self.volume),
            ("{volume}", &self.volume),
            ("{image_id}", &self.image),
            ("{image}", &self.image),
            ("{reserved_ip}", &self.ip),
            ("{floating_ip}", &self.ip),
            ("{reserved_ipv6}", &self.ip),
            ("{ip}", &self.ip),
            ("{snapshot_id}", snapshot_id),
            ("{snapshot}", &self.snapshot),
        ]
        .into_iter()
        .fold(text.to_owned(), |text, (place, id)| text.replace(place, id))
    }
}

async fn send(app: &TestApp, method: &str, path: &str, body: &str) -> Answer {
    // The header that the most dangerous of them asks for; no other minds it.
    let request = Request::builder().method(method).uri(path).header("host", "dew.test").header("x-dangerous", "true");
    let body = axum::body::Body::from(body.to_owned());
    app.admin().send(request.body(body).expect("a request")).await
}

/// The server's own description of its operations, which is the same whatever happens.
pub(super) async fn document(app: &TestApp) -> &'static Value {
    static DOCUMENT: OnceCell<Value> = OnceCell::const_new();
    DOCUMENT.get_or_init(async || app.nobody().get("/dew/v1/openapi.json").await.expect(200)).await
}

/// Method and path of an operation, as the server's own document has them.
pub(super) fn place_of(document: &Value, operation: &str) -> (String, String) {
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, described) in methods.as_object().expect("methods") {
            if described["operationId"] == operation {
                return (method.to_uppercase(), path.clone());
            }
        }
    }
    panic!("the server has no operation {operation}");
}

impl Scenario {
    /// Asks for the action by its operation, or by that which asks again; none when it comes by itself.
    pub(super) async fn ask(&self, app: &TestApp, document: &Value, stage: &Stage, again: bool) -> Option<Answer> {
        let by = if again { self.again } else { self.by };
        if by == BY_ITSELF {
            app.move_to_backup(stage.droplet.parse().expect("a number")).await;
            app.control().backup_round().await.expect("the store can be written");
            return None;
        }
        let answer = send_to(app, document, by, stage, self.query, self.body).await;
        if self.given.contains(&Given::NoRoom) {
            declare_host(app, 1024).await;
        }
        Some(answer)
    }
}

/// Declares a host with room for one Droplet, or without; creates wait for it.
async fn declare_host(app: &TestApp, memory_mib: u64) {
    let host = json!({ "name": "h1", "region": "nyc3", "vcpus": 1, "memory_mib": memory_mib });
    let body = json!({ "hosts": [host], "out_of_stock": { "s-1vcpu-1gb": "queue" } });
    app.admin().put("/dew/v1/stock", body).await.expect(200);
}

/// Sends a body, with the ids in their places, to an operation.
pub(super) async fn send_to(
    app: &TestApp,
    document: &Value,
    by: &str,
    stage: &Stage,
    query: &str,
    body: &str,
) -> Answer {
    let (method, path) = place_of(document, by);
    let path = format!("{}?{query}", stage.fill(&path));
    send(app, &method, path.trim_end_matches('?'), &stage.fill(body)).await
}
