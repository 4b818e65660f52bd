//! Which Droplet holds which address. Allocation happens in the transaction that needs it, so no address is given twice.
//!
//! ```text
//! (no row) free ──take──> held by a Droplet, or by none (reserved IPs) ──release──> resting ──its rest is over──> free
//!                                      └──ban──> withdrawn
//! ```

use dewpoint_api::DropletId;
use dewpoint_clock::Timestamp;

use crate::{Error, Tx, counters::advance};

/// The positions of a pool, and which of them may be given.
#[derive(Clone, Copy, Debug)]
pub struct Positions<'a> {
    /// The pool's name.
    pub pool: &'a str,
    /// The lowest position.
    pub first: u64,
    /// How many there are.
    pub size: u64,
    /// What was given back then or before has rested for long enough.
    pub rested: Timestamp,
}

/// Takes the next free position of a pool, for a Droplet or for none; `None` when all are held or rest.
///
/// Positions are given in turn, and one that was given back neither before the whole pool was passed nor before it has rested.
pub fn address_take(tx: &mut dyn Tx, of: &Positions<'_>, droplet: Option<DropletId>) -> Result<Option<u64>, Error> {
    let Positions { pool, first, size, rested } = *of;
    let range = first..first + size;
    // The cursor is the position after the one given last.
    let cursor = format!("pool:{pool}");
    let next = advance(tx, &cursor, 1, first)? - 1;
    if range.contains(&next) && address_hold(tx, pool, next, droplet)? {
        return Ok(Some(next));
    }
    // The cursor met a taken position or the end: look for a gap after it, then from the beginning.
    let sql = "DELETE FROM addresses WHERE pool = $1 AND freed_at <= $2";
    tx.execute(sql, &[pool.into(), rested.into()])?;
    for from in [next.clamp(first, first + size), first] {
        if let Some(gap) = gap_from(tx, pool, from)?.filter(|gap| range.contains(gap))
            && address_hold(tx, pool, gap, droplet)?
        {
            tx.execute("UPDATE counters SET value = $1 WHERE name = $2", &[(gap + 1).into(), (&cursor).into()])?;
            return Ok(Some(gap));
        }
    }
    Ok(None)
}

/// The lowest position at or after `from` that nobody holds and that does not rest.
fn gap_from(tx: &mut dyn Tx, pool: &str, from: u64) -> Result<Option<u64>, Error> {
    let held = "SELECT COUNT(*) FROM addresses WHERE pool = $1 AND position = $2";
    if tx.query_one(held, &[pool.into(), from.into()], |row| row.next::<u64>())? == 0 {
        return Ok(Some(from));
    }
    let sql = "SELECT a.position + 1 FROM addresses a WHERE a.pool = $1 AND a.position >= $2 AND NOT EXISTS
                   (SELECT 1 FROM addresses b WHERE b.pool = a.pool AND b.position = a.position + 1)
               ORDER BY a.position LIMIT 1";
    tx.query_opt(sql, &[pool.into(), from.into()], |row| row.next())
}

/// Takes this very position, for a Droplet or (`None`) so that nobody gets it; whether it was free.
pub fn address_hold(tx: &mut dyn Tx, pool: &str, position: u64, droplet: Option<DropletId>) -> Result<bool, Error> {
    let sql = "INSERT INTO addresses (pool, position, droplet_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    tx.execute(sql, &[pool.into(), position.into(), droplet.into()]).map(|added| added > 0)
}

/// The Droplet that holds a position, if one does.
pub fn address_holder(tx: &mut dyn Tx, pool: &str, position: u64) -> Result<Option<DropletId>, Error> {
    let sql = "SELECT droplet_id FROM addresses WHERE pool = $1 AND position = $2";
    let found = tx.query_opt(sql, &[pool.into(), position.into()], |row| row.next::<Option<DropletId>>())?;
    Ok(found.flatten())
}

