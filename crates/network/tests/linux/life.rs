//! Making, finding again, failing and taking down.

use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::Command,
};

use dewpoint_network::{
    Firewall, LinkKind, Peers, Protocol, Rule,
    linux::{Error, Removed, Tools, Wire, down},
};
use uuid::Uuid;

use crate::{
    lab::{Lab, wait_until, with_lab},
    probe::{comes_to_ping, comes_to_reach, reaches, udp},
};

fn two(lab: &mut Lab) {
    for machine in 1..=2 {
        let link = lab.link(machine, LinkKind::Public, &format!("203.0.113.{}/25", 10 + machine), None);
        lab.plug(&link);
    }
    lab.apply();
    comes_to_reach(&lab.guest_name(1), "203.0.113.12");
}

fn closed(machine: u64) -> Firewall {
    let (inbound, outbound) = (Vec::new(), Vec::new());
    Firewall { id: Uuid::from_u128(1), name: "closed".into(), machines: [machine].into(), inbound, outbound }
}

/// A program of these lines. A child writes it: another test's child may hold on to what is open here, and what is open for
/// writing cannot be run.
fn script(directory: &Path, lines: &str) -> PathBuf {
    let path = directory.join("program");
    let write = "printf '#!/bin/sh\\n%s' \"$1\" > \"$2\" && chmod 755 \"$2\"";
    let status = Command::new("sh").args(["-c", write, "sh", lines]).arg(&path).status();
    assert!(status.expect("it runs").success());
    path
}

/// Everything that there is, as a person would see it, but for what changes by itself a moment after a device is up.
fn seen(lab: &Lab) -> String {
    let addresses = lab.installation(&["ip", "-o", "address"]);
    let addresses: String =
        addresses.lines().filter(|line| !line.contains(" fe80:")).map(|line| format!("{line}\n")).collect();
    let rules = lab.installation(&["ip", "rule"]) + &lab.installation(&["ip", "route", "show", "table", "all"]);
    let shown = addresses + &rules + &lab.installation(&["nft", "list", "ruleset"]) + &lab.host(&["ip", "route"]);
    let stays = |word: &&str| !["tentative", "linkdown"].contains(word);
    let words = |line: &str| line.split_whitespace().filter(stays).collect::<Vec<_>>().join(" ") + "\n";
    let ports = lab.installation(&["bridge", "link"]);
    let on = |line: &str| {
        let mut words = line.split_whitespace();
        let port = words.nth(1).unwrap_or_default().to_owned();
        format!("{port} on {}\n", words.skip_while(|word| *word != "master").nth(1).unwrap_or_default())
    };
    shown.lines().map(words).chain(ports.lines().map(on)).collect()
}

#[test]
fn the_same_plan_again_changes_nothing_also_after_a_restart() {
    with_lab("the_same_plan_again_changes_nothing_also_after_a_restart", |lab| {
        let vpc = lab.vpc(1, "10.1.0.0/24");
        let other = lab.vpc(2, "10.2.0.0/24");
        lab.plan.peerings.push(dewpoint_network::Peering { id: Uuid::from_u128(3), between: (vpc, other) });
        let link = lab.link(7, LinkKind::Private(vpc), "10.1.0.17/24", None);
        lab.plan.firewalls.push(closed(7));
        let tap = lab.wire().tap(7, link.kind).expect("a tap");
        two(lab);
        let before = seen(lab);
        lab.apply();
        assert_eq!(seen(lab), before);
        lab.restart();
        assert_eq!(seen(lab), before, "a server that starts takes nothing away");
        lab.apply();
        assert_eq!(seen(lab), before);
        let nothing =
            lab.wire().inside(|| assert!(std::env::args().count() == 0, "a panic inside, as the test wants it"));
        assert!(nothing.is_err());
        lab.apply();
        assert!(matches!(lab.wire().tap(7, link.kind), Err(Error::Taken(_))), "the machine has it");
        drop(tap);
        // A child that another test starts may hold it for as long as it takes to become another program.
        wait_until("it is free", || lab.wire().tap(7, link.kind).is_ok());
        // What is no longer planned goes, whatever it was.
        lab.plan = dewpoint_network::Plan::default();
        lab.apply();
        let devices = lab.installation(&["ip", "-o", "link"]);
        assert!(!devices.contains("vpc-") && !devices.contains("master"), "{devices}");
        assert!(!lab.installation(&["ip", "rule"]).contains("lookup 6"));
    });
}

