//! SQLite files that are no store of ours: each is refused by name and left byte for byte as it is.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use dewpoint_store::{Error, sqlite, ssh_keys::*};
use tempfile::TempDir;

use crate::fixtures::{ALICE, ALL, ssh_key};

/// Every file of a directory with its bytes; SQLite's lock index (`-shm`) holds nothing and is left out.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(directory).expect("the directory is there").map(|file| file.expect("is readable").path());
    let files = files.filter(|path| !path.to_string_lossy().ends_with("-shm"));
    files.map(|path| (path.clone(), fs::read(path).expect("is readable"))).collect()
}

/// A directory with a store of many keys in it, closed in good order.
async fn closed_store() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let path = directory.path().join("dew.db");
    let store = sqlite::open(&path).expect("a new store opens");
    let add = |id| store.write::<_, Error, _>(move |tx| ssh_key_insert(tx, ALICE, &ssh_key(id)));
    for id in 1..=500 {
        add(id).await.expect("is kept");
    }
    let closing = store.closing();
    drop(store);
    assert!(closing.wait(Duration::from_secs(20)), "the store was not closed");
    (directory, path)
}

/// Opens `path`, which must fail, and checks that nothing in its directory changed.
fn refused(directory: &TempDir, path: &Path) -> Error {
    let before = contents(directory.path());
    let error = sqlite::open(path).expect_err("this is no store");
    assert!(contents(directory.path()) == before, "the files changed: {error}");
    error
}

fn damaged(directory: &TempDir, path: &Path) -> String {
    match refused(directory, path) {
        Error::Damaged { path: named, problem } => {
            assert_eq!(named, path);
            problem
        }
        other => panic!("not called damaged: {other:?}"),
    }
}

#[tokio::test]
async fn a_store_closed_and_opened_again_holds_what_it_held() {
    let (_directory, path) = closed_store().await;
    let store = sqlite::open(&path).expect("a store opens again");
    let page = store.read::<_, Error, _>(|tx| ssh_key_list(tx, ALICE, ALL)).await.expect("is readable");
    assert_eq!(page.total, 500);
    assert_eq!(page.rows[499], ssh_key(500));
}

