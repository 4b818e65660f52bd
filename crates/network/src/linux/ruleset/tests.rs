//! The script's shape; what it does to packets is seen in `tests/linux`.

use uuid::Uuid;

use super::*;
use crate::{Firewall, Link, LinkKind, Peers, Protocol, Reserved, Rule, Vpc};

const VPC: Uuid = Uuid::from_u128(0xaaaa_aaaa_aaaa_aaaa_aaaa_aaaa_aaaa_aaab);

fn plan() -> Plan {
    let link = |machine: u8, kind| Link {
        machine: machine.into(),
        kind,
        mac: [6, 1, 0, 0, 0, machine],
        ipv4: format!("10.1.0.{machine}/24").parse().ok(),
        ipv6: None,
    };
    let vpc = Vpc { id: VPC, range: "10.1.0.0/24".parse().expect("a range"), gateway: [10, 1, 0, 1].into() };
    let links = vec![link(7, LinkKind::Private(VPC)), link(8, LinkKind::Private(VPC)), link(9, LinkKind::Public)];
    Plan { vpcs: vec![vpc], links, ..Plan::default() }
}

fn wall(id: u128, machines: &[u64], rules: usize) -> Firewall {
    let rule = |number: usize| Rule {
        protocol: Protocol::Tcp,
        ports: Some(22..=22),
        peers: Peers {
            networks: vec![format!("192.0.{}.{}/32", number / 128, 2 * (number % 128)).parse().expect("a network")],
            ..Peers::default()
        },
    };
    let inbound = (0..rules).map(rule).collect();
    let machines = machines.iter().copied().collect();
    Firewall { id: Uuid::from_u128(id), name: "{ evil; \" }".into(), machines, inbound, outbound: Vec::new() }
}

fn script(plan: &Plan) -> String {
    super::script(&WireConfig::example(), plan).expect("a script")
}

/// The lines of chains, where rules are.
fn rules(script: &str) -> usize {
    let chains = script.split("\tchain ").skip(1);
    chains.map(|chain| chain.lines().skip(1).take_while(|line| line.starts_with("\t\t")).count()).sum()
}

#[test]
fn nothing_is_tracked_until_something_needs_it() {
    let open = script(&plan());
    assert!(!open.contains("ct ") || !open.contains("ct state"), "{open}");
    assert!(!open.contains("dnat") && !open.contains("zone"), "{open}");
    assert!(tracked_bridges(&plan()).is_empty());

    let mut guarded = plan();
    guarded.firewalls.push(wall(1, &[7], 1));
    assert_eq!(tracked_bridges(&guarded), ["vpc-aaaaaaaaaaa".to_owned()].into());
    assert!(script(&guarded).contains("ct state established ct direction reply accept"));
    // A firewall of nobody guards nobody.
    guarded.firewalls = vec![wall(1, &[], 1), wall(2, &[99], 1)];
    assert!(tracked_bridges(&guarded).is_empty());

    let mut reserved = plan();
    reserved.reserved.push(Reserved { address: [203, 0, 113, 200].into(), machine: 9 });
    assert_eq!(tracked_bridges(&reserved), ["public".to_owned()].into());
    assert!(script(&reserved).contains("203.0.113.200 : 10.1.0.9"));
}

#[test]
fn rules_are_elements_of_sets_and_not_lines() {
    let with = |firewalls: Vec<Firewall>| script(&Plan { firewalls, ..plan() });
    let (one, thousand) = (with(vec![wall(1, &[7], 1)]), with(vec![wall(1, &[7], 1000)]));
    assert_eq!(rules(&one), rules(&thousand));
    assert_eq!(thousand.matches(". tcp . 22-22").count(), 1000);
    // Machines of the same firewalls share their chains.
    let (alone, shared) = (with(vec![wall(1, &[7], 5)]), with(vec![wall(1, &[7, 8, 9], 5)]));
    assert_eq!(rules(&alone), rules(&shared));
}

#[test]
fn what_people_wrote_is_not_in_the_script() {
    let mut plan = plan();
    plan.firewalls.push(wall(1, &[7], 1));
    assert!(!script(&plan).contains("evil"));
}

#[test]
fn every_machine_is_named_so_that_what_is_not_found_can_be_dropped() {
    let mut plan = plan();
    plan.firewalls.push(wall(1, &[7], 1));
    let script = script(&plan);
    assert!(script.contains("\"vpc-aaaaaaaaaaa\" . 10.1.0.7 : goto in-group-0"), "{script}");
    assert!(script.contains("\"vpc-aaaaaaaaaaa\" . 10.1.0.8 : accept"), "{script}");
    assert!(script.contains("\"public\" . 10.1.0.9 : goto inbound"), "{script}");
    let inbound = script.split("\tchain inbound {").nth(1).expect("a chain");
    assert!(inbound.split('}').any(|part| part.trim_end().ends_with("drop")));
}
