//! SSH keys.

use dewpoint_api::SshKeyId;
use dewpoint_store::{Error, SshKeyRecord, Window, ssh_keys::*};

use crate::{
    fixtures::{ALICE, ALL, BOB, ssh_key},
    harness::{Database, on_each_database},
};

on_each_database!(
    a_key_is_found_by_number_and_by_fingerprint,
    two_accounts_may_have_the_same_key_and_one_account_may_not,
    a_list_is_the_accounts_own_in_order,
    a_key_is_renamed_by_its_account_only,
    a_key_is_deleted_once_and_by_its_account_only,
);

async fn a_key_is_found_by_number_and_by_fingerprint(database: &Database) {
    database.write(|tx| ssh_key_insert(tx, ALICE, &ssh_key(1))).await;

    assert_eq!(database.read(|tx| ssh_key_get(tx, ALICE, SshKeyId(1))).await, Some(ssh_key(1)));
    assert_eq!(database.read(|tx| ssh_key_by_fingerprint(tx, ALICE, "3b:16:1")).await, Some(ssh_key(1)));
    assert_eq!(database.read(|tx| ssh_key_get(tx, ALICE, SshKeyId(2))).await, None);
    assert_eq!(database.read(|tx| ssh_key_get(tx, BOB, SshKeyId(1))).await, None);
    assert_eq!(database.read(|tx| ssh_key_by_fingerprint(tx, BOB, "3b:16:1")).await, None);
}

async fn two_accounts_may_have_the_same_key_and_one_account_may_not(database: &Database) {
    let twin = |id| SshKeyRecord { id: SshKeyId(id), ..ssh_key(1) };
    database.write(|tx| ssh_key_insert(tx, ALICE, &ssh_key(1))).await;
    database.write(move |tx| ssh_key_insert(tx, BOB, &twin(2))).await;
    let error = database.refused(move |tx| ssh_key_insert(tx, ALICE, &twin(3))).await;
    assert!(matches!(error, Error::Duplicate), "{error:?}");
}

async fn a_list_is_the_accounts_own_in_order(database: &Database) {
    for id in [3, 1, 2, 4] {
        database.write(move |tx| ssh_key_insert(tx, if id == 2 { BOB } else { ALICE }, &ssh_key(id))).await;
    }
    let page = database.read(|tx| ssh_key_list(tx, ALICE, ALL)).await;
    assert_eq!((page.total, page.rows), (3, vec![ssh_key(1), ssh_key(3), ssh_key(4)]));
    let page = database.read(|tx| ssh_key_list(tx, ALICE, Window { skip: 1, take: 1 })).await;
    assert_eq!((page.total, page.rows), (3, vec![ssh_key(3)]));
    let page = database.read(|tx| ssh_key_list(tx, ALICE, Window { skip: 9, take: 1 })).await;
    assert_eq!((page.total, page.rows), (3, vec![]));
}

async fn a_key_is_renamed_by_its_account_only(database: &Database) {
    database.write(|tx| ssh_key_insert(tx, ALICE, &ssh_key(1))).await;

    assert_eq!(database.write(|tx| ssh_key_rename(tx, BOB, SshKeyId(1), "mine")).await, None);
    let renamed = database.write(|tx| ssh_key_rename(tx, ALICE, SshKeyId(1), "laptop")).await;
    assert_eq!(renamed, Some(SshKeyRecord { name: "laptop".into(), ..ssh_key(1) }));
    assert_eq!(database.read(|tx| ssh_key_get(tx, ALICE, SshKeyId(1))).await, renamed);
}

async fn a_key_is_deleted_once_and_by_its_account_only(database: &Database) {
    database.write(|tx| ssh_key_insert(tx, ALICE, &ssh_key(1))).await;

    assert!(!database.write(|tx| ssh_key_delete(tx, BOB, SshKeyId(1))).await);
    assert!(database.write(|tx| ssh_key_delete(tx, ALICE, SshKeyId(1))).await);
    assert!(!database.write(|tx| ssh_key_delete(tx, ALICE, SshKeyId(1))).await);
}
