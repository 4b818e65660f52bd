//! Addresses that lead to a machine, one to one.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{
    super::names::{PUBLIC, UPLINK},
    write_chain, write_set,
};
use crate::{LinkKind, Plan};

/// Translates what comes for a reserved address from the uplink or from a public link, and the answers to it.
///
/// A connection is tracked in a zone of the machine that its address leads to. When the address moves, the packets of old
/// connections are looked up in another zone, found to be new, and go where the address leads now: nothing has to be flushed.
/// An address that leads nowhere is unreachable.
pub(super) fn write(out: &mut String, plan: &Plan) {
    if plan.reserved.is_empty() {
        return;
    }
    let public: BTreeMap<u64, _> =
        plan.links.iter().filter(|link| link.kind == LinkKind::Public).map(|link| (link.machine, link)).collect();
    let mut v4: Vec<(Ipv4Addr, Ipv4Addr, u16)> = Vec::new();
    let mut v6: Vec<(Ipv6Addr, Ipv6Addr, u16)> = Vec::new();
    for reserved in &plan.reserved {
        let Some(link) = public.get(&reserved.machine) else { continue };
        let zone = zone_of(reserved.machine);
        match reserved.address {
            IpAddr::V4(address) => v4.extend(link.ipv4.map(|own| (address, own.addr(), zone))),
            IpAddr::V6(address) => v6.extend(link.ipv6.map(|own| (address, own.addr(), zone))),
        }
    }
    let to4 = v4.iter().map(|(address, own, _)| format!("{address} : {own}"));
    write_set(out, "map reserved4", "type ipv4_addr : ipv4_addr", to4);
    let to6 = v6.iter().map(|(address, own, _)| format!("{address} : {own}"));
    write_set(out, "map reserved6", "type ipv6_addr : ipv6_addr", to6);
    let zones4 = v4.iter().map(|(address, _, zone)| format!("{address} : {zone}"));
    write_set(out, "map reserved4-zones", "typeof ip daddr : ct zone", zones4);
    let zones6 = v6.iter().map(|(address, _, zone)| format!("{address} : {zone}"));
    write_set(out, "map reserved6-zones", "typeof ip6 daddr : ct zone", zones6);
    let from = format!("iifname {{ \"{PUBLIC}\", \"{UPLINK}\" }}");
    let (to4, to6) =
        (format!("{from} dnat ip to ip daddr map @reserved4"), format!("{from} dnat ip6 to ip6 daddr map @reserved6"));
    write_chain(out, "translate", &["type nat hook prerouting priority dstnat; policy accept;", &to4, &to6]);
    write_chain(
        out,
        "zone-of-reserved",
        &["ct original zone set ip daddr map @reserved4-zones", "ct original zone set ip6 daddr map @reserved6-zones"],
    );
}

/// 1 to 65535, another one for another machine: the numbers of two that follow each other closely never meet.
fn zone_of(machine: u64) -> u16 {
    (machine % u64::from(u16::MAX)) as u16 + 1
}
