//! Addresses: nobody gets one that another holds, and one that was freed rests for a round, and for a while.

use std::collections::HashSet;

use dewpoint_api::DropletId;
use dewpoint_store::{ActionRecord, DropletSeed, Error, actions, addresses::*, droplets};

use crate::{
    fixtures,
    harness::{Database, on_each_database},
};

on_each_database!(
    positions_are_given_in_turn,
    a_pool_gives_its_first_position_and_its_last_and_then_none,
    a_position_held_is_passed_over,
    a_position_freed_rests_until_the_pool_was_passed_once,
    an_exhausted_pool_gives_what_is_freed_and_only_that,
    what_was_given_back_is_given_again_when_it_has_rested_and_not_before,
    what_has_rested_is_forgotten_and_what_rests_is_not,
    a_pool_that_was_moved_gives_only_what_is_in_it_now,
    a_ban_outlasts_its_droplet_until_it_is_lifted,
    who_holds_addresses_and_is_gone_is_found_unless_an_action_sees_to_it,
    pools_do_not_share_positions,
    many_takers_at_once_never_get_the_same_position,
    any_order_of_taking_and_freeing_keeps_every_position_single,
);

/// Of what was given back at 0 or before, all may be given again.
fn of(pool: &str, first: u64, size: u64) -> Positions<'_> {
    Positions { pool, first, size, rested: fixtures::at(0) }
}

async fn take(database: &Database, first: u64, size: u64, droplet: u64) -> Option<u64> {
    database.write(move |tx| address_take(tx, &of("public", first, size), Some(DropletId(droplet)))).await
}

async fn take_at(database: &Database, rested: i64, droplet: u64) -> Option<u64> {
    let positions = Positions { rested: fixtures::at(rested), ..of("public", 1, 2) };
    database.write(move |tx| address_take(tx, &positions, Some(DropletId(droplet)))).await
}

async fn release_at(database: &Database, droplet: u64, now: i64) {
    database.write(move |tx| address_release_all(tx, DropletId(droplet), fixtures::at(now))).await;
}

async fn release(database: &Database, droplet: u64) {
    release_at(database, droplet, 0).await;
}

async fn positions_are_given_in_turn(database: &Database) {
    for wanted in 10..15 {
        assert_eq!(take(database, 10, 100, wanted).await, Some(wanted));
    }
    assert_eq!(database.read(|tx| address_count(tx, "public")).await, 5);
}

async fn a_pool_gives_its_first_position_and_its_last_and_then_none(database: &Database) {
    for first in [0, 1, 7] {
        let mut given = Vec::new();
        for droplet in 1..=4 {
            given.push(take(database, first, 3, droplet).await);
        }
        assert_eq!(given, [Some(first), Some(first + 1), Some(first + 2), None], "a pool from {first}");
        for droplet in 1..=4 {
            release(database, droplet).await;
        }
        database.write(|tx| tx.execute("DELETE FROM counters", &[])).await;
    }
    assert_eq!(take(database, 0, 0, 1).await, None);
}

async fn a_position_held_is_passed_over(database: &Database) {
    assert!(database.write(|tx| address_hold(tx, "public", 2, None)).await);
    assert!(database.write(|tx| address_hold(tx, "public", 3, Some(DropletId(9)))).await);
    assert!(!database.write(|tx| address_hold(tx, "public", 3, None)).await);
    for wanted in [1, 4, 5] {
        assert_eq!(take(database, 1, 10, 1).await, Some(wanted));
    }
}

async fn a_position_freed_rests_until_the_pool_was_passed_once(database: &Database) {
    for droplet in 1..=3 {
        take(database, 1, 5, droplet).await;
    }
    release(database, 1).await;
    release(database, 3).await;
    assert_eq!(take(database, 1, 5, 4).await, Some(4));
    assert_eq!(take(database, 1, 5, 5).await, Some(5));
    // Now round again: 1 and 3 are free, 2 is not.
    assert_eq!(take(database, 1, 5, 6).await, Some(1));
    assert_eq!(take(database, 1, 5, 7).await, Some(3));
    assert_eq!(take(database, 1, 5, 8).await, None);
}

async fn an_exhausted_pool_gives_what_is_freed_and_only_that(database: &Database) {
    for droplet in 1..=4 {
        take(database, 1, 4, droplet).await;
    }
    for _ in 0..5 {
        assert_eq!(take(database, 1, 4, 9).await, None);
    }
    release(database, 2).await;
    assert_eq!(take(database, 1, 4, 5).await, Some(2));
    assert_eq!(take(database, 1, 4, 9).await, None);
    release(database, 4).await;
    assert_eq!(take(database, 1, 4, 6).await, Some(4));
}

async fn what_was_given_back_is_given_again_when_it_has_rested_and_not_before(database: &Database) {
    for droplet in [1, 2] {
        assert_eq!(take_at(database, 0, droplet).await, Some(droplet));
    }
    release_at(database, 1, 100).await;
    release_at(database, 2, 200).await;
    let resting = async |rested| database.read(move |tx| address_resting(tx, "public", fixtures::at(rested))).await;
    assert_eq!((resting(99).await, resting(100).await, resting(200).await), (2, 1, 0));
    assert_eq!(take_at(database, 99, 3).await, None);
    assert_eq!(take_at(database, 100, 3).await, Some(1), "the one that was given back first");
    assert_eq!(take_at(database, 199, 4).await, None);
    assert_eq!(database.read(|tx| address_count(tx, "public")).await, 1, "what rests is held by nobody");
    // One that rests is nobody's, and a start that lifts bans leaves it alone.
    assert!(!database.write(|tx| address_hold(tx, "public", 2, None)).await);
    database.write(|tx| address_unban_all(tx, "public")).await;
    assert_eq!(take_at(database, 199, 4).await, None);
    assert_eq!(take_at(database, 200, 4).await, Some(2));
}

