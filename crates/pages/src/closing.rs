//! When a file is closed that threads have open.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

/// Held by each thread that has the file open, for as long as it has.
#[derive(Clone, Debug)]
pub struct Alive {
    // Nothing is ever sent.
    _sender: mpsc::Sender<Infallible>,
}

/// Tells when the file is closed: every [`Alive`] dropped.
#[derive(Clone, Debug)]
pub struct Closing(Arc<Mutex<mpsc::Receiver<Infallible>>>);

impl Closing {
    /// What the threads hold, and what tells that none does any more.
    pub fn new() -> (Alive, Self) {
        let (sender, receiver) = mpsc::channel();
        (Alive { _sender: sender }, Self(Arc::new(Mutex::new(receiver))))
    }

    /// Waits until the file is closed and, if it is a database's, whole without the log beside it. Blocks.
    ///
    /// Answers whether that was so within `limit`. If it was not, nothing is lost: the next opening finishes it.
    pub fn wait(&self, limit: Duration) -> bool {
        let ended = self.0.lock().map(|alive| alive.recv_timeout(limit));
        matches!(ended, Ok(Err(mpsc::RecvTimeoutError::Disconnected)))
    }
}
