//! What is declared that there is, and what Droplets have of it.

use dewpoint_api::{ActionId, DropletId};
use dewpoint_clock::Timestamp;
use dewpoint_store::{ActionRecord, DropletRecord, DropletSeed, Error, actions, droplets, stock::*};

use crate::{
    fixtures::{self, ALICE},
    harness::{Database, on_each_database},
};

on_each_database!(
    a_declaration_replaces_the_one_before_and_is_counted,
    a_holding_is_one_droplets_and_its_gpus_are_nobody_elses,
    those_who_are_gone_hold_until_no_action_is_at_them,
    the_unplaced_are_counted_in_their_order,
    an_action_that_is_set_aside_is_claimed_by_nobody_until_all_are_woken,
);

fn holding(droplet: u64, gpus: &[usize]) -> Holding {
    let gpu_model = (!gpus.is_empty()).then(|| "nvidia_h100".to_owned());
    let (host, gpus) = ("h1".to_owned(), gpus.to_vec());
    let addresses = gpus.iter().map(|place| format!("0000:0{place}:00.0")).collect();
    Holding { droplet: DropletId(droplet), host, vcpus: 20, memory_mib: 245_760, gpus, addresses, gpu_model }
}

async fn a_declaration_replaces_the_one_before_and_is_counted(database: &Database) {
    assert_eq!(database.read(stock_declared).await, None);
    assert_eq!(database.write(|tx| stock_declare(tx, Some("one"))).await, 1);
    assert_eq!(database.write(|tx| stock_declare(tx, Some("two"))).await, 2);
    assert_eq!(database.read(stock_declared).await, Some((2, "two".to_owned())));
    assert_eq!(database.write(|tx| stock_declare(tx, None)).await, 3);
    assert_eq!(database.read(stock_declared).await, None);
}

async fn a_holding_is_one_droplets_and_its_gpus_are_nobody_elses(database: &Database) {
    database.write(|tx| holding_put(tx, &holding(1, &[0, 3]))).await;
    database.write(|tx| holding_put(tx, &holding(2, &[]))).await;
    assert_eq!(database.read(holding_list).await, [holding(1, &[0, 3]), holding(2, &[])]);
    let twice = database.refused(|tx| holding_put(tx, &holding(3, &[2, 3]))).await;
    assert!(matches!(twice, Error::Duplicate), "the third is somebody's: {twice}");
    assert_eq!(database.read(|tx| holding_get(tx, DropletId(3))).await, None);
    database.write(|tx| holding_put(tx, &holding(1, &[1]))).await;
    database.write(|tx| holding_put(tx, &holding(3, &[3]))).await;
    assert!(database.write(|tx| holding_drop(tx, DropletId(1))).await);
    assert!(!database.write(|tx| holding_drop(tx, DropletId(1))).await);
    assert_eq!(database.read(holding_list).await, [holding(2, &[]), holding(3, &[3])]);
}

async fn those_who_are_gone_hold_until_no_action_is_at_them(database: &Database) {
    for droplet in 1..=3 {
        database.write(move |tx| holding_put(tx, &holding(droplet, &[]))).await;
    }
    database
        .write(|tx| {
            droplets::droplet_insert(tx, &fixtures::droplet(2, ALICE), &DropletSeed::default())?;
            actions::action_insert(tx, &ActionRecord { resource_id: Some(3), ..fixtures::action(1, ALICE) })
        })
        .await;
    assert_eq!(database.read(holders_gone).await, [DropletId(1)]);
}

async fn the_unplaced_are_counted_in_their_order(database: &Database) {
    for id in 1..=3 {
        let host = (id == 2).then(|| "h1".to_owned());
        let droplet = DropletRecord { host, ..fixtures::droplet(id, ALICE) };
        database.write(move |tx| droplets::droplet_insert(tx, &droplet, &DropletSeed::default())).await;
    }
    assert_eq!(database.read(|tx| unplaced_count(tx, None)).await, 2);
    let size = fixtures::droplet(3, ALICE).size;
    assert_eq!(database.read(move |tx| unplaced_count(tx, Some((DropletId(3), &size)))).await, 1);
    assert_eq!(database.read(|tx| unplaced_count(tx, Some((DropletId(3), &"other".into())))).await, 0);
}

async fn an_action_that_is_set_aside_is_claimed_by_nobody_until_all_are_woken(database: &Database) {
    let (now, lease) = (Timestamp::from_millis(1_000_000), std::time::Duration::from_secs(30));
    database.write(|tx| actions::action_insert(tx, &fixtures::action(1, ALICE))).await;
    let claim = async |at: Timestamp| database.write(move |tx| actions::action_claim(tx, at, lease, 9)).await;
    let attempt = claim(now).await[0].attempt;
    assert!(!database.write(move |tx| actions::action_park(tx, ActionId(1), attempt + 1)).await, "another's claim");
    assert!(database.write(move |tx| actions::action_park(tx, ActionId(1), attempt)).await);
    assert_eq!(claim(now + lease * 1_000_000).await, []);
    assert_eq!(database.write(actions::action_let_go_all).await, 0, "nobody is at it");
    assert_eq!(database.write(actions::action_unpark_all).await, 1);
    assert_eq!(claim(now).await[0].attempt, attempt, "waiting is no attempt");
}
