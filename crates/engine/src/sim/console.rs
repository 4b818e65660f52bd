//! The simulator's serial consoles: what is typed comes back, as if the guest's terminal echoed it. Kept in memory only.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::task::JoinHandle;

use crate::{
    Console, MachineId,
    console::{Consoles, Ends, LOG_BYTES},
};

/// The consoles of all machines.
#[derive(Debug, Default)]
pub(super) struct Echoes {
    lines: Consoles,
    logs: Arc<Logs>,
    /// Who echoes for the machines that run and were asked for.
    tasks: Mutex<HashMap<MachineId, JoinHandle<()>>>,
}

type Logs = Mutex<HashMap<MachineId, Vec<u8>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Echoes {
    fn drop(&mut self) {
        lock(&self.tasks).values().for_each(JoinHandle::abort);
    }
}

impl Echoes {
    /// The console of a machine. One that is on echoes from the first time it is asked for.
    pub(super) fn of(&self, id: MachineId, is_on: bool) -> Console {
        if is_on {
            let mut tasks = lock(&self.tasks);
            if tasks.get(&id).is_none_or(JoinHandle::is_finished) {
                let ends = self.lines.begin(id);
                tasks.insert(id, tokio::spawn(echo(id, ends, self.logs.clone())));
            }
        }
        let log = || Ok::<_, Infallible>(lock(&self.logs).get(&id).cloned().unwrap_or_default());
        let Ok(console) = self.lines.of(id, log);
        if is_on { console } else { Console::of_the_past(console.log) }
    }

    /// The machine is off: its console ends, its log stays.
    pub(super) fn end(&self, id: MachineId) {
        if let Some(task) = lock(&self.tasks).remove(&id) {
            task.abort();
        }
    }

    /// Every machine is another one now.
    pub(super) fn forget_all(&self) {
        lock(&self.tasks).drain().for_each(|(_, task)| task.abort());
        lock(&self.logs).clear();
    }

    /// The machine is gone.
    pub(super) fn forget(&self, id: MachineId) {
        self.end(id);
        lock(&self.logs).remove(&id);
    }
}

async fn echo(id: MachineId, mut ends: Ends, logs: Arc<Logs>) {
    while let Some(piece) = ends.typed.recv().await {
        let Ok(()) = ends.tell(piece, |piece| {
            let mut logs = lock(&logs);
            let log = logs.entry(id).or_default();
            log.extend_from_slice(piece);
            log.drain(..log.len().saturating_sub(LOG_BYTES));
            Ok::<_, Infallible>(())
        });
    }
}
