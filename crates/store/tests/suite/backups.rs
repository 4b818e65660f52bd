//! Which images are in use, and which are kept no longer.

use dewpoint_api::{AccountId, DropletId, DropletStatus, ImageId, ImageKind, ImageStatus};
use dewpoint_clock::Timestamp;
use dewpoint_store::{DropletRecord, DropletSeed, ImageRecord, droplets::*, images::*};

use crate::{
    fixtures::{ALICE, at, droplet},
    harness::{Database, on_each_database},
};

on_each_database!(
    an_image_is_in_use_while_a_droplet_is_made_or_built_anew_from_it,
    what_was_deleted_long_ago_is_found_a_page_at_a_time_and_forgotten,
    backups_expire_in_their_order_and_nothing_else_does,
);

fn image(id: u64, account: AccountId, kind: ImageKind, expires_at: Option<Timestamp>) -> ImageRecord {
    ImageRecord {
        id: ImageId(id),
        account,
        kind,
        name: format!("image {id}"),
        status: ImageStatus::Available,
        distribution: "Debian".into(),
        description: String::new(),
        regions: vec!["nyc3".into()],
        droplet: Some(DropletId(1)),
        min_disk_gib: Some(25),
        size_bytes: Some(1 << 30),
        url: None,
        error_message: String::new(),
        created_at: at(1),
        expires_at,
        deleted_at: None,
    }
}

async fn an_image_is_in_use_while_a_droplet_is_made_or_built_anew_from_it(database: &Database) {
    let in_use = |id| async move { database.read(move |tx| image_is_in_use(tx, ImageId(id))).await };
    let made_from = |id, image| DropletRecord { image_id: ImageId(image), image_slug: None, ..droplet(id, ALICE) };
    let record = DropletRecord { status: DropletStatus::New, ..made_from(1, 5) };
    database.write(move |tx| droplet_insert(tx, &record, &DropletSeed::default())).await;
    assert_eq!((in_use(5).await, in_use(6).await), (true, false));
    let active = DropletChange { status: Some(DropletStatus::Active), ..DropletChange::default() };
    database.write(move |tx| droplet_change(tx, DropletId(1), &active)).await;
    assert!(!in_use(5).await, "one that was made from it is no use of it any more");
    let next = DropletChange { next_image: Some(Some(ImageId(6))), ..DropletChange::default() };
    database.write(move |tx| droplet_change(tx, DropletId(1), &next)).await;
    assert_eq!((in_use(5).await, in_use(6).await), (false, true));
}

async fn what_was_deleted_long_ago_is_found_a_page_at_a_time_and_forgotten(database: &Database) {
    for id in 1..=5 {
        database.write(move |tx| image_insert(tx, &image(id, ALICE, ImageKind::Snapshot, None))).await;
        if id != 3 {
            database.write(move |tx| image_delete(tx, ImageId(id), at(id as i64 * 10))).await;
        }
    }
    let record = DropletRecord { image_id: ImageId(2), image_slug: None, ..droplet(1, ALICE) };
    database.write(move |tx| droplet_insert(tx, &record, &DropletSeed::default())).await;
    let found = |until, after, most| async move {
        let found = database.read(move |tx| images_long_deleted(tx, at(until), ImageId(after), most)).await;
        found.into_iter().map(|(id, named)| (id.0, named)).collect::<Vec<_>>()
    };
    assert_eq!(found(40, 0, 9).await, [(1, false), (2, true), (4, false)]);
    assert_eq!(found(40, 0, 1).await, [(1, false)]);
    assert_eq!(found(40, 1, 1).await, [(2, true)]);
    for id in [1, 3] {
        database.write(move |tx| image_forget(tx, ImageId(id))).await;
    }
    assert!(database.read(|tx| image_any(tx, ImageId(1))).await.is_none());
    assert!(database.read(|tx| image_any(tx, ImageId(3))).await.is_some(), "what is not deleted stays");
}

async fn backups_expire_in_their_order_and_nothing_else_does(database: &Database) {
    let rows = [(1, ImageKind::Backup, Some(30)), (2, ImageKind::Backup, Some(10)), (3, ImageKind::Snapshot, None)];
    for (id, kind, expires) in rows {
        database.write(move |tx| image_insert(tx, &image(id, ALICE, kind, expires.map(at)))).await;
    }
    let expired = |now| async move {
        let found = database.read(move |tx| images_expired(tx, at(now), 10)).await;
        found.into_iter().map(|image| image.id.0).collect::<Vec<_>>()
    };
    assert!(expired(9).await.is_empty());
    assert_eq!(expired(10).await, [2]);
    assert_eq!(expired(100).await, [2, 1]);
    assert_eq!(database.read(next_image_expiry).await, Some(at(10)));
    for id in [1, 3] {
        database.write(move |tx| image_expire(tx, ImageId(id), at(5))).await;
    }
    assert_eq!(expired(5).await, [1], "a snapshot is kept");
    for id in [1, 2] {
        database.write(move |tx| image_delete(tx, ImageId(id), at(6))).await;
    }
    assert!(expired(100).await.is_empty());
    assert_eq!(database.read(next_image_expiry).await, None);
}
