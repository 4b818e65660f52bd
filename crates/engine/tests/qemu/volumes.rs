//! Volumes, as an owner of machines uses them: made, plugged in, written to, carried to another machine.

use std::{fs, process::Command, sync::Arc, time::Duration};

use dewpoint_engine::{
    Engine, Error, Filesystem, FilesystemKind, ImageName, MachineId, Power, Storage, VolumeId, VolumeSpec,
    conformance::wait_until, qemu::QemuEngine,
};
use uuid::Uuid;

use crate::lab::{ID, Lab, pull_the_plug};

const OTHER: MachineId = MachineId(8);

fn formatted(name: &str, kind: FilesystemKind) -> VolumeSpec {
    let filesystem = Some(Filesystem { kind, label: format!("{name}-label") });
    VolumeSpec { name: name.to_owned(), size_gib: 1, filesystem, source: None }
}

/// What an owner does with volumes.
impl Lab {
    async fn another_machine(&self) {
        self.engine.ensure(OTHER, &self.spec(None)).await.expect("it is made");
        self.engine.power(OTHER, Power::On).await.expect("it starts");
    }

    async fn volume(&self, spec: &VolumeSpec) -> VolumeId {
        let id = VolumeId(Uuid::new_v4());
        self.engine.ensure_volume(id, spec).await.expect("the volume is made");
        id
    }

    async fn holder(&self, id: VolumeId) -> Option<MachineId> {
        self.engine.observe_volume(id).await.expect("a look").expect("a volume").machine
    }

    /// Waits until the guest has found the volume by its name, and mounts it there.
    async fn mounted(&self, machine: MachineId, name: &str) {
        self.in_guest(machine, &format!("[ -b {} ]", by_id(name))).await;
        self.ssh_at(machine, &format!("mkdir -p /mnt/{name} && mount {} /mnt/{name}", by_id(name))).await;
    }

    /// Stops or continues the machine's process, as seen from outside the guest.
    fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.pid());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("sh runs").success());
    }
}

