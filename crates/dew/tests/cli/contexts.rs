//! Contexts: where tokens are kept, which one is used, and where it never goes.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::{TOKEN, bare, printed, ran, scene, support::said};

#[test]
fn a_context_is_tried_kept_for_its_user_alone_switched_and_forgotten() {
    let home = tempfile::tempdir().expect("a directory");
    let scene = scene();
    let url = scene.server.url();
    let run = |arguments: &[&str]| ran(bare(home.path()).args(arguments));
    let unknown = ran(bare(home.path()).env("DEW_TOKEN", "dop_v1_nobody").args(["init", "--url", &url]));
    assert_eq!(unknown.status.code(), Some(4), "{}", said(&unknown));
    let file = home.path().join(".config/dewpoint/config.toml");
    assert!(!file.exists(), "what the server does not know is not kept");

    for name in ["default", "lab"] {
        let kept = ran(bare(home.path()).env("DEW_TOKEN", TOKEN).args(["auth", "init", "--context", name, "-u", &url]));
        assert!(kept.status.success() && !said(&kept).contains(TOKEN), "{}", said(&kept));
    }
    let rights = |path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((rights(file.as_path()), rights(file.parent().expect("a directory"))), (0o600, 0o700));
    let listed = printed(&[], &run(&["auth", "list", "--format", "Name,Current", "--no-header"]));
    assert_eq!(listed, "default  false\nlab      true\n");
    assert!(printed(&[], &run(&["account", "get"])).contains("admin@"));
    assert!(printed(&[], &run(&["auth", "switch", "default"])).is_empty());
    assert_eq!(printed(&[], &run(&["auth", "token"])).trim(), TOKEN);
    assert!(run(&["auth", "remove", "lab"]).status.success());
    let gone = run(&["--context", "lab", "account", "get"]);
    assert_eq!(gone.status.code(), Some(2));
    assert!(said(&gone).contains("there is no context lab\nhint: there are default"), "{}", said(&gone));
}

#[test]
fn a_contexts_token_goes_to_its_own_server_alone() {
    let home = tempfile::tempdir().expect("a directory");
    let scene = scene();
    let kept = ran(bare(home.path()).env("DEW_TOKEN", TOKEN).args(["init", "-u", &scene.server.url()]));
    assert!(kept.status.success(), "{}", said(&kept));
    let empty = home.path().join("data");
    for at in
        [&["account", "get", "-u", "https://192.0.2.1"][..], &["account", "get", "--api-url", "http://127.0.0.1:1"]]
    {
        let output = ran(bare(home.path()).env("DEW_DATA_DIR", &empty).args(at));
        assert_eq!(output.status.code(), Some(4), "{}", said(&output));
        assert!(said(&output).contains("there is no token to ask with"), "{}", said(&output));
    }
}

#[test]
fn doctls_variables_are_read_and_a_named_context_outranks_them() {
    let home = tempfile::tempdir().expect("a directory");
    let scene = scene();
    let url = scene.server.url();
    let doctls = |arguments: &[&str], token: &str, url: &str| {
        let mut command = bare(home.path());
        command.env("DIGITALOCEAN_ACCESS_TOKEN", token).env("DIGITALOCEAN_API_URL", url).args(arguments);
        ran(&mut command)
    };
    assert!(doctls(&["account", "get"], TOKEN, &url).status.success());
    assert!(doctls(&["auth", "init"], TOKEN, &url).status.success());
    let refused = doctls(&["account", "get"], "dop_v1_nobody", &url);
    assert!(said(&refused).contains("the token in DIGITALOCEAN_ACCESS_TOKEN is not known there"), "{}", said(&refused));
    assert!(doctls(&["--context", "default", "account", "get"], "dop_v1_nobody", "https://192.0.2.1").status.success());
}

#[test]
fn what_dew_env_prints_is_read_by_a_shell() {
    let scene = scene();
    let script =
        format!("eval \"$('{}' env)\"; echo \"$DIGITALOCEAN_API_URL $GRADIENT_BASE_URL\"", super::binary().display());
    let mut shell = std::process::Command::new("/bin/sh");
    shell
        .env_clear()
        .env("HOME", scene.home())
        .env("DEW_URL", scene.server.url())
        .env("DEW_TOKEN", TOKEN)
        .args(["-c", &script]);
    let output = ran(&mut shell);
    let url = scene.server.url();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), format!("{url} {url}"), "{}", said(&output));
}
