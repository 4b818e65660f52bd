//! Every step of every kind of action, under every kind of trouble: the action ends, the Droplet is whole or gone, and
//! machines and addresses agree with it. New kinds are tried as soon as they have steps.

use dewpoint_api::{ActionKind, DropletStatus, ResourceType};
use dewpoint_control::actions::{Point, steps_of};
use dewpoint_engine::{
    Error as EngineError, MachineId, Operation,
    sim::{Fault, Moment},
};
use dewpoint_testkit::{TestApp, droplet_body};
use serde_json::{Value, json};

use crate::{each, ids, with};

/// What goes wrong in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// The engine says that it cannot, and has done nothing.
    FailsForGood,
    /// The engine says that it cannot, and yet has done it.
    FailsForGoodAfterItsWork,
    /// The engine says "not now", once.
    FailsForNow,
    /// The engine says "not now" once, and yet has done it: the step is done twice.
    FailsForNowAfterItsWork,
    /// The engine says "not now" until nobody asks any more.
    FailsForNowTooOften,
    /// The worker dies before the step.
    CrashBefore,
    /// The worker dies when the work is done and nothing of it is stored: the step is done twice.
    CrashDone,
    /// The worker dies when the result is stored.
    CrashStored,
}

impl Trouble {
    const ALL: [Self; 8] = [
        Self::FailsForGood,
        Self::FailsForGoodAfterItsWork,
        Self::FailsForNow,
        Self::FailsForNowAfterItsWork,
        Self::FailsForNowTooOften,
        Self::CrashBefore,
        Self::CrashDone,
        Self::CrashStored,
    ];

    fn crash(self) -> Option<Point> {
        match self {
            Self::CrashBefore => Some(Point::Before),
            Self::CrashDone => Some(Point::Done),
            Self::CrashStored => Some(Point::Stored),
            Self::FailsForGood
            | Self::FailsForGoodAfterItsWork
            | Self::FailsForNow
            | Self::FailsForNowAfterItsWork
            | Self::FailsForNowTooOften => None,
        }
    }

    /// The fault to order, when it is the engine's.
    fn fault(self, operation: Operation) -> Option<Fault> {
        type Make = fn(MachineId) -> EngineError;
        let (for_good, for_now): (Make, Make) = (crate::for_good, crate::for_now);
        let (moment, times, error) = match self {
            Self::FailsForGood => (Moment::Before, 1, for_good),
            Self::FailsForGoodAfterItsWork => (Moment::After, 1, for_good),
            Self::FailsForNow => (Moment::Before, 1, for_now),
            Self::FailsForNowAfterItsWork => (Moment::After, 1, for_now),
            Self::FailsForNowTooOften => (Moment::Before, 5, for_now),
            Self::CrashBefore | Self::CrashDone | Self::CrashStored => return None,
        };
        Some(crate::fault(operation, moment, times, error))
    }

    /// Whether the step fails in the end.
    fn is_fatal(self) -> bool {
        match self {
            Self::FailsForGood | Self::FailsForGoodAfterItsWork | Self::FailsForNowTooOften => true,
            Self::FailsForNow
            | Self::FailsForNowAfterItsWork
            | Self::CrashBefore
            | Self::CrashDone
            | Self::CrashStored => false,
        }
    }
}

