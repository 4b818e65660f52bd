//! What the SDK adds to a call: the same request to the same server on loopback, by turns with it and with reqwest alone.
//!
//! `make bench-client`. The server is a loop that answers at once with the same bytes, so that what is left is the clients.
#![expect(clippy::print_stdout, reason = "it tells what it measured")]

use std::{
    net::SocketAddr,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use dewpoint_api::{Account, Single};
use dewpoint_client::Client;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

const ROUNDS: usize = 10_000;
const BODY: &str = r#"{"account":{"droplet_limit":25,"floating_ip_limit":5,"reserved_ip_limit":5,"volume_limit":10,
"email":"me@example.com","name":"Me","uuid":"b6fr89dbf6d9156cace5f3c78dc9851d957381ef","email_verified":true,"status":"active",
"status_message":" ","team":{"uuid":"5df3e3004a17e242b7c20ca6c9fc25b701a47ece","name":"My Team"}}}"#;

fn main() -> Result<()> {
    let address = serve()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(address))
}

async fn measure(address: SocketAddr) -> Result<()> {
    let url = format!("http://{address}/v2/account");
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let plain = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().tcp_nodelay(true).build()?;
    let client = Client::builder().base_url(format!("http://{address}")).token("dop_v1_of-the-bench").build()?;
    let (mut by_plain, mut by_client) = (Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS));
    for round in 0..ROUNDS + 500 {
        let began = Instant::now();
        let request = plain.get(&url).header("authorization", "Bearer dop_v1_of-the-bench");
        let body = request.timeout(Duration::from_secs(60)).send().await?.bytes().await?;
        let Single(account) = serde_json::from_slice::<Single<Account>>(&body)?;
        let alone = began.elapsed();
        let began = Instant::now();
        let same = client.account().get().await?;
        let with_us = began.elapsed();
        anyhow::ensure!(*same == account, "both read the same");
        // The first ones warm caches and connections.
        if round >= 500 {
            by_plain.push(alone);
            by_client.push(with_us);
        }
    }
    let (alone, with_us) = (percentiles(by_plain), percentiles(by_client));
    println!("a GET over loopback, {ROUNDS} times by turns; microseconds: half, nine tenths, 99 of 100 are at most");
    println!("  reqwest and serde_json   {:>7.1} {:>7.1} {:>7.1}", alone[0], alone[1], alone[2]);
    println!("  dewpoint-client          {:>7.1} {:>7.1} {:>7.1}", with_us[0], with_us[1], with_us[2]);
    println!("  what it adds             {:>7.1} {:>7.1}", with_us[0] - alone[0], with_us[1] - alone[1]);
    Ok(())
}

fn percentiles(mut times: Vec<Duration>) -> [f64; 3] {
    times.sort_unstable();
    [50, 90, 99].map(|percent| times[times.len() * percent / 100].as_secs_f64() * 1e6)
}

/// A server on a thread of its own.
fn serve() -> Result<SocketAddr> {
    let (told, address) = mpsc::channel();
    thread::spawn(move || -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            told.send(listener.local_addr()?)?;
            loop {
                tokio::spawn(answer(listener.accept().await?.0));
            }
        })
    });
    address.recv().context("the server did not start")
}

async fn answer(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nx-request-id: r\r\n\r\n{BODY}",
        BODY.len()
    );
    let mut buffer = [0; 4096];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        anyhow::ensure!(read > 0, "the client has gone");
        filled += read;
        // A GET has no body: an empty line is its end.
        if buffer[..filled].ends_with(b"\r\n\r\n") {
            stream.write_all(answer.as_bytes()).await?;
            filled = 0;
        }
    }
}
