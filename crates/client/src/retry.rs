//! When a call is sent again, and after how long.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, Method, StatusCode};

/// How often and how patiently calls are sent again.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// Most times that a call is sent again. 0 for never.
    pub retries: u32,
    /// The first pause; each next one is twice as long.
    pub first_pause: Duration,
    /// The longest pause that back-off comes to.
    pub longest_pause: Duration,
    /// The longest pause that a server may ask for. When it asks for a longer one, its refusal is given at once.
    pub longest_retry_after: Duration,
    /// Whether a POST that may have been carried out is sent again, with the same `Idempotency-Key`.
    pub posts: RetryPosts,
}

/// Whether a POST is sent again when its answer was lost or was a 5xx.
///
/// In every case one is sent again after a 429 and when no connection came about: then it was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryPosts {
    /// Yes: the server knows an `Idempotency-Key` and carries a request out once, as Dewpoint does.
    Keyed,
    /// No: what was asked for might be made twice.
    NotSent,
    /// As [`RetryPosts::NotSent`] for `digitalocean.com`, which does not say that it knows such keys; else as
    /// [`RetryPosts::Keyed`].
    ByServer,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries: 3,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(8),
            longest_retry_after: Duration::from_secs(60),
            posts: RetryPosts::ByServer,
        }
    }
}

impl RetryPolicy {
    /// The pause before attempt `attempt + 1` (counted from 0): doubled each time, and up to half of it taken off by chance,
    /// so that clients that failed together do not come back together.
    pub(crate) fn pause(&self, attempt: u32) -> Duration {
        let whole = self.first_pause.saturating_mul(1 << attempt.min(16)).min(self.longest_pause);
        let (chance, _) = uuid::Uuid::new_v4().as_u64_pair();
        // 53 random bits as a share of 1.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double")]
        let share = (chance >> 11) as f64 / (1_u64 << 53) as f64;
        whole.mul_f64(share.mul_add(-0.5, 1.0))
    }
}

/// What a failed attempt was, as far as trying again goes.
#[derive(Debug)]
pub(crate) enum Failure<'a> {
    /// The server answered.
    Answer(StatusCode, &'a HeaderMap),
    /// No whole answer came. Whether the request may have been carried out.
    Broken { was_sent: bool },
}

/// Whether to send again: `None`, or the pause that the server asked for if any.
pub(crate) fn again(policy: &RetryPolicy, repeatable: bool, failure: &Failure<'_>) -> Option<Option<Duration>> {
    let (status, headers) = match failure {
        Failure::Broken { was_sent } => return (!was_sent || repeatable).then_some(None),
        Failure::Answer(status, headers) => (*status, *headers),
    };
    let asked = retry_after(headers);
    if asked.is_some_and(|pause| pause > policy.longest_retry_after) {
        return None;
    }
    let told = headers.get("x-should-retry").and_then(|value| value.to_str().ok());
    let wanted = match (told, status.as_u16()) {
        (Some("true"), _) => true,
        (Some("false"), _) => false,
        // Not carried out.
        (_, 429) => true,
        // With a key: the first of the two is still being carried out.
        (_, 409) => repeatable && asked.is_some(),
        (_, 408 | 500 | 502..=599) => repeatable,
        _ => false,
    };
    wanted.then_some(asked)
}

/// Whether carrying a request out twice leaves what carrying it out once does.
pub(crate) fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
}

/// The pause that the server asks for: `retry-after-ms`, or `retry-after` in seconds or as a date.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let seconds = |text: &str| text.parse::<f64>().ok().and_then(|number| Duration::try_from_secs_f64(number).ok());
    if let Some(pause) = text("retry-after-ms").and_then(seconds) {
        return Some(pause / 1000);
    }
    let text = text("retry-after")?;
    seconds(text).or_else(|| {
        let date = httpdate::parse_http_date(text).ok()?;
        Some(date.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().expect("a name"), value.parse().expect("a value"))).collect()
    }

    fn decide(status: u16, headers: &[(&'static str, &str)], repeatable: bool) -> Option<Option<Duration>> {
        let status = StatusCode::from_u16(status).expect("a status");
        again(&RetryPolicy::default(), repeatable, &Failure::Answer(status, &told(headers)))
    }

    #[test]
    fn only_what_is_safe_is_sent_again() {
        for status in [500, 502, 503, 504, 408] {
            assert_eq!((decide(status, &[], true), decide(status, &[], false)), (Some(None), None), "{status}");
        }
        assert_eq!((decide(429, &[], true), decide(429, &[], false)), (Some(None), Some(None)));
        for status in [400, 401, 403, 404, 409, 412, 422, 501] {
            assert_eq!(decide(status, &[], true), None, "{status}");
        }
        assert_eq!(again(&RetryPolicy::default(), false, &Failure::Broken { was_sent: true }), None);
        assert_eq!(again(&RetryPolicy::default(), false, &Failure::Broken { was_sent: false }), Some(None));
    }

    #[test]
    fn the_server_has_the_last_word() {
        assert_eq!(decide(422, &[("x-should-retry", "true")], false), Some(None));
        assert_eq!(decide(503, &[("x-should-retry", "false")], true), None);
        let two = Some(Duration::from_secs(2));
        assert_eq!(decide(409, &[("retry-after", "2")], true), Some(two));
        assert_eq!(decide(429, &[("retry-after-ms", "2000"), ("retry-after", "9")], false), Some(two));
        assert_eq!(decide(429, &[("retry-after", "3600")], true), None, "that is longer than a call may hang");
    }

    #[test]
    fn a_date_is_a_pause_too() {
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(30));
        let pause = retry_after(&told(&[("retry-after", &soon)])).expect("a date");
        assert!(pause <= Duration::from_secs(30), "{pause:?}");
        assert_eq!(retry_after(&told(&[("retry-after", "Sat, 01 Jan 2000 00:00:00 GMT")])), Some(Duration::ZERO));
        assert_eq!(retry_after(&told(&[("retry-after", "soon")])), None);
    }

    #[test]
    fn pauses_double_with_jitter_up_to_the_longest() {
        let policy = RetryPolicy::default();
        for (attempt, whole) in [(0, 500), (1, 1000), (2, 2000), (9, 8000), (u32::MAX, 8000)] {
            let pause = policy.pause(attempt);
            assert!(pause <= Duration::from_millis(whole) && pause >= Duration::from_millis(whole / 2), "{pause:?}");
        }
    }
}
