//! `/dew/v1/events` of a real server: read as it happens, ended in order, and nobody waits for who does not read.

mod support;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
};

use serde_json::{Value, json};
use support::{DEADLINE, Server, TOKEN, create, eventually};

/// A stream of events over a connection of its own.
struct Stream {
    lines: BufReader<TcpStream>,
}

impl Stream {
    fn open(server: &Server, query: &str) -> Self {
        let mut stream = TcpStream::connect(server.address()).expect("a connection");
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket takes a time limit");
        let head = format!(
            "GET /dew/v1/events?{query} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {TOKEN}\r\naccept: text/event-stream\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("a write");
        let mut lines = BufReader::new(stream);
        let mut first = String::new();
        lines.read_line(&mut first).expect("an answer");
        assert!(first.starts_with("HTTP/1.1 200"), "{first}");
        Self { lines }
    }

    /// The name and data of the next frame; `None` at the end of the connection. Heads, lengths of chunks and comments are
    /// passed over.
    fn next(&mut self) -> Option<(String, Value)> {
        let mut event = String::new();
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).expect("a read") == 0 {
                return None;
            }
            if let Some(name) = line.strip_prefix("event: ") {
                event = name.trim_end().to_owned();
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Some((event, serde_json::from_str(data).expect("JSON")));
            }
        }
    }

    /// Reads on to the end; the last frame.
    fn last(mut self) -> Option<(String, Value)> {
        let mut last = None;
        while let Some(frame) = self.next() {
            last = Some(frame);
        }
        last
    }
}

/// How many bytes the system holds that the server has sent to this client and the client has not taken.
fn untaken(client: &TcpStream) -> u64 {
    let (own, server) = (client.local_addr().expect("an address"), client.peer_addr().expect("an address"));
    let table = fs::read_to_string("/proc/net/tcp").expect("Linux tells of its connections");
    let port = |word: &str| word.rsplit_once(':').and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
    let queued = table.lines().skip(1).find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_it = port(words[1]) == Some(server.port()) && port(words[2]) == Some(own.port());
        is_it.then(|| u64::from_str_radix(words[4].split_once(':').expect("two queues").0, 16).expect("a number"))
    });
    queued.unwrap_or(0)
}

#[test]
fn a_server_that_ends_says_so_to_who_reads_and_does_not_wait_for_who_does_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path());
    let mut reading = Stream::open(&server, "kind=droplet&type=made");
    let silent = Stream::open(&server, "since=0&objects=true");
    assert_eq!(reading.next().expect("a frame").0, "position");
    let client = server.client();
    // Until the system holds no more for the one that reads nothing.
    eventually("full connection", || {
        let mut body = create("x");
        body.as_object_mut().expect("an object").remove("name");
        body["names"] = (0..10).map(|number| format!("web-{number}")).collect();
        let made = client.post("/v2/droplets", &body);
        assert_eq!(made.status, 202);
        for droplet in made.body["droplets"].as_array().expect("a list") {
            let (event, data) = reading.next().expect("a frame");
            assert_eq!((event.as_str(), &data["kind"]), ("change", &json!("droplet")));
            assert_eq!(data["resource_id"], droplet["id"]);
        }
        untaken(silent.lines.get_ref()) > 64 * 1024
    });

    let log = server.log_to_be();
    assert!(server.terminate().success());
    assert_eq!(reading.last(), Some(("end".to_owned(), json!({ "reason": "stopping" }))));
    let log = log();
    assert!(log.contains("Stopped") && !log.contains("did not end in time"), "{log}");
}
