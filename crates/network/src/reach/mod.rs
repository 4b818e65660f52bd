//! Could A reach B? Answered from a plan alone: the way that packets take, whom firewalls let through on it, and what stands in
//! the way. The same rules as the ruleset that the module `linux` makes, without a packet.
//!
//! ```text
//! from a machine:  its link towards B ─> its firewalls, outbound ─> the network ─> B's firewalls, inbound ─> B's link back
//! from outside:                                                  uplink ─────────> B's firewalls, inbound ─> B's link back
//! ```
//!
//! Answers to what was let through are let through. What a guest's own firewall or programs do, nobody here knows.

mod route;
mod words;

use std::net::{IpAddr, Ipv4Addr};

use uuid::Uuid;
pub use words::Names;

use crate::{Direction, Link, LinkKind, Plan, Protocol, Rule, Vpc};

/// Where guests ask about themselves; answered by the network itself.
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// The port it is asked at.
const METADATA_PORT: u16 = 80;

/// Who opens a connection to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who opens it.
    pub from: Asker,
    /// To which address.
    pub to: IpAddr,
    /// By which protocol.
    pub protocol: Protocol,
    /// To which port; of no meaning for ICMP.
    pub port: u16,
}

/// Who opens a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A machine, with whichever of its addresses it uses towards the other.
    Machine(u64),
    /// Whoever has this address: a machine of the plan, or somebody outside of it.
    Address(IpAddr),
}

/// What would become of it: the steps on the way, up to the first that makes the next ones idle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// In the order of the way. Both sides' firewalls are looked at, also when the first one drops it.
    pub steps: Vec<Step>,
}

impl Answer {
    /// Whether B is reached.
    pub fn is_reached(&self) -> bool {
        !self.steps.iter().any(Step::stops)
    }
}

/// Something on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// How it goes.
    Way(Way),
    /// The address leads to a machine, and is translated to the one it has on its public link.
    Leads {
        /// The reserved address.
        reserved: IpAddr,
        /// Where to.
        machine: u64,
        /// What it becomes.
        own: IpAddr,
    },
    /// The firewalls of a machine have looked at it.
    Judged {
        /// Whose firewalls.
        machine: u64,
        /// Which way it goes, as that machine sees it.
        direction: Direction,
        /// What they said.
        verdict: Verdict,
    },
    /// It ends here.
    Stopped(Obstacle),
}

impl Step {
    /// Whether it ends here.
    pub fn stops(&self) -> bool {
        match self {
            Self::Stopped(_) => true,
            Self::Judged { verdict, .. } => matches!(verdict, Verdict::Dropped { .. }),
            Self::Way(_) | Self::Leads { .. } => false,
        }
    }
}

/// How packets go from A to B.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Within one VPC.
    Vpc(Uuid),
    /// From a VPC to one that is peered with it.
    Peering(Uuid),
    /// From one public link to another.
    Public,
    /// To the world, by the uplink. What is there is not part of the plan.
    ToWorld,
    /// From the world, by the uplink.
    FromWorld,
    /// To one's own address: they never leave the machine.
    Itself,
    /// To the metadata service, which every machine reaches whatever its firewalls say.
    Metadata,
    /// To the gateway of a VPC.
    Gateway(Uuid),
}

/// What the firewalls of one machine say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has none: everything passes.
    Open,
    /// It is allowed.
    Allowed {
        /// By which firewall.
        firewall: Uuid,
        /// What that is called.
        name: String,
        /// By which of its rules of that direction, from 0 on.
        index: usize,
        /// That rule.
        rule: Rule,
    },
    /// None of its firewalls allows it.
    Dropped {
        /// Which ones it has, with what they are called.
        firewalls: Vec<(Uuid, String)>,
        /// What was not allowed: protocol, port, and the other side.
        what: (Protocol, u16, IpAddr),
    },
}

/// What stands in the way, firewalls aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// There is no such machine.
    NoSuchMachine(u64),
    /// An address that is never forwarded: link-local, loopback, multicast and the like.
    NotForwarded(IpAddr),
    /// One address is IPv4 and the other IPv6.
    FamiliesDiffer,
    /// The machine has no public address of that family.
    NoPublicAddress {
        /// Which machine.
        machine: u64,
        /// Whether an IPv6 address is lacking.
        v6: bool,
    },
    /// The machine has no link that leads there.
    NoLink {
        /// Which machine.
        machine: u64,
        /// To which address.
        to: IpAddr,
    },
    /// It leaves by a link where that machine is another: anti-spoofing drops what has this source.
    Spoofed {
        /// Which machine.
        machine: u64,
        /// The source that was asked for.
        source: IpAddr,
        /// What it is on the link that leads to B.
        own: IpAddr,
    },
    /// No machine has this address of a VPC.
    NobodyThere {
        /// Which VPC.
        vpc: Uuid,
        /// Which address.
        to: IpAddr,
    },
    /// The address is in another VPC, and the two are not peered.
    NotPeered {
        /// The VPC of A.
        from: Uuid,
        /// The VPC of B.
        to: Uuid,
    },
    /// A private address that is in no VPC; private addresses are sent to the own VPC's gateway.
    NoVpc {
        /// The VPC of A.
        from: Uuid,
        /// Which address.
        to: IpAddr,
    },
    /// The gateway of a VPC answers pings and nothing else.
    GatewayPingsOnly(Uuid),
    /// From outside, a private address leads nowhere.
    PrivateFromOutside {
        /// The VPC it is of.
        vpc: Uuid,
        /// Which address.
        to: IpAddr,
    },
    /// Nobody here has this address.
    NobodyHere(IpAddr),
    /// A reserved address that leads back to the machine that asks.
    LeadsBack(u64),
    /// B would answer by another link, where it is somebody else: anti-spoofing drops the answers.
    AnswersLost {
        /// Which machine is B.
        machine: u64,
        /// To whom it would answer.
        to: IpAddr,
    },
}

