//! `dew backup`, `dew restore` and `dew check` with the real binary: under load, killed in the middle, on damaged and newer
//! backups, to another place.

mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use support::{Client, Server, TOKEN, Tmpfs, all, create, ended, eventually, said, skipped};

#[test]
fn a_store_of_an_older_version_is_told_from_a_broken_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    assert!(Server::start(&data).terminate().success());
    // As a server left it that did not know the newest migration yet.
    let store = dewpoint_store::sqlite::open(&data.join("dewpoint.db")).expect("the store");
    let closing = store.closing();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let newest = "DELETE FROM migrations WHERE number = (SELECT MAX(number) FROM migrations)";
    runtime.block_on(store.write(move |tx| tx.execute(newest, &[]).map(drop))).expect("written");
    drop(store);
    closing.wait(Duration::from_secs(60));
    let output = ended(dew(&["check", "--data-dir", text(&data)]));
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let said = said(&output);
    assert!(said.contains("the store has schema version") && said.contains("start the server on it once"), "{said}");
}

/// `dew` with these words, and nothing of the caller's environment but a token.
fn dew(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dew"));
    command.env_clear().env("DEW_TOKEN", TOKEN).args(words).stdin(Stdio::null());
    command
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

fn backup(server: &Server, dir: &Path) -> Output {
    ended(dew(&["backup", text(dir), "--url", &server.url()]))
}

fn restore(dir: &Path, data: &Path) -> Output {
    ended(dew(&["restore", text(dir), "--data-dir", text(data)]))
}

fn check(data: &Path, more: &[&str]) -> Output {
    let mut words = vec!["check", "--data-dir", text(data)];
    words.extend(more);
    ended(dew(&words))
}

fn done(output: &Output) {
    assert!(output.status.success(), "{}", said(output));
}

/// What a directory holds, by name, without a lock index.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("readable").path();
        match path.is_dir() {
            true => found.extend(contents(&path)),
            false => found.push((path.clone(), fs::read(&path).expect("readable"))),
        }
    }
    found.sort();
    found
}

fn droplets(client: Client) -> Vec<Value> {
    all(client, "/v2/droplets", "droplets")
}

fn names(client: Client) -> Vec<String> {
    droplets(client).iter().map(|droplet| droplet["name"].as_str().expect("a name").to_owned()).collect()
}

fn make(client: Client, name: &str) {
    let made = client.post("/v2/droplets", &create(name));
    assert_eq!(made.status, 202, "{:?}", made.body);
}

fn until_active(client: Client) {
    eventually("every Droplet is active", || droplets(client).iter().all(|droplet| droplet["status"] == "active"));
}

#[test]
fn what_was_acknowledged_before_a_backup_under_load_is_restored_elsewhere() {
    let dir = tempfile::tempdir().expect("a directory");
    let (data, copy, elsewhere) = (dir.path().join("data"), dir.path().join("copy"), dir.path().join("else/where"));
    let server = Server::start(&data);
    let client = server.client();
    (0..20).for_each(|number| make(client, &format!("before-{number}")));
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    make(client, &format!("during-{writer}-{count}"));
                    count += 1;
                }
                count
            })
        })
        .collect();
    let acknowledged = names(client);

    let output = backup(&server, &copy);

    stop.store(true, Ordering::Relaxed);
    let during: u32 = writers.into_iter().map(|writer| writer.join().expect("a writer")).sum();
    done(&output);
    assert!(said(&output).contains("The backup is whole"), "{}", said(&output));
    assert_eq!(fs::metadata(&copy).expect("the backup").permissions().mode() & 0o777, 0o700);
    for (path, _) in contents(&copy) {
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
    assert!(!data.join("backup.part").exists(), "nothing of it stays in the data directory");
    let late = names(client);
    done(&check(&data, &[]));
    server.kill();

    done(&restore(&copy, &elsewhere));
    done(&check(&elsewhere, &[]));
    let server = Server::start(&elsewhere);
    server.until_ready();
    until_active(server.client());
    let restored = names(server.client());
    let lost: Vec<_> = acknowledged.iter().filter(|name| !restored.contains(name)).collect();
    assert_eq!(lost, Vec::<&String>::new(), "acknowledged before the backup began");
    assert!(restored.iter().all(|name| late.contains(name)), "nothing else is in it");
    make(server.client(), "after");
    until_active(server.client());
    assert!(server.terminate().success());
    done(&check(&elsewhere, &[]));
    eprintln!("{} Droplets before, {during} made meanwhile, {} restored", acknowledged.len(), restored.len());
}