/// What a step asks of the engine; nothing when it only writes. A new step has to be put in here.
fn operation_of(kind: ActionKind, step: &str) -> Option<Operation> {
    match (kind, step) {
        (ActionKind::Create, "ensure") => Some(Operation::Ensure),
        (ActionKind::Create, "attach") => Some(Operation::Attach),
        (ActionKind::Create, "boot") => Some(Operation::PowerOn),
        (ActionKind::Create | ActionKind::Destroy, "remove") => Some(Operation::Destroy),
        (ActionKind::PowerOn | ActionKind::Reboot | ActionKind::PowerCycle, "on") => Some(Operation::PowerOn),
        (ActionKind::PowerOff | ActionKind::PowerCycle, "off") => Some(Operation::PowerOff),
        (ActionKind::Shutdown | ActionKind::Reboot, "shutdown") => Some(Operation::Shutdown),
        (ActionKind::Snapshot | ActionKind::Backup, "take") => Some(Operation::Snapshot),
        (ActionKind::Snapshot | ActionKind::Backup, "discard") => Some(Operation::RemoveImage),
        (ActionKind::Rebuild | ActionKind::Restore, "off") => Some(Operation::PowerOff),
        (ActionKind::Rebuild | ActionKind::Restore, "rebuild") => Some(Operation::Rebuild),
        (ActionKind::Rebuild | ActionKind::Restore, "on") => Some(Operation::PowerOn),
        (ActionKind::Resize, "resize") | (ActionKind::EnableIpv6, "address") => Some(Operation::Change),
        (ActionKind::PasswordReset, "set") => Some(Operation::SetPassword),
        (ActionKind::EnableBackups | ActionKind::DisableBackups | ActionKind::ChangeBackupPolicy, "write") => None,
        (ActionKind::Rename, "rename") | (ActionKind::EnablePrivateNetworking, "nothing") => None,
        _ => panic!("say here what the step {step} of {kind} asks of the engine"),
    }
}

/// The step whose failure a step takes back, when that is all it does.
fn taken_back_by(kind: ActionKind, step: &str) -> Option<&'static str> {
    match (kind, step) {
        (ActionKind::Create, "remove") => Some("boot"),
        (ActionKind::Snapshot | ActionKind::Backup, "discard") => Some("take"),
        _ => None,
    }
}

/// Whether a step only takes back what a failed one did.
fn is_compensation(kind: ActionKind, step: &str) -> bool {
    taken_back_by(kind, step).is_some()
}

/// What a Droplet is after its action succeeded; `None`: gone.
fn status_after(kind: ActionKind) -> Option<DropletStatus> {
    match kind {
        ActionKind::Destroy => None,
        ActionKind::PowerOff | ActionKind::Shutdown | ActionKind::Resize => Some(DropletStatus::Off),
        _ => Some(DropletStatus::Active),
    }
}

/// Brings about the action: returns its number and its Droplet's.
async fn begin(app: &TestApp, kind: ActionKind) -> (u64, u64) {
    let admin = app.admin();
    let id = match kind {
        ActionKind::Create => {
            let volume = json!({ "name": "data", "region": "nyc3", "size_gigabytes": 1 });
            let volume = admin.post("/v2/volumes", volume).await.expect(201)["volume"]["id"].clone();
            app.run_actions_to_end().await;
            let body = crate::droplet(json!({ "volumes": [volume] }));
            let made = admin.post("/v2/droplets", body).await.expect(202);
            made["droplet"]["id"].as_u64().expect("a number")
        }
        ActionKind::Backup | ActionKind::Restore | ActionKind::DisableBackups | ActionKind::ChangeBackupPolicy => {
            let body = with(droplet_body("web-1"), json!({ "backups": true }));
            let id = ids(&json!([admin.post("/v2/droplets", body).await.expect(202)["droplet"]]))[0];
            app.run_actions_to_end().await;
            id
        }
        _ => admin.active_droplet("web-1").await,
    };
    match kind {
        ActionKind::Create => {}
        ActionKind::Destroy => drop(admin.delete(&format!("/v2/droplets/{id}")).await.expect(204)),
        ActionKind::Backup => {
            app.move_to_backup(id).await;
            app.control().backup_round().await.expect("the store can be written");
        }
        other => {
            if matches!(other, ActionKind::PowerOn | ActionKind::Resize) {
                admin.act(id, "power_off").await.expect(201);
                app.run_actions_to_end().await;
            }
            if other == ActionKind::Restore {
                app.move_to_backup(id).await;
                app.backup_round().await;
            }
            let members = match other {
                ActionKind::Rename => json!({ "name": "web-2" }),
                ActionKind::Rebuild => json!({ "image": "debian-12-x64" }),
                ActionKind::Restore => json!({ "image": admin.droplet(id).await["backup_ids"][0] }),
                ActionKind::Resize => json!({ "size": "s-1vcpu-2gb", "disk": true }),
                ActionKind::ChangeBackupPolicy => json!({ "backup_policy": { "plan": "weekly" } }),
                _ => json!({}),
            };
            let body = with(json!({ "type": other.as_str() }), members);
            admin.post(&format!("/v2/droplets/{id}/actions"), body).await.expect(201);
        }
    }
    let action = admin.newest_action().await;
    assert_eq!((action["type"].as_str(), action["status"].as_str()), (Some(kind.as_str()), Some("in-progress")));
    (action["id"].as_u64().expect("a number"), id)
}

