//! Requests that two readers may read differently.
//!
//! A proxy in front may go by one of two headers and we by the other: then it has checked another request than the one we
//! answer. No honest client sends such a thing, so nothing is guessed. Bodies whose length is said twice never get here: hyper
//! refuses them, or goes by the chunks alone and ends the connection (RFC 9112, 6.1 and 6.3).

use http::{HeaderMap, header};

/// Why a request with these headers is refused: a 400, after which the connection ends.
pub(crate) fn refusal(headers: &HeaderMap) -> Option<&'static str> {
    if headers.get_all(header::HOST).iter().count() > 1 {
        return Some("The request has more than one Host header.");
    }
    None
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_what_has_two_meanings_is_refused() {
        let mut headers = HeaderMap::new();
        assert_eq!(refusal(&headers), None);
        headers.append(header::HOST, HeaderValue::from_static("a"));
        assert_eq!(refusal(&headers), None);
        headers.append(header::HOST, HeaderValue::from_static("a"));
        assert!(refusal(&headers).is_some_and(|why| why.contains("Host")));
    }
}
