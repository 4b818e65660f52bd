//! The audit log.

use dewpoint_store::{AuditFilter, AuditRecord, accounts::account_insert, audit::*, tokens::token_insert};

use crate::{
    fixtures::{ALICE, BOB, account, at, token, uuid},
    harness::{Database, on_each_database},
};

on_each_database!(
    entries_come_back_newest_first_with_the_names_of_who,
    every_filter_finds_its_entries_and_no_others,
    a_page_ends_where_the_next_begins,
    what_is_old_or_too_many_goes_from_the_old_end,
);

fn entry(number: u64) -> AuditRecord {
    AuditRecord {
        at: at(number.try_into().expect("a small number")),
        account: Some(ALICE),
        token: Some(uuid(1)),
        operation: "droplets_create".into(),
        method: "POST".into(),
        path: "/v2/droplets".into(),
        status: 202,
        address: Some("192.0.2.7".into()),
        request_id: format!("request-{number}"),
        left_out: 0,
    }
}

async fn insert(database: &Database, entries: Vec<AuditRecord>) {
    database.write(move |tx| audit_insert(tx, &entries)).await;
}

/// The times of the entries a filter finds, and where it goes on.
async fn found(database: &Database, filter: AuditFilter, before: Option<u64>, take: u32) -> (Vec<i64>, Option<u64>) {
    let (rows, next) = database.read(move |tx| audit_page(tx, &filter, before, take)).await;
    (rows.iter().map(|row| row.record.at.as_millis()).collect(), next)
}

async fn entries_come_back_newest_first_with_the_names_of_who(database: &Database) {
    database.write(|tx| account_insert(tx, &account(ALICE))).await;
    database.write(|tx| token_insert(tx, &token(1, ALICE))).await;
    let stranger = AuditRecord { account: None, token: None, address: None, left_out: 7, status: 401, ..entry(2) };
    insert(database, vec![entry(1), stranger.clone()]).await;
    insert(database, vec![]).await;

    let (rows, next) = database.read(|tx| audit_page(tx, &AuditFilter::default(), None, 10)).await;

    assert_eq!((rows.len(), next), (2, None));
    assert_eq!((&rows[0].record, &rows[0].account_uuid, &rows[0].token_name), (&stranger, &None, &None));
    assert_eq!(rows[1].record, entry(1));
    assert_eq!((rows[1].account_uuid.as_deref(), rows[1].token_name.as_deref()), (Some("account-1"), Some("token 1")));
    assert!(rows[0].id > rows[1].id);
}

async fn every_filter_finds_its_entries_and_no_others(database: &Database) {
    insert(
        database,
        vec![
            entry(1),
            AuditRecord { account: Some(BOB), ..entry(2) },
            AuditRecord { token: Some(uuid(9)), ..entry(3) },
            AuditRecord { operation: "droplets_destroy".into(), ..entry(4) },
            AuditRecord { path: "/v2/droplets/7".into(), ..entry(5) },
            AuditRecord { status: 403, ..entry(6) },
            AuditRecord { address: Some("192.0.2.8".into()), ..entry(7) },
        ],
    )
    .await;
    let any = AuditFilter::default;
    for (filter, wanted) in [
        (AuditFilter { account: Some(BOB), ..any() }, vec![2]),
        (AuditFilter { token: Some(uuid(9)), ..any() }, vec![3]),
        (AuditFilter { operation: Some("droplets_destroy".into()), ..any() }, vec![4]),
        (AuditFilter { path: Some("/v2/droplets/7".into()), ..any() }, vec![5]),
        (AuditFilter { status: Some(403), ..any() }, vec![6]),
        (AuditFilter { address: Some("192.0.2.8".into()), ..any() }, vec![7]),
        (AuditFilter { request_id: Some("request-3".into()), ..any() }, vec![3]),
        (AuditFilter { since: Some(at(6)), ..any() }, vec![7, 6]),
        (AuditFilter { until: Some(at(2)), ..any() }, vec![1]),
        (AuditFilter { since: Some(at(3)), until: Some(at(6)), account: Some(ALICE), ..any() }, vec![5, 4, 3]),
        (AuditFilter { account: Some(ALICE), status: Some(404), ..any() }, vec![]),
    ] {
        assert_eq!(found(database, filter.clone(), None, 10).await, (wanted, None), "{filter:?}");
    }
}

async fn a_page_ends_where_the_next_begins(database: &Database) {
    // More than one statement's worth, and not a whole number of them.
    insert(database, (1..=101).map(entry).collect()).await;
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let (page, next) = found(database, AuditFilter::default(), before, 20).await;
        all.extend(page);
        match next {
            Some(next) => before = Some(next),
            None => break,
        }
    }
    assert_eq!(all, (1..=101).rev().collect::<Vec<_>>());
}

async fn what_is_old_or_too_many_goes_from_the_old_end(database: &Database) {
    insert(database, (1..=50).map(entry).collect()).await;
    let prune = async |since: i64, most: u64, limit: u32| {
        let gone = database.write(move |tx| audit_prune(tx, at(since), most, limit)).await;
        let (left, _) = found(database, AuditFilter::default(), None, 100).await;
        (gone, left.last().copied())
    };
    assert_eq!(prune(0, 1000, 100).await, (0, Some(1)), "nothing is old");
    assert_eq!(prune(11, 1000, 100).await, (10, Some(11)), "older than that");
    assert_eq!(prune(0, 30, 5).await, (5, Some(16)), "no more than so many at a time");
    assert_eq!(prune(0, 30, 100).await, (5, Some(21)), "the newest thirty stay");
    assert_eq!(prune(99, 30, 100).await, (30, None));
    assert_eq!(prune(99, 30, 100).await, (0, None), "also when there is none");
    insert(database, vec![entry(60)]).await;
    let (rows, _) = database.read(|tx| audit_page(tx, &AuditFilter::default(), None, 1)).await;
    assert_eq!(rows[0].id, 51, "numbers are not given again");
}
