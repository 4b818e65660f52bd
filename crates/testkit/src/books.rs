//! Whether what Dewpoint says, what its tables hold and what its engine has are one and the same. Looks into the tables
//! behind the product's back, with SQL of its own.

use std::collections::{BTreeMap, BTreeSet};

use dewpoint_api::{DropletId, DropletStatus};
use dewpoint_engine::{Engine as _, MachineId, NicKind, PowerState, Storage as _, VolumeId};
use dewpoint_store::{DropletRecord, Error as StoreError, Tx, VolumeRecord, droplets, volume_snapshots, volumes};

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

    /// Every address that is held, by pool and position, with the Droplet that holds it.
    pub async fn addresses(&self) -> Vec<Held> {
        let sql = "SELECT pool, position, droplet_id FROM addresses ORDER BY pool, position";
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

    /// Panics unless Droplets, machines, addresses, locks and counts agree. For when no action is in progress.
    ///
    /// Each Droplet has its machine, running exactly when it is `active`, and holds its own addresses; nothing else does.
    pub async fn books_balance(&self) {
        assert_eq!(self.backlog().await, 0, "an action is in progress");
        let records = self.droplet_records().await;
        let ids: Vec<u64> = records.iter().map(|record| record.id.0).collect();
        assert_eq!(self.machines().await, ids, "machines and Droplets");

        let active = records.iter().filter(|record| record.status == DropletStatus::Active);
        let active: Vec<u64> = active.map(|record| record.id.0).collect();
        assert_eq!(self.running_machines().await, active, "running machines and active Droplets");
        assert!(records.iter().all(|record| record.running_action.is_none()), "a Droplet is locked by nothing");
        assert!(records.iter().all(|record| record.status != DropletStatus::New), "a Droplet is left half made");

        let mut held: BTreeMap<u64, usize> = BTreeMap::new();
        for (pool, position, droplet) in self.addresses().await {
            // Without a holder it is banned on this host, and nobody's.
            if let Some(droplet) = droplet {
                assert!(ids.contains(&droplet), "{pool} {position} is held by {droplet}, which is gone");
                *held.entry(droplet).or_default() += 1;
            }
        }
        let (mut publics, mut privates) = (BTreeSet::new(), BTreeSet::new());
        for record in &records {
            assert_eq!(held.get(&record.id.0), Some(&(1 + usize::from(record.public_networking))), "{record:?}");
            assert_eq!(record.public_v4.is_some(), record.public_networking);
            assert!(privates.insert((record.vpc, record.private_v4)), "{} has another's address", record.id);
            assert!(
                record.public_v4.is_none_or(|address| publics.insert(address)),
                "{} has another's address",
                record.id
            );
        }
        for record in &records {
            let spec = self.sim().spec(MachineId(record.id.0)).await.expect("the simulator answers");
            let spec = spec.expect("each Droplet has its machine");
            let image = record.image_slug.clone().unwrap_or_else(|| format!("own-image-{}", record.image_id));
            let has = (spec.image.as_str(), spec.vcpus, spec.memory_mib, spec.disk_gib);
            assert_eq!(has, (image.as_str(), record.vcpus, record.memory_mib, record.disk_gib), "{record:?}");
            assert_eq!(
                (record.ipv6, record.backups.is_some()),
                (record.public_v6.is_some(), record.backup_due_at.is_some())
            );
            let nics = spec.nics;
            let v6 = nics.iter().find_map(|nic| nic.ipv6).map(|link| link.address);
            assert_eq!(v6, record.public_v6, "the machine's own IPv6 address");
            let address =
                |kind| nics.iter().find(|nic| nic.kind == kind).and_then(|nic| nic.ipv4).map(|link| link.address);
            assert_eq!(address(NicKind::Public), record.public_v4, "the machine's own public address");
            assert_eq!(address(NicKind::Private), Some(record.private_v4), "the machine's own private address");
        }
        self.volumes_balance().await;
        self.images_are_theirs().await;
        self.nothing_dangles(&records).await;
    }

    /// Every volume there is, whoever owns it.
    pub async fn volume_records(&self) -> Vec<VolumeRecord> {
        let all = self.store().read(|tx: &mut dyn Tx| {
            let ids = volumes::volume_ids_of_all(tx)?;
            ids.into_iter().filter_map(|id| volumes::volume_any(tx, id).transpose()).collect::<Result<_, StoreError>>()
        });
        all.await.expect("the store can be read")
    }

    /// Whether each volume is in the engine as its row says: there, as large, at the same machine; and nothing else is.
    async fn volumes_balance(&self) {
        let records = self.volume_records().await;
        let mut engine: BTreeSet<VolumeId> =
            self.sim().volumes().await.expect("the simulator answers").into_iter().collect();
        for record in &records {
            let id = VolumeId(record.id.0);
            assert_eq!(record.running_action, None, "volume {id} is locked by nothing");
            let Some(seen) = self.sim().observe_volume(id).await.expect("the simulator answers") else {
                assert!(!record.made, "volume {id} was made and is not there");
                assert!(self.making_failed(record).await, "volume {id} has a row and is not there");
                assert_eq!(record.droplet, None, "volume {id} is not there and attached");
                continue;
            };
            engine.remove(&id);
            assert!(record.made || self.making_failed(record).await, "volume {id} is there and counts as never made");
            assert_eq!(seen.size_gib, record.size_gib, "the size of volume {id}");
            assert_eq!(seen.machine.map(|machine| machine.0), record.droplet.map(|droplet| droplet.0), "where {id} is");
        }
        assert_eq!(engine, BTreeSet::new(), "volumes nobody owns");
        assert_eq!(self.count("SELECT COUNT(*) FROM volume_snapshots WHERE NOT available").await, 0, "half a snapshot");
        let rows = self.store().read(|tx: &mut dyn Tx| volume_snapshots::volume_snapshot_ids_of_all(tx)).await;
        let rows: BTreeSet<String> = rows.expect("the store can be read").iter().map(ToString::to_string).collect();
        let images = self.sim().images().await.expect("the simulator answers");
        let kept = images.iter().filter_map(|image| Some(image.as_str().split_once("volume-")?.1.to_owned()));
        assert_eq!(kept.collect::<BTreeSet<_>>(), rows, "snapshots of volumes, in the engine and in the store");
    }

    /// Whether making the volume came to nothing: its row stays then, and its action says why.
    async fn making_failed(&self, record: &VolumeRecord) -> bool {
        let id = record.id.0.to_string();
        let sql = "SELECT COUNT(*) FROM actions WHERE resource_uuid = $1 AND type = 'create' AND status = 'errored'";
        let count =
            self.store().read(move |tx: &mut dyn Tx| tx.query_one(sql, &[(&id).into()], |row| row.next::<u64>()));
        count.await.expect("the store can be read") == 1
    }

    async fn count(&self, sql: &'static str) -> u64 {
        let count = self.store().read(move |tx: &mut dyn Tx| tx.query_one(sql, &[], |row| row.next::<u64>()));
        count.await.expect("the store can be read")
    }

    /// Whether the engine has the images of the rows that say so, and no others of Droplets or from outside.
    async fn images_are_theirs(&self) {
        let sql = "SELECT id FROM images WHERE status IN ('available', 'retired') AND deleted_at IS NULL ORDER BY id";
        let rows = self.store().read(move |tx: &mut dyn Tx| tx.query_all(sql, &[], |row| row.next::<u64>())).await;
        let mut rows: Vec<String> =
            rows.expect("the store can be read").iter().map(|id| format!("own-image-{id}")).collect();
        let engine = self.sim().images().await.expect("the simulator answers");
        let mut kept: Vec<String> =
            engine.iter().map(ToString::to_string).filter(|name| name.starts_with("own-image-")).collect();
        rows.sort();
        kept.sort();
        assert_eq!(kept, rows, "images of the engine and rows of images");
    }

    /// Whether rows that belong to Droplets belong to Droplets there are, and the maintained counts are true.
    async fn nothing_dangles(&self, records: &[DropletRecord]) {
        let dangling = [
            ("seeds", "SELECT COUNT(*) FROM droplet_seeds WHERE droplet_id NOT IN (SELECT id FROM droplets)"),
            (
                "tags",
                "SELECT COUNT(*) FROM tag_resources WHERE resource_type = 'droplet' AND resource_number NOT IN (SELECT id FROM droplets)",
            ),
            (
                "unknown tags",
                "SELECT COUNT(*) FROM tag_resources r WHERE NOT EXISTS (SELECT 1 FROM tags t WHERE t.account_id = r.account_id AND t.name = r.tag)",
            ),
            (
                "attachments",
                "SELECT COUNT(*) FROM volumes WHERE droplet_id IS NOT NULL AND droplet_id NOT IN (SELECT id FROM droplets)",
            ),
            (
                "tags of volumes",
                "SELECT COUNT(*) FROM tag_resources WHERE resource_type = 'volume' AND resource_id NOT IN (SELECT id FROM volumes)",
            ),
            (
                "tags of volume snapshots",
                "SELECT COUNT(*) FROM tag_resources WHERE resource_type = 'volume_snapshot' AND resource_id NOT IN (SELECT id FROM volume_snapshots)",
            ),
            ("passwords", "SELECT COUNT(*) FROM passwords WHERE droplet_id NOT IN (SELECT id FROM droplets)"),
            ("images to come", "SELECT COUNT(*) FROM droplets WHERE next_image_id IS NOT NULL"),
            (
                "entries of projects",
                "SELECT COUNT(*) FROM project_resources WHERE project_id NOT IN (SELECT id FROM projects)
                 OR urn NOT IN (SELECT 'do:droplet:' || CAST(id AS TEXT) FROM droplets UNION SELECT 'do:volume:' || id FROM volumes)",
            ),
            ("VPCs", "SELECT COUNT(*) FROM droplets WHERE vpc_id NOT IN (SELECT id FROM vpcs)"),
        ];
        for (what, sql) in dangling {
            assert_eq!(self.count(sql).await, 0, "{what} dangle");
        }
        let sql = "SELECT list, bucket, count FROM list_counts WHERE count <> 0";
        let counts = self.store().read(move |tx: &mut dyn Tx| {
            tx.query_all(sql, &[], |row| {
                Ok::<_, StoreError>((row.next::<String>()?, row.next::<i64>()?, row.next::<i64>()?))
            })
        });
        let (mut totals, mut buckets) = (BTreeMap::<String, i64>::new(), BTreeMap::<String, i64>::new());
        for (list, bucket, count) in counts.await.expect("the store can be read") {
            *(if bucket < 0 { &mut totals } else { &mut buckets }).entry(list).or_default() += count;
        }
        assert_eq!(totals, buckets, "totals and buckets of the counted lists");
        let of_droplets = totals.iter().filter(|(list, _)| list.starts_with("droplets:") || list.starts_with("gpus:"));
        assert_eq!(of_droplets.map(|(_, count)| *count).sum::<i64>(), records.len() as i64, "counted Droplets");
    }
}
