//! Every flow, every step: each step of every action the API has, under every trouble. Afterwards the action has ended, the
//! step that failed is the one recorded, what there is is as before the action or as after one of its steps, and no machine,
//! disk, address, attachment or lock is left or doubled.
//!
//! Flows come from the control plane's own table, operations from the server's own document (`listed.rs`), steps and what
//! they ask of the engine from watching an action that nobody troubles. Only how a flow comes about is written down, in
//! `scenarios.rs`: a new flow, step, operation or type of action fails these tests until it is there.
//!
//! DEW_STEPS runs only a scenario or a case with that in its name, and shows which.

mod case;
mod listed;
mod plan;
mod scenarios;
mod troubles;
mod world;

use std::{
    any::Any,
    collections::BTreeSet,
    io::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use dewpoint_control::actions::{FLOWS, steps_of};
use plan::Plan;
use scenarios::{Scenario, scenarios};
use troubles::Trouble;

/// What was tried, and how it went.
#[derive(Debug, Default)]
struct Tally {
    cases: usize,
    /// Resource, kind and step.
    steps: BTreeSet<(String, String, String)>,
    troubles: BTreeSet<String>,
    failures: Vec<String>,
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

/// Runs one case in a runtime of its own; what went wrong, if anything did.
fn alone<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    catch_unwind(AssertUnwindSafe(|| runtime.block_on(work))).map_err(|panic| words_of(&*panic))
}

/// Tries every step of a scenario under every trouble.
fn try_out(scenario: &Scenario, only: Option<&str>, tally: &Mutex<Tally>) {
    let note = |change: &dyn Fn(&mut Tally)| change(&mut tally.lock().expect("nobody panics with it"));
    let name = scenario.name();
    if only.is_some_and(|only| !name.contains(only) && !only.starts_with(&name)) {
        return;
    }
    let plan = match alone(Plan::watched(scenario)) {
        Ok(plan) => plan,
        Err(problem) => return note(&|tally| tally.failures.push(format!("{name}, without any trouble: {problem}"))),
    };
    let (resource, kind) = scenario.flow;
    for step in &plan.steps {
        let key = (resource.to_string(), kind.to_string(), step.name.clone());
        note(&|tally| tally.steps.extend([key.clone()]));
        for trouble in Trouble::all(&step.calls, &plan.things) {
            let case = format!("{name}: step {}: {trouble}", step.name);
            let is_less = scenario.is_variant && step.name != scenario.own_step;
            if only.is_some_and(|only| !case.contains(only)) || is_less && !trouble.is_main() {
                continue;
            }
            if only.is_some() {
                let _ = writeln!(std::io::stderr(), "{case}");
            }
            let outcome = alone(case::run(scenario, &plan, step, &trouble));
            note(&|tally| {
                tally.cases += 1;
                tally.troubles.insert(trouble.kind());
                tally.failures.extend(outcome.as_ref().err().map(|problem| format!("{case}: {problem}")));
            });
        }
    }
}

#[test]
fn every_step_of_every_flow_survives_every_trouble() {
    let only = std::env::var("DEW_STEPS").ok();
    let (all, next, tally) = (scenarios(), AtomicUsize::new(0), Mutex::new(Tally::default()));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(scenario) = all.get(next.fetch_add(1, Ordering::SeqCst)) {
                    try_out(scenario, only.as_deref(), &tally);
                }
            });
        }
    });
    let tally = tally.into_inner().expect("nobody panicked with it");
    let there_are: BTreeSet<(String, String, String)> = FLOWS
        .iter()
        .flat_map(|(resource, kind)| {
            steps_of(*resource, *kind).into_iter().map(|step| (resource.to_string(), kind.to_string(), step.to_owned()))
        })
        .collect();
    // Past the capture of the test's output: docs/sure.md has this line.
    let _ = writeln!(
        std::io::stderr(),
        "{} flows in {} scenarios, {} steps tested of {} steps there are, {} troubles, {} cases, {} failed",
        FLOWS.len(),
        all.len(),
        tally.steps.len(),
        there_are.len(),
        tally.troubles.len(),
        tally.cases,
        tally.failures.len(),
    );
    assert!(tally.failures.is_empty(), "{} cases failed:\n{}", tally.failures.len(), tally.failures.join("\n\n"));
    match only {
        // Some were asked for: that there are any is all that can be said.
        Some(only) => assert!(tally.cases > 0, "no case has {only:?} in its name"),
        None => assert_eq!(tally.steps, there_are, "steps tested, and steps there are"),
    }
}
