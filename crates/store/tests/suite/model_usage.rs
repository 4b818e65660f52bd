//! What was used of models.

use dewpoint_api::{AccountId, UsageTotal};
use dewpoint_store::{UsageFilter, UsageOf, UsageRecord, Window, model_usage::*};

use crate::{
    fixtures::{ALICE, ALL, BOB, at, uuid},
    harness::{Database, on_each_database},
};

on_each_database!(
    what_is_used_in_one_minute_is_one_row,
    every_filter_finds_its_rows_and_their_sum,
    what_is_old_goes_a_minute_at_a_time,
);

fn used(account: AccountId, minute: i64, key: u64, model: &str, tokens: u64) -> UsageRecord {
    let of = UsageOf { account, minute: at(minute), key: uuid(key), model: model.to_owned() };
    UsageRecord {
        of,
        used: UsageTotal { requests: 1, errors: 0, tokens_in: tokens, tokens_out: 2 * tokens, estimated: 1 },
    }
}

async fn add(database: &Database, records: Vec<UsageRecord>) {
    database.write(move |tx| usage_add(tx, &records)).await;
}

async fn what_is_used_in_one_minute_is_one_row(database: &Database) {
    add(database, vec![used(ALICE, 60, 1, "a", 5), used(ALICE, 60, 1, "a", 7)]).await;
    add(database, vec![used(ALICE, 60, 1, "a", 1), used(BOB, 60, 1, "a", 100)]).await;
    add(database, vec![]).await;
    let page = database.read(|tx| usage_list(tx, ALICE, &UsageFilter::default(), ALL)).await;
    let sum = UsageTotal { requests: 3, errors: 0, tokens_in: 13, tokens_out: 26, estimated: 3 };
    assert_eq!((page.total, page.rows[0].used), (1, sum));
    assert_eq!(database.read(|tx| usage_total(tx, ALICE, &UsageFilter::default())).await, sum);
}

async fn every_filter_finds_its_rows_and_their_sum(database: &Database) {
    let rows = [(60, 1, "a"), (120, 2, "a"), (120, 1, "b"), (180, 1, "a")];
    let tokens = [1, 10, 100, 1000];
    add(
        database,
        rows.iter().zip(tokens).map(|((minute, key, model), n)| used(ALICE, *minute, *key, model, n)).collect(),
    )
    .await;
    let any = UsageFilter::default;
    for (filter, wanted) in [
        (any(), vec![1000, 100, 10, 1]),
        (UsageFilter { from: Some(at(120)), ..any() }, vec![1000, 100, 10]),
        (UsageFilter { to: Some(at(120)), ..any() }, vec![1]),
        (UsageFilter { key: Some(uuid(2)), ..any() }, vec![10]),
        (UsageFilter { model: Some("b".to_owned()), ..any() }, vec![100]),
        (UsageFilter { key: Some(uuid(9)), ..any() }, vec![]),
    ] {
        let (list, total) = (filter.clone(), filter.clone());
        let found = database.read(move |tx| usage_list(tx, ALICE, &list, ALL)).await;
        let found: Vec<u64> = found.rows.iter().map(|row| row.used.tokens_in).collect();
        assert_eq!(found, wanted, "{filter:?}");
        let sum = database.read(move |tx| usage_total(tx, ALICE, &total)).await;
        assert_eq!(sum.tokens_in, wanted.iter().sum::<u64>(), "{filter:?}");
    }
    let page = database.read(move |tx| usage_list(tx, ALICE, &any(), Window { skip: 1, take: 2 })).await;
    assert_eq!((page.total, page.rows.len(), page.rows[0].used.tokens_in), (4, 2, 100));
}

async fn what_is_old_goes_a_minute_at_a_time(database: &Database) {
    let rows = [(60, 1), (60, 2), (120, 1), (180, 1)].map(|(minute, key)| used(ALICE, minute, key, "a", 1));
    add(database, rows.to_vec()).await;
    assert_eq!(database.write(|tx| usage_prune(tx, at(60), 100)).await, 0);
    assert_eq!(database.write(|tx| usage_prune(tx, at(180), 1)).await, 2, "all of the oldest minute");
    assert_eq!(database.write(|tx| usage_prune(tx, at(180), 100)).await, 1);
    let page = database.read(|tx| usage_list(tx, ALICE, &UsageFilter::default(), ALL)).await;
    assert_eq!((page.total, page.rows[0].of.minute), (1, at(180)));
}
