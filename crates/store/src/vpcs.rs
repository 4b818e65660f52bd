//! VPCs: each account's private networks.

use dewpoint_api::{AccountId, DropletId, RegionSlug, VpcId};
use dewpoint_clock::Timestamp;

use crate::{Error, Made, Page, Row, Tx, Window, counters};

/// A row of `vpcs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VpcRecord {
    /// Its uuid.
    pub id: VpcId,
    /// Where it is, for life.
    pub region: RegionSlug,
    /// Its name, unique in the account.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Its addresses in CIDR form.
    pub ip_range: String,
    /// Whether Droplets of its region that name no VPC go here.
    pub is_default: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

const COLUMNS: &str = "id, region, name, description, ip_range, is_default, created_at";

fn read(row: &mut Row<'_>) -> Result<VpcRecord, Error> {
    Ok(VpcRecord {
        id: row.next()?,
        region: row.next()?,
        name: row.next()?,
        description: row.next()?,
        ip_range: row.next()?,
        is_default: row.next()?,
        created_at: row.next()?,
    })
}

/// Adds a VPC; [`Error::Duplicate`] when the account has one of that name.
pub fn vpc_insert(tx: &mut dyn Tx, account: AccountId, vpc: &VpcRecord) -> Result<(), Error> {
    tx.note(Made::Vpc(vpc.id));
    let sql = format!("INSERT INTO vpcs (account_id, {COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    let values = [
        account.into(),
        vpc.id.into(),
        (&vpc.region).into(),
        (&vpc.name).into(),
        (&vpc.description).into(),
        (&vpc.ip_range).into(),
        vpc.is_default.into(),
        vpc.created_at.into(),
    ];
    tx.execute(&sql, &values)?;
    tx.made(account, vpc.id);
    Ok(())
}

/// The VPC, or `None`.
pub fn vpc_get(tx: &mut dyn Tx, account: AccountId, id: VpcId) -> Result<Option<VpcRecord>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM vpcs WHERE account_id = $1 AND id = $2");
    tx.query_opt(&sql, &[account.into(), id.into()], read)
}

/// The region's default VPC, or `None` before its first use.
pub fn vpc_default(tx: &mut dyn Tx, account: AccountId, region: &RegionSlug) -> Result<Option<VpcRecord>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM vpcs WHERE account_id = $1 AND region = $2 AND is_default = $3");
    tx.query_opt(&sql, &[account.into(), region.into(), true.into()], read)
}

/// The account's VPCs, oldest first.
pub fn vpc_list(tx: &mut dyn Tx, account: AccountId, window: Window) -> Result<Page<VpcRecord>, Error> {
    counters::page(tx, COLUMNS, "FROM vpcs WHERE account_id = $1", "created_at, id", &[account.into()], window, read)
}

/// Every VPC of every account with its range, by ascending id: what is on the wire.
pub fn vpc_ranges_of_all(tx: &mut dyn Tx) -> Result<Vec<(VpcId, String)>, Error> {
    tx.query_all("SELECT id, ip_range FROM vpcs ORDER BY id", &[], |row| Ok((row.next()?, row.next()?)))
}

/// Writes name and description anew; whether there is such a VPC. [`Error::Duplicate`] when another has that name.
pub fn vpc_describe(
    tx: &mut dyn Tx,
    account: AccountId,
    id: VpcId,
    name: &str,
    description: &str,
) -> Result<bool, Error> {
    let sql = "UPDATE vpcs SET name = $1, description = $2 WHERE account_id = $3 AND id = $4";
    tx.change_one(sql, &[name.into(), description.into(), account.into(), id.into()], id)
}

/// Makes this VPC the default of its region, and no other.
pub fn vpc_make_default(tx: &mut dyn Tx, account: AccountId, region: &RegionSlug, id: VpcId) -> Result<(), Error> {
    let sql = "UPDATE vpcs SET is_default = $1 WHERE account_id = $2 AND region = $3 AND is_default = $4 RETURNING id";
    let values = [false.into(), account.into(), region.into(), true.into()];
    for earlier in tx.query_all(sql, &values, |row| row.next::<VpcId>())? {
        tx.changed(account, earlier);
    }
    let sql = "UPDATE vpcs SET is_default = $1 WHERE account_id = $2 AND id = $3";
    tx.change_one(sql, &[true.into(), account.into(), id.into()], id).map(drop)
}

/// Removes the VPC; whether there was one.
pub fn vpc_delete(tx: &mut dyn Tx, account: AccountId, id: VpcId) -> Result<bool, Error> {
    let sql = "DELETE FROM vpcs WHERE account_id = $1 AND id = $2";
    let removed = tx.execute(sql, &[account.into(), id.into()])? > 0;
    if removed {
        tx.gone(account, id);
    }
    Ok(removed)
}

/// A Droplet as a member of its VPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VpcMemberRecord {
    /// Its number.
    pub droplet: DropletId,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The Droplets in a VPC, oldest first.
pub fn vpc_members(
    tx: &mut dyn Tx,
    account: AccountId,
    id: VpcId,
    window: Window,
) -> Result<Page<VpcMemberRecord>, Error> {
    let from = "FROM droplets WHERE account_id = $1 AND vpc_id = $2";
    let read =
        |row: &mut Row<'_>| Ok(VpcMemberRecord { droplet: row.next()?, name: row.next()?, created_at: row.next()? });
    counters::page(tx, "id, name, created_at", from, "id", &[account.into(), id.into()], window, read)
}

/// Whether the account has a VPC of this name.
pub fn vpc_name_is_taken(tx: &mut dyn Tx, account: AccountId, name: &str) -> Result<bool, Error> {
    let sql = "SELECT COUNT(*) FROM vpcs WHERE account_id = $1 AND name = $2";
    tx.query_one(sql, &[account.into(), name.into()], |row| row.next::<u64>()).map(|count| count > 0)
}
