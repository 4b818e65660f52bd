//! Who is at the other end of a connection.

use std::net::IpAddr;

use http::{Extensions, HeaderMap, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Rides in the extensions of every request that came over a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The client's address: the connection's, or what a trusted proxy says it is.
    pub address: IpAddr,
    /// Whether the connection is encrypted.
    pub is_secure: bool,
}

impl Peer {
    /// The peer of a request; `None` when it came over no socket, as in tests.
    pub(crate) fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get().copied()
    }

    /// The peer of a request that came from `address` with these headers.
    ///
    /// Anybody may send `x-forwarded-for`: it counts from a trusted proxy only, and of it the last address that is no such
    /// proxy itself, since each adds the one it was called from at the end.
    pub(crate) fn behind(address: IpAddr, is_secure: bool, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
        let mut client = address.to_canonical();
        let mut said: Vec<&str> = headers
            .get_all(X_FORWARDED_FOR)
            .iter()
            .flat_map(|value| value.to_str().unwrap_or("?").split(','))
            .collect();
        while is_trusted(&client) {
            // Words that are no address end the search: whoever wrote them is not known.
            let Some(before) = said.pop().and_then(|text| text.trim().parse::<IpAddr>().ok()) else { break };
            client = before.to_canonical();
        }
        Self { address: client, is_secure }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn forwarded_addresses_count_from_trusted_proxies_only() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().expect("a net"), "::1/128".parse().expect("a net")];
        for (peer, said, client) in [
            ("192.0.2.1", Some("198.51.100.9"), "192.0.2.1"),
            ("10.0.0.1", Some("198.51.100.9"), "198.51.100.9"),
            ("10.0.0.1", Some("203.0.113.5, 198.51.100.9, 10.0.0.2"), "198.51.100.9"),
            ("10.0.0.1", Some("203.0.113.5, unknown"), "10.0.0.1"),
            ("10.0.0.1", None, "10.0.0.1"),
            ("::1", Some("2001:db8::7"), "2001:db8::7"),
            ("::ffff:10.0.0.1", Some("198.51.100.9"), "198.51.100.9"),
        ] {
            let headers: HeaderMap =
                said.map(|said| (X_FORWARDED_FOR, HeaderValue::from_static(said))).into_iter().collect();
            let found = Peer::behind(peer.parse().expect("an address"), false, &headers, &trusted);
            assert_eq!(found.address.to_string(), client, "{peer} {said:?}");
        }
    }
}
