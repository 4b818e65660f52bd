//! HTTPS with the real binary: a certificate of its own, a given one, and what is said when one cannot be used.

mod support;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use dewpoint_clock::{Clock as _, SystemClock, Timestamp};
use dewpoint_server::Generated;
use nix::sys::signal::Signal;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use support::{DEADLINE, Server, TOKEN, ended, eventually, said, serve};

/// `dew serve` over `data_dir` with these flags.
fn with(data_dir: &Path, flags: &[&str]) -> Command {
    let mut command = serve(data_dir);
    command.args(flags);
    command
}

/// The status of a request over HTTPS by a client that trusts the certificate in `pem` and nothing else.
fn status(server: &Server, pem: &str) -> Result<u16, ureq::Error> {
    let root = Certificate::from_pem(pem.as_bytes()).expect("a certificate");
    let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[root])).build();
    let config =
        ureq::Agent::config_builder().tls_config(tls).http_status_as_error(false).timeout_global(Some(DEADLINE));
    let url = format!("https://localhost:{}/v2/account", server.address().port());
    let bearer = format!("Bearer {TOKEN}");
    let answer = config.build().new_agent().get(url).header("authorization", &bearer).call()?;
    Ok(answer.status().as_u16())
}

fn fingerprint(log: &str) -> &str {
    let (_, rest) = log.split_once("SHA-256 ").expect("it says which certificate it shows");
    rest.split(',').next().expect("a fingerprint")
}

#[test]
fn a_server_makes_a_certificate_for_itself_once_and_says_how_to_trust_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = Server::run(with(dir.path(), &["--tls"]));
    let (path, key) = (dir.path().join("tls-cert.pem"), dir.path().join("tls-key.pem"));
    let mode = |path: &PathBuf| fs::metadata(path).expect("a file").permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&key)), (0o644, 0o600));
    let pem = fs::read_to_string(&path).expect("the certificate");
    assert_eq!(status(&first, &pem).expect("who trusts it is answered"), 200);
    let other = Generated::new(&["localhost".to_owned()], SystemClock.now()).expect("a pair");
    assert!(status(&first, &other.certificate).is_err(), "who does not trust it does not ask");
    let log = first.log();
    for word in ["Serving on https://127.0.0.1:", "localhost, 127.0.0.1, ::1", "SSL_CERT_FILE=", "REQUESTS_CA_BUNDLE="]
    {
        assert!(log.contains(word), "{word}: {log}");
    }
    assert!(!log.contains("PRIVATE KEY"));
    let shown = fingerprint(&log).to_owned();
    assert_eq!(shown.len(), 32 * 3 - 1, "{shown}");
    assert!(first.terminate().success());

    let second = Server::run(with(dir.path(), &["--tls"]));
    assert_eq!(fingerprint(&second.log()), shown, "it is kept");
    assert_eq!(status(&second, &pem).expect("still trusted"), 200);
    assert!(second.terminate().success());

    let third = Server::run(with(dir.path(), &["--tls", "--public-url", "https://cloud.example.com"]));
    assert_ne!(fingerprint(&third.log()), shown, "it was not for this name");
    assert!(third.log().contains("not for cloud.example.com"), "{}", third.log());
    assert!(status(&third, &pem).is_err());
    assert!(third.terminate().success());

    fs::write(&key, "half of a k").expect("our own file");
    let fourth = Server::run(with(dir.path(), &["--tls", "--public-url", "https://cloud.example.com"]));
    assert!(fourth.log().contains("of no use any longer"), "{}", fourth.log());
    let pem = fs::read_to_string(&path).expect("the certificate");
    assert_eq!(status(&fourth, &pem).expect("a new one"), 200);
}

#[test]
fn plain_http_is_told_where_it_is_wrong() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::run(with(dir.path(), &["--tls"]));
    let mut stream = TcpStream::connect(server.address()).expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("a limit");
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").expect("a write");
    stream.shutdown(std::net::Shutdown::Write).expect("its own half");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("Use https:// in the address"), "{answer}");
}

/// A certificate made at `made`, as files of a name in `dir`.
fn files(dir: &Path, name: &str, made: Timestamp) -> (Generated, String, String) {
    let pair = Generated::new(&["localhost".to_owned()], made).expect("a pair");
    let path = |end: &str| dir.join(format!("{name}.{end}"));
    fs::write(path("pem"), &pair.certificate).expect("a file");
    fs::write(path("key"), &pair.key).expect("a file");
    fs::set_permissions(path("key"), fs::Permissions::from_mode(0o600)).expect("our own file");
    let text = |path: PathBuf| path.to_str().expect("text").to_owned();
    (pair, text(path("pem")), text(path("key")))
}

