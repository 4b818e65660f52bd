//! `dew logs` and `dew console`, at a server that keeps no files here.

use std::io::Read as _;

use serde_json::json;

use super::{Scene, dew};

#[test]
fn logs_come_from_the_server_and_go_on_until_the_droplet_is_off() {
    let scene = Scene::start();
    let create = ["droplet", "create", "--size", "s-1vcpu-1gb", "--image", "ubuntu-24-04-x64", "--region", "nyc3"];
    let made = scene.objects(&[&create[..], &["--wait", "web"]].concat());
    let path = format!("/dew/v1/droplets/{}/console", made[0]["id"]);
    let types = |input: &str| {
        let body = scene.home().join("typed.json");
        std::fs::write(&body, json!({ "input": input }).to_string()).expect("written");
        scene.prints(&["api", "POST", &path, "--body", body.to_str().expect("text")]);
    };
    assert!(scene.refuses(3, &["logs", "web"]).contains("web has written nothing yet"));

    let mut follows =
        dew(&scene.server.url(), scene.home()).args(["logs", "web", "--follow"]).spawn().expect("it runs");
    let mut out = follows.stdout.take().expect("its output");
    let mut text = [0; 5];
    types("\u{1b}[2Jh\r\n");
    out.read_exact(&mut text).expect("read");
    assert_eq!(&text, b"[2Jh\n", "what steers a terminal is left out");
    types("é\n");
    out.read_exact(&mut text[..3]).expect("read");
    assert_eq!(&text[..3], "é\n".as_bytes());
    assert_eq!(scene.prints(&["logs", "web"]), "[2Jh\né\n");

    scene.prints(&["droplet-action", "power-off", "web", "--wait"]);
    assert!(follows.wait().expect("it ended").success());
    assert_eq!(scene.prints(&["logs", "web", "--follow"]), "[2Jh\né\n");
}

#[test]
fn a_console_wants_a_terminal() {
    let text = super::scene().refuses(2, &["console", "web"]);
    assert!(text.contains("needs a terminal") && text.contains("dew logs web --follow"), "{text}");
}
