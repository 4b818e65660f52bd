//! What is done at most once: the row and its effect stay together, whoever races, fails, leaves or comes too late.

use std::time::Duration;

use dewpoint_api::{AccountId, SshKeyId};
use dewpoint_clock::Timestamp;
use dewpoint_store::{
    Claim, Claimed, Deed, Error, Made, OnceRecord, SshKeyRecord, Store, Window, once::*, ssh_keys::*,
};

use crate::{
    fixtures::{ALICE, ALL, BOB, ssh_key},
    harness::{Database, on_each_database},
};

on_each_database!(
    a_key_is_kept_with_its_effect_and_for_its_account_alone,
    a_key_that_was_used_undoes_the_second_effect,
    a_refused_effect_leaves_no_key,
    of_many_at_once_one_is_carried_out,
    a_client_that_leaves_is_written_down_all_the_same,
    two_servers_carry_out_one,
    of_sixty_four_on_two_servers_one_is_carried_out,
    a_key_is_free_when_its_time_is_over,
    retries_join_the_newest_that_no_retry_of_their_number_has,
    a_retry_before_its_first_attempt_is_told_by_the_store_that_it_was_late,
    rows_whose_time_is_over_go_with_the_next,
    without_a_claim_nothing_is_written_down_but_what_was_made_is_known,
);

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const HOUR: Duration = Duration::from_secs(3600);

fn claim(account: AccountId, name: &str, mark: Claimed, now: Timestamp) -> Claim {
    Claim { account, name: name.to_owned(), mark, now, expires_at: now + HOUR }
}

fn by_key(name: &str) -> Claim {
    claim(ALICE, name, Claimed::Key { fingerprint: "print".to_owned() }, NOW)
}

fn by_attempt(attempt: u32) -> Claim {
    claim(ALICE, "retry:a", Claimed::Attempt(attempt), NOW)
}

/// Adds this key of SSH as the effect of a request with this claim; the request, and what came of it.
async fn add_key(store: &Store, claim: Option<Claim>, number: u64) -> (Deed, Result<(), Error>) {
    let deed = Deed::new(claim);
    let write = store.write(move |tx| ssh_key_insert(tx, ALICE, &own_key(number)));
    let result = deed.scope(write).await;
    (deed, result)
}

/// Keys of different numbers differ in everything.
fn own_key(number: u64) -> SshKeyRecord {
    SshKeyRecord { fingerprint: format!("print-{number}"), ..ssh_key(number) }
}

fn made(number: u64) -> Vec<Made> {
    vec![Made::SshKey(SshKeyId(number))]
}

async fn keys(database: &Database) -> u64 {
    database.read(|tx| ssh_key_list(tx, ALICE, ALL)).await.total
}

async fn get(database: &Database, account: AccountId, name: &'static str, now: Timestamp) -> Option<OnceRecord> {
    database.read(move |tx| once_get(tx, account, name, now)).await
}

async fn join(database: &Database, attempt: u32) -> Option<Vec<Made>> {
    database.write(move |tx| once_join(tx, ALICE, "retry:a", attempt, NOW)).await.map(|record| record.made)
}

async fn rows(database: &Database) -> u64 {
    database.read(|tx| tx.query_one("SELECT COUNT(*) FROM once", &[], |row| row.next())).await
}

async fn a_key_is_kept_with_its_effect_and_for_its_account_alone(database: &Database) {
    let (deed, result) = add_key(&database.store, Some(by_key("a")), 1).await;
    result.expect("the first");
    assert_eq!(deed.made(), Some(made(1)));
    let record = OnceRecord { fingerprint: "print".to_owned(), made: made(1) };
    assert_eq!(get(database, ALICE, "a", NOW).await, Some(record));
    assert_eq!(get(database, BOB, "a", NOW).await, None);
    assert_eq!(get(database, ALICE, "b", NOW).await, None);
}

async fn a_key_that_was_used_undoes_the_second_effect(database: &Database) {
    add_key(&database.store, Some(by_key("a")), 1).await.1.expect("the first");
    let (deed, result) = add_key(&database.store, Some(by_key("a")), 2).await;
    assert!(matches!(result, Err(Error::Repeated)), "{result:?}");
    assert!(deed.is_repeated() && deed.made().is_none());
    add_key(&database.store, Some(claim(BOB, "a", Claimed::Attempt(0), NOW)), 3).await.1.expect("another account's");
    assert_eq!(keys(database).await, 2);
}

async fn a_refused_effect_leaves_no_key(database: &Database) {
    add_key(&database.store, None, 1).await.1.expect("nobody's");
    let (deed, result) = add_key(&database.store, Some(by_key("a")), 1).await;
    assert!(matches!(result, Err(Error::Duplicate)), "{result:?}");
    assert!(!deed.is_repeated() && deed.made().is_none());
    assert_eq!((get(database, ALICE, "a", NOW).await, rows(database).await), (None, 0));
    assert!(!deed.ending().is_over(), "the deed is still held");
    let ending = deed.ending();
    drop(deed);
    assert_eq!(ending.wait().await, None);
}

async fn of_many_at_once_one_is_carried_out(database: &Database) {
    let racing = (1..=40).map(|number| {
        let store = database.store.clone();
        tokio::spawn(async move { add_key(&store, Some(by_key("a")), number).await.1 })
    });
    let mut done = 0;
    for task in racing.collect::<Vec<_>>() {
        match task.await.expect("no panic") {
            Ok(()) => done += 1,
            Err(error) => assert!(matches!(error, Error::Repeated), "{error:?}"),
        }
    }
    assert_eq!((done, keys(database).await, rows(database).await), (1, 1, 1));
}

