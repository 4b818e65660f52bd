//! A model of a file on this host.

use std::sync::{Mutex, MutexGuard, PoisonError};

use dewpoint_store::{ModelRecord, ModelState};

/// A model whose file this server, or another one on the same store, keeps.
#[derive(Debug)]
pub(crate) struct Local {
    record: Mutex<ModelRecord>,
}

impl Local {
    pub(super) fn new(record: ModelRecord) -> Self {
        Self { record: Mutex::new(record) }
    }

    fn record(&self) -> MutexGuard<'_, ModelRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is the model of this row, however far that is.
    pub(super) fn is_of(&self, record: &ModelRecord) -> bool {
        self.record().created_at == record.created_at
    }

    /// Takes over how far it is.
    pub(super) fn is_now(&self, record: ModelRecord) {
        *self.record() = record;
    }

    /// Why it does not answer now.
    pub(super) fn why_not(&self) -> String {
        let record = self.record();
        let name = &record.name;
        match (record.state, &record.why) {
            (ModelState::Copying, _) => format!("The file of the model {name} is still being copied."),
            (_, Some(why)) => format!("The model {name} cannot be served: {why}"),
            (_, None) => format!("Nothing serves the file of the model {name} here."),
        }
    }
}
