//! How many connections there are, in all and of each address: one too many is turned away, so that nobody can take them all.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::{ConnectionLimits, Sample};

/// The places there are for connections, and what became of those that asked for one.
#[derive(Debug)]
pub(crate) struct Places {
    limits: ConnectionLimits,
    taken: Mutex<Taken>,
    refused: AtomicU64,
    cut_off: AtomicU64,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A connection's place, free again when this value goes.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    /// Whom it counts for; `None` for a proxy, through which many come.
    address: Option<IpAddr>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The server has as many connections as it takes.
    Server,
    /// The address has.
    Address,
}

impl Places {
    /// As many as `limits` says.
    pub(crate) fn new(limits: ConnectionLimits) -> Self {
        Self { limits, taken: Mutex::default(), refused: AtomicU64::new(0), cut_off: AtomicU64::new(0) }
    }

    pub(crate) fn limits(&self) -> &ConnectionLimits {
        &self.limits
    }

    /// A place for a connection from `address`, or why there is none. Of a proxy only the whole counts.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr, is_proxy: bool) -> Result<Place, Full> {
        let address = (!is_proxy).then(|| household(address));
        let mut taken = self.lock();
        let found = match address {
            _ if taken.all >= self.limits.most => Err(Full::Server),
            Some(one) if taken.by_address.get(&one).is_some_and(|has| *has >= self.limits.most_per_address) => {
                Err(Full::Address)
            }
            Some(_) | None => Ok(()),
        };
        if let Err(full) = found {
            self.refused.fetch_add(1, Relaxed);
            return Err(full);
        }
        taken.all += 1;
        if let Some(one) = address {
            *taken.by_address.entry(one).or_default() += 1;
        }
        Ok(Place { places: Arc::clone(self), address })
    }

    /// One was closed since it was too slow.
    pub(crate) fn count_cut_off(&self) {
        self.cut_off.fetch_add(1, Relaxed);
    }

    /// What `/metrics` shows of them.
    pub(crate) fn samples(&self) -> [Sample; 3] {
        let open = u64::try_from(self.lock().all).unwrap_or(u64::MAX);
        let sample = |name, help, is_counter, value| Sample { name, help, is_counter, value };
        [
            sample("dewpoint_connections", "Connections that are open.", false, open),
            sample(
                "dewpoint_connections_refused_total",
                "Connections turned away since there were too many.",
                true,
                self.refused.load(Relaxed),
            ),
            sample(
                "dewpoint_connections_cut_off_total",
                "Connections closed since their client was too slow or idle for too long.",
                true,
                self.cut_off.load(Relaxed),
            ),
        ]
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all -= 1;
        let Some(address) = self.address else { return };
        if let Some(has) = taken.by_address.get_mut(&address) {
            *has -= 1;
            if *has == 0 {
                taken.by_address.remove(&address);
            }
        }
    }
}

/// What counts as one address: an IPv4 address, or an IPv6 /64, of which one household has every address.
fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(most: usize, most_per_address: usize) -> Arc<Places> {
        Arc::new(Places::new(ConnectionLimits { most, most_per_address, ..ConnectionLimits::default() }))
    }

    fn at(address: &str) -> IpAddr {
        address.parse().expect("an address")
    }

    #[test]
    fn an_address_has_its_share_and_no_more_until_one_of_its_own_goes() {
        let places = places(10, 2);
        let first = places.take(at("192.0.2.1"), false).expect("a place");
        let _second = places.take(at("::ffff:192.0.2.1"), false).expect("the same address");
        assert_eq!(places.take(at("192.0.2.1"), false).err(), Some(Full::Address));
        let other = places.take(at("192.0.2.2"), false).expect("another's is its own");
        drop(other);
        assert_eq!(places.take(at("192.0.2.1"), false).err(), Some(Full::Address));
        drop(first);
        assert!(places.take(at("192.0.2.1"), false).is_ok());
        assert_eq!(places.samples().map(|sample| sample.value), [1, 2, 0]);
    }

    #[test]
    fn all_of_a_v6_network_of_64_bits_is_one_address() {
        let places = places(10, 1);
        let _first = places.take(at("2001:db8:0:1::1"), false).expect("a place");
        assert_eq!(places.take(at("2001:db8:0:1:ffff::9"), false).err(), Some(Full::Address));
        assert!(places.take(at("2001:db8:0:2::1"), false).is_ok());
    }

    #[test]
    fn of_a_proxy_only_the_whole_counts() {
        let places = places(3, 1);
        let taken: Vec<Place> = (0..3).map(|_| places.take(at("10.0.0.1"), true).expect("a place")).collect();
        assert_eq!(places.take(at("10.0.0.1"), true).err(), Some(Full::Server));
        assert_eq!(places.take(at("192.0.2.1"), false).err(), Some(Full::Server));
        drop(taken);
        assert!(places.lock().by_address.is_empty() && places.lock().all == 0);
    }
}
