//! What goes wrong under a seed, and how often. Each seed has some kinds of trouble and not others, so that each kind is also
//! met without the noise of the rest.

use std::time::Duration;

use dewpoint_control::WhenOff;
use dewpoint_engine::{
    Error as EngineError, MachineId, Operation,
    sim::{Delays, Fault, Moment},
};

use crate::dice::Dice;

/// Chances in a thousand, per event.
#[derive(Clone, Debug)]
pub(crate) struct Luck {
    pub(crate) workers: usize,
    /// How many requests are under way at once, at most.
    pub(crate) at_once: usize,
    /// How much rather than going on with what waits somebody asks for more.
    pub(crate) eagerness: usize,
    pub(crate) crash: usize,
    pub(crate) leave: usize,
    /// Chance per answer that nobody sees it.
    pub(crate) lose_reply: usize,
    pub(crate) engine_errors: usize,
    pub(crate) refuse_write: usize,
    pub(crate) refuse_read: usize,
    pub(crate) disk_full: usize,
    pub(crate) clock_jump: usize,
    pub(crate) power_off: usize,
    pub(crate) slow: bool,
    /// How scarce GPUs are, if they are.
    pub(crate) gpus: Option<Scarce>,
}

/// What a create does for which there is no room; none of those that would make the clients' books wrong.
const WAYS: [&str; 2] = ["refuse", "queue"];

/// GPUs of a declared stock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scarce {
    /// How many there are.
    pub(crate) count: usize,
    /// What becomes of those of a Droplet that is off.
    pub(crate) when_off: WhenOff,
    /// What a create does for which there is none.
    pub(crate) out_of_stock: &'static str,
}

impl Luck {
    pub(crate) fn of(dice: &mut Dice) -> Self {
        let mut some = |chance: usize| if dice.one_in(2) { chance } else { 0 };
        Self {
            crash: some(6),
            leave: some(10),
            lose_reply: some(150),
            engine_errors: some(15),
            refuse_write: some(30),
            refuse_read: some(10),
            disk_full: some(250),
            clock_jump: some(8),
            power_off: some(4),
            slow: some(1) == 1,
            workers: 1 + dice.below(2),
            at_once: *dice.pick(&[1, 2, 4, 8]),
            eagerness: *dice.pick(&[1, 3, 10]),
            gpus: dice.one_in(3).then(|| Scarce {
                count: 1 + dice.below(3),
                when_off: *dice.pick(&[WhenOff::Keep, WhenOff::Free]),
                out_of_stock: WAYS[dice.below(WAYS.len())],
            }),
        }
    }
}

const OPERATIONS: [Operation; 19] = [
    Operation::Ensure,
    Operation::PowerOn,
    Operation::PowerOff,
    Operation::Shutdown,
    Operation::Change,
    Operation::Rebuild,
    Operation::Destroy,
    Operation::Snapshot,
    Operation::SnapshotVolume,
    Operation::Import,
    Operation::RemoveImage,
    Operation::EnsureVolume,
    Operation::Attach,
    Operation::Detach,
    Operation::ResizeVolume,
    Operation::RemoveVolume,
    Operation::ApplyNetwork,
    Operation::TakeGpus,
    Operation::GiveBackGpus,
];

fn for_good(_: MachineId) -> EngineError {
    EngineError::NoDevice("none is left".to_owned())
}

fn for_now(_: MachineId) -> EngineError {
    EngineError::Host { operation: "do that", problem: "not now".to_owned(), transient: true }
}

/// A fault for whichever call of its kind comes next.
pub(crate) fn fault(dice: &mut Dice) -> Fault {
    let moment = if dice.one_in(2) { Moment::Before } else { Moment::After };
    let (times, error): (u32, fn(MachineId) -> EngineError) = match dice.below(4) {
        0 => (1, for_good),
        1 => (6, for_now),
        _ => (1, for_now),
    };
    Fault { operation: *dice.pick(&OPERATIONS), machine: None, moment, times, error }
}

/// How slow the engine is from now on: some calls at once, some in seconds, some for longer than a lease.
pub(crate) fn delays(dice: &mut Dice) -> Delays {
    let mut some = || Duration::from_millis(*dice.pick(&[0, 0, 30, 2000, 45_000]));
    Delays {
        ensure: some(),
        power_on: some(),
        power_off: some(),
        shutdown: some(),
        destroy: some(),
        snapshot: some(),
        import: some(),
        attach: some(),
        network: some(),
        ready: some(),
    }
}

/// How far the clock jumps.
pub(crate) fn jump(dice: &mut Dice) -> Duration {
    Duration::from_secs(*dice.pick(&[1, 10, 29, 31, 100, 700, 4000, 20_000, 90_000]))
}
