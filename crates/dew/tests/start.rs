//! How `dew serve` starts and ends: whose token is good, and what it says when it cannot start.

mod support;

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use support::{Server, TOKEN, create, ended, eventually, said, serve};

/// Bytes of a page of the store's file.
const PAGE: usize = 4096;

fn dew(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dew"));
    command.env_clear().args(arguments);
    command
}

/// What a server that could not start over `data_dir` said; it must have ended with 1 and in plain words.
fn refusal(data_dir: &Path) -> String {
    let output = ended(serve(data_dir));
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("dew: ") && !text.contains("panicked"), "{text}");
    text
}

#[test]
fn the_token_in_the_environment_is_the_admins_and_no_other_is_good() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(&dir.path().join("data"));
    let client = server.client();
    assert_eq!(client.get("/v2/account").status, 200);
    assert_eq!(client.send_as("dop_v1_other", "GET", "/v2/account", None).expect("an answer").status, 401);
    assert!(!dir.path().join("data/admin-token").exists(), "who gave it knows it");
    assert!(!server.log().contains(TOKEN));
    assert!(server.terminate().success());
}

#[test]
fn without_one_a_token_is_made_printed_once_and_kept_for_its_owner_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let data_dir = dir.path().join("data");
    let start = || {
        let mut command = serve(&data_dir);
        command.env_remove("DEW_BOOTSTRAP_TOKEN");
        Server::run(command)
    };

    let first = start();
    let file = data_dir.join("admin-token");
    let token = fs::read_to_string(&file).expect("the token's file").trim().to_owned();
    assert_eq!(fs::metadata(&file).expect("the token's file").permissions().mode() & 0o777, 0o600);
    assert!(first.log().contains(&token), "it is printed");
    assert_eq!(first.client().send_as(&token, "GET", "/v2/account", None).expect("an answer").status, 200);
    assert!(first.terminate().success());

    let second = start();
    assert!(!second.log().contains(&token), "and never again");
    assert_eq!(second.client().send_as(&token, "GET", "/v2/account", None).expect("an answer").status, 200);
    assert!(second.terminate().success());
}

#[test]
fn a_token_given_to_a_store_that_has_one_changes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    assert!(Server::start(dir.path()).terminate().success());
    let mut command = serve(dir.path());
    command.env("DEW_BOOTSTRAP_TOKEN", "dop_v1_too_late");
    let server = Server::run(command);
    assert_eq!(server.client().get("/v2/account").status, 200);
    assert_eq!(server.client().send_as("dop_v1_too_late", "GET", "/v2/account", None).expect("an answer").status, 401);
}

#[test]
fn a_second_server_on_the_same_data_is_refused_and_told_the_firsts_pid() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = Server::start(dir.path());
    let text = refusal(dir.path());
    assert!(text.contains(&format!("pid {}", first.pid())), "{text}");
    assert_eq!(first.client().get("/healthz").status, 200, "the first goes on");
    first.kill();
    assert!(Server::start(dir.path()).terminate().success(), "a dead server's lock holds nobody up");
}

#[test]
fn what_is_not_built_yet_says_so_and_ends_with_2() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().to_str().expect("text");
    let output = ended(dew(&["serve", "--engine", "incus", "--data-dir", data]));
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("not yet"), "{}", said(&output));
}

#[test]
fn real_networks_without_addresses_for_them_are_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = dir.path().join("dew.toml");
    std::fs::write(&config, "[network]\nmode = \"real\"\n").expect("written");
    let (data, config) = (dir.path().join("data"), config.to_str().expect("text").to_owned());
    let arguments = ["serve", "--engine", "qemu", "--config", &config, "--data-dir", data.to_str().expect("text")];
    let output = ended(dew(&arguments));
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("network.public_v4_pool"), "{}", said(&output));
    assert!(!data.join("dewpoint.db").exists());
}