#[test]
fn while_rulesets_are_exchanged_traffic_goes_on_and_nothing_slips_through() {
    with_lab("while_rulesets_are_exchanged_traffic_goes_on_and_nothing_slips_through", |lab| {
        two(lab);
        const ROUNDS: usize = 15;
        // Guarded and open in turn, and always with a rule for the datagrams to port 7; guarded all the time against others.
        let peers = Peers { networks: vec!["0.0.0.0/0".parse().expect("a network")], ..Peers::default() };
        let mut wall = closed(2);
        wall.inbound.push(Rule { protocol: Protocol::Udp, ports: Some(7..=7), peers });
        let (from, to) = (udp(&lab.guest_name(1), "203.0.113.11:0"), udp(&lab.guest_name(2), "203.0.113.12:7"));
        from.connect("203.0.113.12:7").expect("an address");
        let (knocks, closed_door) =
            (udp(&lab.guest_name(1), "203.0.113.11:0"), udp(&lab.guest_name(2), "203.0.113.12:8"));
        knocks.connect("203.0.113.12:8").expect("an address");
        closed_door.set_nonblocking(true).expect("a setting");
        let mut other = lab.plan.clone();
        wall.machines.insert(2);
        other.firewalls.push(wall);
        let mut plan = other.clone();
        plan.firewalls[0].machines.insert(1);
        plan.firewalls[0].outbound = plan.firewalls[0].inbound.clone();
        lab.plan = plan.clone();
        lab.apply();
        let wire = lab.wire.take().expect("it is up");
        let applies = std::thread::spawn(move || {
            for _ in 0..ROUNDS {
                wire.apply(&other).expect("it is made real");
                wire.apply(&plan).expect("it is made real");
            }
            wire
        });
        let (mut sent, mut lost) = (0, 0);
        while !applies.is_finished() {
            knocks.send(b"?").expect("it is sent");
            from.send(b"?").expect("it is sent");
            lost += usize::from(to.recv(&mut [0; 1]).is_err());
            sent += 1;
        }
        lab.wire = Some(applies.join().expect("plans were made real"));
        assert!(closed_door.recv(&mut [0; 1]).is_err(), "one of {sent} slipped through");
        // One at a time is under way, so each exchange can lose one: that which is between two rules just then.
        assert!(sent > 10 * ROUNDS && lost <= 2 * ROUNDS, "{lost} of {sent} were lost");
    });
}

#[test]
fn rules_stay_in_force_where_nft_fails_or_is_missing() {
    with_lab("rules_stay_in_force_where_nft_fails_or_is_missing", |lab| {
        two(lab);
        let [one, two] = [1, 2].map(|machine| lab.guest_name(machine));
        lab.plan.firewalls.push(closed(2));
        lab.apply();
        assert!(!reaches(&one, "203.0.113.12"));
        let rules = lab.installation(&["nft", "list", "ruleset"]);

        // It takes half of what it is given, as it would for a ruleset that the kernel refuses in its middle.
        let directory = tempfile::tempdir().expect("a directory");
        let broken = script(
            directory.path(),
            "[ \"$1\" = list ] && exec nft \"$@\"\n(head -c 900; echo nonsense) | exec nft -f -\n",
        );
        let good = lab.config.clone();
        let mut open = lab.plan.clone();
        open.firewalls.clear();
        lab.config.tools.nft = broken;
        lab.restart();
        let error = lab.wire().apply(&open).expect_err("it fails");
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains("the one before it stays in force"), "{error}");
        assert_eq!(lab.installation(&["nft", "list", "ruleset"]), rules);
        assert!(!reaches(&one, "203.0.113.12"), "still guarded");

        lab.wire = None;
        lab.config.tools.nft = "/nonexistent/nft".into();
        let error = Wire::open(lab.config.clone()).expect_err("it is missing");
        assert!(error.to_string().contains("apt-get install nftables"), "{error}");
        assert_eq!(lab.installation(&["nft", "list", "ruleset"]), rules);

        lab.config = good;
        lab.restart();
        lab.wire().apply(&open).expect("it works again");
        comes_to_reach(&one, "203.0.113.12");
        drop(two);
    });
}

#[test]
fn a_plan_that_contradicts_itself_is_refused_whole() {
    with_lab("a_plan_that_contradicts_itself_is_refused_whole", |lab| {
        two(lab);
        let before = seen(lab);
        let refused = |lab: &mut Lab, what: &str, change: &dyn Fn(&mut Lab)| {
            let good = lab.plan.clone();
            change(lab);
            let error = lab.wire().apply(&lab.plan).expect_err(what).to_string();
            assert!(error.contains(what), "{error}");
            lab.plan = good;
        };
        refused(lab, "no VPC's", &|lab| {
            lab.link(3, LinkKind::Private(Uuid::from_u128(8)), "10.0.0.3/24", None);
        });
        refused(lab, "t1-pub would be on", &|lab| {
            lab.link(1, LinkKind::Public, "203.0.113.13/25", None);
        });
        refused(lab, "overlap", &|lab| {
            let (one, two) = (lab.vpc(1, "10.1.0.0/16"), lab.vpc(2, "10.1.2.0/24"));
            lab.plan.peerings.push(dewpoint_network::Peering { id: Uuid::from_u128(3), between: (one, two) });
        });
        refused(lab, "not there", &|lab| {
            let one = lab.vpc(1, "10.1.0.0/16");
            let between = (one, Uuid::from_u128(8));
            lab.plan.peerings.push(dewpoint_network::Peering { id: Uuid::from_u128(3), between });
        });
        assert_eq!(seen(lab), before);
    });
}

