//! What is true of every network, and every question about it.

use proptest::prelude::*;
use uuid::Uuid;

use super::{tests, *};
use crate::{Firewall, Peers};

/// Addresses that questions are about: those of machines, and of nobody.
const ADDRESSES: [&str; 14] = [
    "10.1.0.1",
    "10.1.0.2",
    "10.1.0.3",
    "10.1.0.9",
    "10.2.0.2",
    "10.3.0.2",
    "203.0.113.1",
    "203.0.113.2",
    "203.0.113.3",
    "198.51.100.9",
    "8.8.8.8",
    "192.168.1.5",
    "2001:db8::1",
    "2001:db8::2",
];

fn address() -> impl Strategy<Value = IpAddr> {
    prop::sample::select(ADDRESSES.to_vec()).prop_map(|text| text.parse().expect("an address"))
}

fn protocol() -> impl Strategy<Value = Protocol> {
    prop::sample::select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Icmp])
}

fn rule() -> impl Strategy<Value = Rule> {
    let ports = prop::option::of((1..5_u16, 0..3_u16).prop_map(|(low, more)| low..=low + more));
    let networks =
        prop::sample::select(vec!["0.0.0.0/0", "10.1.0.0/16", "10.0.0.0/8", "8.8.8.8/32", "::/0", "203.0.113.2/32"]);
    let networks = prop::collection::vec(networks.prop_map(|text| text.parse().expect("a network")), 0..3);
    let machines = prop::collection::btree_set(1..5_u64, 0..3);
    (protocol(), ports, networks, machines).prop_map(|(protocol, ports, networks, machines)| Rule {
        protocol,
        ports,
        peers: Peers { networks, machines },
    })
}

fn firewall() -> impl Strategy<Value = Firewall> {
    let rules = || prop::collection::vec(rule(), 0..3);
    (any::<u128>(), prop::collection::btree_set(1..5_u64, 0..4), rules(), rules()).prop_map(
        |(id, machines, inbound, outbound)| Firewall {
            id: Uuid::from_u128(id),
            name: "wall".into(),
            machines,
            inbound,
            outbound,
        },
    )
}

fn plan() -> impl Strategy<Value = Plan> {
    (prop::collection::vec(firewall(), 0..4), any::<bool>(), any::<bool>()).prop_map(|(firewalls, peered, reserved)| {
        let mut plan = Plan { firewalls, ..tests::plan() };
        if !peered {
            plan.peerings.clear();
        }
        if !reserved {
            plan.reserved.clear();
        }
        plan
    })
}

fn question() -> impl Strategy<Value = Question> {
    let from = prop_oneof![(1..6_u64).prop_map(Asker::Machine), address().prop_map(Asker::Address)];
    (from, address(), protocol(), 1..8_u16).prop_map(|(from, to, protocol, port)| Question { from, to, protocol, port })
}

fn reached(plan: &Plan, question: &Question) -> bool {
    reach(plan, question).is_reached()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_rule_more_closes_nothing(plan in plan(), question in question(), more in rule(), at in 0..8_usize, out in any::<bool>()) {
        let mut wider = plan.clone();
        if let Some(firewall) = wider.firewalls.get_mut(at / 2) {
            let rules = if out { &mut firewall.outbound } else { &mut firewall.inbound };
            rules.insert(at % (rules.len() + 1), more);
        }
        prop_assert!(reached(&wider, &question) || !reached(&plan, &question));
    }

    #[test]
    fn firewalls_close_and_never_open(plan in plan(), question in question()) {
        let open = Plan { firewalls: Vec::new(), ..plan.clone() };
        let answer = reach(&open, &question);
        let drops = |step: &Step| matches!(step, Step::Judged { verdict: Verdict::Allowed { .. } | Verdict::Dropped { .. }, .. });
        prop_assert!(!answer.steps.iter().any(drops), "no firewall is an open one: {answer:?}");
        prop_assert!(answer.is_reached() || !reached(&plan, &question));
    }

    #[test]
    fn the_order_of_firewalls_and_rules_is_of_no_account(plan in plan(), question in question()) {
        let mut turned = plan.clone();
        turned.firewalls.reverse();
        turned.firewalls.iter_mut().for_each(|firewall| {
            firewall.inbound.reverse();
            firewall.outbound.reverse();
        });
        prop_assert_eq!(reached(&turned, &question), reached(&plan, &question));
    }

    #[test]
    fn a_firewall_is_of_no_account_to_whom_it_does_not_guard(plan in plan(), question in question(), more in firewall()) {
        let mut guards_nobody = plan.clone();
        guards_nobody.firewalls.push(Firewall { machines: Default::default(), ..more });
        prop_assert_eq!(reach(&guards_nobody, &question), reach(&plan, &question));
    }

    #[test]
    fn a_second_firewall_on_the_same_machines_closes_nothing(plan in plan(), question in question(), more in firewall()) {
        let mut both = plan.clone();
        let guarded = plan.firewalls.iter().flat_map(|firewall| firewall.machines.iter().copied());
        let machines = more.machines.iter().copied().filter(|one| guarded.clone().any(|other| other == *one)).collect();
        both.firewalls.push(Firewall { machines, ..more });
        prop_assert!(reached(&both, &question) || !reached(&plan, &question));
    }

    #[test]
    fn a_peering_less_opens_nothing(plan in plan(), question in question()) {
        let apart = Plan { peerings: Vec::new(), ..plan.clone() };
        prop_assert!(reached(&plan, &question) || !reached(&apart, &question));
    }

    #[test]
    fn every_answer_says_why_in_a_sentence(plan in plan(), question in question()) {
        let answer = reach(&plan, &question);
        let names = Names { machine: &|id| format!("Droplet {id}"), vpc: &|id| format!("VPC {id}") };
        let said = answer.words(&names);
        prop_assert!(said.starts_with(if answer.is_reached() { "Yes: " } else { "No: " }) && said.ends_with('.'), "{}", said);
        prop_assert!(!answer.steps.is_empty());
    }
}
