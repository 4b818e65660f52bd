//! Who reaches whom with firewalls.

use std::{
    net::{IpAddr, SocketAddr, TcpStream},
    ops::RangeInclusive,
};

use dewpoint_network::{Firewall, LinkKind, Peering, Peers, Protocol, Rule};
use uuid::Uuid;

use crate::{
    lab::{Lab, with_lab},
    probe::{Answer, carries, comes_to, comes_to_ping, inside, is_cut, listen, ping, reaches, tcp},
};

fn rule(protocol: Protocol, ports: Option<RangeInclusive<u16>>, networks: &[&str], machines: &[u64]) -> Rule {
    let networks = networks.iter().map(|net| net.parse().expect("a network")).collect();
    Rule { protocol, ports, peers: Peers { networks, machines: machines.iter().copied().collect() } }
}

fn firewall(id: u128, machines: &[u64], inbound: Vec<Rule>, outbound: Vec<Rule>) -> Firewall {
    let machines = machines.iter().copied().collect();
    Firewall { id: Uuid::from_u128(id), name: format!("wall-{id}"), machines, inbound, outbound }
}

fn everywhere() -> Vec<Rule> {
    let all = ["0.0.0.0/0", "::/0"];
    vec![
        rule(Protocol::Tcp, None, &all, &[]),
        rule(Protocol::Udp, None, &all, &[]),
        rule(Protocol::Icmp, None, &all, &[]),
    ]
}

/// Three machines with public links and links to one VPC.
fn three(lab: &mut Lab) {
    let vpc = lab.vpc(1, "10.1.0.0/24");
    for machine in 1..=3 {
        let v6 = format!("fd65::{}/64", 10 + machine);
        let public = lab.link(machine, LinkKind::Public, &format!("203.0.113.{}/25", 10 + machine), Some(&v6));
        let private = lab.link(machine, LinkKind::Private(vpc), &format!("10.1.0.{}/24", 10 + machine), None);
        lab.plug(&public);
        lab.plug(&private);
    }
}

fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse::<IpAddr>().expect("an address"), port)
}

#[test]
fn only_what_a_rule_names_comes_in() {
    with_lab("only_what_a_rule_names_comes_in", |lab| {
        three(lab);
        let [one, two, three] = [1, 2, 3].map(|machine| lab.guest_name(machine));
        let host = lab.host_name();
        let inbound = vec![
            rule(Protocol::Tcp, Some(22..=22), &["192.0.2.0/32", "fd64::/126"], &[]),
            rule(Protocol::Tcp, Some(8000..=8010), &[], &[2]),
            rule(Protocol::Icmp, None, &["203.0.113.0/25", "fd65::12/128"], &[]),
        ];
        lab.plan.firewalls.push(firewall(1, &[1], inbound, Vec::new()));
        lab.apply();
        let listener = listen(&one, "[::]:22");
        let other = listen(&two, "[::]:22");

        // From the uplink's side, as named; nothing else of it.
        comes_to(&host, at("203.0.113.11", 22), Answer::Accepted);
        comes_to(&host, at("fd65::11", 22), Answer::Accepted);
        assert_eq!(tcp(&host, at("203.0.113.11", 23)), Answer::Nothing);
        assert_eq!(tcp(&host, at("fd65::11", 23)), Answer::Nothing);
        assert!(!ping(&host, "203.0.113.11"));
        // Machines beside it, on the same bridges: by all addresses of the one that is named.
        for port in [8000, 8005, 8010] {
            comes_to(&two, at("203.0.113.11", port), Answer::Refused);
            comes_to(&two, at("10.1.0.11", port), Answer::Refused);
            comes_to(&two, at("fd65::11", port), Answer::Refused);
        }
        for (to, port) in [("203.0.113.11", 7999), ("203.0.113.11", 22), ("10.1.0.11", 8011), ("fd65::11", 22)] {
            assert_eq!(tcp(&two, at(to, port)), Answer::Nothing, "{to} {port}");
        }
        for to in ["203.0.113.11", "10.1.0.11", "fd65::11"] {
            assert_eq!(tcp(&three, at(to, 8005)), Answer::Nothing, "{to}");
        }
        for (from, to) in [(&two, "203.0.113.11"), (&three, "203.0.113.11"), (&two, "fd65::11")] {
            comes_to_ping(from, to);
        }
        assert!(!ping(&two, "10.1.0.11") && !ping(&three, "fd65::11"));
        // Without a rule for it, it opens nothing itself; who is not guarded is open.
        for to in ["203.0.113.12", "10.1.0.12", "fd65::12", "192.0.2.0"] {
            assert!(!reaches(&one, to), "{to}");
        }
        comes_to(&three, at("10.1.0.12", 22), Answer::Accepted);
        comes_to(&host, at("203.0.113.12", 22), Answer::Accepted);
        drop((listener, other));
    });
}

