//! What was done for clients that say nothing of their retries: kept for a server that is killed before it has answered.
//!
//! The row is written in the transaction of the effect ([`Deed::untold`](crate::Deed::untold)), and never removed when the
//! answer was given: which ones were is known elsewhere, without a write here. So it is a ring of few rows.

use dewpoint_clock::Timestamp;

use crate::{Error, Made, Row, Tx, row::corrupt};

/// How many requests of one server are kept: the newest.
pub const SLOTS: u64 = 4096;

/// A request that may have to be answered by a successor of this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untold {
    /// Which server it came to: below 2^63, and another one when earlier rows are to count for nothing.
    pub server: u64,
    /// Its number there, from 1 on. Those that are a multiple of [`SLOTS`] apart share a slot.
    pub number: u64,
    /// Which requests are equal to it; texts of `server`.
    pub fingerprint: String,
    /// From when on it counts for nothing.
    pub expires_at: Timestamp,
}

/// Such a request that was carried out, and what it made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UntoldRecord {
    /// The request.
    pub request: Untold,
    /// What was made, in the order it was made in.
    pub made: Vec<Made>,
}

/// Writes down that it was carried out, in the place of the one that had its slot.
pub(crate) fn untold_put(tx: &mut dyn Tx, untold: &Untold, made: &[Made]) -> Result<(), Error> {
    let made = serde_json::to_string(made).map_err(|error| corrupt("list of what was made", &error))?;
    let sql = "INSERT INTO untold (server, slot, number, fingerprint, made, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
               ON CONFLICT (server, slot) DO UPDATE SET number = excluded.number, fingerprint = excluded.fingerprint,
                   made = excluded.made, expires_at = excluded.expires_at";
    let Untold { server, number, fingerprint, expires_at } = untold;
    let slot = number % SLOTS;
    let values =
        [(*server).into(), slot.into(), (*number).into(), fingerprint.into(), made.into(), (*expires_at).into()];
    tx.execute(sql, &values).map(drop)
}

/// What was carried out for clients of this server, the oldest first, told or not; without what is over by `now`.
pub fn untold_list(tx: &mut dyn Tx, server: u64, now: Timestamp) -> Result<Vec<UntoldRecord>, Error> {
    let sql = "SELECT number, fingerprint, made, expires_at FROM untold
               WHERE server = $1 AND expires_at > $2 ORDER BY number";
    tx.query_all(sql, &[server.into(), now.into()], |row: &mut Row<'_>| {
        let (number, fingerprint, made): (u64, String, String) = (row.next()?, row.next()?, row.next()?);
        let made = serde_json::from_str(&made).map_err(|error| corrupt("list of what was made", &error))?;
        let request = Untold { server, number, fingerprint, expires_at: row.next()? };
        Ok(UntoldRecord { request, made })
    })
}

/// The highest number a request of this server has; 0 when there is none.
pub fn untold_last(tx: &mut dyn Tx, server: u64) -> Result<u64, Error> {
    tx.query_one("SELECT COALESCE(MAX(number), 0) FROM untold WHERE server = $1", &[server.into()], |row| row.next())
}

/// Removes what is over by `now`, whichever server's: one that has another number today leaves its rows to others.
pub fn untold_sweep(tx: &mut dyn Tx, now: Timestamp) -> Result<u64, Error> {
    tx.execute("DELETE FROM untold WHERE expires_at <= $1", &[now.into()])
}
