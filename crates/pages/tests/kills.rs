//! Killed anywhere, file, log and checksums agree; and what a commit answered for is there.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use dewpoint_pages::{Durability, Keeper, Stage, Verdict, verify};
use rusqlite::Connection;
use tempfile::TempDir;

type Files = BTreeMap<PathBuf, Vec<u8>>;

fn files(directory: &Path) -> Files {
    let entries = fs::read_dir(directory).expect("is there").map(|entry| entry.expect("is readable").path());
    entries.map(|path| (path.file_name().expect("a name").into(), fs::read(&path).expect("is readable"))).collect()
}

/// A directory with these files: what a killed program leaves.
fn left(files: &Files) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    files.iter().for_each(|(name, bytes)| fs::write(directory.path().join(name), bytes).expect("is written"));
    let path = directory.path().join("a.db");
    (directory, path)
}

fn open(path: &Path, most: u32) -> (Connection, Keeper) {
    let db = Connection::open(path).expect("opens");
    db.pragma_update(None, "journal_mode", "WAL").expect("is set");
    db.pragma_update(None, "synchronous", "FULL").expect("is set");
    let keeper = Keeper::new(path, &db, most).expect("a keeper");
    db.execute_batch("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, text TEXT)").expect("a table");
    (db, keeper)
}

fn count(path: &Path) -> usize {
    let db = Connection::open(path).expect("opens");
    db.query_row("SELECT COUNT(*) FROM t", [], |row| row.get::<_, i64>(0)).expect("is read").unsigned_abs() as usize
}

fn add(db: &Connection, number: usize) {
    // Now and then a long one, and one that goes: pages come, are changed and become free.
    let text = "x".repeat(if number.is_multiple_of(7) { 9000 } else { 300 });
    db.execute("INSERT INTO t (text) VALUES (?1)", [text]).expect("is kept");
}

#[test]
fn killed_after_any_commit_everything_is_whole_and_there() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.db");
    let (db, keeper) = open(&path, 12);
    let mut copied = 0;
    for number in 1..=150 {
        add(&db, number);
        let before = files(directory.path());
        keeper.after_commit(&db);
        for now in [before, files(directory.path())] {
            let (_kept, path) = left(&now);
            let verdict = verify(&path, Durability::EveryCommit).expect("nothing is damaged");
            copied += usize::from(matches!(verdict, Verdict::Whole { .. }));
            assert_eq!(count(&path), number);
        }
    }
    assert!(copied > 100, "the log was copied early, and sums were there: {copied}");
    keeper.close(db);
    assert!(matches!(verify(&path, Durability::EveryCommit), Ok(Verdict::Whole { remark: None, .. })));
    assert!(!directory.path().join("a.db-wal").exists());
}

#[test]
fn killed_between_the_sums_and_the_copy_or_in_its_middle_it_is_whole() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.db");
    let (db, keeper) = open(&path, 1000);
    (1..=40).for_each(|number| add(&db, number));
    keeper.close(db);
    let (db, keeper) = open(&path, 30);
    let mut tried = 0;
    for number in 41..=200 {
        add(&db, number);
        db.execute("UPDATE t SET text = text || 'y' WHERE id = ?1", [i64::try_from(number / 2).expect("it fits")])
            .expect("is kept");
        let before = files(directory.path());
        keeper.after_commit(&db);
        let after = files(directory.path());
        let (main, sums) = (PathBuf::from("a.db"), PathBuf::from("a.db-sums"));
        if before[&main] == after[&main] {
            continue;
        }
        tried += 1;
        // The sums are new and nothing is copied; half is copied; all is copied and the log is still what it was.
        for whole_pages in [0, after[&main].len() / 8192, after[&main].len() / 4096] {
            let mut cut = before.clone();
            cut.insert(sums.clone(), after[&sums].clone());
            let mut half = after[&main][..whole_pages * 4096].to_vec();
            half.extend(before[&main].get(half.len()..).unwrap_or_default());
            cut.insert(main.clone(), half);
            let (_kept, path) = left(&cut);
            let verdict = verify(&path, Durability::EveryCommit);
            assert!(matches!(verdict, Ok(Verdict::Whole { .. })), "{number}, {whole_pages} pages: {verdict:?}");
            assert_eq!(count(&path), number);
        }
    }
    assert!(tried > 3, "it was copied {tried} times");
}

#[test]
fn another_who_writes_between_two_copies_does_no_harm() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.db");
    let (first, its_keeper) = open(&path, 8);
    let (second, seconds_keeper) = open(&path, 8);
    for number in 1..=120 {
        let (db, keeper) = if number % 3 == 0 { (&second, &seconds_keeper) } else { (&first, &its_keeper) };
        add(db, number);
        keeper.after_commit(db);
    }
    seconds_keeper.close(second);
    add(&first, 121);
    its_keeper.close(first);
    assert!(matches!(verify(&path, Durability::EveryCommit), Ok(Verdict::Whole { .. })));
    assert_eq!(count(&path), 121);
}

#[test]
fn a_reader_of_an_old_state_holds_nothing_up_and_nothing_is_taken_for_damaged() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.db");
    let (db, keeper) = open(&path, 8);
    add(&db, 1);
    let reader = Connection::open(&path).expect("opens");
    Keeper::forbid_copying(&reader).expect("is told");
    reader.execute_batch("BEGIN; SELECT COUNT(*) FROM t").expect("reads");
    for number in 2..=100 {
        add(&db, number);
        keeper.after_commit(&db);
        let (_kept, path) = left(&files(directory.path()));
        verify(&path, Durability::EveryCommit).expect("nothing is damaged");
    }
    drop(reader);
    keeper.close(db);
    assert!(matches!(verify(&path, Durability::EveryCommit), Ok(Verdict::Whole { .. })));
    assert_eq!(count(&path), 100);
}

