//! A real `dew serve` in a process of its own, and the little HTTP that talks to it.

#![allow(dead_code, unused_imports, reason = "each test file uses a part of it, and which one differs")]

mod mount;

pub(crate) use mount::{ReadOnly, Tmpfs};

use std::{
    collections::BTreeSet,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use dewpoint_clock::SystemClock;
use dewpoint_engine::{Engine as _, sim::SimEngine};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// The first admin token of the servers started here.
pub(crate) const TOKEN: &str = "dop_v1_a_token_for_tests_and_nothing_else";
/// How long anything here may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks at something that is not there yet.
const POLL: Duration = Duration::from_millis(5);

/// `dew serve --engine sim` on a free port over `data_dir`, nothing from the caller's environment.
pub(crate) fn serve(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dew"));
    command.env_clear().env("DEW_BOOTSTRAP_TOKEN", TOKEN);
    command.args(["serve", "--engine", "sim", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data_dir);
    command.stdin(Stdio::null());
    command
}

/// Runs a command that is expected to end by itself; what it said and how it ended.
pub(crate) fn ended(mut command: Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    let pid = child.id();
    let (done, told) = mpsc::channel();
    std::thread::spawn(move || done.send(child.wait_with_output()));
    match told.recv_timeout(DEADLINE) {
        Ok(output) => output.expect("its output can be read"),
        Err(_) => {
            signal(pid, Signal::SIGKILL);
            panic!("it did not end within {DEADLINE:?}");
        }
    }
}

/// What a command said to standard error.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A server that serves. Killed, if it still runs, when this value goes.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Server {
    /// Starts `dew serve` over `data_dir` and waits until it says where.
    pub(crate) fn start(data_dir: &Path) -> Self {
        Self::run(serve(data_dir))
    }

    /// The same with a command of the caller's making.
    pub(crate) fn run(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the binary runs");
        let stderr = child.stderr.take().expect("its standard error is piped");
        let log = Arc::new(Mutex::new(String::new()));
        let (found, address) = mpsc::channel();
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                {
                    // Kept before anybody is told of it: who waited for the address may look for it here.
                    let mut kept = kept.lock().expect("nobody panics with it");
                    kept.push_str(&line);
                    kept.push('\n');
                }
                if let Some((_, rest)) = line.split_once("Serving on http").and_then(|(_, rest)| rest.split_once("://"))
                {
                    let word = rest.split_whitespace().next().unwrap_or_default();
                    // Nobody listens for a second one.
                    let _ = found.send(word.parse());
                }
            }
        });
        let told = address.recv_timeout(DEADLINE);
        let mut server = Self { child, address: ([127, 0, 0, 1], 0).into(), log };
        match told {
            Ok(address) => server.address = address.expect("an address"),
            Err(_) => panic!("the server did not start:\n{}", server.log()),
        }
        server
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("nobody panics with it").clone()
    }

    /// What it will have logged, for when it has ended.
    pub(crate) fn log_to_be(&self) -> impl Fn() -> String + use<> {
        let log = Arc::clone(&self.log);
        move || log.lock().expect("nobody panics with it").clone()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: Signal) {
        signal(self.child.id(), name);
    }

    /// Where it serves.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How to talk to it from other threads.
    pub(crate) fn client(&self) -> Client {
        Client { address: self.address }
    }

    /// Waits until what an earlier server left has been taken up.
    pub(crate) fn until_ready(&self) {
        let client = self.client();
        eventually("readiness", || client.get("/readyz").status == 200);
    }

    /// SIGKILL: no warning, no cleaning up.
    pub(crate) fn kill(mut self) {
        signal(self.child.id(), Signal::SIGKILL);
        let status = self.child.wait().expect("it can be waited for");
        assert_eq!(status.signal(), Some(Signal::SIGKILL as i32), "it ended otherwise:\n{}", self.log());
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        signal(self.child.id(), Signal::SIGTERM);
        let mut status = None;
        eventually("end", || {
            status = self.child.try_wait().expect("it can be waited for");
            status.is_some()
        });
        status.expect("it ended")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", self.log());
        }
    }
}

fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a process id"));
    kill(pid, signal).expect("a process of ours");
}

/// Looks until `done`; panics after [`DEADLINE`].
pub(crate) fn eventually(what: &str, done: impl FnMut() -> bool) {
    eventually_within(DEADLINE, what, done);
}

/// The same for what takes longer.
pub(crate) fn eventually_within(limit: Duration, what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < limit, "no {what} within {limit:?}");
        std::thread::sleep(POLL);
    }
}

/// HTTP with the admin token, a connection for each request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    address: SocketAddr,
}

/// What a server answered: a status and a body, `Null` when there was none.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Client {
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None).expect("an answer")
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, None).expect("an answer")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, Some(body)).expect("an answer")
    }

    /// One request. Fails when no whole answer came: the server may or may not have done it.
    pub(crate) fn send(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Answer> {
        self.send_as(TOKEN, method, path, body)
    }

    /// The same with another token.
    pub(crate) fn send_as(&self, token: &str, method: &str, path: &str, body: Option<&Value>) -> io::Result<Answer> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n",
            self.address
        );
        stream.write_all(format!("{head}{body}").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        read(&answer).ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    }
}

/// An answer that came whole; `None` when it was cut off.
pub(crate) fn read(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    match length {
        Some(length) if length != body.len() => None,
        _ if body.is_empty() => Some(Answer { status, body: Value::Null }),
        _ => Some(Answer { status, body: serde_json::from_str(body).ok()? }),
    }
}

/// The body of a create that fits everywhere.
pub(crate) fn create(name: &str) -> Value {
    serde_json::json!({ "name": name, "region": "nyc3", "size": "s-1vcpu-1gb", "image": "ubuntu-20-04-x64" })
}

/// Every object of a collection, page by page.
pub(crate) fn all(client: Client, path: &str, key: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for page in 1.. {
        let answer = client.get(&format!("{path}?per_page=200&page={page}"));
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        let rows = answer.body[key].as_array().expect("an array").clone();
        let total = usize::try_from(answer.body["meta"]["total"].as_u64().expect("a total")).expect("it fits");
        let ended = rows.is_empty();
        found.extend(rows);
        if ended || found.len() >= total {
            assert_eq!(found.len(), total, "meta.total of {path}");
            break;
        }
    }
    found
}

/// The simulator's machines, as the next server would find them.
pub(crate) fn machines(data_dir: &Path) -> BTreeSet<u64> {
    let engine = SimEngine::open(&data_dir.join("sim.db"), Arc::new(SystemClock)).expect("the simulator's file");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let machines = runtime.block_on(engine.machines()).expect("machines");
    machines.into_iter().map(|machine| machine.0).collect()
}

/// Says by name that a test cannot run here, past the test runner, which shows nothing of tests that pass.
pub(crate) fn skipped(test: &str, why: &str) {
    writeln!(io::stderr(), "SKIPPED {test}: {why}").expect("standard error is open");
}
