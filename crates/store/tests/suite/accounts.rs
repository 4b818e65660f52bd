//! Accounts.

use dewpoint_store::{AccountRecord, Error, Window, accounts::*};

use crate::{
    fixtures::{ALICE, BOB, account},
    harness::{Database, on_each_database},
};

on_each_database!(
    an_account_comes_back_as_it_was_added,
    the_first_account_has_the_lowest_number,
    accounts_are_listed_and_found_by_uuid_and_name,
);

async fn an_account_comes_back_as_it_was_added(database: &Database) {
    database.write(|tx| account_insert(tx, &account(ALICE))).await;

    assert_eq!(database.read(|tx| account_get(tx, ALICE)).await, Some(account(ALICE)));
    assert_eq!(database.read(|tx| account_get(tx, BOB)).await, None);
    let error = database.refused(|tx| account_insert(tx, &account(ALICE))).await;
    assert!(matches!(error, Error::Duplicate), "{error:?}");
}

async fn the_first_account_has_the_lowest_number(database: &Database) {
    assert_eq!(database.read(account_first).await, None);
    database.write(|tx| account_insert(tx, &account(BOB))).await;
    database.write(|tx| account_insert(tx, &account(ALICE))).await;
    assert_eq!(database.read(account_first).await, Some(account(ALICE)));
}

async fn accounts_are_listed_and_found_by_uuid_and_name(database: &Database) {
    let bob = AccountRecord { name: "Bob".into(), ..account(BOB) };
    let added = bob.clone();
    database.write(move |tx| account_insert(tx, &added)).await;
    database.write(|tx| account_insert(tx, &account(ALICE))).await;
    let page = database.read(|tx| account_list(tx, Window { skip: 1, take: 5 })).await;
    assert_eq!((page.total, page.rows), (2, vec![bob.clone()]));
    assert_eq!(database.read(|tx| account_by_uuid(tx, "account-2")).await, Some(bob.clone()));
    assert_eq!(database.read(|tx| account_by_uuid(tx, "account-3")).await, None);
    assert_eq!(database.read(|tx| account_by_name(tx, "Bob")).await, Some(bob));
    assert_eq!(database.read(|tx| account_by_name(tx, "bob")).await, None);
}
