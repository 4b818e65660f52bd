//! Droplets. Their long lists are in `lists`.

use dewpoint_api::{ActionId, DropletId, DropletStatus, ImageId};
use dewpoint_store::{
    DropletFilter, DropletRecord, DropletSeed, Error, ReadinessState, addresses::*, droplets::*, passwords::*, tags::*,
    volumes::*,
};

use crate::{
    fixtures::{ALICE, ALL, BOB, at, droplet, tag, uuid, volume},
    harness::{Database, on_each_database},
};

on_each_database!(
    a_droplet_comes_back_as_it_was_added,
    a_droplet_is_its_accounts_own,
    a_seed_comes_back_as_it_was_added,
    a_list_is_of_one_kind_one_name_or_one_tag,
    a_droplet_is_under_one_action_at_a_time,
    a_change_writes_what_it_names_and_nothing_else,
    only_the_action_that_holds_a_droplet_unlocks_it,
    a_droplet_deleted_leaves_its_addresses_and_nothing_else,
    the_droplets_to_watch_come_in_parts,
    a_change_of_life_writes_size_image_backups_and_address,
    backups_come_due_longest_first,
    neighbors_are_those_of_one_host_and_account,
    a_password_is_taken_once_and_goes_with_its_droplet,
    links_are_those_of_every_accounts_droplets,
);

const PLAIN: DropletFilter = DropletFilter::Kind { gpu: false };

