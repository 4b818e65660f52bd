//! Where a worker is made to drop dead.

use std::sync::{Mutex, MutexGuard, PoisonError};

use dewpoint_control::actions::{Point, Probe};
use dewpoint_store::ActionRecord;

/// One crash at a time, at one point of one step.
#[derive(Debug, Default)]
pub(crate) struct Trap {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    None,
    Set {
        kind: String,
        step: String,
        point: Point,
    },
    Sprung,
}

impl Trap {
    pub(crate) fn set(&self, kind: &str, step: &str, point: Point) {
        *self.state() = State::Set { kind: kind.to_owned(), step: step.to_owned(), point };
    }

    pub(crate) fn clear(&self) {
        *self.state() = State::None;
    }

    pub(crate) fn is_sprung(&self) -> bool {
        matches!(*self.state(), State::Sprung)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Probe for Trap {
    fn goes_on(&self, action: &ActionRecord, at: Point) -> bool {
        // Once a step's result is stored, `step` is the next one already: the timeline tells which it was.
        let current = match at {
            Point::Before | Point::Done => Some(&action.step),
            Point::Stored => action.timeline.last().map(|entry| &entry.step),
        };
        let mut state = self.state();
        let meets = match &*state {
            State::Set { kind, step, point } => *kind == action.kind && Some(step) == current && *point == at,
            State::None | State::Sprung => false,
        };
        if meets {
            *state = State::Sprung;
        }
        !meets
    }
}
