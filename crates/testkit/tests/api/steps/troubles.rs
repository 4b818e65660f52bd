//! What goes wrong at a step, and who makes it go wrong.

use std::{
    fmt,
    future::Future,
    panic::resume_unwind,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    time::Duration,
};

use dewpoint_api::ActionStatus;
use dewpoint_control::{
    Error,
    actions::{Meddler, Point, Probe, TRIES, Worker},
};
use dewpoint_engine::{
    Error as EngineError, Operation,
    sim::{Faults, Moment},
};
use dewpoint_store::ActionRecord;
use dewpoint_testkit::TestApp;

use crate::{for_good, for_now};

/// What goes wrong at one step of one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The engine refuses a call of the step, before it did anything or after it did everything.
    Engine { operation: Operation, moment: Moment, times: u32, for_good: bool },
    /// The step fails before it asks anybody for anything.
    Fails { times: u32, for_good: bool },
    /// It panics.
    Panics { times: u32 },
    /// The process dies at this point of it, and another starts.
    Killed(Point),
    /// The worker hangs at this point until another has done everything, and goes on then.
    Hangs(Point),
    /// The store does not take the record of the step: for a while, or until the worker has lost the action.
    StoreRefuses { past_the_lease: bool },
    /// Someone deletes this just before the step.
    Deleted(String),
}

/// As often as a step is tried.
pub(super) const TOO_OFTEN: u32 = TRIES as u32;

impl Trouble {
    /// Everything that can go wrong at a step that makes these calls, where these things could be deleted.
    pub(super) fn all(calls: &[Operation], things: &[String]) -> Vec<Self> {
        let mut all = Vec::new();
        let mut operations: Vec<Operation> = Vec::new();
        for call in calls {
            if !operations.contains(call) {
                operations.push(*call);
            }
        }
        for operation in operations {
            for moment in [Moment::Before, Moment::After] {
                for (times, for_good) in [(1, true), (1, false), (TOO_OFTEN, false)] {
                    all.push(Self::Engine { operation, moment, times, for_good });
                }
            }
        }
        all.extend(
            [(1, true), (1, false), (TOO_OFTEN, false)].map(|(times, for_good)| Self::Fails { times, for_good }),
        );
        all.extend([1, TOO_OFTEN].map(|times| Self::Panics { times }));
        all.extend([Point::Before, Point::Done, Point::Stored].map(Self::Killed));
        all.extend([Point::Before, Point::Done, Point::Stored].map(Self::Hangs));
        all.extend([false, true].map(|past_the_lease| Self::StoreRefuses { past_the_lease }));
        all.extend(things.iter().cloned().map(Self::Deleted));
        all
    }

    /// Whether it is one of the main ones: it fails for good, or the process is killed. The others are tried once a flow.
    pub(super) fn is_main(&self) -> bool {
        match self {
            Self::Engine { moment: Moment::Before, for_good, .. } | Self::Fails { for_good, .. } => *for_good,
            Self::Killed(_) | Self::Deleted(_) => true,
            Self::Engine { .. } | Self::Panics { .. } | Self::Hangs(_) | Self::StoreRefuses { .. } => false,
        }
    }

    /// Whether the step fails in the end.
    pub(super) fn is_fatal(&self) -> bool {
        match self {
            Self::Engine { times, for_good, .. } | Self::Fails { times, for_good } => *for_good || *times >= TOO_OFTEN,
            Self::Panics { times } => *times >= TOO_OFTEN,
            Self::Killed(_) | Self::Hangs(_) | Self::StoreRefuses { .. } | Self::Deleted(_) => false,
        }
    }

    /// How often the timeline tells that the step failed.
    pub(super) fn failures(&self) -> usize {
        match self {
            Self::Engine { times, .. } | Self::Fails { times, .. } | Self::Panics { times } => *times as usize,
            Self::Killed(_) | Self::Hangs(_) | Self::StoreRefuses { .. } | Self::Deleted(_) => 0,
        }
    }

