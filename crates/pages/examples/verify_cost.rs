//! What comparing a file with its checksums takes: `cargo run --release -p dewpoint-pages --example verify_cost -- 100 1000`
//! makes files of so many MiB and prints the milliseconds for each.

use std::{
    fs::File,
    io::{self, Write as _},
    time::Instant,
};

use dewpoint_pages::{Durability, integrity, seal, verify};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for size in std::env::args().skip(1) {
        let mib: i64 = size.parse()?;
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("a.db");
        let db = rusqlite::Connection::open(&path)?;
        db.execute_batch("PRAGMA synchronous = OFF; CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT); BEGIN")?;
        for _ in 0..mib * 1024 {
            db.execute("INSERT INTO t (text) VALUES (?1)", ["x".repeat(1000)])?;
        }
        db.execute_batch("COMMIT")?;
        let checked = Instant::now();
        assert_eq!(integrity(&db)?, Vec::<String>::new());
        let checked = checked.elapsed();
        drop(db);
        File::open(&path)?.sync_all()?;
        let sealed = Instant::now();
        seal(&path)?;
        let sealed = sealed.elapsed();
        let verified = Instant::now();
        verify(&path, Durability::EveryCommit)?;
        let verified = verified.elapsed();
        let bytes = path.metadata()?.len();
        writeln!(
            io::stdout(),
            "{} MiB: verify {} ms, seal {} ms; SQLite's integrity_check {} ms",
            bytes >> 20,
            verified.as_millis(),
            sealed.as_millis(),
            checked.as_millis()
        )?;
    }
    Ok(())
}
