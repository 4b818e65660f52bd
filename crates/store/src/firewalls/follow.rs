//! What becomes of firewalls when Droplets and tags change: called by the functions that change those, in the same transaction.

use dewpoint_api::{AccountId, DropletId, FirewallId, TagName};

use super::{FirewallPeers, FirewallPolicy, FirewallRule, force, json, read_json};
use crate::{Error, Row, Tx, Value};

/// A firewall, and whether it guards what was asked for; otherwise its rules name it.
type Concerned = (FirewallId, bool);

fn read_concerned(row: &mut Row<'_>) -> Result<Concerned, Error> {
    Ok((row.next()?, row.next()?))
}

fn of_tag(tx: &mut dyn Tx, account: AccountId, tag: &TagName) -> Result<Vec<Concerned>, Error> {
    let sql = "SELECT firewall_id, guarded FROM firewall_parties WHERE account_id = $1 AND droplet_id = 0 AND tag = $2
               ORDER BY firewall_id";
    tx.query_all(sql, &[account.into(), tag.into()], read_concerned)
}

/// The Droplet bears the tag now (FW-7).
pub(crate) fn droplet_tagged(
    tx: &mut dyn Tx,
    account: AccountId,
    droplet: DropletId,
    tag: &TagName,
) -> Result<(), Error> {
    for (firewall, guarded) in of_tag(tx, account, tag)? {
        match guarded {
            true => force::change(tx, account, firewall, droplet, false)?,
            false => force::change_all(tx, account, firewall)?,
        }
    }
    Ok(())
}

/// The Droplet does not bear the tag any more.
pub(crate) fn droplet_untagged(
    tx: &mut dyn Tx,
    account: AccountId,
    droplet: DropletId,
    tag: &TagName,
) -> Result<(), Error> {
    for (firewall, guarded) in of_tag(tx, account, tag)? {
        if guarded {
            let still = force::guarded(tx, firewall)?.contains(&droplet);
            force::change(tx, account, firewall, droplet, !still)?;
        } else {
            force::change_all(tx, account, firewall)?;
        }
    }
    Ok(())
}

/// The tag is gone, and was on these Droplets: no firewall guards by it or names it any more.
pub(crate) fn tag_gone(
    tx: &mut dyn Tx,
    account: AccountId,
    tag: &TagName,
    droplets: &[DropletId],
) -> Result<(), Error> {
    let sql = "DELETE FROM firewall_parties WHERE account_id = $1 AND droplet_id = 0 AND tag = $2
               RETURNING firewall_id, guarded";
    for (firewall, guarded) in tx.query_all(sql, &[account.into(), tag.into()], read_concerned)? {
        tx.changed(account, firewall);
        if !guarded {
            forget(tx, account, firewall, |peers| peers.tags.retain(|one| one != tag))?;
            continue;
        }
        let still = force::guarded(tx, firewall)?;
        for droplet in droplets {
            force::change(tx, account, firewall, *droplet, !still.contains(droplet))?;
        }
    }
    Ok(())
}

/// The Droplet goes; its tags are still on it. No firewall guards it or names it any more, and what was to change for it is over.
pub(crate) fn droplet_gone(tx: &mut dyn Tx, account: AccountId, droplet: DropletId) -> Result<(), Error> {
    let sql = "SELECT DISTINCT firewall_id, guarded FROM firewall_parties WHERE account_id = $1 AND guarded = FALSE
               AND droplet_id = 0 AND tag IN (SELECT tag FROM tag_resources
                                              WHERE resource_type = 'droplet' AND resource_number = $2)";
    for (firewall, _) in tx.query_all(sql, &[account.into(), droplet.into()], read_concerned)? {
        force::change_all(tx, account, firewall)?;
    }
    let sql = "DELETE FROM firewall_parties WHERE account_id = $1 AND droplet_id = $2 RETURNING firewall_id, guarded";
    for (firewall, guarded) in tx.query_all(sql, &[account.into(), droplet.into()], read_concerned)? {
        tx.changed(account, firewall);
        if !guarded {
            forget(tx, account, firewall, |peers| peers.droplets.retain(|one| *one != droplet))?;
        }
    }
    let over = "DELETE FROM firewall_changes WHERE droplet_id = $1 RETURNING account_id, firewall_id";
    force::tell(tx, over, &[droplet.into()])
}

/// Takes something out of every rule of a firewall; a rule that allows nobody then goes with it.
fn forget(
    tx: &mut dyn Tx,
    account: AccountId,
    firewall: FirewallId,
    take_out: impl Fn(&mut FirewallPeers),
) -> Result<(), Error> {
    let sql = "SELECT inbound, outbound FROM firewalls WHERE id = $1";
    let read = |row: &mut Row<'_>| Ok(FirewallPolicy { inbound: read_json(row)?, outbound: read_json(row)? });
    let Some(mut policy) = tx.query_opt(sql, &[firewall.into()], read)? else { return Ok(()) };
    let still_allows = |rule: &mut FirewallRule| {
        take_out(&mut rule.peers);
        rule.peers.count() > 0
    };
    policy.inbound.retain_mut(still_allows);
    policy.outbound.retain_mut(still_allows);
    let sql = "UPDATE firewalls SET inbound = $1, outbound = $2 WHERE id = $3";
    let values: [Value<'_>; 3] = [json(&policy.inbound)?.into(), json(&policy.outbound)?.into(), firewall.into()];
    tx.execute(sql, &values)?;
    force::change_all(tx, account, firewall)
}
