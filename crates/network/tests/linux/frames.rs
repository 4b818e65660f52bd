//! What a guest may send, frame by frame: the test holds the taps as QEMU would.

use std::{
    fs::File,
    io::{ErrorKind, Read, Write},
    os::fd::OwnedFd,
};

use dewpoint_network::{Firewall, Link, LinkKind};
use uuid::Uuid;

use crate::lab::{Lab, wait_until, with_lab};

/// Of virtio, before each frame; nothing in it is asked for.
const HEADER: usize = 10;

/// One end of a cable to a machine's link.
struct Port {
    file: File,
    link: Link,
}

impl Port {
    fn new(lab: &Lab, link: &Link) -> Self {
        let tap: OwnedFd = lab.wire().tap(link.machine, link.kind).expect("a tap");
        Self { file: tap.into(), link: link.clone() }
    }

    fn send(&mut self, frame: &[u8]) {
        let mut whole = vec![0; HEADER];
        whole.extend_from_slice(frame);
        wait_until("the tap is up", || match self.file.write(&whole) {
            Ok(written) => written == whole.len(),
            Err(error) if error.raw_os_error() == Some(nix::libc::EIO) => false,
            Err(error) => panic!("{error}"),
        });
    }

    /// All frames of other machines up to one that holds `last`.
    fn until(&mut self, last: &[u8]) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut buffer = [0; 4096];
        wait_until("the last frame comes", || match self.file.read(&mut buffer) {
            // The bridge speaks for itself now and then.
            Ok(length) if buffer[HEADER + 6..].starts_with(&[6, 3]) => {
                assert!(!holds(&buffer[HEADER..length], MARK));
                false
            }
            Ok(length) => {
                frames.push(buffer[HEADER..length].to_vec());
                holds(&buffer[HEADER..length], last)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => panic!("{error}"),
        });
        frames
    }

    fn ipv4(&self) -> [u8; 4] {
        self.link.ipv4.expect("an address").addr().octets()
    }

    fn ipv6(&self) -> [u8; 16] {
        self.link.ipv6.expect("an address").addr().octets()
    }
}

fn holds(frame: &[u8], what: &[u8]) -> bool {
    frame.windows(what.len()).any(|window| window == what)
}

const ALL: [u8; 6] = [0xff; 6];

fn ether(to: [u8; 6], from: [u8; 6], kind: u16, rest: &[u8]) -> Vec<u8> {
    [&to[..], &from[..], &kind.to_be_bytes()[..], rest].concat()
}

fn arp(operation: u8, sender: ([u8; 6], [u8; 4]), target: [u8; 4]) -> Vec<u8> {
    [&[0, 1, 8, 0, 6, 4, 0, operation][..], &sender.0, &sender.1, &[0; 6], &target].concat()
}

/// A datagram; the checksum of UDP may be left out.
fn udp4(from: [u8; 4], to: [u8; 4], ports: (u16, u16), data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(28 + data.len()).expect("short").to_be_bytes();
    let mut head = [
        0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, 17, 0, 0, from[0], from[1], from[2], from[3], to[0], to[1],
        to[2], to[3],
    ];
    let sum: u32 = head.chunks(2).map(|two| u32::from(u16::from_be_bytes([two[0], two[1]]))).sum();
    let folded = u16::try_from((sum & 0xffff) + (sum >> 16)).map_or(1, |sum| sum);
    head[10..12].copy_from_slice(&(!folded).to_be_bytes());
    let length = u16::try_from(8 + data.len()).expect("short").to_be_bytes();
    [&head[..], &ports.0.to_be_bytes(), &ports.1.to_be_bytes(), &length, &[0, 0], data].concat()
}

fn ipv6(from: [u8; 16], to: [u8; 16], next: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
    [&[0x60, 0, 0, 0, length[0], length[1], next, 255][..], &from, &to, rest].concat()
}

/// A neighbour solicitation (135), advertisement (136) or another message of their shape. Its checksum is for the receiver.
fn neighbour(kind: u8, target: [u8; 16]) -> Vec<u8> {
    [&[kind, 0, 0, 0, 0, 0, 0, 0][..], &target].concat()
}

/// Two machines on the public network.
fn two(lab: &mut Lab) -> (Port, Port) {
    let one = lab.link(1, LinkKind::Public, "203.0.113.11/25", Some("fd65::11/64"));
    let two = lab.link(2, LinkKind::Public, "203.0.113.12/25", Some("fd65::12/64"));
    lab.apply();
    (Port::new(lab, &one), Port::new(lab, &two))
}

/// A frame that is certainly let through, and ends what is looked at.
fn end(from: &Port) -> Vec<u8> {
    ether(ALL, from.link.mac, 0x0806, &arp(1, (from.link.mac, from.ipv4()), [203, 0, 113, 99]))
}

