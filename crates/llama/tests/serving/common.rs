//! A running `dew-llama`, and as much of HTTP as it takes to ask it.

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything may take before a test fails; far more than it does on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until `look` sees what it wants.
pub(crate) fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::yield_now();
        thread::park_timeout(Duration::from_millis(10));
    }
}

/// The tokens of a tiny model that end an answer: never to be said, so that it goes on until its limit.
pub(crate) fn endless() -> Value {
    json!({ "2": -100, "260": -100 })
}

pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) directory: TempDir,
    pub(crate) socket: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn command(model: &Path, socket: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dew-llama"));
    // One thread: several that share a core with other tests wait for each other, and long.
    command.arg("--model").arg(model).arg("--socket").arg(socket).args(["--name", "test", "--threads", "1"]).args(more);
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Server {
    pub(crate) fn tiny(more: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let model = directory.path().join("tiny.gguf");
        fs::write(&model, dewpoint_gguf::tiny::model(7)).expect("written");
        Self::start(directory, &model, more)
    }

    /// With the real model that `make test-llama` names.
    pub(crate) fn real(more: &[&str]) -> Self {
        let model =
            std::env::var_os("DEW_TEST_MODEL").expect("DEW_TEST_MODEL names the real model: run `make test-llama`");
        Self::start(tempfile::tempdir().expect("a directory"), Path::new(&model), more)
    }

    pub(crate) fn start(directory: TempDir, model: &Path, more: &[&str]) -> Self {
        let socket = directory.path().join("socket");
        let child = command(model, &socket, more).spawn().expect("dew-llama starts");
        let mut server = Self { child, directory, socket };
        wait_until("the model is loaded", || {
            if let Some(status) = server.child.try_wait().expect("a child") {
                panic!("dew-llama ended with {status}: {}", server.complaints());
            }
            let answer = server.try_ask("GET", "/health", "")?;
            (answer.status == 200).then_some(())
        });
        server
    }

    /// What it wrote on standard error, once it ended.
    pub(crate) fn complaints(&mut self) -> String {
        let mut text = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut text).expect("text");
        text
    }

    pub(crate) fn end(&mut self) -> ExitStatus {
        wait_until("dew-llama ends", || self.child.try_wait().expect("a child"))
    }

    fn try_ask(&self, method: &str, path: &str, body: &str) -> Option<Answer> {
        Some(open(&self.socket, method, path, body)?.whole())
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.try_ask("GET", path, "").expect("an answer").json()
    }

    pub(crate) fn count(&self, name: &str) -> u64 {
        self.get("/stats")[name].as_u64().expect("a count")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.try_ask("POST", path, &body.to_string()).expect("an answer")
    }

    pub(crate) fn post_text(&self, path: &str, body: &str) -> Answer {
        self.try_ask("POST", path, body).expect("an answer")
    }

    /// A chat completion: the members of `more` beside a conversation of one message.
    pub(crate) fn chat(&self, text: &str, more: &Value) -> Answer {
        self.post("/v1/chat/completions", &request(text, more))
    }

    /// The whole answer, which has to come.
    pub(crate) fn answer(&self, text: &str, more: &Value) -> Value {
        let answer = self.chat(text, more);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    /// A stream from its beginning on.
    pub(crate) fn stream(&self, text: &str, more: &Value) -> Connection {
        let mut body = request(text, more);
        body["stream"] = json!(true);
        open(&self.socket, "POST", "/v1/chat/completions", &body.to_string()).expect("a connection")
    }
}

fn request(text: &str, more: &Value) -> Value {
    let mut body = json!({ "model": "test", "messages": [{ "role": "user", "content": text }] });
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    body
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// How many microseconds it waited for its turn, by its own word.
    pub(crate) fn queued_us(&self) -> u64 {
        let line = self.head.lines().find_map(|line| line.strip_prefix("x-dewpoint-queue-us: "));
        line.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no time in the queue: {}", self.head))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(crate) fn message(&self) -> String {
        self.json()["message"].as_str().expect("a message").to_owned()
    }

    /// The data of a stream's events, `[DONE]` left out, which has to be the last.
    pub(crate) fn chunks(&self) -> Vec<Value> {
        let mut lines: Vec<&str> = self.body.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        assert_eq!(lines.pop(), Some("[DONE]"), "{}", self.body);
        lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

/// A request that was sent, and what came back so far.
pub(crate) struct Connection {
    stream: UnixStream,
    raw: Vec<u8>,
}

fn open(socket: &Path, method: &str, path: &str, body: &str) -> Option<Connection> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: r-1\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).ok()?;
    Some(Connection { stream, raw: Vec::new() })
}

impl Connection {
    /// Reads until the answer has `text` in it.
    pub(crate) fn until(&mut self, text: &str) {
        let mut piece = [0; 4096];
        while !self.raw.windows(text.len()).any(|window| window == text.as_bytes()) {
            let length = self.stream.read(&mut piece).expect("more of the answer");
            assert!(length > 0, "it ended before {text}: {}", String::from_utf8_lossy(&self.raw));
            self.raw.extend_from_slice(&piece[..length]);
        }
    }

    /// Everything that comes until the connection is closed.
    pub(crate) fn whole(mut self) -> Answer {
        // A connection that breaks off is closed too.
        let _ = self.stream.read_to_end(&mut self.raw);
        let text = String::from_utf8_lossy(&self.raw).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP: {text:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        Answer { status, head: head.to_owned(), body: if chunked { unchunked(body) } else { body.to_owned() } }
    }
}

fn unchunked(mut rest: &str) -> String {
    let mut text = String::new();
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("a length");
        text.push_str(&after[..length.min(after.len())]);
        rest = after.get(length + 2..).unwrap_or_default();
    }
    text
}
