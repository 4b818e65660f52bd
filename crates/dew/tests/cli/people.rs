//! What people meet: formats, confirmations, waits, dry runs, refusals and what a script can tell from a status.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use super::{Scene, bare, dew, ran, scene, support::said};

const CREATE: [&str; 9] =
    ["droplet", "create", "--size", "s-1vcpu-1gb", "--image", "ubuntu-24-04-x64", "--region", "nyc3", "--wait"];

#[test]
fn json_is_a_bare_array_of_the_apis_objects_in_their_order_also_of_one() {
    let scene = scene();
    let made = scene.objects(&[&CREATE[..], &["json-1"]].concat());
    let id = made[0]["id"].to_string();
    assert_eq!((made.len(), &made[0]["status"], &made[0]["name"]), (1, &json!("active"), &json!("json-1")));
    let text = scene.prints(&["droplet", "get", &id, "-o", "json"]);
    assert!(
        text.starts_with(&format!("[\n  {{\n    \"id\": {id},\n    \"name\": \"json-1\",\n    \"memory\"")),
        "{text}"
    );
    let yaml = scene.prints(&["droplet", "get", &id, "-o", "yaml"]);
    assert!(yaml.starts_with(&format!("- id: {id}\n  name: json-1\n")), "{yaml}");
    let csv = scene.prints(&["-o", "csv", "droplet", "get", &id, "--format", "name,Public IPv4"]);
    assert_eq!(csv.lines().next(), Some("Name,PublicIPv4"));
    assert_eq!(scene.prints(&["droplet", "list", "json-1", "--format", "ID", "--no-header"]).trim(), id);
}

#[test]
fn what_loses_something_asks_and_where_nobody_can_be_asked_it_refuses() {
    let scene = scene();
    scene.prints(&[&CREATE[..], &["kept-1"]].concat());
    for command in [
        &["droplet", "delete", "kept-1"][..],
        &["compute", "droplet", "rm", "kept-1"],
        &["da", "rebuild", "kept-1", "--image", "x"],
    ] {
        let text = scene.refuses(2, command);
        assert!(text.contains("kept-1, and nobody can be asked") && text.contains("hint: --force"), "{text}");
    }
    assert_eq!(scene.objects(&["droplet", "list", "kept-1"]).len(), 1);
    assert_eq!(scene.prints(&["droplet", "delete", "kept-1", "-f"]), "");
    let gone = scene.refuses(3, &["droplet", "get", "kept-1"]);
    assert!(gone.contains("there is no droplet called kept-1\nhint: `dew droplet list`"), "{gone}");
}

#[test]
fn a_dry_run_says_the_price_and_the_place_and_makes_nothing() {
    let scene = scene();
    let dry = [&CREATE[..8], &["dry-1", "dry-2", "--dry-run"]].concat();
    let told = &scene.objects(&dry)[0];
    assert_eq!((&told["price_monthly"], told["placements"].as_array().map(Vec::len)), (&json!(6.0), Some(2)), "{told}");
    assert!(scene.prints(&dry).contains("dry-1 on sim-1 in nyc3"));
    assert_eq!(scene.objects(&["droplet", "list", "dry-*"]), Vec::<Value>::new());
}

#[test]
fn a_wait_tells_its_steps_in_lines_and_quiet_says_nothing() {
    let scene = scene();
    let output = scene.dew(&[&CREATE[..8], &["waited-1", "--wait=ready"]].concat());
    assert!(output.status.success(), "{}", said(&output));
    assert!(!said(&output).contains('\u{1b}'), "no terminal, no drawing: {}", said(&output));
    let quiet = scene.dew(&["droplet-action", "power-off", "waited-1", "--wait", "-q"]);
    assert_eq!((quiet.status.code(), said(&quiet).as_str()), (Some(0), ""));
    let action = &scene.objects(&["action", "list", "--action-type", "power_off"])[0];
    let done = scene.objects(&["action", "wait", &action["id"].to_string()]);
    assert_eq!(done[0]["status"], "completed");
}

