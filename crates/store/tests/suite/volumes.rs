//! Volumes.

use dewpoint_api::{ActionId, DropletId};
use dewpoint_store::{Error, VolumeRecord, tags::*, volumes::*};

use crate::{
    fixtures::{ALICE, ALL, BOB, at, tag, uuid, volume},
    harness::{Database, on_each_database},
};

on_each_database!(
    a_volume_is_its_accounts_own,
    a_name_is_taken_once_in_a_region,
    a_list_is_of_one_region_or_one_name_when_asked,
    a_volume_is_attached_to_one_droplet,
    a_locked_volume_is_moved_by_its_own_action_alone,
    a_volume_only_grows,
    only_a_volume_that_was_never_made_and_that_nobody_has_is_forgotten,
    a_volume_is_deleted_once_and_by_its_account_only,
    another_account_cannot_take_the_tags_off_a_volume,
);

async fn a_volume_is_its_accounts_own(database: &Database) {
    database.write(|tx| volume_insert(tx, ALICE, &volume(1, "nyc3"))).await;

    assert_eq!(database.read(|tx| volume_get(tx, ALICE, uuid(1))).await, Some(volume(1, "nyc3")));
    assert_eq!(database.read(|tx| volume_get(tx, BOB, uuid(1))).await, None);
    let by_name = |account, region: &'static str| {
        database.read(move |tx| volume_by_name(tx, account, &region.into(), "volume-1"))
    };
    assert_eq!(by_name(ALICE, "nyc3").await, Some(volume(1, "nyc3")));
    assert_eq!(by_name(ALICE, "tor1").await, None);
    assert_eq!(by_name(BOB, "nyc3").await, None);
    assert_eq!(database.read(|tx| Ok((volume_count(tx, ALICE)?, volume_count(tx, BOB)?))).await, (1, 0));
}

async fn a_name_is_taken_once_in_a_region(database: &Database) {
    let twin = |number, region| VolumeRecord { name: "same".into(), ..volume(number, region) };
    database.write(move |tx| volume_insert(tx, ALICE, &twin(1, "nyc3"))).await;
    database.write(move |tx| volume_insert(tx, ALICE, &twin(2, "tor1"))).await;
    database.write(move |tx| volume_insert(tx, BOB, &twin(3, "nyc3"))).await;
    let error = database.refused(move |tx| volume_insert(tx, ALICE, &twin(4, "nyc3"))).await;
    assert!(matches!(error, Error::Duplicate), "{error:?}");
}

async fn a_list_is_of_one_region_or_one_name_when_asked(database: &Database) {
    let same = |number, region| VolumeRecord { name: "same".into(), ..volume(number, region) };
    database.write(|tx| volume_insert(tx, ALICE, &volume(1, "nyc3"))).await;
    database.write(move |tx| volume_insert(tx, ALICE, &same(2, "nyc3"))).await;
    database.write(move |tx| volume_insert(tx, ALICE, &same(3, "tor1"))).await;
    database.write(move |tx| volume_insert(tx, BOB, &same(4, "tor1"))).await;

    let listed = |region: Option<&'static str>, name: Option<&'static str>| async move {
        let page = database.read(move |tx| volume_list(tx, ALICE, region.map(Into::into).as_ref(), name, ALL)).await;
        assert_eq!(page.total, page.rows.len() as u64);
        page.rows
    };
    assert_eq!(listed(None, None).await, [volume(1, "nyc3"), same(2, "nyc3"), same(3, "tor1")]);
    assert_eq!(listed(Some("nyc3"), None).await, [volume(1, "nyc3"), same(2, "nyc3")]);
    assert_eq!(listed(None, Some("same")).await, [same(2, "nyc3"), same(3, "tor1")]);
    assert_eq!(listed(Some("tor1"), Some("same")).await, [same(3, "tor1")]);
    assert_eq!(listed(Some("ams3"), None).await, []);
}

async fn a_volume_is_attached_to_one_droplet(database: &Database) {
    for number in 1..=3 {
        database.write(move |tx| volume_insert(tx, ALICE, &volume(number, "nyc3"))).await;
    }
    assert!(!database.write(|tx| volume_attach(tx, BOB, uuid(1), DropletId(5))).await);
    assert!(database.write(|tx| volume_attach(tx, ALICE, uuid(1), DropletId(5))).await);
    assert!(!database.write(|tx| volume_attach(tx, ALICE, uuid(1), DropletId(6))).await);
    assert!(database.write(|tx| volume_attach(tx, ALICE, uuid(3), DropletId(5))).await);

    let found = database.read(|tx| volumes_of_droplets(tx, &[DropletId(5), DropletId(6)])).await;
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [(DropletId(5), vec![uuid(1), uuid(3)])]);
    assert!(database.read(|tx| volumes_of_droplets(tx, &[])).await.is_empty());
}

