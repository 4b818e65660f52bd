//! The server over TLS, on real sockets: who is let in, by which protocol, and what becomes of those who do not speak it.

use std::{net::SocketAddr, sync::Arc};

use dewpoint_clock::{Clock as _, SystemClock};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
        version::{TLS12, TLS13},
    },
};

use super::{
    limits::{NEVER, PATIENT, SOON, figure, is_error, is_served, rest, sent, server, until},
    socket::{listening_with, read_until},
};
use crate::{Certificate, ConnectionLimits, Generated, Tls};

/// A certificate for this host, and the same as its server and its clients want it.
fn pair() -> (Generated, Certificate) {
    let hosts = ["localhost", "127.0.0.1"].map(str::to_owned);
    // Clients look at the time of day, so it has to be good today.
    let now = SystemClock.now();
    let made = Generated::new(&hosts, now).expect("a pair");
    let read = Certificate::from_pem(made.certificate.as_bytes(), made.key.as_bytes(), now);
    (made, read.expect("a good pair"))
}

/// What a client that trusts `made` and speaks `versions` gets.
async fn connect(
    address: SocketAddr,
    made: &Generated,
    versions: &[&'static SupportedProtocolVersion],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(made.certificate.as_bytes()).expect("PEM")).expect("a certificate");
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("known versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken_and_links_say_https() {
    let (made, certificate) = pair();
    let (address, server, _stop, _serving) =
        listening_with(super::Server::new().await, Some(Tls::new(&certificate))).await;
    for (version, spoken) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let mut stream = connect(address, &made, &[version]).await.expect("a handshake");
        let connection = stream.get_ref().1;
        assert_eq!(connection.protocol_version(), Some(spoken));
        assert_eq!(connection.alpn_protocol(), Some(&b"http/1.1"[..]));
        is_served(&mut stream).await;
        let token = server.token("full");
        let get = format!("GET /v2/droplets HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n");
        stream.write_all(get.as_bytes()).await.expect("a write");
        let answer = read_until(&mut stream, "\"meta\"").await;
        assert!(answer.contains("\"https://localhost/v2/droplets?page=2\""), "PAG-8: {answer}");
    }
}

#[tokio::test]
async fn who_does_not_know_the_certificate_does_not_talk_to_it() {
    let ((_, certificate), (other, _)) = (pair(), pair());
    let (address, _server, _stop, _serving) = listening_with(server(PATIENT).await, Some(Tls::new(&certificate))).await;
    let error = connect(address, &other, &[&TLS13]).await.expect_err("another certificate");
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
}

#[tokio::test]
async fn plain_http_to_a_port_of_tls_is_a_400_that_says_what_to_do() {
    let (made, certificate) = pair();
    let (address, _server, _stop, _serving) = listening_with(server(PATIENT).await, Some(Tls::new(&certificate))).await;
    let body = "x".repeat(10_000);
    for request in [
        "GET /v2/droplets HTTP/1.1\r\nhost: h\r\n\r\n".to_owned(),
        format!("POST /v2/droplets HTTP/1.1\r\nhost: h\r\ncontent-length: 10000\r\n\r\n{body}"),
    ] {
        let mut stream = sent(address, &request).await;
        stream.shutdown().await.expect("its own half");
        let body = is_error(&rest(&mut stream).await, 400, "bad_request");
        assert!(body["message"].as_str().is_some_and(|text| text.contains("https://")), "{body}");
    }
    is_served(&mut connect(address, &made, &[&TLS13]).await.expect("a handshake")).await;
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_cut_off() {
    let (_, certificate) = pair();
    let limits = ConnectionLimits { handshake_time: SOON, ..PATIENT };
    let (address, server, _stop, _serving) = listening_with(server(limits).await, Some(Tls::new(&certificate))).await;
    // Nothing at all, and the beginning of a handshake.
    for (count, beginning) in [(1, ""), (2, "\x16\x03\x01\x02\x00\x01")] {
        let mut stream = sent(address, beginning).await;
        assert_eq!(rest(&mut stream).await, "");
        assert_eq!(figure(&server, "dewpoint_connections_cut_off_total"), count);
    }
    until("free place", || figure(&server, "dewpoint_connections") == 0).await;
}

#[tokio::test]
async fn the_limits_hold_inside_tls_too() {
    let (made, certificate) = pair();
    let limits = ConnectionLimits { most: 2, head_time: SOON, ..PATIENT };
    let (address, server, _stop, _serving) = listening_with(server(limits).await, Some(Tls::new(&certificate))).await;
    let mut honest = connect(address, &made, &[&TLS13]).await.expect("a handshake");
    is_served(&mut honest).await;
    let mut slow = connect(address, &made, &[&TLS13]).await.expect("a handshake");
    slow.write_all(b"GET /open HTTP/1.1\r\n").await.expect("a write");
    assert_eq!(slow.read(&mut [0; 16]).await.unwrap_or_default(), 0, "cut off");
    until("free place", || figure(&server, "dewpoint_connections") == 1).await;
    let _silent = connect(address, &made, &[&TLS13]).await.expect("a handshake");
    assert!(connect(address, &made, &[&TLS13]).await.is_err(), "one too many is closed without a word");
    is_served(&mut honest).await;
}

#[tokio::test]
async fn another_certificate_is_for_who_connects_after_it() {
    let ((first, certificate), (second, renewed)) = (pair(), pair());
    let tls = Tls::new(&certificate);
    let limits = ConnectionLimits { handshake_time: NEVER, ..PATIENT };
    let (address, _server, _stop, _serving) = listening_with(server(limits).await, Some(tls.clone())).await;
    let mut before = connect(address, &first, &[&TLS13]).await.expect("a handshake");
    tls.show(&renewed);
    is_served(&mut connect(address, &second, &[&TLS13]).await.expect("a handshake")).await;
    assert!(connect(address, &first, &[&TLS13]).await.is_err(), "the first is shown no more");
    is_served(&mut before).await;
}
