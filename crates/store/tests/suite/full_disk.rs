//! A full disk: the whole batch runs again one by one, those that find no room are told so, and nothing else is lost.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use dewpoint_store::{Error, SshKeyRecord, Store, Tx, sqlite, ssh_keys::*};

use crate::{
    fixtures::{ALICE, ALL, ssh_key},
    harness::not_tested,
    transactions::{hold_writer, send},
};

/// A key whose row takes `kib` KiB.
fn large(id: u64, kib: usize) -> SshKeyRecord {
    SshKeyRecord { public_key: "x".repeat(kib * 1024), ..ssh_key(id) }
}

async fn keys(store: &Store) -> Vec<u64> {
    let page = store.read::<_, Error, _>(|tx| ssh_key_list(tx, ALICE, ALL)).await.expect("is readable");
    page.rows.iter().map(|key| key.id.0).collect()
}

/// Lets the file grow by `pages` pages and no more, for the writer's connection.
fn leave_room(tx: &mut dyn Tx, pages: u64) -> Result<(), Error> {
    let used = tx.query_one("PRAGMA page_count", &[], |row| row.next::<u64>())?;
    tx.query_one(&format!("PRAGMA max_page_count = {}", used + pages), &[], |row| row.next::<u64>()).map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_meets_a_full_database_runs_again_one_by_one() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let store = sqlite::open(&directory.path().join("dew.db")).expect("a new store opens");
    send(&store, |tx| leave_room(tx, 8)).await.expect("lives").expect("is set");

    let held = hold_writer(&store).await;
    let runs = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&runs);
    let before = send(&store, move |tx| {
        counter.fetch_add(1, Ordering::SeqCst);
        ssh_key_insert(tx, ALICE, &ssh_key(1))
    });
    let too_large = send(&store, |tx| ssh_key_insert(tx, ALICE, &large(2, 1024)));
    // It goes on after the full disk took the transaction away: what it does then must not be kept on its own.
    let stubborn = send(&store, |tx| {
        let full = ssh_key_insert(tx, ALICE, &large(3, 1024));
        let _ = ssh_key_insert(tx, ALICE, &ssh_key(4));
        full
    });
    let after = send(&store, |tx| ssh_key_insert(tx, ALICE, &ssh_key(5)));
    drop(held);

    before.await.expect("lives").expect("there is room for it");
    assert!(matches!(too_large.await.expect("lives"), Err(Error::DiskFull)));
    assert!(matches!(stubborn.await.expect("lives"), Err(Error::DiskFull)));
    after.await.expect("lives").expect("there is room for it");
    assert_eq!(runs.load(Ordering::SeqCst), 3, "with the batch, with it in savepoints, and alone");
    assert_eq!(keys(&store).await, [1, 5]);

    send(&store, |tx| leave_room(tx, 10_000)).await.expect("lives").expect("is set");
    send(&store, |tx| ssh_key_insert(tx, ALICE, &large(6, 1024))).await.expect("lives").expect("there is room again");
    assert_eq!(keys(&store).await, [1, 5, 6]);
}

/// The same on a real file system of 4 MiB, where it is the COMMIT that finds no room.
///
/// It needs a mount of its own, so it runs in a child in its own mount namespace; where that is not allowed it says so.
#[test]
fn a_full_file_system_loses_nothing_that_was_answered() {
    let name = "full_disk::a_full_file_system_loses_nothing_that_was_answered";
    let mount = tempfile::tempdir().expect("a temporary directory can be made");
    let script = r#"mount -t tmpfs -o size=4m none "$1" && exec "$2" --exact "$3" --ignored --nocapture"#;
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    command.arg(mount.path()).arg(std::env::current_exe().expect("this program has a file"));
    command.arg("full_disk::on_the_small_file_system").env("DEW_TEST_SMALL_FILE_SYSTEM", mount.path());
    match command.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) if String::from_utf8_lossy(&output.stdout).contains("running 1 test") => {
            panic!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
        }
        Ok(output) => not_tested(name, &format!("cannot mount: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => not_tested(name, &format!("cannot run unshare: {error}")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other half of a_full_file_system_loses_nothing_that_was_answered, which runs it"]
async fn on_the_small_file_system() {
    let mount = std::env::var("DEW_TEST_SMALL_FILE_SYSTEM").expect("the other half names it");
    let mount = Path::new(&mount);
    let ballast = mount.join("ballast");
    fs::write(&ballast, vec![0; 1 << 20]).expect("there is room");
    let path = mount.join("dew.db");
    let store = sqlite::open(&path).expect("a new store opens");

    let (mut answered, mut refused) = (Vec::new(), 0);
    for round in 0..20 {
        let held = hold_writer(&store).await;
        let writes: Vec<_> = (1..=20)
            .map(|n| round * 100 + n)
            .map(|id| (id, send(&store, move |tx| ssh_key_insert(tx, ALICE, &large(id, 16)))))
            .collect();
        drop(held);
        for (id, write) in writes {
            match write.await.expect("lives") {
                Ok(()) => answered.push(id),
                Err(Error::DiskFull) => refused += 1,
                Err(other) => panic!("not called a full disk: {other:?}"),
            }
        }
    }
    assert!(!answered.is_empty() && refused > 0, "{} kept, {refused} refused", answered.len());
    assert_eq!(keys(&store).await, answered);

    fs::remove_file(&ballast).expect("goes");
    send(&store, |tx| ssh_key_insert(tx, ALICE, &ssh_key(9999))).await.expect("lives").expect("there is room again");
    answered.push(9999);
    assert_eq!(keys(&store).await, answered);
    assert_eq!(keys(&sqlite::open(&path).expect("the store opens again")).await, answered);
}
