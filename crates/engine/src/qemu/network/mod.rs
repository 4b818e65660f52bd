//! How machines' links lead somewhere: for real where the server may make networks, and over loopback where it may not.

mod asked;
pub(super) mod loopback;
pub(super) mod real;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::Ipv4Net;

use self::real::RealLinks;
use crate::{MacAddress, MachineSpec, Networking, Nic, NicKind};

/// How the links of this engine's machines are made.
#[derive(Debug)]
pub(super) enum Links {
    /// By QEMU's user networking, on this host's loopback.
    Loopback,
    /// By taps in a network namespace.
    Real(RealLinks),
}

impl Links {
    /// What the seed disk tells the guest about its links, in their order.
    pub(super) fn of_guest(&self, spec: &MachineSpec) -> Vec<GuestLink> {
        match self {
            Self::Loopback => loopback::guest_links(spec),
            Self::Real(links) => links.of_guest(spec),
        }
    }

    pub(super) fn real(&self) -> Option<&RealLinks> {
        match self {
            Self::Loopback => None,
            Self::Real(links) => Some(links),
        }
    }

    pub(super) fn networking(&self) -> Networking {
        match self {
            Self::Loopback => loopback::NETWORKING,
            Self::Real(links) => links.networking(),
        }
    }
}

/// The inside of one link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GuestLink {
    pub(super) mac: MacAddress,
    pub(super) ipv4: Option<(Ipv4Addr, u8)>,
    pub(super) gateway: Option<Ipv4Addr>,
    /// What else is reached by a gateway of this link's network.
    pub(super) routes: Vec<(Ipv4Net, Ipv4Addr)>,
    pub(super) ipv6: Option<(Ipv6Addr, u8)>,
    pub(super) gateway6: Option<Ipv6Addr>,
    pub(super) nameservers: Vec<IpAddr>,
}

impl GuestLink {
    /// What a link's addresses alone say.
    fn of(nic: &Nic) -> Self {
        Self {
            mac: nic.mac,
            ipv4: nic.ipv4.map(|link| (link.address, prefix_length(link.netmask))),
            gateway: nic.ipv4.and_then(|link| link.gateway),
            routes: Vec::new(),
            ipv6: nic.ipv6.map(|link| (link.address, link.prefix)),
            gateway6: nic.ipv6.map(|link| link.gateway),
            nameservers: Vec::new(),
        }
    }
}

fn prefix_length(netmask: Ipv4Addr) -> u8 {
    u8::try_from(netmask.to_bits().leading_ones()).expect("a mask has at most 32 bits")
}

/// The machine's public address.
pub(super) fn public_address(spec: &MachineSpec) -> Option<Ipv4Addr> {
    spec.nics.iter().find(|nic| nic.kind == NicKind::Public)?.ipv4.map(|link| link.address)
}
