//! Which upstream is asked next: the least busy for its weight among those that are well.
//!
//! ```text
//!            three failures in a row                      a check that fails often enough
//! well ──────────────────────────────▶ left out for 5 s … 60 s      well ───────▶ ill ──a check that does not fail──▶ well
//! ```
//! An upstream that fails three times in a row is left out for five seconds, and for twice as long each further time, up to a
//! minute; then one request tries it again. Checks say whether one is ill, where there are checks. When all are left out the
//! one whose time is over first is tried all the same, those that are ill last: a wrong guess costs one failure, no guess
//! would refuse everything.

use std::time::Duration;

/// Failures in a row that leave an upstream out.
const FAILURES: u32 = 3;
const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);

/// One upstream as the policy sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Share {
    id: u64,
    weight: u32,
    /// Requests under way.
    busy: u32,
    /// Requests it was ever given, for taking turns.
    given: u64,
    /// Failures in a row.
    failures: u32,
    /// Left out until then, counted from the start of the server.
    out_until: Option<Duration>,
    /// Checks that failed in a row.
    checks_failed: u32,
    /// Whether checks found it ill.
    is_ill: bool,
}

/// The upstreams of one model, by numbers that their owner gives. Times are counted from any moment that stays the same.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    shares: Vec<Share>,
}

/// A request that an upstream was given; ended by [`Pool::ended`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Which upstream.
    pub upstream: u64,
}

/// How one upstream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Requests under way.
    pub busy: u32,
    /// Whether requests go to it as usual.
    pub is_well: bool,
}

impl Share {
    fn is_out(&self, now: Duration) -> bool {
        self.is_ill || self.out_until.is_some_and(|until| now < until)
    }

    /// Whether it was left out and is being tried by a request.
    fn is_on_trial(&self) -> bool {
        self.out_until.is_some() && self.busy > 0
    }
}

impl Pool {
    /// One more upstream; a weight of 0 counts as 1. One that `is_ill` gets nothing until a check finds it well, unless there
    /// is no other.
    pub fn join(&mut self, id: u64, weight: u32, is_ill: bool) {
        // Whoever comes later has as many turns behind it as those that are there, for its weight: it does not get them all.
        let turns = self.shares.iter().map(|share| share.given / u64::from(share.weight)).min().unwrap_or(0);
        let weight = weight.max(1);
        let given = turns.saturating_mul(u64::from(weight));
        self.shares.push(Share { id, weight, given, is_ill, ..Share::default() });
    }

    /// An upstream is no more. Requests that it has go on and end.
    pub fn leave(&mut self, id: u64) {
        self.shares.retain(|share| share.id != id);
    }

    fn share(&mut self, id: u64) -> Option<&mut Share> {
        self.shares.iter_mut().find(|share| share.id == id)
    }

    /// Gives a request to an upstream that it was not given to yet; `None` when it was given to all.
    pub fn begin(&mut self, tried: &[u64], now: Duration) -> Option<Turn> {
        let upstream = self.choose(tried, now)?;
        let share = self.share(upstream)?;
        share.busy += 1;
        share.given += 1;
        Some(Turn { upstream })
    }

    fn choose(&self, tried: &[u64], now: Duration) -> Option<u64> {
        let left = || self.shares.iter().filter(|share| !tried.contains(&share.id));
        let well = left().filter(|share| !share.is_out(now) && !share.is_on_trial());
        // (busy + 1) / weight, then given / weight, without fractions.
        let compare = |a: &&Share, b: &&Share| {
            let (a_weight, b_weight) = (u64::from(a.weight), u64::from(b.weight));
            let busy = ((u64::from(a.busy) + 1) * b_weight).cmp(&((u64::from(b.busy) + 1) * a_weight));
            let given =
                || (u128::from(a.given) * u128::from(b_weight)).cmp(&(u128::from(b.given) * u128::from(a_weight)));
            busy.then_with(given)
        };
        let chosen = well.min_by(compare).map(|share| share.id);
        chosen.or_else(|| left().min_by_key(|share| (share.is_ill, share.out_until)).map(|share| share.id))
    }