#[test]
fn a_given_certificate_is_read_again_when_it_changes_and_when_asked_to() {
    let dir = tempfile::tempdir().expect("a directory");
    let (first, cert, key) = files(dir.path(), "given", SystemClock.now());
    let server = Server::run(with(&dir.path().join("data"), &["--tls-cert", &cert, "--tls-key", &key]));
    assert_eq!(status(&server, &first.certificate).expect("trusted"), 200);
    let said_anew = |server: &Server| server.log().matches("see the certificate anew").count();
    assert_eq!(said_anew(&server), 0);

    server.signal(Signal::SIGHUP);
    eventually("answer to SIGHUP", || said_anew(&server) == 1);

    // A key of another certificate: what is shown stays.
    let other = files(dir.path(), "other", SystemClock.now()).0;
    fs::write(&key, &other.key).expect("our own file");
    eventually("complaint", || server.log().contains("so the one before is kept: --tls-key"));
    assert_eq!(status(&server, &first.certificate).expect("still trusted"), 200);

    fs::write(&cert, &other.certificate).expect("our own file");
    eventually("new certificate", || status(&server, &other.certificate).is_ok());
    assert!(status(&server, &first.certificate).is_err(), "the first is shown no more");
    assert!(server.terminate().success());
}

#[test]
fn a_certificate_that_cannot_be_used_is_named_with_the_reason() {
    let dir = tempfile::tempdir().expect("a directory");
    let now = SystemClock.now();
    let (_, cert, key) = files(dir.path(), "good", now);
    let (_, other_cert, other_key) = files(dir.path(), "other", now);
    let day = Duration::from_secs(24 * 3600);
    let (_, ended_cert, ended_key) = files(dir.path(), "ended", now - day * 1000);
    let (_, early_cert, early_key) = files(dir.path(), "early", now + day * 100);
    let missing = dir.path().join("missing.pem").to_str().expect("text").to_owned();
    let config = dir.path().join("dew.toml");
    fs::write(&config, "[tls]\ncert = \"missing.pem\"\nkey = \"good.key\"\n").expect("a file");
    for (flags, words) in [
        (&["--tls-cert", &cert, "--tls-key", &other_key][..], ["--tls-key", "other.key: the private key is not the"]),
        (&["--tls-cert", &key, "--tls-key", &key], ["--tls-cert", "there is no certificate in it"]),
        (&["--tls-cert", &cert, "--tls-key", &other_cert], ["--tls-key", "there is no private key in it"]),
        (&["--tls-cert", &ended_cert, "--tls-key", &ended_key], ["ended.pem: the certificate ended at 20", "renew it"]),
        (&["--tls-cert", &early_cert, "--tls-key", &early_key], ["early.pem: the certificate begins at 20", "clock"]),
        (&["--tls-cert", &missing, "--tls-key", &key], ["--tls-cert", "missing.pem: No such file"]),
        (&["--tls-cert", &cert], ["--tls-cert", "give --tls-key"]),
        (&["--tls-key", &key], ["--tls-key", "give --tls-cert"]),
        (&["--config", config.to_str().expect("text")], ["--tls-cert", "missing.pem: No such file"]),
    ] {
        let output = ended(with(&dir.path().join("data"), flags));
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{flags:?}: {text}");
        assert!(words.iter().all(|word| text.contains(word)) && !text.contains("panicked"), "{flags:?}: {text}");
    }
}

#[test]
fn who_listens_to_the_world_without_tls_is_warned() {
    let dir = tempfile::tempdir().expect("a directory");
    // An address for documents, which no host has: it says what it has to say and then cannot listen.
    for (flags, warned) in [
        (&["--listen", "192.0.2.1:8080"][..], true),
        (&["--listen", "192.0.2.1:8080", "--tls"], false),
        (&["--listen", "192.0.2.1:8080", "--public-url", "https://cloud.example.com"], false),
        (&["--listen", "192.0.2.1:8080", "--public-url", "http://cloud.example.com"], true),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dew"));
        command.env_clear().env("DEW_BOOTSTRAP_TOKEN", TOKEN);
        let output = ended({
            command.args(["serve", "--engine", "sim", "--data-dir"]).arg(dir.path()).args(flags);
            command
        });
        let text = said(&output);
        assert!(text.contains("cannot listen on 192.0.2.1:8080"), "{text}");
        assert_eq!(text.contains("travel unencrypted"), warned, "{flags:?}: {text}");
    }
    let server = Server::start(dir.path());
    assert!(!server.log().contains("travel unencrypted"), "loopback is this host's own");
}