/// Withdraws a position from a Droplet for good: it cannot be used on this host.
pub fn address_ban(tx: &mut dyn Tx, pool: &str, position: u64) -> Result<(), Error> {
    let sql = "UPDATE addresses SET droplet_id = NULL, freed_at = NULL WHERE pool = $1 AND position = $2";
    tx.execute(sql, &[pool.into(), position.into()]).map(drop)
}

/// Lifts every ban of a pool: what could not be bound by the last server may be free now.
pub fn address_unban_all(tx: &mut dyn Tx, pool: &str) -> Result<(), Error> {
    tx.execute("DELETE FROM addresses WHERE pool = $1 AND droplet_id IS NULL AND freed_at IS NULL", &[pool.into()])
        .map(drop)
}

/// Gives back all addresses of a Droplet. They rest from `now` on.
pub fn address_release_all(tx: &mut dyn Tx, droplet: DropletId, now: Timestamp) -> Result<(), Error> {
    let sql = "UPDATE addresses SET droplet_id = NULL, freed_at = $1 WHERE droplet_id = $2";
    tx.execute(sql, &[now.into(), droplet.into()]).map(drop)
}

/// Gives back a position that no Droplet holds. It rests from `now` on.
pub(crate) fn address_release(tx: &mut dyn Tx, pool: &str, position: u64, now: Timestamp) -> Result<(), Error> {
    let sql = "UPDATE addresses SET freed_at = $1 WHERE pool = $2 AND position = $3 AND droplet_id IS NULL";
    tx.execute(sql, &[now.into(), pool.into(), position.into()]).map(drop)
}

/// Forgets positions that have rested since `until` or longer, at most `most`; how many.
pub fn address_forget_rested(tx: &mut dyn Tx, until: Timestamp, most: u32) -> Result<u64, Error> {
    let sql = "DELETE FROM addresses WHERE (pool, position) IN
                   (SELECT pool, position FROM addresses WHERE freed_at IS NOT NULL AND freed_at <= $1
                    ORDER BY freed_at LIMIT $2)";
    tx.execute(sql, &[until.into(), most.into()])
}

/// How many positions of a pool rest since a time after `rested`.
pub fn address_resting(tx: &mut dyn Tx, pool: &str, rested: Timestamp) -> Result<u64, Error> {
    let sql = "SELECT COUNT(*) FROM addresses WHERE pool = $1 AND freed_at > $2";
    tx.query_one(sql, &[pool.into(), rested.into()], |row| row.next())
}

/// The Droplets that hold addresses, are gone, and have no action in progress that would give them back.
pub fn address_holders_gone(tx: &mut dyn Tx) -> Result<Vec<DropletId>, Error> {
    let sql = "SELECT DISTINCT a.droplet_id FROM addresses a
               WHERE a.droplet_id IS NOT NULL
                 AND NOT EXISTS (SELECT 1 FROM droplets d WHERE d.id = a.droplet_id)
                 AND NOT EXISTS (SELECT 1 FROM actions x WHERE x.resource_type = 'droplet'
                                 AND x.resource_id = a.droplet_id AND x.status = 'in-progress')
               ORDER BY 1";
    tx.query_all(sql, &[], |row| row.next())
}

/// How many positions of `pool` are held.
pub fn address_count(tx: &mut dyn Tx, pool: &str) -> Result<u64, Error> {
    tx.query_one("SELECT COUNT(*) FROM addresses WHERE pool = $1 AND freed_at IS NULL", &[pool.into()], |row| {
        row.next()
    })
}

/// Forgets a pool that nobody will ask again. What is still held of it goes with who holds it.
pub fn address_pool_drop(tx: &mut dyn Tx, pool: &str) -> Result<(), Error> {
    tx.execute("DELETE FROM addresses WHERE pool = $1 AND freed_at IS NOT NULL", &[pool.into()])?;
    tx.execute("DELETE FROM counters WHERE name = $1", &[format!("pool:{pool}").as_str().into()]).map(drop)
}
