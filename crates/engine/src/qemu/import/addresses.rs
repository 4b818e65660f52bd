//! Where an import may connect to: the open Internet, and what the operator opened. This host is not of the open Internet, also
//! at an address that is: what listens here may trust those who come from here.
//!
//! The check sits in the name resolver, whose answer is what is connected to: a name that points elsewhere a moment later is
//! of no use to anyone.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use ureq::{
    Error,
    config::Config,
    http::Uri,
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::NextTimeout,
    },
};

use super::problem::Problem;

/// The IPv4 networks that are not the open Internet. Source: IANA's registry of special-purpose addresses.
const CLOSED_V4: &[(Ipv4Addr, u8)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Multicast, reserved, broadcast.
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];

/// Where global IPv6 addresses are; all else (loopback, unique local, link-local, multicast …) is closed.
const GLOBAL_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// What is closed among them: special purposes with Teredo, whose addresses hide others, and documentation.
const CLOSED_V6: &[(Ipv6Addr, u8)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Translators' network: the last four bytes are an IPv4 address.
const NAT64: (Ipv6Addr, u8) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// 6to4: the four bytes after the first two are an IPv4 address.
const SIX_TO_FOUR: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16);

/// Resolves names to the addresses an import may connect to.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    /// What the operator opened.
    pub(super) allow_from: Vec<IpNet>,
}

impl Policy {
    /// Whether `address` may be connected to from a host whose own addresses are `own`.
    fn permits(&self, address: IpAddr, own: &[IpAddr]) -> bool {
        let address = address.to_canonical();
        self.allow_from.iter().any(|net| net.contains(&address)) || is_global(address) && !own.contains(&address)
    }
}

impl Resolver for Policy {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let found = DefaultResolver::default().resolve(uri, config, timeout)?;
        let own = own_addresses()?;
        let mut permitted = self.empty();
        let mut closed = None;
        for address in found.iter() {
            match self.permits(address.ip(), &own) {
                true => permitted.push(*address),
                false => closed = Some(address.ip()),
            }
        }
        match closed {
            Some(address) if permitted.is_empty() => {
                let host = uri.host().unwrap_or_default();
                Err(Error::Other(Box::new(Problem::Refused(format!(
                    "{host} is at {address}, and images are not fetched from that network; the setting images.allow_from \
                     of the server can open it"
                )))))
            }
            _ => Ok(permitted),
        }
    }
}

/// The addresses of this host's interfaces.
fn own_addresses() -> io::Result<Vec<IpAddr>> {
    let interfaces = nix::ifaddrs::getifaddrs()?;
    let address = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::from(address.ip())))
    };
    Ok(interfaces.filter_map(address).collect())
}

fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !CLOSED_V4.iter().any(|net| within_v4(address, *net)),
        IpAddr::V6(address) => {
            let bytes = address.octets();
            let embedded =
                |at: usize| is_global(Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]).into());
            if within_v6(address, NAT64) {
                return embedded(12);
            }
            if within_v6(address, SIX_TO_FOUR) {
                return embedded(2);
            }
            within_v6(address, GLOBAL_V6) && !CLOSED_V6.iter().any(|net| within_v6(address, *net))
        }
    }
}

fn within_v4(address: Ipv4Addr, (network, prefix): (Ipv4Addr, u8)) -> bool {
    Ipv4Net::new(network, prefix).is_ok_and(|net| net.contains(&address))
}

fn within_v6(address: Ipv6Addr, (network, prefix): (Ipv6Addr, u8)) -> bool {
    Ipv6Net::new(network, prefix).is_ok_and(|net| net.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(allow_from: &[&str], address: &str) -> bool {
        let allow_from = allow_from.iter().map(|net| net.parse().expect("a network")).collect();
        let own = ["8.8.8.8".parse().expect("an address"), "2606:4700::8".parse().expect("an address")];
        Policy { allow_from }.permits(address.parse().expect("an address"), &own)
    }

    #[test]
    fn the_host_itself_is_not_reached_at_an_open_address_either() {
        for address in ["8.8.8.8", "::ffff:8.8.8.8", "2606:4700::8"] {
            assert!(!permits(&[], address), "{address}");
        }
        assert!(permits(&["8.8.8.8/32"], "8.8.8.8"));
        assert!(own_addresses().expect("a list").contains(&Ipv4Addr::LOCALHOST.into()));
    }

    #[test]
    fn only_the_open_internet_is_reached_by_default() {
        for address in
            ["1.1.1.1", "99.255.255.255", "172.32.0.1", "2606:4700::1111", "2002:101:101::1", "64:ff9b::1.1.1.1"]
        {
            assert!(permits(&[], address), "{address}");
        }
        let closed = [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.64.0.5",
            "169.254.169.254",
            "172.31.255.255",
            "192.168.1.1",
            "198.18.0.2",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd64::1",
            "ff02::1",
            "2002:7f00:1::1",
            "2002:a9fe:a9fe::",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "2001::1",
            "2001:db8::1",
        ];
        for address in closed {
            assert!(!permits(&[], address), "{address}");
        }
    }

    #[test]
    fn an_operator_opens_networks_one_by_one() {
        assert!(permits(&["10.1.0.0/16"], "10.1.2.3"));
        assert!(permits(&["10.1.0.0/16"], "::ffff:10.1.2.3"));
        assert!(!permits(&["10.1.0.0/16"], "10.2.2.3"));
        assert!(!permits(&["127.0.0.0/8"], "::1"));
        assert!(permits(&["::1/128"], "::1"));
    }
}