/// Makes the trouble and sees the action through, with a restart after a crash.
async fn suffer(app: &mut TestApp, kind: ActionKind, step: &str, trouble: Trouble) {
    if let Some(failed) = taken_back_by(kind, step) {
        let operation = operation_of(kind, failed).expect("it asks the engine");
        let fault = Trouble::FailsForGoodAfterItsWork.fault(operation).expect("a fault of the engine");
        app.sim().faults().order(fault);
    }
    if let Some(point) = trouble.crash() {
        app.crash_worker_at(kind.as_str(), step, point);
    } else if let Some(operation) = operation_of(kind, step) {
        app.sim().faults().order(trouble.fault(operation).expect("a fault of the engine"));
    }
    app.run_actions_to_end().await;
    if trouble.crash().is_some() {
        assert!(app.worker_has_crashed(), "it never came to {step}");
        app.restart().await;
    }
    app.run_actions_to_end_in_time().await;
}

async fn try_out(kind: ActionKind, step: &'static str, trouble: Trouble) {
    let case = format!("{kind}, step {step}, {trouble:?}");
    let mut app = TestApp::start().await;
    let bystander = app.admin().active_droplet("bystander").await;
    let (action, droplet) = begin(&app, kind).await;

    suffer(&mut app, kind, step, trouble).await;

    let story = app.admin().action_story(action).await;
    let fails = trouble.is_fatal() && operation_of(kind, step).is_some() || is_compensation(kind, step);
    let expected = if fails { "errored" } else { "completed" };
    assert_eq!(story["action"]["status"], expected, "{case}: {story}");
    assert!(story["action"]["completed_at"].is_string(), "{case}: ACT-3");
    assert_eq!(story["reason"].is_string(), fails, "{case}: {}", story["reason"]);
    check_timeline(&story, kind, step, trouble, &case);

    let removal_failed = trouble.is_fatal() && step == "remove";
    if removal_failed {
        // Nobody sees the Droplet any more; what the engine kept goes at the next start, or was gone already.
        app.admin().get(&format!("/v2/droplets/{droplet}")).await.refusal(404, "not_found");
        let machines = app.machines().await;
        let held = app.addresses().await.iter().any(|(.., holder)| *holder == Some(droplet));
        assert_eq!(machines.contains(&droplet), held, "{case}: a machine keeps its addresses, and nothing else does");
        assert_eq!(machines.contains(&droplet), trouble != Trouble::FailsForGoodAfterItsWork, "{case}");
        app.restart().await;
    }
    if trouble.is_fatal() && step == "discard" {
        // What could not be discarded is nobody's, and goes at the next start.
        app.restart().await;
    }
    check_images(&app, kind, droplet, fails, &case).await;
    app.books_balance().await;
    let left: Vec<(u64, DropletStatus)> =
        app.droplet_records().await.iter().map(|record| (record.id.0, record.status)).collect();
    let mut expected = vec![(bystander, DropletStatus::Active)];
    if fails && kind != ActionKind::Create && kind != ActionKind::Destroy {
        // It is what the engine made of it, which the books have compared.
        expected.extend(left.iter().copied().filter(|(id, _)| *id == droplet));
        assert_eq!(expected.len(), 2, "{case}: a failed {kind} removes no Droplet");
    } else if !fails {
        expected.extend(status_after(kind).map(|status| (droplet, status)));
    }
    assert_eq!(left, expected, "{case}");
}

/// What was taken of the Droplet is there once and whole, or not at all.
async fn check_images(app: &TestApp, kind: ActionKind, droplet: u64, fails: bool, case: &str) {
    let taken = match kind {
        ActionKind::Snapshot => [usize::from(!fails), 0],
        ActionKind::Backup => [0, usize::from(!fails)],
        ActionKind::Restore => [0, 1],
        _ => return,
    };
    let shown = app.admin().droplet(droplet).await;
    let count = |name: &str| shown[name].as_array().map(Vec::len).unwrap_or_default();
    assert_eq!([count("snapshot_ids"), count("backup_ids")], taken, "{case}");
}