/// Whether `question.from` reaches `question.to` by `plan`.
pub fn reach(plan: &Plan, question: &Question) -> Answer {
    let mut steps = Vec::new();
    let way = match question.from {
        Asker::Machine(machine) => route::from_machine(plan, machine, None, question),
        Asker::Address(address) => match route::owner_of(plan, address) {
            Some(machine) => route::from_machine(plan, machine, Some(address), question),
            None => route::from_world(plan, address, question),
        },
    };
    match way {
        Err(obstacle) => steps.push(Step::Stopped(obstacle)),
        Ok(route) => {
            steps.push(Step::Way(route.way));
            steps.extend(route.leads.map(|(reserved, machine, own)| Step::Leads { reserved, machine, own }));
            if let Some(sender) = route.sender {
                steps.push(judge(plan, sender, Direction::Outbound, question, question.to));
            }
            if let Some(receiver) = route.receiver {
                steps.push(judge(plan, receiver.machine, Direction::Inbound, question, route.source));
                let back = route::towards(plan, receiver.machine, route.source);
                if back.is_none_or(|link| link.kind != receiver.kind) {
                    let machine = receiver.machine;
                    steps.push(Step::Stopped(Obstacle::AnswersLost { machine, to: route.source }));
                }
            }
        }
    }
    Answer { steps }
}

/// What the firewalls of `machine` say of a connection with `peer`.
fn judge(plan: &Plan, machine: u64, direction: Direction, question: &Question, peer: IpAddr) -> Step {
    let guards: Vec<_> = plan.firewalls.iter().filter(|firewall| firewall.machines.contains(&machine)).collect();
    let allowed = guards.iter().find_map(|firewall| {
        let rules = match direction {
            Direction::Inbound => &firewall.inbound,
            Direction::Outbound => &firewall.outbound,
        };
        let index = rules.iter().position(|rule| allows(plan, rule, question, peer))?;
        let (name, rule) = (firewall.name.clone(), rules[index].clone());
        Some(Verdict::Allowed { firewall: firewall.id, name, index, rule })
    });
    let verdict = allowed.unwrap_or_else(|| match guards.is_empty() {
        true => Verdict::Open,
        false => Verdict::Dropped {
            firewalls: guards.iter().map(|firewall| (firewall.id, firewall.name.clone())).collect(),
            what: (question.protocol, question.port, peer),
        },
    });
    Step::Judged { machine, direction, verdict }
}

fn allows(plan: &Plan, rule: &Rule, question: &Question, peer: IpAddr) -> bool {
    let is_port = match (rule.protocol, &rule.ports) {
        (Protocol::Icmp, _) | (_, None) => true,
        (Protocol::Tcp | Protocol::Udp, Some(ports)) => ports.contains(&question.port),
    };
    let of_machine = |address: IpAddr| rule.peers.machines.iter().any(|machine| has(plan, *machine, address));
    rule.protocol == question.protocol
        && is_port
        && (rule.peers.networks.iter().any(|net| net.contains(&peer)) || of_machine(peer))
}

/// Whether an address is a machine's: of one of its links, or reserved for it.
fn has(plan: &Plan, machine: u64, address: IpAddr) -> bool {
    plan.links.iter().any(|link| link.machine == machine && is_of(link, address))
        || plan.reserved.iter().any(|reserved| reserved.machine == machine && reserved.address == address)
}

/// Whether an address is a link's own.
fn is_of(link: &Link, address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => link.ipv4.is_some_and(|net| net.addr() == address),
        IpAddr::V6(address) => link.ipv6.is_some_and(|net| net.addr() == address),
    }
}

/// The link's own address of the family of `other`.
fn own_address(link: &Link, other: IpAddr) -> Option<IpAddr> {
    match other {
        IpAddr::V4(_) => link.ipv4.map(|net| net.addr().into()),
        IpAddr::V6(_) => link.ipv6.map(|net| net.addr().into()),
    }
}

fn vpc_of(plan: &Plan, link: &Link) -> Option<Vpc> {
    match link.kind {
        LinkKind::Private(id) => plan.vpcs.iter().find(|vpc| vpc.id == id).cloned(),
        LinkKind::Public => None,
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
