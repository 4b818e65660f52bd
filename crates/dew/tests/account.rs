//! `dew account` and `dew token` against a real server: what they print, and what they say when they cannot.

mod support;

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};

use support::{Server, TOKEN, create, ended, said, serve};

/// A command with nothing from the caller's environment but the address of a server and a token.
fn dew(url: &str, token: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dew"));
    command.env_clear().env("DEW_URL", url).env("DEW_TOKEN", token).args(arguments);
    command
}

fn url(server: &Server) -> String {
    format!("http://{}", server.address())
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// What it printed as JSON: an array.
fn objects(output: &Output) -> Vec<Value> {
    let value: Value = serde_json::from_str(&printed(output)).expect("JSON");
    value.as_array().expect("a bare array").clone()
}

/// What it said when it could not; it must have ended with this status, printed no data and not panicked.
fn refusal(status: i32, command: Command) -> String {
    let output = ended(command);
    let text = said(&output);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(status), 0), "{text}");
    assert!(text.contains("dew: ") && !text.contains("panicked"), "{text}");
    text
}

#[test]
fn an_account_is_made_with_a_token_of_its_own_and_sees_nothing_of_others() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path());
    let url = url(&server);
    assert_eq!(server.client().post("/v2/droplets", &create("of-the-admin")).status, 202);
    let output = ended(dew(&url, TOKEN, &["account", "create", "Team A", "--email", "a@example.com"]));
    assert!(said(&output).contains("shown this once"), "{}", said(&output));
    let text = printed(&output);
    let (head, row) = text.split_once('\n').expect("two lines");
    assert_eq!(head.split_whitespace().collect::<Vec<_>>(), ["UUID", "Name", "Email", "Token"]);
    let cells: Vec<&str> = row.split_whitespace().collect();
    let [uuid, "Team", "A", "a@example.com", token] = cells[..] else { panic!("{row}") };
    assert!(uuid.len() == 32 && token.starts_with("dop_v1_"), "{row}");

    let own = |path: &str| server.client().send_as(token, "GET", path, None).expect("an answer");
    assert_eq!(own("/v2/account").body["account"]["uuid"], uuid);
    assert_eq!(own("/v2/droplets").body["meta"]["total"], 0);

    let made = objects(&ended(dew(&url, TOKEN, &["account", "create", "b", "--team-name", "Team B", "-o", "json"])));
    assert_eq!((made.len(), &made[0]["name"], &made[0]["team_name"]), (1, &json!("b"), &json!("Team B")));
    for member in ["uuid", "email", "created_at", "token", "token_id"] {
        assert!(made[0][member].is_string(), "{member}: {}", made[0]);
    }
    let listed = ended(dew(&url, TOKEN, &["account", "list", "-o", "json"]));
    let names: Vec<Value> = objects(&listed).iter().map(|account| account["name"].clone()).collect();
    assert_eq!(names, ["Admin", "Team A", "b"]);
    assert!(!printed(&listed).contains("dop_v1_"));
    let table = printed(&ended(dew(&url, TOKEN, &["account", "list"])));
    assert!(table.starts_with("UUID ") && table.lines().count() == 4 && table.contains("a@example.com"), "{table}");
    assert!(!server.log().contains(token), "no token reaches the log");
}

#[test]
fn more_accounts_than_a_page_holds_are_all_listed() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path());
    for number in 0..200 {
        let made = server.client().post("/dew/v1/accounts", &json!({ "name": format!("n{number}") }));
        assert_eq!(made.status, 201);
    }
    assert_eq!(objects(&ended(dew(&url(&server), TOKEN, &["account", "list", "-o", "json"]))).len(), 201);
}

#[test]
fn a_refusal_says_why_and_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path());
    let url = url(&server);
    let account = &objects(&ended(dew(&url, TOKEN, &["account", "create", "b", "-o", "json"])))[0];
    let other = account["token"].as_str().expect("a token");
    let twice = refusal(1, dew(&url, TOKEN, &["account", "create", "b"]));
    assert!(twice.contains("answered 409: There is an account named \"b\" already."), "{twice}");
    assert!(twice.contains("(request "), "{twice}");
    for (token, words) in [
        ("dop_v1_nobody", ["answered 401", "hint: the token in DEW_TOKEN is not known there"]),
        (other, ["answered 403", "hint: the token in DEW_TOKEN may not do this"]),
    ] {
        let text = refusal(4, dew(&url, token, &["account", "list"]));
        assert!(words.iter().all(|word| text.contains(word)) && !text.contains(token), "{text}");
    }
    let bad = refusal(1, dew(&url, TOKEN, &["account", "create", "c", "--email", "nobody"]));
    assert!(bad.contains("422") && bad.contains("email"), "{bad}");
    let at_no_url = refusal(2, dew("cloud.example.com", TOKEN, &["account", "list"]));
    assert!(at_no_url.contains("DEW_URL: \"cloud.example.com\" is not an address such as https://"), "{at_no_url}");
    assert!(server.terminate().success());
    let gone = refusal(5, dew(&url, TOKEN, &["account", "list"]));
    assert!(gone.contains("cannot ask http://127.0.0.1:") && gone.contains("hint: is `dew serve` running"), "{gone}");
}

