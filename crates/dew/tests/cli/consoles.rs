//! `dew logs` and `dew console`, at a server that keeps no files here.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::AsFd as _,
    process::Stdio,
};

use nix::{
    poll::{PollFd, PollFlags, poll},
    pty::{OpenptyResult, openpty},
    sys::termios::tcgetattr,
};
use serde_json::json;

use super::{Scene, dew, scene};

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
    let text = scene().refuses(2, &["console", "web"]);
    assert!(text.contains("needs a terminal") && text.contains("dew logs web --follow"), "{text}");
}

/// Reads until these bytes have come, and panics if they do not.
fn until(terminal: &mut File, last: &[u8]) {
    let (mut seen, mut buffer) = (Vec::new(), [0; 1024]);
    while !seen.windows(last.len()).any(|part| part == last) {
        let mut waits = [PollFd::new(terminal.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut waits, 60_000_u16).expect("a look");
        assert_eq!(ready, 1, "not {last:?} in {}", String::from_utf8_lossy(&seen));
        let read = terminal.read(&mut buffer).expect("read");
        seen.extend_from_slice(&buffer[..read]);
    }
}

#[test]
fn a_console_hands_on_every_key_until_it_is_left_and_leaves_the_terminal_as_it_was() {
    let scene = scene();
    let create = ["droplet", "create", "--size", "s-1vcpu-1gb", "--image", "ubuntu-24-04-x64", "--region", "nyc3"];
    scene.prints(&[&create[..], &["--wait", "typed-1"]].concat());
    let OpenptyResult { master, slave } = openpty(None, None).expect("a terminal");
    let (before, mut terminal) = (tcgetattr(&slave).expect("its settings"), File::from(master));
    let begins = || {
        let end = || Stdio::from(slave.try_clone().expect("one more"));
        dew(&scene.server.url(), scene.home())
            .args(["console", "typed-1"])
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
    };
    let mut console = begins().expect("it runs");
    // Said when the terminal hands on every key.
    until(&mut terminal, b"Ctrl-] leaves it");
    terminal.write_all("h\u{e9}\u{3}\u{1b}[A\r".as_bytes()).expect("typed");
    until(&mut terminal, "h\u{e9}\u{3}\u{1b}[A\r".as_bytes());
    terminal.write_all(b"bye\x1d").expect("typed");
    assert!(console.wait().expect("it ended").success());
    assert_eq!(tcgetattr(&slave).expect("its settings"), before);

    let mut console = begins().expect("it runs");
    until(&mut terminal, b"[A\rbye");
    scene.prints(&["droplet-action", "power-off", "typed-1", "--wait"]);
    until(&mut terminal, b"the console of typed-1 ended");
    assert_eq!(console.wait().expect("it ended").code(), Some(1));
    assert_eq!(tcgetattr(&slave).expect("its settings"), before);
}