/// Every column filled, so that two exchanged ones are seen.
fn full(id: u64) -> DropletRecord {
    DropletRecord {
        gpu: true,
        status: DropletStatus::Active,
        image_slug: Some("debian-12-x64".into()),
        host: Some("host-1".into()),
        running_action: Some(ActionId(77)),
        backup_due_at: Some(at(8)),
        backups: Some(r#"{"plan":"daily"}"#.into()),
        ipv6: true,
        monitoring: false,
        agent: true,
        public_networking: false,
        public_v4: Some([255, 64, 0, 1].into()),
        public_v6: Some("fd00::1".parse().expect("an address")),
        placed_at: Some(at(2)),
        started_at: Some(at(3)),
        active_at: Some(at(4)),
        ssh_at: Some(at(5)),
        ready_at: Some(at(6)),
        readiness: ReadinessState::Failed,
        readiness_detail: Some("exit 1".into()),
        ..droplet(id, ALICE)
    }
}

async fn insert(database: &Database, droplet: DropletRecord) {
    database.write(move |tx| droplet_insert(tx, &droplet, &DropletSeed::default())).await;
}

async fn get(database: &Database, id: u64) -> Option<DropletRecord> {
    database.read(move |tx| droplet_get(tx, ALICE, DropletId(id))).await
}

async fn a_droplet_comes_back_as_it_was_added(database: &Database) {
    insert(database, droplet(1, ALICE)).await;
    insert(database, full(2)).await;
    assert_eq!(get(database, 1).await, Some(droplet(1, ALICE)));
    assert_eq!(get(database, 2).await, Some(full(2)));
    let error = database.refused(|tx| droplet_insert(tx, &full(2), &DropletSeed::default())).await;
    assert!(matches!(error, Error::Duplicate), "{error:?}");
}

async fn a_droplet_is_its_accounts_own(database: &Database) {
    insert(database, droplet(1, BOB)).await;
    assert_eq!(get(database, 1).await, None);
    assert_eq!(database.read(|tx| droplet_list(tx, ALICE, &PLAIN, ALL)).await.total, 0);
    assert_eq!(database.read(|tx| Ok((droplet_count(tx, ALICE)?, droplet_count(tx, BOB)?))).await, (0, 1));
    assert_eq!(database.read(|tx| droplet_of_machine(tx, DropletId(1))).await, Some(droplet(1, BOB)));
}

async fn a_seed_comes_back_as_it_was_added(database: &Database) {
    let seed = DropletSeed {
        ssh_keys: vec!["ssh-ed25519 A".into(), "\"".into()],
        user_data: Some("#!/bin/sh\n".into()),
        password_hash: Some("$6$s$h".into()),
    };
    let added = seed.clone();
    database.write(move |tx| droplet_insert(tx, &droplet(1, ALICE), &added)).await;
    insert(database, droplet(2, ALICE)).await;
    assert_eq!(database.read(|tx| droplet_seed(tx, DropletId(1))).await, seed);
    assert_eq!(database.read(|tx| droplet_seed(tx, DropletId(2))).await, DropletSeed::default());
}

async fn a_list_is_of_one_kind_one_name_or_one_tag(database: &Database) {
    let named = |id, gpu| DropletRecord { name: "WEB".into(), gpu, ..droplet(id, ALICE) };
    for droplet in [named(4, false), named(3, true), droplet(2, ALICE), named(1, false), droplet(5, BOB)] {
        insert(database, droplet).await;
    }
    for (account, id) in [(ALICE, 2), (ALICE, 3), (BOB, 5)] {
        database.write(move |tx| tag_resource(tx, account, &tag("t"), &Tagged::droplet(DropletId(id)), at(1))).await;
    }
    let listed = |filter: DropletFilter| async move {
        let page = database.read(move |tx| droplet_list(tx, ALICE, &filter, ALL)).await;
        assert_eq!(page.total, page.rows.len() as u64);
        page.rows.into_iter().map(|droplet| droplet.id.0).collect::<Vec<_>>()
    };
    assert_eq!(listed(PLAIN).await, [1, 2, 4]);
    assert_eq!(listed(DropletFilter::Kind { gpu: true }).await, [3]);
    assert_eq!(listed(DropletFilter::Name { name: "wEb".into(), gpu: false }).await, [1, 4]);
    assert_eq!(listed(DropletFilter::Name { name: "web".into(), gpu: true }).await, [3]);
    assert_eq!(listed(DropletFilter::Tag(tag("t"))).await, [2, 3]);
    assert!(listed(DropletFilter::Tag(tag("T"))).await.is_empty());
    assert_eq!(database.read(|tx| droplet_count(tx, ALICE)).await, 4);
}

async fn a_droplet_is_under_one_action_at_a_time(database: &Database) {
    insert(database, droplet(1, ALICE)).await;
    assert!(database.write(|tx| droplet_lock(tx, DropletId(1), ActionId(7))).await);
    assert!(!database.write(|tx| droplet_lock(tx, DropletId(1), ActionId(8))).await);
    assert!(!database.write(|tx| droplet_lock(tx, DropletId(2), ActionId(8))).await);
    assert_eq!(get(database, 1).await.and_then(|droplet| droplet.running_action), Some(ActionId(7)));
}

async fn a_change_writes_what_it_names_and_nothing_else(database: &Database) {
    insert(database, full(1)).await;
    let change = |change: DropletChange| database.write(move |tx| droplet_change(tx, DropletId(1), &change));
    assert!(change(DropletChange::default()).await);
    assert_eq!(get(database, 1).await, Some(full(1)));

    let mut wanted = full(1);
    wanted.status = DropletStatus::Off;
    wanted.name = "Ünï".into();
    assert!(
        change(DropletChange {
            status: Some(DropletStatus::Off),
            name: Some("Ünï".into()),
            ..DropletChange::default()
        })
        .await
    );
    assert_eq!(get(database, 1).await, Some(wanted.clone()));
    let by_name = DropletFilter::Name { name: "üNÏ".into(), gpu: true };
    assert_eq!(database.read(move |tx| droplet_list(tx, ALICE, &by_name, ALL)).await.total, 1);

    wanted.host = Some("host-2".into());
    (wanted.placed_at, wanted.started_at, wanted.active_at) = (Some(at(12)), Some(at(13)), Some(at(14)));
    (wanted.ssh_at, wanted.ready_at) = (Some(at(15)), Some(at(16)));
    (wanted.readiness, wanted.readiness_detail) = (ReadinessState::Ready, None);
    wanted.public_v4 = Some([1, 2, 3, 4].into());
    wanted.running_action = None;
    assert!(
        change(DropletChange {
            placed: Some(("host-2".into(), at(12))),
            started_at: Some(at(13)),
            active_at: Some(at(14)),
            ssh_at: Some(at(15)),
            readiness: Some((ReadinessState::Ready, None, at(16))),
            public_v4: Some([1, 2, 3, 4].into()),
            unlock: Some(ActionId(77)),
            ..DropletChange::default()
        })
        .await
    );
    assert_eq!(get(database, 1).await, Some(wanted));
}

async fn only_the_action_that_holds_a_droplet_unlocks_it(database: &Database) {
    insert(database, full(1)).await;
    let unlock = |action, id| {
        let change = DropletChange {
            status: Some(DropletStatus::Off),
            unlock: Some(ActionId(action)),
            ..DropletChange::default()
        };
        database.write(move |tx| droplet_change(tx, DropletId(id), &change))
    };
    assert!(!unlock(76, 1).await);
    assert_eq!(get(database, 1).await, Some(full(1)));
    assert!(unlock(77, 1).await);
    assert!(!unlock(77, 2).await);
    let found = get(database, 1).await.expect("it is there");
    assert_eq!((found.running_action, found.status), (None, DropletStatus::Off));
}

async fn a_droplet_deleted_leaves_its_addresses_and_nothing_else(database: &Database) {
    for id in [1, 2] {
        let seed = DropletSeed { ssh_keys: vec!["k".into()], ..DropletSeed::default() };
        database
            .write(move |tx| {
                droplet_insert(tx, &droplet(id, ALICE), &seed)?;
                volume_insert(tx, ALICE, &volume(id, "nyc3"))?;
                volume_attach(tx, ALICE, uuid(id), DropletId(id))?;
                let positions = Positions { pool: "public", first: 0, size: 100, rested: at(0) };
                address_take(tx, &positions, Some(DropletId(id)))?;
                tag_resource(tx, ALICE, &tag("t"), &Tagged::droplet(DropletId(id)), at(1))
            })
            .await;
    }
    assert!(database.write(|tx| droplet_delete(tx, DropletId(1))).await);
    assert!(!database.write(|tx| droplet_delete(tx, DropletId(1))).await);

    assert_eq!(get(database, 1).await, None);
    assert_eq!(database.read(|tx| droplet_seed(tx, DropletId(1))).await, DropletSeed::default());
    assert_eq!(database.read(|tx| droplet_count(tx, ALICE)).await, 1);
    assert_eq!(database.read(|tx| droplets_with_tag(tx, ALICE, &tag("t"))).await, [DropletId(2)]);
    assert_eq!(database.read(|tx| volume_get(tx, ALICE, uuid(1))).await.expect("it stays").droplet, None);
    assert_eq!(database.read(|tx| volume_get(tx, ALICE, uuid(2))).await.expect("it stays").droplet, Some(DropletId(2)));
    assert_eq!(database.read(|tx| address_count(tx, "public")).await, 2);
}

async fn the_droplets_to_watch_come_in_parts(database: &Database) {
    for id in 1..=6 {
        let active_at = (id != 2).then_some(at(9));
        let readiness = if id == 4 { ReadinessState::Ready } else { ReadinessState::Pending };
        insert(database, DropletRecord { active_at, readiness, ..droplet(id, if id == 5 { BOB } else { ALICE }) })
            .await;
    }
    let not_ready = |after| database.read(move |tx| droplet_not_ready(tx, DropletId(after), 2));
    assert_eq!(not_ready(0).await, [1, 3].map(|id| (DropletId(id), at(9))));
    assert_eq!(not_ready(3).await, [5, 6].map(|id| (DropletId(id), at(9))));
    assert_eq!(not_ready(6).await, []);
    let page = database.read(|tx| droplet_page_of_all(tx, DropletId(1), 3)).await;
    assert_eq!(page.iter().map(|droplet| droplet.id.0).collect::<Vec<_>>(), [2, 3, 4]);
}

async fn a_change_of_life_writes_size_image_backups_and_address(database: &Database) {
    insert(database, droplet(1, ALICE)).await;
    let change = |change: DropletChange| async move {
        assert!(database.write(move |tx| droplet_change(tx, DropletId(1), &change)).await);
        get(database, 1).await.expect("it is there")
    };
    let sizing = Sizing { size: "s-2vcpu-4gb".into(), vcpus: 2, memory_mib: 4096, disk_gib: 80 };
    let row = change(DropletChange { sizing: Some(sizing), ..DropletChange::default() }).await;
    assert_eq!((row.size.as_str(), row.vcpus, row.memory_mib, row.disk_gib), ("s-2vcpu-4gb", 2, 4096, 80));
    let image = Some((ImageId(9), Some("debian-12-x64".to_owned())));
    let row = change(DropletChange { image, next_image: Some(None), ..DropletChange::default() }).await;
    assert_eq!((row.image_id, row.image_slug.as_deref()), (ImageId(9), Some("debian-12-x64")));
    let row = change(DropletChange { image: Some((ImageId(10), None)), ..DropletChange::default() }).await;
    assert_eq!((row.image_id, row.image_slug), (ImageId(10), None));
    let row = change(DropletChange { backups: Some(Some(("{}".into(), at(5)))), ..DropletChange::default() }).await;
    assert_eq!((row.backups.as_deref(), row.backup_due_at), (Some("{}"), Some(at(5))));
    let row = change(DropletChange { backups: Some(None), ..DropletChange::default() }).await;
    assert_eq!((row.backups, row.backup_due_at), (None, None));
    let address = "fd00::7".parse().expect("an address");
    let row = change(DropletChange { public_v6: Some(address), ..DropletChange::default() }).await;
    assert_eq!((row.ipv6, row.public_v6), (true, Some(address)));

    let ready = (ReadinessState::Ready, Some("said".to_owned()), at(6));
    change(DropletChange { ssh_at: Some(at(5)), readiness: Some(ready), ..DropletChange::default() }).await;
    let row = change(DropletChange { unready_since: Some(at(9)), ..DropletChange::default() }).await;
    let told = (row.readiness, row.readiness_detail, row.ssh_at, row.ready_at, row.active_at);
    assert_eq!(told, (ReadinessState::Pending, None, None, None, Some(at(9))));
}

async fn backups_come_due_longest_first(database: &Database) {
    for (id, due) in [(1, Some(30)), (2, Some(10)), (3, None), (4, Some(20))] {
        let backups = due.map(|_| "{}".to_owned());
        insert(database, DropletRecord { backups, backup_due_at: due.map(at), ..droplet(id, ALICE) }).await;
    }
    let due = |now, most| async move {
        let found = database.read(move |tx| droplets_due_for_backup(tx, at(now), most)).await;
        found.into_iter().map(|droplet| droplet.id.0).collect::<Vec<_>>()
    };
    assert!(due(9, 10).await.is_empty());
    assert_eq!(due(30, 10).await, [2, 4, 1]);
    assert_eq!(due(30, 2).await, [2, 4]);
    assert_eq!(database.read(next_backup_due).await, Some(at(10)));
    database.write(|tx| droplet_backup_due(tx, DropletId(2), at(40))).await;
    database.write(|tx| droplet_backup_due(tx, DropletId(3), at(1))).await;
    assert_eq!(due(100, 10).await, [4, 1, 2], "one whose backups are off stays so");
    for id in [1, 2, 4] {
        database.write(move |tx| droplet_backup_off(tx, DropletId(id))).await;
    }
    assert_eq!(database.read(next_backup_due).await, None);
}

async fn neighbors_are_those_of_one_host_and_account(database: &Database) {
    let on = |id, host: &str, account| DropletRecord { host: Some(host.into()), ..droplet(id, account) };
    for droplet in [on(1, "b", ALICE), on(2, "a", ALICE), on(3, "b", ALICE), on(4, "b", BOB), on(5, "c", ALICE)] {
        insert(database, droplet).await;
    }
    insert(database, droplet(6, ALICE)).await;
    insert(database, on(7, "c", ALICE)).await;
    let groups = database.read(|tx| droplet_neighbors(tx, ALICE)).await;
    assert_eq!(groups, [[DropletId(1), DropletId(3)], [DropletId(5), DropletId(7)]]);
    assert!(database.read(|tx| droplet_neighbors(tx, BOB)).await.is_empty());
    let page = database.read(|tx| droplet_list(tx, ALICE, &DropletFilter::Host("b".into()), ALL)).await;
    assert_eq!(page.rows.into_iter().map(|droplet| droplet.id.0).collect::<Vec<_>>(), [1, 3]);
}

async fn a_password_is_taken_once_and_goes_with_its_droplet(database: &Database) {
    insert(database, droplet(1, ALICE)).await;
    insert(database, droplet(2, ALICE)).await;
    let take = |id| async move { database.write(move |tx| password_take(tx, DropletId(id))).await };
    assert_eq!(take(1).await, None);
    for (id, password, time) in [(1, "first", 1), (1, "second", 2), (2, "other", 3)] {
        database.write(move |tx| password_keep(tx, DropletId(id), password, at(time))).await;
    }
    assert_eq!(take(1).await, Some(("second".to_owned(), at(2))));
    assert_eq!(take(1).await, None);
    database.write(|tx| droplet_delete(tx, DropletId(2))).await;
    assert_eq!(take(2).await, None);

    database.write(|tx| droplet_set_password_hash(tx, DropletId(1), "$6$a$b")).await;
    let seed = database.read(|tx| droplet_seed(tx, DropletId(1))).await;
    assert_eq!(seed, DropletSeed { password_hash: Some("$6$a$b".into()), ..DropletSeed::default() });
    database.write(|tx| droplet_set_password_hash(tx, DropletId(1), "$6$c$d")).await;
    assert_eq!(database.read(|tx| droplet_seed(tx, DropletId(1))).await.password_hash.as_deref(), Some("$6$c$d"));
}

async fn links_are_those_of_every_accounts_droplets(database: &Database) {
    let (one, other) = (full(2), droplet(1, BOB));
    insert(database, one.clone()).await;
    insert(database, other.clone()).await;

    let links = |of: &DropletRecord| DropletLinks {
        id: of.id,
        vpc: of.vpc,
        public_v4: of.public_v4,
        private_v4: of.private_v4,
        private_netmask: of.private_netmask,
        public_v6: of.public_v6,
    };
    assert_eq!(database.read(|tx| droplet_links_of_all(tx)).await, [links(&other), links(&one)]);
}
