//! Request limits: who may ask how often (behaviour rules RATE-1 to RATE-4). Pure but for the lock; time comes in.
//!
//! Per token a sliding log of the last hour's requests. A refused request is not written down, so a client that hammers
//! gets in again as soon as an old request has aged out, and a token's log never holds more than an hour's allowance.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use dewpoint_api::TokenId;
use dewpoint_clock::Timestamp;

use crate::Limits;

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
/// Requests an hour, for each token (RATE-2).
const PER_HOUR: usize = 5000;
/// Requests a minute, for each token (RATE-2).
const PER_MINUTE: usize = 250;
/// Listings of SSH keys in 60 s, for each token (RATE-4).
const KEYS_PER_MINUTE: usize = 10;
/// Most tokens watched at once; past it the one that was silent longest is forgotten. 40 KiB each at worst.
const TOKENS_MAX: usize = 4096;

/// Which limit an operation counts against, besides that of its token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Bucket {
    /// None of its own.
    #[default]
    Token,
    /// The listing of SSH keys: 10 in 60 s (RATE-4).
    Keys,
}

/// What the rate limit headers of an answer say, and whether the request may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// Requests an hour.
    pub limit: usize,
    /// How many of them are left.
    pub remaining: usize,
    /// When the oldest counted request stops counting.
    pub reset: Timestamp,
    /// Set when this request is one too many.
    pub refusal: Option<Refusal>,
}

/// Which limit was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The hour's; the reset time says when to come back (RATE-3).
    Hour,
    /// A minute's; come back after so long (RATE-3).
    Minute(Duration),
}

impl Refusal {
    /// Whole seconds to wait, for `retry-after`; `None` when the header is not sent.
    pub fn retry_after_seconds(self) -> Option<u64> {
        match self {
            Self::Hour => None,
            Self::Minute(wait) => Some(u64::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(60).max(1)),
        }
    }
}

/// Counts requests by token. With [`Limits::Off`] it keeps nothing and refuses nobody.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    limits: Limits,
    logs: Mutex<HashMap<TokenId, Log>>,
}

impl RateLimiter {
    /// A limiter that has seen no request.
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, logs: Mutex::default() }
    }

    /// Counts a request of `token` at `now`, unless it is one too many.
    pub(crate) fn count(&self, token: TokenId, bucket: Bucket, now: Timestamp) -> Allowance {
        match self.limits {
            Limits::Off => Self::untouched(now),
            Limits::DigitalOcean => {
                let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
                if !logs.contains_key(&token) && logs.len() >= TOKENS_MAX {
                    forget_silent(&mut logs, now);
                }
                logs.entry(token).or_default().count(bucket, now)
            }
        }
    }

    /// Forgets every request, as when the clock was set back.
    pub(crate) fn forget(&self) {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What a request that belongs to no token is told.
    pub(crate) fn untouched(now: Timestamp) -> Allowance {
        Allowance { limit: PER_HOUR, remaining: PER_HOUR, reset: now + HOUR, refusal: None }
    }
}

/// Drops the logs of tokens silent for an hour, and of the longest silent one if that makes no room.
fn forget_silent(logs: &mut HashMap<TokenId, Log>, now: Timestamp) {
    logs.retain(|_, log| log.requests.back().is_some_and(|last| *last + HOUR > now));
    if logs.len() >= TOKENS_MAX {
        let silent = logs.iter().min_by_key(|(_, log)| log.requests.back().copied()).map(|(token, _)| *token);
        if let Some(token) = silent {
            logs.remove(&token);
        }
    }
}

/// The times of one token's requests, oldest first.
#[derive(Debug, Default)]
struct Log {
    requests: VecDeque<Timestamp>,
    key_listings: VecDeque<Timestamp>,
}

impl Log {
    fn count(&mut self, bucket: Bucket, now: Timestamp) -> Allowance {
        drop_older(&mut self.requests, now, HOUR);
        drop_older(&mut self.key_listings, now, MINUTE);
        let refusal = self.refusal(bucket, now);
        if refusal.is_none() {
            self.requests.push_back(now);
            match bucket {
                Bucket::Token => {}
                Bucket::Keys => self.key_listings.push_back(now),
            }
        }
        Allowance {
            limit: PER_HOUR,
            remaining: if refusal.is_some() { 0 } else { PER_HOUR - self.requests.len() },
            reset: self.requests.front().copied().unwrap_or(now) + HOUR,
            refusal,
        }
    }

    fn refusal(&self, bucket: Bucket, now: Timestamp) -> Option<Refusal> {
        if self.requests.len() >= PER_HOUR {
            return Some(Refusal::Hour);
        }
        let minute = wait_for_room(&self.requests, PER_MINUTE, now);
        let keys = match bucket {
            Bucket::Token => None,
            Bucket::Keys => wait_for_room(&self.key_listings, KEYS_PER_MINUTE, now),
        };
        minute.max(keys).map(Refusal::Minute)
    }
}

fn drop_older(log: &mut VecDeque<Timestamp>, now: Timestamp, span: Duration) {
    while log.front().is_some_and(|oldest| *oldest + span <= now) {
        log.pop_front();
    }
}

