//! The clock of a test: it stands still until it is moved.

use std::time::Duration;

use tokio::sync::watch;

use crate::{Clock, Timestamp};

/// A clock that moves only when told to. Sleepers wake as soon as it passes their deadline.
#[derive(Debug)]
pub struct ManualClock {
    now: watch::Sender<Timestamp>,
}

impl ManualClock {
    /// A clock that shows `start`.
    pub fn new(start: Timestamp) -> Self {
        Self { now: watch::Sender::new(start) }
    }

    /// Moves the clock forward.
    pub fn advance(&self, span: Duration) {
        self.now.send_modify(|now| *now = *now + span);
    }

    /// How many wait for a deadline now. Lets a test move the clock only once everybody it is about sleeps.
    pub fn sleepers(&self) -> usize {
        self.now.receiver_count()
    }
}

#[async_trait::async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    async fn sleep_until(&self, deadline: Timestamp) {
        let mut watcher = self.now.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail while this future is alive.
        let _ = watcher.wait_for(|now| *now >= deadline).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_clock_passes_its_deadline() {
        let clock = ManualClock::new(Timestamp::from_millis(0));
        let deadline = clock.now() + Duration::from_secs(86_400);
        tokio::join!(clock.sleep_until(deadline), async { clock.advance(Duration::from_secs(86_401)) });
        assert!(clock.now() > deadline);
    }
}
