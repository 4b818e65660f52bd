//! Address pools as arithmetic: which address is at which position, and which ranges are still free. No I/O.

use std::net::{Ipv4Addr, Ipv6Addr};

use dewpoint_api::DropletId;
use dewpoint_clock::Timestamp;
use dewpoint_engine::{MacAddress, NicKind};
use dewpoint_store::addresses::Positions;
use ipnet::Ipv4Net;

/// A pool of IPv4 addresses; positions count from its network address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    network: Ipv4Net,
}

impl Pool {
    /// The pool that is `network`. Its first two addresses (network, gateway) and its last (broadcast) are not given out.
    pub fn new(network: Ipv4Net) -> Self {
        Self { network: network.trunc() }
    }

    /// The lowest position given out.
    pub fn first(self) -> u64 {
        2
    }

    /// How many positions are given out.
    pub fn size(self) -> u64 {
        let all = 1_u64 << (32 - u32::from(self.network.prefix_len()));
        all.saturating_sub(3)
    }

    /// The address at `position`.
    pub fn address(self, position: u64) -> Ipv4Addr {
        let base = u64::from(u32::from(self.network.network()));
        Ipv4Addr::from(u32::try_from(base + position).unwrap_or(u32::MAX))
    }

    /// The position of `address`.
    pub fn position(self, address: Ipv4Addr) -> u64 {
        u64::from(u32::from(address)).saturating_sub(u64::from(u32::from(self.network.network())))
    }

    /// What of it may be given: by position, of what was given back at `rested` or before.
    pub fn positions(self, pool: &str, rested: Timestamp) -> Positions<'_> {
        Positions { pool, first: self.first(), size: self.size(), rested }
    }

    /// The same, where a position is the address itself as a number.
    pub fn numbers(self, pool: &str, rested: Timestamp) -> Positions<'_> {
        let base = u64::from(u32::from(self.network.network()));
        Positions { pool, first: base + self.first(), size: self.size(), rested }
    }

    /// The network itself.
    pub fn network(self) -> Ipv4Net {
        self.network
    }

    /// The network's mask.
    pub fn netmask(self) -> Ipv4Addr {
        self.network.netmask()
    }
}

/// The Droplet's address in the pool of unique local addresses: its number in the lower 64 bits.
pub fn v6_address(pool: Ipv6Addr, droplet: DropletId) -> Ipv6Addr {
    Ipv6Addr::from(u128::from(pool) | u128::from(droplet.0))
}

