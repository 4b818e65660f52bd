//! SQLite's locks live as long as its connections, whatever is read beside them: another program that opens the database and
//! closes it again must not take itself for the last one, which would take the log away.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, process::Command};

use dewpoint_pages::{Durability, Keeper, verify};
use rusqlite::Connection;

/// Opens the database in another program, reads it and closes it; how many rows it saw.
fn looked_at_by_another_program(path: &Path) -> usize {
    let program = "import sqlite3, sys\n\
                   db = sqlite3.connect(sys.argv[1])\n\
                   print(db.execute('SELECT COUNT(*) FROM t').fetchone()[0])\n\
                   db.close()";
    let output = Command::new("python3").arg("-c").arg(program).arg(path).output().expect("python3 runs");
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    text.parse().unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn another_program_that_looks_takes_neither_log_nor_index_away() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.db");
    let db = Connection::open(&path).expect("opens");
    db.pragma_update(None, "journal_mode", "WAL").expect("is set");
    let keeper = Keeper::new(&path, &db, 4).expect("a keeper");
    db.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)").expect("a table");
    keeper.adopt(&db).expect("it has checksums");
    let (log, index) = (directory.path().join("a.db-wal"), directory.path().join("a.db-shm"));
    let inodes = || [&log, &index].map(|file| fs::metadata(file).expect("is there").ino());
    let before = inodes();

    for number in 1..=40 {
        db.execute("INSERT INTO t (text) VALUES (?1)", ["x".repeat(5000)]).expect("is kept");
        keeper.after_commit(&db);
        if number % 10 == 0 {
            assert_eq!(looked_at_by_another_program(&path), number);
            assert_eq!(
                inodes(),
                before,
                "after {number} commits: the log and its index are those this program writes to"
            );
        }
    }

    keeper.close(db);
    assert!(!log.exists(), "the last one takes the log away");
    verify(&path, Durability::EveryCommit).expect("all is whole");
    assert_eq!(looked_at_by_another_program(&path), 40);
}
