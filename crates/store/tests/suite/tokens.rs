//! Tokens.

use dewpoint_store::{Error, TokenRecord, Window, tokens::*};

use crate::{
    fixtures::{ALICE, ALL, BOB, at, token, uuid},
    harness::{Database, on_each_database},
};

on_each_database!(
    a_token_is_found_by_its_hash_alone,
    two_tokens_never_share_a_hash,
    a_list_shows_the_accounts_own_tokens_that_are_not_revoked,
    a_token_is_revoked_once_and_by_its_account_only,
    a_tokens_last_use_only_goes_forward,
);

async fn a_token_is_found_by_its_hash_alone(database: &Database) {
    let wanted = TokenRecord { expires_at: Some(at(99)), ..token(1, ALICE) };
    let added = wanted.clone();
    database.write(move |tx| token_insert(tx, &added)).await;

    let hash = wanted.hash.clone();
    assert_eq!(database.read(move |tx| token_by_hash(tx, &hash)).await, Some(wanted));
    assert_eq!(database.read(|tx| token_by_hash(tx, "")).await, None);
}

async fn two_tokens_never_share_a_hash(database: &Database) {
    database.write(|tx| token_insert(tx, &token(1, ALICE))).await;
    let error = database.refused(|tx| token_insert(tx, &TokenRecord { id: uuid(2), ..token(1, BOB) })).await;
    assert!(matches!(error, Error::Duplicate), "{error:?}");
}

async fn a_list_shows_the_accounts_own_tokens_that_are_not_revoked(database: &Database) {
    for number in 1..=4 {
        database.write(move |tx| token_insert(tx, &token(number, if number == 2 { BOB } else { ALICE }))).await;
    }
    database.write(|tx| token_revoke(tx, ALICE, uuid(3), at(5))).await;

    let page = database.read(|tx| token_list(tx, ALICE, ALL)).await;
    assert_eq!((page.total, page.rows), (2, vec![token(1, ALICE), token(4, ALICE)]));
    let page = database.read(|tx| token_list(tx, ALICE, Window { skip: 1, take: 1 })).await;
    assert_eq!((page.total, page.rows), (2, vec![token(4, ALICE)]));
}

async fn a_token_is_revoked_once_and_by_its_account_only(database: &Database) {
    database.write(|tx| token_insert(tx, &token(1, ALICE))).await;

    assert_eq!(database.write(|tx| token_revoke(tx, BOB, uuid(1), at(5))).await, None);
    assert_eq!(database.write(|tx| token_revoke(tx, ALICE, uuid(1), at(5))).await, Some(token(1, ALICE).hash));
    assert_eq!(database.write(|tx| token_revoke(tx, ALICE, uuid(1), at(6))).await, None);

    let found = database.read(|tx| token_by_hash(tx, &token(1, ALICE).hash)).await;
    assert_eq!(found.expect("a revoked token is still found").revoked_at, Some(at(5)));
}

async fn a_tokens_last_use_only_goes_forward(database: &Database) {
    database.write(|tx| token_insert(tx, &token(1, ALICE))).await;
    for (noted, kept) in [(5, 5), (9, 9), (7, 9)] {
        database.write(move |tx| token_used(tx, uuid(1), at(noted))).await;
        let found = database.read(|tx| token_by_hash(tx, &token(1, ALICE).hash)).await;
        assert_eq!(found.and_then(|found| found.last_used_at), Some(at(kept)));
    }
}
