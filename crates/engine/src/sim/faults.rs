//! Bad days to order: which call of which machine fails, and whether before or after it had its effect.

use std::sync::Mutex;

use crate::{Error, MachineId, Operation};

/// Whether a fault strikes before the call did anything or after it did everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing was done.
    Before,
    /// All was done, and the caller does not learn it.
    After,
}

/// One ordered failure.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Which call.
    pub operation: Operation,
    /// Of which machine; any when `None`.
    pub machine: Option<MachineId>,
    /// When in the call.
    pub moment: Moment,
    /// How often it strikes before it is used up.
    pub times: u32,
    /// Makes the error.
    pub error: fn(MachineId) -> Error,
}

/// The faults ordered and not yet used up.
#[derive(Debug, Default)]
pub struct Faults {
    ordered: Mutex<Vec<Fault>>,
    /// The calls since someone began to listen; none when nobody does.
    heard: Mutex<Option<Vec<Operation>>>,
}

impl Faults {
    /// Orders a fault.
    pub fn order(&self, fault: Fault) {
        if let Ok(mut ordered) = self.ordered.lock() {
            ordered.push(fault);
        }
    }

    /// How many orders are not used up.
    pub fn left(&self) -> usize {
        self.ordered.lock().map_or(0, |ordered| ordered.len())
    }

    /// Notes every call from now on, and tells which there were since this was last called, in order.
    pub fn listen(&self) -> Vec<Operation> {
        self.heard.lock().ok().and_then(|mut heard| heard.replace(Vec::new())).unwrap_or_default()
    }

    /// Takes back every order.
    pub fn clear(&self) {
        if let Ok(mut ordered) = self.ordered.lock() {
            ordered.clear();
        }
    }

    /// Fails if a fault was ordered for this call.
    pub(super) fn check(&self, operation: Operation, id: MachineId, moment: Moment) -> Result<(), Error> {
        if let (Moment::Before, Ok(mut heard)) = (moment, self.heard.lock())
            && let Some(heard) = heard.as_mut()
        {
            heard.push(operation);
        }
        let Ok(mut ordered) = self.ordered.lock() else { return Ok(()) };
        let meets = |fault: &Fault| {
            fault.operation == operation && fault.moment == moment && fault.machine.is_none_or(|machine| machine == id)
        };
        let Some(index) = ordered.iter().position(meets) else { return Ok(()) };
        let error = (ordered[index].error)(id);
        ordered[index].times = ordered[index].times.saturating_sub(1);
        if ordered[index].times == 0 {
            ordered.remove(index);
        }
        Err(error)
    }
}
