//! A disk that fills up: creates are refused in words, nothing is half made, and with room again all goes on.

mod support;

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write as _,
    path::Path,
    sync::Arc,
};

use dewpoint_clock::SystemClock;
use dewpoint_engine::{Engine as _, sim::SimEngine};
use serde_json::json;
use support::{Server, Tmpfs, all, create, eventually};

/// Enough for the empty store and some hundred Droplets.
const DISK: &str = "size=6m,mode=0700";

#[test]
fn a_full_disk_refuses_creates_and_room_again_takes_them() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = dir.path().join("disk");
    fs::create_dir(&disk).expect("a directory");
    let Some(_mount) = Tmpfs::mount(&disk, DISK) else {
        return support::skipped(
            "a_full_disk_refuses_creates_and_room_again_takes_them",
            "no file system can be mounted here",
        );
    };
    let data_dir = disk.join("data");
    let server = Server::start(&data_dir);
    let client = server.client();
    assert_eq!(client.post("/v2/droplets", &create("before")).status, 202);

    let filler = disk.join("filler");
    let mut accepted = 1;
    for (round, room) in [0, 64 * 1024, 512 * 1024].into_iter().enumerate() {
        fill(&filler, room);
        let mut answers =
            (0..5000).map(|number| client.post("/v2/droplets", &create(&format!("while-{round}-{number}"))));
        let refused = answers.find(|answer| {
            accepted += u64::from(answer.status == 202);
            answer.status != 202
        });
        let refused = refused.expect("the disk is full at some time");
        assert_eq!((refused.status, &refused.body["id"]), (503, &json!("service_unavailable")), "{}", refused.body);
        let text = refused.body["message"].as_str().expect("a text");
        assert!(text.contains("disk is full"), "{text}");
        for number in 0..20 {
            let answer = client.post("/v2/droplets", &create(&format!("again-{round}-{number}")));
            accepted += u64::from(answer.status == 202);
            assert!([202, 503].contains(&answer.status), "{}", answer.body);
        }
        assert_eq!(client.get("/v2/account").status, 200, "what is there can be read");
        assert_eq!(client.get("/healthz").status, 200);

        fs::remove_file(&filler).expect("the filler");
        assert_eq!(client.post("/v2/droplets", &create("after")).status, 202, "with room again it is taken");
        accepted += 1;
        eventually("end of every action", || {
            all(client, "/v2/actions", "actions").iter().all(|action| action["status"] != "in-progress")
        });
    }

    let droplets = all(client, "/v2/droplets", "droplets");
    let (completed, errored): (Vec<_>, Vec<_>) =
        all(client, "/v2/actions", "actions").into_iter().partition(|action| action["status"] == "completed");
    assert_eq!(u64::try_from(completed.len() + errored.len()).expect("it fits"), accepted, "an action for each 202");
    assert_eq!(droplets.len(), completed.len(), "what was carried out, and nothing half made");
    assert!(droplets.iter().all(|droplet| droplet["status"] == "active"));
    for action in errored {
        // Accepted while there was room, and the machine then had none: said, and nothing left of it.
        let told = client.get(&format!("/dew/v1/actions/{}", action["id"])).body.to_string();
        assert!(told.contains("is full"), "{told}");
        assert_eq!(client.get(&format!("/v2/droplets/{}", action["resource_id"])).status, 404, "{told}");
    }
    assert!(server.terminate().success());
    // A machine that could not even be taken away then is taken away by the next start.
    let next = Server::start(&data_dir);
    next.until_ready();
    assert!(next.terminate().success());
    let droplets: BTreeSet<u64> = droplets.iter().filter_map(|droplet| droplet["id"].as_u64()).collect();
    assert_eq!(machines(&data_dir), droplets, "a machine for each Droplet, and none without");
}

/// Writes until the disk takes no more, and gives `room` bytes back.
fn fill(path: &Path, room: u64) {
    let mut file = File::create(path).expect("a file");
    let mut block = vec![0x55; 64 * 1024];
    while !block.is_empty() {
        while file.write_all(&block).is_ok() {}
        block.truncate(block.len() / 2);
    }
    let length = file.metadata().expect("its length").len();
    file.set_len(length.saturating_sub(room)).expect("a shorter file");
}

fn machines(data_dir: &Path) -> BTreeSet<u64> {
    let engine = SimEngine::open(&data_dir.join("sim.db"), Arc::new(SystemClock)).expect("the simulator's file");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(engine.machines()).expect("machines").into_iter().map(|machine| machine.0).collect()
}
