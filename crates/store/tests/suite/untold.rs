//! What a killed server's successor is to know: the row stays with its effect, in a ring that does not grow.

use dewpoint_api::SshKeyId;
use dewpoint_clock::Timestamp;
use dewpoint_store::{Deed, Error, Made, SshKeyRecord, Untold, ssh_keys::*, untold::*};

use crate::{
    fixtures::{ALICE, ssh_key},
    harness::{Database, on_each_database},
};

on_each_database!(
    a_request_is_kept_with_its_effect_for_its_own_server,
    a_refused_effect_leaves_no_row,
    the_ring_of_a_server_does_not_grow,
    what_is_over_is_not_listed_and_swept,
);

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const LATER: Timestamp = Timestamp::from_millis(2_000_000);

fn request(server: u64, number: u64) -> Untold {
    Untold { server, number, fingerprint: format!("print-{number}"), expires_at: LATER }
}

/// Adds the SSH key of this number as the effect of a request.
async fn carry_out(database: &Database, request: Untold, number: u64) -> Result<(), Error> {
    let key = SshKeyRecord { fingerprint: format!("print-{number}"), ..ssh_key(number) };
    let deed = Deed::untold(request);
    deed.scope(database.store.write(move |tx| ssh_key_insert(tx, ALICE, &key))).await
}

async fn numbers(database: &Database, server: u64, now: Timestamp) -> Vec<u64> {
    let rows = database.read(move |tx| untold_list(tx, server, now)).await;
    rows.iter().map(|row| row.request.number).collect()
}

async fn a_request_is_kept_with_its_effect_for_its_own_server(database: &Database) {
    carry_out(database, request(7, 3), 1).await.expect("the first");
    carry_out(database, request(8, 1), 2).await.expect("another server's");
    let rows = database.read(|tx| untold_list(tx, 7, NOW)).await;
    assert_eq!((rows.len(), &rows[0].request), (1, &request(7, 3)));
    assert_eq!(rows[0].made, [Made::SshKey(SshKeyId(1))]);
    assert_eq!(numbers(database, 8, NOW).await, [1]);
    let last = database.read(|tx| Ok((untold_last(tx, 7)?, untold_last(tx, 9)?))).await;
    assert_eq!(last, (3, 0));
}

async fn a_refused_effect_leaves_no_row(database: &Database) {
    carry_out(database, request(7, 1), 1).await.expect("the first");
    let twice = carry_out(database, request(7, 2), 1).await;
    assert!(matches!(twice, Err(Error::Duplicate)), "{twice:?}");
    assert_eq!(numbers(database, 7, NOW).await, [1]);
}

async fn the_ring_of_a_server_does_not_grow(database: &Database) {
    for (key, number) in [1, 2, SLOTS, SLOTS + 1, SLOTS + 2, 2 * SLOTS].into_iter().enumerate() {
        carry_out(database, request(7, number), key as u64 + 1).await.expect("a request");
    }
    assert_eq!(numbers(database, 7, NOW).await, [SLOTS + 1, SLOTS + 2, 2 * SLOTS]);
}

async fn what_is_over_is_not_listed_and_swept(database: &Database) {
    carry_out(database, request(7, 1), 1).await.expect("a request");
    let later = Untold { expires_at: Timestamp::from_millis(3_000_000), ..request(8, 1) };
    carry_out(database, later, 2).await.expect("a request");
    assert_eq!(numbers(database, 7, LATER).await, [0; 0]);
    assert_eq!(database.write(|tx| untold_sweep(tx, NOW)).await, 0);
    assert_eq!(database.write(|tx| untold_sweep(tx, LATER)).await, 1);
    assert_eq!(numbers(database, 8, LATER).await, [1]);
}
