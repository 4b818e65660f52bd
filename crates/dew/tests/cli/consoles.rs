//! `dew logs` and `dew console`, at a server that keeps no files here.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::{AsFd as _, OwnedFd},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, poll},
    pty::{OpenptyResult, openpty},
    sys::termios::{Termios, tcgetattr},
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

/// A terminal, and the side of it that a person sits at.
pub(super) struct Terminal {
    person: File,
    side: OwnedFd,
    before: Termios,
}

impl Terminal {
    pub(super) fn open() -> Self {
        let OpenptyResult { master, slave } = openpty(None, None).expect("a terminal");
        Self { before: tcgetattr(&slave).expect("its settings"), person: File::from(master), side: slave }
    }

    /// Starts a command in it.
    pub(super) fn begins(&self, scene: &Scene, args: &[&str]) -> Child {
        let end = || Stdio::from(self.side.try_clone().expect("one more"));
        let mut command = dew(&scene.server.url(), scene.home());
        command.args(args).stdin(end()).stdout(end()).stderr(end()).spawn().expect("it runs")
    }

    pub(super) fn types(&mut self, keys: &[u8]) {
        self.person.write_all(keys).expect("typed");
    }

    /// Reads until these bytes have come, and panics if they do not.
    pub(super) fn until(&mut self, last: &[u8]) {
        let (mut seen, mut buffer, began) = (Vec::new(), [0; 1024], Instant::now());
        while !seen.windows(last.len()).any(|part| part == last) {
            let mut waits = [PollFd::new(self.person.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut waits, 60_000_u16).expect("a look");
            let is_late = began.elapsed() > Duration::from_secs(60);
            assert!(ready == 1 && !is_late, "not {last:?} in {}", String::from_utf8_lossy(&seen));
            let read = self.person.read(&mut buffer).expect("read");
            seen.extend_from_slice(&buffer[..read]);
        }
    }

    fn is_as_before(&self) {
        assert_eq!(tcgetattr(&self.side).expect("its settings"), self.before);
    }
}

#[test]
fn a_console_hands_on_every_key_until_it_is_left_and_leaves_the_terminal_as_it_was() {
    let scene = scene();
    let create = ["droplet", "create", "--size", "s-1vcpu-1gb", "--image", "ubuntu-24-04-x64", "--region", "nyc3"];
    scene.prints(&[&create[..], &["--wait", "typed-1"]].concat());
    let mut terminal = Terminal::open();
    let begins = |terminal: &Terminal| terminal.begins(&scene, &["console", "typed-1"]);
    let mut console = begins(&terminal);
    // Said when the terminal hands on every key.
    terminal.until(b"Ctrl-] leaves it");
    terminal.types("h\u{e9}\u{3}\u{1b}[A\r".as_bytes());
    terminal.until("h\u{e9}\u{3}\u{1b}[A\r".as_bytes());
    terminal.types(b"bye\x1d");
    assert!(console.wait().expect("it ended").success());
    terminal.is_as_before();

    let mut console = begins(&terminal);
    terminal.until(b"[A\rbye");
    scene.prints(&["droplet-action", "power-off", "typed-1", "--wait"]);
    terminal.until(b"the console of typed-1 ended");
    assert_eq!(console.wait().expect("it ended").code(), Some(1));
    terminal.is_as_before();
}

#[test]
fn top_draws_what_changes_until_q_and_leaves_the_terminal_as_it_was() {
    let scene = scene();
    let mut terminal = Terminal::open();
    let mut top = terminal.begins(&scene, &["top", "--interval", "1"]);
    terminal.until(b"Droplets:");
    let create = ["droplet", "create", "--size", "s-1vcpu-1gb", "--image", "ubuntu-24-04-x64", "--region", "nyc3"];
    scene.prints(&[&create[..], &["--wait", "watched-1"]].concat());
    terminal.until(b"watched-1");
    terminal.types(b"xq");
    assert!(top.wait().expect("it ended").success());
    // The screen before it.
    terminal.until(b"\x1b[?1049l");
    terminal.is_as_before();
}

#[test]
fn top_tells_that_the_server_is_gone_and_goes_on_looking() {
    let scene = Scene::start();
    let mut terminal = Terminal::open();
    let mut top = terminal.begins(&scene, &["top", "--interval", "1"]);
    terminal.until(b"Droplets:");
    let Scene { server, dir: _dir } = scene;
    server.kill();
    terminal.until(b"is `dew serve` running");
    terminal.types(b"q");
    assert!(top.wait().expect("it ended").success());
}
