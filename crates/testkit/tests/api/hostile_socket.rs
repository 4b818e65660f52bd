//! What comes over the wire and is no honest HTTP: refused, and nothing behind it on the connection taken for a request.

use std::net::SocketAddr;

use dewpoint_testkit::TestApp;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Puts the server on a port of its own while `test` runs.
async fn served(test: impl AsyncFnOnce(&TestApp, SocketAddr)) {
    let app = TestApp::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let edge = app.edge().clone();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(dewpoint_server::serve(listener, None, edge, async { drop(stopped.await) }));
    test(&app, address).await;
    drop(stop);
    serving.await.expect("no panic").expect("an orderly end");
}

/// One answer off the wire.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    /// An answer of the application's own: the one shape of errors.
    #[track_caller]
    fn is_ours(&self, status: u16, id: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let body: Value = serde_json::from_str(&self.body).expect("JSON");
        assert_eq!(body["id"], id, "{self:?}");
        assert!(body["request_id"].as_str().is_some_and(|id| self.head.contains(id)), "{self:?}");
    }
}

/// Who is to end a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// The server, of itself.
    There,
    /// We, since the server has to wait for more.
    Here,
}

/// Sends these bytes and reads every answer until the server closes.
async fn exchange(address: SocketAddr, bytes: &[u8], ends: Ends) -> Vec<Reply> {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    // A server that has refused may close before all of it was sent: then what it said is still there to read, or was lost.
    let _ = stream.write_all(bytes).await;
    if ends == Ends::Here {
        let _ = stream.shutdown().await;
    }
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text).await;
    replies(&text)
}

fn replies(mut text: &[u8]) -> Vec<Reply> {
    let mut found = Vec::new();
    while !text.is_empty() {
        let end = text.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head") + 4;
        let head = String::from_utf8(text[..end].to_vec()).expect("a head is text").to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse::<usize>().expect("a length"));
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
        let body = String::from_utf8(text[end..end + length].to_vec()).expect("a body is text");
        text = &text[end + length..];
        if status != 100 {
            found.push(Reply { status, head, body });
        }
    }
    found
}

