//! What a guest may send: only as itself.

use std::net::Ipv6Addr;

use super::{super::names::tap_name, write_chain, write_set};
use crate::{Link, Plan};

/// Sets of what each tap's guest is, and the chain that every frame from a tap passes first, before any bridge learns of it.
///
/// A tap that is in no set sends nothing. Of each frame the MAC address and the source address have to be the tap's own: in
/// ARP those that it tells, in neighbour advertisements the target. Frames that are neither ARP nor IP (tagged ones, too) are
/// dropped, and so are answers of a DHCP server, router advertisements and redirects.
pub(super) fn write(out: &mut String, plan: &Plan) {
    let taps: Vec<(String, String, &Link)> =
        plan.links.iter().map(|link| (tap_name(link.machine, link.kind), mac(link), link)).collect();
    write_set(
        out,
        "set mac",
        "type ifname . ether_addr",
        taps.iter().map(|(tap, mac, _)| format!("\"{tap}\" . {mac}")),
    );
    let v4 = taps.iter().filter_map(|(tap, mac, link)| Some(format!("\"{tap}\" . {mac} . {}", link.ipv4?.addr())));
    write_set(out, "set own4", "type ifname . ether_addr . ipv4_addr", v4);
    let v6 = || taps.iter().flat_map(|(tap, mac, link)| own_v6(link).map(move |address| (tap, mac, address)));
    let addresses = v6().map(|(tap, mac, address)| format!("\"{tap}\" . {mac} . {address}"));
    write_set(out, "set own6", "type ifname . ether_addr . ipv6_addr", addresses);
    let targets = v6().map(|(tap, mac, address)| format!("\"{tap}\" . {mac} . {:#034x}", u128::from(address)));
    write_set(out, "set target6", &format!("typeof iifname . ether saddr . {TARGET}"), targets);
    write_chain(
        out,
        "from-guest",
        &[
            "type filter hook prerouting priority -300; policy accept;",
            "ether type vmap { ip : goto from-guest-4, arp : goto from-guest-arp, ip6 : goto from-guest-6 }",
            "drop",
        ],
    );
    write_chain(
        out,
        "from-guest-4",
        &["iifname . ether saddr . ip saddr != @own4 drop", "udp sport 67 drop", "accept"],
    );
    write_chain(
        out,
        "from-guest-arp",
        &[
            "iifname . ether saddr != @mac drop",
            "iifname . arp saddr ether . arp saddr ip @own4 accept",
            // Asking whether somebody else has the own address, before it is used.
            "arp operation request arp saddr ip 0.0.0.0 iifname . arp saddr ether . arp daddr ip @own4 accept",
            "drop",
        ],
    );
    let advertised = format!("icmpv6 type nd-neighbor-advert iifname . ether saddr . {TARGET} != @target6 drop");
    let probed =
        format!("ip6 saddr :: icmpv6 type nd-neighbor-solicit iifname . ether saddr . {TARGET} @target6 accept");
    write_chain(
        out,
        "from-guest-6",
        &[
            &probed,
            "iifname . ether saddr . ip6 saddr != @own6 drop",
            &advertised,
            "icmpv6 type { nd-router-advert, nd-redirect } drop",
            "udp sport 547 drop",
            "accept",
        ],
    );
}

/// Whom a neighbour solicitation or advertisement is about: 128 bits after the first 8 bytes of ICMPv6.
const TARGET: &str = "@th,64,128";

/// A link's own IPv6 addresses: the one it was given, and the one that is made of its MAC address.
pub(super) fn own_v6(link: &Link) -> impl Iterator<Item = Ipv6Addr> + use<> {
    link.ipv6.map(|net| net.addr()).into_iter().chain([link_local(link.mac)])
}

fn link_local(mac: [u8; 6]) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.map(u16::from);
    Ipv6Addr::new(0xfe80, 0, 0, 0, ((a ^ 2) << 8) | b, (c << 8) | 0xff, 0xfe00 | d, (e << 8) | f)
}

/// As nft and people write it.
pub(super) fn mac(link: &Link) -> String {
    link.mac.map(|byte| format!("{byte:02x}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_local_address_is_made_of_the_mac_address() {
        let address = link_local([0x06, 0x01, 0, 0x12, 0x34, 0x56]);
        assert_eq!(address.to_string(), "fe80::401:ff:fe12:3456");
    }
}