/// The failing step is the one in the timeline, and each step is there in its place.
fn check_timeline(story: &Value, kind: ActionKind, step: &str, trouble: Trouble, case: &str) {
    let timeline = story["timeline"].as_array().expect("a list");
    let failed: Vec<&Value> =
        timeline.iter().filter(|entry| entry["error"].is_string()).map(|entry| &entry["step"]).collect();
    let failures = match (operation_of(kind, step), trouble) {
        (None, _) | (_, Trouble::CrashBefore | Trouble::CrashDone | Trouble::CrashStored) => 0,
        (Some(_), Trouble::FailsForNowTooOften) => 5,
        (Some(_), _) => 1,
    };
    let mut expected = vec![step; failures];
    if let Some(failed) = taken_back_by(kind, step) {
        expected.insert(0, failed);
    }
    assert_eq!(failed, expected, "{case}: {timeline:?}");
    let done: Vec<&str> =
        timeline.iter().filter(|entry| entry["error"].is_null()).filter_map(|entry| entry["step"].as_str()).collect();
    let order = steps_of(ResourceType::Droplet, kind);
    let position = |name: &str| order.iter().position(|one| *one == name).unwrap_or(usize::MAX);
    assert!(done.is_sorted_by(|a, b| position(a) < position(b)), "{case}: each step once, in order: {done:?}");
    if failures > 0 && trouble.is_fatal() {
        let reason = story["reason"].as_str().expect("a reason");
        assert!(reason.contains(&format!("step {step} failed")), "{case}: {reason}");
        if let Some(first) = taken_back_by(kind, step) {
            assert!(reason.contains(&format!("step {first} failed")), "{case}: why it began is told too: {reason}");
        }
    }
    if !trouble.is_fatal() && !is_compensation(kind, step) {
        let all: Vec<&str> = order.into_iter().filter(|one| !is_compensation(kind, one) && *one != "parts").collect();
        assert_eq!(done, all, "{case}: {}", json!(each(&story["timeline"], "step")));
    }
}

/// Every kind that has steps, under its name.
macro_rules! kinds {
    ($($name:ident: $kind:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $name() {
                // What a destroy with associated resources does is tried in `teardowns.rs`.
                for step in steps_of(ResourceType::Droplet, ActionKind::$kind).into_iter().filter(|step| *step != "parts") {
                    for trouble in Trouble::ALL {
                        try_out(ActionKind::$kind, step, trouble).await;
                    }
                }
            }
        )+

        #[test]
        fn every_kind_that_has_steps_is_tried() {
            let tried = [$(ActionKind::$kind),+];
            for kind in ActionKind::ALL {
                assert_eq!(tried.contains(kind), !steps_of(ResourceType::Droplet, *kind).is_empty(), "{kind}");
            }
        }
    };
}

kinds! {
    create_survives_any_trouble_in_any_step: Create,
    destroy_survives_any_trouble_in_any_step: Destroy,
    power_on_survives_any_trouble_in_any_step: PowerOn,
    power_off_survives_any_trouble_in_any_step: PowerOff,
    shutdown_survives_any_trouble_in_any_step: Shutdown,
    reboot_survives_any_trouble_in_any_step: Reboot,
    power_cycle_survives_any_trouble_in_any_step: PowerCycle,
    rename_survives_any_trouble_in_any_step: Rename,
    snapshot_survives_any_trouble_in_any_step: Snapshot,
    backup_survives_any_trouble_in_any_step: Backup,
    rebuild_survives_any_trouble_in_any_step: Rebuild,
    restore_survives_any_trouble_in_any_step: Restore,
    resize_survives_any_trouble_in_any_step: Resize,
    enable_ipv6_survives_any_trouble_in_any_step: EnableIpv6,
    password_reset_survives_any_trouble_in_any_step: PasswordReset,
    enable_backups_survives_any_trouble_in_any_step: EnableBackups,
    disable_backups_survives_any_trouble_in_any_step: DisableBackups,
    change_backup_policy_survives_any_trouble_in_any_step: ChangeBackupPolicy,
    enable_private_networking_survives_any_trouble_in_any_step: EnablePrivateNetworking,
}
