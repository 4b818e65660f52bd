//! Domains and their records.

use dewpoint_api::{DomainRecordId, DomainRecordType};
use dewpoint_store::{DomainFilter, DomainRecord, DomainRow, Error, domains::*};

use crate::{
    fixtures::{ALICE, ALL, BOB, at},
    harness::{Database, on_each_database},
};

on_each_database!(
    a_domain_is_its_accounts_own_and_there_once,
    a_record_comes_back_as_it_was_added_and_changed,
    records_are_found_by_name_and_type_and_go_with_their_domain,
    the_serial_number_only_grows,
    the_longest_domain_answers_and_the_first_cut_hands_on,
    the_neighbours_of_a_name_are_what_is_next_in_the_tree,
    records_of_before_get_their_place_by_the_migration,
);

fn domain(name: &str, account: dewpoint_api::AccountId) -> DomainRow {
    DomainRow { name: name.into(), account, serial: 7, created_at: at(1) }
}

fn record(id: u64, kind: DomainRecordType, name: &str) -> DomainRecord {
    DomainRecord {
        id: DomainRecordId(id),
        kind,
        name: name.into(),
        data: format!("data {id}"),
        priority: None,
        port: None,
        ttl: 1800,
        weight: None,
        flags: None,
        tag: None,
    }
}

async fn a_domain_is_its_accounts_own_and_there_once(database: &Database) {
    database.write(|tx| domain_insert(tx, &domain("b.example", ALICE))).await;
    database.write(|tx| domain_insert(tx, &domain("a.example", ALICE))).await;
    let error = database.refused(|tx| domain_insert(tx, &domain("a.example", BOB))).await;
    assert!(matches!(error, Error::Duplicate), "{error:?}");

    assert_eq!(database.read(|tx| domain_get(tx, ALICE, "a.example")).await, Some(domain("a.example", ALICE)));
    assert_eq!(database.read(|tx| domain_get(tx, BOB, "a.example")).await, None);
    let found = database.read(|tx| domain_of_anybody(tx, "a.example")).await;
    assert_eq!(found.map(|domain| domain.account), Some(ALICE));
    let list = database.read(|tx| domain_list(tx, ALICE, ALL)).await;
    let names: Vec<_> = list.rows.iter().map(|domain| domain.name.as_str()).collect();
    assert_eq!((list.total, names), (2, vec!["a.example", "b.example"]));
    assert!(database.read(|tx| domain_is_above_anothers(tx, BOB, "example")).await);
    assert!(!database.read(|tx| domain_is_above_anothers(tx, ALICE, "example")).await);
    assert!(!database.read(|tx| domain_is_above_anothers(tx, BOB, "xample")).await);
}

async fn a_record_comes_back_as_it_was_added_and_changed(database: &Database) {
    let full = DomainRecord {
        priority: Some(1),
        port: Some(65_535),
        weight: Some(3),
        flags: Some(255),
        tag: Some("issue".into()),
        ..record(1, DomainRecordType::Srv, "_sip._tcp")
    };
    let added = full.clone();
    database.write(move |tx| domain_record_insert(tx, "a.example", &added)).await;
    assert_eq!(database.read(|tx| domain_record_get(tx, "a.example", DomainRecordId(1))).await, Some(full));
    assert_eq!(database.read(|tx| domain_record_get(tx, "b.example", DomainRecordId(1))).await, None);

    let bare = DomainRecord { ttl: 60, data: "other".into(), ..record(1, DomainRecordType::Txt, "@") };
    let changed = bare.clone();
    database.write(move |tx| domain_record_update(tx, "a.example", &changed)).await;
    assert_eq!(database.read(|tx| domain_record_get(tx, "a.example", DomainRecordId(1))).await, Some(bare));
    assert!(!database.write(|tx| domain_record_delete(tx, "b.example", DomainRecordId(1))).await);
    assert!(database.write(|tx| domain_record_delete(tx, "a.example", DomainRecordId(1))).await);
}

async fn records_are_found_by_name_and_type_and_go_with_their_domain(database: &Database) {
    database.write(|tx| domain_insert(tx, &domain("a.example", ALICE))).await;
    let all = [(1, DomainRecordType::A, "www"), (2, DomainRecordType::Txt, "www"), (3, DomainRecordType::A, "@")];
    for (id, kind, name) in all {
        database.write(move |tx| domain_record_insert(tx, "a.example", &record(id, kind, name))).await;
    }
    database.write(|tx| domain_record_insert(tx, "b.example", &record(4, DomainRecordType::A, "www"))).await;
    let found = async |name: Option<&str>, kind: Option<DomainRecordType>| {
        let filter = DomainFilter { name: name.map(str::to_owned), kind };
        let page = database.read(move |tx| domain_record_list(tx, "a.example", &filter, ALL)).await;
        page.rows.iter().map(|record| record.id.0).collect::<Vec<_>>()
    };
    assert_eq!(found(None, None).await, [1, 2, 3]);
    assert_eq!(found(Some("www"), None).await, [1, 2]);
    assert_eq!(found(None, Some(DomainRecordType::A)).await, [1, 3]);
    assert_eq!(found(Some("www"), Some(DomainRecordType::A)).await, [1]);
    assert_eq!(database.read(|tx| domain_records_of(tx, "a.example", "www")).await.len(), 2);

    assert!(!database.write(|tx| domain_delete(tx, BOB, "a.example")).await);
    assert!(database.write(|tx| domain_delete(tx, ALICE, "a.example")).await);
    assert_eq!(found(None, None).await, [] as [u64; 0]);
    assert_eq!(database.read(|tx| domain_records_of(tx, "b.example", "www")).await.len(), 1);
}

