//! How `dew serve` ends while it answers for models: what clients hear, and what is left of the programs that answered.

mod support;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    sync::mpsc::{self, Receiver, Sender},
    thread,
};

use nix::sys::signal::Signal;
use serde_json::json;
use support::{DEADLINE, Server, TOKEN, eventually, serve};

/// An upstream on loopback that streams one event, and the rest when it is told to.
struct Upstream {
    url: String,
    go_on: Sender<()>,
}

impl Upstream {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let (go_on, told) = mpsc::channel();
        thread::spawn(move || {
            let (stream, _) = listener.accept().expect("a connection");
            answer(&stream, &told);
        });
        Self { url, go_on }
    }
}

fn answer(mut stream: &TcpStream, told: &Receiver<()>) {
    let mut asked = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        asked.read_line(&mut line).expect("a line");
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        if line.trim_end().is_empty() {
            break;
        }
    }
    asked.read_exact(&mut vec![0; length]).expect("a body");
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    write!(stream, "{head}data: {{\"first\":1}}\n\n").expect("it is read");
    // Not told, it says nothing more until the test is over.
    if told.recv().is_ok() {
        stream.write_all(b"data: {\"last\":1}\n\ndata: [DONE]\n\n").expect("it is read");
    }
}

/// A server with this configuration.
fn server(dir: &Path, config: &str) -> Server {
    let file = dir.join("dew.toml");
    fs::write(&file, config).expect("it is written");
    let mut command: Command = serve(&dir.join("data"));
    command.arg("--config").arg(file);
    Server::run(command)
}

fn models(upstream: &Upstream, ending_seconds: f64) -> String {
    format!(
        "[inference]\nending_seconds = {ending_seconds}\n[[models]]\nname = \"llama\"\ncheck = false\nupstreams = [{{ url = \"{}\" }}]\n",
        upstream.url
    )
}

/// An answer in its middle: asked for, and its first event is here.
struct Stream {
    stream: TcpStream,
    text: String,
}

impl Stream {
    fn begin(server: &Server) -> Self {
        let body = json!({ "model": "llama", "stream": true, "messages": [{ "role": "user", "content": "hi" }] });
        let (body, address) = (body.to_string(), server.address());
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(DEADLINE)).expect("a time-out");
        let length = body.len();
        write!(
            stream,
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {TOKEN}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .expect("it is sent");
        let mut begun = Self { stream, text: String::new() };
        begun.until("\"first\"");
        begun
    }

    fn until(&mut self, text: &str) {
        let mut piece = [0; 4096];
        while !self.text.contains(text) {
            let length = self.stream.read(&mut piece).expect("more of the answer");
            assert!(length > 0, "it ended before {text}: {}", self.text);
            self.text.push_str(&String::from_utf8_lossy(&piece[..length]));
        }
    }

    /// All of it, once the connection is closed.
    fn whole(mut self) -> String {
        let mut rest = String::new();
        self.stream.read_to_string(&mut rest).expect("it is closed in time");
        self.text + &rest
    }
}

#[test]
fn on_sigterm_a_stream_that_comes_to_its_end_in_time_is_whole() {
    let (dir, upstream) = (tempfile::tempdir().expect("a directory"), Upstream::start());
    // Long: what ends the stream is its upstream.
    let server = server(dir.path(), &models(&upstream, 18.0));
    let stream = Stream::begin(&server);
    server.signal(Signal::SIGTERM);
    // Nobody new is let in, and the stream goes on.
    eventually("the server has begun to end", || TcpStream::connect(server.address()).is_err());
    upstream.go_on.send(()).expect("it waits");
    let answer = stream.whole();
    assert!(
        answer.contains("\"last\"") && answer.contains("data: [DONE]") && !answer.contains("\"error\""),
        "{answer}"
    );
    assert!(server.terminate().success());
}

#[test]
fn on_sigterm_a_stream_that_goes_on_is_told_that_the_server_ends() {
    let (dir, upstream) = (tempfile::tempdir().expect("a directory"), Upstream::start());
    let server = server(dir.path(), &models(&upstream, 0.2));
    let stream = Stream::begin(&server);
    server.signal(Signal::SIGTERM);
    let answer = stream.whole();
    let (_, event) = answer.split_once("data: {\"error\"").unwrap_or_else(|| panic!("no error: {answer}"));
    assert!(event.contains("The server is ending.") && !answer.contains("[DONE]"), "{answer}");
    assert!(server.terminate().success());
    drop(upstream.go_on);
}

#[test]
fn what_answers_for_models_ends_with_the_server_also_when_it_is_killed() {
    let dir = tempfile::tempdir().expect("a directory");
    let program = dir.path().join("dew-llama");
    // It answers nothing, and reads what dew-llama reads: its input, which closes with the server.
    fs::write(&program, "#!/bin/sh\necho $$ >> \"$(dirname \"$0\")/noted\"\nexec cat\n").expect("it is written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("its permissions");
    let model = dir.path().join("tiny.gguf");
    fs::write(&model, dewpoint_gguf::tiny::model(1)).expect("it is written");
    let noted = || -> Vec<u32> {
        let text = fs::read_to_string(dir.path().join("noted")).unwrap_or_default();
        text.lines().map(|line| line.trim().parse().expect("a process")).collect()
    };
    let runs = |pid: u32| {
        let command = fs::read(format!("/proc/{pid}/cmdline"));
        // One that has ended and that nobody waited for has none.
        command.is_ok_and(|command| !command.is_empty())
    };
    let config = "[llama]\nbinary = \"dew-llama\"\n";
    let first = server(dir.path(), config);
    assert_eq!(first.client().post("/dew/v1/models", &json!({ "name": "cat", "file": model })).status, 202);
    eventually("its program runs", || noted().len() == 1);
    assert!(first.terminate().success());
    assert!(!runs(noted()[0]), "it is ended before the server is");
    let second = server(dir.path(), config);
    eventually("its program runs again", || noted().len() == 2);
    second.kill();
    eventually("it sees that the server is gone", || !runs(noted()[1]));
}
