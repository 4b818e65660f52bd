//! One case: a scenario, one of its steps, one trouble.

use std::time::Duration;

use dewpoint_api::ActionKind;
use dewpoint_control::actions::{Point, steps_of};
use dewpoint_engine::{Operation, sim::Moment};
use dewpoint_store::Tx;
use dewpoint_testkit::TestApp;
use serde_json::{Value, json};

use super::{
    plan::{Begun, Plan, Step, newest_of},
    scenarios::{Scenario, Stage},
    troubles::{TOO_OFTEN, Trouble},
    world::{World, deletable, world},
};
use crate::{fault, for_good, for_now};

/// How an action ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Completed,
    Errored,
    /// As the case may be; but told truly.
    Either,
}

/// Brings the scenario to its step, makes the trouble, and looks at what became of it all.
pub(super) async fn run(scenario: &Scenario, plan: &Plan, step: &Step, trouble: &Trouble) {
    let mut begun = Begun::of(scenario).await;
    if step.is_back {
        assert!(!plan.last_forward().calls.is_empty(), "the engine makes it fail, and the troublemaker is free");
        let forward = plan.last_forward();
        match trouble {
            // The engine could not tell which of the two is meant; and here the troublemaker is free.
            Trouble::Engine { operation, .. } if forward.calls.last() == Some(operation) => {
                begun.maker.fail(&forward.name, 1, true);
            }
            _ => begun.fail_first(forward),
        }
    }
    let gone = suffer(&mut begun, scenario, step, trouble).await;

    let story = begun.app.admin().action_story(begun.action).await;
    let errored = story["action"]["status"] == "errored";
    match ends(scenario, step, trouble, gone.is_some()) {
        Ends::Completed => assert!(!errored, "it completes: {story}"),
        Ends::Errored => assert!(errored, "it fails: {story}"),
        Ends::Either => {}
    }
    assert!(story["action"]["completed_at"].is_string(), "ACT-3: {story}");
    check_timeline(scenario, plan, step, trouble, &story, gone.is_some());
    check_holders(&begun.app).await;
    if errored && (step.is_back || matches!(scenario.flow.1, ActionKind::Destroy | ActionKind::ReleaseIp)) {
        // What could not be removed is nobody's any more, and goes at the next start.
        begun.app.restart().await;
    }
    begun.app.books_balance().await;
    let now = world(&begun.app).await;
    match &gone {
        Some(worlds) => assert!(worlds.contains(&now), "what is left of it is not what there would be: {now:#?}"),
        None if errored => check_failed(scenario, plan, &begun, &now).await,
        None => assert_eq!(now, plan.after, "what there is in the end"),
    }
}

/// Makes the trouble and works to the end. What there may be then, if something was deleted meanwhile.
async fn suffer(begun: &mut Begun, scenario: &Scenario, step: &Step, trouble: &Trouble) -> Option<Vec<World>> {
    let (maker, lease) = (begun.maker.clone(), begun.app.control().config().lease);
    match trouble {
        Trouble::Engine { operation, moment, times, for_good: good } => {
            let error = if *good { for_good } else { for_now };
            begun.app.sim().faults().order(fault(*operation, *moment, *times, error));
            begun.work_to_the_end().await;
            let refuses_less = scenario.heals && *times > 1;
            let left = begun.app.sim().faults().left();
            assert!(left == 0 || refuses_less, "the engine refuses as often as it was to: {left} orders are left");
        }
        Trouble::Fails { times, for_good } => maker.fail(&step.name, *times, *for_good),
        Trouble::Panics { times } => maker.panic(&step.name, *times),
        Trouble::Killed(point) => {
            maker.die(&step.name, *point);
            maker.worker(&begun.app).run_until_idle().await;
            assert!(maker.is_done(), "it comes to the step where it is killed");
            begun.app.restart().await;
        }
        Trouble::Hangs(point) => {
            let hanging = maker.hang(&step.name, *point);
            let late = maker.worker(&begun.app);
            let thread = std::thread::spawn(move || super::alone(async move { late.run_until_idle().await }));
            hanging.arrived();
            begun.app.clock().advance(lease + Duration::from_millis(1));
            begun.work_to_the_end().await;
            hanging.open();
            thread.join().expect("a thread that catches its panics").expect("the late worker ends in order");
        }
        Trouble::StoreRefuses { past_the_lease } => refuse_record(begun, step, *past_the_lease).await,
        Trouble::Deleted(thing) => {
            maker.die(&step.name, Point::Before);
            maker.worker(&begun.app).run_until_idle().await;
            assert!(maker.is_done(), "it comes to the step before which that is deleted");
            let gone = delete(&begun.app, thing).await;
            begun.app.restart().await;
            begun.work_to_the_end().await;
            return if gone { Some(worlds_without(scenario, thing).await) } else { None };
        }
    }
    begun.work_to_the_end().await;
    assert!(maker.is_done(), "the step fails as often as it was to");
    None
}

