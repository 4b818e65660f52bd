//! How much one may have in a time: a gauge that empties by what is taken and fills steadily.
//!
//! A full gauge holds what is allowed in one window, so whoever was idle may take all of it at once, and after that what
//! flows in. Times are microseconds from any moment that stays the same.

use std::time::Duration;

/// One limit and what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gauge {
    most: u64,
    window_us: i64,
    /// When it will be full again.
    full_at_us: i64,
}

impl Gauge {
    /// A full one: `most` in each `window`. A `most` of 0 allows nothing.
    pub fn new(most: u64, window: Duration) -> Self {
        let window_us = i64::try_from(window.as_micros()).unwrap_or(i64::MAX).max(1);
        Self { most, window_us, full_at_us: i64::MIN }
    }

    /// How much it holds when it is full.
    pub fn most(&self) -> u64 {
        self.most
    }

    /// The time in which so much flows in.
    fn worth_us(&self, amount: u64) -> i64 {
        let us = i128::from(amount) * i128::from(self.window_us) / i128::from(self.most.max(1));
        i64::try_from(us).unwrap_or(i64::MAX)
    }

    fn missing_us(&self, now_us: i64) -> i64 {
        self.full_at_us.saturating_sub(now_us).max(0)
    }

    /// What may be taken now.
    pub fn left(&self, now_us: i64) -> u64 {
        let there = self.window_us.saturating_sub(self.missing_us(now_us)).max(0);
        let left = i128::from(there) * i128::from(self.most) / i128::from(self.window_us);
        u64::try_from(left).unwrap_or(0)
    }

    /// How long until so much may be taken; zero when it may be now. What is more than it holds is let through when it is full.
    pub fn wait_for(&self, amount: u64, now_us: i64) -> Duration {
        if self.most == 0 {
            return Duration::from_micros(u64::try_from(self.window_us).unwrap_or(0));
        }
        let room = self.window_us - self.worth_us(amount.min(self.most));
        let wait = self.missing_us(now_us) - room;
        Duration::from_micros(u64::try_from(wait).unwrap_or(0))
    }

    /// Takes so much, also more than is left: what was used was used, and is waited for by whoever comes next.
    pub fn take(&mut self, amount: u64, now_us: i64) {
        self.full_at_us = self.full_at_us.max(now_us).saturating_add(self.worth_us(amount));
    }

    /// Gives back what was taken and not used.
    pub fn give_back(&mut self, amount: u64) {
        self.full_at_us = self.full_at_us.saturating_sub(self.worth_us(amount));
    }

    /// How long until it is full.
    pub fn until_full(&self, now_us: i64) -> Duration {
        Duration::from_micros(u64::try_from(self.missing_us(now_us)).unwrap_or(0))
    }

    /// The same gauge with another limit: as much as is missing stays missing, and flows in as fast as the new limit lets it.
    pub fn set_most(&mut self, most: u64, now_us: i64) {
        let missing = i128::from(self.missing_us(now_us)) * i128::from(self.most.max(1)) / i128::from(most.max(1));
        if most != self.most && missing > 0 {
            self.full_at_us = now_us.saturating_add(i64::try_from(missing).unwrap_or(i64::MAX));
        }
        self.most = most;
    }
}

/// A time as headers of limits tell it: `6m0s`, `1.5s`, `20ms`.
pub fn told(time: Duration) -> String {
    let millis = time.as_micros().div_ceil(1000);
    let (minutes, rest) = (millis / 60_000, millis % 60_000);
    let (seconds, part) = (rest / 1000, rest % 1000);
    let fraction = match part {
        0 => String::new(),
        part => format!(".{part:03}").trim_end_matches('0').to_owned(),
    };
    match (minutes, seconds, part) {
        (0, 0, part) if part > 0 => format!("{part}ms"),
        (0, _, _) => format!("{seconds}{fraction}s"),
        (minutes, _, _) => format!("{minutes}m{seconds}{fraction}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const SECOND_US: i64 = 1_000_000;

    #[test]
    fn a_full_gauge_gives_all_at_once_and_then_what_flows_in() {
        let mut gauge = Gauge::new(60, MINUTE);
        for left in (0..60).rev() {
            assert_eq!(gauge.wait_for(1, 0), Duration::ZERO);
            gauge.take(1, 0);
            assert_eq!(gauge.left(0), left);
        }
        assert_eq!(gauge.wait_for(1, 0), Duration::from_secs(1));
        assert_eq!(gauge.until_full(0), MINUTE);
        assert_eq!((gauge.wait_for(1, SECOND_US), gauge.left(SECOND_US)), (Duration::ZERO, 1));
        assert_eq!(gauge.wait_for(10, SECOND_US), Duration::from_secs(9));
        assert_eq!(gauge.left(90 * SECOND_US), 60, "no more than all");
    }

    #[test]
    fn what_was_used_beyond_the_limit_is_waited_for_and_what_was_not_used_comes_back() {
        let mut gauge = Gauge::new(1000, MINUTE);
        gauge.take(3000, 0);
        assert_eq!((gauge.left(0), gauge.wait_for(1, 0).as_secs()), (0, 120));
        gauge.give_back(2500);
        assert_eq!((gauge.left(0), gauge.wait_for(1, 0)), (500, Duration::ZERO));
        assert_eq!(gauge.wait_for(5000, 0), Duration::from_secs(30), "more than all: when all is there");
    }

    #[test]
    fn another_limit_changes_how_fast_it_fills_and_not_what_was_taken() {
        let mut gauge = Gauge::new(50, MINUTE);
        gauge.take(350, 0);
        assert_eq!((gauge.left(0), gauge.wait_for(1, 0).as_secs()), (0, 361));
        gauge.set_most(1000, 0);
        assert_eq!((gauge.left(0), gauge.wait_for(1, 0)), (650, Duration::ZERO));
        gauge.set_most(1000, 6 * SECOND_US);
        assert_eq!(gauge.left(6 * SECOND_US), 750, "it filled meanwhile");
        gauge.set_most(125, 6 * SECOND_US);
        assert_eq!((gauge.left(6 * SECOND_US), gauge.until_full(6 * SECOND_US)), (0, 2 * MINUTE));
        gauge.set_most(0, 6 * SECOND_US);
        gauge.set_most(1000, 6 * SECOND_US);
        assert_eq!(gauge.left(6 * SECOND_US), 750, "and back");
    }

    #[test]
    fn no_limit_of_zero_lets_anything_through() {
        assert_eq!(Gauge::new(0, MINUTE).wait_for(0, 0), MINUTE);
    }

    #[test]
    fn times_are_told_as_clients_read_them() {
        for (millis, text) in
            [(0, "0s"), (20, "20ms"), (1000, "1s"), (1500, "1.5s"), (60_000, "1m0s"), (360_250, "6m0.25s")]
        {
            assert_eq!(told(Duration::from_millis(millis)), text);
        }
    }
}
