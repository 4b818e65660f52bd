//! The QEMU engine with real guests: micro-x64, booted.
//!
//! Needs QEMU and an image directory that holds micro-x64, named by `DEW_TEST_IMAGES`; a test that cannot run says so.

#![cfg(feature = "qemu")]

mod agent;
mod console;
mod gpus;
mod images;
mod lab;
mod rebuilds;
mod volumes;

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use dewpoint_engine::{
    Engine, Error, ImageName, MachineSpec, Power, PowerState, UserDataOutcome,
    conformance::{self, wait_until},
    qemu::{QemuConfig, QemuEngine},
};

use lab::{BOOT_LIMIT, ID, Lab, process_lives, pull_the_plug, skip};

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_passes_the_suite_of_all_engines() {
    let Some(lab) = Lab::open("the_engine_passes_the_suite_of_all_engines").await else { return };
    let engine: Arc<dyn Engine> = lab.engine.clone();
    let bench = conformance::Bench::new(engine, |_| lab::spec());
    conformance::all(&bench).await;
    conformance::storage::all(&bench).await;
    for directory in ["machines", "volumes", "layers"] {
        let left = fs::read_dir(lab.config.data_dir.join(directory)).expect("a list");
        let left: Vec<_> = left.map(|entry| entry.expect("an entry").file_name()).collect();
        // A probe guest is beside the machines.
        assert!(left.is_empty() || left == ["probe.rom"], "{left:?} in {directory}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_passes_the_suite_of_all_engines_about_disks() {
    let Some(lab) = Lab::open("the_engine_passes_the_suite_of_all_engines_about_disks").await else { return };
    let engine: Arc<dyn Engine> = lab.engine.clone();
    conformance::storage::all(&conformance::Bench::new(engine, |_| lab::spec())).await;
    for directory in ["machines", "volumes", "layers"] {
        let left = fs::read_dir(lab.config.data_dir.join(directory)).expect("a list").flatten();
        let left: Vec<_> = left.map(|entry| entry.file_name()).filter(|name| name != "probe.rom").collect();
        assert!(left.is_empty(), "left in {directory}: {left:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_becomes_ready_and_keeps_what_is_written_in_it() {
    let Some(lab) = Lab::open("a_guest_becomes_ready_and_keeps_what_is_written_in_it").await else { return };
    lab.started(Some("#!/bin/sh\nhostname > /root/who\necho $$ >> /root/runs\n")).await;
    assert_eq!(lab.user_data_ended().await, UserDataOutcome::Done);
    lab.ssh_answers().await;

    assert_eq!(lab.ssh("cat /root/who").await, "web-1");
    let addresses = lab.ssh("ip addr").await;
    for address in ["198.18.0.2/24", "10.108.0.2/20", "fd00:64::5/64"] {
        assert!(addresses.contains(address), "{address} is not in {addresses}");
    }
    let blocks: u64 = lab.ssh("df -k / | tail -n 1 | awk '{print $2}'").await.parse().expect("a number");
    assert!(blocks > 2_700_000, "the disk has grown to {blocks} KiB");
    lab.ssh("echo mine > /root/mine; sync").await;

    lab.engine.power(ID, Power::Off).await.expect("it goes off");
    lab.engine.power(ID, Power::On).await.expect("it starts again");
    lab.ssh_answers().await;
    // The host's key is known by now: another one would be refused.
    assert_eq!(lab.ssh("cat /root/mine; wc -l < /root/runs").await, "mine\n1");

    lab.engine.power(ID, Power::Shutdown).await.expect("it shuts down");
    assert_eq!(lab.power().await, PowerState::Off);
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn user_data_that_fails_is_reported_as_failed() {
    let Some(lab) = Lab::open("user_data_that_fails_is_reported_as_failed").await else { return };
    lab.started(Some("#!/bin/sh\nexit 3\n")).await;
    assert_eq!(lab.user_data_ended().await, UserDataOutcome::Failed("exit status 3".to_owned()));
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cloud_config_is_reported_as_unsupported() {
    let Some(lab) = Lab::open("cloud_config_is_reported_as_unsupported").await else { return };
    lab.started(Some("#cloud-config\npackages: [nginx]\n")).await;
    assert_eq!(lab.user_data_ended().await, UserDataOutcome::Unsupported);
    lab.ssh_answers().await;
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_is_noticed() {
    let Some(lab) = Lab::open("a_killed_process_is_noticed").await else { return };
    lab.started(None).await;
    let mut changes = lab.engine.changes();
    pull_the_plug(lab.pid());
    let told = tokio::time::timeout(Duration::from_secs(10), changes.recv()).await;
    assert_eq!(told.expect("in time").expect("a change"), ID);
    assert_eq!(lab.power().await, PowerState::Off);
    lab.engine.power(ID, Power::On).await.expect("it starts again");
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_outlives_its_engine_and_is_found_again() {
    let Some(mut lab) = Lab::open("a_machine_outlives_its_engine_and_is_found_again").await else { return };
    lab.started(Some("#!/bin/sh\necho hi > /root/hi\n")).await;
    let pid = lab.pid();
    // Before the guest has said a word: what it says while nobody listens must reach the next engine.
    lab.engine = Arc::new(QemuEngine::open(lab.config.clone()).await.expect("an engine"));
    assert_eq!(lab.power().await, PowerState::On);
    assert_eq!(lab.user_data_ended().await, UserDataOutcome::Done);
    lab.ssh_answers().await;
    assert_eq!(lab.ssh("cat /root/hi").await, "hi");
    assert_eq!(lab.pid(), pid);

    let mut changes = lab.engine.changes();
    pull_the_plug(pid);
    tokio::time::timeout(Duration::from_secs(10), changes.recv()).await.expect("in time").expect("a change");
    lab.goes(PowerState::Off).await;
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_whose_record_was_lost_is_found_again() {
    let Some(mut lab) = Lab::open("a_start_whose_record_was_lost_is_found_again").await else { return };
    lab.started(None).await;
    let pid = lab.pid();
    // As a server leaves it that dies between the start and its record.
    let path = lab.dir().join("run.json");
    let mut run: serde_json::Value = serde_json::from_slice(&fs::read(&path).expect("a record")).expect("JSON");
    run["process"] = serde_json::Value::Null;
    fs::write(&path, run.to_string()).expect("written");
    lab.engine = Arc::new(QemuEngine::open(lab.config.clone()).await.expect("an engine"));
    assert_eq!(lab.power().await, PowerState::On);
    lab.engine.power(ID, Power::On).await.expect("it is on");
    assert_eq!(lab.pid(), pid);
    lab.close().await;
    assert!(!process_lives(pid));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_machine_leaves_no_process_and_no_file() {
    let Some(lab) = Lab::open("a_removed_machine_leaves_no_process_and_no_file").await else { return };
    lab.started(None).await;
    let pid = lab.pid();
    assert!(process_lives(pid));
    lab.engine.destroy(ID).await.expect("it is removed");
    assert!(!process_lives(pid));
    assert!(!lab.dir().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_whose_record_is_damaged_is_removed_with_its_process() {
    let Some(lab) = Lab::open("a_machine_whose_record_is_damaged_is_removed_with_its_process").await else { return };
    lab.started(None).await;
    let pid = lab.pid();
    let path = lab.dir().join("machine.json");
    let mut record = fs::read(&path).expect("a record");
    record[40] ^= 4;
    fs::write(&path, record).expect("written");
    assert!(lab.engine.observe(ID).await.is_err(), "nobody can say what it is");
    lab.engine.destroy(ID).await.expect("it is removed");
    assert!(!process_lives(pid));
    assert!(!lab.dir().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_at_its_start_leaves_its_last_words() {
    let Some(lab) = Lab::open("a_process_that_dies_at_its_start_leaves_its_last_words").await else { return };
    let mut spec = lab.spec(None);
    spec.memory_mib = 1 << 32;
    lab.engine.ensure(ID, &spec).await.expect("it is made");
    let died = lab.engine.power(ID, Power::On).await;
    assert!(matches!(&died, Err(Error::Died { last_words, .. }) if last_words.contains("memory")), "{died:?}");
    assert_eq!(lab.power().await, PowerState::Off);
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_image_that_is_none_is_refused_and_leaves_nothing() {
    let Some(mut lab) = Lab::open("a_base_image_that_is_none_is_refused_and_leaves_nothing").await else { return };
    let images = lab.top.path().join("images");
    copy_tree(&lab.config.image_dir, &images);
    for entry in fs::read_dir(images.join("micro-x64")).expect("a list") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|suffix| suffix == "qcow2") {
            fs::write(&path, "this is no disk").expect("written");
        }
    }
    lab.config.image_dir = images;
    let engine = QemuEngine::open(lab.config.clone()).await.expect("an engine");
    let refused = engine.ensure(ID, &lab.spec(None)).await;
    assert!(matches!(refused, Err(Error::ImageInvalid { .. })), "{refused:?}");
    assert_eq!(engine.machines().await.expect("a list"), []);
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("micro-x64")).expect("a directory");
    for entry in fs::read_dir(from.join("micro-x64")).expect("a list") {
        let path = entry.expect("an entry").path();
        fs::copy(&path, to.join("micro-x64").join(path.file_name().expect("a name"))).expect("copied");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_somebody_has_is_refused_and_another_can_be_given() {
    let Some(lab) = Lab::open("an_address_somebody_has_is_refused_and_another_can_be_given").await else { return };
    let spec = lab.spec(None);
    let address = spec.nics[0].ipv4.expect("an address").address;
    let port = 443;
    let Ok(_taken) = TcpListener::bind((address, port)) else {
        skip::<()>("an_address_somebody_has_is_refused_and_another_can_be_given", "low ports cannot be bound here");
        return;
    };
    lab.engine.ensure(ID, &spec).await.expect("it is made");
    let refused = lab.engine.power(ID, Power::On).await;
    assert!(matches!(refused, Err(Error::AddressUnusable(at)) if at == address), "{refused:?}");
    assert_eq!(lab.power().await, PowerState::Off);

    let moved = MachineSpec { nics: lab::spec().nics, ..spec };
    lab.engine.change(ID, &moved).await.expect("it gets another");
    lab.engine.power(ID, Power::On).await.expect("it starts");
    assert_eq!(lab.ssh_address().await.ip(), moved.nics[0].ipv4.expect("an address").address);
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_reaches_neither_the_host_nor_the_network() {
    let Some(lab) = Lab::open("a_guest_reaches_neither_the_host_nor_the_network").await else { return };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    lab.started(None).await;
    lab.ssh_answers().await;
    let reached = lab.try_ssh(&format!("nc -w 3 198.18.0.1 {port} < /dev/null")).await;
    assert!(!reached.status.success(), "the guest reached the host");
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_dir_that_qemu_cannot_walk_to_is_refused_by_name() {
    let Some(lab) = Lab::open("a_data_dir_that_qemu_cannot_walk_to_is_refused_by_name").await else { return };
    let closed = lab.top.path().join("closed");
    fs::create_dir(&closed).expect("a directory");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).expect("a mode");
    let config = QemuConfig { data_dir: closed.join("data"), ..lab.config.clone() };
    match QemuEngine::open(config).await {
        Err(error) => assert!(error.to_string().contains(&closed.display().to_string()), "{error}"),
        // Without root QEMU runs as this user, who can walk there.
        Ok(_) => assert!(skip::<()>("a_data_dir_that_qemu_cannot_walk_to_is_refused_by_name", "not root").is_none()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn debian_reports_user_data_of_every_kind() {
    let test = "debian_reports_user_data_of_every_kind";
    let Some(lab) = Lab::open(test).await else { return };
    let image = ImageName::new("debian-12-x64").expect("a name");
    if !lab.engine.has_image(&image) {
        skip::<()>(test, "there is no debian-12-x64 (it takes two minutes to build)");
        return;
    }
    let cases = [
        ("#!/bin/sh\ntouch /root/ran\n", Some("done")),
        ("#cloud-config\nruncmd: [[touch, /root/ran]]\n", Some("done")),
        ("#!/bin/sh\nexit 3\n", Some("failed")),
        // Nobody is there to report: SSH alone counts.
        ("#cloud-config\nvendor_data: {enabled: false}\n", None),
    ];
    for (user_data, expected) in cases {
        let spec = MachineSpec { image: image.clone(), memory_mib: 768, ..lab.spec(Some(user_data)) };
        lab.engine.ensure(ID, &spec).await.expect("it is made");
        lab.engine.power(ID, Power::On).await.expect("it starts");
        let ended = || async {
            let readiness = lab.engine.readiness(ID).await.expect("its readiness");
            readiness.ssh && (expected.is_none() || readiness.user_data != UserDataOutcome::Pending)
        };
        wait_until(&*lab.engine, 4 * BOOT_LIMIT, || format!("{user_data} ended; {}", lab.state()), ended).await;
        let word = match lab.outcome().await {
            UserDataOutcome::Pending => None,
            UserDataOutcome::Done => Some("done"),
            UserDataOutcome::Failed(_) => Some("failed"),
            UserDataOutcome::Unsupported => Some("unsupported"),
        };
        assert_eq!(word, expected, "{user_data}");
        if expected == Some("done") {
            lab.ssh("test -e /root/ran").await;
            assert_eq!(lab.ssh("cat /etc/hostname").await, "web-1");
        }
        lab.engine.destroy(ID).await.expect("it is removed");
    }
    lab.close().await;
}