#[tokio::test]
async fn a_store_is_readable_by_its_owner_alone() {
    let (directory, path) = closed_store().await;
    let _store = sqlite::open(&path).expect("a store opens again");
    for path in contents(directory.path()).keys() {
        let mode = fs::metadata(path).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let path = directory.path().join("dew.db");
    fs::write(&path, "Dear diary, today I was taken for a database.\n".repeat(500)).expect("is written");
    assert_eq!(damaged(&directory, &path), "file is not a database");
}

#[tokio::test]
async fn a_truncated_store_is_refused_and_left() {
    let (directory, path) = closed_store().await;
    let whole = fs::read(&path).expect("is readable");
    for length in [whole.len() - 1, whole.len() - 4096, whole.len() / 2, 4096, 1000, 100, 10, 1] {
        fs::write(&path, &whole[..length]).expect("is written");
        let problem = damaged(&directory, &path);
        assert!(problem.contains("its end is cut off"), "{length} bytes: {problem}");
    }
    fs::remove_file(path.with_file_name("dew.db-sums")).expect("they are there");
    for length in [whole.len() - 1, whole.len() - 4096, whole.len() / 2, 1000, 100, 10, 1] {
        fs::write(&path, &whole[..length]).expect("is written");
        let problem = damaged(&directory, &path);
        let known = ["malformed", "not a database", "ends in the middle of a page"];
        assert!(known.iter().any(|known| problem.contains(known)), "{length} bytes without checksums: {problem}");
    }
}

#[tokio::test]
async fn a_store_truncated_to_nothing_is_not_taken_for_a_new_one() {
    let (directory, path) = closed_store().await;
    fs::write(&path, "").expect("is written");
    assert_eq!(damaged(&directory, &path), "the file is empty");
}

#[tokio::test]
async fn a_store_with_its_first_page_overwritten_is_refused_and_left() {
    let (directory, path) = closed_store().await;
    let mut bytes = fs::read(&path).expect("is readable");
    bytes[100..4096].fill(0xA5);
    fs::write(&path, bytes).expect("is written");
    assert!(damaged(&directory, &path).contains("page 1 of"));
    fs::remove_file(path.with_file_name("dew.db-sums")).expect("they are there");
    assert!(damaged(&directory, &path).contains("malformed"));
}

#[tokio::test]
async fn a_store_of_a_newer_program_is_refused_and_left() {
    let (directory, path) = closed_store().await;
    let connection = rusqlite::Connection::open(&path).expect("opens");
    connection.execute("INSERT INTO migrations (number, name) VALUES (999, 'future')", []).expect("is kept");
    connection.close().expect("closes");
    assert!(damaged(&directory, &path).contains("another program changed it"));
    fs::remove_file(path.with_file_name("dew.db-sums")).expect("they are there");
    let error = refused(&directory, &path);
    assert!(matches!(error, Error::TooNew { found: 999, .. }), "{error:?}");
    assert!(error.to_string().contains("use the newer dew again"), "{error}");
}

/// As a crash of the newer program leaves it: part of the store is in the log alone.
#[tokio::test]
async fn a_newer_store_that_was_never_closed_is_refused_and_left_with_its_log() {
    let (directory, path) = closed_store().await;
    let connection = rusqlite::Connection::open(&path).expect("opens");
    connection.execute("INSERT INTO migrations (number, name) VALUES (999, 'future')", []).expect("is kept");
    let copy = tempfile::tempdir().expect("a temporary directory can be made");
    for (from, bytes) in contents(directory.path()) {
        fs::write(copy.path().join(from.file_name().expect("a file")), bytes).expect("is written");
    }
    drop(connection);

    let error = refused(&copy, &copy.path().join("dew.db"));
    assert!(matches!(error, Error::TooNew { found: 999, .. }), "{error:?}");
}

#[test]
fn another_programs_database_is_refused_and_left() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let path = directory.path().join("dew.db");
    let connection = rusqlite::Connection::open(&path).expect("opens");
    connection.execute_batch("CREATE TABLE songs (title TEXT); INSERT INTO songs VALUES ('Blue')").expect("is kept");
    connection.close().expect("closes");
    assert!(damaged(&directory, &path).contains("another program"));
}

#[test]
fn a_path_that_cannot_be_opened_is_not_called_damaged() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    for path in [directory.path().to_path_buf(), directory.path().join("absent").join("dew.db")] {
        let error = refused(&directory, &path);
        assert!(matches!(error, Error::Database(_)), "{error:?}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
}

/// A crash while the file was made leaves none, or one without a table, or one whose first migration was not committed.
#[test]
fn a_store_whose_making_was_cut_off_is_made_again() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let path = directory.path().join("dew.db");
    fs::write(directory.path().join("dew.db.new"), "half a page").expect("is written");
    drop(sqlite::open(&path).expect("a new store opens"));

    let path = directory.path().join("tables.db");
    let connection = rusqlite::Connection::open(&path).expect("opens");
    connection.execute_batch("PRAGMA journal_mode = WAL").expect("is set");
    connection.close().expect("closes");
    drop(sqlite::open(&path).expect("a store without tables is a new one"));
}

#[test]
fn a_store_that_was_closed_has_no_log_however_its_threads_ended() {
    for round in 0..100 {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("dewpoint.db");
        let store = sqlite::open(&path).expect("the store opens");
        let copier = sqlite::Copier::open(&path, store.clone()).expect("its copier opens");
        let closing = store.closing();
        let dropped = std::thread::spawn(move || drop(copier));
        drop(store);
        dropped.join().expect("the copier is closed");
        assert!(closing.wait(Duration::from_secs(10)), "round {round}: it closes");
        let files: Vec<_> = fs::read_dir(dir.path())
            .expect("the directory")
            .map(|file| file.expect("is readable").file_name())
            .collect();
        let mut files: Vec<_> = files.iter().map(|name| name.to_string_lossy()).collect();
        files.sort();
        assert_eq!(files, ["dewpoint.db", "dewpoint.db-sums"], "round {round}");
    }
}
