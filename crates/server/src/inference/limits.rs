//! What a model access key may have: requests and tokens, by gauges in memory that fill steadily.
//!
//! A request is let in while anything is left, and takes the tokens of its messages at once, by an estimate; those of its
//! answer are taken as they pass, and both are put right when the answer tells them. So no answer is cut off, and what it used
//! beyond the limit is waited for by the next one. Each server counts for itself.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use dewpoint_api::{ErrorId, KeyLimits, TokenId};
use dewpoint_clock::Timestamp;
use dewpoint_inference::{Gauge, told};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::ApiError;

const MINUTE: Duration = Duration::from_secs(60);
/// The window of the longest limit.
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);
/// Most keys watched at once; past it those whose gauges are full again are forgotten, and if there is none, all.
const KEYS_MOST: usize = 10_000;

/// The gauges of all keys that have limits.
#[derive(Debug, Default)]
pub(super) struct KeyGauges {
    keys: Mutex<HashMap<TokenId, Arc<Mutex<Gauges>>>>,
}

/// The gauges of one key.
#[derive(Debug, Default)]
struct Gauges {
    requests: Option<Gauge>,
    tokens: Option<Gauge>,
    day: Option<Gauge>,
    /// Whether what was used before this server began is counted.
    day_is_known: bool,
}

/// A request that was let in. Tokens are counted through it.
#[derive(Clone, Debug)]
pub(super) struct Admitted {
    gauges: Arc<Mutex<Gauges>>,
    limits: KeyLimits,
}

/// A key that has limits, about to ask.
#[derive(Debug)]
pub(super) struct AtTheDoor(Admitted);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn micros(now: Timestamp) -> i64 {
    now.as_millis().saturating_mul(1000)
}

/// Brings a gauge to what the limit is now; another limit does not give back what was taken.
fn set(gauge: &mut Option<Gauge>, limit: Option<u64>, window: Duration, now: Timestamp) {
    match (gauge.as_mut(), limit) {
        (_, None) => *gauge = None,
        (Some(gauge), Some(most)) => gauge.set_most(most, micros(now)),
        (None, Some(most)) => *gauge = Some(Gauge::new(most, window)),
    }
}

impl KeyGauges {
    /// The gauges of a key; `None` when it has no limits.
    pub(super) fn of(&self, key: TokenId, limits: KeyLimits, now: Timestamp) -> Option<AtTheDoor> {
        if limits == KeyLimits::default() {
            return None;
        }
        let mut keys = lock(&self.keys);
        if keys.len() >= KEYS_MOST && !keys.contains_key(&key) {
            keys.retain(|_, gauges| !lock(gauges).are_full(now));
            if keys.len() >= KEYS_MOST {
                keys.clear();
            }
        }
        let gauges = Arc::clone(keys.entry(key).or_default());
        Some(AtTheDoor(Admitted { gauges, limits }))
    }
}

impl KeyGauges {
    /// Forgets what was taken.
    pub(super) fn forget(&self) {
        lock(&self.keys).clear();
    }
}

impl Gauges {
    fn all(&self) -> impl Iterator<Item = &Gauge> {
        [&self.requests, &self.tokens, &self.day].into_iter().flatten()
    }

    fn are_full(&self, now: Timestamp) -> bool {
        self.all().all(|gauge| gauge.until_full(micros(now)).is_zero())
    }

    fn is_now(&mut self, limits: KeyLimits, now: Timestamp) {
        set(&mut self.requests, limits.requests_per_minute, MINUTE, now);
        set(&mut self.tokens, limits.tokens_per_minute, MINUTE, now);
        set(&mut self.day, limits.tokens_per_day, DAY, now);
        self.day_is_known &= self.day.is_some();
    }

    fn take_tokens(&mut self, tokens: u64, now: Timestamp) {
        for gauge in [&mut self.tokens, &mut self.day].into_iter().flatten() {
            gauge.take(tokens, micros(now));
        }
    }
}

impl AtTheDoor {
    /// Whether what the key used in the last day has to be told first, by [`AtTheDoor::used_today`].
    pub(super) fn must_know_the_day(&self) -> bool {
        self.0.limits.tokens_per_day.is_some() && !lock(&self.0.gauges).day_is_known
    }

    /// What the key used in the last day, before this server knew of it.
    pub(super) fn used_today(&self, tokens: u64, now: Timestamp) {
        let mut gauges = lock(&self.0.gauges);
        gauges.is_now(self.0.limits, now);
        // Another request may have been here in the meantime.
        if !std::mem::replace(&mut gauges.day_is_known, true)
            && let Some(day) = &mut gauges.day
        {
            day.take(tokens, micros(now));
        }
    }

    /// Lets a request in that has so many tokens, roughly; or says how long to wait.
    pub(super) fn enter(self, tokens: u64, now: Timestamp) -> Result<Admitted, ApiError> {
        let Self(admitted) = self;
        let mut gauges = lock(&admitted.gauges);
        gauges.is_now(admitted.limits, now);
        let at = micros(now);
        let wait = |gauge: &Option<Gauge>| gauge.map_or(Duration::ZERO, |gauge| gauge.wait_for(1, at));
        let waits = [
            (wait(&gauges.requests), "requests a minute", admitted.limits.requests_per_minute),
            (wait(&gauges.tokens), "tokens a minute", admitted.limits.tokens_per_minute),
            (wait(&gauges.day), "tokens a day", admitted.limits.tokens_per_day),
        ];
        let longest = waits.into_iter().max_by_key(|(wait, ..)| *wait).filter(|(wait, ..)| !wait.is_zero());
        if let Some((wait, what, most)) = longest {
            let seconds = u64::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u64::MAX).max(1);
            let most = most.unwrap_or(0);
            let text = format!("This key may have {most} {what}, and has had them. Ask again in {seconds} s.");
            let mut headers = told_by(&gauges, at);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            return Err(ApiError::new(ErrorId::TooManyRequests, text).with_headers(headers));
        }
        if let Some(requests) = &mut gauges.requests {
            requests.take(1, at);
        }
        gauges.take_tokens(tokens, now);
        drop(gauges);
        Ok(admitted)
    }
}

impl Admitted {
    /// So many tokens more were used.
    pub(super) fn used(&self, tokens: u64, now: Timestamp) {
        lock(&self.gauges).take_tokens(tokens, now);
    }

    /// So many tokens were counted that were not used.
    pub(super) fn not_used(&self, tokens: u64) {
        let mut gauges = lock(&self.gauges);
        let Gauges { tokens: minute, day, .. } = &mut *gauges;
        for gauge in [minute, day].into_iter().flatten() {
            gauge.give_back(tokens);
        }
    }

    /// What the answer's headers tell of the limits.
    pub(super) fn headers(&self, now: Timestamp) -> HeaderMap {
        told_by(&lock(&self.gauges), micros(now))
    }
}

/// The headers that clients of OpenAI's know.
fn told_by(gauges: &Gauges, now_us: i64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let names = [
        ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
        ("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ];
    for ((limit, remaining, reset), gauge) in names.into_iter().zip([&gauges.requests, &gauges.tokens]) {
        let Some(gauge) = gauge else { continue };
        headers.insert(HeaderName::from_static(limit), HeaderValue::from(gauge.most()));
        headers.insert(HeaderName::from_static(remaining), HeaderValue::from(gauge.left(now_us)));
        let until = told(gauge.until_full(now_us));
        if let Ok(until) = HeaderValue::from_str(&until) {
            headers.insert(HeaderName::from_static(reset), until);
        }
    }
    headers
}
