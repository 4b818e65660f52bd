//! Lists of thousands: a page found by its counts is the page one would find by passing over all rows before it.

use dewpoint_api::DropletId;
use dewpoint_store::{DropletFilter, DropletSeed, Error, Tx, Window, actions::*, droplets::*};

use crate::{
    fixtures::{ALICE, BOB, action, droplet},
    harness::{Database, on_each_database},
};

on_each_database!(
    a_deep_page_of_droplets_is_the_page_that_skipping_gives,
    a_deep_page_of_actions_is_the_page_that_skipping_gives,
    a_list_that_was_emptied_is_empty_on_every_page,
);

const PLAIN: DropletFilter = DropletFilter::Kind { gpu: false };

/// Ids over several buckets of 1024, with gaps and an empty bucket, on their edges too.
fn spread() -> Vec<u64> {
    let mut ids: Vec<u64> = (100_001..102_400).filter(|id| id % 7 != 0).collect();
    ids.extend(104_440..104_460);
    ids.extend([106_495, 106_496, 107_519, 107_520]);
    ids
}

fn windows(total: u64) -> Vec<Window> {
    let deep = [0, 1, 19, 20, 1000, 1023, 1024, 1025, 2000, total - 20, total - 1, total, total + 1, total + 5000];
    deep.into_iter().flat_map(|skip| [1, 20, 200].map(|take| Window { skip, take })).collect()
}

/// The part of `ids` that `window` shows.
fn skipped(ids: &[u64], window: Window) -> Vec<u64> {
    let skip = usize::try_from(window.skip).expect("a small number");
    ids.iter().skip(skip).take(window.take as usize).copied().collect()
}

fn insert_droplet(tx: &mut dyn Tx, id: u64) -> Result<(), Error> {
    droplet_insert(tx, &droplet(id, if id.is_multiple_of(11) { BOB } else { ALICE }), &DropletSeed::default())
}

async fn a_deep_page_of_droplets_is_the_page_that_skipping_gives(database: &Database) {
    database.write(|tx| spread().into_iter().try_for_each(|id| insert_droplet(tx, id))).await;
    let gone = |id: u64| id.is_multiple_of(5) || (101_376..101_500).contains(&id);
    database
        .write(move |tx| {
            spread().into_iter().filter(|id| gone(*id)).try_for_each(|id| droplet_delete(tx, DropletId(id)).map(drop))
        })
        .await;
    let left: Vec<u64> = spread().into_iter().filter(|id| !gone(*id) && id % 11 != 0).collect();
    let total = left.len() as u64;
    for window in windows(total) {
        let page = database.read(move |tx| droplet_list(tx, ALICE, &PLAIN, window)).await;
        let ids: Vec<u64> = page.rows.iter().map(|droplet| droplet.id.0).collect();
        assert_eq!((page.total, ids), (total, skipped(&left, window)), "{window:?}");
    }
    assert_eq!(database.read(|tx| droplet_count(tx, ALICE)).await, total);
}

async fn a_deep_page_of_actions_is_the_page_that_skipping_gives(database: &Database) {
    database
        .write(|tx| {
            let account = |id: u64| if id.is_multiple_of(11) { BOB } else { ALICE };
            spread().into_iter().try_for_each(|id| action_insert(tx, &action(id, account(id))))
        })
        .await;
    let newest_first: Vec<u64> = spread().into_iter().rev().filter(|id| id % 11 != 0).collect();
    let total = newest_first.len() as u64;
    for window in windows(total) {
        let page = database.read(move |tx| action_list(tx, ALICE, window)).await;
        let ids: Vec<u64> = page.rows.iter().map(|action| action.id.0).collect();
        assert_eq!((page.total, ids), (total, skipped(&newest_first, window)), "{window:?}");
    }
}

async fn a_list_that_was_emptied_is_empty_on_every_page(database: &Database) {
    database.write(|tx| [1, 5000].into_iter().try_for_each(|id| insert_droplet(tx, id))).await;
    database.write(|tx| [1, 5000].into_iter().try_for_each(|id| droplet_delete(tx, DropletId(id)).map(drop))).await;
    for skip in [0, 1, 3000] {
        let page = database.read(move |tx| droplet_list(tx, ALICE, &PLAIN, Window { skip, take: 20 })).await;
        assert_eq!((page.total, page.rows.len()), (0, 0));
    }
}
