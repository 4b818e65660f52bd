//! The commands that lead from what is there to what is wanted.

use super::*;
use crate::{
    Firewall, Link, Peering,
    linux::observed::{Device, Rule},
};

const RED: Uuid = Uuid::from_u128(0xaaaa_aaaa_aaaa_aaaa_aaaa_aaaa_aaaa_aaab);
const BLUE: Uuid = Uuid::from_u128(0xbbbb_bbbb_bbbb_bbbb_bbbb_bbbb_bbbb_bbba);

fn plan() -> Plan {
    let vpc =
        |id, range: &str, gateway: [u8; 4]| Vpc { id, range: range.parse().expect("a range"), gateway: gateway.into() };
    let link = |machine, kind| Link { machine, kind, mac: [6, 1, 0, 0, 0, 1], ipv4: None, ipv6: None };
    Plan {
        vpcs: vec![vpc(RED, "10.1.0.0/20", [10, 1, 0, 1]), vpc(BLUE, "10.2.0.0/20", [10, 2, 0, 1])],
        peerings: vec![Peering { id: Uuid::from_u128(5), between: (RED, BLUE) }],
        links: vec![link(7, LinkKind::Public), link(7, LinkKind::Private(RED))],
        ..Plan::default()
    }
}

fn wanted(plan: &Plan) -> Wanted {
    Wanted::new(&WireConfig::example(), plan).expect("it can be made")
}

/// What the kernel shows after these commands, as far as they are understood here.
fn after(mut there: Observed, lines: &[String]) -> Observed {
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["link", "add", "name", name, ..] => {
                there.devices.insert(name.into(), Device { kind: "bridge".into(), ..Device::default() });
            }
            ["link", "del", "dev", name] => drop(there.devices.remove(name)),
            ["link", "set", "dev", name, "up"] => there.devices.get_mut(name).expect("it is there").is_up = true,
            ["link", "set", "dev", name, "nomaster"] => there.devices.get_mut(name).expect("it is there").master = None,
            ["link", "set", "dev", name, "master", master, "up"] => {
                let device = there.devices.get_mut(name).expect("it is there");
                (device.master, device.is_up) = (Some(master.into()), true);
            }
            ["link", "set", "dev", name, "type", "bridge", "nf_call_iptables", is, ..] => {
                there.devices.get_mut(name).expect("it is there").is_guarded = is == "1";
            }
            ["address", "add", address, "dev", name, ..] => {
                there.devices.get_mut(name).expect("it is there").addresses.push(address.parse().expect("an address"));
            }
            ["address", "del", address, "dev", name] => {
                let gone: IpNet = address.parse().expect("an address");
                there.devices.get_mut(name).expect("it is there").addresses.retain(|address| *address != gone);
            }
            ["rule", "add", "priority", priority, ref rest @ ..] => there.rules.push(Rule {
                priority: priority.parse().expect("a number"),
                fwmark: rest.iter().skip_while(|word| **word != "fwmark").nth(1).map(|mark| (*mark).to_owned()),
                table: rest.iter().skip_while(|word| **word != "lookup").nth(1).map(|table| (*table).to_owned()),
            }),
            ["rule", "del", "priority", "0"] => there.rules.retain(|rule| rule.priority != 0),
            ["rule", "del", "priority", _, "fwmark", mark, ..] => {
                there.rules.retain(|rule| rule.fwmark.as_deref() != Some(mark));
            }
            ["route", what, kind, dst, ref rest @ ..] => {
                let word =
                    |name: &str| rest.iter().skip_while(|word| **word != name).nth(1).map(|word| (*word).to_owned());
                let table = word("table").expect("a table");
                there.routes.retain(|route| (&route.dst, &route.table) != (&dst.to_owned(), &table));
                if what == "replace" {
                    there.routes.push(Route { kind: kind.into(), dst: dst.into(), dev: word("dev"), table });
                }
            }
            _ => panic!("{line}"),
        }
    }
    there
}

fn made(there: Observed, plan: &Plan) -> Observed {
    let steps = wanted(plan).steps(&there);
    after(after(there, &steps.before), &steps.after)
}

fn fresh() -> Observed {
    let rules = vec![Rule { priority: 0, table: Some("local".into()), ..Rule::default() }];
    let kernel = Route { kind: "local".into(), dst: "127.0.0.1".into(), dev: Some("lo".into()), table: "local".into() };
    Observed { rules, routes: vec![kernel], devices: [("lo".into(), Device::default())].into() }
}

