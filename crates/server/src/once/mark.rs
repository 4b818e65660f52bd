//! What a request says of itself: which one it is, or which attempt.

use axum::body::Bytes;
use http::{HeaderMap, HeaderName, Uri};
use sha2::{Digest as _, Sha256};

use crate::ApiError;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The Python SDK's count of the retries before this one, on every request it sends.
const RETRY_COUNT: HeaderName = HeaderName::from_static("x-stainless-retry-count");
const HEX: &[u8; 16] = b"0123456789abcdef";
/// Most characters of an `Idempotency-Key`.
const KEY_MAX: usize = 255;

/// How a request can be known again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// By the `Idempotency-Key` of its own.
    Key(String),
    /// As an attempt at the same request, counted from 0.
    Attempt(u32),
    /// Not at all.
    None,
}

impl Mark {
    /// What these headers say. 400 for a key that is none: 1 to 255 visible ASCII characters, once.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
        if let Some(key) = keys.next() {
            let text = key.to_str().ok().filter(|key| (1..=KEY_MAX).contains(&key.len()) && keys.next().is_none());
            return text.map(|key| Self::Key(key.to_owned())).ok_or_else(|| {
                ApiError::bad_request(format!("Idempotency-Key must be 1 to {KEY_MAX} visible ASCII characters, once."))
            });
        }
        let attempt = headers.get(RETRY_COUNT).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Ok(attempt.map_or(Self::None, Self::Attempt))
    }
}

/// The SHA-256, in hex, of whose request it is, its path and query, and its body, byte for byte. All are POSTs.
pub(super) fn fingerprint(whose: &str, uri: &Uri, body: &Bytes) -> String {
    let mut hash = Sha256::new();
    for part in [whose, uri.path(), uri.query().unwrap_or_default()] {
        hash.update(part.as_bytes());
        // No part can hold a line feed, so none can be taken for the next.
        hash.update(b"\n");
    }
    hash.update(body);
    hash.finalize()
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|half| char::from(HEX[usize::from(half)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn mark(pairs: &[(&'static str, &str)]) -> Option<Mark> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a header"));
        }
        Mark::of(&headers).ok()
    }

    #[test]
    fn a_key_goes_before_a_count_and_a_count_that_is_none_is_ignored() {
        let key = |text: &str| Some(Mark::Key(text.to_owned()));
        assert_eq!(mark(&[("idempotency-key", "a b"), ("x-stainless-retry-count", "1")]), key("a b"));
        assert_eq!(mark(&[("x-stainless-retry-count", "0")]), Some(Mark::Attempt(0)));
        assert_eq!(mark(&[("x-stainless-retry-count", "-1")]), Some(Mark::None));
        assert_eq!(mark(&[]), Some(Mark::None));
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_ignored() {
        let long = "k".repeat(KEY_MAX + 1);
        assert_eq!(mark(&[("idempotency-key", &long[1..])]), Some(Mark::Key(long[1..].to_owned())));
        for bad in ["", "schlüssel", long.as_str()] {
            assert_eq!(mark(&[("idempotency-key", bad)]), None, "{bad:?}");
        }
        assert_eq!(mark(&[("idempotency-key", "a"), ("idempotency-key", "b")]), None);
    }

    #[test]
    fn requests_that_differ_in_anything_have_other_fingerprints() {
        let print = |whose: &str, uri: &'static str, body: &'static str| {
            fingerprint(whose, &Uri::from_static(uri), &Bytes::from_static(body.as_bytes()))
        };
        let all = [
            print("", "/v2/tags", "{}"),
            print("t", "/v2/tags", "{}"),
            print("", "/v2/tags?a=b", "{}"),
            print("", "/v2/volumes", "{}"),
            print("", "/v2/tags", "{ }"),
        ];
        let different: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert_eq!(print("t", "/v2/tags", "{}"), all[1]);
        assert_eq!(all[0].len(), 64);
    }
}
