//! What was done at most once: which request it was, and what it made.
//!
//! A row is written in the transaction that has the effect ([`Deed`](crate::Deed)), so neither is there without the other.
//! It holds no answer: an answer is made anew from what the numbers in it name today.

use std::net::IpAddr;

use dewpoint_api::{
    AccountId, ActionId, DomainRecordId, DropletId, FirewallId, ImageId, ProjectId, SshKeyId, TokenId, VolumeId,
    VolumeSnapshotId, VpcId, VpcPeeringId,
};
use dewpoint_clock::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Error, Row, Tx, counters, row::corrupt};

/// Something a request made, by what clients call it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Made {
    /// A Droplet.
    Droplet(DropletId),
    /// An action of whatever resource.
    Action(ActionId),
    /// An image of an account.
    Image(ImageId),
    /// A volume.
    Volume(VolumeId),
    /// A snapshot of a volume.
    VolumeSnapshot(VolumeSnapshotId),
    /// An SSH key.
    SshKey(SshKeyId),
    /// A tag that was made, or found to be there already.
    Tag(String),
    /// A project.
    Project(ProjectId),
    /// A reserved IP.
    ReservedIp(IpAddr),
    /// A VPC.
    Vpc(VpcId),
    /// A firewall.
    Firewall(FirewallId),
    /// A VPC peering.
    VpcPeering(VpcPeeringId),
    /// A domain.
    Domain(String),
    /// A record of a domain.
    DomainRecord(String, DomainRecordId),
    /// An access token.
    Token(TokenId),
    /// A model that was added to a running server.
    Model(String),
}

/// Most rows that are kept: past it the oldest goes, whatever its time. About 300 bytes each.
pub const MOST: u64 = 1_000_000;
/// Rows of keys are numbered from here on, far above those of attempts.
const KEYS: u64 = 1 << 60;
/// How many rows whose time is over a new one takes with it: more than one, so that they get fewer.
const SWEPT: u32 = 8;

/// What a transaction claims to be the only one to do.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Whose request it is.
    pub account: AccountId,
    /// Which requests are the same one; texts of `server`.
    pub name: String,
    /// By what sort of mark they are told apart.
    pub mark: Claimed,
    /// When the request came.
    pub now: Timestamp,
    /// From when on it counts for nothing.
    pub expires_at: Timestamp,
}

/// How a request says which one it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// By a key of its own. `fingerprint` tells whether another request uses the same key.
    Key {
        /// Of method, path, query and body.
        fingerprint: String,
    },
    /// By the number of its retry, 0 for the first attempt: equal first attempts are different requests.
    Attempt(u32),
}

/// What is known of a request that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnceRecord {
    /// As the claim had it; empty for those without a key.
    pub fingerprint: String,
    /// What was made, in the order it was made in.
    pub made: Vec<Made>,
}

fn read(row: &mut Row<'_>) -> Result<OnceRecord, Error> {
    let (fingerprint, made): (String, String) = (row.next()?, row.next()?);
    let made = serde_json::from_str(&made).map_err(|error| corrupt("list of what was made", &error))?;
    Ok(OnceRecord { fingerprint, made })
}

/// What the request with this key made, unless its time is over by `now`.
pub fn once_get(tx: &mut dyn Tx, account: AccountId, name: &str, now: Timestamp) -> Result<Option<OnceRecord>, Error> {
    let sql = "SELECT fingerprint, made FROM once WHERE account_id = $1 AND name = $2 AND slot = 0 AND expires_at > $3";
    tx.query_opt(sql, &[account.into(), name.into(), now.into()], read)
}

/// Finds what retry number `attempt` is a retry of, and notes that it was told; `None` when there is nothing to join.
///
/// Of several equal requests each retry gets one that no other retry of its number got, if there is such, the newest first.
pub fn once_join(
    tx: &mut dyn Tx,
    account: AccountId,
    name: &str,
    attempt: u32,
    now: Timestamp,
) -> Result<Option<OnceRecord>, Error> {
    let sql = "UPDATE once SET joined = CASE WHEN joined < $1 THEN $1 ELSE joined END WHERE number = (
                   SELECT number FROM once WHERE account_id = $2 AND name = $3 AND expires_at > $4
                   ORDER BY CASE WHEN joined < $1 THEN 0 ELSE 1 END, joined DESC, number DESC LIMIT 1)
               RETURNING fingerprint, made";
    tx.query_opt(sql, &[attempt.into(), account.into(), name.into(), now.into()], read)
}

/// [`Error::Repeated`] when another transaction has done already what this one claims.
pub(crate) fn once_claim(tx: &mut dyn Tx, claim: &Claim) -> Result<(), Error> {
    let (account, name, now) = (claim.account, &claim.name, claim.now);
    let taken = match claim.mark {
        Claimed::Key { .. } => once_get(tx, account, name, now)?.is_some(),
        Claimed::Attempt(0) => false,
        Claimed::Attempt(_) => {
            let sql = "SELECT COUNT(*) FROM once WHERE account_id = $1 AND name = $2 AND expires_at > $3";
            tx.query_one(sql, &[account.into(), name.into(), now.into()], |row| row.next::<u64>())? > 0
        }
    };
    if taken { Err(Error::Repeated) } else { Ok(()) }
}

/// Writes down that the claim was made good, and makes room for it.
pub(crate) fn once_insert(tx: &mut dyn Tx, claim: &Claim, made: &[Made]) -> Result<(), Error> {
    // Keys and attempts are counted apart: however many attempts there are, a key's row stays its time.
    let (sequence, floor) = match claim.mark {
        Claimed::Key { .. } => ("once_key", KEYS),
        Claimed::Attempt(_) => ("once", 0),
    };
    let number = counters::advance(tx, sequence, 1, floor)?;
    let sql = format!(
        "DELETE FROM once WHERE number IN (SELECT number FROM once WHERE expires_at <= $1 ORDER BY expires_at LIMIT {SWEPT})"
    );
    tx.execute(&sql, &[claim.now.into()])?;
    let sql = "DELETE FROM once WHERE number > $1 AND number <= $2";
    tx.execute(sql, &[floor.into(), number.saturating_sub(MOST).into()])?;
    let (slot, fingerprint, joined) = match &claim.mark {
        Claimed::Key { fingerprint } => {
            // The key's last use may be over and not swept yet.
            let sql = "DELETE FROM once WHERE account_id = $1 AND name = $2 AND slot = 0 AND expires_at <= $3";
            tx.execute(sql, &[claim.account.into(), (&claim.name).into(), claim.now.into()])?;
            (0, fingerprint.as_str(), 0)
        }
        Claimed::Attempt(attempt) => (number, "", *attempt),
    };
    let made = serde_json::to_string(made).map_err(|error| corrupt("list of what was made", &error))?;
    let sql = "INSERT INTO once (account_id, name, slot, number, fingerprint, made, joined, expires_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let values = [
        claim.account.into(),
        (&claim.name).into(),
        slot.into(),
        number.into(),
        fingerprint.into(),
        made.into(),
        joined.into(),
        claim.expires_at.into(),
    ];
    tx.execute(sql, &values).map(drop)
}