/// Deletes a thing, if it is there; whether it could be is the server's to say.
async fn delete(app: &TestApp, thing: &str) -> bool {
    let Some(path) = deletable(app).await.remove(thing) else { return false };
    let answer = app.admin().delete(&path).await;
    assert!(matches!(answer.status, 204 | 409 | 422), "{}: {}", answer.status, answer.text);
    answer.status == 204
}

/// What there is when the thing is deleted after all is done, and when it is deleted and the action never asked for.
async fn worlds_without(scenario: &Scenario, thing: &str) -> Vec<World> {
    let done = Begun::of(scenario).await;
    done.work_to_the_end().await;
    delete(&done.app, thing).await;
    done.app.run_actions_to_end().await;
    let never = scenario.app().await;
    Stage::set(&never, scenario.given()).await;
    delete(&never, thing).await;
    never.run_actions_to_end().await;
    vec![world(&done.app).await, world(&never).await]
}

/// Lets the store refuse the write that records the step, until the worker waits to try it again, or has lost the action.
async fn refuse_record(begun: &Begun, step: &Step, past_the_lease: bool) {
    let (app, maker) = (&begun.app, begun.maker.clone());
    let mark = format!("%\"step\":\"{}\"%", step.name);
    let sql = format!(
        "CREATE TRIGGER refusal BEFORE UPDATE ON actions
         WHEN NEW.id = {} AND NEW.timeline LIKE '{mark}' AND OLD.timeline NOT LIKE '{mark}'
         BEGIN SELECT RAISE(ABORT, 'refused by the test'); END",
        begun.action
    );
    write(app, sql).await;
    let worker = maker.worker(app);
    let working = tokio::spawn(async move { worker.run_until_idle().await });
    // Behind the end of a step nothing is waited for but the next try to store it.
    let is_refused = || {
        let passed = maker.passed();
        passed.last().is_some_and(|(_, point)| *point == Point::Done)
            && passed.iter().any(|(name, _)| *name == step.name)
            && app.clock().sleepers() > 0
    };
    app.until("the store refuses the record", async || is_refused()).await;
    let ended = async || {
        if is_refused() {
            // No more than its shortest pause: it must not sleep past the end of its lease.
            app.clock().advance(Duration::from_millis(100));
        }
        working.is_finished()
    };
    if past_the_lease {
        app.until("the worker gives up", ended).await;
    }
    write(app, "DROP TRIGGER refusal".to_owned()).await;
    app.until("the worker comes to its end", ended).await;
    working.await.expect("it ends in order");
    app.clock().advance(app.control().config().lease);
}

async fn write(app: &TestApp, sql: String) {
    let done = app.store().write(move |tx: &mut dyn Tx| tx.execute(&sql, &[]).map(drop));
    done.await.expect("the store can be written");
}

/// How the action has to end.
fn ends(scenario: &Scenario, step: &Step, trouble: &Trouble, gone: bool) -> Ends {
    match trouble {
        _ if step.is_back => Ends::Errored,
        Trouble::Deleted(_) if gone => Ends::Either,
        // They are parked, and the rest is destroyed.
        Trouble::Engine { operation: Operation::GiveBackGpus, .. } if scenario.heals => Ends::Completed,
        Trouble::Engine { moment: Moment::After, .. } | Trouble::Engine { times: TOO_OFTEN, .. }
            if scenario.heals && trouble.is_fatal() =>
        {
            Ends::Either
        }
        _ if trouble.is_fatal() => Ends::Errored,
        _ => Ends::Completed,
    }
}

