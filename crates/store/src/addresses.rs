//! Which Droplet holds which address. Allocation happens in the transaction that needs it, so no address is given twice.

use dewpoint_api::DropletId;

use crate::{Error, Tx, counters::advance};

/// Takes the next free position of `pool`, which has `size` positions counted from `first`; `None` when all are taken.
///
/// Positions are given in turn and only reused after the whole pool was passed once, so an address that was just freed rests.
pub fn address_take(
    tx: &mut dyn Tx,
    pool: &str,
    first: u64,
    size: u64,
    droplet: DropletId,
) -> Result<Option<u64>, Error> {
    // The cursor is the position after the one given last.
    let cursor = format!("pool:{pool}");
    let next = advance(tx, &cursor, 1, first)? - 1;
    if next < first + size && address_hold(tx, pool, next, Some(droplet))? {
        return Ok(Some(next));
    }
    // The cursor met a taken position or the end: look for a gap after it, then from the beginning.
    for from in [next.min(first + size), first] {
        if let Some(gap) = gap_from(tx, pool, from)?.filter(|gap| *gap < first + size)
            && address_hold(tx, pool, gap, Some(droplet))?
        {
            tx.execute("UPDATE counters SET value = $1 WHERE name = $2", &[(gap + 1).into(), (&cursor).into()])?;
            return Ok(Some(gap));
        }
    }
    Ok(None)
}

/// The lowest position at or after `from` that nobody holds.
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
    let sql = "UPDATE addresses SET droplet_id = NULL WHERE pool = $1 AND position = $2";
    tx.execute(sql, &[pool.into(), position.into()]).map(drop)
}

/// Lifts every ban of a pool: what could not be bound by the last server may be free now.
pub fn address_unban_all(tx: &mut dyn Tx, pool: &str) -> Result<(), Error> {
    tx.execute("DELETE FROM addresses WHERE pool = $1 AND droplet_id IS NULL", &[pool.into()]).map(drop)
}

/// Gives back all addresses of a Droplet.
pub fn address_release_all(tx: &mut dyn Tx, droplet: DropletId) -> Result<(), Error> {
    tx.execute("DELETE FROM addresses WHERE droplet_id = $1", &[droplet.into()]).map(drop)
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
    tx.query_one("SELECT COUNT(*) FROM addresses WHERE pool = $1", &[pool.into()], |row| row.next())
}

/// Forgets how far a pool was given out, once nobody will ask it again. What is still held of it goes with who holds it.
pub fn address_pool_drop(tx: &mut dyn Tx, pool: &str) -> Result<(), Error> {
    tx.execute("DELETE FROM counters WHERE name = $1", &[format!("pool:{pool}").as_str().into()]).map(drop)
}