const MARK: &[u8] = b"here it is";

#[test]
fn a_machine_sends_as_itself_alone() {
    with_lab("a_machine_sends_as_itself_alone", |lab| {
        let (mut a, mut b) = two(lab);
        let (mac, own4, own6) = (a.link.mac, a.ipv4(), a.ipv6());
        let (mac_b, b4, b6) = (b.link.mac, b.ipv4(), b.ipv6());
        let local: [u8; 16] = "fe80::401:ff:fe00:1".parse::<std::net::Ipv6Addr>().expect("an address").octets();
        let all6: [u8; 16] = "ff02::1".parse::<std::net::Ipv6Addr>().expect("an address").octets();
        let udp6 = [&[0, 9, 0, 9, 0, 18, 0, 0][..], MARK].concat();
        let stranger = [6, 1, 0, 0, 0, 99];

        let good: Vec<(&str, Vec<u8>)> = vec![
            ("a datagram", ether(mac_b, mac, 0x0800, &udp4(own4, b4, (9, 9), MARK))),
            ("an ARP request", ether(ALL, mac, 0x0806, &arp(1, (mac, own4), b4))),
            ("an ARP answer", ether(mac_b, mac, 0x0806, &arp(2, (mac, own4), b4))),
            ("an ARP probe for itself", ether(ALL, mac, 0x0806, &arp(1, (mac, [0; 4]), own4))),
            ("a datagram of IPv6", ether(mac_b, mac, 0x86dd, &ipv6(own6, b6, 17, &udp6))),
            ("one from its link-local address", ether(mac_b, mac, 0x86dd, &ipv6(local, b6, 17, &udp6))),
            ("a solicitation", ether(mac_b, mac, 0x86dd, &ipv6(own6, b6, 58, &neighbour(135, b6)))),
            ("an advertisement of itself", ether(mac_b, mac, 0x86dd, &ipv6(own6, b6, 58, &neighbour(136, own6)))),
            ("a probe for itself", ether(ALL, mac, 0x86dd, &ipv6([0; 16], all6, 58, &neighbour(135, own6)))),
        ];
        for (what, frame) in &good {
            a.send(frame);
            let seen = b.until(&frame[14..]);
            assert_eq!(seen.last(), Some(frame), "{what} comes unchanged");
        }

        let bad: Vec<(&str, Vec<u8>)> = vec![
            ("another MAC address", ether(mac_b, stranger, 0x0800, &udp4(own4, b4, (9, 9), MARK))),
            ("the receiver's MAC address", ether(mac_b, mac_b, 0x0800, &udp4(own4, b4, (9, 9), MARK))),
            ("another address", ether(mac_b, mac, 0x0800, &udp4([203, 0, 113, 77], b4, (9, 9), MARK))),
            ("the gateway's address", ether(mac_b, mac, 0x0800, &udp4([203, 0, 113, 1], b4, (9, 9), MARK))),
            ("no address", ether(ALL, mac, 0x0800, &udp4([0; 4], [255; 4], (68, 67), MARK))),
            ("a DHCP server", ether(mac_b, mac, 0x0800, &udp4(own4, b4, (67, 68), MARK))),
            ("ARP for another", ether(mac_b, mac, 0x0806, &arp(2, (mac, [203, 0, 113, 1]), b4))),
            ("ARP with another MAC address", ether(mac_b, mac, 0x0806, &arp(2, (stranger, own4), b4))),
            ("an ARP probe for another", ether(ALL, mac, 0x0806, &arp(1, (mac, [0; 4]), b4))),
            ("another address of IPv6", ether(mac_b, mac, 0x86dd, &ipv6(b6, b6, 17, &udp6))),
            ("an advertisement of another", ether(mac_b, mac, 0x86dd, &ipv6(own6, b6, 58, &neighbour(136, b6)))),
            ("a probe for another", ether(ALL, mac, 0x86dd, &ipv6([0; 16], all6, 58, &neighbour(135, b6)))),
            ("a router's advertisement", ether(ALL, mac, 0x86dd, &ipv6(local, all6, 58, &neighbour(134, own6)))),
            ("a redirect", ether(mac_b, mac, 0x86dd, &ipv6(local, b6, 58, &neighbour(137, own6)))),
            (
                "a DHCPv6 server",
                ether(mac_b, mac, 0x86dd, &ipv6(own6, b6, 17, &[&[2, 35, 2, 34, 0, 18, 0, 0][..], MARK].concat())),
            ),
            ("a tagged frame", ether(mac_b, mac, 0x8100, &[&[0, 5, 8, 0][..], &udp4(own4, b4, (9, 9), MARK)].concat())),
            (
                "a twice tagged frame",
                ether(mac_b, mac, 0x88a8, &[&[0, 5, 0x81, 0, 0, 6, 8, 0][..], &udp4(own4, b4, (9, 9), MARK)].concat()),
            ),
            ("another protocol", ether(mac_b, mac, 0x88b5, MARK)),
            ("a switch's own protocol", ether([1, 0x80, 0xc2, 0, 0, 0], mac, 0x0027, MARK)),
        ];
        for (_, frame) in &bad {
            a.send(frame);
        }
        a.send(&end(&a));
        let seen = b.until(&end(&a)[14..]);
        for (what, frame) in &bad {
            // What is tagged loses its tag on some ways: nothing of it may come.
            let lost = seen.iter().all(|seen| seen != frame && !holds(seen, MARK));
            assert!(lost, "{what} came through");
        }
        assert_eq!(seen.len(), 1, "{seen:02x?}");
        // Nor did the bridge learn an address of theirs.
        let learned = lab.installation(&["bridge", "fdb", "show", "dev", "t1-pub"]);
        assert!(!learned.contains("06:01:00:00:00:63"), "{learned}");
        let foreign = learned.lines().any(|line| line.starts_with("06:01:00:00:00:02"));
        assert!(!foreign, "{learned}");
    });
}

