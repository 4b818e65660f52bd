//! VPC peerings: pairs of an account's VPCs that reach each other.

use dewpoint_api::{AccountId, RegionSlug, VpcId, VpcPeeringId, VpcPeeringStatus};
use dewpoint_clock::Timestamp;
use uuid::Uuid;

use crate::{Error, Made, Page, Row, Tx, Value, Window, counters, row::corrupt};

/// A row of `vpc_peerings`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VpcPeeringRecord {
    /// Its uuid.
    pub id: VpcPeeringId,
    /// Whose it is.
    pub account: AccountId,
    /// Its name, unique in the account.
    pub name: String,
    /// The two VPCs, the smaller id first.
    pub between: (VpcId, VpcId),
    /// How far it is.
    pub status: VpcPeeringStatus,
    /// How often its status has changed.
    pub revision: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

const COLUMNS: &str = "id, account_id, name, first_vpc, second_vpc, status, revision, created_at";

fn read(row: &mut Row<'_>) -> Result<VpcPeeringRecord, Error> {
    Ok(VpcPeeringRecord {
        id: row.next()?,
        account: row.next()?,
        name: row.next()?,
        between: (row.next()?, row.next()?),
        status: row.next::<String>()?.parse().map_err(|_| corrupt("status of a peering", &"an unknown word"))?,
        revision: row.next()?,
        created_at: row.next()?,
    })
}

/// Adds a peering; [`Error::Duplicate`] when the account has one of that name, or the two are peered.
pub fn vpc_peering_insert(tx: &mut dyn Tx, peering: &VpcPeeringRecord) -> Result<(), Error> {
    tx.note(Made::VpcPeering(peering.id));
    let sql = format!("INSERT INTO vpc_peerings ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    let values = [
        peering.id.into(),
        peering.account.into(),
        (&peering.name).into(),
        peering.between.0.into(),
        peering.between.1.into(),
        peering.status.as_str().into(),
        peering.revision.into(),
        peering.created_at.into(),
    ];
    tx.execute(&sql, &values)?;
    tx.made(peering.account, peering.id);
    Ok(())
}

/// The peering, or `None`.
pub fn vpc_peering_get(
    tx: &mut dyn Tx,
    account: AccountId,
    id: VpcPeeringId,
) -> Result<Option<VpcPeeringRecord>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM vpc_peerings WHERE id = $1 AND account_id = $2");
    tx.query_opt(&sql, &[id.into(), account.into()], read)
}

/// Which peerings a list shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeeringFilter {
    /// All of the account.
    All,
    /// Those of one VPC.
    Of(VpcId),
    /// Those that have a VPC in this region.
    In(RegionSlug),
}

/// The account's peerings, oldest first.
pub fn vpc_peering_list(
    tx: &mut dyn Tx,
    account: AccountId,
    filter: &PeeringFilter,
    window: Window,
) -> Result<Page<VpcPeeringRecord>, Error> {
    let mut values: Vec<Value<'_>> = vec![account.into()];
    let more = match filter {
        PeeringFilter::All => "",
        PeeringFilter::Of(vpc) => {
            values.push((*vpc).into());
            " AND (first_vpc = $2 OR second_vpc = $2)"
        }
        PeeringFilter::In(region) => {
            values.push(region.into());
            " AND EXISTS (SELECT 1 FROM vpcs v WHERE v.region = $2 AND v.id IN (first_vpc, second_vpc))"
        }
    };
    let from = format!("FROM vpc_peerings WHERE account_id = $1{more}");
    counters::page(tx, COLUMNS, &from, "created_at, id", &values, window, read)
}

/// Whether the account has a peering of this name other than `but`.
pub fn vpc_peering_name_is_taken(
    tx: &mut dyn Tx,
    account: AccountId,
    name: &str,
    but: VpcPeeringId,
) -> Result<bool, Error> {
    let sql = "SELECT COUNT(*) FROM vpc_peerings WHERE account_id = $1 AND name = $2 AND id <> $3";
    tx.query_one(sql, &[account.into(), name.into(), but.into()], |row| row.next::<u64>()).map(|count| count > 0)
}

/// Whether these two, the smaller id first, are peered, whatever the peering's status.
pub fn vpcs_are_peered(tx: &mut dyn Tx, between: (VpcId, VpcId)) -> Result<bool, Error> {
    let sql = "SELECT COUNT(*) FROM vpc_peerings WHERE first_vpc = $1 AND second_vpc = $2";
    tx.query_one(sql, &[between.0.into(), between.1.into()], |row| row.next::<u64>()).map(|count| count > 0)
}

/// Writes another name; whether there is such a peering.
pub fn vpc_peering_rename(tx: &mut dyn Tx, id: VpcPeeringId, name: &str) -> Result<bool, Error> {
    tx.change_one("UPDATE vpc_peerings SET name = $1 WHERE id = $2", &[name.into(), id.into()], id)
}

/// Marks a peering as being taken out of force; whether it was not yet.
pub fn vpc_peering_begin_delete(tx: &mut dyn Tx, id: VpcPeeringId) -> Result<bool, Error> {
    let deleting = VpcPeeringStatus::Deleting.as_str();
    let sql = "UPDATE vpc_peerings SET status = $1, revision = revision + 1 WHERE id = $2 AND status <> $1";
    tx.change_one(sql, &[deleting.into(), id.into()], id)
}

/// Those whose status is not in force yet, with their revision.
pub fn vpc_peerings_waiting(tx: &mut dyn Tx) -> Result<Vec<(Uuid, u64)>, Error> {
    let sql = "SELECT id, revision FROM vpc_peerings WHERE status <> 'ACTIVE' ORDER BY id";
    tx.query_all(sql, &[], |row| Ok((row.next::<VpcPeeringId>()?.0, row.next()?)))
}

/// What this peering was on the way to is so, if it still is of that revision: it is active, or gone.
pub fn vpc_peering_settled(tx: &mut dyn Tx, id: VpcPeeringId, revision: u64) -> Result<(), Error> {
    let sql = "UPDATE vpc_peerings SET status = 'ACTIVE', revision = revision + 1
               WHERE id = $1 AND revision = $2 AND status = 'PROVISIONING'";
    let values = [id.into(), revision.into()];
    if tx.change_one(sql, &values, id)? {
        return Ok(());
    }
    let sql = "DELETE FROM vpc_peerings WHERE id = $1 AND revision = $2 AND status = 'DELETING' RETURNING account_id";
    if let Some(account) = tx.query_opt(sql, &values, |row| row.next())? {
        tx.gone(account, id);
    }
    Ok(())
}

/// Every peering that is to be in force, whoever owns it: what is on the wire.
pub fn vpc_peerings_in_force(tx: &mut dyn Tx) -> Result<Vec<(VpcPeeringId, VpcId, VpcId)>, Error> {
    let sql = "SELECT id, first_vpc, second_vpc FROM vpc_peerings WHERE status <> 'DELETING' ORDER BY id";
    tx.query_all(sql, &[], |row| Ok((row.next()?, row.next()?, row.next()?)))
}
