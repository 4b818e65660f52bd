//! How much a network may ask over UDP, where nobody can tell who really asks: what is over it is put off to TCP.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
};

/// How many networks are told apart at once. Two that fall together share what there is for one.
const PLACES: usize = 4096;

/// Counts questions by the second, in as much memory however many ask.
#[derive(Debug)]
pub(crate) struct Budget {
    per_second: u32,
    hash: RandomState,
    /// The second in the upper half, questions in it in the lower.
    places: Vec<AtomicU64>,
}

impl Budget {
    /// For each network, `per_second` questions a second.
    pub(crate) fn new(per_second: u32) -> Self {
        let places = (0..PLACES).map(|_| AtomicU64::new(0)).collect();
        Self { per_second, hash: RandomState::new(), places }
    }

    /// Whether `asker` may ask one more in this second, which is counted from any moment on.
    pub(crate) fn take(&self, asker: IpAddr, second: u32) -> bool {
        let at = usize::try_from(self.hash.hash_one(network(asker))).unwrap_or_default() % PLACES;
        let next = |held: u64| match held >> 32 == u64::from(second) {
            true if held & 0xffff_ffff >= u64::from(self.per_second) => None,
            true => Some(held + 1),
            false => Some(u64::from(second) << 32 | 1),
        };
        self.places[at].fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

/// The network of an asker: /24 of IPv4, /56 of IPv6.
fn network(asker: IpAddr) -> [u8; 7] {
    match asker.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            [4, a, b, c, 0, 0, 0]
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, ..] = address.octets();
            [a, b, c, d, e, f, g]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_so_many_questions_a_second() {
        let budget = Budget::new(2);
        let asker = |last| IpAddr::from([192, 0, 2, last]);
        assert!(budget.take(asker(1), 7) && budget.take(asker(2), 7));
        assert!(!budget.take(asker(3), 7), "one network");
        assert!(budget.take(asker(3), 8), "the next second");
        let mapped: IpAddr = "::ffff:192.0.2.9".parse().expect("an address");
        assert!(budget.take(mapped, 8) && !budget.take(mapped, 8), "one address in two forms");
    }
}