async fn a_client_that_leaves_is_written_down_all_the_same(database: &Database) {
    let deed = Deed::new(Some(by_key("a")));
    let ending = deed.ending();
    let mut leaving = Box::pin(deed.scope(database.store.write(|tx| ssh_key_insert(tx, ALICE, &own_key(1)))));
    // One poll sends the write, whatever becomes of its caller.
    std::future::poll_fn(|cx| std::task::Poll::Ready(leaving.as_mut().poll(cx).is_ready())).await;
    drop(leaving);
    drop(deed);
    assert_eq!(ending.wait().await, Some(made(1)));
    assert!(get(database, ALICE, "a", NOW).await.is_some());
}

async fn two_servers_carry_out_one(database: &Database) {
    let other = database.again();
    let (one, two) =
        tokio::join!(add_key(&database.store, Some(by_key("a")), 1), add_key(&other, Some(by_key("a")), 2));
    let results = [one.1, two.1];
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    assert!(results.iter().any(|result| matches!(result, Err(Error::Repeated))), "{results:?}");
    assert_eq!(keys(database).await, 1);
}

async fn of_sixty_four_on_two_servers_one_is_carried_out(database: &Database) {
    let servers = [database.store.clone(), database.again()];
    for round in 0..4 {
        let name = format!("round {round}");
        let racing = (1..=64).map(|number| {
            let (store, claim) = (servers[number % 2].clone(), by_key(&name));
            tokio::spawn(async move { add_key(&store, Some(claim), 100 * round + number as u64).await.1 })
        });
        let mut done = 0;
        for task in racing.collect::<Vec<_>>() {
            match task.await.expect("no panic") {
                Ok(()) => done += 1,
                Err(error) => assert!(matches!(error, Error::Repeated), "{error:?}"),
            }
        }
        assert_eq!((done, keys(database).await), (1, round + 1));
    }
}

async fn a_key_is_free_when_its_time_is_over(database: &Database) {
    add_key(&database.store, Some(by_key("a")), 1).await.1.expect("the first");
    let end = NOW + HOUR;
    assert_eq!(get(database, ALICE, "a", end).await, None);
    let late = Claim { now: end, expires_at: end + HOUR, ..by_key("a") };
    add_key(&database.store, Some(late), 2).await.1.expect("its time is over");
    assert_eq!(get(database, ALICE, "a", end).await.map(|record| record.made), Some(made(2)));
    assert_eq!(rows(database).await, 1);
}

async fn retries_join_the_newest_that_no_retry_of_their_number_has(database: &Database) {
    assert_eq!(join(database, 1).await, None);
    for number in 1..=2 {
        add_key(&database.store, Some(by_attempt(0)), number).await.1.expect("equal first attempts are two");
    }
    assert_eq!(join(database, 1).await, Some(made(2)));
    assert_eq!(join(database, 1).await, Some(made(1)));
    assert_eq!(join(database, 2).await, Some(made(2)), "the second retry of the same");
    assert_eq!(join(database, 2).await, Some(made(1)));
    assert!(join(database, 2).await.is_some() && join(database, 1).await.is_some(), "never a third effect");
    let late = database.write(|tx| once_join(tx, ALICE, "retry:a", 3, NOW + HOUR)).await;
    assert_eq!(late, None, "past the horizon");
}

async fn a_retry_before_its_first_attempt_is_told_by_the_store_that_it_was_late(database: &Database) {
    add_key(&database.store, Some(by_attempt(1)), 1).await.1.expect("its first attempt never came");
    let (deed, result) = add_key(&database.store, Some(by_attempt(2)), 2).await;
    assert!(matches!(result, Err(Error::Repeated)) && deed.is_repeated(), "{result:?}");
    assert_eq!((join(database, 2).await, keys(database).await), (Some(made(1)), 1));
}

async fn rows_whose_time_is_over_go_with_the_next(database: &Database) {
    for number in 1..=20 {
        let claim = claim(ALICE, &format!("k{number}"), Claimed::Attempt(0), NOW);
        add_key(&database.store, Some(claim), number).await.1.expect("a request");
    }
    assert_eq!(rows(database).await, 20);
    for number in 21..=24 {
        let claim = claim(ALICE, &format!("k{number}"), Claimed::Attempt(0), NOW + HOUR);
        add_key(&database.store, Some(claim), number).await.1.expect("a request");
    }
    assert_eq!(rows(database).await, 4);
    // Where there are too many attempts the oldest go, whatever their time; a key's row stays.
    add_key(&database.store, Some(by_key("kept")), 25).await.1.expect("a request");
    database.write(|tx| tx.execute("UPDATE counters SET value = value + $1 WHERE name = 'once'", &[MOST.into()])).await;
    let last = claim(ALICE, "last", Claimed::Attempt(0), NOW);
    add_key(&database.store, Some(last), 26).await.1.expect("a request");
    assert_eq!(rows(database).await, 2);
    let more = "UPDATE counters SET value = value + $1 WHERE name = 'once_key'";
    database.write(|tx| tx.execute(more, &[MOST.into()])).await;
    add_key(&database.store, Some(by_key("another")), 27).await.1.expect("a request");
    assert_eq!(rows(database).await, 2, "and where there are too many keys, the oldest of them");
}

async fn without_a_claim_nothing_is_written_down_but_what_was_made_is_known(database: &Database) {
    let (deed, result) = add_key(&database.store, None, 1).await;
    result.expect("a request");
    assert_eq!((deed.made(), rows(database).await), (Some(made(1)), 0));
    let page = database.read(|tx| ssh_key_list(tx, ALICE, Window { skip: 0, take: 9 })).await;
    assert_eq!(page.rows, [own_key(1)]);
}
