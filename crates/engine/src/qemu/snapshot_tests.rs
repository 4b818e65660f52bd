//! Snapshots that are cut off: the server ends at each step, with QEMU or without, and everything is whole afterwards.
//!
//! The machines have no system. QEMU itself writes where a guest would, and reads what is there.

use std::{io::Write as _, os::unix::fs::PermissionsExt as _, process::Command as Program};

use dewpoint_clock::SystemClock;
use serde_json::json;

use super::{
    layers::{Point, node_of},
    power::QMP_LIMIT,
    qmp::Qmp,
    *,
};
use crate::Storage as _;

const ID: MachineId = MachineId(7);

/// What is running when the server ends, and what ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    Off,
    Running,
    KilledToo,
}

struct Bench {
    top: tempfile::TempDir,
    engine: QemuEngine,
}

impl Bench {
    /// `None`, after saying so, where there is no QEMU.
    async fn open(test: &str) -> Option<Self> {
        let top = tempfile::tempdir().expect("a directory");
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o711)).expect("a mode");
        let disk = top.path().join("disk");
        // hlt; jmp back: a system that is quiet.
        let mut sector = vec![0; 512];
        sector[..3].copy_from_slice(&[0xf4, 0xeb, 0xfd]);
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        fs::write(&disk, sector).expect("written");
        match Self::start(&top).await {
            Ok(engine) => {
                images::add(&top.path().join("images"), "quiet-x64", &disk, None, "test").expect("an image");
                Some(Self { top, engine })
            }
            Err(error) => {
                // Past the test harness, which would swallow it.
                let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {error}");
                None
            }
        }
    }

    async fn start(top: &tempfile::TempDir) -> Result<QemuEngine, Error> {
        let (data, images) = (top.path().join("data"), top.path().join("images"));
        let mut config = QemuConfig::new(data, images, Arc::new(SystemClock));
        config.accelerator = Some(Accelerator::Tcg);
        QemuEngine::open(config).await
    }

    /// Another server on the same data dir.
    async fn restart(&mut self) {
        self.engine = Self::start(&self.top).await.expect("an engine");
    }

    fn dir(&self) -> MachineDir {
        self.engine.inner.layout.machine(ID)
    }

    fn record(&self) -> MachineRecord {
        self.dir().read(names::MACHINE).expect("readable").expect("a record")
    }

    async fn kill(&self) {
        let (_, process) = self.engine.inner.running(&self.dir(), &self.record()).expect("a look").expect("a process");
        make::kill(&process).await.expect("it ends");
    }

    async fn is_on(&self) -> bool {
        self.engine.observe(ID).await.expect("a look").expect("a machine").power == PowerState::On
    }

    /// Writes 4 KiB of `letter` where `letter` has its place on the disk.
    async fn write(&self, letter: u8) {
        self.tell(&format!("write -P {letter} {} 4k", place(letter))).await;
    }

    /// Runs one of qemu-io's commands on the machine's disk: in its QEMU when that runs, else on the file.
    async fn tell(&self, command: &str) {
        let record = self.record();
        let said = if self.is_on().await {
            let mut qmp = Qmp::connect(&self.dir().file(names::QMP_SOCKET), QMP_LIMIT).await.expect("QEMU");
            let line = json!({ "command-line": format!("qemu-io -d /machine/peripheral/{}/virtio-backend \"{command}\"", super::command::ROOT) });
            let said = qmp.execute_with("human-monitor-command", line).await.expect("an answer");
            said.as_str().unwrap_or_default().to_owned()
        } else {
            qemu_io(&self.dir().file(&record.disk), command)
        };
        assert!(!said.to_lowercase().contains("fail") && !said.contains("rror"), "{command}: {said}");
    }

    fn layers(&self) -> usize {
        fs::read_dir(self.top.path().join("data/layers")).expect("a list").count()
    }
}

impl Drop for Bench {
    /// A test that failed leaves no QEMU running.
    fn drop(&mut self) {
        if let Some(run) = self.dir().read::<RunRecord>(names::RUN).ok().flatten()
            && let Some(identity) = run.process
            && let Some(process) = self
                .dir()
                .read::<MachineRecord>(names::MACHINE)
                .ok()
                .flatten()
                .and_then(|machine| Process::find(identity, machine.uuid).ok().flatten())
        {
            process.kill();
        }
    }
}

