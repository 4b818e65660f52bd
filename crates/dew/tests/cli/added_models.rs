//! `dew model` and `dew droplet create --serve`.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use super::{
    Scene, dew, ran, said,
    support::{Server, eventually, serve},
};

/// A program that is found as `dew-llama` and cannot load anything.
fn program(dir: &Path) -> PathBuf {
    let path = dir.join("dew-llama");
    fs::write(&path, "#!/bin/sh\necho 'unknown model architecture: nemo' >&2\nexit 3\n").expect("it is written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its permissions");
    path
}

/// The same file with so much behind its weights that copying it takes a while.
fn large(scene: &Scene) -> PathBuf {
    let path = scene.home().join("large.gguf");
    fs::write(&path, dewpoint_gguf::tiny::model(1)).expect("it is written");
    let file = fs::OpenOptions::new().write(true).open(&path).expect("it is there");
    file.set_len(LARGE).expect("it grows");
    path
}

const LARGE: u64 = 24 << 20;

/// The files in the server's directory of models, by name.
fn kept(scene: &Scene) -> Vec<PathBuf> {
    let entries = fs::read_dir(scene.home().join("data/models")).expect("the directory is there");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "gguf" || end == "part")).collect()
}

fn model(scene: &Scene, name: &str) -> serde_json::Value {
    scene.server.client().get(&format!("/dew/v1/models/{name}")).body["model"].clone()
}

#[test]
fn a_kill_while_a_file_is_copied_leaves_nothing_half_made() {
    let scene = scene();
    let file = large(&scene);
    scene.prints(&["model", "add", "large", "--file", file.to_str().expect("a text")]);
    eventually("some of it is copied", || model(&scene, "large")["file"]["bytes_copied"].as_u64() > Some(0));
    let config = scene.home().join("dew.toml");
    let mut command = serve(&scene.home().join("data"));
    command.arg("--config").arg(config);
    let Scene { server, dir } = scene;
    server.kill();
    let scene = Scene { server: Server::run(command), dir };
    // Its program says that it cannot load it, which it is asked when the copy is whole.
    eventually("it is copied", || model(&scene, "large")["file"]["sha256"].is_string());
    eventually("it is looked at", || model(&scene, "large")["state"] == "failed");
    let kept = kept(&scene);
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(fs::read(&kept[0]).expect("the copy"), fs::read(&file).expect("the file"));
    let data = scene.home().join("data").display().to_string();
    let check = || ran(super::bare(scene.home()).args(["check", "--data-dir", &data]));
    assert!(check().status.success(), "{}", said(&check()));
    fs::remove_file(&kept[0]).expect("it is removed");
    let found = check();
    assert!(found.status.code() == Some(1) && said(&found).contains("model-file-missing (large)"), "{}", said(&found));
}

#[test]
fn a_copy_that_finds_no_room_leaves_nothing_and_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let plain = serve(&dir.path().join("data"));
    // No file of this server's grows over 8 MiB, and it is told so instead of being ended.
    let mut command = std::process::Command::new("/bin/sh");
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 16384; exec \"$@\"", "sh"])
        .arg(plain.get_program())
        .args(plain.get_args());
    command.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(std::process::Stdio::null());
    let scene = Scene { server: Server::run(command), dir };
    let file = large(&scene);
    let refused = scene.refuses(1, &["model", "add", "large", "--file", file.to_str().expect("a text"), "--wait"]);
    assert!(refused.contains("found no room") && refused.contains("add it again"), "{refused}");
    assert!(kept(&scene).is_empty(), "{:?}", kept(&scene));
    // The server is none the worse for it, and the name is free again.
    scene.prints(&["model", "delete", "large", "--force"]);
    scene.prints(&["droplet", "list"]);
}

/// A simulator whose models' files are served by that program.
fn scene() -> Scene {
    let dir = tempfile::tempdir().expect("a directory");
    let config = dir.path().join("dew.toml");
    program(dir.path());
    fs::write(&config, "[llama]\nbinary = \"dew-llama\"\nthreads = 1\n").expect("it is written");
    let mut command = serve(&dir.path().join("data"));
    command.arg("--config").arg(config);
    Scene { server: Server::run(command), dir }
}