async fn a_locked_volume_is_moved_by_its_own_action_alone(database: &Database) {
    database.write(|tx| volume_insert(tx, ALICE, &volume(1, "nyc3"))).await;
    assert!(!database.write(|tx| volume_move(tx, uuid(1), ActionId(1), Some(DropletId(5)))).await);
    assert!(database.write(|tx| volume_lock(tx, uuid(1), ActionId(1))).await);
    assert!(!database.write(|tx| volume_lock(tx, uuid(1), ActionId(2))).await);
    assert!(!database.write(|tx| volume_attach(tx, ALICE, uuid(1), DropletId(5))).await, "a create cannot have it");
    assert!(!database.write(|tx| volume_move(tx, uuid(1), ActionId(2), Some(DropletId(5)))).await);
    assert!(database.write(|tx| volume_move(tx, uuid(1), ActionId(1), Some(DropletId(5)))).await);
    database.write(|tx| volume_unlock(tx, uuid(1), ActionId(2))).await;
    let locked = VolumeRecord { droplet: Some(DropletId(5)), running_action: Some(ActionId(1)), ..volume(1, "nyc3") };
    assert_eq!(database.read(|tx| volume_any(tx, uuid(1))).await, Some(locked));
    database.write(|tx| volume_unlock(tx, uuid(1), ActionId(1))).await;
    let free = VolumeRecord { droplet: Some(DropletId(5)), ..volume(1, "nyc3") };
    assert_eq!(database.read(|tx| volume_any(tx, uuid(1))).await, Some(free));
}

async fn a_volume_only_grows(database: &Database) {
    database.write(|tx| volume_insert(tx, ALICE, &volume(1, "nyc3"))).await;
    for (asked, size) in [(20, 20), (15, 20), (21, 21)] {
        database.write(move |tx| volume_grow(tx, uuid(1), asked)).await;
        let found = database.read(|tx| volume_any(tx, uuid(1))).await.expect("it is there");
        assert_eq!((found.size_gib, found.made_gib), (size, 10));
    }
}

async fn only_a_volume_that_was_never_made_and_that_nobody_has_is_forgotten(database: &Database) {
    let unmade = |number| VolumeRecord { made: false, ..volume(number, "nyc3") };
    let rows = [
        volume(1, "nyc3"),
        unmade(2),
        VolumeRecord { running_action: Some(ActionId(1)), ..unmade(3) },
        VolumeRecord { droplet: Some(DropletId(1)), ..unmade(4) },
        unmade(5),
    ];
    for row in rows {
        database.write(move |tx| volume_insert(tx, ALICE, &row)).await;
    }
    assert!(database.write(|tx| volume_made(tx, uuid(5))).await);
    for (number, goes) in [(1, false), (2, true), (3, false), (4, false), (5, false), (6, false)] {
        assert_eq!(database.write(move |tx| volume_forget(tx, uuid(number))).await, goes, "{number}");
        assert_eq!(database.read(move |tx| volume_any(tx, uuid(number))).await.is_some(), !goes && number < 6);
    }
}

async fn a_volume_is_deleted_once_and_by_its_account_only(database: &Database) {
    database.write(|tx| volume_insert(tx, ALICE, &volume(1, "nyc3"))).await;
    database.write(|tx| tag_resource(tx, ALICE, &tag("prod"), &Tagged::volume(uuid(1)), at(1))).await;

    assert!(!database.write(|tx| volume_delete(tx, BOB, uuid(1))).await);
    assert!(database.write(|tx| volume_delete(tx, ALICE, uuid(1))).await);
    assert!(!database.write(|tx| volume_delete(tx, ALICE, uuid(1))).await);
    assert_eq!(database.read(|tx| tags_of_volume(tx, uuid(1))).await, []);
}

async fn another_account_cannot_take_the_tags_off_a_volume(database: &Database) {
    database.write(|tx| volume_insert(tx, ALICE, &volume(1, "nyc3"))).await;
    database.write(|tx| tag_resource(tx, ALICE, &tag("prod"), &Tagged::volume(uuid(1)), at(1))).await;

    assert!(!database.write(|tx| volume_delete(tx, BOB, uuid(1))).await);
    assert_eq!(database.read(|tx| tags_of_volume(tx, uuid(1))).await, [tag("prod")]);
}
