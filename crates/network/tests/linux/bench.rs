//! How fast: a bridge with our rules beside one made by hand, and large rulesets. `make bench-net` runs it.

use std::{
    fmt::Write,
    net::Ipv4Addr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use dewpoint_network::{Firewall, LinkKind, Peers, Plan, Protocol, Rule};
use uuid::Uuid;

use crate::{
    lab::{Lab, wait_until, with_lab},
    probe::{Answer, comes_to_reach, inside, tcp},
};

/// Of each kind, one after the other and round again.
const RUNS: usize = 7;

/// For how long each run sends.
const SECONDS: &str = "3";

/// An iperf3 server that ends with the value.
struct Server(Child);

impl Server {
    fn start(namespace: &str, address: &str) -> Self {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace, "iperf3", "--server", "--bind", address]);
        let server = Self(
            command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("iperf3 is installed: scripts/install.sh bench-net"),
        );
        let to = format!("{address}:5201").parse().expect("an address");
        wait_until("iperf3 listens", || tcp(namespace, to) == Answer::Accepted);
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which is told by the run that misses it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Gigabits a second.
fn run(from: &str, to: &str) -> f64 {
    let mut client = Command::new("ip");
    client.args(["netns", "exec", from, "iperf3", "--client", to, "--time", SECONDS, "--json"]);
    let output = client.output().expect("iperf3 is installed");
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let bits = shown["end"]["sum_received"]["bits_per_second"].as_f64();
    bits.unwrap_or_else(|| panic!("{shown}")) / 1e9
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Two namespaces on a bridge in a third one, where there is no rule. It is not shown to any firewall either, as ours without
/// firewalls: so it is as fast as one by hand can be.
fn by_hand(lab: &mut Lab) -> [String; 2] {
    lab.add_guest(100);
    let bridge = ["ip", "link", "add", "name", "hand", "type", "bridge", "stp_state", "0", "mcast_snooping", "0"];
    lab.guest(100, &bridge);
    inside(&lab.guest_name(100), || {
        for family in ["iptables", "ip6tables"] {
            std::fs::write(format!("/proc/sys/net/bridge/bridge-nf-call-{family}"), "0")
                .expect("br_netfilter is there");
        }
    });
    lab.guest(100, &["ip", "link", "set", "hand", "up"]);
    [101, 102].map(|number| {
        let guest = lab.add_guest(number);
        let port = format!("hand-{number}");
        lab.guest(100, &["ip", "link", "add", "name", &port, "type", "veth", "peer", "name", "eth0", "netns", &guest]);
        lab.guest(100, &["ip", "link", "set", &port, "master", "hand", "up"]);
        lab.guest(number, &["ip", "link", "set", "eth0", "up"]);
        lab.guest(number, &["ip", "address", "add", &format!("10.9.0.{number}/24"), "dev", "eth0"]);
        guest
    })
}

fn wall(number: u16, machines: &[u64], rules: u16) -> Firewall {
    let rule = |rule: u16| Rule {
        protocol: Protocol::Tcp,
        ports: Some(1000 + rule..=1000 + rule),
        peers: Peers {
            // None beside another, or two would be one element.
            networks: vec![
                ipnet::Ipv4Net::from(Ipv4Addr::from(0x0a40_0000 + u32::from(number) * 0x1_0000 + u32::from(rule) * 2))
                    .into(),
            ],
            ..Peers::default()
        },
    };
    Firewall {
        id: Uuid::from_u128(u128::from(number) + 1),
        name: format!("wall-{number}"),
        machines: machines.iter().copied().collect(),
        inbound: (0..rules).map(rule).collect(),
        outbound: Vec::new(),
    }
}

/// How long it takes to make one of two plans real when the other one is, in milliseconds: median and longest.
fn applied(lab: &Lab, one: &Plan, other: &Plan) -> (f64, f64) {
    let mut times: Vec<f64> = Vec::new();
    for _ in 0..15 {
        lab.wire().apply(other).expect("it is made real");
        let start = Instant::now();
        lab.wire().apply(one).expect("it is made real");
        times.push(Duration::as_secs_f64(&start.elapsed()) * 1000.0);
    }
    (median(&mut times), times[times.len() - 1])
}

#[test]
#[ignore = "slow, and nothing fails for being slow: `make bench-net`"]
fn bench_net() {
    with_lab("bench_net", |lab| {
        let vpc = lab.vpc(1, "10.1.0.0/24");
        for machine in 1..=2 {
            let link = lab.link(machine, LinkKind::Private(vpc), &format!("10.1.0.{}/24", 10 + machine), None);
            lab.plug(&link);
        }
        let open = lab.plan.clone();
        let mut guarded = open.clone();
        let everything = Rule {
            protocol: Protocol::Tcp,
            ports: None,
            peers: Peers { networks: vec!["0.0.0.0/0".parse().expect("a network")], ..Peers::default() },
        };
        guarded.firewalls.push(Firewall { inbound: vec![everything], ..wall(0, &[2], 0) });
        lab.apply();
        let [one, two] = [1, 2].map(|machine| lab.guest_name(machine));
        comes_to_reach(&one, "10.1.0.12");
        let hands = by_hand(lab);
        comes_to_reach(&hands[0], "10.9.0.102");
        let _servers = [Server::start(&two, "10.1.0.12"), Server::start(&hands[1], "10.9.0.102")];

        let (mut ours, mut theirs, mut walled) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..RUNS {
            theirs.push(run(&hands[0], "10.9.0.102"));
            ours.push(run(&one, "10.1.0.12"));
        }
        for _ in 0..RUNS {
            lab.wire().apply(&guarded).expect("it is made real");
            walled.push(run(&one, "10.1.0.12"));
            lab.wire().apply(&open).expect("it is made real");
            ours.push(run(&one, "10.1.0.12"));
        }
        let mut table = String::new();
        let mut say = |what: &str, value: String| writeln!(table, "| {what} | {value} |").expect("text");
        let pairs = theirs.iter().zip(&ours).map(|(theirs, ours)| ours / theirs);
        let ratio = median(&mut pairs.collect::<Vec<_>>());
        let guards = walled.iter().zip(&ours[RUNS..]).map(|(walled, ours)| walled / ours);
        let guard = median(&mut guards.collect::<Vec<_>>());
        let (theirs, ours, walled) = (median(&mut theirs), median(&mut ours), median(&mut walled));
        say("TCP between two links of a bridge made by hand, no rules", format!("{theirs:.1} Gbit/s"));
        say("the same through our bridge and rules, no firewall", format!("{ours:.1} Gbit/s"));
        say("ours to theirs, median of the pairs", format!("{ratio:.3}"));
        say("the same with a firewall for the receiver", format!("{walled:.1} Gbit/s"));
        say("that to ours without, median of the pairs", format!("{guard:.3}"));

        let with = |firewalls: Vec<Firewall>| Plan { firewalls, ..open.clone() };
        let (median, longest) = applied(lab, &with(vec![wall(0, &[2], 1000)]), &open);
        say(
            "a plan with 1 firewall of 1,000 address rules made real, median / longest",
            format!("{median:.0} / {longest:.0} ms"),
        );
        let fifty = with((0..50).map(|number| wall(number, &[1, 2], 20)).collect());
        let (median, longest) = applied(lab, &fifty, &open);
        say("50 firewalls of 20 rules", format!("{median:.0} / {longest:.0} ms"));
        let mut many = open.clone();
        for machine in 0..1000_u32 {
            let mut link = open.links[0].clone();
            link.machine = 1000 + u64::from(machine);
            link.kind = LinkKind::Public;
            let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 2)) + machine);
            link.ipv4 = ipnet::Ipv4Net::new(address, 16).ok();
            link.mac[4..].copy_from_slice(&u16::try_from(machine).expect("small").to_be_bytes());
            many.links.push(link);
        }
        let (median, longest) = applied(lab, &many, &open);
        say("1,000 links of machines that do not run", format!("{median:.0} / {longest:.0} ms"));
        std::io::Write::write_all(&mut std::io::stdout(), table.as_bytes()).expect("it is printed");
    });
}
