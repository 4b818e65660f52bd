//! A machine's serial console: what it wrote, what it writes, and a way to type into it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::{broadcast, mpsc};

use crate::MachineId;

/// How much of what was written is handed out at most.
pub const LOG_BYTES: usize = 64 * 1024;
/// Pieces that a slow reader may be behind before it misses some.
const BEHIND: usize = 256;
/// Pieces that were typed and that the guest has not taken.
const TYPED: usize = 16;

/// A serial console as it is now.
#[derive(Debug)]
pub struct Console {
    /// The end of what the machine wrote so far, also in earlier runs; at most [`LOG_BYTES`].
    pub log: Vec<u8>,
    /// What it writes from then on, each piece once. It ends when the machine goes off; that of a machine that is off has ended.
    pub output: broadcast::Receiver<Bytes>,
    /// What is typed. Closed when the machine is off, full when the guest takes nothing.
    pub input: mpsc::Sender<Bytes>,
}

impl Console {
    /// That of a machine that does not run.
    pub fn of_the_past(log: Vec<u8>) -> Self {
        Self { log, output: broadcast::channel(1).1, input: mpsc::channel(1).0 }
    }

    /// Whether the machine runs, so that somebody may hear what is typed.
    pub fn is_on(&self) -> bool {
        !self.input.is_closed()
    }
}

/// The consoles of the machines that run.
#[derive(Debug, Default)]
pub(crate) struct Consoles(Mutex<HashMap<MachineId, Line>>);

/// How one console is reached. The ends it leads to are its task's.
#[derive(Debug)]
struct Line {
    output: broadcast::WeakSender<Bytes>,
    input: mpsc::Sender<Bytes>,
    gate: Gate,
}

/// Held while the log is written and that is told, and while somebody reads the log and begins to listen.
type Gate = Arc<Mutex<()>>;

/// The ends of one console that the task holds which speaks with the guest. The console ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) output: broadcast::Sender<Bytes>,
    pub(crate) typed: mpsc::Receiver<Bytes>,
    gate: Gate,
}

impl Ends {
    /// Does `write`, which adds `piece` to the log, and tells those who listen; nobody begins to listen between the two.
    pub(crate) fn tell<E>(&self, piece: Bytes, write: impl FnOnce(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let _held = lock(&self.gate);
        write(&piece)?;
        // Nobody listens: then it is in the log alone.
        let _ = self.output.send(piece);
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Consoles {
    /// A console for a machine that begins to run, in place of one it had.
    pub(crate) fn begin(&self, id: MachineId) -> Ends {
        let (output, _) = broadcast::channel(BEHIND);
        let (input, typed) = mpsc::channel(TYPED);
        let gate = Gate::default();
        let line = Line { output: output.downgrade(), input, gate: gate.clone() };
        let mut lines = lock(&self.0);
        lines.retain(|_, line| !line.input.is_closed());
        lines.insert(id, line);
        Ends { output, typed, gate }
    }

    /// The console as it is now; `read` gives the end of its log.
    pub(crate) fn of<E>(&self, id: MachineId, read: impl FnOnce() -> Result<Vec<u8>, E>) -> Result<Console, E> {
        let found = lock(&self.0)
            .get(&id)
            .and_then(|line| Some((line.output.upgrade()?, line.input.clone(), line.gate.clone())));
        let Some((sender, input, gate)) = found else { return Ok(Console::of_the_past(read()?)) };
        let _held = lock(&gate);
        let output = sender.subscribe();
        Ok(Console { log: read()?, output, input })
    }
}
