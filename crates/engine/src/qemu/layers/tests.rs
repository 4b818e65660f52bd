//! Layers and their names on disks that nobody runs.

use std::process::Command;

use dewpoint_clock::SystemClock;

use super::*;
use crate::qemu::disk;

/// A data dir with one disk in it, as a machine has it.
struct Bench {
    top: tempfile::TempDir,
    layers: Layers,
    file: String,
}

impl Bench {
    async fn open() -> Self {
        let top = tempfile::tempdir().expect("a directory");
        let layers = layers(top.path());
        let bench = Self { top, layers, file: fresh_disk() };
        fs::create_dir_all(bench.directory()).expect("a directory");
        disk::create(None, 1 << 20, &bench.directory().join(&bench.file), None).await.expect("a disk");
        bench
    }

    fn directory(&self) -> PathBuf {
        self.top.path().join("machines/7")
    }

    async fn freeze(&mut self, name: &ImageName) -> ImageFacts {
        let directory = self.directory();
        let file = self.file.clone();
        let disk = Disk { directory: &directory, file: &file, live: None };
        let mut commit = |above: &str| {
            above.clone_into(&mut self.file);
            Ok(())
        };
        let frozen = Frozen { image: name, direct: None };
        self.layers.freeze(disk, frozen, &mut commit).await.expect("a layer")
    }

    fn write(&self, text: &str) {
        qemu_io(&self.directory().join(&self.file), &format!("write -P {} 0 4k", text.as_bytes()[0]));
    }

    /// How many files of layers there are.
    fn stored(&self) -> usize {
        let entries = fs::read_dir(self.top.path().join("layers")).expect("a list");
        entries.filter(|entry| entry.as_ref().is_ok_and(|e| e.path().extension().is_some_and(|x| x == "qcow2"))).count()
    }
}

fn layers(data_dir: &Path) -> Layers {
    let config = QemuConfig::new(data_dir, data_dir, Arc::new(SystemClock));
    Layers::open(&config, vec![data_dir.join("machines")], None).expect("layers")
}

