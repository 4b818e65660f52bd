//! What of a firewall is written and not yet in force. A row says so, for one Droplet or for all that the firewall guards; it
//! goes when a network that was made from it is in force.
//!
//! Numbers are drawn in the order of the commits, so a reader that sees one sees all below it too.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use dewpoint_api::{AccountId, DropletId, FirewallId};

use crate::{Error, Sequence, Tx, Value, counters, placeholders};

/// Stands for all Droplets that a firewall guards.
const ALL: DropletId = DropletId(0);

/// What of one firewall is not yet in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirewallPending {
    /// The Droplets for which it is not.
    pub droplets: BTreeMap<DropletId, FirewallChange>,
    /// Whether the last attempt failed, for any of them or for a firewall that guards none.
    pub failed: bool,
}

/// What is not yet in force for a Droplet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirewallChange {
    /// Whether the firewall is about to be taken off it.
    pub removing: bool,
    /// Whether the last attempt failed.
    pub failed: bool,
}

/// Writes down that the firewall is another for this Droplet.
pub(super) fn change(
    tx: &mut dyn Tx,
    account: AccountId,
    firewall: FirewallId,
    droplet: DropletId,
    removing: bool,
) -> Result<(), Error> {
    let number = counters::draw(tx, Sequence::FirewallChange, 1)?;
    let sql = "INSERT INTO firewall_changes (firewall_id, droplet_id, account_id, removing, failed, number)
               VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (firewall_id, droplet_id)
               DO UPDATE SET removing = excluded.removing, failed = excluded.failed, number = excluded.number";
    let values = [firewall.into(), droplet.into(), account.into(), removing.into(), false.into(), number.into()];
    tx.execute(sql, &values)?;
    tx.changed(account, firewall);
    Ok(())
}

/// Writes down that the firewall is another for all that it guards.
pub(super) fn change_all(tx: &mut dyn Tx, account: AccountId, firewall: FirewallId) -> Result<(), Error> {
    change(tx, account, firewall, ALL, false)
}

/// The Droplets that a firewall guards, by their numbers and by its tags.
pub fn guarded(tx: &mut dyn Tx, firewall: FirewallId) -> Result<BTreeSet<DropletId>, Error> {
    let sql = "SELECT droplet_id FROM firewall_parties WHERE firewall_id = $1 AND guarded = TRUE AND droplet_id > 0
               UNION SELECT t.resource_number FROM firewall_parties p JOIN tag_resources t
                     ON t.account_id = p.account_id AND t.tag = p.tag AND t.resource_type = 'droplet'
                     WHERE p.firewall_id = $1 AND p.guarded = TRUE AND p.droplet_id = 0";
    Ok(tx.query_all(sql, &[firewall.into()], |row| row.next())?.into_iter().collect())
}

/// What is not yet in force of these firewalls; those that are in force have no entry.
pub fn firewall_pending(
    tx: &mut dyn Tx,
    firewalls: &[FirewallId],
) -> Result<HashMap<FirewallId, FirewallPending>, Error> {
    let mut found: HashMap<FirewallId, FirewallPending> = HashMap::new();
    if firewalls.is_empty() {
        return Ok(found);
    }
    let sql = format!(
        "SELECT firewall_id, droplet_id, removing, failed FROM firewall_changes WHERE firewall_id IN ({})",
        placeholders(1, firewalls.len())
    );
    let ids: Vec<Value<'_>> = firewalls.iter().map(|id| (*id).into()).collect();
    let mut whole = Vec::new();
    tx.query_each(&sql, &ids, &mut |row| {
        let (firewall, droplet): (FirewallId, DropletId) = (row.next()?, row.next()?);
        let change = FirewallChange { removing: row.next()?, failed: row.next()? };
        let pending = found.entry(firewall).or_default();
        pending.failed |= change.failed;
        match droplet {
            ALL => whole.push((firewall, change)),
            one => drop(pending.droplets.insert(one, change)),
        }
        Ok(())
    })?;
    for (firewall, change) in whole {
        let pending = found.entry(firewall).or_default();
        for droplet in guarded(tx, firewall)? {
            pending.droplets.entry(droplet).or_insert(change);
        }
    }
    Ok(found)
}

/// The number of the newest change that is not yet in force; 0 when all are. To be read together with what a network is made of.
pub fn firewall_changes_newest(tx: &mut dyn Tx) -> Result<u64, Error> {
    tx.query_one("SELECT COALESCE(MAX(number), 0) FROM firewall_changes", &[], |row| row.next())
}

/// Writes down that every change up to `number` is in force.
pub fn firewall_changes_done(tx: &mut dyn Tx, number: u64) -> Result<(), Error> {
    let sql = "DELETE FROM firewall_changes WHERE number <= $1 RETURNING account_id, firewall_id";
    tell(tx, sql, &[number.into()])
}

/// Writes down that the network could not be made as the changes up to `number` have it.
pub fn firewall_changes_failed(tx: &mut dyn Tx, number: u64) -> Result<(), Error> {
    let sql = "UPDATE firewall_changes SET failed = TRUE WHERE number <= $1 AND failed = FALSE
               RETURNING account_id, firewall_id";
    tell(tx, sql, &[number.into()])
}

/// Runs a statement that returns the firewalls it concerns, and notes them for the feed.
pub(super) fn tell(tx: &mut dyn Tx, sql: &str, values: &[Value<'_>]) -> Result<(), Error> {
    let concerned: BTreeSet<(AccountId, FirewallId)> =
        tx.query_all(sql, values, |row| Ok((row.next()?, row.next()?)))?.into_iter().collect();
    for (account, firewall) in concerned {
        tx.changed(account, firewall);
    }
    Ok(())
}