/// A request that would make a tag, behind one that is to end the connection.
fn smuggled(app: &TestApp) -> String {
    let body = r#"{"name":"smuggled"}"#;
    let token = app.admin().token().to_owned();
    format!(
        "POST /v2/tags HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn post(app: &TestApp, headers: &str, body: &str) -> String {
    let token = app.admin().token().to_owned();
    format!("POST /v2/tags HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n{headers}\r\n{body}")
}

async fn tags(app: &TestApp) -> Vec<Value> {
    app.admin().all("/v2/tags", "tags").await.iter().map(|tag| tag["name"].clone()).collect()
}

#[tokio::test]
async fn a_body_whose_length_is_said_in_two_ways_ends_the_connection() {
    served(async |app, address| {
        let body = r#"{"name":"a"}"#;
        let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
        for (what, headers, body) in [
            ("two lengths", "Content-Length: 12\r\nContent-Length: 0\r\n", body),
            ("two lengths in one", "Content-Length: 12, 0\r\n", body),
            ("a signed length", "Content-Length: +12\r\n", body),
            ("a negative length", "Content-Length: -1\r\n", body),
            ("a hexadecimal length", "Content-Length: 0xc\r\n", body),
            ("a length past 64 bits", "Content-Length: 99999999999999999999\r\n", body),
            ("no length", "Content-Length: \r\n", body),
            ("an encoding nobody knows", "Transfer-Encoding: xchunked\r\n", &chunked),
            ("an encoding after the chunks", "Transfer-Encoding: chunked, identity\r\n", &chunked),
            ("chunked by another name", "Transfer-Encoding: \"chunked\"\r\n", &chunked),
            ("chunked before a blank", "Transfer-Encoding : chunked\r\n", &chunked),
            ("chunked behind a tab's fold", "Transfer-Encoding:\r\n\tchunked\r\n", &chunked),
        ] {
            let sent = post(app, headers, body) + &smuggled(app);
            let answers = exchange(address, sent.as_bytes(), Ends::There).await;
            assert_eq!(answers.len(), 1, "{what}: {answers:?}");
            assert_eq!(answers[0].status, 400, "{what}: {answers:?}");
            assert_eq!(tags(app).await, [Value::Null; 0], "{what}");
        }
        // The chunks count, whichever comes first, and the connection ends: RFC 9112, 6.1.
        for headers in [
            "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
            "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        ] {
            let sent = post(app, headers, &chunked) + &smuggled(app);
            let answers = exchange(address, sent.as_bytes(), Ends::There).await;
            assert_eq!(answers.len(), 1, "{answers:?}");
            assert!(answers[0].status == 201 && answers[0].head.contains("connection: close"), "{answers:?}");
        }
        assert_eq!(tags(app).await, ["a"]);
    })
    .await;
}

#[tokio::test]
async fn chunks_of_odd_sizes_are_one_body_and_broken_ones_are_none() {
    served(async |app, address| {
        let body = r#"{"name":"a"}"#;
        let single: String = body.chars().map(|one| format!("1\r\n{one}\r\n")).collect();
        for (what, chunks) in [
            ("a byte each", format!("{single}0\r\n\r\n")),
            ("zeros before the size", format!("000000{:X}\r\n{body}\r\n000\r\n\r\n", body.len())),
            ("an extension", format!("{:x};name=\"value\"\r\n{body}\r\n0;last\r\n\r\n", body.len())),
            ("a trailer", format!("{:x}\r\n{body}\r\n0\r\nAuthorization: Bearer other\r\n\r\n", body.len())),
        ] {
            let sent = post(app, "Transfer-Encoding: chunked\r\n", &chunks)
                + "GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
            let answers = exchange(address, sent.as_bytes(), Ends::There).await;
            let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
            assert_eq!(statuses, [201, 200], "{what}: {answers:?}");
        }
        assert_eq!(tags(app).await, ["a"]);
        app.admin().delete("/v2/tags/a").await.expect(204);

        for (ends, what, chunks) in [
            (Ends::There, "a size past 64 bits", "10000000000000000f\r\n".to_owned()),
            (Ends::Here, "a size of 2^64 - 1", "ffffffffffffffff\r\n{}".to_owned()),
            (Ends::There, "no size", format!("\r\n{body}\r\n0\r\n\r\n")),
            (Ends::There, "a negative size", format!("-c\r\n{body}\r\n0\r\n\r\n")),
            (Ends::There, "a size with a prefix", format!("0xc\r\n{body}\r\n0\r\n\r\n")),
            (Ends::There, "more than was said", format!("2\r\n{body}\r\n0\r\n\r\n")),
            (Ends::Here, "less than was said", format!("ff\r\n{body}\r\n0\r\n\r\n")),
            (Ends::There, "no end", format!("{:x}\r\n{body}\r\n", body.len())),
            (Ends::There, "an endless extension", format!("1;{}\r\n", "a".repeat(100_000))),
            (Ends::There, "endless trailers", format!("0\r\n{}\r\n", "a: b\r\n".repeat(20_000))),
        ] {
            let sent = post(app, "Transfer-Encoding: chunked\r\n", &chunks) + &smuggled(app);
            let answers = exchange(address, sent.as_bytes(), ends).await;
            assert!(answers.len() <= 1, "{what}: {answers:?}");
            if let [answer] = &answers[..] {
                answer.is_ours(400, "bad_request");
            }
            assert_eq!(tags(app).await, [Value::Null; 0], "{what}");
        }
    })
    .await;
}

#[tokio::test]
async fn heads_that_are_no_heads_are_refused_and_end_the_connection() {
    served(async |app, address| {
        let many: String = (0..200).map(|number| format!("x-{number}: y\r\n")).collect();
        let long = "a".repeat(300_000);
        for (what, head, status) in [
            ("no HTTP", "hello\r\n\r\n".to_owned(), 400),
            ("no version", "GET /v2/account\r\nHost: h\r\n\r\n".to_owned(), 400),
            ("another version", "GET /v2/account HTTP/3.0\r\nHost: h\r\n\r\n".to_owned(), 400),
            ("a request of TLS", "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03\r\n\r\n".to_owned(), 400),
            ("a blank before the colon", "GET /v2/account HTTP/1.1\r\nHost : h\r\n\r\n".to_owned(), 400),
            ("a folded line", "GET /v2/account HTTP/1.1\r\nHost: h\r\nx: a\r\n b\r\n\r\n".to_owned(), 400),
            ("a zero byte", "GET /v2/account HTTP/1.1\r\nHost: h\r\nx: a\0b\r\n\r\n".to_owned(), 400),
            ("a bare carriage return", "GET /v2/account HTTP/1.1\r\nHost: h\r\nx: a\rb\r\n\r\n".to_owned(), 400),
            ("a header without a name", "GET /v2/account HTTP/1.1\r\nHost: h\r\n: a\r\n\r\n".to_owned(), 400),
            ("a path with a blank", "GET /v2/a b HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 400),
            ("a path with a control character", "GET /v2/\x01 HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), 400),
            ("two hosts", "GET /v2/account HTTP/1.1\r\nHost: h\r\nHost: other\r\n\r\n".to_owned(), 400),
            ("two hundred headers", format!("GET /v2/account HTTP/1.1\r\nHost: h\r\n{many}\r\n"), 431),
            ("a header of 300 kB", format!("GET /v2/account HTTP/1.1\r\nHost: h\r\nx: {long}\r\n\r\n"), 431),
            ("a path of 300 kB", format!("GET /v2/{long} HTTP/1.1\r\nHost: h\r\n\r\n"), 431),
        ] {
            let answers = exchange(address, (head + &smuggled(app)).as_bytes(), Ends::There).await;
            // One that closes while bytes are still coming may lose its answer on the way; it never gives two.
            assert!(answers.len() <= 1, "{what}: {answers:?}");
            assert!(answers.iter().all(|answer| answer.status == status), "{what}: {answers:?}");
            assert_eq!(tags(app).await, [Value::Null; 0], "{what}");
        }
    })
    .await;
}

#[tokio::test]
async fn paths_written_in_full_or_strangely_are_the_same_paths() {
    served(async |app, address| {
        let token = app.admin().token().to_owned();
        for (line, status) in [
            ("GET http://elsewhere.example/v2/account HTTP/1.1", 200),
            ("GET http://elsewhere.example HTTP/1.1", 404),
            ("GET /v2/account#fragment HTTP/1.1", 200),
            ("GET /v2/account? HTTP/1.1", 200),
            ("GET /v2/account/ HTTP/1.0", 200),
            ("HEAD /v2/account HTTP/1.1", 200),
            ("GET //elsewhere.example/v2/account HTTP/1.1", 404),
            ("GET /v2/../v2/account HTTP/1.1", 404),
            ("CONNECT elsewhere.example:443 HTTP/1.1", 404),
            ("OPTIONS * HTTP/1.1", 204),
            ("TRACE /v2/account HTTP/1.1", 405),
        ] {
            let sent = format!("{line}\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n");
            let mut stream = TcpStream::connect(address).await.expect("a connection");
            stream.write_all(sent.as_bytes()).await.expect("it is taken");
            let mut text = Vec::new();
            stream.read_to_end(&mut text).await.expect("it is answered");
            let text = String::from_utf8(text).expect("text");
            assert!(
                text.starts_with(&format!("HTTP/1.{} {status}", u8::from(!line.ends_with("1.0")))),
                "{line}: {text}"
            );
            assert!(!text.contains(&token), "nothing is traced back: {line}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_refusal_leaves_no_body_behind_for_the_next_request_on_the_connection() {
    served(async |app, address| {
        let token = app.admin().token().to_owned();
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("small pieces go out at once");
        for (line, token, id) in [
            ("POST /v2/nothing HTTP/1.1", token.as_str(), "not_found"),
            ("PATCH /v2/tags HTTP/1.1", token.as_str(), "method_not_allowed"),
            ("POST /v2/tags HTTP/1.1", "nobody", "unauthorized"),
            ("DELETE /v2/tags/none HTTP/1.1", token.as_str(), "not_found"),
        ]
        .repeat(25)
        {
            let body = r#"{"name":"a"}"#;
            let head =
                format!("{line}\r\nHost: h\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).await.expect("the head goes out");
            tokio::task::yield_now().await;
            stream.write_all(body.as_bytes()).await.expect("the connection is still there for the body");
            let mut text = Vec::new();
            while !text.ends_with(b"}") {
                let read = stream.read_buf(&mut text).await.expect("a read");
                assert!(read > 0, "closed without a word at {line}");
            }
            let [answer] = &replies(&text)[..] else { panic!("one answer") };
            assert!(answer.body.contains(id) && !answer.head.contains("connection: close"), "{line}: {answer:?}");
        }

        // What never comes, or is held back until somebody wants it, ends the connection with the answer, and says so.
        for headers in ["Content-Length: 2000000\r\nExpect: 100-continue\r\n", "Content-Length: 3\r\n"] {
            let mut stream = TcpStream::connect(address).await.expect("a connection");
            let head = format!("POST /v2/nothing HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
            stream.write_all(head.as_bytes()).await.expect("the head goes out");
            let mut text = Vec::new();
            stream.read_to_end(&mut text).await.expect("it is answered and closed");
            let [answer] = &replies(&text)[..] else { panic!("one answer") };
            answer.is_ours(404, "not_found");
            assert!(answer.head.contains("connection: close"), "{answer:?}");
        }
    })
    .await;
}
