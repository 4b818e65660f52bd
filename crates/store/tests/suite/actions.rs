//! Actions: their claims, and that a late worker changes nothing. Their long lists are in `lists`.

use std::{collections::HashSet, time::Duration};

use dewpoint_api::{ActionId, ActionStatus, ResourceType};
use dewpoint_store::{ActionRecord, Error, TimelineEntry, Window, actions::*};

use crate::{
    fixtures::{ALICE, ALL, BOB, action, at},
    harness::{Database, on_each_database},
};

on_each_database!(
    an_action_comes_back_as_it_was_added,
    an_action_is_its_accounts_own,
    the_actions_of_one_resource_come_newest_first,
    a_claim_takes_the_oldest_due_and_leaves_the_rest,
    an_action_held_is_not_claimed_until_its_lease_ends,
    a_late_workers_save_is_refused,
    an_action_that_ended_is_neither_claimed_nor_changed,
    a_renewed_lease_lasts_longer_for_its_holder_only,
    a_lone_server_takes_over_what_its_last_life_held,
    an_attempt_that_was_told_to_let_go_does_not_count,
    no_lease_lasts_past_a_clock_that_was_set_back,
    two_workers_never_claim_the_same_action,
    the_backlog_follows_the_work,
    those_in_progress_are_found_by_what_they_are_done_to,
);

const LEASE: Duration = Duration::from_millis(100);

async fn insert(database: &Database, ids: impl IntoIterator<Item = u64>) {
    for id in ids {
        database.write(move |tx| action_insert(tx, &action(id, ALICE))).await;
    }
}

async fn claim(database: &Database, now: i64, most: u32) -> Vec<ActionRecord> {
    database.write(move |tx| action_claim(tx, at(now), LEASE, most)).await
}

async fn get(database: &Database, id: u64) -> ActionRecord {
    database.read(move |tx| action_get(tx, ALICE, ActionId(id))).await.expect("the action is there")
}

async fn save(database: &Database, action: ActionRecord) -> bool {
    database.write(move |tx| action_save(tx, &action)).await
}

fn ids(actions: &[ActionRecord]) -> Vec<u64> {
    actions.iter().map(|action| action.id.0).collect()
}

async fn an_action_comes_back_as_it_was_added(database: &Database) {
    let full = ActionRecord {
        resource_type: ResourceType::Volume,
        resource_id: None,
        resource_uuid: Some(uuid::Uuid::from_u128(7)),
        droplet: Some(dewpoint_api::DropletId(9)),
        status: ActionStatus::Errored,
        region: None,
        request: r#"{"name":"ü"}"#.into(),
        timeline: vec![
            TimelineEntry { step: "place".into(), ended_at_ms: 11, error: None },
            TimelineEntry { step: "boot".into(), ended_at_ms: 12, error: Some("no host".into()) },
        ],
        reason: Some("no host".into()),
        leased_until: at(13),
        attempt: 3,
        completed_at: Some(at(12)),
        ..action(2, ALICE)
    };
    let added = full.clone();
    insert(database, [1]).await;
    database.write(move |tx| action_insert(tx, &added)).await;
    assert_eq!(get(database, 1).await, action(1, ALICE));
    assert_eq!(get(database, 2).await, full);
    let error = database.refused(|tx| action_insert(tx, &action(2, ALICE))).await;
    assert!(matches!(error, Error::Duplicate), "{error:?}");
    assert_eq!(database.read(|tx| action_list(tx, ALICE, ALL)).await.total, 2);
}

async fn an_action_is_its_accounts_own(database: &Database) {
    insert(database, [1]).await;
    assert_eq!(database.read(|tx| action_get(tx, BOB, ActionId(1))).await, None);
    assert_eq!(database.read(|tx| action_list(tx, BOB, ALL)).await.rows, []);
    let of_one = database.read(|tx| action_list_of(tx, BOB, ResourceType::Droplet, 1, ALL)).await;
    assert_eq!((of_one.total, of_one.rows), (0, vec![]));
}

async fn the_actions_of_one_resource_come_newest_first(database: &Database) {
    for id in 1..=5 {
        let resource_id = Some(if id == 3 { 2 } else { 1 });
        database.write(move |tx| action_insert(tx, &ActionRecord { resource_id, ..action(id, ALICE) })).await;
    }
    let page = database.read(|tx| action_list_of(tx, ALICE, ResourceType::Droplet, 1, ALL)).await;
    assert_eq!((page.total, ids(&page.rows)), (4, vec![5, 4, 2, 1]));
    let window = Window { skip: 1, take: 2 };
    let page = database.read(move |tx| action_list_of(tx, ALICE, ResourceType::Droplet, 1, window)).await;
    assert_eq!((page.total, ids(&page.rows)), (4, vec![4, 2]));
    assert_eq!(database.read(|tx| action_list_of(tx, ALICE, ResourceType::Image, 1, ALL)).await.total, 0);
}

async fn a_claim_takes_the_oldest_due_and_leaves_the_rest(database: &Database) {
    insert(database, [3, 1, 2, 5, 4]).await;
    let first = claim(database, 1000, 2).await;
    assert_eq!(ids(&first), [1, 2]);
    assert!(first.iter().all(|action| action.attempt == 1 && action.leased_until == at(1100)));
    assert_eq!(ids(&claim(database, 1000, 64).await), [3, 4, 5]);
    assert_eq!(claim(database, 1000, 64).await, []);
}

async fn an_action_held_is_not_claimed_until_its_lease_ends(database: &Database) {
    insert(database, [1]).await;
    claim(database, 1000, 1).await;
    assert_eq!(claim(database, 1099, 1).await, []);
    let again = claim(database, 1100, 1).await;
    assert_eq!((ids(&again), again[0].attempt), (vec![1], 2));
}

