//! Snapshots and what is made from them, as an owner of machines does it.

use dewpoint_engine::{Engine, ImageName, MachineId, MachineSpec, Power, PowerState, Storage};

use crate::lab::{ID, Lab, pull_the_plug};

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
