//! Connections: certificates, and what happens to them when a call is given up.

use std::time::Duration;

use dewpoint_client::{Client, Error, testing::Simulator};
use tokio::{io::AsyncReadExt as _, net::TcpListener, time::timeout};

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn dropping_a_call_closes_its_connection_and_sends_nothing_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let client = Client::builder().base_url(url).token("t").build().unwrap();
    let mut call = Box::pin(client.droplets().list().into_future());
    let mut head = vec![0; 4096];
    let mut stream = tokio::select! {
        ended = &mut call => panic!("nobody has answered: {ended:?}"),
        accepted = listener.accept() => accepted.unwrap().0,
    };
    tokio::select! {
        ended = &mut call => panic!("nobody has answered: {ended:?}"),
        read = stream.read(&mut head) => assert!(read.unwrap() > 0),
    }
    drop(call);
    let end = timeout(PATIENCE, stream.read(&mut head)).await.expect("it is closed when the call is dropped");
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    drop(client);
}

#[tokio::test]
async fn a_certificate_of_ones_own_is_trusted_once_it_is_named() {
    let simulator = Simulator::setup().secure().start().unwrap();
    assert!(simulator.url().starts_with("https://"));
    simulator.client().account().get().await.unwrap();
    let stranger = Client::builder().base_url(simulator.url()).token(simulator.token()).retries(0).build().unwrap();
    let error = stranger.account().get().await.unwrap_err();
    assert!(matches!(&error, Error::Connection(broken) if !broken.was_sent), "{error:?}");
    assert!(error.to_string().contains("certificate"), "{error}");
}
