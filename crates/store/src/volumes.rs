//! Volumes: disks that outlive the Droplet they are attached to.

use std::collections::HashMap;

use dewpoint_api::{AccountId, ActionId, DropletId, RegionSlug, VolumeId, VolumeSnapshotId};
use dewpoint_clock::Timestamp;

use crate::{Error, Made, Page, Row, Tx, Value, Window, counters, placeholders};

/// A row of `volumes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeRecord {
    /// Its uuid.
    pub id: VolumeId,
    /// Where it is.
    pub region: RegionSlug,
    /// Its name, unique in the account's region.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Its size in GiB.
    pub size_gib: u64,
    /// `ext4`, `xfs` or nothing.
    pub filesystem_type: String,
    /// The file system's label.
    pub filesystem_label: String,
    /// The Droplet it is attached to.
    pub droplet: Option<DropletId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The size it was asked for with, in GiB: what its engine made.
    pub made_gib: u64,
    /// The snapshot it started as.
    pub source_snapshot: Option<VolumeSnapshotId>,
    /// The action that runs on it now: it is locked while there is one.
    pub running_action: Option<ActionId>,
    /// Whether its engine ever made it. From then on it is what it is, whatever becomes of the snapshot it started as.
    pub made: bool,
}

const COLUMNS: &str = "id, region, name, description, size_gib, filesystem_type, filesystem_label, droplet_id, created_at, \
                       COALESCE(made_gib, size_gib), source_snapshot, running_action, made";

fn read(row: &mut Row<'_>) -> Result<VolumeRecord, Error> {
    Ok(VolumeRecord {
        id: row.next()?,
        region: row.next()?,
        name: row.next()?,
        description: row.next()?,
        size_gib: row.next()?,
        filesystem_type: row.next()?,
        filesystem_label: row.next()?,
        droplet: row.next()?,
        created_at: row.next()?,
        made_gib: row.next()?,
        source_snapshot: row.next()?,
        running_action: row.next()?,
        made: row.next()?,
    })
}

/// Adds a volume; [`Error::Duplicate`] when the region has one of that name.
pub fn volume_insert(tx: &mut dyn Tx, account: AccountId, volume: &VolumeRecord) -> Result<(), Error> {
    tx.note(Made::Volume(volume.id));
    let sql = "INSERT INTO volumes (account_id, id, region, name, description, size_gib, filesystem_type, \
               filesystem_label, droplet_id, created_at, made_gib, source_snapshot, running_action, made) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    let v = volume;
    let values = [
        account.into(),
        v.id.into(),
        (&v.region).into(),
        (&v.name).into(),
        (&v.description).into(),
        v.size_gib.into(),
        (&v.filesystem_type).into(),
        (&v.filesystem_label).into(),
        v.droplet.into(),
        v.created_at.into(),
        v.made_gib.into(),
        v.source_snapshot.into(),
        v.running_action.into(),
        v.made.into(),
    ];
    tx.execute(sql, &values)?;
    tx.made(account, v.id);
    Ok(())
}

/// The volume, or `None`.
pub fn volume_get(tx: &mut dyn Tx, account: AccountId, id: VolumeId) -> Result<Option<VolumeRecord>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM volumes WHERE account_id = $1 AND id = $2");
    tx.query_opt(&sql, &[account.into(), id.into()], read)
}

/// The volume, whoever owns it: for the worker.
pub fn volume_any(tx: &mut dyn Tx, id: VolumeId) -> Result<Option<VolumeRecord>, Error> {
    tx.query_opt(&format!("SELECT {COLUMNS} FROM volumes WHERE id = $1"), &[id.into()], read)
}

/// The volume of this name in this region.
pub fn volume_by_name(
    tx: &mut dyn Tx,
    account: AccountId,
    region: &RegionSlug,
    name: &str,
) -> Result<Option<VolumeRecord>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM volumes WHERE account_id = $1 AND region = $2 AND name = $3");
    tx.query_opt(&sql, &[account.into(), region.into(), name.into()], read)
}

/// The account's volumes, oldest first, optionally of one region or one name.
pub fn volume_list(
    tx: &mut dyn Tx,
    account: AccountId,
    region: Option<&RegionSlug>,
    name: Option<&str>,
    window: Window,
) -> Result<Page<VolumeRecord>, Error> {
    let mut from = String::from("FROM volumes WHERE account_id = $1");
    let mut values: Vec<Value<'_>> = vec![account.into()];
    if let Some(region) = region {
        values.push(region.into());
        from.push_str(&format!(" AND region = ${}", values.len()));
    }
    if let Some(name) = name {
        values.push(name.into());
        from.push_str(&format!(" AND name = ${}", values.len()));
    }
    counters::page(tx, COLUMNS, &from, "created_at, id", &values, window, read)
}

/// How many volumes the account has.
pub fn volume_count(tx: &mut dyn Tx, account: AccountId) -> Result<u64, Error> {
    tx.query_one("SELECT COUNT(*) FROM volumes WHERE account_id = $1", &[account.into()], |row| row.next())
}

