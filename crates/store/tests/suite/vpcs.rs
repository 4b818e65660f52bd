//! VPCs.

use dewpoint_store::{Error, VpcRecord, vpcs::*};

use crate::{
    fixtures::{ALICE, ALL, BOB, uuid, vpc},
    harness::{Database, on_each_database},
};

on_each_database!(
    a_vpc_is_its_accounts_own,
    a_region_has_the_default_that_was_made_for_it,
    a_name_is_taken_once_in_an_account,
    a_list_is_the_accounts_own_in_order,
);

async fn a_vpc_is_its_accounts_own(database: &Database) {
    database.write(|tx| vpc_insert(tx, ALICE, &vpc(1, "nyc3"))).await;

    assert_eq!(database.read(|tx| vpc_get(tx, ALICE, uuid(1))).await, Some(vpc(1, "nyc3")));
    assert_eq!(database.read(|tx| vpc_get(tx, BOB, uuid(1))).await, None);
}

async fn a_region_has_the_default_that_was_made_for_it(database: &Database) {
    let default = VpcRecord { is_default: true, ..vpc(2, "nyc3") };
    let added = default.clone();
    database.write(|tx| vpc_insert(tx, ALICE, &vpc(1, "nyc3"))).await;
    assert_eq!(database.read(|tx| vpc_default(tx, ALICE, &"nyc3".into())).await, None);
    database.write(move |tx| vpc_insert(tx, ALICE, &added)).await;

    assert_eq!(database.read(|tx| vpc_default(tx, ALICE, &"nyc3".into())).await, Some(default));
    assert_eq!(database.read(|tx| vpc_default(tx, ALICE, &"tor1".into())).await, None);
    assert_eq!(database.read(|tx| vpc_default(tx, BOB, &"nyc3".into())).await, None);
}

async fn a_name_is_taken_once_in_an_account(database: &Database) {
    let twin = |number| VpcRecord { name: "same".into(), ..vpc(number, "nyc3") };
    database.write(move |tx| vpc_insert(tx, ALICE, &twin(1))).await;
    database.write(move |tx| vpc_insert(tx, BOB, &twin(2))).await;
    let error = database.refused(move |tx| vpc_insert(tx, ALICE, &twin(3))).await;
    assert!(matches!(error, Error::Duplicate), "{error:?}");
}

async fn a_list_is_the_accounts_own_in_order(database: &Database) {
    for number in [3, 1, 2] {
        database.write(move |tx| vpc_insert(tx, if number == 2 { BOB } else { ALICE }, &vpc(number, "nyc3"))).await;
    }
    let page = database.read(|tx| vpc_list(tx, ALICE, ALL)).await;
    assert_eq!((page.total, page.rows), (2, vec![vpc(1, "nyc3"), vpc(3, "nyc3")]));
}