async fn the_serial_number_only_grows(database: &Database) {
    database.write(|tx| domain_insert(tx, &domain("a.example", ALICE))).await;
    for (now, serial) in [(9_000, 9), (9_500, 10), (3_000, 11), (20_000, 20)] {
        database.write(move |tx| domain_touch(tx, "a.example", at(now))).await;
        let found = database.read(|tx| domain_get(tx, ALICE, "a.example")).await.map(|domain| domain.serial);
        assert_eq!(found, Some(serial));
    }
}

async fn the_longest_domain_answers_and_the_first_cut_hands_on(database: &Database) {
    database.write(|tx| domain_insert(tx, &domain("a.example", ALICE))).await;
    database.write(|tx| domain_insert(tx, &domain("b.a.example", ALICE))).await;
    let zone = async |names: &'static [&'static str]| {
        database.read(move |tx| zone_of(tx, names)).await.map(|domain| domain.name)
    };
    assert_eq!(zone(&["c.b.a.example", "b.a.example", "a.example"]).await.as_deref(), Some("b.a.example"));
    assert_eq!(zone(&["a.example"]).await.as_deref(), Some("a.example"));
    assert_eq!(zone(&["c.example"]).await, None);
    assert_eq!(zone(&[]).await, None);

    for (id, kind, name) in [
        (1, DomainRecordType::Ns, "@"),
        (2, DomainRecordType::Ns, "y.x"),
        (3, DomainRecordType::Ns, "x"),
        (4, DomainRecordType::A, "z"),
        (5, DomainRecordType::Ns, "x"),
    ] {
        database.write(move |tx| domain_record_insert(tx, "a.example", &record(id, kind, name))).await;
    }
    let cut = async |names: &'static [&'static str]| {
        let found = database.read(move |tx| zone_cut(tx, "a.example", names)).await;
        found.iter().map(|record| record.id.0).collect::<Vec<_>>()
    };
    assert_eq!(cut(&["w.y.x", "y.x", "x"]).await, [3, 5]);
    assert_eq!(cut(&["z"]).await, [] as [u64; 0]);
    assert_eq!(cut(&[]).await, [] as [u64; 0]);
}

async fn the_neighbours_of_a_name_are_what_is_next_in_the_tree(database: &Database) {
    for (id, name) in (1..).zip(["@", "a", "b-c", "x.b", "y.x.b", "*.d"]) {
        database.write(move |tx| domain_record_insert(tx, "a.example", &record(id, DomainRecordType::A, name))).await;
    }
    let around = async |name: &'static str| {
        let path = path_of(name);
        let found = database.read(move |tx| zone_neighbours(tx, "a.example", &path)).await;
        found.map(Option::unwrap_or_default)
    };
    assert_eq!(around("b").await, ["a!", "b!x!"], "b-c is not below b, and stands after what is");
    assert_eq!(around("w.b").await, ["a!", "b!x!"]);
    assert_eq!(around("z.x.b").await, ["b!x!y!", "b-c!"]);
    assert_eq!(around("e.d").await, ["d!*!", ""]);
    assert_eq!(around("a").await, ["", "a!"]);
}

async fn records_of_before_get_their_place_by_the_migration(database: &Database) {
    let names = ["@", "www", "a.b.c", "*.d", "_sip._tcp", "x"];
    for (id, name) in (1..).zip(names) {
        database.write(move |tx| domain_record_insert(tx, "a.example", &record(id, DomainRecordType::A, name))).await;
    }
    let migration = include_str!("../../../../migrations/0010_names.sql");
    let walk = migration.split(';').find(|statement| statement.contains("WITH RECURSIVE")).expect("the statement");
    let paths = async || {
        let sql = "SELECT path FROM domain_records ORDER BY id";
        database.read(move |tx| tx.query_all(sql, &[], |row| row.next::<String>())).await
    };
    let kept = paths().await;
    assert_eq!(kept, names.map(path_of));
    database.write(|tx| tx.execute("UPDATE domain_records SET path = ''", &[])).await;
    let code: Vec<&'static str> = walk.lines().filter(|line| !line.starts_with("--")).collect();
    database.write(move |tx| tx.execute(&code.join("\n"), &[])).await;
    assert_eq!(paths().await, kept);
}
