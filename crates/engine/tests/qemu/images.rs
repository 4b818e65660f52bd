//! Snapshots and what is made from them, as an owner of machines does it.

use std::sync::Arc;

use dewpoint_engine::{
    Engine, ImageName, MachineId, MachineSpec, Power, PowerState, Storage,
    conformance::{Bench, storage},
};

use crate::lab::{ID, Lab, pull_the_plug, spec};

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_passes_the_suite_about_machines_and_images() {
    let Some(lab) = Lab::open("the_engine_passes_the_suite_about_machines_and_images").await else { return };
    let engine: Arc<dyn Engine> = lab.engine.clone();
    let bench = Bench::new(engine, |_| spec());
    storage::a_machine_that_is_off_can_grow(&bench).await;
    storage::a_running_machine_is_not_resized(&bench).await;
    storage::a_disk_never_shrinks(&bench).await;
    storage::a_machine_can_be_built_anew(&bench).await;
    storage::a_running_machine_is_not_built_anew(&bench).await;
    storage::a_snapshot_is_an_image_machines_are_made_from(&bench).await;
    storage::a_running_machine_can_be_snapshotted(&bench).await;
    storage::a_snapshot_is_taken_once(&bench).await;
    storage::an_image_outlives_what_it_was_taken_of(&bench).await;
    storage::what_was_made_from_an_image_outlives_it(&bench).await;
    storage::removing_an_image_is_idempotent(&bench).await;
    let layers = std::fs::read_dir(lab.config.data_dir.join("layers")).expect("a list").count();
    assert_eq!(layers, 0, "files of images that are gone");
}

/// A second machine, beside [`lab::ID`](crate::lab::ID).
const OTHER: MachineId = MachineId(8);

fn image(name: &str) -> ImageName {
    ImageName::own(name).expect("a name")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_a_running_machine_has_what_was_written_before_it() {
    let Some(lab) = Lab::open("a_snapshot_of_a_running_machine_has_what_was_written_before_it").await else { return };
    lab.started(None).await;
    lab.ssh_answers().await;
    lab.ssh("echo one > /root/first; sync").await;
    let boots = lab.ssh("cat /proc/stat | grep btime").await;

    lab.engine.snapshot(ID, &image("1")).await.expect("a snapshot");
    lab.ssh("echo two > /root/second; sync").await;
    lab.engine.snapshot(ID, &image("2")).await.expect("another, of what runs on above the first");

    let other = MachineSpec { image: image("1"), ..lab.spec(None) };
    lab.engine.ensure(OTHER, &other).await.expect("a machine from the first");
    lab.engine.power(OTHER, Power::On).await.expect("it starts");
    lab.ssh_answers_at(OTHER).await;
    assert_eq!(lab.ssh_at(OTHER, "cat /root/first").await, "one");
    assert_eq!(lab.ssh_at(OTHER, "ls /root/second 2>&1 || true").await, "ls: /root/second: No such file or directory");

    // Each writes for itself, and the first has never stopped.
    lab.ssh_at(OTHER, "echo other > /root/first; sync").await;
    assert_eq!(
        lab.ssh("cat /root/first /root/second; cat /proc/stat | grep btime").await,
        format!("one\ntwo\n{boots}")
    );

    // Neither needs the names of the images.
    for name in ["1", "2"] {
        lab.engine.remove_image(&image(name)).await.expect("it is removed");
    }
    for id in [ID, OTHER] {
        lab.engine.power(id, Power::Shutdown).await.expect("it shuts down");
        lab.engine.power(id, Power::On).await.expect("it starts again");
        lab.ssh_answers_at(id).await;
    }
    assert_eq!(lab.ssh("cat /root/second").await, "two");
    assert_eq!(lab.ssh_at(OTHER, "cat /root/first").await, "other");
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_off_can_be_snapshotted() {
    let Some(lab) = Lab::open("a_machine_that_is_off_can_be_snapshotted").await else { return };
    lab.started(None).await;
    lab.ssh_answers().await;
    lab.ssh("echo mine > /root/mine").await;
    lab.engine.power(ID, Power::Shutdown).await.expect("it shuts down");
    lab.engine.snapshot(ID, &image("1")).await.expect("a snapshot");
    lab.engine.destroy(ID).await.expect("it is removed");

    let spec = MachineSpec { image: image("1"), ..lab.spec(None) };
    lab.engine.ensure(OTHER, &spec).await.expect("a machine from it");
    lab.engine.power(OTHER, Power::On).await.expect("it starts");
    lab.ssh_answers_at(OTHER).await;
    assert_eq!(lab.ssh_at(OTHER, "cat /root/mine").await, "mine");
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_behind_a_snapshot_takes_nothing_with_it() {
    let Some(lab) = Lab::open("a_process_that_is_killed_behind_a_snapshot_takes_nothing_with_it").await else { return };
    lab.started(None).await;
    lab.ssh_answers().await;
    lab.ssh("echo one > /root/first; sync").await;
    lab.engine.snapshot(ID, &image("1")).await.expect("a snapshot");
    pull_the_plug(lab.pid());
    lab.goes(PowerState::Off).await;

    let spec = MachineSpec { image: image("1"), ..lab.spec(None) };
    lab.engine.ensure(OTHER, &spec).await.expect("a machine from it");
    for id in [ID, OTHER] {
        lab.engine.power(id, Power::On).await.expect("it starts");
        lab.ssh_answers_at(id).await;
        assert_eq!(lab.ssh_at(id, "cat /root/first").await, "one");
    }
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_with_an_agent_writes_everything_out_for_a_snapshot() {
    let Some(lab) = Lab::open("a_guest_with_an_agent_writes_everything_out_for_a_snapshot").await else { return };
    lab.started(None).await;
    lab.ssh_answers().await;
    // Written out never, as far as the guest's own clock goes.
    lab.ssh("cd /proc/sys/vm && echo 0 > dirty_writeback_centisecs && echo 360000 > dirty_expire_centisecs").await;
    lab.ssh("mount -o remount,commit=3600 / && sync && echo late > /root/late").await;
    lab.engine.snapshot(ID, &image("1")).await.expect("a snapshot");
    // It goes on.
    assert_eq!(lab.ssh("echo later > /root/later; sync; cat /root/late").await, "late");

    let spec = MachineSpec { image: image("1"), ..lab.spec(None) };
    lab.engine.ensure(OTHER, &spec).await.expect("a machine from it");
    lab.engine.power(OTHER, Power::On).await.expect("it starts");
    lab.ssh_answers_at(OTHER).await;
    assert_eq!(lab.ssh_at(OTHER, "cat /root/late").await, "late");
    lab.close().await;
}
