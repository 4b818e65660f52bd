//! A service inside the namespace knows by which link it is asked.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
};

use dewpoint_network::{LinkKind, linux::Asker};

use crate::{
    lab::{Lab, with_lab},
    probe::{Answer, inside, tcp},
};

const SERVICE: &str = "169.254.169.254:80";

/// Asks from a guest, by the route it has or by an address of its own, and tells who the service takes it for.
fn ask(lab: &Lab, listener: &TcpListener, machine: u64, source: Option<&str>) -> Option<Asker> {
    let guest = lab.guest_name(machine);
    let service: SocketAddr = SERVICE.parse().expect("an address");
    let mut asking = inside(&guest, || match source {
        None => TcpStream::connect(service).expect("the service is reached"),
        Some(device) => {
            lab.guest(machine, &["ip", "route", "replace", "169.254.169.254", "dev", device]);
            TcpStream::connect(service).expect("the service is reached")
        }
    });
    let (mut accepted, _) = listener.accept().expect("a connection");
    let asker = lab.wire().asker(&accepted);
    // Both ways, or what it is told could go to another.
    asking.write_all(b"who am I?").expect("it is sent");
    accepted.read_exact(&mut [0; 9]).expect("it comes");
    accepted.write_all(format!("{asker:?}").as_bytes()).expect("it is sent");
    drop(accepted);
    let mut told = String::new();
    asking.read_to_string(&mut told).expect("it comes");
    assert_eq!(told, format!("{asker:?}"));
    asker
}

#[test]
fn the_metadata_service_tells_machines_apart_that_have_the_same_address() {
    with_lab("the_metadata_service_tells_machines_apart_that_have_the_same_address", |lab| {
        let (one, two) = (lab.vpc(1, "10.1.0.0/24"), lab.vpc(2, "10.1.0.0/24"));
        let mut links = vec![
            lab.link(1, LinkKind::Private(one), "10.1.0.11/24", None),
            lab.link(2, LinkKind::Private(two), "10.1.0.11/24", None),
            lab.link(3, LinkKind::Public, "203.0.113.13/25", None),
            lab.link(3, LinkKind::Private(two), "10.1.0.13/24", None),
        ];
        links.iter().for_each(|link| lab.plug(link));
        lab.apply();
        let listener = lab.wire().listen_inside(SERVICE.parse().expect("an address")).expect("it listens");

        let asker = |machine, kind| Some(Asker { machine, kind });
        for _ in 0..3 {
            assert_eq!(ask(lab, &listener, 1, None), asker(1, LinkKind::Private(one)));
            assert_eq!(ask(lab, &listener, 2, None), asker(2, LinkKind::Private(two)));
            assert_eq!(ask(lab, &listener, 3, None), asker(3, LinkKind::Public));
        }
        // On the link itself, as some guests have a route for 169.254.0.0/16.
        assert_eq!(ask(lab, &listener, 3, Some("eth1")), asker(3, LinkKind::Private(two)));
        assert_eq!(ask(lab, &listener, 3, Some("eth0")), asker(3, LinkKind::Public));
        assert_eq!(ask(lab, &listener, 1, Some("eth1")), asker(1, LinkKind::Private(one)));

        // Neither another port nor another address of the namespace, nor the host's side.
        let guest = lab.guest_name(3);
        for closed in ["169.254.169.254:81", "203.0.113.1:80", "203.0.113.1:22"] {
            assert_eq!(tcp(&guest, closed.parse().expect("an address")), Answer::Nothing, "{closed}");
        }
        lab.host(&["ip", "route", "add", "169.254.169.254", "via", "192.0.2.1"]);
        assert_eq!(tcp(&lab.host_name(), SERVICE.parse().expect("an address")), Answer::Nothing);

        // One that is no longer planned is nobody, though its tap is still there.
        lab.plan.links.retain(|link| link.machine != 1);
        let waiting = inside(&lab.guest_name(1), || TcpStream::connect(SERVICE).expect("the service is reached"));
        let (accepted, _) = listener.accept().expect("a connection");
        lab.apply();
        assert_eq!(lab.wire().asker(&accepted), None);
        drop(waiting);
        assert_eq!(tcp(&lab.guest_name(1), SERVICE.parse().expect("an address")), Answer::Nothing);
        links.clear();
    });
}
