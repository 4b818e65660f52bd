//! VPCs: each account's private networks.

use dewpoint_api::{AccountId, RegionSlug, VpcId};
use dewpoint_clock::Timestamp;

use crate::{Error, Page, Row, Tx, Window, counters};

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
    tx.execute(&sql, &values).map(drop)
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
