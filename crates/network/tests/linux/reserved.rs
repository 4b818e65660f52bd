//! Addresses that lead to one machine and then to another.

use std::net::{SocketAddr, UdpSocket};

use dewpoint_network::{Firewall, LinkKind, Peers, Protocol, Reserved, Rule};
use uuid::Uuid;

use crate::{
    lab::{Lab, wait_until, with_lab},
    probe::{Answer, comes_to, listen, reaches, tcp, udp},
};

fn machines(lab: &mut Lab) {
    let vpc = lab.vpc(1, "10.1.0.0/24");
    for machine in 1..=3 {
        let v6 = format!("fd65::{}/64", 10 + machine);
        let public = lab.link(machine, LinkKind::Public, &format!("203.0.113.{}/25", 10 + machine), Some(&v6));
        lab.plug(&public);
    }
    let private = lab.link(4, LinkKind::Private(vpc), "10.1.0.14/24", None);
    lab.plug(&private);
}

fn lead(lab: &mut Lab, machine: u64) {
    let addresses = ["203.0.113.200", "fd66::200"];
    lab.plan.reserved =
        addresses.map(|address| Reserved { address: address.parse().expect("an address"), machine }).to_vec();
    lab.apply();
}

/// What arrives at one of these sockets when something is sent to an address, and where it came from; the answer comes back
/// from that address, or the sender would not take it.
fn arrives(from: &UdpSocket, to: SocketAddr, at: &[(u64, &UdpSocket)]) -> Option<(u64, SocketAddr)> {
    from.connect(to).expect("an address");
    from.send(b"?").ok()?;
    let own = from.local_addr().expect("an address");
    for (machine, socket) in at {
        let mut buffer = [0; 8];
        // What came late of an attempt before this one is passed over.
        while let Ok((_, sender)) = socket.recv_from(&mut buffer) {
            if sender.port() == own.port() {
                socket.send_to(b"!", sender).expect("it is sent");
                return from.recv(&mut buffer).ok().map(|_| (*machine, sender));
            }
        }
    }
    None
}

#[test]
fn a_reserved_address_leads_to_its_machine_and_moves_at_once() {
    with_lab("a_reserved_address_leads_to_its_machine_and_moves_at_once", |lab| {
        machines(lab);
        let [one, two, three, four] = [1, 2, 3, 4].map(|machine| lab.guest_name(machine));
        let host = lab.host_name();
        lead(lab, 1);
        let (at_one, at_two) = (udp(&one, "[::]:7"), udp(&two, "[::]:7"));
        let targets = [(1, &at_one), (2, &at_two)];
        let (v4, v6): (SocketAddr, SocketAddr) =
            ("203.0.113.200:7".parse().expect("an address"), "[fd66::200]:7".parse().expect("an address"));
        // The same sockets all the time: the connections that the kernel knows of stay the same.
        let from_host4 = udp(&host, "192.0.2.0:0");
        let from_host6 = udp(&host, "[fd64::1]:0");
        let from_three4 = udp(&three, "203.0.113.13:0");
        let from_three6 = udp(&three, "[fd65::13]:0");
        for machine in [1, 2, 1] {
            lead(lab, machine);
            for (socket, to) in [(&from_host4, v4), (&from_host6, v6), (&from_three4, v4), (&from_three6, v6)] {
                let own = socket.local_addr().expect("an address");
                wait_until("it arrives", || match arrives(socket, to, &targets) {
                    None => false,
                    Some((at, sender)) => {
                        assert_eq!(at, machine, "{own} to {to}");
                        let sender = SocketAddr::new(sender.ip().to_canonical(), sender.port());
                        assert_eq!(sender, own, "its own address is seen");
                        true
                    }
                });
            }
        }
        // The machine's own address still leads there, and a VPC does not lead out.
        let own: SocketAddr = "203.0.113.12:7".parse().expect("an address");
        let direct = udp(&host, "192.0.2.0:0");
        wait_until("it arrives", || arrives(&direct, own, &targets).is_some_and(|(at, _)| at == 2));
        assert!(!reaches(&four, "203.0.113.200"));
        assert!(!reaches(&four, "203.0.113.11"));

        // One that leads nowhere is nowhere: not even old connections get through.
        lab.plan.reserved.clear();
        lab.apply();
        assert_eq!(arrives(&from_host4, v4, &targets), None);
        assert_eq!(arrives(&from_three6, v6, &targets), None);
        lead(lab, 2);
        wait_until("it leads again", || arrives(&from_host4, v4, &targets).is_some_and(|(at, _)| at == 2));
    });
}

#[test]
fn a_firewall_judges_what_comes_by_a_reserved_address() {
    with_lab("a_firewall_judges_what_comes_by_a_reserved_address", |lab| {
        machines(lab);
        let [one, two, three] = [1, 2, 3].map(|machine| lab.guest_name(machine));
        let host = lab.host_name();
        let peers = |machine: u64| Peers { networks: Vec::new(), machines: [machine].into() };
        let ssh = |peers: Peers| Rule { protocol: Protocol::Tcp, ports: Some(22..=22), peers };
        let wall = |id: u128, machine: u64, inbound: Vec<Rule>, outbound: Vec<Rule>| Firewall {
            id: Uuid::from_u128(id),
            name: "wall".into(),
            machines: [machine].into(),
            inbound,
            outbound,
        };
        lab.plan.firewalls = vec![
            wall(
                1,
                1,
                vec![
                    ssh(peers(2)),
                    ssh(Peers { networks: vec!["192.0.2.0/31".parse().expect("a network")], ..Peers::default() }),
                ],
                Vec::new(),
            ),
            // To machine 1, by whatever address: also the one that is reserved for it.
            wall(2, 2, Vec::new(), vec![ssh(peers(1))]),
        ];
        lead(lab, 1);
        let _listener = listen(&one, "[::]:22");
        let to = |address: &str| SocketAddr::new(address.parse().expect("an address"), 22);
        for address in ["203.0.113.200", "203.0.113.11", "fd66::200", "fd65::11"] {
            comes_to(&two, to(address), Answer::Accepted);
            assert_eq!(tcp(&three, to(address)), Answer::Nothing, "{address}");
        }
        comes_to(&host, to("203.0.113.200"), Answer::Accepted);
        assert_eq!(tcp(&host, "203.0.113.200:23".parse().expect("an address")), Answer::Nothing);
        // Moved, it is another machine's firewall that judges; and 2 may go to 1, not to 3.
        lead(lab, 3);
        comes_to(&host, "203.0.113.200:23".parse().expect("an address"), Answer::Refused);
        assert_eq!(tcp(&two, to("203.0.113.200")), Answer::Nothing);
    });
}