/// How long until fewer than `most` of the requests in `log` lie within a minute; `None` when that is so already.
fn wait_for_room(log: &VecDeque<Timestamp>, most: usize, now: Timestamp) -> Option<Duration> {
    let in_the_way = *log.get(log.len().checked_sub(most)?)?;
    let wait = (in_the_way + MINUTE).since(now);
    (!wait.is_zero()).then_some(wait)
}

#[cfg(test)]
mod tests {
    use dewpoint_clock::{Clock, ManualClock};
    use uuid::Uuid;

    use super::*;

    const ALICE: TokenId = TokenId(Uuid::from_u128(1));
    const BOB: TokenId = TokenId(Uuid::from_u128(2));

    fn clock() -> ManualClock {
        ManualClock::new(Timestamp::from_millis(1_600_000_000_000))
    }

    #[test]
    fn with_limits_off_everything_is_left_and_reset_is_an_hour_away_rate_1() {
        let (limiter, clock) = (RateLimiter::new(Limits::Off), clock());
        for _ in 0..6000 {
            let allowance = limiter.count(ALICE, Bucket::Keys, clock.now());
            assert_eq!((allowance.limit, allowance.remaining, allowance.refusal), (5000, 5000, None));
            assert_eq!(allowance.reset, clock.now() + HOUR);
        }
        assert!(limiter.logs.lock().expect("no panic").is_empty(), "nothing is kept");
    }

    #[test]
    fn the_251st_request_of_a_minute_waits_until_the_first_is_a_minute_old_rate_3() {
        let (limiter, clock) = (RateLimiter::new(Limits::DigitalOcean), clock());
        assert_eq!(limiter.count(ALICE, Bucket::Token, clock.now()).remaining, 4999);
        clock.advance(Duration::from_millis(20_500));
        for _ in 0..249 {
            assert_eq!(limiter.count(ALICE, Bucket::Token, clock.now()).refusal, None);
        }

        let refused = limiter.count(ALICE, Bucket::Token, clock.now());
        assert_eq!(refused.remaining, 0);
        assert_eq!(refused.refusal.and_then(Refusal::retry_after_seconds), Some(40));
        assert_eq!(limiter.count(BOB, Bucket::Token, clock.now()).refusal, None, "another token has its own");

        clock.advance(Duration::from_millis(39_499));
        assert!(limiter.count(ALICE, Bucket::Token, clock.now()).refusal.is_some(), "a millisecond early");
        clock.advance(Duration::from_millis(1));
        assert_eq!(limiter.count(ALICE, Bucket::Token, clock.now()).refusal, None, "refused ones did not count");
    }

    #[test]
    fn the_hour_slides_request_by_request_rate_2() {
        let (limiter, clock) = (RateLimiter::new(Limits::DigitalOcean), clock());
        let start = clock.now();
        for _ in 0..PER_HOUR / 200 {
            for _ in 0..200 {
                assert_eq!(limiter.count(ALICE, Bucket::Token, clock.now()).refusal, None);
            }
            clock.advance(MINUTE);
        }
        let refused = limiter.count(ALICE, Bucket::Token, clock.now());
        assert_eq!((refused.refusal, refused.remaining, refused.reset), (Some(Refusal::Hour), 0, start + HOUR));
        assert_eq!(Refusal::Hour.retry_after_seconds(), None);

        clock.advance(refused.reset.since(clock.now()));
        let after = limiter.count(ALICE, Bucket::Token, clock.now());
        assert_eq!((after.refusal, after.remaining), (None, 199), "the first 200 are gone");
        assert_eq!(after.reset, start + MINUTE + HOUR);
    }

    #[test]
    fn keys_may_be_listed_ten_times_in_sixty_seconds_rate_4() {
        let (limiter, clock) = (RateLimiter::new(Limits::DigitalOcean), clock());
        for _ in 0..10 {
            assert_eq!(limiter.count(ALICE, Bucket::Keys, clock.now()).refusal, None);
        }
        let refused = limiter.count(ALICE, Bucket::Keys, clock.now());
        assert_eq!(refused.refusal, Some(Refusal::Minute(MINUTE)));
        assert_eq!(limiter.count(ALICE, Bucket::Token, clock.now()).refusal, None, "other requests go on");
        clock.advance(MINUTE);
        assert_eq!(limiter.count(ALICE, Bucket::Keys, clock.now()).refusal, None);
    }

    #[test]
    fn the_number_of_tokens_watched_is_bounded() {
        let (limiter, clock) = (RateLimiter::new(Limits::DigitalOcean), clock());
        for number in 0..2 * TOKENS_MAX {
            clock.advance(Duration::from_millis(1));
            limiter.count(TokenId(Uuid::from_u128(number as u128)), Bucket::Token, clock.now());
        }
        let logs = limiter.logs.lock().expect("no panic");
        assert_eq!(logs.len(), TOKENS_MAX);
        assert!(!logs.contains_key(&TokenId(Uuid::from_u128(0))), "the longest silent went first");
    }
}
