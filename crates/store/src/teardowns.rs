//! Droplets that are destroyed with what belongs to them: what, and how far that is. Kept after the Droplet is gone.

use dewpoint_api::{AccountId, ActionId, DropletId};
use dewpoint_clock::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Error, Row, Tx, row::corrupt};

/// A row of `teardowns`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeardownRecord {
    /// The Droplet, which may be gone.
    pub droplet: DropletId,
    /// Whose it is.
    pub account: AccountId,
    /// The Droplet's name.
    pub droplet_name: String,
    /// What is destroyed, in order; the Droplet itself among it.
    pub parts: Vec<TeardownPart>,
    /// The action that is at it now.
    pub running_action: Option<ActionId>,
    /// When it was asked for, or asked for again.
    pub started_at: Timestamp,
    /// When all of it was tried.
    pub completed_at: Option<Timestamp>,
}

/// What kind of thing is destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// The Droplet.
    Droplet,
    /// A volume.
    Volume,
    /// A snapshot of the Droplet.
    Snapshot,
    /// A snapshot of a volume.
    VolumeSnapshot,
    /// A reserved IP.
    ReservedIp,
}

/// One thing to destroy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeardownPart {
    /// Of which kind.
    pub kind: PartKind,
    /// Its id as text.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// When it was destroyed, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destroyed_at_ms: Option<i64>,
    /// Why it could not be, when it was last tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

const COLUMNS: &str = "droplet_id, account_id, droplet_name, parts, running_action, started_at, completed_at";

fn read(row: &mut Row<'_>) -> Result<TeardownRecord, Error> {
    Ok(TeardownRecord {
        droplet: row.next()?,
        account: row.next()?,
        droplet_name: row.next()?,
        parts: serde_json::from_str(&row.next::<String>()?).map_err(|e| corrupt("list of parts", &e))?,
        running_action: row.next()?,
        started_at: row.next()?,
        completed_at: row.next()?,
    })
}

/// Adds the teardown, or puts it in the place of the Droplet's earlier one.
pub fn teardown_put(tx: &mut dyn Tx, teardown: &TeardownRecord) -> Result<(), Error> {
    let t = teardown;
    let parts = serde_json::to_string(&t.parts).map_err(|error| Error::Database(error.to_string()))?;
    tx.execute("DELETE FROM teardowns WHERE droplet_id = $1", &[t.droplet.into()])?;
    let sql = format!("INSERT INTO teardowns ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7)");
    let values = [
        t.droplet.into(),
        t.account.into(),
        (&t.droplet_name).into(),
        parts.into(),
        t.running_action.into(),
        t.started_at.into(),
        t.completed_at.into(),
    ];
    tx.execute(&sql, &values).map(drop)
}

/// Forgets teardowns that were over at `until` or before, the oldest first, at most `most`; how many.
pub fn teardown_forget(tx: &mut dyn Tx, until: Timestamp, most: u32) -> Result<u64, Error> {
    let sql = "DELETE FROM teardowns WHERE droplet_id IN (SELECT droplet_id FROM teardowns
               WHERE completed_at IS NOT NULL AND completed_at <= $1 AND running_action IS NULL ORDER BY completed_at LIMIT $2)";
    tx.execute(sql, &[until.into(), most.into()])
}

/// The newest teardown of this Droplet; `None` when none was ever asked for.
pub fn teardown_get(tx: &mut dyn Tx, account: AccountId, droplet: DropletId) -> Result<Option<TeardownRecord>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM teardowns WHERE droplet_id = $1 AND account_id = $2");
    tx.query_opt(&sql, &[droplet.into(), account.into()], read)
}
