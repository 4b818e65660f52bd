//! An answer in words that a person reads.

use std::net::IpAddr;

use uuid::Uuid;

use super::{Answer, Obstacle, Step, Verdict, Way};
use crate::{Direction, Protocol, Rule};

/// What machines and VPCs are called, such as `Droplet 7 (web-1)` and `VPC 760e… (default-nyc3)`.
#[expect(missing_debug_implementations, reason = "it holds closures")]
pub struct Names<'a> {
    /// A machine.
    pub machine: &'a dyn Fn(u64) -> String,
    /// A VPC.
    pub vpc: &'a dyn Fn(Uuid) -> String,
}

impl Answer {
    /// The whole answer in one sentence: yes and by which rule, or no and what stands in the way first.
    pub fn words(&self, names: &Names<'_>) -> String {
        if let Some(stopped) = self.steps.iter().find(|step| step.stops()) {
            return format!("No: {}", stopped.words(names));
        }
        let is_rule = |step: &&Step| matches!(step, Step::Judged { verdict: Verdict::Allowed { .. }, .. });
        let decisive = self.steps.iter().rev().find(is_rule).or_else(|| self.steps.last());
        decisive.map_or_else(|| "Yes.".to_owned(), |step| format!("Yes: {}", step.words(names)))
    }
}

impl Step {
    /// The step in one sentence.
    pub fn words(&self, names: &Names<'_>) -> String {
        let (machine, vpc) = (names.machine, names.vpc);
        match self {
            Self::Way(way) => match way {
                Way::Vpc(id) => format!("it goes within {}.", vpc(*id)),
                Way::Peering(id) => format!("it goes from one VPC to another by peering {id}."),
                Way::Public => "it goes from one public link to another.".to_owned(),
                Way::ToWorld => "it leaves by the uplink; what is there, nobody here knows.".to_owned(),
                Way::FromWorld => "it comes from outside, by the uplink.".to_owned(),
                Way::Itself => "that is its own address: it never leaves the machine.".to_owned(),
                Way::Metadata => "the metadata service is reached whatever firewalls say.".to_owned(),
                Way::Gateway(id) => format!("the gateway of {} answers pings.", vpc(*id)),
            },
            Self::Leads { reserved, machine: to, own } => {
                format!("{reserved} is reserved for {}, and becomes {own}.", machine(*to))
            }
            Self::Judged { machine: whose, direction, verdict } => judged(names, *whose, *direction, verdict),
            Self::Stopped(obstacle) => stopped(obstacle, names),
        }
    }
}

fn judged(names: &Names<'_>, whose: u64, direction: Direction, verdict: &Verdict) -> String {
    let whose = (names.machine)(whose);
    let (out, list) = match direction {
        Direction::Inbound => (false, "inbound"),
        Direction::Outbound => (true, "outbound"),
    };
    match verdict {
        Verdict::Open => {
            format!("no firewall guards {whose}: everything {} it.", if out { "leaves" } else { "comes to" })
        }
        Verdict::Allowed { name, index, rule, .. } => {
            let number = index + 1;
            format!(
                "firewall {name} of {whose} allows it by its {list} rule {number}, {}.",
                rule_words(names, rule, out)
            )
        }
        Verdict::Dropped { firewalls, what: (protocol, port, peer) } => {
            let called: Vec<&str> = firewalls.iter().map(|(_, name)| name.as_str()).collect();
            let (word, has) = if called.len() == 1 { ("firewall", "has") } else { ("firewalls", "have") };
            let (called, side) = (called.join(", "), if out { "to" } else { "from" });
            let traffic = traffic(*protocol, *port);
            format!("{word} {called} of {whose} {has} no {list} rule for {traffic} {side} {peer}.")
        }
    }
}

fn traffic(protocol: Protocol, port: u16) -> String {
    match protocol {
        Protocol::Tcp => format!("TCP port {port}"),
        Protocol::Udp => format!("UDP port {port}"),
        Protocol::Icmp => "ICMP".to_owned(),
    }
}

