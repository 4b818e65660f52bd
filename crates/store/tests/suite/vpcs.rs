//! VPCs.

use dewpoint_api::DropletId;
use dewpoint_store::{
    DropletRecord, DropletSeed, Error, Tx, VpcRecord, addresses::*, droplets::droplet_insert, vpcs::*,
};

use crate::{
    fixtures::{ALICE, ALL, BOB, at, droplet, uuid, vpc},
    harness::{Database, on_each_database},
};

on_each_database!(
    a_vpc_is_its_accounts_own,
    a_region_has_the_default_that_was_made_for_it,
    a_name_is_taken_once_in_an_account,
    a_list_is_the_accounts_own_in_order,
    ranges_are_those_of_every_account,
    name_and_description_change_and_the_default_moves_within_its_region,
    members_are_the_droplets_in_it,
    a_deleted_vpc_is_gone_and_its_pool_starts_anew,
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

async fn name_and_description_change_and_the_default_moves_within_its_region(database: &Database) {
    for number in [1, 2, 3] {
        let vpc = VpcRecord { is_default: number != 2, ..vpc(number, if number == 3 { "tor1" } else { "nyc3" }) };
        database.write(move |tx| vpc_insert(tx, ALICE, &vpc)).await;
    }
    assert!(database.write(|tx| vpc_describe(tx, ALICE, uuid(2), "new", "text")).await);
    assert!(!database.write(|tx| vpc_describe(tx, BOB, uuid(2), "newer", "")).await);
    database.write(|tx| vpc_make_default(tx, ALICE, &"nyc3".into(), uuid(2))).await;

    let all = database.read(|tx| vpc_list(tx, ALICE, ALL)).await.rows;
    let defaults: Vec<_> = all.iter().map(|vpc| (vpc.id, vpc.is_default)).collect();
    assert_eq!(defaults, [(uuid(1), false), (uuid(2), true), (uuid(3), true)]);
    assert_eq!((all[1].name.as_str(), all[1].description.as_str()), ("new", "text"));
    let error = database.refused(|tx| vpc_describe(tx, ALICE, uuid(1), "new", "")).await;
    assert!(matches!(error, Error::Duplicate), "{error:?}");
    assert!(database.read(|tx| vpc_name_is_taken(tx, ALICE, "new")).await);
    assert!(!database.read(|tx| vpc_name_is_taken(tx, BOB, "new")).await);
}

async fn members_are_the_droplets_in_it(database: &Database) {
    for number in [1, 2, 3] {
        let record = DropletRecord { vpc: uuid(if number == 2 { 8 } else { 7 }), ..droplet(number, ALICE) };
        database.write(move |tx| droplet_insert(tx, &record, &DropletSeed::default())).await;
    }
    let page = database.read(|tx| vpc_members(tx, ALICE, uuid(7), ALL)).await;
    let members: Vec<_> = page.rows.iter().map(|member| member.droplet).collect();
    assert_eq!((page.total, members), (2, vec![DropletId(1), DropletId(3)]));
    assert_eq!(database.read(|tx| vpc_members(tx, BOB, uuid(7), ALL)).await.total, 0);
}

async fn a_deleted_vpc_is_gone_and_its_pool_starts_anew(database: &Database) {
    database.write(|tx| vpc_insert(tx, ALICE, &vpc(1, "nyc3"))).await;
    assert!(!database.write(|tx| vpc_delete(tx, BOB, uuid(1))).await);
    assert!(database.write(|tx| vpc_delete(tx, ALICE, uuid(1))).await);
    assert_eq!(database.read(|tx| vpc_get(tx, ALICE, uuid(1))).await, None);
    let positions = Positions { pool: "vpc:1", first: 2, size: 10, rested: at(0) };
    let take = |droplet| move |tx: &mut dyn Tx| address_take(tx, &positions, Some(DropletId(droplet)));
    assert_eq!(database.write(take(1)).await, Some(2));
    database.write(|tx| address_release_all(tx, DropletId(1), at(0))).await;
    assert_eq!(database.write(take(1)).await, Some(3), "an address rests");
    database.write(|tx| address_release_all(tx, DropletId(1), at(0))).await;
    database.write(|tx| address_pool_drop(tx, "vpc:1")).await;
    assert_eq!(database.write(take(1)).await, Some(2));
}

async fn ranges_are_those_of_every_account(database: &Database) {
    database.write(|tx| vpc_insert(tx, BOB, &vpc(2, "nyc3"))).await;
    database.write(|tx| vpc_insert(tx, ALICE, &vpc(1, "nyc3"))).await;

    let of = |number| (uuid(number), vpc(number, "nyc3").ip_range);
    assert_eq!(database.read(|tx| vpc_ranges_of_all(tx)).await, [of(1), of(2)]);
}
