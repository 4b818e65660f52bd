//! What shells complete: commands and flags without a server, names and ids with one.

use super::{bare, printed, ran, scene};

fn complete(words: &[&str]) -> Vec<String> {
    let scene = scene();
    let text = scene.prints(&[&["__complete", "--"], words].concat());
    text.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn names_ids_sizes_regions_and_images_come_from_the_server() {
    let scene = scene();
    let made = scene.objects(&[
        "droplet",
        "create",
        "completed-1",
        "--size",
        "s-1vcpu-1gb",
        "--image",
        "ubuntu-24-04-x64",
        "--region",
        "nyc3",
    ]);
    let id = made[0]["id"].to_string();
    assert_eq!(complete(&["droplet", "get", "completed"]), ["completed-1"]);
    assert!(complete(&["compute", "droplet-action", "reboot", ""]).contains(&id));
    assert!(complete(&["ssh", "complet"]).contains(&"completed-1".to_owned()));
    assert_eq!(complete(&["droplet", "create", "x", "--region", "nyc"]), ["nyc1", "nyc2", "nyc3"]);
    assert_eq!(complete(&["droplet", "create", "x", "--size", "s-1vcpu-1gb"])[0], "s-1vcpu-1gb");
    assert!(complete(&["droplet", "create", "x", "--image", "ubuntu-24"]).contains(&"ubuntu-24-04-x64".to_owned()));
}

#[test]
fn without_a_server_commands_are_completed_all_the_same_and_nothing_is_said() {
    let home = tempfile::tempdir().expect("a directory");
    let run =
        |words: &[&str]| ran(bare(home.path()).env("DEW_URL", "http://127.0.0.1:1").env("DEW_TOKEN", "x").args(words));
    let output = run(&["__complete", "--", "droplet", "get", ""]);
    assert_eq!(printed(&[], &output), "");
    assert!(output.stderr.is_empty());
    assert!(printed(&[], &run(&["__complete", "--", "vol"])).starts_with("volume\t"));
}
