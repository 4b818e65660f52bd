//! Reserved IPs, of both families: addresses of an account that lead to a Droplet of its choice, or to none.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
};

use dewpoint_api::{AccountId, ActionId, DropletId, RegionSlug};
use dewpoint_clock::Timestamp;

use crate::{Error, Made, Page, Row, Tx, Value, Window, addresses, counters, placeholders, row::corrupt};

/// The pool that reserved IPv4 addresses are taken from. Its positions are the addresses themselves, as numbers.
pub const RESERVED_V4: &str = "reserved-v4";

/// IPv4 or IPv6: two lists of two groups of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// That of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv6() { Self::V6 } else { Self::V4 }
    }

    fn is_v6(self) -> bool {
        self == Self::V6
    }
}

/// A row of `reserved_ips`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservedIpRecord {
    /// The address, which is also its name.
    pub address: IpAddr,
    /// Whose it is.
    pub account: AccountId,
    /// What actions call it (ACT-11): an IPv4 address as a number, the lower half of an IPv6 address.
    pub number: u64,
    /// Where it is, for life.
    pub region: RegionSlug,
    /// The Droplet it leads to.
    pub droplet: Option<DropletId>,
    /// The action that runs on it now: it is locked while there is one (RIP-2).
    pub running_action: Option<ActionId>,
    /// When it was reserved.
    pub created_at: Timestamp,
}

const COLUMNS: &str = "address, account_id, number, region, droplet_id, running_action, created_at";

fn read_address(row: &mut Row<'_>) -> Result<IpAddr, Error> {
    row.next::<String>()?.parse().map_err(|e| corrupt("IP address", &e))
}

fn read(row: &mut Row<'_>) -> Result<ReservedIpRecord, Error> {
    Ok(ReservedIpRecord {
        address: read_address(row)?,
        account: row.next()?,
        number: row.next()?,
        region: row.next()?,
        droplet: row.next()?,
        running_action: row.next()?,
        created_at: row.next()?,
    })
}

/// Adds a reserved IP; [`Error::Duplicate`] when it is somebody's already.
pub fn reserved_ip_insert(tx: &mut dyn Tx, ip: &ReservedIpRecord) -> Result<(), Error> {
    tx.note(Made::ReservedIp(ip.address));
    let sql = format!("INSERT INTO reserved_ips ({COLUMNS}, is_v6) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    let values = [
        ip.address.to_string().into(),
        ip.account.into(),
        ip.number.into(),
        (&ip.region).into(),
        ip.droplet.into(),
        ip.running_action.into(),
        ip.created_at.into(),
        Family::of(ip.address).is_v6().into(),
    ];
    tx.execute(&sql, &values)?;
    tx.made(ip.account, ip.address);
    Ok(())
}

/// The reserved IP, or `None`.
pub fn reserved_ip_get(
    tx: &mut dyn Tx,
    account: AccountId,
    address: IpAddr,
) -> Result<Option<ReservedIpRecord>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM reserved_ips WHERE address = $1 AND account_id = $2");
    tx.query_opt(&sql, &[address.to_string().into(), account.into()], read)
}

/// The reserved IP, whoever owns it: for the worker.
pub fn reserved_ip_any(tx: &mut dyn Tx, address: IpAddr) -> Result<Option<ReservedIpRecord>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM reserved_ips WHERE address = $1");
    tx.query_opt(&sql, &[address.to_string().into()], read)
}

/// The account's reserved IPs of a family, oldest first.
pub fn reserved_ip_list(
    tx: &mut dyn Tx,
    account: AccountId,
    family: Family,
    window: Window,
) -> Result<Page<ReservedIpRecord>, Error> {
    let from = "FROM reserved_ips WHERE account_id = $1 AND is_v6 = $2";
    counters::page(tx, COLUMNS, from, "created_at, number", &[account.into(), family.is_v6().into()], window, read)
}

/// How many reserved IPs the account has, of both families.
pub fn reserved_ip_count(tx: &mut dyn Tx, account: AccountId) -> Result<u64, Error> {
    tx.query_one("SELECT COUNT(*) FROM reserved_ips WHERE account_id = $1", &[account.into()], |row| row.next())
}

/// Marks the reserved IP as under `action`; whether it was free.
pub fn reserved_ip_lock(tx: &mut dyn Tx, address: IpAddr, action: ActionId) -> Result<bool, Error> {
    let sql = "UPDATE reserved_ips SET running_action = $1 WHERE address = $2 AND running_action IS NULL";
    tx.changes().by_action(action);
    tx.change_one(sql, &[action.into(), address.to_string().into()], address)
}

/// Frees the reserved IP of an action that ended; of one that names none, nothing.
pub fn reserved_ip_unlock(tx: &mut dyn Tx, family: Family, number: u64, action: ActionId) -> Result<(), Error> {
    let sql = "UPDATE reserved_ips SET running_action = NULL WHERE number = $1 AND is_v6 = $2 AND running_action = $3
               RETURNING account_id, address";
    let values = [number.into(), family.is_v6().into(), action.into()];
    if let Some((account, address)) = tx.query_opt(sql, &values, |row| Ok((row.next()?, read_address(row)?)))? {
        tx.changed(account, address);
    }
    Ok(())
}

