//! Every step of every action on a volume or a snapshot of one, under every kind of trouble: the action ends, and rows, locks
//! and engine agree.

use dewpoint_api::{ActionKind, ResourceType};
use dewpoint_control::actions::{FLOWS, Point, steps_of};
use dewpoint_engine::{Operation, sim::Moment};
use dewpoint_testkit::TestApp;
use serde_json::{Value, json};

use crate::{fault, for_good, for_now, volume_id};

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// When in the call, how often, and whether for good.
    Fault(Moment, u32, bool),
    Crash(Point),
}

/// The troubles, and whether the step fails in the end.
const TROUBLES: [(Trouble, bool); 8] = [
    (Trouble::Fault(Moment::Before, 1, true), true),
    (Trouble::Fault(Moment::After, 1, true), true),
    (Trouble::Fault(Moment::Before, 1, false), false),
    (Trouble::Fault(Moment::After, 1, false), false),
    (Trouble::Fault(Moment::After, 5, false), true),
    (Trouble::Crash(Point::Before), false),
    (Trouble::Crash(Point::Done), false),
    (Trouble::Crash(Point::Stored), false),
];

fn operation_of(resource: ResourceType, kind: ActionKind, step: &str) -> Operation {
    match (resource, kind, step) {
        (ResourceType::Volume, ActionKind::Create, "make") => Operation::EnsureVolume,
        (ResourceType::Volume, ActionKind::Destroy, "remove") => Operation::RemoveVolume,
        (ResourceType::Volume, ActionKind::AttachVolume, "attach") => Operation::Attach,
        (ResourceType::Volume, ActionKind::AttachVolume, "take-back")
        | (ResourceType::Volume, ActionKind::DetachVolume, "detach") => Operation::Detach,
        (ResourceType::Volume, ActionKind::Resize, "resize") => Operation::ResizeVolume,
        (ResourceType::Volume, ActionKind::Snapshot, "take") => Operation::SnapshotVolume,
        (ResourceType::Volume, ActionKind::Snapshot, "discard")
        | (ResourceType::VolumeSnapshot, ActionKind::Destroy, "remove") => Operation::RemoveImage,
        _ => panic!("say here what the step {step} of {kind} asks of the engine"),
    }
}

/// What has to fail for a compensation to begin.
fn cause_of(step: &str) -> Option<Operation> {
    match step {
        "take-back" => Some(Operation::Attach),
        "discard" => Some(Operation::SnapshotVolume),
        _ => None,
    }
}

/// Where things stand before the action.
struct Scene {
    droplet: u64,
    volume: String,
    snapshot: Option<String>,
}

/// Brings the action about; returns its number.
async fn begin(app: &TestApp, resource: ResourceType, kind: ActionKind) -> (u64, Scene) {
    let admin = app.admin();
    let droplet = admin.active_droplet("web-1").await;
    let volume = volume_id(&admin, json!({})).await;
    let path = format!("/v2/volumes/{volume}");
    let mut scene = Scene { droplet, volume, snapshot: None };
    if kind != ActionKind::Create {
        app.run_actions_to_end().await;
    }
    let attach = json!({ "type": "attach", "droplet_id": droplet });
    match (resource, kind) {
        (ResourceType::Volume, ActionKind::Create) => {}
        (ResourceType::Volume, ActionKind::Destroy) => drop(admin.delete(&path).await.expect(204)),
        (ResourceType::Volume, ActionKind::AttachVolume) => {
            admin.post(&format!("{path}/actions"), attach).await.expect(202);
        }
        (ResourceType::Volume, ActionKind::DetachVolume) => {
            admin.post(&format!("{path}/actions"), attach).await.expect(202);
            app.run_actions_to_end().await;
            let body = json!({ "type": "detach", "droplet_id": droplet });
            admin.post(&format!("{path}/actions"), body).await.expect(202);
        }
        (ResourceType::Volume, ActionKind::Resize) => {
            let body = json!({ "type": "resize", "size_gigabytes": 20 });
            admin.post(&format!("{path}/actions"), body).await.expect(202);
        }
        (ResourceType::Volume, ActionKind::Snapshot) | (ResourceType::VolumeSnapshot, ActionKind::Destroy) => {
            let made = admin.post(&format!("{path}/snapshots"), json!({ "name": "before" })).await.expect(201);
            let id = made["snapshot"]["id"].as_str().expect("an id").to_owned();
            if resource == ResourceType::VolumeSnapshot {
                app.run_actions_to_end().await;
                admin.delete(&format!("/v2/volumes/snapshots/{id}")).await.expect(204);
            }
            scene.snapshot = Some(id);
        }
        (resource, kind) => panic!("say here how {kind} of a {resource} begins"),
    }
    let action = admin.newest_action().await;
    assert_eq!((&action["type"], &action["status"]), (&json!(kind.as_str()), &json!("in-progress")));
    (action["id"].as_u64().expect("a number"), scene)
}