/// Runs one command of QEMU's disk tester, which fails when a pattern is not there.
fn qemu_io(file: &Path, command: &str) {
    let output = Command::new("qemu-io").args(["-c", command]).arg(file).output().expect("qemu-io runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !said.contains("failed"), "{command} on {}: {said}", file.display());
}

fn image(name: &str) -> ImageName {
    ImageName::own(name).expect("a name")
}

#[tokio::test]
async fn a_frozen_disk_is_an_image_and_its_owner_goes_on_above_it() {
    let mut bench = Bench::open().await;
    bench.write("a");
    let facts = bench.freeze(&image("1")).await;
    assert_eq!(facts.disk_bytes, 1 << 20);
    bench.write("b");
    bench.freeze(&image("2")).await;
    bench.write("c");

    assert_eq!(bench.layers.list().expect("a list"), [image("1"), image("2")]);
    for (name, pattern) in [("1", b'a'), ("2", b'b')] {
        let files = bench.layers.base_files(&image(name)).await.expect("files");
        qemu_io(&files.disk, &format!("read -P {pattern} 0 4k"));
        assert_eq!(fs::metadata(&files.disk).expect("a file").permissions().mode() & 0o777, 0o440);
    }
    qemu_io(&bench.directory().join(&bench.file), &format!("read -P {} 0 4k", b'c'));
    assert_eq!(fs::read_dir(bench.directory()).expect("a list").count(), 1);
}

#[tokio::test]
async fn a_disk_with_many_layers_leaves_them_behind() {
    let mut bench = Bench::open().await;
    bench.write("a");
    for number in 0..copy::DEEPEST {
        bench.freeze(&image(&number.to_string())).await;
    }
    assert_eq!(chain(&bench.directory().join(&bench.file)).count(), copy::DEEPEST + 1);
    bench.freeze(&image("last")).await;
    assert_eq!(chain(&bench.directory().join(&bench.file)).count(), 2);
    qemu_io(&bench.directory().join(&bench.file), &format!("read -P {} 0 4k", b'a'));
    for number in 0..copy::DEEPEST {
        bench.layers.remove(&image(&number.to_string())).await.expect("it is removed");
    }
    assert_eq!(bench.stored(), 1);
    qemu_io(&bench.layers.base_files(&image("last")).await.expect("files").disk, &format!("read -P {} 0 4k", b'a'));
}

#[tokio::test]
async fn a_layer_stays_as_long_as_something_leads_to_it() {
    let mut bench = Bench::open().await;
    bench.freeze(&image("1")).await;
    bench.freeze(&image("2")).await;
    for name in ["1", "2"] {
        bench.layers.remove(&image(name)).await.expect("it is removed");
        assert!(matches!(bench.layers.base_files(&image(name)).await, Err(Error::ImageMissing(_))));
    }
    assert_eq!(bench.stored(), 2);
    fs::remove_dir_all(bench.directory()).expect("removed");
    bench.layers.collect().await.expect("a collection");
    assert_eq!(bench.stored(), 0);
}

#[tokio::test]
async fn what_is_removed_from_the_middle_stays_beneath_an_image() {
    let mut bench = Bench::open().await;
    bench.write("a");
    bench.freeze(&image("1")).await;
    bench.freeze(&image("2")).await;
    fs::remove_dir_all(bench.directory()).expect("removed");
    bench.layers.remove(&image("1")).await.expect("it is removed");
    assert_eq!(bench.stored(), 2);
    qemu_io(&bench.layers.base_files(&image("2")).await.expect("files").disk, &format!("read -P {} 0 4k", b'a'));
    bench.layers.remove(&image("2")).await.expect("it is removed");
    assert_eq!(bench.stored(), 0);
}

#[tokio::test]
async fn an_adopted_file_is_an_image_once_and_then_stays_where_it_is() {
    let bench = Bench::open().await;
    let file = bench.top.path().join("fetched");
    for _ in 0..2 {
        disk::create(None, 3 << 20, &file, None).await.expect("a file");
        let facts = bench.layers.adopt(&image("in"), &file).await.expect("an image");
        assert_eq!(facts.disk_bytes, 3 << 20);
    }
    assert!(file.exists());
    assert_eq!(bench.stored(), 1);
}

#[tokio::test]
async fn what_a_crash_left_half_made_is_removed_at_the_next_start() {
    let mut bench = Bench::open().await;
    bench.freeze(&image("1")).await;
    let directory = bench.top.path().join("layers");
    for orphan in [format!("{}.qcow2", Uuid::new_v4()), "own-2.json.new".to_owned()] {
        fs::write(directory.join(orphan), "half").expect("written");
    }
    let layers = layers(bench.top.path());
    layers.search().await.expect("a search");
    assert_eq!(fs::read_dir(&directory).expect("a list").count(), 2);
    assert_eq!(layers.list().expect("a list"), [image("1")]);
}

#[tokio::test]
async fn an_image_whose_name_goes_during_a_collection_is_no_image() {
    let mut bench = Bench::open().await;
    bench.freeze(&image("1")).await;
    bench.freeze(&image("2")).await;
    // In the list of the directory, and not there when it is read.
    std::os::unix::fs::symlink("nowhere", bench.top.path().join("layers/own-3.json")).expect("a link");
    bench.layers.remove(&image("2")).await.expect("it is removed");
    assert_eq!(bench.stored(), 2);
    fs::remove_dir_all(bench.directory()).expect("removed");
    bench.layers.collect().await.expect("a collection");
    assert_eq!(bench.stored(), 1);
}

#[tokio::test]
async fn heads_that_lead_in_a_circle_hold_nobody_up() {
    let mut bench = Bench::open().await;
    bench.freeze(&image("1")).await;
    let (a, b) = (bench.directory().join("a.qcow2"), bench.directory().join("b.qcow2"));
    for (file, beneath) in [(&a, &b), (&b, &a)] {
        let words = ["create", "-q", "-u", "-f", "qcow2", "-F", "qcow2", "-b"];
        let made = Command::new("qemu-img").args(words).arg(beneath).arg(file).arg("1M").status();
        assert!(made.expect("qemu-img runs").success());
    }
    assert_eq!(chain(&a).count(), 2);
    fs::remove_file(bench.directory().join(&bench.file)).expect("removed");
    bench.layers.remove(&image("1")).await.expect("it is removed");
    assert_eq!(bench.stored(), 0);
}

#[tokio::test]
async fn nobody_builds_on_an_image_while_a_collection_without_a_caller_goes_on() {
    let mut bench = Bench::open().await;
    bench.freeze(&image("1")).await;
    bench.freeze(&image("2")).await;
    fs::remove_file(bench.directory().join(&bench.file)).expect("removed");
    // A pipe among the records keeps the collection busy until it is written to.
    let pipe = bench.top.path().join("layers/own-9.json");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let removed = image("2");
    let mut removal = Box::pin(bench.layers.remove(&removed));
    assert!(at_once(&mut removal).await.is_none());
    drop(removal);
    let open = bench.layers.gate.clone().try_read_owned().is_ok();
    let record = fs::read(bench.top.path().join("layers/own-1.json")).expect("a record");
    fs::write(&pipe, record).expect("written");
    assert!(!open, "the gate opened under the collection");
    let _pinned = bench.layers.base_files(&image("1")).await.expect("files");
    assert_eq!(bench.stored(), 1);
}

#[tokio::test]
async fn what_a_search_could_not_reach_is_found_by_the_next_collection() {
    let bench = Bench::open().await;
    let directory = bench.top.path().join("layers");
    let (orphan, strange) = (directory.join(format!("{}.qcow2", Uuid::new_v4())), directory.join("own-2.json"));
    fs::write(&orphan, "half").expect("written");
    fs::write(&strange, "no record").expect("written");
    assert!(bench.layers.search().await.is_err());
    assert!(orphan.exists());
    fs::remove_file(&strange).expect("removed");
    bench.layers.collect().await.expect("a collection");
    assert!(!orphan.exists());
}

#[tokio::test]
async fn a_removal_whose_layers_cannot_be_searched_is_done_and_the_layers_go_later() {
    let mut bench = Bench::open().await;
    bench.freeze(&image("1")).await;
    fs::remove_file(bench.directory().join(&bench.file)).expect("removed");
    let strange = bench.top.path().join("layers/own-2.json");
    fs::write(&strange, "no record").expect("written");
    bench.layers.remove(&image("1")).await.expect("its name is gone");
    assert!(!bench.layers.has(&image("1")));
    fs::remove_file(&strange).expect("removed");
    let gone = async {
        while bench.stored() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), gone).await.expect("nobody tries again");
}

