//! Queries that are asked again and again while the store grows find their rows by an index, as SQLite plans them.

use dewpoint_api::{AccountId, DropletId, ImageId, VolumeSnapshotId};
use dewpoint_store::{
    Changes, Dialect, Error, Row, Tx, Value, Window, addresses, domains, firewalls, images, sqlite, teardowns,
    volume_snapshots,
};
use uuid::Uuid;

use crate::fixtures::at;

/// Plans what it is asked instead of doing it.
struct Planning<'tx> {
    tx: &'tx mut dyn Tx,
    plan: Vec<String>,
}

impl Planning<'_> {
    fn plan(&mut self, sql: &str, values: &[Value<'_>]) -> Result<(), Error> {
        let plan = &mut self.plan;
        self.tx.query_each(&format!("EXPLAIN QUERY PLAN {sql}"), values, &mut |row| {
            let _ids: (u64, u64, u64) = (row.next()?, row.next()?, row.next()?);
            plan.push(row.next()?);
            Ok(())
        })
    }
}

impl Tx for Planning<'_> {
    fn dialect(&self) -> Dialect {
        self.tx.dialect()
    }

    fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, Error> {
        self.plan(sql, values).map(|()| 0)
    }

    fn query_each(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        _: &mut dyn FnMut(&mut Row<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.plan(sql, values)
    }

    fn changes(&mut self) -> &mut Changes {
        self.tx.changes()
    }
}

#[tokio::test]
async fn no_round_and_no_question_reads_a_whole_table() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let store = sqlite::open(&directory.path().join("dewpoint.db")).expect("a new store opens");
    type Ask = fn(&mut dyn Tx) -> Result<(), Error>;
    let asked: [(&str, Ask); 10] = [
        ("is an image in use", |tx| images::image_is_in_use(tx, ImageId(1)).map(drop)),
        ("images deleted long ago", |tx| images::images_long_deleted(tx, at(1), ImageId(0), 9).map(drop)),
        ("teardowns over long ago", |tx| teardowns::teardown_forget(tx, at(1), 9).map(drop)),
        ("which firewalls guard a Droplet", |tx| {
            let all = Window { skip: 0, take: 9 };
            firewalls::firewalls_of_droplet(tx, AccountId(1), DropletId(1), all).map(drop)
        }),
        ("is a snapshot in use", |tx| {
            volume_snapshots::volume_snapshot_is_in_use(tx, VolumeSnapshotId(Uuid::nil())).map(drop)
        }),
        ("the zone of a name", |tx| domains::zone_of(tx, &["a.b.example", "b.example"]).map(drop)),
        ("the records of a name", |tx| domains::domain_records_of(tx, "b.example", "a").map(drop)),
        ("what hands a name on", |tx| domains::zone_cut(tx, "b.example", &["c.a", "a"]).map(drop)),
        ("the neighbours of a name", |tx| domains::zone_neighbours(tx, "b.example", "a!").map(drop)),
        ("who has an address", |tx| addresses::address_holder(tx, "public-v4", 7).map(drop)),
    ];
    for (what, ask) in asked {
        let plan = store.read(move |tx: &mut dyn Tx| {
            let mut planning = Planning { tx, plan: Vec::new() };
            // Without its row a query that wants one fails; the plan is there by then.
            let _ = ask(&mut planning);
            Ok::<_, Error>(planning.plan)
        });
        let plan = plan.await.expect("the store can be read");
        assert!(plan.iter().any(|step| step.contains("INDEX") || step.contains("PRIMARY KEY")), "{what}: {plan:?}");
        let scans = plan.iter().filter(|step| step.starts_with("SCAN") && step.as_str() != "SCAN CONSTANT ROW");
        assert_eq!(scans.collect::<Vec<_>>(), Vec::<&String>::new(), "{what}: {plan:?}");
    }
}