/// The Droplet whose [`v6_address`] this is, if it is one at all.
pub fn v6_droplet(address: Ipv6Addr) -> DropletId {
    let [.., a, b, c, d, e, f, g, h] = address.octets();
    DropletId(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
}

/// The first address of the pool, which Droplets show as their gateway.
pub fn v6_gateway(pool: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from(u128::from(pool) | 1)
}

/// The MAC of a Droplet's link: locally administered, unique by the Droplet's number.
pub fn mac(droplet: DropletId, kind: NicKind) -> MacAddress {
    let [.., a, b, c, d] = droplet.0.to_be_bytes();
    let kind = match kind {
        NicKind::Public => 0x01,
        NicKind::Private => 0x02,
    };
    MacAddress([0x06, kind, a, b, c, d])
}

/// A free range of `prefix` bits within 10.0.0.0/8 that overlaps none of `taken`; `None` when there is none.
///
/// Starts at 10.100.0.0, since people like the low ones for VPCs of their own, and wraps.
pub fn free_range(taken: &[Ipv4Net], prefix: u8) -> Option<Ipv4Net> {
    let all = Ipv4Net::new(Ipv4Addr::new(10, 0, 0, 0), 8).ok()?;
    let start = Ipv4Addr::new(10, 100, 0, 0);
    let free = |range: &Ipv4Net| !taken.iter().any(|other| overlap(other, range));
    let high = all.subnets(prefix).ok()?.filter(|range| range.network() >= start);
    let low = all.subnets(prefix).ok()?.filter(|range| range.network() < start);
    high.chain(low).find(free)
}

/// The private ranges of RFC 1918.
const PRIVATE: [(Ipv4Addr, u8); 3] =
    [(Ipv4Addr::new(10, 0, 0, 0), 8), (Ipv4Addr::new(172, 16, 0, 0), 12), (Ipv4Addr::new(192, 168, 0, 0), 16)];

/// Reads the range somebody wants for a VPC: private, from /16 to /28, written by its first address (VPC-1).
///
/// Fails with a sentence that says what is wrong with it.
pub fn vpc_range(text: &str) -> Result<Ipv4Net, String> {
    let range: Ipv4Net = text
        .parse()
        .map_err(|_| format!("ip_range {text:?} is no range of IPv4 addresses in CIDR form, such as 10.10.10.0/24."))?;
    if !(16..=28).contains(&range.prefix_len()) {
        return Err(format!(
            "ip_range {range} is a /{}: a VPC is no larger than /16 and no smaller than /28.",
            range.prefix_len()
        ));
    }
    if range.trunc() != range {
        return Err(format!("ip_range {range} does not begin with its first address: write {}.", range.trunc()));
    }
    let private = |(base, bits): (Ipv4Addr, u8)| Ipv4Net::new(base, bits).is_ok_and(|all| all.contains(&range));
    if !PRIVATE.into_iter().any(private) {
        return Err(format!(
            "ip_range {range} is not private: take one of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16."
        ));
    }
    Ok(range)
}

/// Whether two ranges have an address in common.
pub fn overlap(one: &Ipv4Net, other: &Ipv4Net) -> bool {
    one.contains(other) || other.contains(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().expect("a network")
    }

    #[test]
    fn a_pool_gives_neither_network_nor_gateway_nor_broadcast() {
        let pool = Pool::new(net("10.0.0.0/28"));
        let given: Vec<_> = (pool.first()..pool.first() + pool.size()).map(|at| pool.address(at)).collect();
        assert_eq!(given.first(), Some(&Ipv4Addr::new(10, 0, 0, 2)));
        assert_eq!(given.last(), Some(&Ipv4Addr::new(10, 0, 0, 14)));
        assert_eq!(pool.position(Ipv4Addr::new(10, 0, 0, 14)), 14);
    }

    #[test]
    fn a_free_range_overlaps_nothing_that_is_taken() {
        let taken = [net("10.100.0.0/16"), net("10.101.128.0/20"), net("10.96.0.0/14")];
        assert_eq!(free_range(&taken, 16), Some(net("10.102.0.0/16")));
        assert_eq!(free_range(&[net("10.0.0.0/8")], 20), None);
    }

    #[test]
    fn a_vpcs_range_is_private_and_from_16_to_28_vpc_1() {
        for good in ["10.0.0.0/16", "10.10.10.0/24", "172.31.255.240/28", "192.168.0.0/16"] {
            assert_eq!(vpc_range(good), Ok(net(good)));
        }
        let bad = [
            ("", "CIDR"),
            ("10.0.0.0", "CIDR"),
            ("10.0.0.0/33", "CIDR"),
            ("fd00::/64", "CIDR"),
            ("10.0.0.0/8", "larger"),
            ("10.0.0.0/0", "larger"),
            ("10.0.0.0/15", "larger"),
            ("10.0.0.0/29", "smaller"),
            ("10.10.10.1/24", "write 10.10.10.0/24"),
            ("8.8.8.0/24", "not private"),
            ("172.32.0.0/16", "not private"),
            ("192.169.0.0/16", "not private"),
        ];
        for (text, why) in bad {
            let said = vpc_range(text).expect_err(text);
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn two_droplets_never_share_a_mac_or_an_address() {
        let (a, b) = (DropletId(100_001), DropletId(100_002));
        assert_ne!(mac(a, NicKind::Public), mac(b, NicKind::Public));
        assert_ne!(mac(a, NicKind::Public), mac(a, NicKind::Private));
        let pool = "fd00::".parse().expect("an address");
        assert_eq!(v6_address(pool, a).to_string(), "fd00::1:86a1");
        assert_eq!(v6_droplet(v6_address(pool, a)), a);
    }
}