async fn try_out(resource: ResourceType, kind: ActionKind, step: &'static str, trouble: Trouble, fatal: bool) {
    let case = format!("{kind} of a {resource}, step {step}, {trouble:?}");
    let mut app = TestApp::start().await;
    let (action, scene) = begin(&app, resource, kind).await;
    if let Some(cause) = cause_of(step) {
        app.sim().faults().order(fault(cause, Moment::After, 1, for_good));
    }
    match trouble {
        Trouble::Crash(point) => app.crash_worker_at(kind.as_str(), step, point),
        Trouble::Fault(moment, times, good) => {
            let operation = operation_of(resource, kind, step);
            app.sim().faults().order(fault(operation, moment, times, if good { for_good } else { for_now }));
        }
    }
    app.run_actions_to_end().await;
    if matches!(trouble, Trouble::Crash(_)) {
        assert!(app.worker_has_crashed(), "{case}: it never came there");
        app.restart().await;
    }
    app.run_actions_to_end_in_time().await;

    let story = app.admin().action_story(action).await;
    let fails = fatal || cause_of(step).is_some();
    assert_eq!(story["action"]["status"], if fails { "errored" } else { "completed" }, "{case}: {story}");
    assert_eq!(story["reason"].is_string(), fails, "{case}: {}", story["reason"]);
    if fatal && matches!(step, "remove" | "discard") {
        // What the engine kept belongs to nothing any more: the next start removes it.
        app.restart().await;
    }
    app.books_balance().await;
    check_outcome(&app, (resource, kind), &scene, fails, &case).await;
}

/// What the API shows in the end. Where the volume is after a failure is the engine's to say, which the books compare.
async fn check_outcome(app: &TestApp, flow: (ResourceType, ActionKind), scene: &Scene, fails: bool, case: &str) {
    let admin = app.admin();
    let seen = admin.get(&format!("/v2/volumes/{}", scene.volume)).await;
    if flow == (ResourceType::Volume, ActionKind::Destroy) {
        seen.refusal(404, "not_found");
        return;
    }
    let shown = seen.expect(200)["volume"].clone();
    let (size, place): (u64, Value) = match (flow.1, fails) {
        (ActionKind::Resize, false) => (20, json!([])),
        (ActionKind::AttachVolume, false) => (10, json!([scene.droplet])),
        (ActionKind::AttachVolume | ActionKind::DetachVolume, true) => (10, shown["droplet_ids"].clone()),
        (ActionKind::Resize, true) => (shown["size_gigabytes"].as_u64().expect("a number"), json!([])),
        _ => (10, json!([])),
    };
    assert_eq!((&shown["size_gigabytes"], &shown["droplet_ids"]), (&json!(size), &place), "{case}");
    let Some(snapshot) = &scene.snapshot else { return };
    let seen = admin.get(&format!("/v2/volumes/snapshots/{snapshot}")).await;
    if fails || flow.0 == ResourceType::VolumeSnapshot {
        seen.refusal(404, "not_found");
    } else {
        assert_eq!(seen.expect(200)["snapshot"]["size_gigabytes"], 1.0, "{case}: a tenth of 10 GiB is in use");
    }
}

#[tokio::test]
async fn every_action_on_a_volume_survives_any_trouble_in_any_step() {
    let of_volumes = |resource: ResourceType| matches!(resource, ResourceType::Volume | ResourceType::VolumeSnapshot);
    for (resource, kind) in FLOWS.iter().copied().filter(|(resource, _)| of_volumes(*resource)) {
        for step in steps_of(resource, kind) {
            for (trouble, fatal) in TROUBLES {
                try_out(resource, kind, step, trouble, fatal).await;
            }
        }
    }
}