#[test]
fn rules_of_several_firewalls_add_up_and_both_sides_have_to_agree() {
    with_lab("rules_of_several_firewalls_add_up_and_both_sides_have_to_agree", |lab| {
        three(lab);
        let [one, two] = [1, 2].map(|machine| lab.guest_name(machine));
        let web = rule(Protocol::Tcp, Some(80..=80), &["0.0.0.0/0"], &[]);
        let ssh = rule(Protocol::Tcp, Some(22..=22), &["10.1.0.0/24"], &[]);
        lab.plan.firewalls = vec![
            firewall(1, &[1], vec![web], Vec::new()),
            firewall(2, &[1, 3], vec![ssh], Vec::new()),
            firewall(3, &[2], Vec::new(), vec![rule(Protocol::Tcp, Some(80..=443), &[], &[1])]),
        ];
        lab.apply();
        // 2 may go to 80-443 of 1, which lets in 80 from everywhere and 22 from the VPC.
        comes_to(&two, at("10.1.0.11", 80), Answer::Refused);
        comes_to(&two, at("203.0.113.11", 80), Answer::Refused);
        assert_eq!(tcp(&two, at("10.1.0.11", 22)), Answer::Nothing, "2 may not go there");
        assert_eq!(tcp(&two, at("10.1.0.11", 443)), Answer::Nothing, "1 lets nobody in");
        assert_eq!(tcp(&two, at("10.1.0.13", 80)), Answer::Nothing, "2 may go to 1 alone");
        // Alone with the second one, 3 lets in what that allows.
        assert_eq!(tcp(&one, at("10.1.0.13", 22)), Answer::Nothing, "1 opens nothing");
        lab.plan.firewalls[0].outbound = everywhere();
        lab.apply();
        comes_to(&one, at("10.1.0.13", 22), Answer::Refused);
        assert_eq!(tcp(&one, at("10.1.0.13", 80)), Answer::Nothing);

        // Without firewalls, everything is open again and nothing is tracked.
        lab.plan.firewalls.clear();
        lab.apply();
        comes_to(&two, at("10.1.0.13", 22), Answer::Refused);
        let rules = lab.installation(&["nft", "list", "ruleset"]);
        assert!(!rules.contains("ct state"), "{rules}");
    });
}

#[test]
fn a_rule_that_is_taken_away_ends_what_it_allowed_and_nothing_else() {
    with_lab("a_rule_that_is_taken_away_ends_what_it_allowed_and_nothing_else", |lab| {
        three(lab);
        let [one, two] = [1, 2].map(|machine| lab.guest_name(machine));
        let ssh = rule(Protocol::Tcp, Some(22..=22), &[], &[2]);
        let web = rule(Protocol::Tcp, Some(80..=80), &[], &[2]);
        lab.plan.firewalls = vec![firewall(1, &[1], vec![ssh, web], everywhere())];
        lab.apply();
        let listeners = [listen(&one, "0.0.0.0:22"), listen(&one, "0.0.0.0:80"), listen(&two, "0.0.0.0:90")];
        let connect = |from: &str, to: SocketAddr| inside(from, || TcpStream::connect(to).expect("it is allowed"));
        let opened = [
            connect(&two, at("10.1.0.11", 22)),
            connect(&two, at("203.0.113.11", 80)),
            connect(&one, at("10.1.0.12", 90)),
        ];
        let accepted = listeners.each_ref().map(|listener| listener.accept().expect("a connection").0);
        for (opened, accepted) in opened.iter().zip(&accepted) {
            assert!(carries(opened, accepted) && carries(accepted, opened));
        }

        lab.plan.firewalls[0].inbound.remove(0);
        lab.apply();
        assert!(is_cut(&opened[0], &accepted[0]), "SSH is no longer allowed");
        assert!(carries(&opened[1], &accepted[1]) && carries(&accepted[1], &opened[1]), "the web still is");
        assert!(carries(&opened[2], &accepted[2]) && carries(&accepted[2], &opened[2]), "answers need no rule");

        // Another server, and the same plan again: nothing is interrupted.
        lab.restart();
        lab.apply();
        assert!(carries(&opened[1], &accepted[1]) && carries(&accepted[1], &opened[1]));
        assert!(is_cut(&opened[0], &accepted[0]));
    });
}

