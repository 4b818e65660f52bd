//! Which upstream is asked next: the least busy for its weight among those that are well.
//!
//! An upstream that fails three times in a row is left out for five seconds, and for twice as long each further time, up to a
//! minute; then one request tries it again. When all are left out the one whose time is over first is tried all the same: a
//! wrong guess costs one failure, no guess would refuse everything.

use std::time::Duration;

/// Failures in a row that leave an upstream out.
const FAILURES: u32 = 3;
const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);

/// One upstream as the policy sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    weight: u32,
    /// Requests under way.
    busy: u32,
    /// Requests it was ever given, for taking turns.
    given: u64,
    /// Failures in a row.
    failures: u32,
    /// Left out until then, counted from the start of the server.
    out_until: Option<Duration>,
}

/// The upstreams of one model. Times are counted from any moment that stays the same.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    shares: Vec<Share>,
}

/// A request that an upstream was given; ended by [`Pool::ended`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Which upstream.
    pub upstream: usize,
}

impl Share {
    fn is_out(&self, now: Duration) -> bool {
        self.out_until.is_some_and(|until| now < until)
    }

    /// Whether it was left out and is being tried by a request.
    fn is_on_trial(&self) -> bool {
        self.out_until.is_some() && self.busy > 0
    }
}

impl Pool {
    /// Upstreams of these weights; one of 0 counts as 1.
    pub fn new(weights: impl IntoIterator<Item = u32>) -> Self {
        let share = |weight: u32| Share { weight: weight.max(1), ..Share::default() };
        Self { shares: weights.into_iter().map(share).collect() }
    }

    /// Gives a request to an upstream that it was not given to yet; `None` when it was given to all.
    pub fn begin(&mut self, tried: &[usize], now: Duration) -> Option<Turn> {
        let upstream = self.choose(tried, now)?;
        let share = &mut self.shares[upstream];
        share.busy += 1;
        share.given += 1;
        Some(Turn { upstream })
    }

    fn choose(&self, tried: &[usize], now: Duration) -> Option<usize> {
        let left = || self.shares.iter().enumerate().filter(|(at, _)| !tried.contains(at));
        let well = left().filter(|(_, share)| !share.is_out(now) && !share.is_on_trial());
        // (busy + 1) / weight, then given / weight, without fractions.
        let compare = |(_, a): &(usize, &Share), (_, b): &(usize, &Share)| {
            let (a_weight, b_weight) = (u64::from(a.weight), u64::from(b.weight));
            let busy = ((u64::from(a.busy) + 1) * b_weight).cmp(&((u64::from(b.busy) + 1) * a_weight));
            let given =
                || (u128::from(a.given) * u128::from(b_weight)).cmp(&(u128::from(b.given) * u128::from(a_weight)));
            busy.then_with(given)
        };
        let chosen = well.min_by(compare).map(|(at, _)| at);
        chosen.or_else(|| left().min_by_key(|(_, share)| share.out_until).map(|(at, _)| at))
    }

    /// What became of a request: `Some(true)` it was answered well, `Some(false)` the upstream failed, `None` nobody knows,
    /// as when the client went away.
    pub fn ended(&mut self, turn: Turn, well: Option<bool>, now: Duration) {
        let share = &mut self.shares[turn.upstream];
        share.busy = share.busy.saturating_sub(1);
        match well {
            None => {}
            Some(true) => (share.failures, share.out_until) = (0, None),
            Some(false) => {
                share.failures = share.failures.saturating_add(1);
                if share.failures >= FAILURES {
                    let doublings = (share.failures - FAILURES).min(8);
                    share.out_until = Some(now + (SHORTEST * (1 << doublings)).min(LONGEST));
                }
            }
        }
    }

    /// How many upstreams are not left out.
    pub fn well(&self, now: Duration) -> usize {
        self.shares.iter().filter(|share| !share.is_out(now)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn given(pool: &mut Pool, count: usize) -> Vec<usize> {
        let turns = (0..count).map(|_| {
            let turn = pool.begin(&[], at(0)).expect("an upstream");
            pool.ended(turn, Some(true), at(0));
            turn.upstream
        });
        turns.collect()
    }

    #[test]
    fn idle_upstreams_get_requests_by_their_weights() {
        let mut pool = Pool::new([3, 1]);
        let turns = given(&mut pool, 400);
        assert_eq!(turns.iter().filter(|at| **at == 0).count(), 400, "(0 + 1) / 3 is less than (0 + 1) / 1");
        let mut pool = Pool::new([1, 1, 1]);
        let turns = given(&mut pool, 9);
        assert_eq!(turns, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn busy_upstreams_hold_as_many_requests_as_their_weights_say() {
        let mut pool = Pool::new([3, 1]);
        let turns: Vec<usize> = (0..8).filter_map(|_| pool.begin(&[], at(0))).map(|turn| turn.upstream).collect();
        assert_eq!(turns.iter().filter(|at| **at == 0).count(), 6, "{turns:?}");
    }

    #[test]
    fn no_request_is_given_twice_to_one_upstream() {
        let mut pool = Pool::new([1, 1]);
        let first = pool.begin(&[], at(0)).expect("one").upstream;
        let second = pool.begin(&[first], at(0)).expect("the other").upstream;
        assert_ne!(first, second);
        assert_eq!(pool.begin(&[first, second], at(0)), None);
    }

    #[test]
    fn three_failures_leave_it_out_and_one_request_tries_it_again() {
        let mut pool = Pool::new([1, 1]);
        let fail = |pool: &mut Pool, now| {
            let turn = pool.begin(&[1], now).expect("the first");
            pool.ended(turn, Some(false), now);
        };
        for _ in 0..3 {
            fail(&mut pool, at(0));
        }
        assert_eq!(pool.well(at(0)), 1);
        for _ in 0..5 {
            let turn = pool.begin(&[], at(4)).expect("an upstream");
            assert_eq!(turn.upstream, 1);
            pool.ended(turn, Some(true), at(4));
        }
        let trial = pool.begin(&[], at(5)).expect("an upstream");
        assert_eq!(trial.upstream, 0, "its time is over, and it was given less");
        assert_eq!(pool.begin(&[], at(5)).map(|turn| turn.upstream), Some(1), "one request is trial enough");
        pool.ended(trial, Some(false), at(5));
        assert_eq!((pool.well(at(14)), pool.well(at(15))), (1, 2), "twice as long");
        let trial = pool.begin(&[1], at(15)).expect("an upstream");
        pool.ended(trial, Some(true), at(15));
        fail(&mut pool, at(16));
        assert_eq!(pool.well(at(16)), 2, "well once is well again");
    }

    #[test]
    fn when_all_are_left_out_the_one_that_is_back_first_is_tried() {
        let mut pool = Pool::new([1, 1]);
        for (upstream, now) in [(0, 2), (0, 2), (0, 2), (1, 1), (1, 1), (1, 1)] {
            pool.ended(Turn { upstream }, Some(false), at(now));
        }
        assert_eq!(pool.begin(&[], at(3)).map(|turn| turn.upstream), Some(1));
    }

    #[test]
    fn a_client_that_leaves_says_nothing_about_the_upstream() {
        let mut pool = Pool::new([1]);
        for _ in 0..5 {
            let turn = pool.begin(&[], at(0)).expect("an upstream");
            pool.ended(turn, None, at(0));
        }
        assert_eq!(pool.well(at(0)), 1);
    }
}
