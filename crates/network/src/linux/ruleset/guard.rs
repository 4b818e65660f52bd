//! Firewalls: who may open a connection to whom.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;

use super::{
    super::names::{bridge, tap_name},
    boxes::{Cell, disjoint},
    spoof::own_v6,
    write_chain, write_set,
};
use crate::{Direction, Firewall, Link, Plan, Protocol, Rule};

/// How a forwarded packet is judged, where connections are tracked at all.
///
/// What answers a connection passes. What belongs to the side that opened it is judged each time by the rules that are in
/// force now, so a rule that is taken away ends at once what it had allowed. First whoever sends it, then who receives it.
///
/// Every machine is in the maps, the open ones, too: while one ruleset takes the place of another, a look-up may find nothing,
/// and what is not found is dropped.
pub(super) const FORWARD: [&str; 7] = [
    "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
    "ct state related accept",
    "ct state established ct direction reply accept",
    "iifname \"uplink\" goto inbound",
    "iifname . ip saddr vmap @out4",
    "iifname . ip6 saddr vmap @out6",
    "drop",
];

/// Who receives it. To whom a broadcast goes is decided frame by frame, at the tap ([`write_frames`]).
const INBOUND: [&str; 5] = [
    "oifname \"uplink\" accept",
    "meta pkttype { broadcast, multicast } accept",
    "oifname . ip daddr vmap @in4",
    "oifname . ip6 daddr vmap @in6",
    "drop",
];

/// Machines that are guarded by the same firewalls share two chains.
struct Groups<'a> {
    /// The firewalls' places in the plan, and the group's number.
    groups: BTreeMap<Vec<usize>, usize>,
    /// All links, those of guarded machines with their group's number.
    links: Vec<(&'a Link, Option<usize>)>,
}

impl<'a> Groups<'a> {
    fn new(plan: &'a Plan) -> Self {
        let mut guards: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (index, firewall) in plan.firewalls.iter().enumerate() {
            firewall.machines.iter().for_each(|machine| guards.entry(*machine).or_default().push(index));
        }
        let mut groups = BTreeMap::new();
        let mut links = Vec::new();
        for link in &plan.links {
            let next = groups.len();
            let group = guards.get(&link.machine).map(|firewalls| *groups.entry(firewalls.clone()).or_insert(next));
            links.push((link, group));
        }
        Self { groups, links }
    }
}

/// A guarded machine receives no broadcast and no multicast but what finds neighbours, and nothing for another's address: what
/// comes past this is judged by address alone.
pub(super) fn write_frames(out: &mut String, plan: &Plan) {
    let groups = Groups::new(plan);
    if groups.groups.is_empty() {
        return;
    }
    let open = groups.links.iter().filter(|(_, group)| group.is_none());
    let open = open.map(|(link, _)| format!("\"{}\"", tap_name(link.machine, link.kind)));
    write_set(out, "set open", "type ifname", open);
    write_chain(
        out,
        "to-guest",
        &["type filter hook forward priority -300; policy accept;", "oifname != @open goto to-guarded"],
    );
    write_chain(
        out,
        "to-guarded",
        &[
            "oifname . ether daddr . ip daddr @own4 accept",
            "oifname . ether daddr . ip6 daddr @own6 accept",
            "ether type arp accept",
            "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept",
            "drop",
        ],
    );
}

