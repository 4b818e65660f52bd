//! Snapshots of volumes.

use dewpoint_api::{AccountId, RegionSlug, VolumeId, VolumeSnapshotId};
use dewpoint_clock::Timestamp;

use crate::{
    Error, Made, Page, Row, Sequence, Tx, Window,
    counters::{self, Order},
};

/// A row of `volume_snapshots`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeSnapshotRecord {
    /// Its place in the order of all of them; 0 until it is inserted.
    pub number: u64,
    /// Its uuid.
    pub id: VolumeSnapshotId,
    /// Whose it is.
    pub account: AccountId,
    /// The volume it was taken of, which may be gone.
    pub volume: VolumeId,
    /// Where it is.
    pub region: RegionSlug,
    /// Its name.
    pub name: String,
    /// The size of the volume then, in GiB: what is made from it is not smaller.
    pub size_gib: u64,
    /// What it takes to keep, in bytes; 0 until it is available.
    pub size_bytes: u64,
    /// The volume's file system, or nothing.
    pub filesystem_type: String,
    /// The file system's label.
    pub filesystem_label: String,
    /// Whether its engine has made it.
    pub available: bool,
    /// When it was asked for.
    pub created_at: Timestamp,
}

const COLUMNS: &str = "number, id, account_id, volume_id, region, name, size_gib, size_bytes, filesystem_type, \
                       filesystem_label, available, created_at";

fn read(row: &mut Row<'_>) -> Result<VolumeSnapshotRecord, Error> {
    Ok(VolumeSnapshotRecord {
        number: row.next()?,
        id: row.next()?,
        account: row.next()?,
        volume: row.next()?,
        region: row.next()?,
        name: row.next()?,
        size_gib: row.next()?,
        size_bytes: row.next()?,
        filesystem_type: row.next()?,
        filesystem_label: row.next()?,
        available: row.next()?,
        created_at: row.next()?,
    })
}

fn list_name(account: AccountId) -> String {
    format!("volume_snapshots:{account}")
}

/// Adds a snapshot, and gives it its number.
pub fn volume_snapshot_insert(tx: &mut dyn Tx, snapshot: &VolumeSnapshotRecord) -> Result<VolumeSnapshotRecord, Error> {
    tx.note(Made::VolumeSnapshot(snapshot.id));
    let number = counters::draw(tx, Sequence::VolumeSnapshot, 1)?;
    let sql =
        format!("INSERT INTO volume_snapshots ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)");
    let s = snapshot;
    let values = [
        number.into(),
        s.id.into(),
        s.account.into(),
        s.volume.into(),
        (&s.region).into(),
        (&s.name).into(),
        s.size_gib.into(),
        s.size_bytes.into(),
        (&s.filesystem_type).into(),
        (&s.filesystem_label).into(),
        s.available.into(),
        s.created_at.into(),
    ];
    tx.execute(&sql, &values)?;
    tx.made(s.account, s.id);
    counters::list_changed(tx, &list_name(s.account), number, 1)?;
    Ok(VolumeSnapshotRecord { number, ..snapshot.clone() })
}

/// The snapshot, or `None`.
pub fn volume_snapshot_get(
    tx: &mut dyn Tx,
    account: AccountId,
    id: VolumeSnapshotId,
) -> Result<Option<VolumeSnapshotRecord>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM volume_snapshots WHERE id = $1 AND account_id = $2");
    tx.query_opt(&sql, &[id.into(), account.into()], read)
}

/// The snapshot, whoever owns it: for the worker.
pub fn volume_snapshot_any(tx: &mut dyn Tx, id: VolumeSnapshotId) -> Result<Option<VolumeSnapshotRecord>, Error> {
    tx.query_opt(&format!("SELECT {COLUMNS} FROM volume_snapshots WHERE id = $1"), &[id.into()], read)
}

/// The account's snapshots of volumes, oldest first. Deep pages cost as much as the first.
pub fn volume_snapshot_list(
    tx: &mut dyn Tx,
    account: AccountId,
    window: Window,
) -> Result<Page<VolumeSnapshotRecord>, Error> {
    let seek = counters::seek(tx, &list_name(account), window.skip, Order::Ascending)?;
    let sql = format!(
        "SELECT {COLUMNS} FROM volume_snapshots WHERE account_id = $1 AND number >= $2 ORDER BY number LIMIT $3 OFFSET $4"
    );
    let values = [account.into(), seek.bound.into(), window.take.into(), seek.skip.into()];
    Ok(Page { rows: tx.query_all(&sql, &values, read)?, total: seek.total })
}

/// The snapshots of one volume, which may be gone, oldest first.
pub fn volume_snapshot_list_of(
    tx: &mut dyn Tx,
    account: AccountId,
    volume: VolumeId,
    window: Window,
) -> Result<Page<VolumeSnapshotRecord>, Error> {
    let from = "FROM volume_snapshots WHERE volume_id = $1 AND account_id = $2";
    counters::page(tx, COLUMNS, from, "number", &[volume.into(), account.into()], window, read)
}

/// Records that the engine has made it; whether it is still wanted.
pub fn volume_snapshot_made(tx: &mut dyn Tx, id: VolumeSnapshotId, size_bytes: u64) -> Result<bool, Error> {
    let sql = "UPDATE volume_snapshots SET available = $1, size_bytes = $2 WHERE id = $3";
    tx.change_one(sql, &[true.into(), size_bytes.into(), id.into()], id)
}

/// Removes the snapshot; whether it was there.
pub fn volume_snapshot_delete(tx: &mut dyn Tx, id: VolumeSnapshotId) -> Result<bool, Error> {
    let sql = "DELETE FROM volume_snapshots WHERE id = $1 RETURNING number, account_id";
    let removed = tx.query_opt(sql, &[id.into()], |row| Ok((row.next::<u64>()?, row.next::<AccountId>()?)))?;
    let Some((number, account)) = removed else { return Ok(false) };
    tx.gone(account, id);
    crate::tags::untag_everywhere(tx, "volume_snapshot", 0, &id.to_string())?;
    counters::list_changed(tx, &list_name(account), number, -1)?;
    Ok(true)
}

/// Whether a volume that starts as this snapshot is still to be made.
pub fn volume_snapshot_is_in_use(tx: &mut dyn Tx, id: VolumeSnapshotId) -> Result<bool, Error> {
    let sql = "SELECT COUNT(*) FROM volumes WHERE source_snapshot = $1 AND NOT made";
    tx.query_one(sql, &[id.into()], |row| row.next::<u64>()).map(|count| count > 0)
}

/// The uuids of all snapshots there are, whoever owns them.
pub fn volume_snapshot_ids_of_all(tx: &mut dyn Tx) -> Result<Vec<VolumeSnapshotId>, Error> {
    tx.query_all("SELECT id FROM volume_snapshots ORDER BY number", &[], |row| row.next())
}
