//! Loopback networking, which needs no right: which ports of a machine's public address lead to it.
//!
//! QEMU's user networking gives each machine a little network of its own, and ports of the machine's public address (out of
//! 127.64.0.0/10) are forwarded into it. The guest cannot have that address itself, since a kernel takes 127.0.0.0/8 for its
//! own loopback. Private links lead nowhere.

use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use super::GuestLink;
use crate::{Error, MachineSpec, Networking, Nic, NicKind, qemu::record::ForwardRecord};

/// The addresses machines get when the operator configured none.
pub(in crate::qemu) const NETWORKING: Networking = Networking {
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

/// The little network behind a public link: 198.18.INDEX.0/24, from the block for benchmarks (RFC 2544), which no VPC uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::qemu) struct UserNetwork(u8);

impl UserNetwork {
    pub(in crate::qemu) fn of_link(index: usize) -> Self {
        Self(u8::try_from(index).unwrap_or(u8::MAX))
    }

    fn at(self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.0, host)
    }

    pub(in crate::qemu) fn network(self) -> String {
        format!("{}/24", self.at(0))
    }

    /// QEMU itself: the gateway, and with egress the way to the host.
    pub(in crate::qemu) fn host(self) -> Ipv4Addr {
        self.at(1)
    }

    pub(in crate::qemu) fn guest(self) -> Ipv4Addr {
        self.at(2)
    }

    pub(in crate::qemu) fn nameserver(self) -> Ipv4Addr {
        self.at(3)
    }
}

/// What the seed disk tells the guest about its links, in their order.
pub(in crate::qemu) fn guest_links(spec: &MachineSpec) -> Vec<GuestLink> {
    let inside = |(index, nic): (usize, &Nic)| match nic.kind {
        NicKind::Public => {
            let network = UserNetwork::of_link(index);
            GuestLink {
                ipv4: Some((network.guest(), 24)),
                gateway: Some(network.host()),
                nameservers: vec![network.nameserver().into()],
                ..GuestLink::of(nic)
            }
        }
        NicKind::Private => GuestLink::of(nic),
    };
    spec.nics.iter().enumerate().map(inside).collect()
}

/// The guest ports to forward, in ascending order.
pub(in crate::qemu) fn forwarded_ports(extra: &[u16]) -> BTreeSet<u16> {
    FORWARDED.iter().chain(extra).copied().filter(|&port| port != 0).collect()
}

/// Chooses the host's port for each of the guest's, by binding it for a moment.
///
/// A port below 1024 that this host does not give (no right to, or another program has it on every address, as sshd often
/// has 22) is replaced by one 20,000 higher. Fails with [`Error::AddressUnusable`] when the address itself cannot be had, or
/// a port on it is taken.
pub(in crate::qemu) fn choose_ports(
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
pub(in crate::qemu) fn try_bind(address: SocketAddr) -> io::Result<()> {
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
