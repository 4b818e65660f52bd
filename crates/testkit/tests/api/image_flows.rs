//! Every step of every action on an image, under every kind of trouble: the image is available or gone, in the store and in
//! the engine alike.

use dewpoint_api::{ActionKind, ResourceType};
use dewpoint_control::actions::{FLOWS, Point, steps_of};
use dewpoint_engine::{Operation, Storage as _, sim::Moment};
use dewpoint_testkit::TestApp;
use serde_json::json;

use crate::{each, fault, for_good, for_now};

/// What goes wrong, and whether the step fails in the end.
const TROUBLES: [(Trouble, bool); 7] = [
    (Trouble::Fault(Moment::Before, 1, true), true),
    (Trouble::Fault(Moment::After, 1, true), true),
    (Trouble::Fault(Moment::Before, 1, false), false),
    (Trouble::Fault(Moment::After, 1, false), false),
    (Trouble::Crash(Point::Before), false),
    (Trouble::Crash(Point::Done), false),
    (Trouble::Crash(Point::Stored), false),
];

#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// When in the call, how often, and whether for good.
    Fault(Moment, u32, bool),
    Crash(Point),
}

fn operation_of(kind: ActionKind, step: &str) -> Option<Operation> {
    match (kind, step) {
        (ActionKind::Create, "begin") | (ActionKind::Transfer, "transfer") | (ActionKind::Convert, "convert") => None,
        (ActionKind::Create, "fetch") => Some(Operation::Import),
        (ActionKind::Create, "discard") | (ActionKind::Destroy, "remove") => Some(Operation::RemoveImage),
        _ => panic!("say here what the step {step} of {kind} asks of the engine"),
    }
}

async fn try_out(kind: ActionKind, step: &'static str, trouble: Trouble, fatal: bool) {
    let case = format!("{kind}, step {step}, {trouble:?}");
    let mut app = TestApp::start().await;
    let body = json!({ "name": "own", "url": "http://example.com/i.raw", "region": "nyc3" });
    let id = app.admin().post("/v2/images", body).await.expect(202)["image"]["id"].as_u64().expect("a number");
    let path = format!("/v2/images/{id}");
    if kind != ActionKind::Create {
        app.run_actions_to_end().await;
    }
    match kind {
        ActionKind::Create => {}
        ActionKind::Destroy => drop(app.admin().delete(&path).await.expect(204)),
        _ => {
            if kind == ActionKind::Convert {
                app.turn_into_backup(id).await;
            }
            let body = json!({ "type": kind.as_str(), "region": "lon1" });
            app.admin().post(&format!("{path}/actions"), body).await.expect(201);
        }
    }
    let action = app.admin().newest_action().await["id"].as_u64().expect("a number");
    if step == "discard" {
        app.sim().faults().order(fault(Operation::Import, Moment::After, 1, for_good));
    }
    match trouble {
        Trouble::Crash(point) => app.crash_worker_at(kind.as_str(), step, point),
        Trouble::Fault(moment, times, good) => {
            if let Some(operation) = operation_of(kind, step) {
                app.sim().faults().order(fault(operation, moment, times, if good { for_good } else { for_now }));
            }
        }
    }
    app.run_actions_to_end().await;
    if matches!(trouble, Trouble::Crash(_)) {
        assert!(app.worker_has_crashed(), "{case}: it never came there");
        app.restart().await;
    }
    app.run_actions_to_end_in_time().await;

    let story = app.admin().action_story(action).await;
    let fails = step == "discard" || fatal && operation_of(kind, step).is_some();
    assert_eq!(story["action"]["status"], if fails { "errored" } else { "completed" }, "{case}: {story}");
    let removal_failed = fatal && matches!(step, "discard" | "remove");
    if removal_failed {
        // What the engine kept belongs to nothing any more: the next start removes it.
        app.restart().await;
    }
    let kept = app.sim().images().await.expect("the simulator answers").len();
    let seen = app.admin().get(&path).await;
    match (kind, fails) {
        (ActionKind::Create, true) => {
            let image = seen.expect(200)["image"].clone();
            assert_eq!((&image["status"], kept), (&json!("deleted"), 0), "{case}");
            assert!(image["error_message"].as_str().is_some_and(|why| !why.is_empty()), "{case}");
        }
        (ActionKind::Destroy, _) => {
            seen.refusal(404, "not_found");
            assert_eq!(kept, 0, "{case}");
        }
        _ => {
            let image = seen.expect(200)["image"].clone();
            assert_eq!((&image["status"], kept), (&json!("available"), 1), "{case}");
            let regions = if kind == ActionKind::Transfer { json!(["nyc3", "lon1"]) } else { json!(["nyc3"]) };
            assert_eq!(image["regions"], regions, "{case}");
            assert_eq!(image["type"], if kind == ActionKind::Convert { "snapshot" } else { "custom" }, "{case}");
        }
    }
    let done = story["timeline"].as_array().expect("a list").iter().filter(|entry| entry["error"].is_null()).count();
    assert!(done <= steps_of(ResourceType::Image, kind).len(), "{case}: {:?}", each(&story["timeline"], "step"));
    app.books_balance().await;
}

#[tokio::test]
async fn every_action_on_an_image_survives_any_trouble_in_any_step() {
    for (resource, kind) in FLOWS.iter().copied().filter(|(resource, _)| *resource == ResourceType::Image) {
        for step in steps_of(resource, kind) {
            for (trouble, fatal) in TROUBLES {
                try_out(kind, step, trouble, fatal).await;
            }
        }
    }
}