/// The chains of firewalls and of guarded machines, and the maps that find them by address.
pub(super) fn write(out: &mut String, plan: &Plan) {
    if !super::is_tracked(plan) {
        return;
    }
    let groups = Groups::new(plan);
    let used: BTreeSet<usize> = groups.groups.keys().flatten().copied().collect();
    let addresses = Addresses::new(plan);
    for index in &used {
        for direction in [Direction::Inbound, Direction::Outbound] {
            write_firewall(out, &addresses, &plan.firewalls[*index], direction);
        }
    }
    for (firewalls, number) in &groups.groups {
        for word in ["in", "out"] {
            let mut lines = vec!["ct state invalid drop".to_owned()];
            lines.extend(firewalls.iter().map(|index| format!("jump {word}-{}", plan.firewalls[*index].id)));
            lines.push("drop".to_owned());
            write_chain(out, &format!("{word}-group-{number}"), &lines.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
    for (word, open) in [("in", "accept"), ("out", "goto inbound")] {
        let verdict =
            |group: &Option<usize>| group.map_or(open.to_owned(), |number| format!("goto {word}-group-{number}"));
        let v4 = groups.links.iter().filter_map(|(link, group)| {
            Some(format!("\"{}\" . {} : {}", bridge(link.kind), link.ipv4?.addr(), verdict(group)))
        });
        write_set(out, &format!("map {word}4"), "type ifname . ipv4_addr : verdict", v4);
        let v6 = groups.links.iter().flat_map(|(link, group)| {
            let verdict = verdict(group);
            own_v6(link).map(move |address| format!("\"{}\" . {address} : {verdict}", bridge(link.kind)))
        });
        write_set(out, &format!("map {word}6"), "type ifname . ipv6_addr : verdict", v6);
    }
    write_chain(out, "inbound", &INBOUND);
}

/// What one firewall allows in one direction: allowed out, a packet is judged by its receiver's firewalls; allowed in, it passes.
fn write_firewall(out: &mut String, addresses: &Addresses, firewall: &Firewall, direction: Direction) {
    let (word, rules, allowed) = match direction {
        Direction::Inbound => ("in", &firewall.inbound, "accept"),
        Direction::Outbound => ("out", &firewall.outbound, "goto inbound"),
    };
    let id = firewall.id;
    let mut lines = Vec::new();
    for family in [Family::V4, Family::V6] {
        // As the sender wrote it: a reserved address is one here, and translated later.
        let peer = match (direction, family) {
            (Direction::Inbound, Family::V4) => "ip saddr",
            (Direction::Inbound, Family::V6) => "ip6 saddr",
            (Direction::Outbound, Family::V4) => "ct original ip daddr",
            (Direction::Outbound, Family::V6) => "ct original ip6 daddr",
        };
        let (tag, kind, icmp) = match family {
            Family::V4 => ("4", "ipv4_addr", "icmp"),
            Family::V6 => ("6", "ipv6_addr", "icmpv6"),
        };
        let mut elements = Vec::new();
        for (protocol, name) in [(Protocol::Tcp, "tcp"), (Protocol::Udp, "udp")] {
            let cells = disjoint(&addresses.cells(rules, protocol, family));
            elements.extend(
                cells.iter().map(|cell| {
                    format!("{} . {name} . {}-{}", family.range(cell.addresses), cell.ports.0, cell.ports.1)
                }),
            );
        }
        if !elements.is_empty() {
            let set = format!("{word}{tag}-{id}");
            let description = format!("type {kind} . inet_proto . inet_service\n\t\tflags interval");
            write_set(out, &format!("set {set}"), &description, elements);
            lines.push(format!("{peer} . meta l4proto . th dport @{set} {allowed}"));
        }
        let pings = disjoint(&addresses.cells(rules, Protocol::Icmp, family));
        if !pings.is_empty() {
            let set = format!("{word}{tag}-icmp-{id}");
            let ranges = pings.iter().map(|cell| family.range(cell.addresses));
            write_set(out, &format!("set {set}"), &format!("type {kind}\n\t\tflags interval"), ranges);
            lines.push(format!("meta l4proto {icmp} {peer} @{set} {allowed}"));
        }
    }
    write_chain(out, &format!("{word}-{id}"), &lines.iter().map(String::as_str).collect::<Vec<_>>());
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Family {
    fn range(self, (from, to): (u128, u128)) -> String {
        match self {
            // They came from 32 bits.
            Self::V4 => format!("{}-{}", Ipv4Addr::from(from as u32), Ipv4Addr::from(to as u32)),
            Self::V6 => format!("{}-{}", Ipv6Addr::from(from), Ipv6Addr::from(to)),
        }
    }
}

/// Every address of every machine, those reserved for it among them.
struct Addresses(BTreeMap<u64, Vec<IpAddr>>);

impl Addresses {
    fn new(plan: &Plan) -> Self {
        let mut addresses: BTreeMap<u64, Vec<IpAddr>> = BTreeMap::new();
        for link in &plan.links {
            let own = addresses.entry(link.machine).or_default();
            own.extend(link.ipv4.map(|net| IpAddr::from(net.addr())));
            own.extend(own_v6(link).map(IpAddr::from));
        }
        for reserved in &plan.reserved {
            addresses.entry(reserved.machine).or_default().push(reserved.address);
        }
        Self(addresses)
    }

    /// The addresses and ports that the rules of one protocol name, in one family.
    fn cells(&self, rules: &[Rule], protocol: Protocol, family: Family) -> Vec<Cell> {
        let mut cells = Vec::new();
        for rule in rules.iter().filter(|rule| rule.protocol == protocol) {
            let ports = match (protocol, &rule.ports) {
                (Protocol::Icmp, _) | (_, None) => (0, u16::MAX),
                (_, Some(ports)) if ports.is_empty() => continue,
                (_, Some(ports)) => (*ports.start(), *ports.end()),
            };
            let networks = rule.peers.networks.iter().filter_map(|net| match (net, family) {
                (IpNet::V4(net), Family::V4) => {
                    Some((u32::from(net.network()).into(), u32::from(net.broadcast()).into()))
                }
                (IpNet::V6(net), Family::V6) => Some((net.network().into(), net.broadcast().into())),
                (IpNet::V4(_), Family::V6) | (IpNet::V6(_), Family::V4) => None,
            });
            let machines = rule.peers.machines.iter().filter_map(|machine| self.0.get(machine)).flatten();
            let machines = machines.filter_map(|address| match (address, family) {
                (IpAddr::V4(address), Family::V4) => Some((u32::from(*address).into(), u32::from(*address).into())),
                (IpAddr::V6(address), Family::V6) => Some(((*address).into(), (*address).into())),
                (IpAddr::V4(_), Family::V6) | (IpAddr::V6(_), Family::V4) => None,
            });
            cells.extend(networks.chain(machines).map(|addresses| Cell { addresses, ports }));
        }
        cells
    }
}