#[test]
fn taken_down_nothing_is_left_and_machines_that_run_are_cut_off() {
    with_lab("taken_down_nothing_is_left_and_machines_that_run_are_cut_off", |lab| {
        two(lab);
        let name = lab.name().to_owned();
        let link = lab.link(7, LinkKind::Public, "203.0.113.17/25", None);
        let tap = lab.wire().tap(7, link.kind).expect("a tap");
        lab.apply();
        let removed = lab.wire().down().expect("it is taken down");
        assert_eq!(removed, Removed { taps: vec!["t7-pub".into()] });
        assert!(!Path::new("/run/netns").join(&name).exists());
        let host = lab.host(&["ip", "-o", "address"]) + &lab.host(&["ip", "route"]) + &lab.host(&["ip", "-6", "route"]);
        assert!(!host.contains("dew0"), "{host}");
        // The machine's file is open, and leads nowhere.
        let mut tap = fs::File::from(tap);
        assert!(tap.write_all(&[0; 64]).is_err() && tap.read(&mut [0; 64]).is_err());
        assert!(matches!(lab.wire().apply(&lab.plan), Err(Error::Down(_))));
        assert_eq!(down(&Tools::default(), &name).expect("it is fine"), None);
        // And up again.
        lab.restart();
        lab.apply();
        comes_to_ping(&lab.host_name(), "203.0.113.1");
    });
}

#[test]
fn what_a_crash_left_is_taken_down_or_used() {
    with_lab("what_a_crash_left_is_taken_down_or_used", |lab| {
        let name = lab.name().to_owned();
        let path = Path::new("/run/netns").join(&name);
        lab.wire = None;
        // A name without its namespace.
        down(&Tools::default(), &name).expect("it is taken down");
        fs::write(&path, "").expect("a file");
        assert_eq!(down(&Tools::default(), &name).expect("it is taken down"), None);
        assert!(!path.exists());
        fs::write(&path, "").expect("a file");
        lab.restart();
        // Half of it is gone: the pair of devices, the public bridge, the ruleset.
        for line in
            [&["ip", "link", "del", "uplink"][..], &["ip", "link", "del", "public"], &["nft", "flush", "ruleset"]]
        {
            lab.installation(line);
            lab.restart();
            lab.apply();
            comes_to_ping(&lab.host_name(), "203.0.113.1");
        }
        // Somebody else's device and route are left alone.
        lab.wire = None;
        down(&Tools::default(), &name).expect("it is taken down");
        lab.host(&["ip", "link", "add", "name", "dew0", "type", "bridge"]);
        let error = Wire::open(lab.config.clone()).expect_err("it is taken").to_string();
        assert!(error.contains("dew0 that is not"), "{error}");
        lab.host(&["ip", "link", "set", "dew0", "name", "lan0", "up"]);
        lab.host(&["ip", "route", "add", "203.0.113.0/25", "dev", "lan0"]);
        let error = Wire::open(lab.config.clone()).expect_err("it is taken").to_string();
        assert!(error.contains("by lan0"), "{error}");
        lab.host(&["ip", "route", "del", "203.0.113.0/25", "dev", "lan0"]);
        lab.host(&["ip", "-6", "route", "add", "fd65::/64", "dev", "lan0"]);
        let error = Wire::open(lab.config.clone()).expect_err("it is taken").to_string();
        assert!(error.contains("fd65::/64 already, by lan0"), "{error}");
        lab.host(&["ip", "link", "del", "lan0"]);
        lab.restart();
    });
}

#[test]
fn a_tap_that_goes_while_it_is_looked_at_is_no_error() {
    with_lab("a_tap_that_goes_while_it_is_looked_at_is_no_error", |lab| {
        two(lab);
        let directory = tempfile::tempdir().expect("a directory");
        // Just before it is told to do something with the tap, the tap is gone, as when its QEMU is killed.
        let meanwhile = script(
            directory.path(),
            "script=$(cat)\ncase $script in *'dev t7-pub'*) ip link del t7-pub ;; esac\nprintf '%s\\n' \"$script\" | exec ip \"$@\"\n",
        );
        let kind = LinkKind::Public;
        let taken_off = lab.wire().tap(7, kind).expect("a tap");
        lab.config.tools.ip = meanwhile;
        lab.restart();
        lab.apply();
        assert!(!lab.installation(&["ip", "-o", "link"]).contains("t7-pub"));
        drop(taken_off);

        let name = lab.name().to_owned();
        lab.wire = None;
        let mut plain = lab.config.clone();
        plain.tools = Tools::default();
        let cut_off = Wire::open(plain).expect("it is found").tap(7, kind).expect("a tap");
        let removed = down(&lab.config.tools, &name).expect("it is taken down");
        assert_eq!(removed, Some(Removed { taps: vec!["t7-pub".into()] }));
        assert!(!Path::new("/run/netns").join(&name).exists());
        drop(cut_off);
    });
}
