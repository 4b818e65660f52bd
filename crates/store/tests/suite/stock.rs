//! What is declared that there is, and what Droplets have of it.

use dewpoint_api::{ActionId, DropletId};
use dewpoint_clock::Timestamp;
use dewpoint_store::{ActionRecord, DropletRecord, DropletSeed, Error, actions, droplets, hosts::*, stock::*};

use crate::{
    fixtures::{self, ALICE},
    harness::{Database, on_each_database},
};

on_each_database!(
    a_declaration_replaces_the_one_before_and_is_counted,
    a_holding_is_one_droplets_and_its_gpus_are_nobody_elses,
    those_who_are_gone_hold_until_no_action_is_at_them,
    the_unplaced_are_counted_in_their_order,
    hosts_are_kept_in_their_order_and_declared_ones_apart_from_those_that_are_told,
    gpus_of_who_is_off_and_who_is_not_counted_yet_are_found,
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

fn host(declared: bool, name: &str, gpus: Vec<GpuRecord>) -> HostRecord {
    let region = declared.then(|| "nyc2".into());
    HostRecord { declared, name: name.to_owned(), region, vcpus: 48, memory_mib: 524_288, gpus, generation: 3 }
}

fn gpu(address: &str, condition: GpuCondition) -> GpuRecord {
    let (address, model, parked) = (address.to_owned(), "nvidia_h100".to_owned(), Some("its reset failed".to_owned()));
    GpuRecord { address, model, memory_mib: 81_920, node: Some(1), condition, parked, seen: 3 }
}

async fn hosts_are_kept_in_their_order_and_declared_ones_apart_from_those_that_are_told(database: &Database) {
    let conditions = [
        GpuCondition::Ready,
        GpuCondition::Unusable("why".to_owned()),
        GpuCondition::Parked("why".to_owned()),
        GpuCondition::Missing,
    ];
    let gpus: Vec<GpuRecord> = conditions.into_iter().map(|condition| gpu("0000:17:00.0", condition)).collect();
    let declared = [host(true, "z", gpus), host(true, "a", Vec::new())];
    let (wanted, told) = (declared.clone(), host(false, "a", Vec::new()));
    database.write(move |tx| hosts_replace(tx, true, &wanted)).await;
    let one = told.clone();
    database.write(move |tx| hosts_replace(tx, false, std::slice::from_ref(&one))).await;
    assert_eq!(database.read(|tx| host_list(tx, true)).await, declared);
    assert_eq!(database.read(|tx| host_list(tx, false)).await, std::slice::from_ref(&told));
    let changed = HostRecord { gpus: vec![gpu("0000:65:00.0", GpuCondition::Ready)], generation: 4, ..told };
    let wanted = changed.clone();
    database.write(move |tx| host_gpus_put(tx, &wanted)).await;
    assert_eq!(database.read(|tx| host_get(tx, false, "a")).await, Some(changed));
    assert_eq!(database.read(|tx| host_get(tx, false, "z")).await, None);
    database.write(|tx| hosts_replace(tx, true, &[])).await;
    assert_eq!(database.read(|tx| host_list(tx, true)).await, []);
    assert_eq!(database.read(|tx| host_list(tx, false)).await.len(), 1);
    assert_eq!(database.write(stock_changed).await, 1);
    assert_eq!(database.write(stock_changed).await, 2);
    assert_eq!(database.read(stock_generation).await, 2);
    assert_eq!(database.read(stock_declared).await, None, "nothing is declared by it");
}

async fn gpus_of_who_is_off_and_who_is_not_counted_yet_are_found(database: &Database) {
    use dewpoint_api::DropletStatus::{Active, Off};
    for (id, status) in [(1, Off), (2, Active), (3, Off), (4, Off)] {
        let running_action = (id == 4).then_some(ActionId(9));
        let droplet =
            DropletRecord { host: Some("h1".to_owned()), status, running_action, ..fixtures::droplet(id, ALICE) };
        database.write(move |tx| droplets::droplet_insert(tx, &droplet, &DropletSeed::default())).await;
    }
    assert_eq!(database.read(|tx| holders_missing(tx, "h1")).await, [1, 2, 3, 4].map(DropletId));
    assert_eq!(database.read(|tx| holders_missing(tx, "h2")).await, []);
    for (id, gpus) in [(1, &[0][..]), (2, &[1]), (4, &[2])] {
        let holding = holding(id, gpus);
        database.write(move |tx| holding_put(tx, &holding)).await;
    }
    assert_eq!(database.read(|tx| holders_missing(tx, "h1")).await, [DropletId(3)]);
    assert_eq!(database.read(holders_off).await, [DropletId(1)], "the second runs, the fourth is being acted on");
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
