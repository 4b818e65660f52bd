//! The simulator's file with a bit flipped or its end cut off: each start says so and changes nothing, or nothing is lost.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use dewpoint_clock::SystemClock;
use dewpoint_engine::{Engine as _, ImageName, MachineId, MachineSpec, Power, sim::SimEngine};

type Files = BTreeMap<PathBuf, Vec<u8>>;

fn files(directory: &Path) -> Files {
    let entries = fs::read_dir(directory).expect("is there").map(|entry| entry.expect("is readable").path());
    entries.map(|path| (path.file_name().expect("a name").into(), fs::read(&path).expect("is readable"))).collect()
}

fn put(directory: &Path, files: &Files) {
    for entry in fs::read_dir(directory).expect("is there") {
        fs::remove_file(entry.expect("is readable").path()).expect("can be removed");
    }
    files.iter().for_each(|(name, bytes)| fs::write(directory.join(name), bytes).expect("is written"));
}

fn spec(number: u64) -> MachineSpec {
    MachineSpec {
        hostname: format!("web-{number}"),
        host: "sim-1".to_owned(),
        vcpus: 1,
        memory_mib: 1024,
        disk_gib: 25,
        image: ImageName::new("ubuntu-24-04-x64").expect("a name"),
        ssh_keys: Vec::new(),
        user_data: Some("#!/bin/sh\n".repeat(30)),
        password_hash: None,
        nics: Vec::new(),
        gpus: Vec::new(),
    }
}

fn open(path: &Path) -> Result<SimEngine, dewpoint_engine::Error> {
    SimEngine::open(path, Arc::new(SystemClock))
}

async fn all(sim: &SimEngine) -> Vec<(u64, MachineSpec, bool)> {
    let mut found = Vec::new();
    for id in sim.machines().await.expect("a list") {
        let spec = sim.spec(id).await.expect("a spec").expect("a machine");
        let observed = sim.observe(id).await.expect("a state").expect("a machine");
        found.push((id.0, spec, observed.started_at.is_some()));
    }
    found
}

/// Drops it and waits until its file is closed: its thread takes the log away.
fn close(sim: SimEngine, directory: &Path) {
    drop(sim);
    let start = std::time::Instant::now();
    while directory.join("sim.db-wal").exists() {
        assert!(start.elapsed().as_secs() < 60, "it is not closed");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_flipped_bit_in_the_simulators_file_is_found_at_the_start_or_does_no_harm() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("sim.db");
    let sim = open(&path).expect("it opens");
    for number in 1..=40 {
        sim.ensure(MachineId(number), &spec(number)).await.expect("made");
    }
    close(sim, directory.path());
    let closed = files(directory.path());
    let sim = open(&path).expect("it opens again");
    for number in 20..=60 {
        sim.ensure(MachineId(number), &spec(number)).await.expect("made");
        sim.power(MachineId(number), Power::On).await.expect("runs");
    }
    let killed = files(directory.path());
    close(sim, directory.path());

    let mut random = 4_u64;
    let mut below = |limit: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).expect("it fits") % limit
    };
    for (state, whole) in [("closed in order", closed), ("killed", killed)] {
        put(directory.path(), &whole);
        let sim = open(&path).expect("whole");
        let machines = all(&sim).await;
        close(sim, directory.path());
        let names: Vec<PathBuf> = ["sim.db", "sim.db-wal"].map(PathBuf::from).into();
        let names: Vec<PathBuf> = names.into_iter().filter(|name| whole.contains_key(name)).collect();
        let (mut found, mut harmless) = (0, 0);
        for flip in 0..100 {
            let name = &names[flip % names.len()];
            let mut changed = whole.clone();
            let bytes = changed.get_mut(name).expect("it is there");
            let byte = below(bytes.len());
            match flip % 5 {
                0 => bytes.truncate(byte),
                _ => bytes[byte] ^= 1 << below(8),
            }
            put(directory.path(), &changed);
            match open(&path) {
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.contains("sim.db") && text.contains("nothing was changed"), "{state}: {text}");
                    assert!(files(directory.path()) == changed, "{state}: a refused start changed a file");
                    found += 1;
                }
                Ok(sim) => {
                    assert_eq!(all(&sim).await, machines, "{state}: byte {byte} of {}", name.display());
                    close(sim, directory.path());
                    harmless += 1;
                }
            }
        }
        eprintln!("{state}: 100 changes, {found} found, {harmless} without effect");
        assert!(found >= if state == "killed" { 50 } else { 100 }, "{state}: {found} found");
    }
}
