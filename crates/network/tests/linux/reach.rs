//! Who reaches whom without any firewall.

use dewpoint_network::{LinkKind, Peering};
use uuid::Uuid;

use crate::{
    lab::{Lab, with_lab},
    probe::{comes_to_ping, comes_to_reach, reaches},
};

/// Two VPCs, with two machines each that also have public links.
fn four(lab: &mut Lab) -> (Uuid, Uuid) {
    let one = lab.vpc(1, "10.1.0.0/24");
    let two = lab.vpc(2, "10.2.0.0/24");
    for (machine, vpc, private) in
        [(1, one, "10.1.0.11/24"), (2, one, "10.1.0.12/24"), (3, two, "10.2.0.13/24"), (4, two, "10.2.0.14/24")]
    {
        let public = lab.link(
            machine,
            LinkKind::Public,
            &format!("203.0.113.{}/25", 10 + machine),
            Some(&format!("fd65::{}/64", 10 + machine)),
        );
        let private = lab.link(machine, LinkKind::Private(vpc), private, None);
        lab.plug(&public);
        lab.plug(&private);
    }
    lab.apply();
    // The way into other VPCs is by the private link.
    for machine in 1..=4 {
        let gateway = if machine < 3 { "10.1.0.1" } else { "10.2.0.1" };
        lab.guest(machine, &["ip", "route", "add", "10.0.0.0/8", "via", gateway]);
    }
    (one, two)
}

#[test]
fn machines_reach_their_network_the_uplink_and_peers_and_nothing_else() {
    with_lab("machines_reach_their_network_the_uplink_and_peers_and_nothing_else", |lab| {
        let (one, two) = four(lab);
        let [a, b, c] = [1, 2, 3].map(|machine| lab.guest_name(machine));
        let host = lab.host_name();

        comes_to_reach(&a, "10.1.0.12");
        comes_to_reach(&a, "203.0.113.13");
        comes_to_reach(&a, "fd65::13");
        comes_to_reach(&host, "203.0.113.11");
        comes_to_reach(&host, "fd65::12");
        comes_to_reach(&b, "192.0.2.0");
        comes_to_reach(&b, "fd64::1");
        comes_to_ping(&a, "10.1.0.1");
        comes_to_ping(&c, "203.0.113.1");
        assert!(!reaches(&a, "10.2.0.13"));
        assert!(!reaches(&c, "10.1.0.11"));

        lab.plan.peerings.push(Peering { id: Uuid::from_u128(77), between: (two, one) });
        lab.apply();
        comes_to_reach(&a, "10.2.0.13");
        comes_to_reach(&c, "10.1.0.12");

        lab.plan.peerings.clear();
        lab.apply();
        assert!(!reaches(&a, "10.2.0.13"));
        comes_to_reach(&a, "10.1.0.12");
    });
}
