//! What goes from one network to another, and what the namespace itself answers.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;
use uuid::Uuid;

use super::{
    super::{
        Error, WireConfig,
        devices::mark_of,
        names::{PUBLIC, UPLINK, numbers, vpc_bridge},
    },
    boxes::outside,
    guard, is_tracked, write_chain, write_set,
};
use crate::{Plan, Protocol};

/// Marks, zones, and the base chains of forwarding and of the namespace's own input.
pub(super) fn write(out: &mut String, config: &WireConfig, plan: &Plan) -> Result<(), Error> {
    let numbers = numbers(plan);
    write_early(out, config, plan, &numbers)?;

    let own = plan.vpcs.iter().map(|vpc| (vpc_bridge(vpc.id), vpc_bridge(vpc.id)));
    let peered = plan.peerings.iter().flat_map(|peering| {
        let (one, other) = (vpc_bridge(peering.between.0), vpc_bridge(peering.between.1));
        [(one.clone(), other.clone()), (other, one)]
    });
    let public =
        [(PUBLIC, UPLINK), (UPLINK, PUBLIC), (PUBLIC, PUBLIC)].map(|(from, to)| (from.to_owned(), to.to_owned()));
    let pairs = public.into_iter().chain(own).chain(peered).map(|(from, to)| format!("\"{from}\" . \"{to}\""));
    write_set(out, "set pairs", "type ifname . ifname", pairs);
    let mut lines =
        vec!["type filter hook forward priority filter; policy accept;", "iifname . oifname != @pairs drop"];
    if is_tracked(plan) {
        lines.extend(guard::FORWARD);
    }
    write_chain(out, "forward", &lines);

    let services = config.services.iter().filter_map(|service| {
        let protocol = match service.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Icmp => return None,
        };
        Some(format!("{} . {protocol} . {}", service.address, service.port))
    });
    write_set(out, "set services", "type ipv4_addr . inet_proto . inet_service", services);
    write_set(out, "set here", "type ifname . ipv4_addr", here(config, plan));
    let from_uplink = format!("iifname \"{UPLINK}\" drop");
    write_chain(
        out,
        "input",
        &[
            "type filter hook input priority filter; policy accept;",
            "iifname lo accept",
            "meta l4proto icmp iifname . ip daddr @here accept",
            "meta l4proto icmpv6 accept",
            // Answers to what an operator asks from inside; nothing is opened by them.
            "meta l4proto tcp tcp flags & (fin | syn | rst | ack) != syn accept",
            &from_uplink,
            "ip daddr . meta l4proto . th dport @services accept",
            "drop",
        ],
    );
    Ok(())
}

/// Which addresses of the namespace answer pings, by where they come in: a VPC's gateway those of its machines and peers.
fn here(config: &WireConfig, plan: &Plan) -> Vec<String> {
    let (gateway, inside) = (config.public_v4.1, config.uplink.pair_v4().1);
    let mut here = vec![
        format!("\"{PUBLIC}\" . {gateway}"),
        format!("\"{PUBLIC}\" . {inside}"),
        format!("\"{UPLINK}\" . {gateway}"),
        format!("\"{UPLINK}\" . {inside}"),
    ];
    let gateway = |id: Uuid| plan.vpcs.iter().find(|vpc| vpc.id == id).map(|vpc| vpc.gateway);
    let own = plan.vpcs.iter().map(|vpc| (vpc.id, Some(vpc.gateway)));
    let peered = plan.peerings.iter().flat_map(|peering| {
        let (one, other) = peering.between;
        [(one, gateway(other)), (other, gateway(one))]
    });
    let gateways = own.chain(peered).filter_map(|(id, gateway)| Some(format!("\"{}\" . {}", vpc_bridge(id), gateway?)));
    here.extend(gateways);
    let bridges = plan.vpcs.iter().map(|vpc| vpc_bridge(vpc.id)).chain([PUBLIC.to_owned()]);
    let services = config.service_addresses();
    here.extend(bridges.flat_map(|bridge| services.iter().map(move |address| format!("\"{bridge}\" . {address}"))));
    here
}

/// Before anything is looked up: the mark of a VPC's packets, which chooses their routing table, and the zone their connections
/// are tracked in, so that VPCs of one range do not meet. The two directions of a connection between peered VPCs come in by
/// different bridges: their zone is the peering's.
fn write_early(out: &mut String, config: &WireConfig, plan: &Plan, numbers: &BTreeMap<Uuid, u16>) -> Result<(), Error> {
    let mut marks = Vec::new();
    let mut zones4 = Vec::new();
    let mut zones6 = Vec::new();
    for vpc in &plan.vpcs {
        let bridge = vpc_bridge(vpc.id);
        let mark = mark_of(numbers, vpc.id)?;
        marks.push(format!("\"{bridge}\" : {mark:#x}"));
        let zone = numbers[&vpc.id];
        let mut peers: Vec<(Ipv4Net, u16)> = Vec::new();
        for peering in &plan.peerings {
            let peer = match peering.between {
                (one, other) if one == vpc.id => other,
                (other, one) if one == vpc.id => other,
                _ => continue,
            };
            if let Some(peer) = plan.vpcs.iter().find(|vpc| vpc.id == peer) {
                peers.push((peer.range, *numbers.get(&peering.id).unwrap_or(&zone)));
            }
        }
        zones4.extend(peers.iter().map(|(range, zone)| format!("\"{bridge}\" . {} : {zone}", range.trunc())));
        let ranges = peers.iter().map(|(range, _)| *range);
        zones4.extend(outside(ranges).into_iter().map(|(from, to)| format!("\"{bridge}\" . {from}-{to} : {zone}")));
        zones6.push(format!("\"{bridge}\" : {zone}"));
    }
    let mut lines = vec!["type filter hook prerouting priority raw; policy accept;".to_owned()];
    if !plan.vpcs.is_empty() {
        write_set(out, "map marks", "typeof iifname : meta mark", marks);
        lines.push("meta mark set iifname map @marks".to_owned());
    }
    let mut answers = vec!["type filter hook output priority raw; policy accept;".to_owned()];
    if is_tracked(plan) {
        // The namespace's own services are nobody's connection: always reached, never tracked.
        for address in config.service_addresses() {
            lines.push(format!("ip daddr {address} notrack accept"));
            answers.push(format!("ip saddr {address} notrack"));
        }
        if !plan.vpcs.is_empty() {
            write_set(out, "map zones4", "typeof iifname . ip daddr : ct zone\n\t\tflags interval", zones4);
            write_set(out, "map zones6", "typeof iifname : ct zone", zones6);
            lines.push("meta nfproto ipv4 ct zone set iifname . ip daddr map @zones4".to_owned());
            lines.push("meta nfproto ipv6 ct zone set iifname map @zones6".to_owned());
        }
        if !plan.reserved.is_empty() {
            lines.push(format!("iifname {{ \"{PUBLIC}\", \"{UPLINK}\" }} goto zone-of-reserved"));
        }
    }
    write_chain(out, "early", &lines.iter().map(String::as_str).collect::<Vec<_>>());
    write_chain(out, "answers", &answers.iter().map(String::as_str).collect::<Vec<_>>());
    Ok(())
}
