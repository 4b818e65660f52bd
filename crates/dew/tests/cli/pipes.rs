//! Pipes whose reader has gone: `dew … | head` ends quietly, and what runs on runs on without its log.

use std::{
    io::{BufRead as _, BufReader, pipe},
    process::{Child, Command, Output, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    bare, dew, printed, ran, scene,
    support::{ended, eventually, said, serve},
};

/// A pipe that nobody reads.
fn unread() -> Stdio {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

/// How it ends without a reader of its data, and without one of anything.
fn ends(build: &dyn Fn() -> Command) -> [Output; 2] {
    [ran(build().stdout(unread())), ran(build().stdout(unread()).stderr(unread()))]
}

#[test]
fn a_command_whose_data_nobody_reads_ends_quietly_as_one_that_is_done() {
    let scene = scene();
    let data = scene.home().join("data");
    let data = data.to_str().expect("text");
    let commands: [&[&str]; 13] = [
        &["--help"],
        &["droplet", "create", "--help"],
        &["--version"],
        &["completion", "zsh"],
        &["region", "list"],
        &["size", "list", "-o", "json"],
        &["size", "list", "-o", "csv"],
        &["api", "GET", "/v2/account"],
        &["env"],
        &["top", "--once"],
        &["image", "list", "--image-dir", data],
        &["doctor", "--data-dir", data],
        &["network", "show", "--data-dir", data],
    ];
    for command in commands {
        for output in ends(&|| {
            let mut built = dew(&scene.server.url(), scene.home());
            // `dew doctor` looks for QEMU.
            built.env("PATH", "/usr/sbin:/usr/bin:/bin").args(command);
            built
        }) {
            assert_eq!(output.status.code(), Some(0), "{command:?}: {}", said(&output));
            let heard = said(&output);
            assert!(heard.is_empty() || command[0] == "image", "{command:?}: {heard}");
        }
    }
}

#[test]
fn a_failure_that_nobody_hears_of_keeps_its_status() {
    let home = tempfile::tempdir().expect("a directory");
    let statuses = |command: &[&str]| {
        ends(&|| {
            let mut built = bare(home.path());
            built.env("DEW_URL", "http://127.0.0.1:1").env("DEW_TOKEN", "x").args(command);
            built
        })
        .map(|output| output.status.code())
    };
    assert_eq!(statuses(&["droplet", "lst"]), [Some(2); 2]);
    assert_eq!(statuses(&["droplet", "list"]), [Some(5); 2]);
    let nowhere = home.path().join("nowhere");
    assert_eq!(statuses(&["check", "--data-dir", nowhere.to_str().expect("text")]), [Some(2); 2]);
}

/// A server that does not outlive the test.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_server_goes_on_when_nobody_reads_its_log_any_more() {
    let home = tempfile::tempdir().expect("a directory");
    let mut command = serve(&home.path().join("data"));
    command.env("DEW_LOG", "debug").stderr(Stdio::piped());
    let mut server = Serving(command.spawn().expect("the binary runs"));
    let mut log = BufReader::new(server.0.stderr.take().expect("it is piped")).lines();
    let address = log.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, rest) = line.split_once("Serving on ")?;
        rest.split_whitespace().next().map(ToOwned::to_owned)
    });
    drop(log);
    let address = address.expect("it serves");
    for _ in 0..3 {
        let mut asks = dew(&address, home.path());
        asks.args(["tag", "create", "heard"]);
        printed(&["tag"], &ended(asks));
    }
    kill(Pid::from_raw(server.0.id().try_into().expect("a process id")), Signal::SIGTERM).expect("it runs");
    let mut status = None;
    eventually("end", || {
        status = server.0.try_wait().expect("it can be waited for");
        status.is_some()
    });
    assert!(status.expect("it ended").success());
}