fn rule_words(names: &Names<'_>, rule: &Rule, out: bool) -> String {
    let protocol = match rule.protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Icmp => return format!("ICMP {}", peers_words(names, rule, out)),
    };
    let ports = match &rule.ports {
        None => "all ports".to_owned(),
        Some(ports) if ports.start() == ports.end() => format!("port {}", ports.start()),
        Some(ports) => format!("ports {} to {}", ports.start(), ports.end()),
    };
    format!("{protocol} {ports} {}", peers_words(names, rule, out))
}

/// How many of a rule's peers are named in words.
const NAMED: usize = 3;

fn peers_words(names: &Names<'_>, rule: &Rule, out: bool) -> String {
    let networks = rule.peers.networks.iter().map(ToString::to_string);
    let machines = rule.peers.machines.iter().map(|id| (names.machine)(*id));
    let mut words: Vec<String> = networks.chain(machines).take(NAMED).collect();
    let more = rule.peers.networks.len() + rule.peers.machines.len() - words.len();
    if more > 0 {
        words.push(format!("{more} more"));
    }
    format!("{} {}", if out { "to" } else { "from" }, words.join(", "))
}

fn family(is_v6: bool) -> &'static str {
    if is_v6 { "IPv6" } else { "IPv4" }
}

fn stopped(obstacle: &Obstacle, names: &Names<'_>) -> String {
    let (machine, vpc) = (names.machine, names.vpc);
    match obstacle {
        Obstacle::NoSuchMachine(id) => format!("there is no {}.", machine(*id)),
        Obstacle::NotForwarded(address) => format!("{address} {}", why_not_forwarded(*address)),
        Obstacle::FamiliesDiffer => "one address is IPv4, and the other is IPv6.".to_owned(),
        Obstacle::NoPublicAddress { machine: id, v6 } => {
            format!("{} has no public {} address.", machine(*id), family(*v6))
        }
        Obstacle::NoLink { machine: id, to } => format!("{} has no link that leads to {to}.", machine(*id)),
        Obstacle::Spoofed { machine: id, source, own } => format!(
            "{} is {own} on the link by which it sends there: with {source} as the source it is dropped (anti-spoofing).",
            machine(*id)
        ),
        Obstacle::NobodyThere { vpc: id, to } => format!("nobody in {} has the address {to}.", vpc(*id)),
        Obstacle::NotPeered { from, to } => {
            format!("the address is in {}, which is not peered with {}.", vpc(*to), vpc(*from))
        }
        Obstacle::NoVpc { from, to } => {
            format!("{to} is a private address that neither {} nor a VPC peered with it has.", vpc(*from))
        }
        Obstacle::GatewayPingsOnly(id) => {
            format!("that is the gateway of {}, which answers pings and nothing else.", vpc(*id))
        }
        Obstacle::PrivateFromOutside { vpc: id, to } => {
            format!("{to} is an address of {}: from outside, private addresses lead nowhere.", vpc(*id))
        }
        Obstacle::NobodyHere(to) => format!("nobody here has the address {to}, and none is reserved so."),
        Obstacle::LeadsBack(id) => {
            format!("that address is reserved for {} itself, which does not reach itself by it.", machine(*id))
        }
        Obstacle::AnswersLost { machine: id, to } => format!(
            "{} would answer {to} by its other link, where it is somebody else: its answers are dropped (anti-spoofing).",
            machine(*id)
        ),
    }
}

fn why_not_forwarded(address: IpAddr) -> &'static str {
    let is_link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    match address {
        _ if is_link_local => "is link-local: it is of one wire, and is not forwarded.",
        _ if address.is_loopback() || address.is_unspecified() => "never leaves the machine that uses it.",
        _ => "is no single machine's address, and is not forwarded.",
    }
}