#[test]
fn a_tap_that_is_not_planned_sends_nothing() {
    with_lab("a_tap_that_is_not_planned_sends_nothing", |lab| {
        let (mut a, mut b) = two(lab);
        lab.plan.links.retain(|link| link.machine != 1);
        lab.apply();
        // Off its bridge, and not on it again by a plan that lacks it.
        let (frame, last) = (end(&a), end(&b));
        a.send(&frame);
        let mut third = {
            let link = lab.link(3, LinkKind::Public, "203.0.113.13/25", None);
            lab.apply();
            Port::new(lab, &link)
        };
        b.send(&last);
        assert!(third.until(&last[14..]).iter().all(|seen| *seen != frame));
        // Planned again, its tap is used where it is.
        lab.plan.links.push(a.link.clone());
        lab.apply();
        a.send(&frame);
        assert_eq!(third.until(&frame[14..]).last(), Some(&frame));
    });
}

#[test]
fn a_guarded_machine_hears_no_broadcast_but_what_finds_it() {
    with_lab("a_guarded_machine_hears_no_broadcast_but_what_finds_it", |lab| {
        let (mut a, mut b) = two(lab);
        let firewall = Firewall {
            id: Uuid::from_u128(1),
            name: "closed".into(),
            machines: [2].into(),
            inbound: Vec::new(),
            outbound: Vec::new(),
        };
        lab.plan.firewalls.push(firewall);
        lab.apply();
        let (mac, own4, own6) = (a.link.mac, a.ipv4(), a.ipv6());
        let (mac_b, b4, b6) = (b.link.mac, b.ipv4(), b.ipv6());
        let all6: [u8; 16] = "ff02::1".parse::<std::net::Ipv6Addr>().expect("an address").octets();
        let udp6 = [&[0, 9, 0, 9, 0, 18, 0, 0][..], MARK].concat();
        for frame in [
            ether(ALL, mac, 0x0800, &udp4(own4, [255; 4], (9, 9), MARK)),
            ether(ALL, mac, 0x0800, &udp4(own4, [203, 0, 113, 127], (9, 9), MARK)),
            ether([1, 0, 0x5e, 0, 0, 251], mac, 0x0800, &udp4(own4, [224, 0, 0, 251], (9, 9), MARK)),
            ether([0x33, 0x33, 0, 0, 0, 1], mac, 0x86dd, &ipv6(own6, all6, 17, &udp6)),
            // To its MAC address, but for an address that no rule could name.
            ether(mac_b, mac, 0x0800, &udp4(own4, [203, 0, 113, 127], (9, 9), MARK)),
            ether(mac_b, mac, 0x0800, &udp4(own4, [203, 0, 113, 77], (9, 9), MARK)),
            ether(mac_b, mac, 0x86dd, &ipv6(own6, all6, 17, &udp6)),
            // And what the firewall itself drops.
            ether(mac_b, mac, 0x0800, &udp4(own4, b4, (9, 9), MARK)),
            ether(mac_b, mac, 0x86dd, &ipv6(own6, b6, 17, &udp6)),
        ] {
            a.send(&frame);
        }
        a.send(&end(&a));
        assert_eq!(b.until(&end(&a)[14..]), [end(&a)], "ARP alone comes");
        let solicited = ether([0x33, 0x33, 0xff, 0, 0, 0x12], mac, 0x86dd, &ipv6(own6, b6, 58, &neighbour(135, b6)));
        a.send(&solicited);
        assert_eq!(b.until(&solicited[14..]), [solicited]);
    });
}
