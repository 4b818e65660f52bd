//! Teardowns: Droplets destroyed with what belongs to them.

use dewpoint_api::{ActionId, DropletId};
use dewpoint_store::{PartKind, TeardownPart, TeardownRecord, teardowns::*};

use crate::{
    fixtures::{ALICE, BOB, at},
    harness::{Database, on_each_database},
};

on_each_database!(
    a_teardown_reads_back_and_a_later_one_takes_its_place,
    those_that_were_over_long_ago_are_forgotten_the_oldest_first,
);

fn teardown() -> TeardownRecord {
    let part = |kind, id: &str| TeardownPart {
        kind,
        id: id.to_owned(),
        name: "Schätze".to_owned(),
        destroyed_at_ms: None,
        error: None,
    };
    TeardownRecord {
        droplet: DropletId(7),
        account: ALICE,
        droplet_name: "web".into(),
        parts: vec![part(PartKind::Droplet, "7"), part(PartKind::Volume, "v"), part(PartKind::VolumeSnapshot, "s")],
        running_action: Some(ActionId(3)),
        started_at: at(5),
        completed_at: None,
    }
}

async fn a_teardown_reads_back_and_a_later_one_takes_its_place(database: &Database) {
    assert_eq!(database.read(|tx| teardown_get(tx, ALICE, DropletId(7))).await, None);
    database.write(|tx| teardown_put(tx, &teardown())).await;
    assert_eq!(database.read(|tx| teardown_get(tx, ALICE, DropletId(7))).await, Some(teardown()));
    assert_eq!(database.read(|tx| teardown_get(tx, BOB, DropletId(7))).await, None);
    assert_eq!(database.read(|tx| teardown_get(tx, ALICE, DropletId(8))).await, None);

    let mut later = TeardownRecord { running_action: None, completed_at: Some(at(9)), ..teardown() };
    later.parts[1].destroyed_at_ms = Some(8);
    later.parts[2].error = Some("in use".into());
    let put = later.clone();
    database.write(move |tx| teardown_put(tx, &put)).await;
    assert_eq!(database.read(|tx| teardown_get(tx, ALICE, DropletId(7))).await, Some(later));
}

async fn those_that_were_over_long_ago_are_forgotten_the_oldest_first(database: &Database) {
    for (id, completed_at, running_action) in
        [(1, Some(at(30)), None), (2, Some(at(10)), None), (3, Some(at(10)), Some(ActionId(9))), (4, None, None)]
    {
        let row = TeardownRecord { droplet: DropletId(id), completed_at, running_action, ..teardown() };
        database.write(move |tx| teardown_put(tx, &row)).await;
    }
    let left = async || {
        let ids = database.read(|tx| {
            tx.query_all("SELECT droplet_id FROM teardowns ORDER BY droplet_id", &[], |row| row.next::<u64>())
        });
        ids.await
    };
    assert_eq!(database.write(|tx| teardown_forget(tx, at(9), 9)).await, 0);
    assert_eq!(database.write(|tx| teardown_forget(tx, at(40), 1)).await, 1);
    assert_eq!(left().await, [1, 3, 4]);
    assert_eq!(database.write(|tx| teardown_forget(tx, at(40), 9)).await, 1);
    assert_eq!(left().await, [3, 4], "neither one that is run again nor one that is not over");
}
