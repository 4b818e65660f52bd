//! Tags and what carries them.

use dewpoint_api::DropletId;
use dewpoint_store::{Window, tags::*};

use crate::{
    fixtures::{ALICE, ALL, BOB, at, tag, uuid},
    harness::{Database, on_each_database},
};

on_each_database!(
    a_tag_keeps_the_case_it_was_first_written_in,
    a_tag_is_its_accounts_own,
    a_list_of_tags_is_in_the_order_of_bytes_on_both_databases,
    a_resource_carries_a_tag_once,
    a_tag_deleted_is_gone_from_everything_of_its_account,
    a_use_names_the_resource_tagged_last,
    tags_come_by_droplet_in_order,
);

async fn a_tag_keeps_the_case_it_was_first_written_in(database: &Database) {
    assert_eq!(database.write(|tx| tag_ensure(tx, ALICE, &tag("Env:Prod"))).await, tag("Env:Prod"));
    assert_eq!(database.write(|tx| tag_ensure(tx, ALICE, &tag("ENV:prod"))).await, tag("Env:Prod"));
    assert_eq!(database.read(|tx| tag_list(tx, ALICE, ALL)).await.rows, [tag("Env:Prod")]);

    assert!(database.read(|tx| tag_exists(tx, ALICE, &tag("Env:Prod"))).await);
    assert!(!database.read(|tx| tag_exists(tx, ALICE, &tag("env:prod"))).await);
    assert!(!database.write(|tx| tag_delete(tx, ALICE, &tag("env:prod"))).await);
    assert!(database.write(|tx| tag_delete(tx, ALICE, &tag("Env:Prod"))).await);
    assert_eq!(database.write(|tx| tag_ensure(tx, ALICE, &tag("env:PROD"))).await, tag("env:PROD"));
}

async fn a_tag_is_its_accounts_own(database: &Database) {
    database.write(|tx| tag_ensure(tx, ALICE, &tag("prod"))).await;
    assert_eq!(database.write(|tx| tag_ensure(tx, BOB, &tag("PROD"))).await, tag("PROD"));
    database.write(|tx| tag_resource(tx, ALICE, &tag("prod"), &Tagged::droplet(DropletId(1)), at(1))).await;

    assert_eq!(database.read(|tx| droplets_with_tag(tx, BOB, &tag("prod"))).await, []);
    assert_eq!(database.read(|tx| tag_uses(tx, BOB, &tag("prod"))).await, []);
    database.write(|tx| untag_resource(tx, BOB, &tag("prod"), &Tagged::droplet(DropletId(1)))).await;
    database.write(|tx| tag_delete(tx, BOB, &tag("prod"))).await;
    assert_eq!(database.read(|tx| droplets_with_tag(tx, ALICE, &tag("prod"))).await, [DropletId(1)]);
}

async fn a_list_of_tags_is_in_the_order_of_bytes_on_both_databases(database: &Database) {
    for name in ["b", "a_b", "ab", "a:b", "a-b", "A0", "Z"] {
        database.write(move |tx| tag_ensure(tx, ALICE, &tag(name))).await;
    }
    let page = database.read(|tx| tag_list(tx, ALICE, ALL)).await;
    assert_eq!(page.total, 7);
    assert_eq!(page.rows, ["a-b", "A0", "a:b", "a_b", "ab", "b", "Z"].map(tag));
    let page = database.read(|tx| tag_list(tx, ALICE, Window { skip: 5, take: 9 })).await;
    assert_eq!((page.total, page.rows), (7, vec![tag("b"), tag("Z")]));
}

async fn a_resource_carries_a_tag_once(database: &Database) {
    let droplet = Tagged::droplet(DropletId(1));
    for moment in [1, 2] {
        let droplet = droplet.clone();
        database.write(move |tx| tag_resource(tx, ALICE, &tag("prod"), &droplet, at(moment))).await;
    }
    assert_eq!(database.read(|tx| droplets_with_tag(tx, ALICE, &tag("prod"))).await, [DropletId(1)]);
    for _ in 0..2 {
        let droplet = droplet.clone();
        database.write(move |tx| untag_resource(tx, ALICE, &tag("prod"), &droplet)).await;
    }
    assert_eq!(database.read(|tx| droplets_with_tag(tx, ALICE, &tag("prod"))).await, []);
}

async fn a_tag_deleted_is_gone_from_everything_of_its_account(database: &Database) {
    for account in [ALICE, BOB] {
        database
            .write(move |tx| {
                tag_ensure(tx, account, &tag("prod"))?;
                tag_resource(tx, account, &tag("prod"), &Tagged::droplet(DropletId(account.0)), at(1))?;
                tag_resource(tx, account, &tag("prod"), &Tagged::volume(uuid(account.0)), at(1))
            })
            .await;
    }
    assert!(database.write(|tx| tag_delete(tx, ALICE, &tag("prod"))).await);
    assert_eq!(database.read(|tx| tags_of_volume(tx, uuid(ALICE.0))).await, []);
    assert_eq!(database.read(|tx| tags_of_volume(tx, uuid(BOB.0))).await, [tag("prod")]);
    assert_eq!(database.read(|tx| droplets_with_tag(tx, BOB, &tag("prod"))).await, [DropletId(BOB.0)]);
}

async fn a_use_names_the_resource_tagged_last(database: &Database) {
    for (resource, moment) in [
        (Tagged::droplet(DropletId(9)), 1),
        (Tagged::droplet(DropletId(10)), 3),
        (Tagged::droplet(DropletId(8)), 3),
        (Tagged::volume(uuid(5)), 2),
    ] {
        database.write(move |tx| tag_resource(tx, ALICE, &tag("prod"), &resource, at(moment))).await;
    }
    let uses = database.read(|tx| tag_uses(tx, ALICE, &tag("prod"))).await;
    let volume: dewpoint_api::VolumeId = uuid(5);
    assert_eq!(
        uses,
        [
            TagUse { kind: "droplet".into(), count: 3, last: "10".into(), tagged_at: at(3) },
            TagUse { kind: "volume".into(), count: 1, last: volume.to_string(), tagged_at: at(2) },
        ]
    );
}

async fn tags_come_by_droplet_in_order(database: &Database) {
    for (droplet, name) in [(1, "web"), (1, "Env"), (2, "web"), (3, "other")] {
        let resource = Tagged::droplet(DropletId(droplet));
        database.write(move |tx| tag_resource(tx, ALICE, &tag(name), &resource, at(1))).await;
    }
    let found = database.read(|tx| tags_of_droplets(tx, &[DropletId(1), DropletId(2), DropletId(4)])).await;
    assert_eq!(found.len(), 2);
    assert_eq!(found[&DropletId(1)], [tag("Env"), tag("web")]);
    assert_eq!(found[&DropletId(2)], [tag("web")]);
    assert!(database.read(|tx| tags_of_droplets(tx, &[])).await.is_empty());
}
