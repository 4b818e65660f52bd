//! Snapshots of volumes.

use dewpoint_api::VolumeSnapshotId;
use dewpoint_store::{
    VolumeRecord, VolumeSnapshotRecord, Window,
    tags::*,
    volume_snapshots::*,
    volumes::{volume_insert, volume_made},
};

use crate::{
    fixtures::{ALICE, ALL, BOB, at, tag, uuid, volume},
    harness::{Database, on_each_database},
};

on_each_database!(
    a_snapshot_is_its_accounts_own_and_made_once,
    snapshots_are_listed_in_their_order_and_by_volume,
    a_snapshot_goes_with_its_tags,
    a_snapshot_is_in_use_until_the_volume_that_starts_as_it_is_made,
);

fn snapshot(number: u64) -> VolumeSnapshotRecord {
    VolumeSnapshotRecord {
        number: 0,
        id: uuid(number),
        account: ALICE,
        volume: uuid(100),
        region: "nyc3".into(),
        name: format!("snapshot {number}"),
        size_gib: 10,
        size_bytes: 0,
        filesystem_type: "ext4".into(),
        filesystem_label: "data".into(),
        available: false,
        created_at: at(5),
    }
}

async fn put(database: &Database, snapshot: VolumeSnapshotRecord) -> VolumeSnapshotRecord {
    database.write(move |tx| volume_snapshot_insert(tx, &snapshot)).await
}

async fn a_snapshot_is_its_accounts_own_and_made_once(database: &Database) {
    let put = put(database, snapshot(1)).await;
    assert_eq!(database.read(|tx| volume_snapshot_get(tx, ALICE, uuid(1))).await, Some(put.clone()));
    assert_eq!(database.read(|tx| volume_snapshot_get(tx, BOB, uuid(1))).await, None);
    assert!(database.write(|tx| volume_snapshot_made(tx, uuid(1), 77)).await);
    assert!(!database.write(|tx| volume_snapshot_made(tx, uuid(2), 77)).await);
    let made = VolumeSnapshotRecord { available: true, size_bytes: 77, ..put };
    assert_eq!(database.read(|tx| volume_snapshot_any(tx, uuid(1))).await, Some(made));
}

async fn snapshots_are_listed_in_their_order_and_by_volume(database: &Database) {
    for number in 1..=3 {
        put(database, VolumeSnapshotRecord { volume: uuid(100 + number % 2), ..snapshot(number) }).await;
    }
    put(database, VolumeSnapshotRecord { account: BOB, ..snapshot(9) }).await;
    let names = |rows: Vec<VolumeSnapshotRecord>| rows.into_iter().map(|row| row.name).collect::<Vec<_>>();
    let page = database.read(|tx| volume_snapshot_list(tx, ALICE, Window { skip: 1, take: 1 })).await;
    assert_eq!((names(page.rows), page.total), (vec!["snapshot 2".to_owned()], 3));
    let page = database.read(|tx| volume_snapshot_list_of(tx, ALICE, uuid(101), ALL)).await;
    assert_eq!((names(page.rows), page.total), (vec!["snapshot 1".to_owned(), "snapshot 3".to_owned()], 2));
    assert_eq!(database.read(|tx| volume_snapshot_list_of(tx, BOB, uuid(101), ALL)).await.total, 0);
    assert_eq!(database.read(|tx| volume_snapshot_ids_of_all(tx)).await, [uuid(1), uuid(2), uuid(3), uuid(9)]);
}

async fn a_snapshot_goes_with_its_tags(database: &Database) {
    for number in 1..=2 {
        put(database, snapshot(number)).await;
        let tagged = Tagged::volume_snapshot(uuid(number));
        database.write(move |tx| tag_resource(tx, ALICE, &tag("keep"), &tagged, at(1))).await;
    }
    assert!(database.write(|tx| volume_snapshot_delete(tx, uuid(1))).await);
    assert!(!database.write(|tx| volume_snapshot_delete(tx, uuid(1))).await);
    let tags = database.read(|tx| tags_of_volume_snapshots(tx, &[uuid(1), uuid(2)])).await;
    assert_eq!(tags.into_iter().collect::<Vec<_>>(), [(uuid::<VolumeSnapshotId>(2), vec![tag("keep")])]);
    assert!(database.read(|tx| tags_of_volume_snapshots(tx, &[])).await.is_empty());
    assert_eq!(database.read(|tx| volume_snapshot_list(tx, ALICE, ALL)).await.total, 1);
}

async fn a_snapshot_is_in_use_until_the_volume_that_starts_as_it_is_made(database: &Database) {
    put(database, snapshot(1)).await;
    let row = VolumeRecord { source_snapshot: Some(uuid(1)), made: false, ..volume(7, "nyc3") };
    database.write(move |tx| volume_insert(tx, ALICE, &row)).await;
    assert!(database.read(|tx| volume_snapshot_is_in_use(tx, uuid(1))).await);
    assert!(!database.read(|tx| volume_snapshot_is_in_use(tx, uuid(2))).await);
    assert!(database.write(|tx| volume_made(tx, uuid(7))).await);
    assert!(!database.read(|tx| volume_snapshot_is_in_use(tx, uuid(1))).await);
}