#[test]
fn what_is_no_dewpoint_server_is_called_so() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let answering = std::thread::spawn(move || {
        for answer in ["200 OK\r\ncontent-length: 2\r\n\r\nhi", "502 Bad Gateway\r\ncontent-length: 6\r\n\r\n<html>"] {
            let (mut stream, _) = listener.accept().expect("a connection");
            let length = stream.read(&mut [0; 4096]).expect("a request");
            assert!(length > 0);
            stream.write_all(format!("HTTP/1.1 {answer}").as_bytes()).expect("a write");
        }
    });
    for _ in 0..2 {
        let text = refusal(1, dew(&url, TOKEN, &["account", "list"]));
        assert!(text.contains("does not answer as this API does"), "{text}");
    }
    answering.join().expect("no panic");
}

#[test]
fn the_admin_token_of_this_host_is_for_a_server_on_this_host() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().to_str().expect("text");
    let mut command = serve(dir.path());
    command.env_remove("DEW_BOOTSTRAP_TOKEN");
    let server = Server::run(command);
    let without_token = |url: &str, flags: &[&str]| {
        let mut command = dew(url, "", &["account", "list"]);
        command.args(flags);
        command
    };
    assert!(printed(&ended(without_token(&url(&server), &["--data-dir", data]))).contains("Admin"));
    let elsewhere = refusal(4, without_token("https://192.0.2.1", &["--data-dir", data]));
    assert!(elsewhere.contains("there is no token to ask with\nhint: set DEW_TOKEN"), "{elsewhere}");
    let empty = tempfile::tempdir().expect("a directory");
    let nowhere = refusal(4, without_token(&url(&server), &["--data-dir", empty.path().to_str().expect("text")]));
    assert!(nowhere.contains("DEW_TOKEN is not set, and") && nowhere.contains("admin-token"), "{nowhere}");
}

#[test]
fn over_https_the_certificate_has_to_be_known() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = serve(dir.path());
    command.arg("--tls");
    let server = Server::run(command);
    let url = format!("https://localhost:{}", server.address().port());
    let pem = dir.path().join("tls-cert.pem");
    let list = |flags: &[&str], variable: Option<&Path>| {
        let mut command = dew(&url, TOKEN, &["account", "list"]);
        command.args(flags).envs(variable.map(|path| ("SSL_CERT_FILE", path)));
        command
    };
    let empty = tempfile::tempdir().expect("a directory");
    let elsewhere = ["--data-dir", empty.path().to_str().expect("text")];
    for known in [
        list(&["--ca-cert", pem.to_str().expect("text")], None),
        list(&elsewhere, Some(&pem)),
        list(&["--data-dir", dir.path().to_str().expect("text")], None),
    ] {
        assert!(printed(&ended(known)).contains("Admin"));
    }
    let unknown = refusal(5, list(&elsewhere, None));
    assert!(unknown.contains("certificate") && unknown.contains("hint: --ca-cert"), "{unknown}");
    let no_pem = refusal(2, list(&["--ca-cert", dir.path().join("lock").to_str().expect("text")], None));
    assert!(no_pem.contains("no certificate in what was given"), "{no_pem}");
    let plain = refusal(1, dew(&url.replace("https", "http"), TOKEN, &["account", "list"]));
    assert!(plain.contains("Use https:// in the address"), "{plain}");
}

#[test]
fn tokens_are_made_listed_and_revoked() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path());
    let url = url(&server);
    let arguments =
        ["token", "create", "ci", "--scopes", "droplet:read,image:read", "--expires-in", "600", "-o", "json"];
    let made = &objects(&ended(dew(&url, TOKEN, &arguments)))[0];
    let (id, token) = (made["id"].as_str().expect("an id"), made["token"].as_str().expect("a token"));
    assert_eq!(made["scopes"], json!(["droplet:read", "image:read"]));
    assert!(made["expires_at"].is_string());
    let status = |path: &str| server.client().send_as(token, "GET", path, None).expect("an answer").status;
    assert_eq!((status("/v2/droplets"), status("/v2/account")), (200, 403));
    let table = printed(&ended(dew(&url, TOKEN, &["token", "list"])));
    assert!(table.contains("bootstrap") && table.contains("droplet:read,image:read"), "{table}");
    assert!(!table.contains("dop_v1_"), "{table}");
    assert_eq!(printed(&ended(dew(&url, TOKEN, &["token", "revoke", id]))), "");
    assert_eq!(status("/v2/droplets"), 401);
    let again = refusal(3, dew(&url, TOKEN, &["token", "revoke", id]));
    assert!(again.contains("answered 404"), "{again}");
    let unknown = refusal(1, dew(&url, TOKEN, &["token", "create", "x", "--scopes", "droplet:fly"]));
    assert!(unknown.contains("422") && unknown.contains("droplet:fly"), "{unknown}");
}

#[test]
fn no_help_text_shows_the_token() {
    for arguments in [&["account", "--help"][..], &["account", "create", "--help"], &["token", "--help"]] {
        let output = ended(dew("http://127.0.0.1:1", TOKEN, arguments));
        assert!(printed(&output).contains("DEW_TOKEN") || arguments.len() == 3, "{}", printed(&output));
        assert!(!printed(&output).contains(TOKEN));
    }
}
