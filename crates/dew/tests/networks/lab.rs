//! A host and a client of its own, as network namespaces: nothing outside of them is touched, and they go with the test.
//!
//! ```text
//!   client 192.0.2.2, .3 ──lan── 192.0.2.1 host: dew serve ──dew0── the installation's namespace: Droplets
//!          2001:db8::2            2001:db8::1
//! ```

use std::{
    cell::RefCell,
    fs,
    io::Write as _,
    net::{IpAddr, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
    thread::JoinHandle,
    time::Duration,
};

use dewpoint_network::linux::{Tools, down};
use nix::{
    sched::{CloneFlags, setns, unshare},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::support::{self, Client, Server, TOKEN};

/// The client's address, and a second one that it may ask from.
pub(crate) const CLIENT: &str = "192.0.2.2";
pub(crate) const FRIEND: &str = "192.0.2.3";

/// The host's address on the uplink, where it tells names.
pub(crate) const HOST: &str = "192.0.2.1";

/// What namespaces of this test are called, before the number of its process.
const PREFIX: &str = "dewlab-";

/// A host with a running `dew serve`, and a client on its uplink.
pub(crate) struct Lab {
    name: String,
    pub(crate) top: tempfile::TempDir,
    server: RefCell<Option<Server>>,
    /// The sockets of connections that are kept for later commands.
    spoken_to: RefCell<Vec<String>>,
}

/// Runs a test with a lab, on a thread of its own that lives in the lab's host.
///
/// Without the right to make namespaces the test fails and says what to do: run it as root, or say that it cannot be run here.
pub(crate) fn with_lab(test: &'static str, run: fn(&Lab)) {
    let skip = |why: &str| support::skipped(test, why);
    let Some(images) = std::env::var_os("DEW_TEST_IMAGES").map(PathBuf::from) else {
        return skip("DEW_TEST_IMAGES names no image directory");
    };
    if !images.join("micro-x64/manifest.json").exists() {
        return skip(&format!("{} holds no micro-x64", images.display()));
    }
    if std::env::var_os("DEW_TEST_NO_NETWORK").is_some_and(|value| value == "1") {
        return skip("DEW_TEST_NO_NETWORK=1 says that nothing here may make networks");
    }
    let thread = std::thread::Builder::new().name(test.to_owned()).spawn(move || {
        if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
            panic!(
                "{test} makes network namespaces, which is refused here ({error}): run the tests as root, or set \
                 DEW_TEST_NO_NETWORK=1 to say that they cannot be run on this machine"
            );
        }
        run(&Lab::new(&images));
    });
    if let Err(panic) = thread.expect("a thread").join() {
        std::panic::resume_unwind(panic);
    }
}

impl Lab {
    fn new(images: &Path) -> Self {
        remove_leftovers();
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("{PREFIX}{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let top = tempfile::tempdir().expect("a directory");
        // QEMU's users walk through it.
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o711)).expect("a mode");
        let lab = Self { name, top, server: RefCell::default(), spoken_to: RefCell::default() };
        lab.make_namespaces();
        let key = lab.path("key");
        ok(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
        let config = format!(
            "image_dir = {images:?}\n\
             [network]\nmode = \"real\"\nnamespace = {:?}\npublic_v4_pool = \"203.0.113.0/26\"\nnameservers = [{HOST:?}]\n\
             [dns]\nlisten = \"{HOST}:53\"\n",
            lab.name
        );
        fs::write(lab.path("dew.toml"), config).expect("written");
        lab.serve();
        lab
    }

    /// Starts the server.
    pub(crate) fn serve(&self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dew"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).env("DEW_BOOTSTRAP_TOKEN", TOKEN);
        command.args(["serve", "--engine", "qemu", "--listen", "127.0.0.1:0", "--data-dir"]).arg(self.path("data"));
        command.arg("--config").arg(self.path("dew.toml")).stdin(std::process::Stdio::null());
        let server = Server::run(command);
        server.until_ready();
        *self.server.borrow_mut() = Some(server);
    }

    fn make_namespaces(&self) {
        let (host, client) = (self.host(), self.client());
        for name in [&host, &client] {
            ok(Command::new("ip").args(["netns", "add", name]));
        }
        let file = fs::File::open(Path::new("/run/netns").join(&host)).expect("a namespace");
        setns(file, CloneFlags::CLONE_NEWNET).expect("the right to enter it");
        let lan = format!("link add lan type veth peer name lan netns {client}");
        for line in
            ["link set lo up", &lan, "address add 192.0.2.1/24 dev lan", "address add 2001:db8::1/64 dev lan nodad"]
        {
            ok(Command::new("ip").args(line.split(' ')));
        }
        ok(Command::new("ip").args(["link", "set", "lan", "up"]));
        ok(Command::new("sysctl").args(["-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]));
        for line in [
            "link set lo up",
            "link set lan up",
            "address add 192.0.2.2/24 dev lan",
            "address add 192.0.2.3/24 dev lan",
            "address add 2001:db8::2/64 dev lan nodad",
            "route add default via 192.0.2.1",
            "-6 route add default via 2001:db8::1",
        ] {
            ok(Command::new("ip").args(["-n", &client]).args(line.split(' ')));
        }
    }

    fn host(&self) -> String {
        format!("{}-host", self.name)
    }

    fn client(&self) -> String {
        format!("{}-client", self.name)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    /// The installation's API.
    pub(crate) fn api(&self) -> Client {
        self.server.borrow().as_ref().expect("it runs").client()
    }

    /// The answer to a request that must have this status.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>, status: u16) -> Value {
        let answer = self.api().send(method, path, body).expect("an answer");
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        answer.body
    }

    /// A command on the client.
    pub(crate) fn on_client(&self, words: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.client()]).args(words);
        command
    }

    /// Runs a shell command in a Droplet, over SSH from one of the client's addresses to one of the Droplet's.
    pub(crate) fn try_ssh(&self, from: &str, to: &str, command: &str) -> Output {
        let (key, control) = (self.path("key"), self.path(&format!("{from}-%h")));
        let options = [
            "BatchMode=yes".to_owned(),
            "StrictHostKeyChecking=no".to_owned(),
            "UserKnownHostsFile=/dev/null".to_owned(),
            "LogLevel=ERROR".to_owned(),
            "ConnectTimeout=60".to_owned(),
            "ControlMaster=auto".to_owned(),
            "ControlPersist=60".to_owned(),
            format!("ControlPath={}", control.display()),
        ];
        let options = options.iter().flat_map(|option| ["-o", option]);
        let mut words: Vec<&str> = vec!["ssh", "-b", from, "-i", key.to_str().expect("a path")];
        words.extend(options);
        words.extend(["-l", "root", to, command]);
        let mut spoken_to = self.spoken_to.borrow_mut();
        let socket = format!("{from}-{to}");
        if !spoken_to.contains(&socket) {
            spoken_to.push(socket);
        }
        self.on_client(&words).output().expect("ssh runs")
    }

    /// Begins something on the client.
    pub(crate) fn begin_as_client<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let file = fs::File::open(Path::new("/run/netns").join(self.client())).expect("a namespace");
        std::thread::spawn(move || {
            setns(file, CloneFlags::CLONE_NEWNET).expect("the right to enter it");
            work()
        })
    }

    /// Does something on the client.
    pub(crate) fn as_client<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.begin_as_client(work).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Whether a TCP connection from the client is taken within a few seconds.
    pub(crate) fn connects(&self, to: IpAddr, port: u16) -> bool {
        self.as_client(move || TcpStream::connect_timeout(&(to, port).into(), Duration::from_secs(5)).is_ok())
    }

    /// Ends the connections that are kept for later commands.
    pub(crate) fn hang_up(&self) {
        for socket in self.spoken_to.borrow_mut().drain(..) {
            let control = format!("ControlPath={}", self.path(&socket).display());
            // Gone already is as good.
            let _ = self.on_client(&["ssh", "-O", "exit", "-o", &control, "nobody"]).output();
        }
    }

    /// SSH's public key to make Droplets with.
    pub(crate) fn public_key(&self) -> String {
        fs::read_to_string(self.path("key.pub")).expect("a key")
    }

    /// Stops the server, and leaves its machines running.
    pub(crate) fn stop(&self) {
        assert!(self.server.borrow_mut().take().expect("it runs").terminate().success());
    }

    /// What `dew` says on the host, and whether it went well.
    pub(crate) fn dew(&self, words: &[&str]) -> (bool, String) {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut command = Command::new(env!("CARGO_BIN_EXE_dew"));
        command.env_clear().env("PATH", path).env("DEW_DATA_DIR", self.path("data")).args(words);
        let output = support::ended(command);
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.success(), said.concat())
    }

    /// Of each machine's process: the devices of the network it is in, and how many taps it has open.
    pub(crate) fn held_processes(&self) -> Vec<(Vec<String>, usize)> {
        let look = |pid: Pid| {
            let devices = fs::read_to_string(format!("/proc/{pid}/net/dev")).expect("its network");
            let devices = devices.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()));
            let open = fs::read_dir(format!("/proc/{pid}/fd")).expect("its files").flatten();
            let links = open.filter_map(|file| fs::read_link(file.path()).ok());
            (devices.collect(), links.filter(|link| link == Path::new("/dev/net/tun")).count())
        };
        self.processes().into_iter().map(look).collect()
    }

    /// The processes of machines, by what is written down of them.
    fn processes(&self) -> Vec<Pid> {
        let machines = fs::read_dir(self.path("data/machines")).into_iter().flatten().flatten();
        let runs = machines.filter_map(|machine| fs::read_to_string(machine.path().join("run.json")).ok());
        let pid = |run: String| serde_json::from_str::<Value>(&run).ok()?["process"]["pid"].as_i64();
        runs.filter_map(pid).filter_map(|pid| i32::try_from(pid).ok()).map(Pid::from_raw).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.hang_up();
        self.server.take();
        for process in self.processes() {
            // Gone already is as good.
            let _ = kill(process, Signal::SIGKILL);
        }
        for name in [self.name.clone(), self.host(), self.client()] {
            remove(&name);
        }
    }
}

fn remove(name: &str) {
    // The taps of processes that were just killed go by themselves, also between a look and a removal.
    let gone = (0..20).find_map(|_| down(&Tools::default(), name).ok());
    if gone.is_none() {
        let _ = writeln!(std::io::stderr(), "the network namespace {name} is still there");
    }
}

/// What a run left that was killed: its process is no more.
fn remove_leftovers() {
    let Ok(names) = fs::read_dir("/run/netns") else { return };
    for name in names.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            remove(&name);
        }
    }
}

pub(crate) fn ok(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// A Droplet's body of a create.
pub(crate) fn body(name: &str, vpc: &Value, key: &Value) -> Value {
    json!({
        "name": name, "region": "nyc3", "size": "s-1vcpu-512mb-10gb", "image": "micro-x64", "ipv6": true,
        "vpc_uuid": vpc, "ssh_keys": [key],
    })
}

/// Says something to whoever runs the test, past the harness, which would swallow it.
pub(crate) fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}
