//! What is PostgreSQL's alone: the server the suite runs on, several of ours on one store, connections that are lost.

use std::{
    collections::HashSet,
    process,
    sync::atomic::{AtomicUsize, Ordering},
};

use ::postgres::{Client, NoTls};
use dewpoint_store::{Error, Sequence, Tx, actions::*, counters::draw, postgres, ssh_keys::*};

use crate::{
    fixtures::{ALICE, ALL, action, ssh_key},
    harness::{Database, not_tested},
    proxy::{Cut, Proxy},
    transactions::{hold_writer, send},
};

/// Where the environment says that there is a PostgreSQL to test on.
const URL: &str = "DEW_TEST_POSTGRES_URL";

/// A schema of one test.
#[derive(Clone)]
pub(crate) struct Schema {
    server: String,
    name: String,
}

impl Schema {
    /// Makes one; `None`, and says so, when there is no server.
    pub(crate) fn new(test: &str) -> Option<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let Ok(server) = std::env::var(URL) else {
            not_tested(test, &format!("{URL} names no PostgreSQL; `make test-postgres` starts one"));
            return None;
        };
        let name = format!("dew_test_{}_{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let schema = Self { server, name };
        schema.administer(format!("CREATE SCHEMA {}", schema.name));
        Some(schema)
    }

    /// The URL of a store in this schema.
    pub(crate) fn url(&self) -> String {
        let separator = if self.server.contains('?') { '&' } else { '?' };
        format!("{}{separator}options=-csearch_path%3D{}&application_name={1}", self.server, self.name)
    }

    /// Runs a statement over a connection of its own, on a thread of its own: a client is not for async threads.
    pub(crate) fn administer(&self, sql: String) {
        let server = self.server.clone();
        let thread = std::thread::spawn(move || {
            let mut client = Client::connect(&server, NoTls).expect("the PostgreSQL to test on can be reached");
            client.batch_execute(&sql).expect("the statement is good");
        });
        thread.join().expect("the statement is run");
    }

    /// Removes it with all that is in it.
    pub(crate) fn remove(&self) {
        self.administer(format!("DROP SCHEMA {} CASCADE", self.name));
    }
}

/// A store of a test in this file.
fn database(test: &str) -> Option<Database> {
    Database::postgres(&format!("suite::servers::{test}"))
}

/// Ends every connection of the store: PostgreSQL's own words, as when it is restarted.
fn cut_off(schema: &Schema) {
    schema.administer(format!(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = '{}'",
        schema.name
    ));
}

