//! How a machine's links look from inside, and which ports of its public address lead to it.
//!
//! This is the whole of loopback networking: QEMU's user networking gives each machine a little network of its own, and
//! ports of the machine's public address (out of 127.64.0.0/10) are forwarded into it. The guest cannot have that address
//! itself, since a kernel takes 127.0.0.0/8 for its own loopback. Real networks will replace this file.

use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
};

use super::record::ForwardRecord;
use crate::{Error, MacAddress, MachineSpec, Networking, NicKind};

/// The addresses machines get when the operator configured none.
pub(super) const NETWORKING: Networking = Networking {
    pool: (Ipv4Addr::new(127, 64, 0, 0), 10),
    netmask: Ipv4Addr::new(255, 0, 0, 0),
    gateway: Ipv4Addr::LOCALHOST,
};

/// The ports that are always forwarded.
const FORWARDED: [u16; 3] = [22, 80, 443];

/// What is added to a guest port below 1024 when the host's port of that number cannot be had.
const HIGH_PORT_OFFSET: u16 = 20_000;

/// An address of the loopback network that no machine gets: tells a port taken on all addresses from one taken on one.
const NOBODYS_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 127, 255, 254);

/// The inside of one link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GuestLink {
    pub(super) mac: MacAddress,
    pub(super) ipv4: Option<(Ipv4Addr, u8)>,
    pub(super) gateway: Option<Ipv4Addr>,
    pub(super) ipv6: Option<(Ipv6Addr, u8)>,
    pub(super) gateway6: Option<Ipv6Addr>,
    pub(super) nameserver: Option<Ipv4Addr>,
}

/// The little network behind a public link: 198.18.INDEX.0/24, from the block for benchmarks (RFC 2544), which no VPC uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UserNetwork(u8);

impl UserNetwork {
    pub(super) fn of_link(index: usize) -> Self {
        Self(u8::try_from(index).unwrap_or(u8::MAX))
    }

    fn at(self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.0, host)
    }

    pub(super) fn network(self) -> String {
        format!("{}/24", self.at(0))
    }

    /// QEMU itself: the gateway, and with egress the way to the host.
    pub(super) fn host(self) -> Ipv4Addr {
        self.at(1)
    }

    pub(super) fn guest(self) -> Ipv4Addr {
        self.at(2)
    }

    pub(super) fn nameserver(self) -> Ipv4Addr {
        self.at(3)
    }
}

/// What the seed disk tells the guest about its links, in their order.
pub(super) fn guest_links(spec: &MachineSpec) -> Vec<GuestLink> {
    spec.nics
        .iter()
        .enumerate()
        .map(|(index, nic)| {
            let ipv6 = nic.ipv6.map(|link| (link.address, link.prefix));
            let gateway6 = nic.ipv6.map(|link| link.gateway);
            match nic.kind {
                NicKind::Public => {
                    let network = UserNetwork::of_link(index);
                    GuestLink {
                        mac: nic.mac,
                        ipv4: Some((network.guest(), 24)),
                        gateway: Some(network.host()),
                        ipv6,
                        gateway6,
                        nameserver: Some(network.nameserver()),
                    }
                }
                NicKind::Private => GuestLink {
                    mac: nic.mac,
                    ipv4: nic.ipv4.map(|link| (link.address, prefix_length(link.netmask))),
                    gateway: nic.ipv4.and_then(|link| link.gateway),
                    ipv6,
                    gateway6,
                    nameserver: None,
                },
            }
        })
        .collect()
}

fn prefix_length(netmask: Ipv4Addr) -> u8 {
    u8::try_from(netmask.to_bits().leading_ones()).expect("a mask has at most 32 bits")
}

/// The machine's public address on this host.
pub(super) fn public_address(spec: &MachineSpec) -> Option<Ipv4Addr> {
    spec.nics.iter().find(|nic| nic.kind == NicKind::Public)?.ipv4.map(|link| link.address)
}

