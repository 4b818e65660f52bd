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
const RUNS: usize = 15;

/// For how long each run sends.
const SECONDS: &str = "1";

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

/// What one run carried.
#[derive(Clone, Copy)]
struct Carried {
    /// Gigabits a second.
    rate: f64,
    /// Gigabits for a second of processor time of sender and receiver, the bridge's work included, which is done in theirs: tells
    /// ways apart where other work takes the processors away now and then.
    per_second_of_work: f64,
}

fn run(from: &str, to: &str) -> Carried {
    let mut client = Command::new("ip");
    client.args(["netns", "exec", from, "iperf3", "--client", to, "--time", SECONDS, "--json"]);
    let output = client.output().expect("iperf3 is installed");
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let number = |path: &str| {
        let value = shown["end"].pointer(path).and_then(serde_json::Value::as_f64);
        value.unwrap_or_else(|| panic!("{path}: {shown}"))
    };
    let rate = number("/sum_received/bits_per_second") / 1e9;
    let percent = number("/cpu_utilization_percent/host_total") + number("/cpu_utilization_percent/remote_total");
    Carried { rate, per_second_of_work: rate / (percent / 100.0) }
}

/// Medians: both rates, and of each pair the second one to the first one, by rate and by work.
fn compare(pairs: &[(Carried, Carried)]) -> [f64; 4] {
    let of = |value: fn(&(Carried, Carried)) -> f64| median(&mut pairs.iter().map(value).collect::<Vec<_>>());
    [
        of(|pair| pair.0.rate),
        of(|pair| pair.1.rate),
        of(|pair| pair.1.rate / pair.0.rate),
        of(|pair| pair.1.per_second_of_work / pair.0.per_second_of_work),
    ]
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

        let by_hand: Vec<_> = (0..RUNS).map(|_| (run(&hands[0], "10.9.0.102"), run(&one, "10.1.0.12"))).collect();
        let with_wall: Vec<_> = (0..RUNS)
            .map(|_| {
                let without = run(&one, "10.1.0.12");
                lab.wire().apply(&guarded).expect("it is made real");
                let with = run(&one, "10.1.0.12");
                lab.wire().apply(&open).expect("it is made real");
                (without, with)
            })
            .collect();
        let mut table = String::new();
        let mut say = |what: &str, value: String| writeln!(table, "| {what} | {value} |").expect("text");
        let [hand, ours, rate, work] = compare(&by_hand);
        say("TCP between two links of a bridge by hand, without rules", format!("{hand:.1} Gbit/s"));
        say("the same by our bridge and rules, no firewall", format!("{ours:.1} Gbit/s"));
        say("ours to that by hand, median of the pairs", format!("{rate:.3}"));
        say("the same for a second of processor time", format!("{work:.3}"));
        let [_, walled, rate, work] = compare(&with_wall);
        say("with a firewall for the receiver", format!("{walled:.1} Gbit/s"));
        say("that to ours without, median of the pairs", format!("{rate:.3}"));
        say("the same for a second of processor time", format!("{work:.3}"));

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
