//! Accounts.

use dewpoint_store::{Error, accounts::*};

use crate::{
    fixtures::{ALICE, BOB, account},
    harness::{Database, on_each_database},
};

on_each_database!(an_account_comes_back_as_it_was_added, the_first_account_has_the_lowest_number);

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
