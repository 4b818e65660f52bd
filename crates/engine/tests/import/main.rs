//! Importing images into the QEMU engine, from a web server of the tests' own on the loopback (IMG-4).

#![cfg(feature = "qemu")]

mod hostile;
mod lab;
mod mending;
mod server;

use std::{fs, time::Duration};

use dewpoint_engine::{Engine, Error, MachineId, Power, PowerState, Storage, qemu::QemuEngine};

use crate::{
    lab::{Lab, MIB, bzip2, disk, gzip, image, spec},
    server::Server,
};

#[tokio::test]
async fn every_kind_packed_or_not_becomes_an_image_that_machines_are_made_from() {
    let Some(lab) = Lab::open("every_kind_packed_or_not_becomes_an_image_that_machines_are_made_from").await else {
        return;
    };
    let disk = disk();
    let kinds: [&[&str]; 8] = [
        &["raw"],
        &["qcow2"],
        &["qcow2", "-c"],
        &["vdi"],
        &["vhdx"],
        &["vmdk", "-o", "subformat=monolithicSparse"],
        &["vmdk", "-o", "subformat=streamOptimized"],
        &["qcow2", "-o", "compat=0.10"],
    ];
    for kind in kinds {
        let plain = lab.converted(&disk, kind);
        for (packing, bytes) in [("", plain.clone()), (".gz", gzip(&plain[..])), (".bz2", bzip2(&plain[..]))] {
            // The name says nothing: what it is shows in the bytes.
            let server = Server::of(bytes);
            let facts = lab.import(&server.url("image.iso")).await;
            let facts = facts.unwrap_or_else(|error| panic!("{kind:?}{packing}: {error}"));
            assert_eq!(facts.disk_bytes, 9 * MIB, "{kind:?}{packing}");
            assert!(facts.stored_bytes < 6 * MIB, "{kind:?}{packing} takes {} bytes", facts.stored_bytes);
            lab.holds(&disk);
            assert_eq!(lab.engine.images().await.expect("a list"), [image()]);
            let machine = MachineId(1);
            lab.engine.ensure(machine, &spec()).await.expect("a machine");
            lab.engine.destroy(machine).await.expect("it goes");
            lab.engine.remove_image(&image()).await.expect("it goes");
            lab.nothing_is_left().await;
        }
    }
}

#[tokio::test]
async fn a_machine_of_an_imported_image_starts() {
    let Some(lab) = Lab::open("a_machine_of_an_imported_image_starts").await else { return };
    let server = Server::of(disk());
    lab.import(&server.url("disk.raw")).await.expect("imported");
    let machine = MachineId(1);
    lab.engine.ensure(machine, &spec()).await.expect("a machine");
    lab.engine.power(machine, Power::On).await.expect("it starts");
    let seen = lab.engine.observe(machine).await.expect("a look").expect("a machine");
    assert_eq!(seen.power, PowerState::On);
    lab.engine.destroy(machine).await.expect("it goes");
}

#[tokio::test]
async fn an_image_that_is_there_is_not_fetched_again() {
    let Some(lab) = Lab::open("an_image_that_is_there_is_not_fetched_again").await else { return };
    let server = Server::of(disk());
    let url = server.url("disk.raw");
    let (first, second) = tokio::join!(lab.import(&url), lab.import(&url));
    assert_eq!(first.expect("imported"), second.expect("imported"));
    lab.import("http://127.0.0.1:9/nobody").await.expect("it is there");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn requests_carry_a_name_and_nothing_secret() {
    let Some(lab) = Lab::open("requests_carry_a_name_and_nothing_secret").await else { return };
    let server = Server::of(disk());
    lab.import(&server.url("disk.raw?token=1")).await.expect("imported");
    let request = &server.requests()[0];
    assert_eq!(request.path, "/disk.raw?token=1");
    assert_eq!(request.header("user-agent"), Some(concat!("dewpoint/", env!("CARGO_PKG_VERSION"))));
    assert_eq!((request.header("authorization"), request.header("cookie")), (None, None));
}

#[tokio::test]
async fn a_disk_without_room_is_told_apart() {
    let full = |config: &mut dewpoint_engine::qemu::QemuConfig| config.import_limits.keep_free = 1 << 60;
    let Some(lab) = Lab::open_with("a_disk_without_room_is_told_apart", full).await else { return };
    for bytes in [disk(), lab.converted(&disk(), &["vdi"]), gzip(&disk()[..])] {
        let server = Server::of(bytes);
        let refused = lab.import(&server.url("disk")).await;
        assert!(matches!(refused, Err(Error::DiskFull { .. })), "{refused:?}");
        lab.nothing_is_left().await;
    }
}

#[tokio::test]
async fn qemu_img_gets_so_much_time_and_no_more() {
    let hurried = |config: &mut dewpoint_engine::qemu::QemuConfig| config.import_limits.qemu_img = Duration::ZERO;
    let Some(lab) = Lab::open_with("qemu_img_gets_so_much_time_and_no_more", hurried).await else { return };
    let server = Server::of(lab.converted(&disk(), &["vdi"]));
    let why = lab.refused(&server.url("disk")).await;
    assert!(why.contains("too long"), "{why}");
}

#[tokio::test]
async fn what_a_server_that_died_left_is_gone_at_the_next_start() {
    let Some(lab) = Lab::open("what_a_server_that_died_left_is_gone_at_the_next_start").await else { return };
    let left = lab.config.data_dir.join("import/own-9");
    fs::create_dir(&left).expect("a directory");
    fs::write(left.join("disk.qcow2"), "half").expect("written");
    let Lab { engine, config, top } = lab;
    drop(engine);
    let engine = QemuEngine::open(config.clone()).await.expect("it opens");
    assert!(!left.exists());
    Lab { engine: std::sync::Arc::new(engine), config, top }.nothing_is_left().await;
}
