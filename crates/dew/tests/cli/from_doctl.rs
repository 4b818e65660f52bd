//! The walk-through for people who know doctl: every command of `docs/from-doctl.md` is run as it is printed.

use std::{fs, process::Command};

use super::{Scene, TOKEN, binary, ran, support::said};

const PAGE: &str = include_str!("../../../../docs/from-doctl.md");

/// The commands of the page's blocks of this kind, in order.
fn commands() -> Vec<(&'static str, bool)> {
    let (mut found, mut block) = (Vec::new(), None);
    for line in PAGE.lines() {
        block = match (block, line) {
            (None, "```sh") => Some(false),
            (None, "```sh sim") => Some(true),
            (Some(_), "```") => None,
            (Some(is_refused), line) => {
                found.push((line, is_refused));
                block
            }
            (None, _) => None,
        };
    }
    found
}

#[test]
fn the_commands_of_the_walk_through_run_as_they_are_printed() {
    let scene = Scene::start();
    let home = scene.home();
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me\n";
    fs::write(home.join("id_ed25519.pub"), key).expect("written");
    fs::write(home.join("token"), TOKEN).expect("written");
    let path = format!("{}:/usr/bin:/bin", binary().parent().expect("a directory").display());
    let commands = commands();
    assert!(commands.len() > 25, "the page has more");
    for (number, (line, is_refused)) in commands.into_iter().enumerate() {
        let mut shell = Command::new("/bin/sh");
        shell.env_clear().env("HOME", home).env("PATH", &path).current_dir(home).args(["-c", line]);
        // Only the first command is told where the server is: from then on the context knows.
        if number == 0 {
            shell.env("DEW_URL", scene.server.url());
        }
        let output = ran(&mut shell);
        match is_refused {
            false => assert!(output.status.success(), "{line}: {}", said(&output)),
            true => {
                assert_eq!(output.status.code(), Some(1), "{line}: {}", said(&output));
                assert!(said(&output).contains("is simulated"), "{line}: {}", said(&output));
            }
        }
    }
    assert_eq!(scene.objects(&["droplet", "list"]).len(), 0, "the last task cleans up");
    assert_eq!(scene.objects(&["snapshot", "list"]).len(), 1, "a snapshot outlives its Droplet");
}