async fn keys(database: &Database) -> Vec<u64> {
    database.read(|tx| ssh_key_list(tx, ALICE, ALL)).await.rows.iter().map(|key| key.id.0).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_on_one_store_draw_no_number_twice_and_lose_no_write() {
    let Some(database) = database("servers_on_one_store_draw_no_number_twice_and_lose_no_write") else { return };
    let servers = [database.again(), database.again(), database.again()];
    let writes: Vec<_> = (0..300)
        .map(|number| {
            send(&servers[number % 3], |tx| {
                let id = draw(tx, Sequence::Action, 1)?;
                action_insert(tx, &action(id, ALICE))?;
                Ok(id)
            })
        })
        .collect();
    let mut drawn = HashSet::new();
    for write in writes {
        assert!(drawn.insert(write.await.expect("lives").expect("is kept")));
    }
    let page = database.read(|tx| action_list(tx, ALICE, ALL)).await;
    assert_eq!((page.total, page.rows.len()), (300, 300));
    assert!(page.rows.iter().all(|action| drawn.contains(&action.id.0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_start_together_make_one_schema() {
    let Some(schema) = Schema::new("suite::servers::servers_that_start_together_make_one_schema") else { return };
    let openers: Vec<_> = (0..6)
        .map(|_| {
            let url = schema.url();
            std::thread::spawn(move || postgres::open(&url))
        })
        .collect();
    for opener in openers {
        let store = opener.join().expect("the opener lives").expect("the store opens");
        let applied = |tx: &mut dyn Tx| tx.query_all("SELECT number FROM migrations", &[], |row| row.next::<i64>());
        let applied = store.read(applied).await.expect("is readable");
        assert_eq!(applied.len(), applied.iter().collect::<HashSet<_>>().len());
        assert!(!applied.is_empty());
    }
    schema.remove();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_a_newer_program_is_refused_and_left() {
    let Some(database) = database("a_store_of_a_newer_program_is_refused_and_left") else { return };
    database
        .write(|tx| {
            ssh_key_insert(tx, ALICE, &ssh_key(1))?;
            tx.execute("INSERT INTO migrations (number, name) VALUES ($1, $2)", &[999_i64.into(), "future".into()])
        })
        .await;
    let error = postgres::open(&database.schema().url()).expect_err("it is newer");
    assert!(matches!(error, Error::TooNew { found: 999, .. }), "{error:?}");
    assert_eq!(keys(&database).await, [1]);
}

#[test]
fn a_server_that_cannot_be_reached_is_said_so_at_once() {
    let nowhere = tempfile::tempdir().expect("a temporary directory can be made");
    let host = nowhere.path().display().to_string().replace('/', "%2F");
    let error = postgres::open(&format!("postgresql://dew:hunter2@{host}/dew")).expect_err("nobody listens there");
    assert!(error.to_string().contains("cannot reach PostgreSQL"), "{error}");
    let error = postgres::open("postgresql://dew:hunter2@localhost:port/dew").expect_err("that is no port");
    assert!(error.to_string().contains("the database URL") && !error.to_string().contains("hunter2"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_lost_while_idle_is_not_noticed_by_callers() {
    let Some(database) = database("a_connection_lost_while_idle_is_not_noticed_by_callers") else { return };
    for id in 1..=3 {
        cut_off(database.schema());
        database.write(move |tx| ssh_key_insert(tx, ALICE, &ssh_key(id))).await;
        cut_off(database.schema());
        assert_eq!(keys(&database).await.len() as u64, id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_connection_is_lost_runs_again_whole() {
    let Some(database) = database("a_batch_whose_connection_is_lost_runs_again_whole") else { return };
    let held = hold_writer(&database.store).await;
    let before = send(&database.store, |tx| ssh_key_insert(tx, ALICE, &ssh_key(1)));
    let mut runs = 0;
    let cut = send(&database.store, move |tx| {
        ssh_key_insert(tx, ALICE, &ssh_key(2))?;
        runs += 1;
        if runs == 1 {
            tx.execute("SELECT pg_terminate_backend(pg_backend_pid())", &[])?;
        }
        Ok(runs)
    });
    let after = send(&database.store, |tx| ssh_key_insert(tx, ALICE, &ssh_key(3)));
    drop(held);

    before.await.expect("lives").expect("is kept");
    assert_eq!(cut.await.expect("lives").expect("is kept"), 2);
    after.await.expect("lives").expect("is kept");
    assert_eq!(keys(&database).await, [1, 2, 3]);
}

/// The caller gets the right answer, not a guess: PostgreSQL is asked how the transaction ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_or_request_is_lost_is_kept_exactly_once() {
    let Some(database) = database("a_commit_whose_answer_or_request_is_lost_is_kept_exactly_once") else { return };
    let url = database.schema().url();
    let proxy = Proxy::new(&url);
    let store = postgres::open(&proxy.url(&url)).expect("the store opens");
    for (id, cut, runs) in [(1, Cut::Answer, 1), (2, Cut::Request, 2), (3, Cut::Nothing, 1), (4, Cut::Answer, 1)] {
        proxy.cut(cut);
        let mut run = 0;
        let write = send(&store, move |tx| {
            run += 1;
            ssh_key_insert(tx, ALICE, &ssh_key(id))?;
            Ok(run)
        });
        assert_eq!(write.await.expect("lives").expect("is kept"), runs, "key {id}");
        assert_eq!(keys(&database).await, (1..=id).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closure_that_meets_another_transaction_runs_again() {
    let Some(database) = database("a_closure_that_meets_another_transaction_runs_again") else { return };
    database.write(|tx| draw(tx, Sequence::Droplet, 1)).await;
    let (schema, mut runs) = (database.schema().clone(), 0);
    let drawn = send(&database.store, move |tx| {
        ssh_key_insert(tx, ALICE, &ssh_key(1))?;
        runs += 1;
        if runs == 1 {
            // Somebody who takes no turns, such as an administrator.
            schema.administer(format!("UPDATE {}.counters SET value = value + 1000", schema.name));
        }
        Ok((draw(tx, Sequence::Droplet, 1)?, runs))
    });
    assert_eq!(drawn.await.expect("lives").expect("is kept"), (101_002, 2));
    assert_eq!(keys(&database).await, [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closure_that_never_stops_conflicting_fails_alone() {
    let Some(database) = database("a_closure_that_never_stops_conflicting_fails_alone") else { return };
    let held = hold_writer(&database.store).await;
    let stubborn = send(&database.store, |_| Err::<(), _>(Error::Conflict));
    let other = send(&database.store, |tx| ssh_key_insert(tx, ALICE, &ssh_key(1)));
    drop(held);
    assert!(matches!(stubborn.await.expect("lives"), Err(Error::Conflict)));
    other.await.expect("lives").expect("is kept");
    assert_eq!(keys(&database).await, [1]);
}
