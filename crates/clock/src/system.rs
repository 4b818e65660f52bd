//! The clock of a running server.

use std::time::{Duration, SystemTime};

use crate::{Clock, Timestamp};

/// The system's wall clock, with tokio's timers.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

#[async_trait::async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(0) + since
    }

    async fn sleep_until(&self, deadline: Timestamp) {
        // Long waits are cut, so that a wall clock set back or forward is noticed within a minute.
        const LONGEST: Duration = Duration::from_secs(60);
        loop {
            let left = deadline.since(self.now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(LONGEST)).await;
        }
    }
}