#[tokio::test]
async fn removals_at_once_share_a_collection() {
    let bench = Bench::open().await;
    let names: Vec<ImageName> = (0..20).map(|number| image(&number.to_string())).collect();
    for name in &names {
        let file = bench.top.path().join("fetched");
        disk::create(None, 1 << 20, &file, None).await.expect("a file");
        bench.layers.adopt(name, &file).await.expect("an image");
    }
    // Nobody collects while someone builds: all have asked by then.
    let pinned = bench.layers.base_files(&names[0]).await.expect("files");
    let mut removals: Vec<_> = names.iter().map(|name| Box::pin(bench.layers.remove(name))).collect();
    for removal in &mut removals {
        assert!(at_once(removal).await.is_none());
    }
    drop(pinned);
    for removal in removals {
        removal.await.expect("it is removed");
    }
    assert_eq!(bench.stored(), 0);
    let searches = bench.layers.searches.load(std::sync::atomic::Ordering::SeqCst);
    assert!(searches <= 2, "{searches} searches for 20 removals");
}

#[tokio::test]
async fn a_snapshot_that_waits_for_its_guest_holds_nobody_else_up() {
    let mut bench = Bench::open().await;
    bench.freeze(&image("1")).await;
    bench.freeze(&image("2")).await;
    let (removed, made) = (image("1"), image("3"));
    let layers = layers(bench.top.path());
    let mut commit = |_: &str| Ok(());
    let file = bench.file.clone();
    let directory = bench.directory();
    let disk = Disk { directory: &directory, file: &file, live: None };
    let freeze = layers.freeze(disk, Frozen { image: &made, direct: None }, &mut commit);
    // Where the guest is held still and let go.
    layers
        .stop
        .stand_at(Point::Committed, freeze, async {
            let removal = tokio::time::timeout(std::time::Duration::from_secs(60), layers.remove(&removed));
            removal.await.expect("it waits for the snapshot").expect("it is removed");
            layers.base_files(&image("2")).await.expect("it can be built on");
        })
        .await;
}

#[tokio::test]
async fn a_removal_waits_for_who_builds_on_the_image() {
    let bench = Bench::open().await;
    let file = bench.top.path().join("fetched");
    disk::create(None, 1 << 20, &file, None).await.expect("a file");
    bench.layers.adopt(&image("1"), &file).await.expect("an image");
    let pinned = bench.layers.base_files(&image("1")).await.expect("files");
    let removed = image("1");
    let mut removal = Box::pin(bench.layers.remove(&removed));
    assert!(at_once(&mut removal).await.is_none(), "it was removed under its user");
    assert!(!bench.layers.has(&image("1")), "its name is taken away at once");
    assert!(pinned.disk.exists());
    drop(pinned);
    removal.await.expect("it is removed");
    assert_eq!(bench.stored(), 0);
}

/// The future's result if it has one at once.
async fn at_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    tokio::select! {
        biased;
        result = future => Some(result),
        () = std::future::ready(()) => None,
    }
}
