//! What `Store` promises of a closure: all of it or nothing, durable when answered, whatever its neighbours do.

use std::{
    future::Future as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Waker},
};

use dewpoint_store::{Error, Sequence, Store, Tx, counters::draw, ssh_keys::*};

use crate::{
    fixtures::{ALICE, ALL, ssh_key},
    harness::{Database, on_each_database},
};

on_each_database!(
    a_closure_that_errs_leaves_nothing_and_its_neighbours_stay,
    a_closure_that_panics_undoes_its_own_part_only,
    a_closure_that_goes_on_after_a_failed_statement_keeps_nothing,
    a_write_that_was_answered_is_seen_by_the_next_read,
    a_read_keeps_none_of_its_changes,
    a_read_that_panics_leaves_its_reader_well,
    a_future_that_was_dropped_commits_all_of_its_write,
    a_future_that_was_never_polled_does_nothing,
    writers_share_commits,
    a_store_that_was_dropped_answers_what_was_asked_before,
);

/// Keeps the writer busy until the sender is dropped, so that what is sent meanwhile waits in its queue.
pub(crate) async fn hold_writer(store: &Store) -> mpsc::Sender<()> {
    let (release, wait) = mpsc::channel::<()>();
    let (entered, inside) = tokio::sync::oneshot::channel::<()>();
    let mut entered = Some(entered);
    drop(send(store, move |_| {
        if let Some(entered) = entered.take() {
            let _ = entered.send(());
        }
        let _ = wait.recv();
        Ok(())
    }));
    inside.await.expect("the writer lives");
    release
}

async fn keys(database: &Database) -> Vec<u64> {
    database.read(|tx| ssh_key_list(tx, ALICE, ALL)).await.rows.iter().map(|key| key.id.0).collect()
}

/// Sends a write on its way and returns what will hold its answer.
pub(crate) fn send<T: Send + 'static>(
    store: &Store,
    work: impl FnMut(&mut dyn Tx) -> Result<T, Error> + Send + 'static,
) -> tokio::task::JoinHandle<Result<T, Error>> {
    let store = store.clone();
    let mut write = Box::pin(async move { store.write(work).await });
    // The first poll puts it in the queue: the order of sending is the order of running.
    match write.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => tokio::spawn(async move { answer }),
        Poll::Pending => tokio::spawn(write),
    }
}

async fn a_closure_that_errs_leaves_nothing_and_its_neighbours_stay(database: &Database) {
    let held = hold_writer(&database.store).await;
    let before = send(&database.store, |tx| ssh_key_insert(tx, ALICE, &ssh_key(1)));
    let errs = send(&database.store, |tx| {
        ssh_key_insert(tx, ALICE, &ssh_key(2))?;
        ssh_key_insert(tx, ALICE, &ssh_key(3))?;
        Err::<(), _>(Error::Database("no".into()))
    });
    let duplicate = send(&database.store, |tx| {
        ssh_key_insert(tx, ALICE, &ssh_key(4))?;
        ssh_key_insert(tx, ALICE, &ssh_key(1))
    });
    let after = send(&database.store, |tx| ssh_key_insert(tx, ALICE, &ssh_key(5)));
    drop(held);

    before.await.expect("lives").expect("is kept");
    assert!(matches!(errs.await.expect("lives"), Err(Error::Database(text)) if text == "no"));
    assert!(matches!(duplicate.await.expect("lives"), Err(Error::Duplicate)));
    after.await.expect("lives").expect("is kept");
    assert_eq!(keys(database).await, [1, 5]);
}

async fn a_closure_that_panics_undoes_its_own_part_only(database: &Database) {
    let held = hold_writer(&database.store).await;
    let before = send(&database.store, |tx| ssh_key_insert(tx, ALICE, &ssh_key(1)));
    let panics = send(&database.store, |tx| -> Result<(), Error> {
        ssh_key_insert(tx, ALICE, &ssh_key(2))?;
        tx.query_each("SELECT name FROM ssh_keys", &[], &mut |_| panic!("on purpose, in the middle of a query"))
    });
    let after = send(&database.store, |tx| ssh_key_insert(tx, ALICE, &ssh_key(3)));
    drop(held);

    before.await.expect("lives").expect("is kept");
    assert!(matches!(panics.await.expect("lives"), Err(Error::Stopped)));
    after.await.expect("lives").expect("is kept");
    assert_eq!(keys(database).await, [1, 3]);
}