#[test]
fn commits_between_the_stages_of_a_copy_do_no_harm_wherever_it_is_killed() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.db");
    let (db, keeper) = open(&path, 1_000_000);
    let (mut number, mut changed) = (0, 0);
    for round in 0..40 {
        (0..3).for_each(|_| (number, _) = (number + 1, add(&db, number + 1)));
        let before = fs::read(&path).expect("is readable");
        let mut stages = Vec::new();
        keeper.copy_with(&mut |stage| {
            stages.push(stage);
            // Killed before and after a commit that came just now.
            for more in [0, usize::from(round % 4 != 3)] {
                (0..more).for_each(|_| (number, _) = (number + 1, add(&db, number + 1)));
                let (_kept, path) = left(&files(directory.path()));
                let verdict = verify(&path, Durability::EveryCommit);
                assert!(verdict.is_ok(), "round {round}, at {stage:?}: {verdict:?}");
                assert_eq!(count(&path), number, "round {round}, at {stage:?}");
            }
        });
        assert_eq!(stages, [Stage::Pinned, Stage::Read, Stage::Summed, Stage::Copied]);
        changed += usize::from(before != fs::read(&path).expect("is readable"));
        // Killed after the next commit, which may have begun the log anew.
        (number, _) = (number + 1, add(&db, number + 1));
        let (_kept, path) = left(&files(directory.path()));
        verify(&path, Durability::EveryCommit).expect("nothing is damaged");
        assert_eq!(count(&path), number);
    }
    assert_eq!(changed, 40, "each round brought something into the file");
    keeper.close(db);
    assert!(matches!(verify(&path, Durability::EveryCommit), Ok(Verdict::Whole { remark: None, .. })));
    assert_eq!(count(&path), number);
}

#[test]
fn a_copy_that_nobody_disturbs_lets_the_log_begin_anew() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.db");
    let log = || fs::metadata(directory.path().join("a.db-wal")).expect("is there").len();
    let (db, keeper) = open(&path, 1_000_000);
    (1..=50).for_each(|number| add(&db, number));
    let long = log();
    for _ in 0..20 {
        assert!(keeper.copy_with(&mut |_| ()), "all of it is copied");
        (1..=10).for_each(|number| add(&db, number));
        assert_eq!(log(), long, "what is written goes where the log began");
    }
    assert!(keeper.copy_with(&mut |_| ()));
    assert!(keeper.copy_with(&mut |_| panic!("there is nothing to do")));
    keeper.close(db);
}

/// What the program of the next test runs when it is its own child: commits, and says so, until it is killed.
const CHILD: &str = "DEWPOINT_PAGES_TEST_CHILD";

#[test]
fn killed_while_a_thread_copies_what_was_said_to_be_kept_is_kept() {
    if let Some(path) = env::var_os(CHILD) {
        return write_until_killed(Path::new(&path));
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.db");
    for round in 1..=12 {
        let before = if round == 1 { 0 } else { count_beside(&path) };
        let name = "killed_while_a_thread_copies_what_was_said_to_be_kept_is_kept";
        let mut child = Command::new(env::current_exe().expect("this program"))
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let said = BufReader::new(child.stdout.take().expect("is piped")).lines();
        let said = said.map(|line| line.expect("is text")).filter(|line| line.starts_with("kept "));
        let kept = said.take(90 + 37 * round).count();
        child.kill().expect("it runs still");
        child.wait().expect("it is gone");
        let verdict = verify(&path, Durability::EveryCommit);
        assert!(matches!(verdict, Ok(Verdict::Whole { .. })), "round {round}: {verdict:?}");
        let there = count_beside(&path);
        assert!(there >= before + kept, "round {round}: {there} rows of {before} and {kept}");
    }
}

/// Counts in a copy: the log stays for the next one to find.
fn count_beside(path: &Path) -> usize {
    let (_kept, path) = left(&files(path.parent().expect("a directory")));
    count(&path)
}

fn write_until_killed(path: &Path) {
    let (db, mut keeper) = open(path, 20);
    keeper.go_aside().expect("a thread");
    let mut out = std::io::stdout();
    for number in 1..=1_000_000 {
        add(&db, number);
        keeper.after_commit(&db);
        // Once the other end is gone, so is this program.
        if writeln!(out, "kept {number}").is_err() {
            return;
        }
    }
}

#[test]
fn what_a_commit_that_failed_left_in_the_log_is_taken_for_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.db");
    let (db, keeper) = open(&path, 1_000_000);
    (1..=25).for_each(|number| add(&db, number));
    // The same commit elsewhere: whole in its log, and here after the end, as when its fsync fails.
    let (_kept, elsewhere) = left(&files(directory.path()));
    let there = Connection::open(&elsewhere).expect("opens");
    there.execute("UPDATE t SET text = 'never committed'", []).expect("is kept");
    let log = directory.path().join("a.db-wal");
    let (own, longer) =
        (fs::read(&log).expect("is there"), fs::read(elsewhere.with_file_name("a.db-wal")).expect("is there"));
    assert!(longer.starts_with(&own) && longer.len() > own.len(), "it goes on where this one ends");
    fs::write(&log, &longer).expect("is written");

    keeper.copy_with(&mut |_| ());
    add(&db, 26);
    keeper.copy_with(&mut |_| ());
    add(&db, 27);
    let (_kept, killed) = left(&files(directory.path()));
    verify(&killed, Durability::EveryCommit).expect("nothing is damaged");
    keeper.close(db);
    assert!(matches!(verify(&path, Durability::EveryCommit), Ok(Verdict::Whole { remark: None, .. })));
    assert_eq!(count(&path), 27);
}