/// Removes the volume; whether it was there.
pub fn volume_delete(tx: &mut dyn Tx, account: AccountId, id: VolumeId) -> Result<bool, Error> {
    let sql = "DELETE FROM volumes WHERE account_id = $1 AND id = $2";
    if tx.execute(sql, &[account.into(), id.into()])? == 0 {
        return Ok(false);
    }
    tx.gone(account, id);
    crate::tags::untag_everywhere(tx, "volume", 0, &id.to_string())?;
    crate::projects::project_forget(tx, account, &format!("do:volume:{id}"))?;
    Ok(true)
}

/// Records an attachment, if the volume is free and not locked; whether it was.
pub fn volume_attach(tx: &mut dyn Tx, account: AccountId, id: VolumeId, droplet: DropletId) -> Result<bool, Error> {
    let sql = "UPDATE volumes SET droplet_id = $1 WHERE account_id = $2 AND id = $3 AND droplet_id IS NULL \
               AND running_action IS NULL";
    let attached = tx.change_one(sql, &[droplet.into(), account.into(), id.into()], id)?;
    if attached {
        tx.changed(account, droplet);
    }
    Ok(attached)
}

/// Records where the volume is now, if it is locked by `action`; whether it is.
pub fn volume_move(tx: &mut dyn Tx, id: VolumeId, action: ActionId, droplet: Option<DropletId>) -> Result<bool, Error> {
    let sql = "UPDATE volumes SET droplet_id = $1 WHERE id = $2 AND running_action = $3";
    tx.change_one(sql, &[droplet.into(), id.into(), action.into()], id)
}

/// Records where the volume was found to be, if no action runs on it.
pub fn volume_found_at(tx: &mut dyn Tx, id: VolumeId, droplet: Option<DropletId>) -> Result<(), Error> {
    let sql = "UPDATE volumes SET droplet_id = $1 WHERE id = $2 AND running_action IS NULL";
    tx.change_one(sql, &[droplet.into(), id.into()], id).map(drop)
}

/// Records that the volume is this large now; a larger one stays as it is.
pub fn volume_grow(tx: &mut dyn Tx, id: VolumeId, size_gib: u64) -> Result<(), Error> {
    let sql = "UPDATE volumes SET size_gib = $1 WHERE id = $2 AND size_gib < $1";
    tx.change_one(sql, &[size_gib.into(), id.into()], id).map(drop)
}

/// Records that the engine has made the volume; whether it is still there.
pub fn volume_made(tx: &mut dyn Tx, id: VolumeId) -> Result<bool, Error> {
    let sql = "UPDATE volumes SET made = TRUE WHERE id = $1";
    tx.execute(sql, &[id.into()]).map(|changed| changed > 0)
}

/// Removes a volume that was never made and that nothing locks, whoever owns it; whether it was there.
pub fn volume_forget(tx: &mut dyn Tx, id: VolumeId) -> Result<bool, Error> {
    let sql =
        "SELECT account_id FROM volumes WHERE id = $1 AND NOT made AND running_action IS NULL AND droplet_id IS NULL";
    match tx.query_opt(sql, &[id.into()], |row| row.next::<AccountId>())? {
        Some(account) => volume_delete(tx, account, id),
        None => Ok(false),
    }
}

/// Marks the volume as under `action`; whether it was free.
pub fn volume_lock(tx: &mut dyn Tx, id: VolumeId, action: ActionId) -> Result<bool, Error> {
    let sql = "UPDATE volumes SET running_action = $1 WHERE id = $2 AND running_action IS NULL";
    tx.execute(sql, &[action.into(), id.into()]).map(|changed| changed > 0)
}

/// Frees the volume of an action that ended.
pub fn volume_unlock(tx: &mut dyn Tx, id: VolumeId, action: ActionId) -> Result<(), Error> {
    let sql = "UPDATE volumes SET running_action = NULL WHERE id = $1 AND running_action = $2";
    tx.execute(sql, &[id.into(), action.into()]).map(drop)
}

/// The volumes attached to these Droplets, by Droplet.
pub fn volumes_of_droplets(tx: &mut dyn Tx, ids: &[DropletId]) -> Result<HashMap<DropletId, Vec<VolumeId>>, Error> {
    let mut found: HashMap<DropletId, Vec<VolumeId>> = HashMap::new();
    if ids.is_empty() {
        return Ok(found);
    }
    let sql = format!(
        "SELECT droplet_id, id FROM volumes WHERE droplet_id IN ({}) ORDER BY created_at, id",
        placeholders(1, ids.len())
    );
    let values: Vec<Value<'_>> = ids.iter().map(|id| (*id).into()).collect();
    tx.query_each(&sql, &values, &mut |row| {
        found.entry(row.next()?).or_default().push(row.next()?);
        Ok(())
    })?;
    Ok(found)
}

/// The uuids of all volumes there are, whoever owns them.
pub fn volume_ids_of_all(tx: &mut dyn Tx) -> Result<Vec<VolumeId>, Error> {
    tx.query_all("SELECT id FROM volumes ORDER BY id", &[], |row| row.next())
}
