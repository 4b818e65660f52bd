//! How it ends: with its server, on a signal, killed; and with what it is started on in vain.

use std::{fs, path::Path, process::Stdio};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;

use crate::common::{Server, command, endless};

fn signal(server: &Server, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(server.child.id()).expect("a pid")), signal).expect("sent");
}

#[test]
fn it_ends_with_the_server_that_started_it() {
    let mut server = Server::tiny(&[]);
    drop(server.child.stdin.take());
    assert!(server.end().success());
    assert!(!server.socket.exists());
}

#[test]
fn on_sigterm_it_ends_with_nothing_left_behind() {
    let mut server = Server::tiny(&[]);
    signal(&server, Signal::SIGTERM);
    assert!(server.end().success());
    assert!(!server.socket.exists());
}

#[test]
fn its_socket_is_open_to_its_user_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = Server::tiny(&[]);
    let mode = fs::metadata(&server.socket).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn more_memory_than_it_may_have_is_refused_by_the_kernel_too() {
    // The file's need and what is beside it, in bytes; without a limit it has what whoever starts it has.
    let most = |process: &str| {
        let limits = fs::read_to_string(format!("/proc/{process}/limits")).expect("its limits");
        let line = limits.lines().find_map(|line| line.strip_prefix("Max address space")).expect("one of them");
        line.split_whitespace().take(2).map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let limited = Server::tiny(&["--memory-mib", "512"]);
    let bytes = ((512 + 1024) * 1024 * 1024).to_string();
    assert_eq!(most(&limited.child.id().to_string()), [bytes.clone(), bytes]);
    let free = Server::tiny(&[]);
    assert_eq!(most(&free.child.id().to_string()), most("self"));
}

#[test]
fn killed_it_leaves_a_stream_cut_and_a_path_that_can_be_listened_on_again() {
    let mut server = Server::real(&["--context", "2048"]);
    let mut stream =
        server.stream("Tell me a long story.", &json!({ "temperature": 0, "logit_bias": { "2": -100, "0": -100 } }));
    stream.until("\"content\":\"\"");
    signal(&server, Signal::SIGKILL);
    let cut = stream.whole();
    assert!(cut.status == 200 && !cut.body.contains("[DONE]"));
    assert!(!server.end().success() && server.socket.exists());
    let directory = std::mem::replace(&mut server.directory, tempfile::tempdir().expect("a directory"));
    let model = directory.path().join("tiny.gguf");
    fs::write(&model, dewpoint_gguf::tiny::model(1)).expect("written");
    let again = Server::start(directory, &model, &[]);
    assert_eq!(again.chat("hi", &json!({ "max_tokens": 2, "logit_bias": endless() })).status, 200);
}

/// Starts on this file; the exit code and the last line on standard error.
fn in_vain(model: &Path, more: &[&str]) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = command(model, &directory.path().join("socket"), more);
    // An input that stays open: it is not what ends it.
    let child = command.stdin(Stdio::piped()).spawn().expect("dew-llama starts");
    let mut child = child;
    let input = child.stdin.take();
    let output = child.wait_with_output().expect("it ends");
    drop(input);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), text.lines().last().unwrap_or_default().to_owned())
}

#[test]
fn a_file_that_is_no_sound_model_is_refused_before_it_is_mapped() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("model.gguf");
    let sound = dewpoint_gguf::tiny::model(3);
    let mut counts = sound.clone();
    counts[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    let huge_text = [&sound[..24], &u64::MAX.to_le_bytes(), &sound[32..]].concat();
    for (bytes, why) in [
        (&sound[..sound.len() / 2], "no model that can be served"),
        (&sound[..100], "no model that can be served"),
        (&sound[..3], "no model that can be served"),
        (b"#!/bin/sh\n".as_slice(), "no model that can be served"),
        (&counts, "no model that can be served"),
        (&huge_text, "no model that can be served"),
        (&[], "no model that can be served"),
    ] {
        fs::write(&path, bytes).expect("written");
        let (code, line) = in_vain(&path, &[]);
        assert!(code == Some(3) && line.contains(why), "{code:?} {line}");
    }
    let (code, line) = in_vain(&directory.path().join("none.gguf"), &[]);
    assert!(code == Some(3) && line.contains("cannot be read"), "{code:?} {line}");
    let (code, line) = in_vain(directory.path(), &[]);
    assert!(code == Some(3) && line.contains("is no file"), "{code:?} {line}");
}

#[test]
fn what_llama_cpp_itself_refuses_is_told_as_such() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("model.gguf");
    let mut bytes = dewpoint_gguf::tiny::model(3);
    // An architecture of the same length that nobody knows.
    let name = bytes.windows(5).position(|window| window == b"llama").expect("it is there");
    bytes[name..name + 5].copy_from_slice(b"lllll");
    fs::write(&path, bytes).expect("written");
    let (code, line) = in_vain(&path, &[]);
    assert!(code == Some(3) && line.starts_with("dew-llama: "), "{code:?} {line}");
}

#[test]
fn what_does_not_fit_into_memory_is_refused_with_both_numbers() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("model.gguf");
    fs::write(&path, dewpoint_gguf::tiny::model(3)).expect("written");
    let (code, line) = in_vain(&path, &["--memory-mib", "1"]);
    assert!(code == Some(3) && line.contains("--memory-mib allows 1;"), "{code:?} {line}");
    let (code, line) = in_vain(&path, &["--context", "100000"]);
    assert!(code == Some(3) && line.contains("made for 512") && line.contains("100000"), "{code:?} {line}");
    assert_eq!(in_vain(&path, &["--parallel", "0"]).0, Some(2));
}
