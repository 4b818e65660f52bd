//! Tokens with the real binary: where they are not kept, how they end, and that revoking one is at once.

mod support;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use support::{Client, DEADLINE, Server, TOKEN, create, eventually, serve};

/// Makes a token; its id and itself.
fn token(client: Client, body: &Value) -> (String, String) {
    let made = client.post("/dew/v1/tokens", body);
    assert_eq!(made.status, 201, "{:?}", made.body);
    let text = |name: &str| made.body[name].as_str().expect("a text").to_owned();
    (text("id"), text("token"))
}

/// Every file below `dir` that holds `text`.
fn holding(dir: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else if fs::read(&path).expect("a file").windows(text.len()).any(|part| part == text.as_bytes()) {
            found.push(path.file_name().expect("a name").to_string_lossy().into_owned());
        }
    }
    found
}

#[test]
fn a_token_is_kept_as_its_hash_and_nowhere_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = serve(dir.path());
    command.env("DEW_LOG", "debug");
    let server = Server::run(command);
    let client = server.client();
    let (_, secret) = token(client, &json!({ "name": "ci" }));
    assert_eq!(client.send_as(&secret, "POST", "/v2/droplets", Some(&create("web-1"))).expect("an answer").status, 202);
    // Where one may end by mistake: a name that does not exist, a query, a body.
    let query = format!("/v2/droplets?token={secret}");
    assert_eq!(client.send_as(&secret, "GET", &query, None).expect("an answer").status, 200);
    assert_eq!(client.send_as(&secret, "DELETE", &query, None).expect("an answer").status, 422);
    let revoked = format!("/dew/v1/tokens?access_token={secret}");
    assert_eq!(
        client.send_as(&secret, "POST", &revoked, Some(&json!({ "scopes": 7 }))).expect("an answer").status,
        422
    );
    let said = server.log();
    assert!(server.terminate().success());

    assert!(!said.contains(&secret) && !said.contains(TOKEN), "the log holds a token");
    assert_eq!(holding(dir.path(), &secret), Vec::<String>::new());
    assert_eq!(holding(dir.path(), TOKEN), Vec::<String>::new());
    let hash: String = Sha256::digest(&secret).iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(holding(dir.path(), &hash).contains(&"dewpoint.db".to_owned()), "its hash is what is kept");
}

#[test]
fn a_token_has_a_prefix_an_end_and_a_last_use() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path());
    let client = server.client();
    let (id, secret) = token(client, &json!({ "name": "ci", "expires_in": 3600 }));
    let random = secret.strip_prefix("dop_v1_").expect("the prefix of a personal token");
    assert!(random.len() == 64 && random.bytes().all(|byte| byte.is_ascii_hexdigit()), "32 bytes in hexadecimal");
    let status = |token: &str| client.send_as(token, "GET", "/v2/account", None).expect("an answer").status;
    let listed = || {
        let tokens = client.get("/dew/v1/tokens").body["tokens"].as_array().expect("a list").clone();
        tokens.into_iter().find(|token| token["id"] == id.as_str()).expect("it is listed")
    };
    assert_eq!(listed()["last_used_at"], Value::Null);
    assert_eq!(status(&secret), 200);
    assert!(listed()["last_used_at"].is_string());
    assert_eq!((status(&secret.to_uppercase()), status(&secret.replace("dop_v1_", "dor_v1_"))), (401, 401));

    let body = json!({ "advance_seconds": 3601 });
    let moved = client.send("PUT", "/dew/v1/clock", Some(&body)).expect("an answer");
    assert_eq!(moved.status, 200, "{:?}", moved.body);
    assert_eq!((status(&secret), status(TOKEN)), (401, 200), "its time is over");
}

/// Asks on an open connection; the status.
fn ask(stream: &mut TcpStream, token: &str) -> u16 {
    let request = format!("GET /v2/account HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a write");
    let mut text = String::new();
    // Both answers end so: an account, and an error without members of its own.
    while !(text.contains("\r\n\r\n") && text.ends_with('}')) {
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).expect("a read");
        assert!(length > 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..length]).expect("text"));
    }
    text.split(' ').nth(1).expect("a status").parse().expect("a number")
}

#[test]
fn a_revoked_token_is_refused_from_the_answer_on_on_open_connections_too() {
    const CLIENTS: usize = 8;
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path());
    let client = server.client();
    let (id, secret) = token(client, &json!({ "name": "ci" }));
    let (revoked, at_work) = (AtomicBool::new(false), AtomicUsize::new(0));
    let hammer = |address: SocketAddr| {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(DEADLINE)).expect("a limit");
        assert_eq!(ask(&mut stream, &secret), 200);
        at_work.fetch_add(1, Ordering::SeqCst);
        loop {
            let is_over = revoked.load(Ordering::SeqCst);
            let status = ask(&mut stream, &secret);
            assert!(status == 401 || !is_over, "asked after the answer to its revocation: {status}");
            if is_over {
                return;
            }
        }
    };
    std::thread::scope(|threads| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| threads.spawn(|| hammer(server.address()))).collect();
        eventually("clients at work", || {
            at_work.load(Ordering::SeqCst) == CLIENTS || clients.iter().any(std::thread::ScopedJoinHandle::is_finished)
        });
        assert_eq!(client.delete(&format!("/dew/v1/tokens/{id}")).status, 204);
        revoked.store(true, Ordering::SeqCst);
    });
    assert_eq!(client.get("/v2/account").status, 200, "others go on");
}
