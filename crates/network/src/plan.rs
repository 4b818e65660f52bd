//! Everything that should be on one installation's wires: plain values, equal when the same network is meant.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    ops::RangeInclusive,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use uuid::Uuid;

/// What should be, whole: what is not in it should not be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The private networks, each a bridge of its own. Ranges of VPCs that are not peered may overlap.
    pub vpcs: Vec<Vpc>,
    /// Which of them reach each other.
    pub peerings: Vec<Peering>,
    /// The links of all machines, running or not.
    pub links: Vec<Link>,
    /// Addresses that lead to a machine one-to-one.
    pub reserved: Vec<Reserved>,
    /// Who may reach whom. A machine in none of them is open; one in several lets through what any of them allows.
    pub firewalls: Vec<Firewall>,
}

/// A private network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vpc {
    /// Names it for life.
    pub id: Uuid,
    /// Its range; no two of an account overlap.
    pub range: Ipv4Net,
    /// The range's first usable address, which is the network's own and no machine's.
    pub gateway: Ipv4Addr,
}

/// Two private networks that reach each other; their ranges do not overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peering {
    /// Names it for life.
    pub id: Uuid,
    /// The two, in any order.
    pub between: (Uuid, Uuid),
}

/// One network link of one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The machine's number, as its engine knows it.
    pub machine: u64,
    /// Where it leads.
    pub kind: LinkKind,
    /// Its address on the wire.
    pub mac: [u8; 6],
    /// Its own IPv4 address, with its network's prefix.
    pub ipv4: Option<Ipv4Net>,
    /// Its own IPv6 address, with its network's prefix.
    pub ipv6: Option<Ipv6Net>,
}

/// Where a link leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkKind {
    /// To the world, by the installation's public bridge.
    Public,
    /// To a VPC.
    Private(Uuid),
}

/// An address that leads to a machine, and is not on any of its links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// The address, v4 or v6.
    pub address: IpAddr,
    /// To whose public link it leads, to that link's own address of the same family.
    pub machine: u64,
}

/// A list of what is allowed, for some machines, on all their links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firewall {
    /// Names it for life.
    pub id: Uuid,
    /// What people call it.
    pub name: String,
    /// Whom it guards.
    pub machines: BTreeSet<u64>,
    /// What may come in, in the order it was written.
    pub inbound: Vec<Rule>,
    /// What may go out, in the order it was written.
    pub outbound: Vec<Rule>,
}

/// One thing that is allowed. Answers to what was allowed are allowed too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Of which protocol.
    pub protocol: Protocol,
    /// To which ports of the receiving side; `None`: all, and always for ICMP.
    pub ports: Option<RangeInclusive<u16>>,
    /// From whom it may come, or to whom it may go.
    pub peers: Peers,
}

/// What a rule is about. ICMP means ICMPv6 on IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP, and ICMPv6.
    Icmp,
}

/// The other side of a rule. Nobody, when both are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers {
    /// Networks, and single addresses as networks of one.
    pub networks: Vec<IpNet>,
    /// Machines, by any address of any of their links, and by what is reserved for them.
    pub machines: BTreeSet<u64>,
}

/// Which way a connection is opened, as a machine sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Somebody connects to it.
    Inbound,
    /// It connects to somebody.
    Outbound,
}
