//! `dew` as people and scripts use it: real processes against one simulator, which is started once.

#[path = "../support/mod.rs"]
mod support;

mod added_models;
mod completions;
mod consoles;
mod contexts;
mod from_doctl;
mod models;
mod people;
mod pipes;
mod reference;
mod shells;
mod tables;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex, Weak},
};

use serde_json::Value;

use support::{Server, TOKEN, said};

/// A simulator of its own for a test that counts what there is, with a home for contexts.
struct Scene {
    server: Server,
    dir: tempfile::TempDir,
}

impl Scene {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let server = Server::start(&dir.path().join("data"));
        Self { server, dir }
    }

    /// `dew` with nothing of the caller's environment, at this server.
    fn dew(&self, arguments: &[&str]) -> Output {
        ran(dew(&self.server.url(), self.home()).args(arguments))
    }

    fn home(&self) -> &Path {
        self.dir.path()
    }

    /// What it printed; it must have ended with 0.
    fn prints(&self, arguments: &[&str]) -> String {
        printed(arguments, &self.dew(arguments))
    }

    /// What it printed as JSON.
    fn objects(&self, arguments: &[&str]) -> Vec<Value> {
        let text = self.prints(&[arguments, &["-o", "json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }

    /// What it said when it could not; it must have ended with this status.
    fn refuses(&self, status: i32, arguments: &[&str]) -> String {
        let output = self.dew(arguments);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", said(&output));
        said(&output)
    }
}

/// The simulator of tests that make what nobody else counts: started by the first, ended with the last that uses it.
fn scene() -> Arc<Scene> {
    static SCENE: Mutex<Weak<Scene>> = Mutex::new(Weak::new());
    let mut shared = SCENE.lock().expect("no test panics while it starts");
    shared.upgrade().unwrap_or_else(|| {
        let scene = Arc::new(Scene::start());
        *shared = Arc::downgrade(&scene);
        scene
    })
}

fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_dew"))
}

/// A command with a server and a token.
fn dew(url: &str, home: &Path) -> Command {
    let mut command = bare(home);
    command.env("DEW_URL", url).env("DEW_TOKEN", TOKEN);
    command
}

/// A command with a home alone.
fn bare(home: &Path) -> Command {
    let mut command = Command::new(binary());
    command.env_clear().env("HOME", home).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn ran(command: &mut Command) -> Output {
    command.output().expect("the binary runs")
}

fn printed(arguments: &[&str], output: &Output) -> String {
    assert!(output.status.success(), "{arguments:?}: {}", said(output));
    String::from_utf8(output.stdout.clone()).expect("text")
}