async fn what_has_rested_is_forgotten_and_what_rests_is_not(database: &Database) {
    for droplet in 1..=5 {
        take(database, 1, 9, droplet).await;
    }
    for (droplet, now) in [(1, 10), (2, 20), (3, 30)] {
        release_at(database, droplet, now).await;
    }
    let forget =
        async |until, most| database.write(move |tx| address_forget_rested(tx, fixtures::at(until), most)).await;
    assert_eq!((forget(9, 10).await, forget(25, 1).await, forget(25, 10).await), (0, 1, 1));
    assert_eq!(database.read(|tx| address_resting(tx, "public", fixtures::at(0))).await, 1);
    assert_eq!(database.read(|tx| address_count(tx, "public")).await, 2);
}

async fn a_pool_that_was_moved_gives_only_what_is_in_it_now(database: &Database) {
    assert_eq!(take(database, 100, 5, 1).await, Some(100));
    assert_eq!(take(database, 200, 3, 2).await, Some(200), "up");
    assert_eq!(take(database, 100, 5, 3).await, Some(101), "and down again");
}

async fn a_ban_outlasts_its_droplet_until_it_is_lifted(database: &Database) {
    take(database, 1, 2, 1).await;
    database.write(|tx| address_ban(tx, "public", 1)).await;
    release(database, 1).await;
    assert_eq!(take(database, 1, 2, 2).await, Some(2));
    assert_eq!(take(database, 1, 2, 3).await, None);
    database.write(|tx| address_unban_all(tx, "public")).await;
    assert_eq!(take(database, 1, 2, 3).await, Some(1));
    assert_eq!(database.read(|tx| address_count(tx, "public")).await, 2);
}

async fn who_holds_addresses_and_is_gone_is_found_unless_an_action_sees_to_it(database: &Database) {
    for droplet in [1, 1, 2, 3] {
        take(database, 1, 9, droplet).await;
    }
    database.write(|tx| address_hold(tx, "public", 9, None)).await;
    database
        .write(|tx| {
            droplets::droplet_insert(tx, &fixtures::droplet(2, fixtures::ALICE), &DropletSeed::default())?;
            let destroy = ActionRecord { resource_id: Some(3), ..fixtures::action(1, fixtures::ALICE) };
            actions::action_insert(tx, &destroy)
        })
        .await;
    assert_eq!(database.read(address_holders_gone).await, [DropletId(1)]);
}

async fn pools_do_not_share_positions(database: &Database) {
    for pool in ["public", "vpc:1"] {
        let taken = database.write(move |tx| address_take(tx, &of(pool, 1, 9), Some(DropletId(1)))).await;
        assert_eq!(taken, Some(1));
        database.write(move |tx| address_hold(tx, pool, 2, None)).await;
    }
    database.write(|tx| address_unban_all(tx, "public")).await;
    assert_eq!(database.read(|tx| Ok((address_count(tx, "public")?, address_count(tx, "vpc:1")?))).await, (1, 2));
    release(database, 1).await;
    assert_eq!(database.read(|tx| Ok((address_count(tx, "public")?, address_count(tx, "vpc:1")?))).await, (0, 1));
}

async fn many_takers_at_once_never_get_the_same_position(database: &Database) {
    let takers: Vec<_> = (0..120)
        .map(|droplet| {
            let store = database.store.clone();
            tokio::spawn(async move {
                store.write(move |tx| address_take(tx, &of("public", 5, 100), Some(DropletId(droplet)))).await
            })
        })
        .collect();
    let (mut given, mut none) = (HashSet::new(), 0);
    for taker in takers {
        match taker.await.expect("the taker lives").expect("a take is good") {
            Some(position) => assert!(given.insert(position), "{position} was given twice"),
            None => none += 1,
        }
    }
    assert_eq!((given, none), ((5..105).collect(), 20));
}

/// Against a model that knows only who holds what: 600 steps of a fixed random walk.
async fn any_order_of_taking_and_freeing_keeps_every_position_single(database: &Database) {
    const SIZE: u64 = 12;
    database
        .write(|tx| {
            let mut random = 0x2545_F491_4F6C_DD1D_u64;
            let mut held: Vec<Option<u64>> = vec![None; 12];
            for step in 1..=600 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let pick = usize::try_from((random >> 33) % SIZE).expect("below the size");
                if (random >> 60) < 7
                    && let Some(droplet) = held[pick]
                {
                    address_release_all(tx, DropletId(droplet), fixtures::at(0))?;
                    held[pick] = None;
                    continue;
                }
                match address_take(tx, &of("public", 3, SIZE), Some(DropletId(step)))? {
                    Some(position) => {
                        let place = &mut held[usize::try_from(position - 3).expect("in the pool")];
                        assert_eq!(*place, None, "{position} was held in step {step}");
                        *place = Some(step);
                    }
                    None => assert!(held.iter().all(Option::is_some), "a free position was not found in step {step}"),
                }
            }
            Ok::<_, Error>(())
        })
        .await;
}
