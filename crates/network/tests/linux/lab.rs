//! Namespaces that stand for a host, its installation and its guests, and go away with the test.

use std::{
    fs,
    io::Write,
    net::Ipv4Addr,
    path::Path,
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use dewpoint_network::{
    Link, LinkKind, Plan, Vpc,
    linux::{METADATA_HTTP, Tools, Uplink, Wire, WireConfig, down, tap_name},
};
use nix::sched::{CloneFlags, setns, unshare};
use uuid::Uuid;

use crate::probe::inside;

/// How long anything may take on a machine that is busy with other things.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A host, as a namespace, with an installation in it.
pub(crate) struct Lab {
    /// Namespaces that were made, the installation's own first.
    names: Vec<String>,
    pub(crate) config: WireConfig,
    /// `None` when a test took it down.
    pub(crate) wire: Option<Wire>,
    pub(crate) plan: Plan,
}

/// Runs a test with a lab, on a thread of its own that lives in the lab's host.
///
/// Without the right to make namespaces the test fails and says what to do: run it as root, or say that it cannot be run here.
pub(crate) fn with_lab(test: &'static str, run: fn(&mut Lab)) {
    let thread = std::thread::Builder::new().name(test.to_owned()).spawn(move || {
        if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
            if std::env::var_os("DEW_TEST_NO_NETWORK").is_some_and(|value| value == "1") {
                // Past the test harness, which would swallow it.
                let _ = writeln!(
                    std::io::stderr(),
                    "SKIPPED {test}: DEW_TEST_NO_NETWORK=1 says that nothing here may make networks"
                );
                return;
            }
            panic!(
                "{test} makes network namespaces, which is refused here ({error}): run the tests as root, or set \
                 DEW_TEST_NO_NETWORK=1 to say that they cannot be run on this machine"
            );
        }
        let mut lab = Lab::new();
        run(&mut lab);
    });
    if let Err(panic) = thread.expect("a thread").join() {
        std::panic::resume_unwind(panic);
    }
}