#[test]
fn a_guarded_machine_is_found_and_finds_its_metadata() {
    with_lab("a_guarded_machine_is_found_and_finds_its_metadata", |lab| {
        three(lab);
        let [one, two] = [1, 2].map(|machine| lab.guest_name(machine));
        let from_two = rule(Protocol::Tcp, Some(22..=22), &[], &[2]);
        lab.plan.firewalls = vec![firewall(1, &[1], vec![from_two], Vec::new())];
        lab.apply();
        let service = lab.wire().listen_inside(at("169.254.169.254", 80)).expect("it listens");
        for _ in 0..2 {
            for guest in [&one, &two] {
                inside(guest, || {
                    assert!(std::process::Command::new("ip").args(["neigh", "flush", "all"]).status().is_ok())
                });
            }
            comes_to(&two, at("10.1.0.11", 22), Answer::Refused);
            comes_to(&two, at("fd65::11", 22), Answer::Refused);
            comes_to(&one, at("169.254.169.254", 80), Answer::Accepted);
            let (accepted, _) = service.accept().expect("a connection");
            assert_eq!(lab.wire().asker(&accepted).map(|asker| asker.machine), Some(1));
        }
    });
}

#[test]
fn firewalls_tell_vpcs_of_one_range_apart_and_work_over_peerings() {
    with_lab("firewalls_tell_vpcs_of_one_range_apart_and_work_over_peerings", |lab| {
        let (red, blue, peer) = (lab.vpc(1, "10.1.0.0/24"), lab.vpc(2, "10.1.0.0/24"), lab.vpc(3, "10.3.0.0/24"));
        for (machine, vpc, address) in [
            (1, red, "10.1.0.11/24"),
            (2, red, "10.1.0.12/24"),
            (3, blue, "10.1.0.11/24"),
            (4, blue, "10.1.0.12/24"),
            (5, peer, "10.3.0.15/24"),
        ] {
            let link = lab.link(machine, LinkKind::Private(vpc), address, None);
            lab.plug(&link);
        }
        lab.plan.peerings.push(Peering { id: Uuid::from_u128(9), between: (red, peer) });
        lab.plan.firewalls = vec![
            firewall(1, &[1], vec![rule(Protocol::Tcp, Some(22..=22), &["10.3.0.0/24"], &[2])], Vec::new()),
            firewall(2, &[4], Vec::new(), everywhere()),
        ];
        lab.apply();
        let [one, two, three, four, five] = [1, 2, 3, 4, 5].map(|machine| lab.guest_name(machine));
        // The same four addresses, at the same time, in two networks.
        comes_to(&two, at("10.1.0.11", 22), Answer::Refused);
        assert_eq!(tcp(&two, at("10.1.0.11", 23)), Answer::Nothing);
        assert_eq!(tcp(&one, at("10.1.0.12", 22)), Answer::Nothing, "1 opens nothing");
        comes_to(&four, at("10.1.0.11", 23), Answer::Refused);
        assert_eq!(tcp(&three, at("10.1.0.12", 23)), Answer::Nothing, "4 lets nobody in");
        // A connection's two directions come in by two bridges.
        let listener = listen(&one, "0.0.0.0:22");
        comes_to(&five, at("10.1.0.11", 22), Answer::Accepted);
        assert_eq!(tcp(&five, at("10.1.0.11", 23)), Answer::Nothing);
        let _accepted = listener.accept().expect("a connection");
        let opened = inside(&five, || TcpStream::connect(at("10.1.0.11", 22)).expect("it is allowed"));
        let (accepted, _) = listener.accept().expect("a connection");
        assert!(carries(&opened, &accepted) && carries(&accepted, &opened));
        // A peering that ends ends what went over it.
        lab.plan.peerings.clear();
        lab.apply();
        assert!(is_cut(&opened, &accepted) && is_cut(&accepted, &opened));
    });
}
