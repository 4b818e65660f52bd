//! What a process with a GPU has more than others: the files of its own card, memory that may be locked, the card's processors.
//! A PCI device of this host and `/dev/full` stand for a card and its group's device file.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use dewpoint_clock::SystemClock;
use nix::sys::resource::{Resource, getrlimit};
use tokio::process::Command;

use super::{Cell, Walls};
use crate::{
    MachineId,
    qemu::{Accelerator, QemuConfig, QemuEngine},
};

const TEST: &str = "a_process_with_a_card_has_that_cards_files_and_no_others";

#[tokio::test(flavor = "multi_thread")]
async fn a_process_with_a_card_has_that_cards_files_and_no_others() {
    let mut devices: Vec<PathBuf> = fs::read_dir("/sys/bus/pci/devices")
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    devices.sort();
    let top = tempfile::tempdir().expect("a directory");
    fs::set_permissions(top.path(), fs::Permissions::from_mode(0o711)).expect("a mode");
    let mut config = QemuConfig::new(top.path().join("data"), top.path().join("images"), Arc::new(SystemClock));
    config.accelerator = Some(Accelerator::Tcg);
    let engine = match QemuEngine::open(config).await {
        Ok(engine) => engine,
        Err(error) => return skip(&error.to_string()),
    };
    let containment = &engine.inner.containment;
    let Some([card, other]) = devices.first_chunk() else { return skip("this host has fewer than two PCI devices") };
    if containment.walls != Walls::Room {
        return skip("no root directory of its own can be had here");
    }
    let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
    let script = format!(
        "cat {0}/vendor; ls /sys/bus/pci/devices; ls /sys; ls {1} 2>/dev/null; ls /dev; ulimit -l; \
         taskset -pc $$ | sed 's/.*: //'; (: > /dev/full) && echo opened",
        card.display(),
        other.display()
    );
    let directory = top.path().join("work");
    fs::create_dir(&directory).expect("a directory");
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).expect("a mode");
    let user = containment.user_of(MachineId(7));
    let mut cell = Cell::reading(user, &directory, vec![card.clone()]);
    cell.devices = vec!["/dev/full".into()];
    // Raising it takes a right that a container often lacks.
    let (_, most) = getrlimit(Resource::RLIMIT_MEMLOCK).expect("a limit");
    let locked = most.min(4 << 20);
    cell.locked = Some(locked);
    cell.cpus = Some("0".to_owned());
    let set = |command: &mut Command| {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    };
    let words = ["sh".to_owned(), "-c".to_owned(), script];
    let child = containment.spawn(&words, &cell, set).expect("it starts");
    let ended = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await;
    let output = ended.expect("in time").expect("its output");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let vendor = fs::read_to_string(card.join("vendor")).expect("its maker");
    let kvm = if Path::new("/dev/kvm").exists() { "kvm\n" } else { "" };
    let expected = format!("{vendor}{}\nbus\nfull\n{kvm}null\nurandom\n{}\n0\nopened\n", name(card), locked / 1024);
    assert_eq!(said, expected, "{}", String::from_utf8_lossy(&output.stderr));
}

fn skip(why: &str) {
    // Past the test harness, which would swallow it.
    let _ = writeln!(std::io::stderr(), "SKIPPED {TEST}: {why}");
}