/// The guest ports to forward, in ascending order.
pub(super) fn forwarded_ports(extra: &[u16]) -> BTreeSet<u16> {
    FORWARDED.iter().chain(extra).copied().filter(|&port| port != 0).collect()
}

/// Chooses the host's port for each of the guest's, by binding it for a moment.
///
/// A port below 1024 that this host does not give (no right to, or another program has it on every address, as sshd often
/// has 22) is replaced by one 20,000 higher. Fails with [`Error::AddressUnusable`] when the address itself cannot be had, or
/// a port on it is taken.
pub(super) fn choose_ports(
    address: Ipv4Addr,
    guest_ports: &BTreeSet<u16>,
    bind: &dyn Fn(SocketAddr) -> io::Result<()>,
) -> Result<Vec<ForwardRecord>, Error> {
    let mut chosen: Vec<ForwardRecord> = Vec::new();
    for &guest_port in guest_ports {
        let low = SocketAddr::from((address, guest_port));
        let high = SocketAddr::from((address, guest_port.saturating_add(HIGH_PORT_OFFSET)));
        let host = match bind(low) {
            Ok(()) => low,
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                return Err(Error::AddressUnusable(address));
            }
            Err(error) => {
                let denied = error.kind() == io::ErrorKind::PermissionDenied;
                let taken_everywhere = || bind(SocketAddr::from((NOBODYS_ADDRESS, guest_port))).is_err();
                if !(denied || taken_everywhere()) || guest_ports.contains(&high.port()) || bind(high).is_err() {
                    return Err(Error::AddressUnusable(address));
                }
                high
            }
        };
        chosen.push(ForwardRecord { guest_port, host });
    }
    Ok(chosen)
}

/// Binds and lets go again.
pub(super) fn try_bind(address: SocketAddr) -> io::Result<()> {
    TcpListener::bind(address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 64, 0, 5);

    fn ports(forwards: &[ForwardRecord]) -> Vec<(u16, u16)> {
        forwards.iter().map(|forward| (forward.guest_port, forward.host.port())).collect()
    }

    #[test]
    fn ports_are_the_guests_own_where_they_can_be_had() {
        let chosen = choose_ports(ADDRESS, &forwarded_ports(&[8080, 22]), &|_| Ok(())).expect("ports");
        assert_eq!(ports(&chosen), [(22, 22), (80, 80), (443, 443), (8080, 8080)]);
    }

    #[test]
    fn without_the_right_to_low_ports_higher_ones_are_taken() {
        let bind = |address: SocketAddr| match address.port() {
            0..1024 => Err(io::ErrorKind::PermissionDenied.into()),
            _ => Ok(()),
        };
        let chosen = choose_ports(ADDRESS, &forwarded_ports(&[]), &bind).expect("ports");
        assert_eq!(ports(&chosen), [(22, 20022), (80, 20080), (443, 20443)]);
    }

    #[test]
    fn a_port_taken_on_every_address_is_replaced() {
        let bind = |address: SocketAddr| match address.port() {
            22 => Err(io::ErrorKind::AddrInUse.into()),
            _ => Ok(()),
        };
        let chosen = choose_ports(ADDRESS, &forwarded_ports(&[]), &bind).expect("ports");
        assert_eq!(ports(&chosen), [(22, 20022), (80, 80), (443, 443)]);
    }

    #[test]
    fn an_address_somebody_uses_is_unusable() {
        let bind = |address: SocketAddr| match (address.ip(), address.port()) {
            (ip, 22) if ip == ADDRESS => Err(io::ErrorKind::AddrInUse.into()),
            _ => Ok(()),
        };
        let refused = choose_ports(ADDRESS, &forwarded_ports(&[]), &bind);
        assert!(matches!(refused, Err(Error::AddressUnusable(ADDRESS))));
        let absent = |_| Err(io::ErrorKind::AddrNotAvailable.into());
        assert!(matches!(choose_ports(ADDRESS, &forwarded_ports(&[]), &absent), Err(Error::AddressUnusable(ADDRESS))));
    }
}