/// Lets the reserved IP lead to this Droplet, or to none, if it is locked by `action`; whether it is.
///
/// A Droplet that is gone, or that has another one of the family, is none.
pub fn reserved_ip_point(
    tx: &mut dyn Tx,
    address: IpAddr,
    action: ActionId,
    droplet: Option<DropletId>,
) -> Result<bool, Error> {
    tx.changes().by_action(action);
    let Some(ip) = reserved_ip_any(tx, address)?.filter(|ip| ip.running_action == Some(action)) else {
        return Ok(false);
    };
    let droplet = match droplet {
        Some(droplet) if ip.droplet != Some(droplet) => can_lead_to(tx, &ip, droplet)?.then_some(droplet),
        same => same,
    };
    if ip.droplet == droplet {
        return Ok(true);
    }
    let sql = "UPDATE reserved_ips SET droplet_id = $1 WHERE address = $2";
    tx.execute(sql, &[droplet.into(), address.to_string().into()])?;
    tx.changed(ip.account, address);
    for of in [ip.droplet, droplet].into_iter().flatten() {
        tx.changed(ip.account, of);
    }
    Ok(true)
}

fn can_lead_to(tx: &mut dyn Tx, ip: &ReservedIpRecord, droplet: DropletId) -> Result<bool, Error> {
    let sql = "SELECT COUNT(*) FROM droplets d WHERE d.id = $1 AND NOT EXISTS
                   (SELECT 1 FROM reserved_ips r WHERE r.droplet_id = d.id AND r.is_v6 = $2)";
    let is_v6 = Family::of(ip.address).is_v6();
    Ok(tx.query_one(sql, &[droplet.into(), is_v6.into()], |row| row.next::<u64>())? > 0)
}

/// Removes the reserved IP; whether it was there. Its address stays held ([`reserved_ip_rest`]).
pub fn reserved_ip_delete(tx: &mut dyn Tx, address: IpAddr) -> Result<bool, Error> {
    let sql = "DELETE FROM reserved_ips WHERE address = $1 RETURNING account_id, droplet_id";
    let values = [address.to_string().into()];
    let removed = tx.query_opt(sql, &values, |row| Ok((row.next()?, row.next::<Option<DropletId>>()?)))?;
    let Some((account, droplet)) = removed else { return Ok(false) };
    tx.gone(account, address);
    if let Some(droplet) = droplet {
        tx.changed(account, droplet);
    }
    crate::projects::project_forget(tx, account, &format!("do:floatingip:{address}"))?;
    Ok(true)
}

/// Gives an address back that is nobody's any more. Those of IPv6 are never given again.
pub fn reserved_ip_rest(tx: &mut dyn Tx, address: IpAddr, now: Timestamp) -> Result<(), Error> {
    match address {
        IpAddr::V4(v4) if reserved_ip_any(tx, address)?.is_none() => {
            addresses::address_release(tx, RESERVED_V4, reserved_v4_number(v4), now)
        }
        IpAddr::V4(_) | IpAddr::V6(_) => Ok(()),
    }
}

/// Gives back all IPv4 addresses that are held for nothing: no reserved IP, and no action that is about to give it back.
pub fn reserved_ip_rest_lost(tx: &mut dyn Tx, now: Timestamp) -> Result<u64, Error> {
    let sql = "UPDATE addresses SET freed_at = $1 WHERE pool = $2 AND freed_at IS NULL
                 AND NOT EXISTS (SELECT 1 FROM reserved_ips r WHERE r.number = addresses.position AND NOT r.is_v6)
                 AND NOT EXISTS (SELECT 1 FROM actions a WHERE a.status = 'in-progress'
                                 AND a.resource_type = 'reserved_ip' AND a.resource_id = addresses.position)";
    tx.execute(sql, &[now.into(), RESERVED_V4.into()])
}

/// Takes a Droplet that goes away from what leads to it.
pub(crate) fn reserved_ip_forget_droplet(tx: &mut dyn Tx, droplet: DropletId) -> Result<(), Error> {
    let sql = "UPDATE reserved_ips SET droplet_id = NULL WHERE droplet_id = $1 RETURNING account_id, address";
    for (account, address) in tx.query_all(sql, &[droplet.into()], |row| Ok((row.next()?, read_address(row)?)))? {
        tx.changed(account, address);
    }
    Ok(())
}

/// What leads to these Droplets, by Droplet: IPv4 first.
pub fn reserved_ips_of_droplets(
    tx: &mut dyn Tx,
    ids: &[DropletId],
) -> Result<HashMap<DropletId, Vec<ReservedIpRecord>>, Error> {
    let mut found: HashMap<DropletId, Vec<ReservedIpRecord>> = HashMap::new();
    if ids.is_empty() {
        return Ok(found);
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM reserved_ips WHERE droplet_id IN ({}) ORDER BY is_v6, number",
        placeholders(1, ids.len())
    );
    let values: Vec<Value<'_>> = ids.iter().map(|id| (*id).into()).collect();
    for ip in tx.query_all(&sql, &values, read)? {
        found.entry(ip.droplet.unwrap_or_default()).or_default().push(ip);
    }
    Ok(found)
}

/// Everything that leads to a Droplet, whoever owns it: what is on the wire.
pub fn reserved_ips_that_lead(tx: &mut dyn Tx) -> Result<Vec<(IpAddr, DropletId)>, Error> {
    let sql = "SELECT address, droplet_id FROM reserved_ips WHERE droplet_id IS NOT NULL ORDER BY is_v6, number";
    tx.query_all(sql, &[], |row| Ok((read_address(row)?, row.next()?)))
}

/// The number of an IPv4 address, and its position in the pool.
pub fn reserved_v4_number(address: Ipv4Addr) -> u64 {
    u32::from(address).into()
}