/// A data directory that was served, and a backup of it.
struct Scene {
    dir: tempfile::TempDir,
    data: PathBuf,
    copy: PathBuf,
}

impl Scene {
    fn make() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (data, copy) = (dir.path().join("data"), dir.path().join("copy"));
        let server = Server::start(&data);
        (0..3).for_each(|number| make(server.client(), &format!("web-{number}")));
        until_active(server.client());
        done(&backup(&server, &copy));
        assert!(server.terminate().success());
        Self { dir, data, copy }
    }
}

#[test]
fn a_damaged_backup_is_refused_and_nothing_is_made_of_it() {
    let scene = Scene::make();
    let target = scene.dir.path().join("new");
    let whole = contents(&scene.copy);
    assert!(whole.len() >= 4, "{whole:?}");
    for (path, bytes) in &whole {
        let mut flipped = bytes.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 4;
        for changed in [flipped, bytes[..bytes.len() - 1].to_vec(), Vec::new()] {
            fs::write(path, &changed).expect("written");
            let output = restore(&scene.copy, &target);
            assert!(!output.status.success(), "{} may differ", path.display());
            assert!(said(&output).contains("damaged"), "{}: {}", path.display(), said(&output));
            assert!(!target.exists(), "nothing is made");
        }
        fs::remove_file(path).expect("removed");
        assert!(!restore(&scene.copy, &target).status.success(), "{} may be missing", path.display());
        fs::write(path, bytes).expect("written");
    }
    done(&restore(&scene.copy, &target));
}

#[test]
fn neither_backup_nor_restore_writes_over_anything() {
    let scene = Scene::make();
    let before = contents(&scene.data);
    let output = restore(&scene.copy, &scene.data);
    assert!(!output.status.success() && said(&output).contains("is not empty"), "{}", said(&output));
    assert!(contents(&scene.data) == before, "the data directory is as it was");
    let server = Server::start(&scene.data);
    let before = contents(&scene.copy);
    let output = backup(&server, &scene.copy);
    assert!(!output.status.success() && said(&output).contains("is not empty"), "{}", said(&output));
    assert!(contents(&scene.copy) == before, "the first backup is as it was");
    let empty = scene.dir.path().join("empty");
    fs::create_dir(&empty).expect("a directory");
    done(&backup(&server, &empty));
}

#[test]
fn a_backup_of_a_newer_dew_is_refused() {
    use sha2::{Digest as _, Sha256};
    let scene = Scene::make();
    let manifest = scene.copy.join("manifest.json");
    let text = fs::read_to_string(&manifest).expect("a manifest").replace("\"format\": 1", "\"format\": 99");
    fs::write(&manifest, &text).expect("written");
    let sum: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(scene.copy.join("manifest.sha256"), sum + "\n").expect("written");
    let output = restore(&scene.copy, &scene.dir.path().join("new"));
    assert!(!output.status.success() && said(&output).contains("use the newer dew"), "{}", said(&output));
}

#[test]
fn a_backup_that_is_cut_off_leaves_nothing_that_looks_like_one() {
    let scene = Scene::make();
    // A server that goes away in the middle.
    let target = scene.dir.path().join("cut");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let served = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = listener.accept().expect("a client");
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).expect("a request");
        let frame = "{\"file\":{\"path\":\"dewpoint.db\",\"bytes\":100}}\nhalf of it";
        let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{frame}", frame.len());
        stream.write_all(answer.as_bytes()).expect("sent");
    });
    let output = ended(dew(&["backup", text(&target), "--url", &url]));
    served.join().expect("it served");
    assert!(!output.status.success() && said(&output).contains("cut off"), "{}", said(&output));
    let left: Vec<_> =
        fs::read_dir(scene.dir.path()).expect("readable").map(|entry| entry.expect("one").file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("cut")), "{left:?}");
    let output = restore(&scene.dir.path().join("data"), &target);
    assert!(said(&output).contains("is no backup"), "{}", said(&output));
}

