//! How many writes the store makes durable in a second, beside how often this disk can commit at all.
//!
//! `cargo run --release -p dewpoint-store --example commit_rate [SECONDS [DIRECTORY]]` prints a table, each row measured for
//! SECONDS (3) in DIRECTORY (the system's temporary one). A write is what a create writes: two numbers drawn, an address taken,
//! a Droplet with its seed, an action. With the feature `postgres` and `DEW_TEST_POSTGRES_URL`, PostgreSQL is measured too.
#![expect(clippy::print_stdout, reason = "the table is the output")]

use std::{
    error::Error as StdError,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use dewpoint_api::{ActionId, DropletId};
use dewpoint_store::{
    ActionRecord, DropletRecord, DropletSeed, Error, Sequence, Store, Tx,
    actions::action_insert,
    addresses::{Positions, address_take},
    counters::draw,
    droplets::droplet_insert,
    sqlite,
};

#[path = "../tests/suite/fixtures.rs"]
#[expect(dead_code, reason = "the suite uses the others")]
mod fixtures;

/// How many callers wait for their writes at the same time.
const WRITERS: [usize; 4] = [1, 8, 32, 128];

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().map_or(Ok(3), |text| text.parse::<u64>())?;
    let directory = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let span = Duration::from_secs(seconds);
    let directory = tempfile::tempdir_in(directory)?;

    println!("{:<34} {:>10} {:>10} {:>10} {:>9} {:>9}", "", "writes/s", "commits/s", "per commit", "p50 ms", "p99 ms");
    print_row("SQLite alone, 1 row a commit", &raw_commits(directory.path(), span)?);
    for writers in WRITERS {
        let store = sqlite::open(&directory.path().join(format!("{writers}.db")))?;
        print_row(&format!("SQLite store, {writers} writers"), &store_writes(&store, writers, span).await?);
    }
    #[cfg(feature = "postgres")]
    if let Ok(url) = std::env::var("DEW_TEST_POSTGRES_URL") {
        for writers in WRITERS {
            let schema = format!("dew_commit_rate_{}_{writers}", std::process::id());
            administer(&url, format!("CREATE SCHEMA {schema}"))?;
            let separator = if url.contains('?') { '&' } else { '?' };
            let store = dewpoint_store::postgres::open(&format!("{url}{separator}options=-csearch_path%3D{schema}"))?;
            print_row(&format!("PostgreSQL store, {writers} writers"), &store_writes(&store, writers, span).await?);
            administer(&url, format!("DROP SCHEMA {schema} CASCADE"))?;
        }
    }
    Ok(())
}

/// What was measured in one row of the table.
struct Measured {
    span: Duration,
    commits: u64,
    /// How long each write took, in order of length.
    waits: Vec<Duration>,
}

fn print_row(name: &str, measured: &Measured) {
    let seconds = measured.span.as_secs_f64();
    let writes = measured.waits.len() as f64;
    let wait =
        |part: usize| measured.waits.get(measured.waits.len() * part / 100).map_or(0.0, Duration::as_secs_f64) * 1e3;
    println!(
        "{name:<34} {:>10.0} {:>10.0} {:>10.1} {:>9.2} {:>9.2}",
        writes / seconds,
        measured.commits as f64 / seconds,
        writes / measured.commits.max(1) as f64,
        wait(50),
        wait(99)
    );
}

/// SQLite with nothing of ours: the same journal and the same care, one small row in each transaction.
fn raw_commits(directory: &Path, span: Duration) -> Result<Measured, rusqlite::Error> {
    let connection = rusqlite::Connection::open(directory.join("raw.db"))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch("CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")?;
    let mut insert = connection.prepare("INSERT INTO rows (text) VALUES ('a row of some twenty bytes')")?;
    let (start, mut waits) = (Instant::now(), Vec::new());
    while start.elapsed() < span {
        let before = Instant::now();
        insert.execute([])?;
        waits.push(before.elapsed());
    }
    let (span, commits) = (start.elapsed(), waits.len() as u64);
    waits.sort_unstable();
    Ok(Measured { span, commits, waits })
}

async fn store_writes(store: &Store, writers: usize, span: Duration) -> Result<Measured, Error> {
    let (start, before) = (Instant::now(), store.commits());
    let tasks: Vec<_> = (0..writers).map(|_| tokio::spawn(write_until(store.clone(), start + span))).collect();
    let mut waits = Vec::new();
    for task in tasks {
        waits.extend(task.await.map_err(|_| Error::Stopped)??);
    }
    waits.sort_unstable();
    Ok(Measured { span: start.elapsed(), commits: store.commits() - before, waits })
}

async fn write_until(store: Store, end: Instant) -> Result<Vec<Duration>, Error> {
    let mut waits = Vec::new();
    while Instant::now() < end {
        let before = Instant::now();
        store.write(create).await?;
        waits.push(before.elapsed());
    }
    Ok(waits)
}

fn create(tx: &mut dyn Tx) -> Result<(), Error> {
    let id = DropletId(draw(tx, Sequence::Droplet, 1)?);
    let action = ActionId(draw(tx, Sequence::Action, 1)?);
    let positions = Positions { pool: "public", first: 1, size: 1 << 22, rested: fixtures::at(0) };
    let position = address_take(tx, &positions, Some(id))?;
    let droplet = DropletRecord {
        id,
        running_action: Some(action),
        public_v4: position.and_then(|position| u32::try_from(position).ok()).map(Into::into),
        ..fixtures::droplet(id.0, fixtures::ALICE)
    };
    let seed = DropletSeed {
        ssh_keys: vec!["ssh-ed25519 AAAA".into()],
        user_data: Some("#!/bin/sh\n".into()),
        ..DropletSeed::default()
    };
    droplet_insert(tx, &droplet, &seed)?;
    action_insert(tx, &ActionRecord { resource_id: Some(id.0), ..fixtures::action(action.0, fixtures::ALICE) })
}

/// Runs a statement on a thread of its own: a client is not for async threads.
#[cfg(feature = "postgres")]
fn administer(url: &str, sql: String) -> Result<(), Box<dyn StdError>> {
    let url = url.to_owned();
    let outcome = std::thread::spawn(move || {
        postgres::Client::connect(&url, postgres::NoTls).and_then(|mut client| client.batch_execute(&sql))
    });
    Ok(outcome.join().map_err(|_| Error::Stopped)??)
}
