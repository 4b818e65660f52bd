//! The production server under a seed: random clients and random faults, everything decided by dice, nothing by the time of
//! day or by threads. `docs/simulation.md` tells what is tried and what is checked.
//!
//! `make simulate SEEDS=10000` runs as many as asked; `make simulate SEED=7` runs one and prints all that happened in it.

mod checks;
mod clients;
mod dice;
mod found;
mod luck;
mod panics;
mod promises;
mod tally;
mod trace;
mod world;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use promises::Broken;
use tally::Tally;
use trace::Trace;
use world::World;

/// How many requests clients send under one seed, retries not counted.
const REQUESTS: usize = 25;
/// How many seeds `make test` runs.
const SEEDS: u64 = 1000;
/// How many of them are run twice to see that they are the same.
const TWICE: u64 = 40;

/// What running one seed came to.
struct Outcome {
    seed: u64,
    broken: Option<Broken>,
    trace: Trace,
    tally: Tally,
}

fn run(seed: u64) -> Outcome {
    panics::watch();
    let mut world = None;
    let lived = catch_unwind(AssertUnwindSafe(|| World::live(seed, REQUESTS, &mut world)));
    let broken = match (panics::none(), lived) {
        (Err(panic), _) => Some(panic),
        (Ok(()), Ok(lived)) => lived.err(),
        (Ok(()), Err(_)) => Some(Broken("it panicked without a word".to_owned())),
    };
    panics::watch_no_more();
    match world {
        Some(World { trace, tally, .. }) => Outcome { seed, broken, trace, tally },
        None => Outcome { seed, broken, trace: Trace::new(), tally: Tally::default() },
    }
}

/// What to say of a seed that broke a promise.
fn report(outcome: &Outcome, all: bool) -> Option<String> {
    let Broken(what) = outcome.broken.as_ref()?;
    let (seed, told) = (outcome.seed, outcome.trace.told(all));
    Some(format!("{told}\nseed {seed}: {what}\nto see it again: make simulate SEED={seed}\n"))
}

/// Runs the seeds from `first` on, on all cores; stops at the first that breaks a promise.
fn run_all(first: u64, count: u64) -> (Tally, Option<Outcome>) {
    let (next, results) = (AtomicU64::new(first), Mutex::new((Tally::default(), None::<Outcome>)));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    let outcome = run(seed);
                    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                    results.0.add(&outcome.tally);
                    if outcome.broken.is_some() {
                        // The lowest of those that are found is told.
                        next.store(first + count, Ordering::Relaxed);
                        if results.1.as_ref().is_none_or(|found| found.seed > outcome.seed) {
                            results.1 = Some(outcome);
                        }
                    }
                }
            });
        }
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn asked_for(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what `make simulate` is asked for")]
fn seeds_keep_their_promises() {
    if let Some(seed) = asked_for("DEW_SIM_SEED") {
        let outcome = run(seed);
        if let Some(report) = report(&outcome, true) {
            panic!("{report}");
        }
        println!("{}seed {seed} keeps its promises\n{}", outcome.trace.told(true), outcome.tally);
        return;
    }
    let (first, count) = (asked_for("DEW_SIM_FIRST").unwrap_or(1), asked_for("DEW_SIM_SEEDS").unwrap_or(SEEDS));
    let began = Instant::now();
    let (tally, broken) = run_all(first, count);
    let seconds = began.elapsed().as_secs_f64();
    let per_minute = tally.seeds as f64 * 60.0 / seconds;
    println!("{} seeds in {seconds:.1} s, {per_minute:.0} a minute\n{tally}", tally.seeds);
    if let Some(report) = broken.as_ref().and_then(|outcome| report(outcome, false)) {
        panic!("{report}");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 1..=TWICE {
        let (first, second) = (run(seed), run(seed));
        if let Some((line, one, other)) = first.trace.difference(&second.trace) {
            panic!("seed {seed} differs in line {line}:\n{one}\n{other}");
        }
        assert_eq!(first.trace.digest(), second.trace.digest());
        assert!(first.trace.len() > REQUESTS, "a run without events proves nothing");
    }
}