    /// What became of a request: `Some(true)` it was answered well, `Some(false)` the upstream failed, `None` nobody knows,
    /// as when the client went away.
    pub fn ended(&mut self, turn: Turn, well: Option<bool>, now: Duration) {
        let Some(share) = self.share(turn.upstream) else { return };
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

    /// What a check found: one that does not fail makes an upstream well, also one that requests left out; `ill_after` in a
    /// row that fail make it ill. Whether it is well now, when this check changed that.
    pub fn checked(&mut self, id: u64, is_well: bool, ill_after: u32) -> Option<bool> {
        let share = self.share(id)?;
        let was_ill = share.is_ill;
        if is_well {
            share.checks_failed = 0;
            if was_ill {
                (share.is_ill, share.failures, share.out_until) = (false, 0, None);
            }
        } else {
            share.checks_failed = share.checks_failed.saturating_add(1);
            share.is_ill |= share.checks_failed >= ill_after;
        }
        (share.is_ill != was_ill).then_some(!share.is_ill)
    }

    /// How many upstreams there are.
    pub fn len(&self) -> usize {
        self.shares.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.shares.is_empty()
    }

    /// How many upstreams are not left out.
    pub fn well(&self, now: Duration) -> usize {
        self.shares.iter().filter(|share| !share.is_out(now)).count()
    }

    /// How this one is; `None` when there is no such.
    pub fn condition(&self, id: u64, now: Duration) -> Option<Condition> {
        let share = self.shares.iter().find(|share| share.id == id)?;
        Some(Condition { busy: share.busy, is_well: !share.is_out(now) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn pool_of(weights: impl IntoIterator<Item = u32>) -> Pool {
        let mut pool = Pool::default();
        for (id, weight) in (0..).zip(weights) {
            pool.join(id, weight, false);
        }
        pool
    }

    fn given(pool: &mut Pool, count: usize) -> Vec<u64> {
        let turns = (0..count).map(|_| {
            let turn = pool.begin(&[], at(0)).expect("an upstream");
            pool.ended(turn, Some(true), at(0));
            turn.upstream
        });
        turns.collect()
    }

    #[test]
    fn idle_upstreams_get_requests_by_their_weights() {
        let mut pool = pool_of([3, 1]);
        let turns = given(&mut pool, 400);
        assert_eq!(turns.iter().filter(|at| **at == 0).count(), 400, "(0 + 1) / 3 is less than (0 + 1) / 1");
        let mut pool = pool_of([1, 1, 1]);
        let turns = given(&mut pool, 9);
        assert_eq!(turns, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn busy_upstreams_hold_as_many_requests_as_their_weights_say() {
        let mut pool = pool_of([3, 1]);
        let turns: Vec<u64> = (0..8).filter_map(|_| pool.begin(&[], at(0))).map(|turn| turn.upstream).collect();
        assert_eq!(turns.iter().filter(|at| **at == 0).count(), 6, "{turns:?}");
    }

    #[test]
    fn no_request_is_given_twice_to_one_upstream() {
        let mut pool = pool_of([1, 1]);
        let first = pool.begin(&[], at(0)).expect("one").upstream;
        let second = pool.begin(&[first], at(0)).expect("the other").upstream;
        assert_ne!(first, second);
        assert_eq!(pool.begin(&[first, second], at(0)), None);
    }

    #[test]
    fn three_failures_leave_it_out_and_one_request_tries_it_again() {
        let mut pool = pool_of([1, 1]);
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
        let mut pool = pool_of([1, 1]);
        for (upstream, now) in [(0, 2), (0, 2), (0, 2), (1, 1), (1, 1), (1, 1)] {
            pool.ended(Turn { upstream }, Some(false), at(now));
        }
        assert_eq!(pool.begin(&[], at(3)).map(|turn| turn.upstream), Some(1));
    }

    #[test]
    fn a_client_that_leaves_says_nothing_about_the_upstream() {
        let mut pool = pool_of([1]);
        for _ in 0..5 {
            let turn = pool.begin(&[], at(0)).expect("an upstream");
            pool.ended(turn, None, at(0));
        }
        assert_eq!(pool.well(at(0)), 1);
    }

    #[test]
    fn checks_make_an_upstream_ill_and_well_again() {
        let mut pool = pool_of([1, 1]);
        assert_eq!(pool.checked(0, false, 2), None, "once may be chance");
        assert_eq!(pool.checked(0, false, 2), Some(false));
        assert_eq!(pool.checked(0, false, 2), None, "it is ill already");
        assert_eq!((pool.well(at(0)), given(&mut pool, 3)), (1, vec![1, 1, 1]));
        assert_eq!(pool.begin(&[1], at(0)).map(|turn| turn.upstream), Some(0), "there is no other");
        assert_eq!(pool.checked(0, true, 2), Some(true));
        assert_eq!((pool.well(at(0)), pool.checked(7, true, 2)), (2, None));
    }

    #[test]
    fn a_check_that_does_not_fail_ends_no_time_out_of_one_that_was_never_ill() {
        let mut pool = pool_of([1, 1]);
        for _ in 0..3 {
            pool.ended(Turn { upstream: 0 }, Some(false), at(0));
        }
        pool.checked(0, true, 2);
        assert_eq!(pool.well(at(1)), 1, "it answers checks and fails requests");
    }

    #[test]
    fn who_joins_late_gets_its_share_and_not_all_and_who_leaves_gets_nothing() {
        let mut pool = pool_of([1]);
        given(&mut pool, 100);
        pool.join(7, 1, false);
        let turns = given(&mut pool, 10);
        assert_eq!(turns.iter().filter(|id| **id == 7).count(), 5, "{turns:?}");
        let turn = pool.begin(&[0], at(0)).expect("the one that joined");
        pool.leave(7);
        pool.ended(turn, Some(false), at(0));
        assert_eq!((pool.len(), given(&mut pool, 2)), (1, vec![0, 0]));
        pool.join(8, 1, true);
        assert_eq!((pool.well(at(0)), given(&mut pool, 2)), (1, vec![0, 0]), "not before it was found well");
    }
}
