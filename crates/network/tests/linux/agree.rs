//! What `reach` says of a plan is what packets do.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use dewpoint_network::{
    Firewall, LinkKind, Peering, Peers, Plan, Protocol, Reserved, Rule,
    reach::{Asker, Question, reach},
};
use uuid::Uuid;

use crate::{
    lab::{Lab, wait_until, with_lab},
    probe::{Answer, ping, tcp},
};

/// Numbers that look thrown, the same ones each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn is(&mut self, of_ten: u64) -> bool {
        self.below(10) < of_ten
    }

    fn machines(&mut self) -> impl Iterator<Item = u64> {
        let chosen: Vec<u64> = (1..=4).filter(|_| self.is(4)).collect();
        chosen.into_iter()
    }
}

const NETWORKS: [&str; 9] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.0.12/32",
    "192.0.2.0/32",
    "203.0.113.0/25",
    "203.0.113.200/32",
    "203.0.113.13/32",
    "::/0",
    "fd65::12/128",
];

const RESERVED: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 200));

const TARGETS: [&str; 11] = [
    "203.0.113.11",
    "203.0.113.12",
    "203.0.113.13",
    "203.0.113.200",
    "fd65::12",
    "fd65::13",
    "10.1.0.11",
    "10.1.0.12",
    "10.2.0.14",
    "10.1.0.1",
    "169.254.169.254",
];

fn rule(dice: &mut Dice) -> Rule {
    let protocol = if dice.is(3) { Protocol::Icmp } else { Protocol::Tcp };
    let from = u16::try_from(21 + dice.below(3)).expect("small");
    let ports = dice.is(7).then(|| from..=from + u16::from(dice.is(5)));
    let networks = NETWORKS.iter().filter(|_| dice.is(2)).map(|net| net.parse().expect("a network")).collect();
    Rule { protocol, ports, peers: Peers { networks, machines: dice.machines().collect() } }
}

fn thrown(dice: &mut Dice, base: &Plan) -> Plan {
    let mut plan = base.clone();
    for number in 0..dice.below(4) {
        let inbound = (0..dice.below(4)).map(|_| rule(dice)).collect();
        let outbound = (0..dice.below(4)).map(|_| rule(dice)).collect();
        let (id, name) = (Uuid::from_u128(u128::from(number) + 1), format!("wall-{number}"));
        plan.firewalls.push(Firewall { id, name, machines: dice.machines().collect(), inbound, outbound });
    }
    if dice.is(5) {
        plan.peerings.push(Peering { id: Uuid::from_u128(9), between: (plan.vpcs[0].id, plan.vpcs[1].id) });
    }
    if dice.is(6) {
        plan.reserved.push(Reserved { address: RESERVED, machine: 1 + dice.below(3) });
    }
    plan
}

/// 1 and 2 in one VPC and with public links, 3 with a public link alone, 4 alone in another VPC.
fn machines(lab: &mut Lab) {
    let (red, blue) = (lab.vpc(1, "10.1.0.0/24"), lab.vpc(2, "10.2.0.0/24"));
    for machine in 1..=3 {
        let v6 = format!("fd65::{}/64", 10 + machine);
        let link = lab.link(machine, LinkKind::Public, &format!("203.0.113.{}/25", 10 + machine), Some(&v6));
        lab.plug(&link);
    }
    for (machine, vpc, address) in [(1, red, "10.1.0.11/24"), (2, red, "10.1.0.12/24"), (4, blue, "10.2.0.14/24")] {
        let link = lab.link(machine, LinkKind::Private(vpc), address, None);
        lab.plug(&link);
        let gateway = if vpc == red { "10.1.0.1" } else { "10.2.0.1" };
        lab.guest(machine, &["ip", "route", "add", "10.0.0.0/8", "via", gateway]);
    }
}

fn is_reached(namespace: &str, question: &Question) -> bool {
    match question.protocol {
        Protocol::Tcp => tcp(namespace, SocketAddr::new(question.to, question.port)) != Answer::Nothing,
        Protocol::Udp | Protocol::Icmp => ping(namespace, &question.to.to_string()),
    }
}

#[test]
fn packets_do_what_reach_says() {
    with_lab("packets_do_what_reach_says", |lab| {
        machines(lab);
        let base = lab.plan.clone();
        let mut dice = Dice(5);
        let (mut reached, mut asked) = (0, 0);
        for _ in 0..10 {
            lab.plan = thrown(&mut dice, &base);
            lab.apply();
            let mut questions = Vec::new();
            for to in TARGETS.map(|target| target.parse::<IpAddr>().expect("an address")) {
                // A plan knows nothing of pools: that nobody has this one is nothing it could say.
                if to == RESERVED && lab.plan.reserved.is_empty() {
                    continue;
                }
                let world = if to.is_ipv4() { "192.0.2.0" } else { "fd64::1" };
                let world = (lab.host_name(), Asker::Address(world.parse().expect("an address")));
                let guests = (1..=4).map(|machine| (lab.guest_name(machine), Asker::Machine(machine)));
                for (namespace, from) in guests.chain([world]) {
                    let port = u16::try_from(21 + dice.below(4)).expect("small");
                    for (protocol, port) in [(Protocol::Tcp, port), (Protocol::Tcp, 80), (Protocol::Icmp, 0)] {
                        questions.push((namespace.clone(), Question { from, to, protocol, port }));
                    }
                }
            }
            std::thread::scope(|scope| {
                for (namespace, question) in &questions {
                    let plan = &lab.plan;
                    let judge = move || {
                        let answer = reach(plan, question);
                        if answer.is_reached() {
                            wait_until(&format!("{question:?}: {answer:?} {plan:?}"), || {
                                is_reached(namespace, question)
                            });
                        } else {
                            assert!(!is_reached(namespace, question), "{question:?} is reached: {answer:?} {plan:?}");
                        }
                    };
                    scope.spawn(judge);
                }
            });
            asked += questions.len();
            reached += questions.iter().filter(|(_, question)| reach(&lab.plan, question).is_reached()).count();
        }
        // Neither is the exception.
        assert!(reached > asked / 5 && reached < asked * 4 / 5, "{reached} of {asked} were reached");
    });
}
