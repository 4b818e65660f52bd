//! Which images are in use, and which are kept no longer.

use dewpoint_api::{AccountId, DropletId, ImageId, ImageKind, ImageStatus, ResourceType};
use dewpoint_clock::Timestamp;
use dewpoint_store::{ActionRecord, DropletRecord, DropletSeed, ImageRecord, actions::*, droplets::*, images::*};

use crate::{
    fixtures::{ALICE, action, at, droplet},
    harness::{Database, on_each_database},
};

on_each_database!(
    an_image_is_in_use_while_a_droplet_is_made_or_built_anew_from_it,
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
    let record = DropletRecord { image_id: ImageId(5), ..droplet(1, ALICE) };
    database.write(move |tx| droplet_insert(tx, &record, &DropletSeed::default())).await;
    assert!(!in_use(5).await, "one that was made from it is no use of it any more");
    let of_droplet = |id, kind: &str| ActionRecord {
        kind: kind.into(),
        resource_type: ResourceType::Droplet,
        droplet: Some(DropletId(1)),
        ..action(id, ALICE)
    };
    let create = of_droplet(1, "create");
    database.write(move |tx| action_insert(tx, &create)).await;
    assert_eq!((in_use(5).await, in_use(6).await), (true, false));
    database.write(|tx| tx.execute("UPDATE actions SET status = 'completed'", &[])).await;
    let power = of_droplet(2, "power_off");
    database.write(move |tx| action_insert(tx, &power)).await;
    assert!(!in_use(5).await, "another action needs no image");
    let next = DropletChange { next_image: Some(Some(ImageId(6))), ..DropletChange::default() };
    database.write(move |tx| droplet_change(tx, DropletId(1), &next)).await;
    assert_eq!((in_use(5).await, in_use(6).await), (false, true));
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
