//! Model access keys.

use dewpoint_api::{AccountId, KeyLimits};
use dewpoint_store::{Error, ModelKeyRecord, Window, model_keys::*};

use crate::{
    fixtures::{ALICE, ALL, BOB, at, uuid},
    harness::{Database, on_each_database},
};

on_each_database!(
    a_key_is_found_by_its_hash_until_it_has_another_or_is_deleted,
    a_list_shows_the_accounts_own_keys,
    only_its_account_changes_a_key,
);

fn key(number: u64, account: AccountId) -> ModelKeyRecord {
    let created_at = at(i64::try_from(number).expect("a small number"));
    ModelKeyRecord {
        id: uuid(number),
        account,
        name: format!("key-{number}"),
        hash: format!("hash-{number}"),
        created_at,
        limits: KeyLimits::default(),
    }
}

async fn a_key_is_found_by_its_hash_until_it_has_another_or_is_deleted(database: &Database) {
    database.write(|tx| model_key_insert(tx, &key(1, ALICE))).await;
    assert_eq!(database.read(|tx| model_key_by_hash(tx, "hash-1")).await, Some(key(1, ALICE)));
    assert_eq!(database.read(|tx| model_key_by_hash(tx, "")).await, None);
    assert!(database.write(|tx| model_key_rehash(tx, ALICE, uuid(1), "other")).await);
    assert_eq!(database.read(|tx| model_key_by_hash(tx, "hash-1")).await, None);
    assert!(database.read(|tx| model_key_by_hash(tx, "other")).await.is_some());
    assert!(database.write(|tx| model_key_delete(tx, ALICE, uuid(1))).await);
    assert_eq!(database.read(|tx| model_key_by_hash(tx, "other")).await, None);
    database.write(|tx| model_key_insert(tx, &key(2, ALICE))).await;
    let error = database.refused(|tx| model_key_insert(tx, &ModelKeyRecord { id: uuid(3), ..key(2, BOB) })).await;
    assert!(matches!(error, Error::Duplicate), "{error:?}");
}

async fn a_list_shows_the_accounts_own_keys(database: &Database) {
    for number in 1..=3 {
        database.write(move |tx| model_key_insert(tx, &key(number, if number == 2 { BOB } else { ALICE }))).await;
    }
    let page = database.read(|tx| model_key_list(tx, ALICE, ALL)).await;
    assert_eq!((page.total, page.rows), (2, vec![key(1, ALICE), key(3, ALICE)]));
    let page = database.read(|tx| model_key_list(tx, ALICE, Window { skip: 1, take: 1 })).await;
    assert_eq!((page.total, page.rows), (2, vec![key(3, ALICE)]));
}

async fn only_its_account_changes_a_key(database: &Database) {
    database.write(|tx| model_key_insert(tx, &key(1, ALICE))).await;
    assert!(!database.write(|tx| model_key_rename(tx, BOB, uuid(1), "mine")).await);
    assert!(!database.write(|tx| model_key_rehash(tx, BOB, uuid(1), "mine")).await);
    assert!(!database.write(|tx| model_key_delete(tx, BOB, uuid(1))).await);
    let limits = KeyLimits { tokens_per_minute: Some(7), ..KeyLimits::default() };
    assert!(!database.write(move |tx| model_key_limit(tx, BOB, uuid(1), limits)).await);
    assert_eq!(database.read(|tx| model_key_get(tx, BOB, uuid(1))).await, None);
    assert!(database.write(|tx| model_key_rename(tx, ALICE, uuid(1), "mine")).await);
    assert!(database.write(move |tx| model_key_limit(tx, ALICE, uuid(1), limits)).await);
    let kept = database.read(|tx| model_key_get(tx, ALICE, uuid(1))).await;
    assert_eq!(kept, Some(ModelKeyRecord { name: "mine".to_owned(), limits, ..key(1, ALICE) }));
}