fn by_id(name: &str) -> String {
    format!("/dev/disk/by-id/scsi-0DO_Volume_{name}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_is_carried_from_one_machine_to_another() {
    let Some(lab) = Lab::open("a_volume_is_carried_from_one_machine_to_another").await else { return };
    lab.started(None).await;
    lab.another_machine().await;
    let (data, logs) = (formatted("data", FilesystemKind::Ext4), formatted("logs", FilesystemKind::Xfs));
    let ids = [lab.volume(&data).await, lab.volume(&logs).await];
    lab.ssh_answers_at(ID).await;
    for id in ids {
        lab.engine.attach(id, ID).await.expect("it is attached");
    }
    for name in ["data", "logs"] {
        lab.mounted(ID, name).await;
        let found = lab.ssh_at(ID, &format!("findfs LABEL={name}-label; readlink -f {}", by_id(name))).await;
        assert!(found.lines().all(|line| Some(line) == found.lines().next()), "{found}");
        lab.ssh_at(ID, &format!("echo kept in {name} > /mnt/{name}/file && umount /mnt/{name}")).await;
    }
    for (id, name) in ids.into_iter().zip(["data", "logs"]) {
        lab.engine.detach(id, ID).await.expect("it is taken away");
        lab.in_guest(ID, &format!("[ ! -e {} ]", by_id(name))).await;
    }

    lab.ssh_answers_at(OTHER).await;
    for (id, name) in ids.into_iter().zip(["data", "logs"]) {
        lab.engine.attach(id, OTHER).await.expect("it is attached");
        lab.mounted(OTHER, name).await;
        assert_eq!(lab.ssh_at(OTHER, &format!("cat /mnt/{name}/file")).await, format!("kept in {name}"));
    }
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_grows_under_a_running_guest_and_stays_over_a_restart() {
    let Some(lab) = Lab::open("a_volume_grows_under_a_running_guest_and_stays_over_a_restart").await else { return };
    lab.started(None).await;
    let id = lab.volume(&formatted("data", FilesystemKind::Ext4)).await;
    lab.engine.attach(id, ID).await.expect("it is attached");
    lab.ssh_answers().await;
    lab.mounted(ID, "data").await;
    lab.engine.resize_volume(id, 3).await.expect("it grows");
    lab.in_guest(ID, &format!("[ $(blockdev --getsize64 {}) = {} ]", by_id("data"), 3_u64 << 30)).await;
    lab.ssh(&format!("resize2fs $(readlink -f {})", by_id("data"))).await;
    let kib: u64 = lab.ssh("df -kP /mnt/data | tail -n 1 | awk '{print $2}'").await.parse().expect("a number");
    assert!(kib > 2_800_000, "the file system has grown to {kib} KiB");
    lab.ssh("echo mine > /mnt/data/file && sync").await;

    lab.engine.power(ID, Power::Off).await.expect("it goes off");
    lab.engine.power(ID, Power::On).await.expect("it starts again");
    lab.ssh_answers().await;
    lab.mounted(ID, "data").await;
    assert_eq!(lab.ssh("cat /mnt/data/file").await, "mine");
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_a_volume_in_use_has_what_was_written_just_before() {
    let Some(lab) = Lab::open("a_snapshot_of_a_volume_in_use_has_what_was_written_just_before").await else { return };
    lab.started(None).await;
    let id = lab.volume(&formatted("data", FilesystemKind::Ext4)).await;
    lab.engine.attach(id, ID).await.expect("it is attached");
    lab.ssh_answers().await;
    lab.mounted(ID, "data").await;
    lab.agent_listens().await;
    // Not synced: the guest's agent writes it out.
    lab.ssh("echo before > /mnt/data/file").await;
    let image = ImageName::own(Uuid::new_v4()).expect("a name");
    lab.engine.snapshot_volume(id, &image).await.expect("a snapshot");
    lab.ssh("echo after > /mnt/data/file && sync").await;

    let copy = VolumeSpec { name: "copy".to_owned(), size_gib: 2, filesystem: None, source: Some(image.clone()) };
    let copy = lab.volume(&copy).await;
    lab.engine.attach(copy, ID).await.expect("it is attached");
    lab.mounted(ID, "copy").await;
    assert_eq!(lab.ssh("cat /mnt/copy/file /mnt/data/file").await, "before\nafter");

    // The layers beneath stay with whom needs them.
    lab.engine.remove_image(&image).await.expect("it is removed");
    lab.ssh("umount /mnt/data").await;
    lab.engine.detach(id, ID).await.expect("it is taken away");
    lab.engine.attach(id, ID).await.expect("it is attached again");
    lab.in_guest(ID, &format!("[ -b {} ]", by_id("data"))).await;
    lab.mounted(ID, "data").await;
    assert_eq!(lab.ssh("cat /mnt/copy/file /mnt/data/file").await, "before\nafter");
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn qemu_killed_in_the_middle_of_attaching_leaves_one_truth() {
    let Some(lab) = Lab::open("qemu_killed_in_the_middle_of_attaching_leaves_one_truth").await else { return };
    lab.started(None).await;
    lab.another_machine().await;
    let id = lab.volume(&formatted("data", FilesystemKind::Ext4)).await;
    // A QEMU that stands still holds the call where the record is written and the disk is not plugged.
    lab.signal("STOP");
    let engine = lab.engine.clone();
    let attaching = tokio::spawn(async move { engine.attach(id, ID).await });
    wait_for_holder(&lab, id).await;
    pull_the_plug(lab.pid());
    attaching.await.expect("the call ends").expect("it is attached to a machine that is off");
    assert_eq!(lab.holder(id).await, Some(ID));
    let refused = lab.engine.attach(id, OTHER).await;
    assert!(matches!(refused, Err(Error::VolumeElsewhere { machine: ID, .. })), "{refused:?}");

    lab.engine.power(ID, Power::On).await.expect("it starts again");
    lab.ssh_answers().await;
    lab.mounted(ID, "data").await;
    lab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_was_cut_off_in_is_finished_by_the_next() {
    let Some(mut lab) = Lab::open("what_a_server_was_cut_off_in_is_finished_by_the_next").await else { return };
    lab.started(None).await;
    let id = lab.volume(&formatted("data", FilesystemKind::Ext4)).await;
    lab.ssh_answers().await;
    // Where the record is written and the disk is not plugged.
    lab.signal("STOP");
    let engine = lab.engine.clone();
    let attaching = tokio::spawn(async move { engine.attach(id, ID).await });
    wait_for_holder(&lab, id).await;
    attaching.abort();
    assert!(attaching.await.is_err(), "it was cut off");
    lab.signal("CONT");
    lab.engine = Arc::new(QemuEngine::open(lab.config.clone()).await.expect("an engine"));
    assert_eq!(lab.holder(id).await, Some(ID));
    lab.engine.attach(id, ID).await.expect("it is attached now");
    lab.mounted(ID, "data").await;
    lab.ssh("umount /mnt/data").await;

    // Where the disk is unplugged and the record still says that it is there: what can follow is either call.
    for again in [true, false] {
        lab.engine.detach(id, ID).await.expect("it is taken away");
        lab.in_guest(ID, &format!("[ ! -e {} ]", by_id("data"))).await;
        let path = lab.config.data_dir.join("volumes").join(id.to_string()).join("volume.json");
        let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&path).expect("a record")).expect("JSON");
        record["machine"] = ID.0.into();
        fs::write(&path, record.to_string()).expect("written");
        lab.engine = Arc::new(QemuEngine::open(lab.config.clone()).await.expect("an engine"));
        assert_eq!(lab.holder(id).await, Some(ID));
        if again {
            lab.engine.attach(id, ID).await.expect("it is attached again");
            lab.in_guest(ID, &format!("[ -b {} ]", by_id("data"))).await;
        } else {
            lab.engine.detach(id, ID).await.expect("it is taken away");
            assert_eq!(lab.holder(id).await, None);
        }
    }
    lab.close().await;
}

async fn wait_for_holder(lab: &Lab, id: VolumeId) {
    let attached = async || lab.holder(id).await.is_some();
    wait_until(&*lab.engine, Duration::from_secs(30), || "the record is written".to_owned(), attached).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_was_left_half_made_is_removed_at_the_start() {
    let Some(lab) = Lab::open("a_volume_that_was_left_half_made_is_removed_at_the_start").await else { return };
    let whole = lab.volume(&formatted("data", FilesystemKind::Ext4)).await;
    let half = VolumeId(Uuid::new_v4());
    let directory = lab.config.data_dir.join("volumes").join(half.to_string());
    fs::create_dir(&directory).expect("a directory");
    fs::write(directory.join("disk-1.raw"), "half").expect("written");
    assert!(lab.engine.volumes().await.expect("a list").contains(&half));
    assert_eq!(lab.engine.observe_volume(half).await.expect("a look"), None);
    let engine = QemuEngine::open(lab.config.clone()).await.expect("an engine");
    assert_eq!(engine.volumes().await.expect("a list"), [whole]);
    assert!(!directory.exists());
}
