//! Machines that get another size or another disk, as their guests see it.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
};

use dewpoint_engine::{Engine, ImageName, MachineSpec, Power, PowerState, Storage, UserDataOutcome};

use crate::lab::{ID, Lab};

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuilt_machine_starts_anew_and_a_snapshot_brings_the_old_disk_back() {
    let test = "a_rebuilt_machine_starts_anew_and_a_snapshot_brings_the_old_disk_back";
    let Some(lab) = Lab::open(test).await else { return };
    let spec = lab.started(Some("#!/bin/sh\necho ran >> /root/runs\n")).await;
    assert_eq!(lab.user_data_ended().await, UserDataOutcome::Done);
    lab.ssh_answers().await;
    lab.ssh("echo old > /root/old; sync").await;
    let kept = ImageName::own("kept").expect("a name");
    lab.engine.snapshot(ID, &kept).await.expect("a snapshot");

    lab.engine.power(ID, Power::Off).await.expect("it goes off");
    lab.engine.rebuild(ID, &MachineSpec { hostname: "web-2".to_owned(), ..spec.clone() }).await.expect("a new disk");
    assert_eq!(lab.outcome().await, UserDataOutcome::Pending);
    lab.forget_host_keys();
    lab.engine.power(ID, Power::On).await.expect("it starts");
    assert_eq!(lab.user_data_ended().await, UserDataOutcome::Done);
    lab.ssh_answers().await;
    assert_eq!(lab.ssh("ls /root; cat /root/runs /etc/hostname").await, "runs\nran\nweb-2");

    lab.engine.power(ID, Power::Off).await.expect("it goes off");
    lab.engine.rebuild(ID, &MachineSpec { image: kept, ..spec }).await.expect("the old disk");
    lab.forget_host_keys();
    lab.engine.power(ID, Power::On).await.expect("it starts");
    assert_eq!(lab.user_data_ended().await, UserDataOutcome::Done);
    lab.ssh_answers().await;
    // Its first start is before it again, on what was there.
    assert_eq!(lab.ssh("cat /root/old /root/runs").await, "old\nran\nran");
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_larger_machine_shows_its_guest_more_of_everything() {
    let Some(lab) = Lab::open("a_larger_machine_shows_its_guest_more_of_everything").await else { return };
    let spec = lab.started(None).await;
    lab.ssh_answers().await;
    lab.ssh("echo mine > /root/mine").await;
    let size = "grep -c ^processor /proc/cpuinfo; awk '/MemTotal/ {print $2}' /proc/meminfo; cat /sys/block/vda/size";
    let before = numbers(&lab.ssh(size).await);
    lab.engine.power(ID, Power::Shutdown).await.expect("it shuts down");

    let larger = MachineSpec { vcpus: 2, memory_mib: spec.memory_mib + 128, disk_gib: spec.disk_gib + 2, ..spec };
    lab.engine.change(ID, &larger).await.expect("it grows");
    lab.engine.power(ID, Power::On).await.expect("it starts");
    lab.ssh_answers().await;
    let after = numbers(&lab.ssh(size).await);
    assert_eq!((before[0], after[0]), (1, 2), "processors");
    assert!(after[1] > before[1] + 100 * 1024, "memory in KiB: {} and then {}", before[1], after[1]);
    assert_eq!(after[2], before[2] + 2 * (1 << 30) / 512, "sectors");
    assert_eq!(lab.ssh("cat /root/mine").await, "mine");
    // The file system grows while the guest is up.
    assert_eq!(lab.user_data_ended().await, UserDataOutcome::Done);
    let blocks = numbers(&lab.ssh("df -k / | tail -n 1 | awk '{print $2}'").await)[0];
    assert!(blocks > 4_500_000, "the file system has grown to {blocks} KiB");
    lab.close().await;
}

fn numbers(text: &str) -> Vec<u64> {
    text.lines().map(|line| line.parse().expect("a number")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_of_which_a_backup_has_the_record_alone_starts_after_a_rebuild() {
    let test = "a_machine_of_which_a_backup_has_the_record_alone_starts_after_a_rebuild";
    let Some(lab) = Lab::open(test).await else { return };
    let spec = lab.spec(None);
    lab.engine.ensure(ID, &spec).await.expect("it is made");
    let record = fs::read(lab.dir().join("machine.json")).expect("a record");
    fs::remove_dir_all(lab.dir()).expect("what is lost");
    DirBuilder::new().mode(0o700).create(lab.dir()).expect("as dew restore makes it");
    fs::write(lab.dir().join("machine.json"), record).expect("written");

    assert_eq!(lab.power().await, PowerState::Off);
    let refused = lab.engine.power(ID, Power::On).await.expect_err("there is no disk").to_string();
    assert!(refused.contains("is not there: rebuild the Droplet, or restore the file"), "{refused}");
    lab.engine.rebuild(ID, &spec).await.expect("a new disk");
    lab.engine.power(ID, Power::On).await.expect("it starts");
    lab.ssh_answers().await;
    lab.close().await;
}