    /// The kind of trouble, for counting.
    pub(super) fn kind(&self) -> String {
        match self {
            Self::Engine { moment, times, for_good, .. } => format!("engine {moment:?} {times} {for_good}"),
            Self::Deleted(_) => "deleted".to_owned(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = |times: &u32, for_good: &bool| match (for_good, times) {
            (true, _) => "for good".to_owned(),
            (false, 1) => "for a while".to_owned(),
            (false, times) => format!("{times} times"),
        };
        match self {
            Self::Engine { operation, moment: Moment::Before, times, for_good } => {
                write!(f, "the engine refuses to {operation}, {}", how(times, for_good))
            }
            Self::Engine { operation, moment: Moment::After, times, for_good } => {
                write!(f, "the engine says it could not {operation} and has done it, {}", how(times, for_good))
            }
            Self::Fails { times, for_good } => write!(f, "it fails, {}", how(times, for_good)),
            Self::Panics { times } => write!(f, "it panics, {}", how(times, &false)),
            Self::Killed(Point::Before) => f.write_str("the process is killed before it"),
            Self::Killed(Point::Done) => f.write_str("the process is killed after it and before its record"),
            Self::Killed(Point::Stored) => f.write_str("the process is killed after its record"),
            Self::Hangs(Point::Before) => f.write_str("the worker hangs before it, beyond its lease"),
            Self::Hangs(Point::Done) => f.write_str("the worker hangs before its record, beyond its lease"),
            Self::Hangs(Point::Stored) => f.write_str("the worker hangs after its record, beyond its lease"),
            Self::StoreRefuses { past_the_lease: false } => f.write_str("the store refuses its record for a while"),
            Self::StoreRefuses { past_the_lease: true } => f.write_str("the store refuses its record beyond the lease"),
            Self::Deleted(thing) => write!(f, "{thing} is deleted before it"),
        }
    }
}

/// Watches a worker do one action, and makes trouble at one step of it.
#[derive(Debug, Default)]
pub(super) struct Troublemaker(Mutex<Plot>);

#[derive(Debug, Default)]
struct Plot {
    /// The action that is watched.
    action: u64,
    /// Where what goes wrong.
    order: Option<(String, Order)>,
    /// The points of the action that were passed.
    passed: Vec<(String, Point)>,
    /// What tells which calls the engine had; other actions wait then until this one is over.
    ear: Option<Arc<Faults>>,
    /// The steps that were done under that ear, with their calls.
    steps: Vec<(String, Vec<Operation>)>,
    is_over: bool,
}

#[derive(Debug)]
enum Order {
    Die(Point),
    Hang { at: Point, arrived: mpsc::Sender<()>, opened: Option<mpsc::Receiver<()>> },
    Fail { left: u32, for_good: bool },
    Panic { left: u32 },
}

/// The test's end of a worker that hangs.
pub(super) struct Hanging {
    arrivals: mpsc::Receiver<()>,
    open: mpsc::Sender<()>,
}

impl Hanging {
    /// Waits until it hangs.
    pub(super) fn arrived(&self) {
        self.arrivals.recv_timeout(Duration::from_secs(30)).expect("it comes to the step where it is to hang");
    }

    /// Lets it go on.
    pub(super) fn open(self) {
        self.open.send(()).expect("it hangs");
    }
}

impl Troublemaker {
    pub(super) fn of(action: u64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Plot { action, ..Plot::default() })))
    }

    fn plot(&self) -> MutexGuard<'_, Plot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn order(&self, step: &str, order: Order) {
        self.plot().order = Some((step.to_owned(), order));
    }

    pub(super) fn die(&self, step: &str, at: Point) {
        self.order(step, Order::Die(at));
    }

    pub(super) fn fail(&self, step: &str, times: u32, for_good: bool) {
        self.order(step, Order::Fail { left: times, for_good });
    }

    pub(super) fn panic(&self, step: &str, times: u32) {
        self.order(step, Order::Panic { left: times });
    }

    pub(super) fn hang(&self, step: &str, at: Point) -> Hanging {
        let ((arrived, arrivals), (open, opened)) = (mpsc::channel(), mpsc::channel());
        self.order(step, Order::Hang { at, arrived, opened: Some(opened) });
        Hanging { arrivals, open }
    }

    /// Whether all that was ordered has happened.
    pub(super) fn is_done(&self) -> bool {
        self.plot().order.is_none()
    }

    /// The points that were passed so far, with their steps.
    pub(super) fn passed(&self) -> Vec<(String, Point)> {
        self.plot().passed.clone()
    }

    /// Hears from now on what each step asks of the engine.
    pub(super) fn listen(&self, faults: &Arc<Faults>) {
        self.plot().ear = Some(faults.clone());
    }

    /// What was heard.
    pub(super) fn steps(&self) -> Vec<(String, Vec<Operation>)> {
        self.plot().steps.clone()
    }

    /// A worker of the present process, under this one's eyes.
    pub(super) fn worker(self: &Arc<Self>, app: &TestApp) -> Worker {
        Worker::watched(app.control().clone(), self.clone()).meddled_with(self.clone())
    }

    /// Takes the order for this step off the list if it is such a one.
    fn take(&self, action: &ActionRecord, step: &str, meets: impl FnOnce(&mut Order) -> bool) -> Option<Order> {
        let mut plot = self.plot();
        if plot.action != action.id.0 {
            return None;
        }
        let (at, order) = plot.order.as_mut()?;
        if at == step && meets(order) { plot.order.take().map(|(_, order)| order) } else { None }
    }
}