/// PostgreSQL would refuse every later statement; SQLite would not. The same closure must end the same way on both.
async fn a_closure_that_goes_on_after_a_failed_statement_keeps_nothing(database: &Database) {
    database.write(|tx| ssh_key_insert(tx, ALICE, &ssh_key(1))).await;
    let error = database
        .refused(|tx| {
            ssh_key_insert(tx, ALICE, &ssh_key(2))?;
            let _ = ssh_key_insert(tx, ALICE, &ssh_key(1));
            Ok(())
        })
        .await;
    assert!(matches!(error, Error::Duplicate), "{error:?}");
    assert_eq!(keys(database).await, [1]);
}

async fn a_write_that_was_answered_is_seen_by_the_next_read(database: &Database) {
    for id in 1..=50 {
        database.write(move |tx| ssh_key_insert(tx, ALICE, &ssh_key(id))).await;
        assert_eq!(database.read(|tx| ssh_key_list(tx, ALICE, ALL)).await.total, id);
    }
}

async fn a_read_keeps_none_of_its_changes(database: &Database) {
    let read = database.store.read(|tx| ssh_key_insert(tx, ALICE, &ssh_key(1))).await;
    assert!(read.is_err());
    assert!(keys(database).await.is_empty());
}

async fn a_read_that_panics_leaves_its_reader_well(database: &Database) {
    for _ in 0..4 {
        let read = database.store.read(|_| -> Result<(), Error> { panic!("on purpose, in a read") }).await;
        assert!(matches!(read, Err(Error::Stopped)));
    }
    assert!(keys(database).await.is_empty());
}

async fn a_future_that_was_dropped_commits_all_of_its_write(database: &Database) {
    let held = hold_writer(&database.store).await;
    let runs = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&runs);
    let abandoned = send(&database.store, move |tx| {
        counter.fetch_add(1, Ordering::SeqCst);
        ssh_key_insert(tx, ALICE, &ssh_key(1))?;
        ssh_key_insert(tx, ALICE, &ssh_key(2))
    });
    abandoned.abort();
    assert!(abandoned.await.expect_err("it was dropped").is_cancelled());
    drop(held);

    // What was sent runs, in order, before what is sent now.
    database.write(|tx| ssh_key_insert(tx, ALICE, &ssh_key(3))).await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(keys(database).await, [1, 2, 3]);
}

async fn a_future_that_was_never_polled_does_nothing(database: &Database) {
    drop(database.store.write(|tx| ssh_key_insert(tx, ALICE, &ssh_key(1))));
    database.write(|tx| ssh_key_insert(tx, ALICE, &ssh_key(2))).await;
    assert_eq!(keys(database).await, [2]);
}

async fn writers_share_commits(database: &Database) {
    let before = database.store.commits();
    let held = hold_writer(&database.store).await;
    let writes: Vec<_> = (0..200).map(|_| send(&database.store, |tx| draw(tx, Sequence::Action, 1))).collect();
    drop(held);
    for write in writes {
        write.await.expect("lives").expect("is kept");
    }
    let commits = database.store.commits() - before;
    assert!((1..=10).contains(&commits), "{commits} commits for 201 writes");
}

async fn a_store_that_was_dropped_answers_what_was_asked_before(database: &Database) {
    let store = database.again();
    let held = hold_writer(&store).await;
    let write = send(&store, |tx| ssh_key_insert(tx, ALICE, &ssh_key(1)));
    drop(store);
    drop(held);
    write.await.expect("lives").expect("is kept");
    assert_eq!(keys(database).await, [1]);
}