#[test]
fn a_name_that_two_have_is_refused_with_their_ids_and_a_column_that_is_none_before_anything_is_made() {
    let scene = scene();
    let made = scene.objects(&[&CREATE[..], &["twin", "twin"]].concat());
    let text = scene.refuses(2, &["droplet-action", "reboot", "twin"]);
    assert!(text.contains("there are 2 called twin") && text.contains(&made[1]["id"].to_string()), "{text}");
    let text = scene.refuses(2, &[&CREATE[..], &["never-made", "--format", "Nmae"]].concat());
    assert!(text.contains("there is no column Nmae\nhint: the columns are ID, Name"), "{text}");
    assert_eq!(scene.objects(&["droplet", "list", "never-made"]), Vec::<Value>::new());
}

#[test]
fn any_request_can_be_sent_and_a_refusal_ends_with_a_status() {
    let scene = scene();
    let made: Value =
        serde_json::from_str(&scene.prints(&["api", "POST", "/v2/tags", "-f", "name=by-hand"])).expect("JSON");
    assert_eq!(made["tag"]["name"], "by-hand");
    assert!(scene.refuses(3, &["api", "GET", "/v2/tags/none"]).contains("answered 404"));
    assert!(scene.refuses(2, &["api", "GET", "v2/tags"]).contains("is no path"));
    assert!(scene.refuses(1, &["api", "POST", "/v2/droplets", "-f", "name=x"]).contains("answered 422"));
    assert!(scene.refuses(2, &["--no-header", "serve"]).contains("stands before serve, where it means nothing"));
}

#[test]
fn a_private_key_stays_on_this_host() {
    let scene = scene();
    let key = scene.home().join("private");
    std::fs::write(&key, "-----BEGIN OPENSSH PRIVATE KEY-----\n").expect("written");
    let text = scene.refuses(2, &["ssh-key", "import", "x", "--public-key-file", key.to_str().expect("text")]);
    assert!(text.contains("is a private key, and stays here"), "{text}");
}

#[test]
fn ctrl_c_says_what_goes_on_at_the_server() {
    let scene = Scene::start();
    let hour = json!({ "delays": [{ "type": "create", "seconds": 3600 }] });
    let slow = scene.server.client().send("PUT", "/dew/v1/delays", Some(&hour));
    assert_eq!(slow.expect("an answer").status, 200);
    let mut command = dew(&scene.server.url(), scene.home());
    let mut child = command.args(CREATE).arg("slow-1").stderr(Stdio::piped()).spawn().expect("the binary runs");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let first = lines.next().expect("a line").expect("text");
    assert!(first.starts_with("create (droplet "), "{first}");
    kill(Pid::from_raw(i32::try_from(child.id()).expect("a process id")), Signal::SIGINT).expect("our own");
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(child.wait().expect("it ends").code(), Some(130), "{rest:?}");
    let rest = rest.join("\n");
    assert!(
        rest.contains("still going on at the server: Droplet ") && rest.contains("hint: `dew action list"),
        "{rest}"
    );
}

#[test]
fn commands_of_this_host_take_their_flags_on_either_side_of_their_words_and_need_no_server() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_str().expect("a path");
    for words in [
        ["image", "list", "--image-dir", path],
        ["image", "--image-dir", path, "list"],
        ["image", "list", "--data-dir", path],
        ["image", "--data-dir", path, "list"],
        ["network", "show", "--data-dir", path],
    ] {
        let output = ran(bare(directory.path()).args(words));
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", said(&output));
    }
    let before = ran(bare(directory.path()).args(["--url", "http://127.0.0.1:1", "image", "list"]));
    let told = said(&before);
    assert!(told.starts_with("dew: --url stands before image, where it means nothing\nhint: "), "{told}");
    assert_eq!(before.status.code(), Some(2));
}

#[test]
fn a_gpu_droplet_is_known_by_its_name_though_lists_leave_it_out_dro_5() {
    let scene = Scene::start();
    let create = ["droplet", "create", "--size", "gpu-h100x1-80gb", "--image", "gpu-h100x1-base", "--region", "nyc2"];
    let made = scene.objects(&[&create[..], &["--wait", "trainer"]].concat());
    assert_eq!(scene.prints(&["droplet", "list", "--format", "Name", "--no-header"]), "");
    assert_eq!(scene.objects(&["droplet", "get", "trainer"])[0]["id"], made[0]["id"]);
    assert!(scene.prints(&["top", "--once"]).contains("trainer"));
    let completed = scene.prints(&["__complete", "droplet", "get", "tr"]);
    assert!(completed.contains("trainer"), "{completed}");
    scene.prints(&["droplet", "delete", "trainer", "--force"]);
}