#[test]
fn from_nothing_everything_is_made_and_then_nothing_is_left_to_do() {
    let there = made(fresh(), &plan());
    assert_eq!(wanted(&plan()).steps(&there), Steps::default());
    let red = &there.devices["vpc-aaaaaaaaaaa"];
    let addresses: Vec<String> = red.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.1.0.1/20", "169.254.169.254/32"]);
    assert_eq!(there.devices["public"].addresses.len(), 3);
    // Each VPC knows itself and its peer, and nothing else.
    let mut routes: Vec<String> = there.routes.iter().map(|route| format!("{} {}", route.kind, route.dst)).collect();
    routes.sort();
    routes.dedup();
    assert_eq!(
        routes,
        [
            "local 10.1.0.1",
            "local 10.2.0.1",
            "local 127.0.0.1",
            "local 169.254.169.254",
            "unicast 10.1.0.0/20",
            "unicast 10.2.0.0/20",
            "unreachable default",
        ]
    );
}

#[test]
fn taps_are_put_on_their_bridge_when_they_appear_and_strangers_are_taken_off() {
    let mut there = made(fresh(), &plan());
    let tap =
        |master: Option<&str>| Device { kind: "tun".into(), master: master.map(str::to_owned), ..Device::default() };
    there.devices.insert("t7-vpc".into(), tap(None));
    there.devices.insert("t7-pub".into(), tap(Some("vpc-bbbbbbbbbbb")));
    there.devices.insert("t9-pub".into(), tap(Some("public")));
    let steps = wanted(&plan()).steps(&there);
    assert_eq!(steps.before, ["link set dev t7-pub master public up", "link set dev t7-vpc master vpc-aaaaaaaaaaa up"]);
    assert_eq!(steps.after, ["link set dev t9-pub nomaster"]);
    let there = made(there, &plan());
    assert_eq!(wanted(&plan()).steps(&there), Steps::default());
}

#[test]
fn bridges_are_shown_to_the_firewall_before_its_rules_and_hidden_after_them() {
    let there = made(fresh(), &plan());
    let mut guarded = plan();
    guarded.firewalls.push(Firewall {
        id: Uuid::from_u128(1),
        name: "wall".into(),
        machines: [7].into(),
        inbound: Vec::new(),
        outbound: Vec::new(),
    });
    let steps = wanted(&guarded).steps(&there);
    let shown = |is: u8| {
        ["public", "vpc-aaaaaaaaaaa"]
            .map(|name| format!("link set dev {name} type bridge nf_call_iptables {is} nf_call_ip6tables {is}"))
    };
    assert_eq!((steps.before, steps.after), (shown(1).to_vec(), Vec::new()));
    let there = made(there, &guarded);
    let steps = wanted(&plan()).steps(&there);
    assert_eq!((steps.before, steps.after), (Vec::new(), shown(0).to_vec()));
}

#[test]
fn what_is_not_wanted_goes_after_the_rules_and_others_stay() {
    let there = made(fresh(), &plan());
    let mut less = plan();
    less.peerings.clear();
    let without_peering = wanted(&less).steps(&there);
    assert_eq!(without_peering.before, Vec::<String>::new());
    assert_eq!(without_peering.after.len(), 4, "{without_peering:?}");
    assert!(without_peering.after.iter().all(|line| line.starts_with("route del ")));
    less.vpcs.remove(1);
    let there = made(there, &less);
    assert_eq!(wanted(&less).steps(&there), Steps::default());
    assert!(!there.devices.contains_key("vpc-bbbbbbbbbbb"));
    assert!(there.routes.iter().all(|route| !route.dst.starts_with("10.2.")));
    assert_eq!(there.rules.iter().filter(|rule| rule.priority == VPCS).count(), 1);
}

#[test]
fn a_changed_range_moves_the_gateway() {
    let there = made(fresh(), &plan());
    let mut moved = plan();
    moved.peerings.clear();
    moved.vpcs[1].range = "10.9.0.0/24".parse().expect("a range");
    moved.vpcs[1].gateway = [10, 9, 0, 1].into();
    let there = made(there, &moved);
    assert_eq!(wanted(&moved).steps(&there), Steps::default());
    let addresses = &there.devices["vpc-bbbbbbbbbbb"].addresses;
    assert!(addresses.contains(&"10.9.0.1/24".parse().expect("an address")) && addresses.len() == 2, "{addresses:?}");
}
