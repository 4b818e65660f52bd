//! A Rust test against the simulator, as `docs/simulator.md` shows it.

mod support;

use support::{Server, TOKEN};

/// Asks below `/dew/v1`; the answer's text.
fn steer(url: &str, path: &str, body: &str) -> Result<String, ureq::Error> {
    let request = ureq::post(format!("{url}/dew/v1/{path}")).header("Authorization", format!("Bearer {TOKEN}"));
    request.send(body)?.body_mut().read_to_string()
}

fn sizes(url: &str) -> Result<u16, ureq::Error> {
    let request = ureq::get(format!("{url}/v2/sizes")).header("Authorization", format!("Bearer {TOKEN}"));
    request.call().map(|answer| answer.status().as_u16())
}

fn a_refusal_blows_over(url: &str) -> Result<(), ureq::Error> {
    steer(url, "reset", "")?;
    steer(url, "faults", r#"{ "effect": { "type": "status", "status": 503 }, "path": "/v2/sizes", "count": 1 }"#)?;
    assert!(matches!(sizes(url), Err(ureq::Error::StatusCode(503))));
    assert_eq!(sizes(url)?, 200);
    Ok(())
}

#[test]
fn the_example_of_the_page_holds() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(directory.path());
    let log = server.log();
    let (_, rest) = log.split_once("Serving on ").expect("it says where");
    a_refusal_blows_over(rest.split_whitespace().next().expect("an address")).expect("no other error");
    assert!(server.terminate().success());
}
