//! A connection that a stream may close when the server ends and its client takes nothing.

use tokio::sync::{Notify, watch};

/// The thread by which a connection hangs. Shared by the connection and the streams on it.
#[derive(Debug, Default)]
pub(crate) struct Cut {
    asked: Notify,
    over: watch::Sender<bool>,
}

impl Cut {
    /// Closes the connection, whatever is still to be written.
    pub(crate) fn now(&self) {
        self.asked.notify_one();
    }

    /// Returns when the connection is to be closed.
    pub(crate) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// The connection is closed.
    pub(crate) fn is_done(&self) {
        self.over.send_replace(true);
    }

    /// Returns when the connection is closed.
    pub(crate) async fn over(&self) {
        // The sender is in `self`.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }
}