impl Probe for Troublemaker {
    fn goes_on(&self, action: &ActionRecord, point: Point) -> bool {
        // Once a step's result is stored, `step` is the next one already: the timeline tells which it was.
        let step = match point {
            Point::Before | Point::Done => action.step.clone(),
            Point::Stored => action.timeline.last().map(|entry| entry.step.clone()).unwrap_or_default(),
        };
        let mut plot = self.plot();
        if plot.action == action.id.0 {
            plot.passed.push((step.clone(), point));
            plot.is_over = point == Point::Stored && action.status != ActionStatus::InProgress;
            let calls = plot.ear.as_ref().map(|faults| faults.listen());
            if let (Some(calls), Point::Done) = (calls, point) {
                plot.steps.push((step.clone(), calls));
            }
        }
        drop(plot);
        let meets = |order: &mut Order| match order {
            Order::Die(at) | Order::Hang { at, .. } => *at == point,
            Order::Fail { .. } | Order::Panic { .. } => false,
        };
        match self.take(action, &step, meets) {
            Some(Order::Die(_)) => false,
            Some(Order::Hang { arrived, opened, .. }) => {
                arrived.send(()).expect("the test waits for it");
                // Blocks its whole thread, as a process that is stopped would be.
                opened.expect("it hangs once").recv_timeout(Duration::from_secs(60)).expect("the test lets it go on");
                true
            }
            Some(Order::Fail { .. } | Order::Panic { .. }) | None => true,
        }
    }
}

impl Meddler for Troublemaker {
    fn before_step<'a>(
        &'a self,
        action: &'a ActionRecord,
    ) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>> {
        Box::pin(async move {
            let waits = |plot: &Plot| plot.action != action.id.0 && plot.ear.is_some() && !plot.is_over;
            while waits(&self.plot()) {
                tokio::task::yield_now().await;
            }
            let mut outcome: Option<Result<(), EngineError>> = None;
            let strike = |order: &mut Order| match order {
                Order::Fail { left, for_good: good } => {
                    let error = if *good { for_good } else { for_now };
                    outcome = Some(Err(error(dewpoint_engine::MachineId(0))));
                    *left -= 1;
                    *left == 0
                }
                Order::Panic { left } => {
                    outcome = Some(Ok(()));
                    *left -= 1;
                    *left == 0
                }
                Order::Die(_) | Order::Hang { .. } => false,
            };
            self.take(action, &action.step, strike);
            match outcome {
                Some(Err(error)) => Err(error.into()),
                // Without the hook, which would print a trace of each.
                Some(Ok(())) => resume_unwind(Box::new("ordered by the test")),
                None => Ok(()),
            }
        })
    }
}