#[test]
fn a_word_that_is_no_command_is_named_and_ends_with_2() {
    let output = ended(dew(&["srve"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("dew: unrecognized subcommand 'srve'"), "{}", said(&output));
    assert!(said(&output).contains("--help"));
}

#[test]
fn a_wrong_flag_value_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().to_str().expect("text");
    for (flag, value) in
        [("--engine", "vmware"), ("--listen", "here"), ("--public-url", "nonsense"), ("--fixtures", "all")]
    {
        let output = ended(dew(&["serve", "--data-dir", data, flag, value]));
        assert!(!output.status.success());
        assert!(said(&output).contains(flag), "{flag}: {}", said(&output));
    }
}

#[test]
fn a_data_directory_that_is_a_file_is_named_and_the_file_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("data");
    fs::write(&file, "precious").expect("a file");
    let text = refusal(&file);
    assert!(text.contains(&file.display().to_string()), "{text}");
    assert_eq!(fs::read_to_string(&file).expect("the file"), "precious");
}

#[test]
fn machines_whose_store_is_missing_are_named_and_left_as_they_are() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path());
    let made = server.client().post("/v2/droplets", &create("web-1"));
    assert_eq!(made.status, 202, "{:?}", made.body);
    let path = format!("/v2/droplets/{}", made.body["droplet"]["id"]);
    eventually("the Droplet is active", || server.client().get(&path).body["droplet"]["status"] == "active");
    assert!(server.terminate().success());
    let (store, away) = (dir.path().join("dewpoint.db"), dir.path().join("dewpoint.db.away"));
    fs::rename(&store, &away).expect("the store is moved away");

    let text = refusal(dir.path());

    assert!(text.contains("machines"), "{text}");
    assert!(!store.exists(), "no new store is in its place");
    fs::rename(&away, &store).expect("the store is brought back");
    let server = Server::start(dir.path());
    server.until_ready();
    assert_eq!(server.client().get(&path).body["droplet"]["status"], "active", "its machine was left as it was");
    assert!(server.terminate().success());
}

#[test]
fn a_damaged_store_is_named_and_left_as_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    assert!(Server::start(dir.path()).terminate().success());
    let file = dir.path().join("dewpoint.db");
    let whole = fs::read(&file).expect("the store");

    assert!(
        !dir.path().join("dewpoint.db-wal").exists(),
        "a server that ended in order leaves no log, and files that are good to copy"
    );
    let mut scribbled = whole.clone();
    scribbled[..64].fill(b'x');
    let mut torn = whole.clone();
    torn.truncate(whole.len() / 2 + 1);
    let halved = whole[..whole.len() / 2 / PAGE * PAGE].to_vec();
    for damaged in [scribbled, torn, halved, b"this is no database".to_vec(), Vec::new()] {
        fs::write(&file, &damaged).expect("the store");
        let text = refusal(dir.path());
        assert!(text.contains("dewpoint.db") && text.contains("nothing was changed"), "{text}");
        assert_eq!(fs::read(&file).expect("the store"), damaged, "it is left as it is");
    }

    fs::write(&file, &whole).expect("the store");
    assert!(Server::start(dir.path()).terminate().success(), "put back, it serves again");
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(mount) = support::ReadOnly::make(dir.path()) else {
        return support::skipped(
            "a_directory_that_cannot_be_written_is_named",
            "root may write anywhere and mount nothing here",
        );
    };
    let text = refusal(mount.path());
    assert!(text.contains(&mount.path().display().to_string()), "{text}");
    let text = refusal(&mount.path().join("deeper/data"));
    assert!(text.contains("deeper/data"), "{text}");
}

#[test]
fn an_address_that_is_taken_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = first.local_addr().expect("its address").to_string();
    let mut command =
        dew(&["serve", "--engine", "sim", "--listen", &address, "--data-dir", dir.path().to_str().expect("text")]);
    command.env("DEW_BOOTSTRAP_TOKEN", TOKEN);
    let output = ended(command);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains(&address), "{}", said(&output));
}