#[test]
fn droplets_with_a_tag_are_a_model_from_the_first_that_is_active() {
    let scene = scene();
    let made = scene.objects(&["model", "add", "llama", "--droplets-tag", "gpu", "--port", "8000"]);
    assert_eq!((&made[0]["state"], &made[0]["droplets"]["tag"]), (&"waiting".into(), &"gpu".into()));
    let list = scene.prints(&["model", "list"]);
    assert!(list.contains("llama") && list.contains("droplets gpu:8000") && list.contains("waiting"), "{list}");
    assert!(scene.refuses(1, &["chat", "llama", "echo hi"]).contains("gpu"));
    scene.prints(&create(&["--tag-name", "gpu"]));
    assert_eq!(scene.prints(&["chat", "llama", "echo hi"]), "hi\n");
    assert_eq!(scene.objects(&["model", "get", "llama"])[0]["state"], "ready");
    scene.refuses(1, &["model", "add", "llama", "--droplets-tag", "gpu", "--port", "8000"]);
    scene.prints(&["model", "delete", "llama", "--force"]);
    scene.refuses(3, &["model", "get", "llama"]);
}

#[test]
fn a_file_is_named_by_where_one_is_and_its_wait_ends_with_what_is_wrong() {
    let scene = scene();
    fs::write(scene.home().join("text.gguf"), "hello").expect("it is written");
    fs::write(scene.home().join("tiny.gguf"), dewpoint_gguf::tiny::model(1)).expect("it is written");
    let there =
        |arguments: &[&str]| ran(dew(&scene.server.url(), scene.home()).args(arguments).current_dir(scene.home()));
    let refused = there(&["model", "add", "text", "--file", "text.gguf"]);
    let text = scene.home().join("text.gguf").display().to_string();
    assert!(said(&refused).contains(&text) && said(&refused).contains("no GGUF file"), "{}", said(&refused));
    let failed = there(&["model", "add", "tiny", "--file", "tiny.gguf", "--wait"]);
    assert_eq!(failed.status.code(), Some(1), "{}", said(&failed));
    let words = said(&failed);
    assert!(words.contains("unknown model architecture: nemo") && words.contains("hint:"), "{words}");
    let listed = scene.prints(&["model", "list", "--format", "Name,State,Quantization,SHA256"]);
    assert!(listed.contains("failed") && listed.contains("F32"), "{listed}");
    scene.prints(&["model", "delete", "tiny", "--force"]);
    for bad in [
        &["model", "add", "x"][..],
        &["model", "add", "x", "--file", "a", "--droplets-tag", "t", "--port", "1"],
        &["model", "add", "x", "--droplets-tag", "t"],
    ] {
        scene.refuses(2, bad);
    }
}

const GPU: [&str; 6] = ["--size", "gpu-h100x1-80gb", "--image", "gpu-h100x1-base", "--region", "nyc2"];

/// The command that makes a Droplet with a GPU.
fn create<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["droplet", "create", "gpu-1", "--wait=active"], &GPU[..], more].concat()
}

#[test]
fn a_droplet_that_serves_a_model_brings_it_along() {
    let scene = scene();
    let model = "Qwen/Qwen2.5-7B-Instruct";
    let made = scene.objects(&create(&["--serve", model, "--tag-name", "mine"]));
    assert_eq!(made[0]["tags"], serde_json::json!(["mine", "serves:Qwen-Qwen2-5-7B-Instruct"]));
    assert_eq!(scene.prints(&["chat", model, "echo hi"]), "hi\n");
    let data = format!("/dew/v1/droplets/{}/metadata/v1/user-data", made[0]["id"]);
    let recipe = scene.prints(&["api", "GET", &data]);
    assert!(recipe.starts_with("#cloud-config") && recipe.contains(&format!("--model {model}\n")), "{recipe}");
    assert_eq!(scene.objects(&["model", "get", model])[0]["state"], "ready");
    // One more serves the same; another port would be another model.
    scene.prints(&create(&["--serve", model]));
    assert!(scene.refuses(1, &create(&["--serve", model, "--serve-port", "9000"])).contains("already"));
    fs::write(scene.home().join("recipe"), "#!/bin/sh\nserve {model} on {port}\n").expect("it is written");
    let own = scene.home().join("recipe").display().to_string();
    let made = scene.objects(&create(&["--serve", "tiny", "--serve-recipe", &own]));
    let data = format!("/dew/v1/droplets/{}/metadata/v1/user-data", made[0]["id"]);
    assert!(scene.prints(&["api", "GET", &data]).contains("serve tiny on 8000"));
    for bad in [
        &["--serve", model, "--user-data", "#!/bin/sh"][..],
        &["--serve", "a b"],
        &["--serve-port", "9000"],
        &["--serve", model, "--serve-port", "70000"],
    ] {
        scene.refuses(2, &create(bad));
    }
}
