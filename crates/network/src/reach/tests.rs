//! A small network, and what is answered about it.

use uuid::Uuid;

use super::*;
use crate::{Firewall, Peering, Peers, Reserved};

const ONE: Uuid = Uuid::from_u128(1);
const TWO: Uuid = Uuid::from_u128(2);
const OTHER: Uuid = Uuid::from_u128(3);

fn at(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn link(machine: u64, kind: LinkKind, v4: &str, v6: Option<&str>) -> Link {
    let [.., last] = machine.to_be_bytes();
    let mac = [6, u8::from(kind == LinkKind::Public), 0, 0, 0, last];
    let v6 = v6.map(|text| text.parse().expect("a network"));
    Link { machine, kind, mac, ipv4: Some(v4.parse().expect("a network")), ipv6: v6 }
}

fn vpc(id: Uuid, range: &str, gateway: &str) -> Vpc {
    Vpc { id, range: range.parse().expect("a range"), gateway: gateway.parse().expect("an address") }
}

/// Machines 1 and 2 in VPC one, 3 in VPC two, which is peered with one, 4 in a VPC of its own and without a public link.
/// 198.51.100.9 is reserved for 2.
pub(super) fn plan() -> Plan {
    let private = |machine, id, v4| link(machine, LinkKind::Private(id), v4, None);
    let public = |machine, v4, v6| link(machine, LinkKind::Public, v4, v6);
    Plan {
        vpcs: vec![
            vpc(ONE, "10.1.0.0/16", "10.1.0.1"),
            vpc(TWO, "10.2.0.0/16", "10.2.0.1"),
            vpc(OTHER, "10.3.0.0/16", "10.3.0.1"),
        ],
        peerings: vec![Peering { id: Uuid::from_u128(9), between: (TWO, ONE) }],
        links: vec![
            public(1, "203.0.113.1/24", Some("2001:db8::1/64")),
            private(1, ONE, "10.1.0.2/16"),
            public(2, "203.0.113.2/24", Some("2001:db8::2/64")),
            private(2, ONE, "10.1.0.3/16"),
            public(3, "203.0.113.3/24", None),
            private(3, TWO, "10.2.0.2/16"),
            private(4, OTHER, "10.3.0.2/16"),
        ],
        reserved: vec![Reserved { address: at("198.51.100.9"), machine: 2 }],
        firewalls: vec![],
    }
}

/// One that guards these machines and lets TCP `port` in from `networks` and from `machines`, and the same out.
pub(super) fn firewall(guarded: &[u64], port: Option<u16>, networks: &[&str], machines: &[u64]) -> Firewall {
    let peers = Peers {
        networks: networks.iter().map(|text| text.parse().expect("a network")).collect(),
        machines: machines.iter().copied().collect(),
    };
    let rule = Rule { protocol: Protocol::Tcp, ports: port.map(|port| port..=port), peers };
    Firewall {
        id: Uuid::from_u128(77),
        name: "wall".into(),
        machines: guarded.iter().copied().collect(),
        inbound: vec![rule.clone()],
        outbound: vec![rule],
    }
}

fn asked(from: Asker, to: &str, port: u16) -> Question {
    Question { from, to: at(to), protocol: Protocol::Tcp, port }
}

fn ask(plan: &Plan, machine: u64, to: &str) -> Answer {
    reach(plan, &asked(Asker::Machine(machine), to, 22))
}

fn ask_from(plan: &Plan, from: &str, to: &str) -> Answer {
    reach(plan, &asked(Asker::Address(at(from)), to, 22))
}

fn words(answer: &Answer) -> String {
    let names = Names { machine: &|id| format!("Droplet {id}"), vpc: &|id| format!("VPC {}", id.as_u128()) };
    answer.words(&names)
}

#[test]
fn within_a_vpc_and_between_peered_ones_private_addresses_are_reached() {
    let mut plan = plan();
    for (from, to) in [(1, "10.1.0.3"), (2, "10.1.0.2"), (1, "10.2.0.2"), (3, "10.1.0.3")] {
        assert!(ask(&plan, from, to).is_reached(), "{from} {to}");
    }
    assert_eq!(ask(&plan, 1, "10.1.0.3").steps[0], Step::Way(Way::Vpc(ONE)));
    assert_eq!(ask(&plan, 3, "10.1.0.3").steps[0], Step::Way(Way::Peering(Uuid::from_u128(9))));
    for (from, to) in [(1, "10.3.0.2"), (4, "10.1.0.2"), (3, "10.3.0.2")] {
        assert!(!ask(&plan, from, to).is_reached(), "{from} {to}");
    }
    assert_eq!(words(&ask(&plan, 4, "10.1.0.2")), "No: the address is in VPC 1, which is not peered with VPC 3.");
    assert_eq!(words(&ask(&plan, 1, "10.1.0.9")), "No: nobody in VPC 1 has the address 10.1.0.9.");
    assert_eq!(
        words(&ask(&plan, 1, "192.168.0.1")),
        "No: 192.168.0.1 is a private address that neither VPC 1 nor a VPC peered with it has."
    );
    plan.peerings.clear();
    assert_eq!(words(&ask(&plan, 1, "10.2.0.2")), "No: the address is in VPC 2, which is not peered with VPC 1.");
}

#[test]
fn public_addresses_are_reached_by_public_links_alone() {
    let plan = plan();
    for (from, to) in [(1, "203.0.113.2"), (3, "203.0.113.1"), (1, "2001:db8::2"), (1, "8.8.8.8"), (3, "198.51.100.9")]
    {
        assert!(ask(&plan, from, to).is_reached(), "{from} {to}");
    }
    assert_eq!(ask(&plan, 1, "8.8.8.8").steps[0], Step::Way(Way::ToWorld));
    assert_eq!(words(&ask(&plan, 4, "203.0.113.1")), "No: Droplet 4 has no public IPv4 address.");
    assert_eq!(words(&ask(&plan, 3, "2001:db8::1")), "No: Droplet 3 has no public IPv6 address.");
    assert_eq!(words(&ask(&plan, 7, "8.8.8.8")), "No: there is no Droplet 7.");
    let translated = ask(&plan, 1, "198.51.100.9");
    let leads = Step::Leads { reserved: at("198.51.100.9"), machine: 2, own: at("203.0.113.2") };
    assert_eq!(translated.steps[1], leads);
    assert!(words(&ask(&plan, 2, "198.51.100.9")).contains("reserved for Droplet 2 itself"));
}

#[test]
fn from_outside_public_and_reserved_addresses_are_reached_and_private_ones_are_not() {
    let plan = plan();
    for (from, to) in [("8.8.8.8", "203.0.113.1"), ("8.8.8.8", "198.51.100.9"), ("2a00::1", "2001:db8::2")] {
        assert!(ask_from(&plan, from, to).is_reached(), "{from} {to}");
    }
    for (from, to, why) in [
        ("8.8.8.8", "10.1.0.2", "No: 10.1.0.2 is an address of VPC 1: from outside, private addresses lead nowhere."),
        ("8.8.8.8", "203.0.113.77", "No: nobody here has the address 203.0.113.77, and none is reserved so."),
        ("8.8.8.8", "2001:db8::1", "No: one address is IPv4, and the other is IPv6."),
        ("127.0.0.1", "203.0.113.1", "No: 127.0.0.1 never leaves the machine that uses it."),
        ("8.8.8.8", "224.0.0.1", "No: 224.0.0.1 is no single machine's address, and is not forwarded."),
        // A neighbour of the host, whom the guest takes for somebody of a VPC.
        (
            "192.168.1.5",
            "203.0.113.1",
            "No: Droplet 1 would answer 192.168.1.5 by its other link, where it is somebody else: its answers are dropped (anti-spoofing).",
        ),
    ] {
        assert_eq!(words(&ask_from(&plan, from, to)), why);
    }
}

#[test]
fn a_machine_is_itself_on_each_link_and_nobody_else() {
    let plan = plan();
    assert!(ask_from(&plan, "10.1.0.2", "10.1.0.3").is_reached(), "that is machine 1");
    assert_eq!(
        words(&ask_from(&plan, "10.1.0.2", "203.0.113.2")),
        "No: Droplet 1 is 203.0.113.1 on the link by which it sends there: with 10.1.0.2 as the source it is dropped (anti-spoofing)."
    );
    assert!(words(&ask_from(&plan, "198.51.100.9", "8.8.8.8")).contains("Droplet 2 is 203.0.113.2"));
    for own in ["10.1.0.2", "203.0.113.1", "2001:db8::1"] {
        assert_eq!(ask(&plan, 1, own).steps, [Step::Way(Way::Itself)]);
    }
}

#[test]
fn what_the_network_itself_serves_is_reached_past_firewalls() {
    let mut plan = plan();
    plan.firewalls.push(firewall(&[1, 2, 3, 4], Some(1), &[], &[]));
    let question = |to: &str, protocol, port| Question { protocol, port, ..asked(Asker::Machine(4), to, 0) };
    let reached = |to: &str, protocol, port| reach(&plan, &question(to, protocol, port)).is_reached();
    assert!(reached("169.254.169.254", Protocol::Tcp, 80) && reached("169.254.169.254", Protocol::Icmp, 0));
    assert!(!reached("169.254.169.254", Protocol::Tcp, 81) && !reached("169.254.169.253", Protocol::Icmp, 0));
    assert!(reached("10.3.0.1", Protocol::Icmp, 0) && !reached("10.3.0.1", Protocol::Tcp, 22));
}

#[test]
fn firewalls_of_both_sides_are_asked_fw_5() {
    let mut plan = plan();
    plan.firewalls = vec![firewall(&[2], Some(22), &["10.1.0.2/32"], &[])];
    let answer = ask(&plan, 1, "10.1.0.3");
    assert!(answer.is_reached());
    assert_eq!(
        words(&answer),
        "Yes: firewall wall of Droplet 2 allows it by its inbound rule 1, TCP port 22 from 10.1.0.2/32."
    );
    assert_eq!(
        words(&ask(&plan, 3, "10.1.0.3")),
        "No: firewall wall of Droplet 2 has no inbound rule for TCP port 22 from 10.2.0.2."
    );
    assert!(!ask(&plan, 1, "203.0.113.2").is_reached(), "its source is another one there");
    let other_port = reach(&plan, &asked(Asker::Machine(1), "10.1.0.3", 23));
    assert!(!other_port.is_reached());
    assert!(ask(&plan, 1, "10.2.0.2").is_reached(), "who has no firewall is open");
    // What it may not send.
    assert_eq!(
        words(&ask(&plan, 2, "8.8.8.8")),
        "No: firewall wall of Droplet 2 has no outbound rule for TCP port 22 to 8.8.8.8."
    );
    plan.firewalls[0].machines.insert(1);
    let both = ask(&plan, 1, "10.1.0.3");
    let stopping: Vec<bool> = both.steps.iter().map(Step::stops).collect();
    assert_eq!(stopping, [false, true, false], "the receiver's are looked at all the same: {both:?}");
}

#[test]
fn a_machine_named_by_a_rule_is_so_by_each_of_its_addresses() {
    let mut plan = plan();
    plan.firewalls = vec![firewall(&[1], None, &[], &[2])];
    for (from, to) in [(2, "10.1.0.2"), (2, "203.0.113.1"), (2, "2001:db8::1")] {
        assert!(ask(&plan, from, to).is_reached(), "{to}");
    }
    for to in ["10.1.0.3", "203.0.113.2", "2001:db8::2", "198.51.100.9"] {
        assert!(ask(&plan, 1, to).is_reached(), "{to}");
    }
    assert!(!ask(&plan, 3, "203.0.113.1").is_reached());
    assert!(words(&ask(&plan, 2, "10.1.0.2")).ends_with("TCP all ports from Droplet 2."));
    let ping = Question { protocol: Protocol::Icmp, ..asked(Asker::Machine(2), "10.1.0.2", 0) };
    assert!(!reach(&plan, &ping).is_reached(), "TCP is not ICMP");
}

#[test]
fn a_reserved_address_is_itself_to_the_sender_and_translated_to_the_receiver() {
    let mut plan = plan();
    plan.firewalls = vec![firewall(&[1], Some(22), &["198.51.100.9/32"], &[])];
    assert!(ask(&plan, 1, "198.51.100.9").is_reached());
    assert!(!ask(&plan, 1, "203.0.113.2").is_reached(), "the rule names the other address");
}