#[test]
fn a_full_disk_leaves_nothing_half_made() {
    let scene = Scene::make();
    let small = scene.dir.path().join("small");
    fs::create_dir(&small).expect("a directory");
    let Some(_mount) = Tmpfs::mount(&small, "size=64k") else {
        return skipped("a_full_disk_leaves_nothing_half_made", "mounting a tmpfs is not allowed here");
    };
    let server = Server::start(&scene.data);
    let output = backup(&server, &small.join("copy"));
    assert!(!output.status.success() && said(&output).contains("No space left"), "{}", said(&output));
    assert_eq!(fs::read_dir(&small).expect("readable").count(), 0, "nothing stays");
    let output = restore(&scene.copy, &small.join("data"));
    assert!(!output.status.success() && said(&output).contains("No space left"), "{}", said(&output));
    assert_eq!(fs::read_dir(&small).expect("readable").count(), 0, "nothing stays");
    assert_eq!(server.client().get("/healthz").status, 200);
}

#[test]
fn only_the_operator_may_take_a_backup() {
    let scene = Scene::make();
    let server = Server::start(&scene.data);
    let client = server.client();
    let other = client.post("/dew/v1/accounts", &serde_json::json!({ "name": "other" }));
    assert_eq!(other.status, 201, "{:?}", other.body);
    let token = other.body["token"].as_str().expect("a token");
    for (token, status) in [(token, 403), ("dop_v1_of-nobody", 401)] {
        let answer = client.send_as(token, "POST", "/dew/v1/backup", None).expect("an answer");
        assert_eq!(answer.status, status, "{:?}", answer.body);
    }
    eventually("the audit log has both", || {
        let audit = client.get("/dew/v1/audit?operation=dew_backup_take");
        audit.body["entries"].as_array().is_some_and(|entries| entries.len() >= 2)
    });
}

#[test]
fn check_says_what_is_wrong_and_puts_right_what_it_can_once_the_server_is_stopped() {
    let scene = Scene::make();
    done(&check(&scene.data, &[]));
    let before = contents(&scene.data);
    let output = check(&scene.data, &["-o", "json"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "[]");
    assert!(contents(&scene.data) == before, "looking changes nothing");

    // A machine that no Droplet has: one of a later time, beside an older store.
    let server = Server::start(&scene.data);
    make(server.client(), "later");
    until_active(server.client());
    assert!(server.terminate().success());
    for name in ["dewpoint.db", "dewpoint.db-sums"] {
        let from = scene.copy.join("data").join(name);
        match from.exists() {
            true => drop(fs::copy(from, scene.data.join(name)).expect("copied")),
            false => fs::remove_file(scene.data.join(name)).expect("removed"),
        }
    }
    let output = check(&scene.data, &["-o", "json"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (found[0]["rule"].as_str(), found[0]["repairable"].as_bool()),
        (Some("machine-ownerless"), Some(true)),
        "{found}"
    );
    let output = check(&scene.data, &[]);
    assert!(said(&output).contains("why it matters"), "{}", said(&output));

    done(&check(&scene.data, &["--repair"]));
    done(&check(&scene.data, &[]));
    let server = Server::start(&scene.data);
    server.until_ready();
    assert_eq!(names(server.client()).len(), 3);
    done(&check(&scene.data, &["--repair"]));
    assert!(server.terminate().success());

    let output = check(&scene.dir.path().join("nowhere"), &[]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
}

#[test]
fn check_and_serve_name_a_flipped_bit_of_store_and_simulator() {
    let scene = Scene::make();
    for name in ["dewpoint.db", "sim.db"] {
        let file = scene.data.join(name);
        let whole = fs::read(&file).expect("readable");
        let mut flipped = whole.clone();
        let place = flipped.len() / 2 + 99;
        flipped[place] ^= 1;
        fs::write(&file, &flipped).expect("written");
        let before = contents(&scene.data);
        let output = check(&scene.data, &[]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(name) && said(&output).contains("not what was written"), "{}", said(&output));
        let output = ended(support::serve(&scene.data));
        assert!(!output.status.success(), "it starts");
        assert!(said(&output).contains(name) && said(&output).contains("nothing was changed"), "{}", said(&output));
        let lockless = |files: Vec<(PathBuf, Vec<u8>)>| {
            files.into_iter().filter(|(path, _)| !path.ends_with("lock")).collect::<Vec<_>>()
        };
        assert!(lockless(contents(&scene.data)) == lockless(before), "a refused start changes nothing");
        fs::write(&file, &whole).expect("written");
    }
    assert!(Server::start(&scene.data).terminate().success());
}
