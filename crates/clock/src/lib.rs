//! Time as a value: the one [`Timestamp`] every crate uses and the [`Clock`] it comes from.
//!
//! Nothing in Dewpoint reads the system's clock or sleeps on its own: it asks the injected [`Clock`]. That is what lets a
//! test move a week in a microsecond, and what keeps the simulator's delays and the worker's leases on one time line.

mod manual;
mod sim;
mod system;
mod timestamp;

pub use manual::ManualClock;
pub use sim::{Reading, SimClock};
pub use system::SystemClock;
pub use timestamp::{ParseTimestampError, Timestamp};

use std::fmt;

/// Where the present comes from. Shared as `Arc<dyn Clock>`.
#[async_trait::async_trait]
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present, in whole milliseconds.
    fn now(&self) -> Timestamp;
    /// Returns once [`Clock::now`] has reached `deadline`; at once when it already has.
    async fn sleep_until(&self, deadline: Timestamp);
}
