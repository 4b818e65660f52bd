//! Numbers we hand out: never twice, whoever asks and whatever fails.

use std::collections::HashSet;

use dewpoint_store::{Error, Sequence, counters::*};

use crate::harness::{Database, on_each_database};

on_each_database!(
    a_sequence_begins_at_its_first_number,
    several_numbers_come_in_a_row,
    a_number_given_by_hand_is_not_drawn_later,
    many_writers_never_draw_the_same_number,
    a_write_that_failed_leaves_its_numbers_to_the_next,
);

async fn draw_one(database: &Database) -> u64 {
    database.write(|tx| draw(tx, Sequence::Droplet, 1)).await
}

async fn a_sequence_begins_at_its_first_number(database: &Database) {
    let firsts = database
        .write(|tx| {
            let all = [Sequence::Action, Sequence::Droplet, Sequence::SshKey, Sequence::Account];
            all.into_iter().map(|sequence| draw(tx, sequence, 1)).collect::<Result<Vec<_>, _>>()
        })
        .await;
    assert_eq!(firsts, [1_000_001, 100_001, 1001, 1]);
}

async fn several_numbers_come_in_a_row(database: &Database) {
    assert_eq!(database.write(|tx| draw(tx, Sequence::Droplet, 10)).await, 100_001);
    assert_eq!(draw_one(database).await, 100_011);
    assert_eq!(database.write(|tx| draw(tx, Sequence::Droplet, 2)).await, 100_012);
    assert_eq!(draw_one(database).await, 100_014);
}

async fn a_number_given_by_hand_is_not_drawn_later(database: &Database) {
    database.write(|tx| keep_above(tx, Sequence::Droplet, 7)).await;
    assert_eq!(draw_one(database).await, 100_001);
    database.write(|tx| keep_above(tx, Sequence::Droplet, 289_794)).await;
    assert_eq!(draw_one(database).await, 289_795);
    database.write(|tx| keep_above(tx, Sequence::Droplet, 200_000)).await;
    assert_eq!(draw_one(database).await, 289_796);
    database.write(|tx| keep_above(tx, Sequence::SshKey, 289_794)).await;
    assert_eq!(database.write(|tx| draw(tx, Sequence::SshKey, 1)).await, 289_795);
}

async fn many_writers_never_draw_the_same_number(database: &Database) {
    let writers: Vec<_> = (0..200_u64)
        .map(|writer| {
            let store = database.store.clone();
            let count = 1 + writer % 3;
            tokio::spawn(async move {
                (store.write(move |tx| draw(tx, Sequence::Action, count)).await.expect("a draw is good"), count)
            })
        })
        .collect();
    let mut seen = HashSet::new();
    for writer in writers {
        let (first, count) = writer.await.expect("the writer lives");
        for number in first..first + count {
            assert!(seen.insert(number), "{number} was drawn twice");
        }
    }
    assert_eq!(seen, (1_000_001..1_000_001 + seen.len() as u64).collect());
}

async fn a_write_that_failed_leaves_its_numbers_to_the_next(database: &Database) {
    draw_one(database).await;
    database
        .refused(|tx| {
            draw(tx, Sequence::Droplet, 5)?;
            Err::<(), _>(Error::Duplicate)
        })
        .await;
    assert_eq!(draw_one(database).await, 100_002);
}