impl Lab {
    fn new() -> Self {
        remove_leftovers();
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("dewtest-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let host = format!("{name}-host");
        let mut lab = Self { names: vec![name.clone()], config: config(name), wire: None, plan: Plan::default() };
        lab.add_namespace(host.clone());
        enter(&host);
        lab.host(&["ip", "link", "set", "lo", "up"]);
        lab.wire = Some(Wire::open(lab.config.clone()).expect("the network is made"));
        lab
    }

    pub(crate) fn wire(&self) -> &Wire {
        self.wire.as_ref().expect("it is up")
    }

    pub(crate) fn apply(&self) {
        self.wire().apply(&self.plan).expect("the plan is made real");
    }

    /// Another installation's server, after a restart: nothing but the configuration is kept.
    pub(crate) fn restart(&mut self) {
        self.wire = None;
        self.wire = Some(Wire::open(self.config.clone()).expect("the network is found"));
    }

    fn add_namespace(&mut self, name: String) {
        ok(Command::new("ip").args(["netns", "add", &name]));
        self.names.push(name);
    }

    /// Adds a VPC to the plan.
    pub(crate) fn vpc(&mut self, id: u128, range: &str) -> Uuid {
        let id = Uuid::from_u128(id << 92 | id);
        let range: ipnet::Ipv4Net = range.parse().expect("a range");
        let gateway = range.hosts().next().expect("an address");
        self.plan.vpcs.push(Vpc { id, range, gateway });
        id
    }

    /// Adds a link to the plan.
    pub(crate) fn link(&mut self, machine: u64, kind: LinkKind, ipv4: &str, ipv6: Option<&str>) -> Link {
        let last = u8::try_from(machine).expect("a small number");
        let which = if kind == LinkKind::Public { 1 } else { 2 };
        let link = Link {
            machine,
            kind,
            mac: [6, which, 0, 0, 0, last],
            ipv4: Some(ipv4.parse().expect("an address")),
            ipv6: ipv6.map(|address| address.parse().expect("an address")),
        };
        self.plan.links.push(link.clone());
        link
    }

    /// The namespace that stands for a machine's inside.
    pub(crate) fn guest_name(&self, machine: u64) -> String {
        format!("{}-{machine}", self.names[0])
    }

    /// Makes a machine's inside, unless it is there, and tells its name.
    pub(crate) fn add_guest(&mut self, machine: u64) -> String {
        let guest = self.guest_name(machine);
        if !self.names.contains(&guest) {
            self.add_namespace(guest.clone());
            self.inside(&guest, &["ip", "link", "set", "lo", "up"]);
            inside(&guest, || {
                for (setting, value) in [("ipv4/conf/all/rp_filter", "0"), ("ipv6/conf/default/accept_dad", "0")] {
                    fs::write(Path::new("/proc/sys/net").join(setting), value).expect("a setting");
                }
            });
        }
        guest
    }

    /// Plugs a link of the plan into a guest: a pair of devices stands for the tap, the other side of it for the machine's.
    ///
    /// The inner device is `eth0` for the public link and `eth1` for the private one, with its addresses and a way to the gateway.
    pub(crate) fn plug(&mut self, link: &Link) {
        let guest = self.add_guest(link.machine);
        let (name, device) = (self.names[0].clone(), if link.kind == LinkKind::Public { "eth0" } else { "eth1" });
        let mac = link.mac.map(|byte| format!("{byte:02x}")).join(":");
        let tap = tap_name(link.machine, link.kind);
        self.inside(
            &name,
            &[
                "ip", "link", "add", "name", &tap, "type", "veth", "peer", "name", device, "address", &mac, "netns",
                &guest,
            ],
        );
        self.inside(&guest, &["ip", "link", "set", device, "up"]);
        let address = link.ipv4.expect("an address");
        self.inside(&guest, &["ip", "address", "add", &address.to_string(), "dev", device]);
        let gateway = match link.kind {
            LinkKind::Public => self.config.public_v4.1,
            LinkKind::Private(id) => self.plan.vpcs.iter().find(|vpc| vpc.id == id).expect("a VPC").gateway,
        };
        let gateway = gateway.to_string();
        // The private link's is the second choice, as in a Droplet with both.
        let metric = if link.kind == LinkKind::Public { "10" } else { "20" };
        self.inside(&guest, &["ip", "route", "add", "default", "via", &gateway, "dev", device, "metric", metric]);
        if let Some(address) = link.ipv6 {
            self.inside(&guest, &["ip", "address", "add", &address.to_string(), "dev", device, "nodad"]);
            let gateway = self.config.public_v6.expect("a gateway").1.to_string();
            self.inside(&guest, &["ip", "-6", "route", "add", "default", "via", &gateway, "dev", device]);
        }
    }

    /// Runs something on the host; it has to succeed.
    pub(crate) fn host(&self, command: &[&str]) -> String {
        self.inside(&format!("{}-host", self.names[0]), command)
    }

    /// Runs something in the installation's own namespace.
    pub(crate) fn installation(&self, command: &[&str]) -> String {
        self.inside(&self.names[0], command)
    }

    pub(crate) fn guest(&self, machine: u64, command: &[&str]) -> String {
        self.inside(&self.guest_name(machine), command)
    }

    fn inside(&self, namespace: &str, command: &[&str]) -> String {
        let output = ok(Command::new("ip").args(["netns", "exec", namespace]).args(command));
        String::from_utf8(output.stdout).expect("text")
    }

    pub(crate) fn host_name(&self) -> String {
        format!("{}-host", self.names[0])
    }

    pub(crate) fn name(&self) -> &str {
        &self.names[0]
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.wire = None;
        for name in &self.names {
            if let Err(error) = down(&Tools::default(), name) {
                let _ = writeln!(std::io::stderr(), "removing {name}: {error}");
            }
        }
    }
}

/// Waits for a condition, trying again and again.
pub(crate) fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        std::thread::yield_now();
    }
}

/// Moves the calling thread into a namespace.
pub(crate) fn enter(name: &str) {
    let file = fs::File::open(Path::new("/run/netns").join(name)).expect("a namespace");
    setns(file, CloneFlags::CLONE_NEWNET).expect("the right to enter it");
}

fn config(name: String) -> WireConfig {
    WireConfig {
        name,
        uplink: Uplink {
            host_device: "dew0".into(),
            v4: "192.0.2.0/31".parse().expect("a network"),
            v6: Some("fd64::/126".parse().expect("a network")),
        },
        public_v4: ("203.0.113.0/25".parse().expect("a network"), Ipv4Addr::new(203, 0, 113, 1)),
        public_v6: Some(("fd65::/64".parse().expect("a network"), "fd65::1".parse().expect("an address"))),
        reserved: vec!["203.0.113.128/25".parse().expect("a network"), "fd66::/64".parse().expect("a network")],
        services: vec![METADATA_HTTP],
        tools: Tools::default(),
    }
}

fn ok(command: &mut Command) -> Output {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// What a run left that was killed: its process is no more.
fn remove_leftovers() {
    let Ok(names) = fs::read_dir("/run/netns") else { return };
    for name in names.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let process = name.strip_prefix("dewtest-").and_then(|rest| rest.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            // Another test of this run may be at it, too.
            let _ = down(&Tools::default(), &name);
        }
    }
}
