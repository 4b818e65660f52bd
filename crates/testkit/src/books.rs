//! Whether what Dewpoint says, what its tables hold and what its engine has are one and the same. Looks into tables and files
//! behind the product's back, by the rules of `dew check`.

use dewpoint_api::DropletId;
use dewpoint_control::check::{self, Finding};
use dewpoint_engine::{Engine as _, MachineId, PowerState, sim::survey};
use dewpoint_store::{DropletRecord, Error as StoreError, Tx, VolumeRecord, droplets, volumes};

use crate::TestApp;

/// A position of a pool and the Droplet that holds it.
type Held = (String, u64, Option<u64>);

impl TestApp {
    /// Every Droplet there is, whoever owns it.
    pub async fn droplet_records(&self) -> Vec<DropletRecord> {
        let all = self.store().read(|tx: &mut dyn Tx| droplets::droplet_page_of_all(tx, DropletId(0), u32::MAX)).await;
        all.expect("the store can be read")
    }

    /// The numbers of the machines the engine has.
    pub async fn machines(&self) -> Vec<u64> {
        self.sim().machines().await.expect("the simulator answers").into_iter().map(|machine| machine.0).collect()
    }

    /// Which of them run.
    pub async fn running_machines(&self) -> Vec<u64> {
        let mut running = Vec::new();
        for id in self.machines().await {
            let observed = self.sim().observe(MachineId(id)).await.expect("the simulator answers");
            if observed.is_some_and(|observed| observed.power == PowerState::On) {
                running.push(id);
            }
        }
        running
    }

    /// Every address that is held, by pool and position, with the Droplet that holds it. Those that rest are held by nobody.
    pub async fn addresses(&self) -> Vec<Held> {
        let sql = "SELECT pool, position, droplet_id FROM addresses WHERE freed_at IS NULL ORDER BY pool, position";
        let all = self
            .store()
            .read(move |tx: &mut dyn Tx| tx.query_all(sql, &[], |row| Ok((row.next()?, row.next()?, row.next()?))));
        all.await.expect("the store can be read")
    }

    /// How many rows a table has.
    pub async fn rows(&self, table: &'static str) -> u64 {
        let sql = format!("SELECT COUNT(*) FROM {table}");
        let count = self.store().read(move |tx: &mut dyn Tx| tx.query_one(&sql, &[], |row| row.next::<u64>()));
        count.await.expect("the store can be read")
    }

    /// Makes the only own image there is a backup, behind the product's back: for tests of what is done with backups.
    pub async fn turn_into_backup(&self, image: u64) {
        let done = self.store().write(move |tx: &mut dyn Tx| {
            tx.execute("UPDATE images SET kind = 'backup' WHERE id = $1", &[image.into()])?;
            let sql =
                "UPDATE list_counts SET list = REPLACE(REPLACE(list, ':custom', ':backup'), ':snapshot', ':backup')
                       WHERE list LIKE 'images:%:custom' OR list LIKE 'images:%:snapshot'";
            tx.execute(sql, &[]).map(drop)
        });
        done.await.expect("the store can be written");
    }

    /// How many requests are written down as done.
    pub async fn rows_of_once(&self) -> u64 {
        let sql = "SELECT COUNT(*) FROM once";
        let count = self.store().read(move |tx: &mut dyn Tx| tx.query_one(sql, &[], |row| row.next::<u64>()));
        count.await.expect("the store can be read")
    }

    /// Everything that `dew check` would find, by the same rules.
    pub async fn findings(&self) -> Vec<Finding> {
        let read =
            self.store().read(|tx: &mut dyn Tx| Ok::<_, StoreError>((check::row_findings(tx)?, check::books(tx)?)));
        let (mut all, books) = read.await.expect("the store can be read");
        let seen = survey(&self.path("sim.db")).expect("the simulator's file can be read");
        all.extend(check::findings(&books, &seen));
        all
    }

    /// Panics unless Droplets, machines, addresses, volumes, images, locks and counts agree. For when no action is in progress.
    pub async fn books_balance(&self) {
        assert_eq!(self.backlog().await, 0, "an action is in progress");
        assert_eq!(self.findings().await, [], "store and engine");
    }

    /// Every volume there is, whoever owns it.
    pub async fn volume_records(&self) -> Vec<VolumeRecord> {
        let all = self.store().read(|tx: &mut dyn Tx| {
            let ids = volumes::volume_ids_of_all(tx)?;
            ids.into_iter().filter_map(|id| volumes::volume_any(tx, id).transpose()).collect::<Result<_, StoreError>>()
        });
        all.await.expect("the store can be read")
    }
}