async fn a_late_workers_save_is_refused(database: &Database) {
    insert(database, [1]).await;
    let late = claim(database, 1000, 1).await.remove(0);
    let successor = claim(database, 2000, 1).await.remove(0);

    assert!(!save(database, ActionRecord { step: "boot".into(), status: ActionStatus::Errored, ..late }).await);
    assert_eq!(get(database, 1).await, successor);

    let done = TimelineEntry { step: "place".into(), ended_at_ms: 2001, error: None };
    let saved = ActionRecord { step: "ensure".into(), timeline: vec![done], leased_until: at(0), ..successor };
    assert!(save(database, saved.clone()).await);
    assert_eq!(get(database, 1).await, saved);
}

async fn an_action_that_ended_is_neither_claimed_nor_changed(database: &Database) {
    insert(database, [1]).await;
    let held = claim(database, 1000, 1).await.remove(0);
    let completed_at = Some(at(1001));
    let ended = ActionRecord { status: ActionStatus::Completed, completed_at, leased_until: at(0), ..held.clone() };
    assert!(save(database, ended.clone()).await);

    assert_eq!(claim(database, 9000, 64).await, []);
    assert!(!save(database, held.clone()).await);
    assert_eq!(database.write(move |tx| action_renew(tx, &[(held.id, held.attempt)], at(9999))).await, 0);
    assert_eq!(database.write(action_release_all).await, 0);
    assert_eq!(get(database, 1).await, ended);
}

async fn a_renewed_lease_lasts_longer_for_its_holder_only(database: &Database) {
    insert(database, [1, 2]).await;
    claim(database, 1000, 2).await;
    let renewed = database.write(|tx| action_renew(tx, &[(ActionId(1), 1), (ActionId(2), 7)], at(5000))).await;
    assert_eq!(renewed, 1);
    assert_eq!(ids(&claim(database, 4999, 64).await), [2]);
    assert_eq!(ids(&claim(database, 5000, 64).await), [1]);
}

async fn a_lone_server_takes_over_what_its_last_life_held(database: &Database) {
    insert(database, [1, 2, 3]).await;
    claim(database, 1000, 2).await;
    assert_eq!(database.write(action_release_all).await, 2);
    let all = claim(database, 1000, 64).await;
    assert_eq!(all.iter().map(|action| (action.id.0, action.attempt)).collect::<Vec<_>>(), [(1, 2), (2, 2), (3, 1)]);
}

async fn an_attempt_that_was_told_to_let_go_does_not_count(database: &Database) {
    insert(database, [1, 2]).await;
    claim(database, 1000, 1).await;
    assert_eq!(database.write(action_let_go_all).await, 1);
    let all = claim(database, 1000, 64).await;
    assert_eq!(all.iter().map(|action| (action.id.0, action.attempt)).collect::<Vec<_>>(), [(1, 1), (2, 1)]);
}

async fn no_lease_lasts_past_a_clock_that_was_set_back(database: &Database) {
    insert(database, [1, 2]).await;
    claim(database, 90_000, 1).await;
    assert_eq!(database.write(|tx| action_shorten_leases(tx, at(2000))).await, 1, "the other one is free already");
    assert_eq!(ids(&claim(database, 1999, 64).await), [2]);
    assert_eq!(ids(&claim(database, 2000, 64).await), [1]);
}

async fn two_workers_never_claim_the_same_action(database: &Database) {
    database.write(|tx| (1..=200).try_for_each(|id| action_insert(tx, &action(id, ALICE)))).await;
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let store = database.store.clone();
            tokio::spawn(async move {
                let mut mine = Vec::new();
                loop {
                    let claimed = store.write(|tx| action_claim(tx, at(1000), LEASE, 7)).await?;
                    if claimed.is_empty() {
                        return Ok::<_, Error>(mine);
                    }
                    mine.extend(claimed);
                }
            })
        })
        .collect();
    let mut seen = HashSet::new();
    for worker in workers {
        for action in worker.await.expect("the worker lives").expect("a claim is good") {
            assert!(seen.insert(action.id), "{:?} was claimed twice", action.id);
        }
    }
    assert_eq!(seen.len(), 200);
}

async fn the_backlog_follows_the_work(database: &Database) {
    assert_eq!(database.read(action_backlog).await, 0);
    insert(database, [1, 2, 3]).await;
    assert_eq!(database.read(action_backlog).await, 3);

    let held = claim(database, 1000, 64).await;
    let first = ActionRecord { status: ActionStatus::Errored, ..held[0].clone() };
    assert!(save(database, first).await);
    assert_eq!(database.read(action_backlog).await, 2);
}

async fn those_in_progress_are_found_by_what_they_are_done_to(database: &Database) {
    let on = |id: u64, resource_type| ActionRecord { resource_type, ..action(id, ALICE) };
    let all = [on(1, ResourceType::Droplet), on(2, ResourceType::Image), on(3, ResourceType::Image)];
    for one in all {
        database.write(move |tx| action_insert(tx, &one)).await;
    }
    let claimed = claim(database, 1000, 10).await;
    let mut ended = claimed.into_iter().find(|one| one.id == ActionId(3)).expect("it is claimed");
    ended.status = ActionStatus::Completed;
    assert!(save(database, ended).await);
    for (resource_type, expected) in
        [(ResourceType::Droplet, vec![1]), (ResourceType::Image, vec![2]), (ResourceType::Volume, vec![])]
    {
        let found = database.read(move |tx| action_in_progress_on(tx, resource_type)).await;
        assert_eq!(ids(&found), expected, "{resource_type}");
    }
}
