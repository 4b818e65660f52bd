//! A thousand slow clients against the real binary, and the honest one beside them.

mod support;

use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    time::{Duration, Instant},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use support::{DEADLINE, Server, TOKEN, eventually, serve};

/// How many slow clients there are.
const SLOW: usize = 1000;
/// How many requests the honest one makes beside them.
const REQUESTS: usize = 500;
/// An answer larger than the buffers of a connection, which needs no token.
const LARGE: &str = "/docs/rapidoc-9.3.8.min.js";

/// A server whose configuration has this `[connections]`.
fn server(dir: &Path, connections: &str) -> Server {
    let config = dir.join("dew.toml");
    fs::write(&config, format!("[connections]\n{connections}\n")).expect("a file");
    let mut command = serve(&dir.join("data"));
    command.arg("--config").arg(config);
    Server::run(command)
}

/// Lets this process have a socket for each client.
fn allow_sockets() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    let wanted = (SLOW as u64 + 500).max(soft).min(hard);
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).expect("within the hard limit");
}

/// The slow clients: every way not to come to an end.
fn slow_clients(address: SocketAddr) -> Vec<TcpStream> {
    let body = format!(
        "POST /v2/droplets HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 1000\r\n\r\n{{\"name\":"
    );
    // Many answers are asked for at once, and none is read.
    let unread = format!("GET {LARGE} HTTP/1.1\r\nhost: h\r\n\r\n").repeat(40);
    let begin = |number: usize| {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(DEADLINE)).expect("a limit");
        let text = match number % 10 {
            0..=4 => "GET /v2/droplets HTTP/1.1\r\nhost: h\r\nx-slow: ",
            5..=6 => &body,
            7..=8 => "",
            _ => &unread,
        };
        stream.write_all(text.as_bytes()).expect("a write");
        stream
    };
    (0..SLOW).map(begin).collect()
}

/// A figure of `/metrics`.
fn figure(server: &Server, name: &str) -> u64 {
    let mut stream = TcpStream::connect(server.address()).expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("a limit");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").expect("a write");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.expect("a figure of this name").parse().expect("a number")
}

#[test]
fn a_thousand_slow_clients_keep_nobody_waiting() {
    allow_sockets();
    let dir = tempfile::tempdir().expect("a directory");
    let server = server(
        dir.path(),
        "head_seconds = 3600\nidle_seconds = 3600\nbody_seconds = 3600\nwrite_seconds = 3600\nmost = 4000",
    );
    let slow = slow_clients(server.address());
    eventually("a place for each", || figure(&server, "dewpoint_connections") > SLOW as u64);

    let client = server.client();
    let mut times: Vec<Duration> = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let began = Instant::now();
        assert_eq!(client.get("/v2/droplets").status, 200);
        times.push(began.elapsed());
    }
    assert!(figure(&server, "dewpoint_connections") > SLOW as u64, "all of them hang on");
    assert_eq!(figure(&server, "dewpoint_connections_cut_off_total"), 0, "nobody waited for them to be cut off");
    times.sort_unstable();
    let (half, most) = (times[REQUESTS / 2], times[REQUESTS * 99 / 100]);
    eprintln!("beside {SLOW} slow clients, a connection each: p50 {half:?}, p99 {most:?}");
    assert!(most < Duration::from_secs(5), "p99 {most:?}");
    drop(slow);
}

#[test]
fn a_thousand_slow_clients_are_all_cut_off() {
    allow_sockets();
    let dir = tempfile::tempdir().expect("a directory");
    let server = server(
        dir.path(),
        "head_seconds = 0.3\nidle_seconds = 0.3\nbody_seconds = 0.3\nwrite_seconds = 0.3\nbody_bytes_per_second = 1000000",
    );
    let slow = slow_clients(server.address());
    eventually("free places", || figure(&server, "dewpoint_connections") <= 1);
    for mut stream in slow {
        let mut told = Vec::new();
        // Bytes that came after the end make it a break.
        match stream.read_to_end(&mut told) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
        }
        let told = String::from_utf8_lossy(&told);
        assert!(told.is_empty() || told.starts_with("HTTP/1.1 408") || told.starts_with("HTTP/1.1 200"), "{told}");
    }
    assert_eq!(server.client().get("/v2/droplets").status, 200);
    assert!(server.terminate().success());
}

#[test]
fn a_client_that_is_served_stays_so_when_there_is_no_place_for_more() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = server(dir.path(), "most = 10");
    let ask = format!("GET /v2/account HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {TOKEN}\r\n\r\n");
    let mut honest = TcpStream::connect(server.address()).expect("a connection");
    honest.set_read_timeout(Some(DEADLINE)).expect("a limit");
    let mut is_served = || {
        honest.write_all(ask.as_bytes()).expect("a write");
        let mut text = String::new();
        while !text.ends_with("}}") {
            let mut buffer = [0; 4096];
            let length = honest.read(&mut buffer).expect("a read");
            assert!(length > 0, "closed after {text:?}");
            text.push_str(std::str::from_utf8(&buffer[..length]).expect("text"));
        }
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    };
    is_served();
    let silent: Vec<TcpStream> = (0..9).map(|_| TcpStream::connect(server.address()).expect("a connection")).collect();
    // They are accepted in the order they came, so the next one is one too many.
    for _ in 0..3 {
        let refused = server.client().get("/v2/account");
        assert_eq!((refused.status, &refused.body["id"]), (503, &"service_unavailable".into()));
        is_served();
    }
    drop(silent);
    eventually("a free place", || server.client().get("/v2/account").status == 200);
    is_served();
}