/// The failing step is the one in the timeline and in the reason, and each step is there once and in its place.
fn check_timeline(scenario: &Scenario, plan: &Plan, step: &Step, trouble: &Trouble, story: &Value, gone: bool) {
    let timeline = story["timeline"].as_array().expect("a list");
    let errored = story["action"]["status"] == "errored";
    let names = |failed: bool| {
        let meets = move |entry: &&Value| entry["error"].is_string() == failed;
        timeline.iter().filter(meets).filter_map(|entry| entry["step"].as_str()).collect::<Vec<_>>()
    };
    assert_eq!(story["reason"].is_string(), errored, "a reason for a failure alone: {story}");
    if !gone && !scenario.heals {
        let mut expected = vec![step.name.as_str(); trouble.failures()];
        if step.is_back {
            expected.insert(0, &plan.last_forward().name);
        }
        assert_eq!(names(true), expected, "the steps that failed: {story}");
    }
    if let (true, Some(reason)) = (errored && !gone, story["reason"].as_str()) {
        let failed = if trouble.is_fatal() || !step.is_back { &step.name } else { &plan.last_forward().name };
        assert!(reason.contains(&format!("step {failed} failed")), "{reason}");
        let first = &plan.last_forward().name;
        assert!(
            !step.is_back || reason.contains(&format!("step {first} failed")),
            "why it began is told too: {reason}"
        );
    }
    let order = steps_of(scenario.flow.0, scenario.flow.1);
    let position = |name: &&str| order.iter().position(|one| one == name);
    let done = names(false);
    assert!(done.is_sorted_by(|a, b| position(a) < position(b)), "each step once, in order: {done:?}");
    if !errored {
        let all: Vec<&str> = plan.steps.iter().filter(|step| !step.is_back).map(|step| step.name.as_str()).collect();
        assert_eq!(done, all, "{}", json!(timeline));
    }
}

/// Who has a machine holds addresses, and nobody else does: no other Droplet is given the address of a machine that runs.
async fn check_holders(app: &TestApp) {
    let mut holders: Vec<u64> = app.addresses().await.into_iter().filter_map(|(.., holder)| holder).collect();
    holders.dedup();
    holders.sort_unstable();
    holders.dedup();
    assert_eq!(holders, app.machines().await, "who holds addresses, and who has a machine");
}

/// After a failure there is what was there before or after one of the steps, and asking again leads to the end.
async fn check_failed(scenario: &Scenario, plan: &Plan, begun: &Begun, now: &World) {
    let teardown = scenario.heals;
    match scenario.keeps {
        // What was made at once stays; it goes, so that it can be asked for as if it had never been.
        Some(thing) => {
            assert!(plan.accepted == *now || plan.after == *now, "neither as accepted nor as done: {now:#?}");
            assert!(delete(&begun.app, thing).await, "{thing} is kept, and free");
            begun.app.run_actions_to_end_in_time().await;
        }
        None => assert!(
            teardown || plan.worlds.contains(now) || plan.after == *now,
            "neither as before nor as after a step: {now:#?}"
        ),
    }
    let again = scenario.ask(&begun.app, begun.document, &begun.stage, true).await;
    if let Some(answer) = &again
        && answer.status >= 400
    {
        assert!(matches!(answer.status, 404 | 409 | 422), "{} {}", answer.status, answer.text);
        // Power actions are refused in a state that another of them leads out of.
        let is_done = plan.after == *now || !teardown && plan.worlds[1..].contains(now);
        assert!(is_done, "asked again it is refused with {}, and not done: {now:#?}", answer.text);
        return;
    }
    let action = newest_of(&begun.app, scenario).await;
    begun.app.run_actions_to_end_in_time().await;
    if let Some(action) = action {
        assert_eq!(begun.app.admin().action(action).await["status"], "completed", "asked for again");
    }
    begun.app.books_balance().await;
    assert_eq!(world(&begun.app).await, plan.after, "what there is when it was asked for again");
}