fn spec() -> MachineSpec {
    let image = ImageName::new("quiet-x64").expect("a name");
    MachineSpec { image, disk_gib: 1, memory_mib: 64, nics: Vec::new(), ..test_spec() }
}

fn place(letter: u8) -> usize {
    (usize::from(letter - b'a') + 1) << 20
}

fn qemu_io(file: &Path, command: &str) -> String {
    let output = Program::new("qemu-io").args(["-c", command]).arg(file).output().expect("qemu-io runs");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Whether the file, with all that is beneath it, has `letter` in its place.
fn holds(file: &Path, letter: u8) -> bool {
    let said = qemu_io(file, &format!("read -P {letter} {} 4k", place(letter)));
    assert!(said.contains("read 4096/4096"), "{}: {said}", file.display());
    !said.contains("Pattern verification failed")
}

fn check(file: &Path) {
    let output = Program::new("qemu-img").args(["check", "-q"]).arg(file).output().expect("qemu-img runs");
    assert!(output.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&output.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_cut_off_anywhere_leaves_everything_whole() {
    for run in [Run::Off, Run::Running, Run::KilledToo] {
        for point in Point::BY_REFERENCE {
            let Some(bench) = Bench::open("a_snapshot_that_is_cut_off_anywhere_leaves_everything_whole").await else {
                return;
            };
            cut_off(bench, run, point).await;
        }
    }
}

async fn cut_off(mut bench: Bench, run: Run, point: Point) {
    let case = format!("{run:?}, ended when {point:?}");
    let image = ImageName::own("1").expect("a name");
    let spec = spec();
    bench.engine.ensure(ID, &spec).await.expect("it is made");
    if run != Run::Off {
        bench.engine.power(ID, Power::On).await.expect("it starts");
    }
    bench.write(b'a').await;
    // What a guest has not flushed may go with QEMU, snapshot or not.
    bench.tell("flush").await;

    bench.engine.inner.layers.stop.end_at(point, bench.engine.snapshot(ID, &image)).await;
    if run == Run::KilledToo {
        bench.kill().await;
    }
    bench.restart().await;
    assert_eq!(bench.is_on().await, run == Run::Running, "{case}");
    assert_eq!(bench.engine.has_image(&image), point == Point::Named, "{case}");
    let disks = || fs::read_dir(bench.dir().path()).expect("a list").flatten();
    assert_eq!(disks().filter(|e| e.path().extension().is_some_and(|x| x == "qcow2")).count(), 1, "{case}");

    bench.write(b'b').await;
    bench.engine.snapshot(ID, &image).await.expect("a snapshot");
    bench.write(b'c').await;
    bench.engine.power(ID, Power::Off).await.expect("it goes off");

    let files = bench.engine.inner.base_files(&image).await.expect("files");
    let disk = bench.dir().file(&bench.record().disk);
    for letter in [b'a', b'b', b'c'] {
        assert!(holds(&disk, letter), "{case}: the machine lost {}", char::from(letter));
    }
    // The image is of the call that came to its end.
    let expected = [true, point != Point::Named, false];
    for (letter, expected) in [b'a', b'b', b'c'].into_iter().zip(expected) {
        assert_eq!(holds(&files.disk, letter), expected, "{case}: the image and {}", char::from(letter));
    }
    check(&disk);
    check(&files.disk);
    drop(files);

    bench.engine.power(ID, Power::On).await.expect("it starts again");
    bench.write(b'd').await;
    bench.engine.destroy(ID).await.expect("it is removed");
    bench.engine.remove_image(&image).await.expect("it is removed");
    assert_eq!(bench.layers(), 0, "{case}: a layer is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_machine_writes_to_the_newest_of_many_layers() {
    let Some(bench) = Bench::open("a_running_machine_writes_to_the_newest_of_many_layers").await else { return };
    let spec = spec();
    bench.engine.ensure(ID, &spec).await.expect("it is made");
    bench.engine.power(ID, Power::On).await.expect("it starts");
    for number in 0..4 {
        bench.write(b'a' + number).await;
        let image = ImageName::own(number).expect("a name");
        bench.engine.snapshot(ID, &image).await.expect("a snapshot");
    }
    bench.write(b'e').await;
    let record = bench.record();
    let mut qmp = Qmp::connect(&bench.dir().file(names::QMP_SOCKET), QMP_LIMIT).await.expect("QEMU");
    let nodes = qmp.execute("query-named-block-nodes").await.expect("an answer");
    let node = nodes.as_array().into_iter().flatten().find(|node| node["node-name"] == node_of(&record.disk));
    assert_eq!(node.expect("the disk's node")["ro"], false);
    // Everything beneath is closed for writing in QEMU too.
    let writable = |node: &&serde_json::Value| node["drv"] == "qcow2" && node["ro"] == false;
    assert_eq!(nodes.as_array().into_iter().flatten().filter(writable).count(), 1, "{nodes}");
    drop(qmp);

    bench.kill().await;
    bench.engine.power(ID, Power::On).await.expect("it starts again");
    bench.engine.power(ID, Power::Off).await.expect("it goes off");
    for number in 0..4 {
        let files = bench.engine.inner.base_files(&ImageName::own(number).expect("a name")).await.expect("files");
        assert!(holds(&files.disk, b'a' + number), "image {number}");
        assert!(!holds(&files.disk, b'a' + number + 1), "image {number}");
    }
    bench.engine.destroy(ID).await.expect("it is removed");
}

/// A running machine with as many layers as there may be, and `a` on its disk.
async fn deep(test: &str) -> Option<Bench> {
    let bench = Bench::open(test).await?;
    bench.engine.ensure(ID, &spec()).await.expect("it is made");
    bench.write(b'a').await;
    for number in 0..16 {
        bench.engine.snapshot(ID, &ImageName::own(number).expect("a name")).await.expect("a snapshot");
    }
    bench.engine.power(ID, Power::On).await.expect("it starts");
    bench.write(b'b').await;
    bench.tell("flush").await;
    Some(bench)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_machine_with_many_layers_is_copied() {
    let Some(bench) = deep("a_running_machine_with_many_layers_is_copied").await else { return };
    let (image, before) = (ImageName::own("copy").expect("a name"), bench.record().disk);
    let facts = bench.engine.snapshot(ID, &image).await.expect("a snapshot");
    assert_eq!(facts.disk_bytes, 1 << 30);
    assert_eq!(bench.record().disk, before);
    bench.write(b'c').await;
    let files = bench.engine.inner.base_files(&image).await.expect("files");
    let head = super::layers::qcow2::head(&files.disk).expect("a head");
    assert_eq!(head.backing, None);
    for (letter, expected) in [(b'a', true), (b'b', true), (b'c', false)] {
        assert_eq!(holds(&files.disk, letter), expected, "the image and {}", char::from(letter));
    }
    drop(files);
    bench.engine.power(ID, Power::Off).await.expect("it goes off");
    for letter in [b'a', b'b', b'c'] {
        assert!(holds(&bench.dir().file(&before), letter), "the machine lost {}", char::from(letter));
    }
    bench.engine.destroy(ID).await.expect("it is removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_cut_off_leaves_everything_whole() {
    for (run, point) in [
        (Run::Running, Point::Copying),
        (Run::KilledToo, Point::Copying),
        (Run::Running, Point::Copied),
        (Run::KilledToo, Point::Copied),
    ] {
        let case = format!("{run:?}, ended when {point:?}");
        let Some(mut bench) = deep("a_copy_that_is_cut_off_leaves_everything_whole").await else { return };
        let image = ImageName::own("copy").expect("a name");
        bench.engine.inner.layers.stop.end_at(point, bench.engine.snapshot(ID, &image)).await;
        if run == Run::KilledToo {
            bench.kill().await;
        }
        bench.restart().await;
        assert!(!bench.engine.has_image(&image), "{case}");
        assert_eq!(bench.layers(), 2 * 16, "{case}: layers and their names");
        bench.write(b'c').await;
        bench.engine.snapshot(ID, &image).await.expect("a snapshot");
        bench.engine.power(ID, Power::Off).await.expect("it goes off");
        let files = bench.engine.inner.base_files(&image).await.expect("files");
        for letter in [b'a', b'b', b'c'] {
            assert!(holds(&files.disk, letter), "{case}: the image lost {}", char::from(letter));
        }
        drop(files);
        bench.engine.destroy(ID).await.expect("it is removed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_still_runs_when_a_server_comes_back_is_given_up() {
    let Some(mut bench) = Bench::open("a_copy_that_still_runs_when_a_server_comes_back_is_given_up").await else {
        return;
    };
    bench.engine.ensure(ID, &spec()).await.expect("it is made");
    bench.tell("write -P 97 0 64M").await;
    bench.engine.power(ID, Power::On).await.expect("it starts");
    let (name, record) = (super::layers::fresh_disk(), bench.record());
    let target = bench.dir().file(&name);
    let user = bench.engine.inner.user.as_ref().map(|user| user.owning(&bench.dir().file(&record.disk)));
    disk::create(None, 1 << 30, &target, user.as_ref()).await.expect("a file");
    let mut qmp = Qmp::connect(&bench.dir().file(names::QMP_SOCKET), QMP_LIMIT).await.expect("QEMU");
    let node = json!({
        "driver": "qcow2", "node-name": node_of(&name), "file": { "driver": "file", "filename": target },
    });
    qmp.execute_with("blockdev-add", node).await.expect("it is opened");
    // So slow that it is not done before the sun goes down.
    let job = json!({
        "job-id": node_of(&name), "device": node_of(&record.disk), "target": node_of(&name), "sync": "full", "speed": 1,
    });
    qmp.execute_with("blockdev-backup", job).await.expect("it begins");
    drop(qmp);

    bench.restart().await;
    assert!(!target.exists());
    let mut qmp = Qmp::connect(&bench.dir().file(names::QMP_SOCKET), QMP_LIMIT).await.expect("QEMU");
    assert_eq!(qmp.execute("query-block-jobs").await.expect("an answer"), json!([]));
    let nodes = qmp.execute("query-named-block-nodes").await.expect("an answer").to_string();
    assert!(nodes.contains(node_of(&record.disk)) && !nodes.contains(node_of(&name)), "{nodes}");
    drop(qmp);
    bench.engine.destroy(ID).await.expect("it is removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_is_cut_off_leaves_the_old_disk_or_the_new() {
    let Some(mut bench) = Bench::open("a_rebuild_that_is_cut_off_leaves_the_old_disk_or_the_new").await else { return };
    let image = ImageName::own("1").expect("a name");
    bench.engine.ensure(ID, &spec()).await.expect("it is made");
    bench.write(b'a').await;
    bench.engine.snapshot(ID, &image).await.expect("a snapshot");
    bench.write(b'b').await;
    bench.engine.remove_image(&image).await.expect("its name is removed");
    let old = bench.record();
    let kept = bench.top.path().join("old");
    fs::copy(bench.dir().file(&old.disk), &kept).expect("copied");

    // Before the record: the new disk's file is there and nobody's.
    let new = super::layers::fresh_disk();
    disk::create(None, 1 << 30, &bench.dir().file(&new), None).await.expect("a file");
    bench.restart().await;
    assert!(!bench.dir().file(&new).exists());
    assert!(holds(&bench.dir().file(&old.disk), b'a') && holds(&bench.dir().file(&old.disk), b'b'));
    assert_eq!(bench.layers(), 1);

    // Behind the record: the old disk's file is still there, and leads to the layer.
    bench.engine.rebuild(ID, &spec()).await.expect("a new disk");
    assert_eq!(bench.layers(), 0);
    fs::copy(&kept, bench.dir().file(&old.disk)).expect("copied back");
    bench.restart().await;
    let now = bench.record();
    assert!(!bench.dir().file(&old.disk).exists());
    assert!(now.uuid != old.uuid && !holds(&bench.dir().file(&now.disk), b'b'));
    bench.engine.power(ID, Power::On).await.expect("it starts");
    bench.engine.destroy(ID).await.expect("it is removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_starts_on_layers_that_were_made_for_another_group() {
    let test = "a_machine_starts_on_layers_that_were_made_for_another_group";
    let Some(bench) = Bench::open(test).await else { return };
    if bench.engine.inner.user.is_none() {
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: not root, so QEMU has no group of its own");
        return;
    }
    bench.engine.ensure(ID, &spec()).await.expect("it is made");
    bench.engine.snapshot(ID, &ImageName::own("1").expect("a name")).await.expect("a snapshot");
    for file in fs::read_dir(bench.top.path().join("data/layers")).expect("a list").flatten() {
        std::os::unix::fs::chown(file.path(), None, Some(4_000_000)).expect("another group");
    }
    bench.engine.power(ID, Power::On).await.expect("it starts");
    bench.engine.destroy(ID).await.expect("it is removed");
}
