//! Numbers we hand out ourselves, and how long the paged lists are.

use crate::{Error, Page, Row, Tx, Value, Window};

/// A sequence of numbers. Numbers are drawn inside the transaction that uses them, so none is ever used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequence {
    /// Actions of every kind of resource share one sequence (ACT-1).
    Action,
    /// Droplets.
    Droplet,
    /// SSH keys.
    SshKey,
    /// Accounts.
    Account,
    /// Images of accounts; the public ones have numbers of the catalogue's, far below.
    Image,
    /// Snapshots of volumes, for their order alone.
    VolumeSnapshot,
    /// Entries of the audit log.
    Audit,
    /// Records of domains.
    DomainRecord,
    /// Changes of firewalls, for their order alone.
    FirewallChange,
    /// Reserved IPv6 addresses: their lower halves.
    ReservedIpv6,
}

impl Sequence {
    /// Its name in the table, and the first number it gives.
    fn row(self) -> (&'static str, u64) {
        match self {
            Self::Action => ("action", 1_000_001),
            Self::Droplet => ("droplet", 100_001),
            Self::SshKey => ("ssh_key", 1001),
            Self::Account => ("account", 1),
            Self::Image => ("image", 200_000_001),
            Self::VolumeSnapshot => ("volume_snapshot", 1),
            Self::Audit => ("audit", 1),
            Self::DomainRecord => ("domain_record", 10_000_001),
            Self::FirewallChange => ("firewall_change", 1),
            Self::ReservedIpv6 => ("reserved_ipv6", 65_537),
        }
    }
}

/// Draws `count` numbers in a row and returns the first.
pub fn draw(tx: &mut dyn Tx, sequence: Sequence, count: u64) -> Result<u64, Error> {
    let (name, first) = sequence.row();
    let last = advance(tx, name, count, first - 1)?;
    Ok(last + 1 - count)
}

/// Whether a draw has given `number`.
pub fn was_drawn(tx: &mut dyn Tx, sequence: Sequence, number: u64) -> Result<bool, Error> {
    let (name, first) = sequence.row();
    let last: Option<u64> =
        tx.query_opt("SELECT value FROM counters WHERE name = $1", &[name.into()], |row| row.next())?;
    Ok(number >= first && last.is_some_and(|last| number <= last))
}

/// Keeps later draws of `sequence` above `used`, a number that was given by hand.
pub fn keep_above(tx: &mut dyn Tx, sequence: Sequence, used: u64) -> Result<(), Error> {
    let (name, first) = sequence.row();
    let sql = "INSERT INTO counters (name, value) VALUES ($1, $2)
               ON CONFLICT (name) DO UPDATE SET value = CASE WHEN counters.value < $3 THEN $3 ELSE counters.value END";
    tx.execute(sql, &[name.into(), used.max(first - 1).into(), used.into()]).map(drop)
}

/// Adds `by` to the counter `name`, which starts at `start`, and returns its new value.
pub(crate) fn advance(tx: &mut dyn Tx, name: &str, by: u64, start: u64) -> Result<u64, Error> {
    // Not RETURNING, for which SQLite makes a table each time: the row is this transaction's from the update on.
    let update = "UPDATE counters SET value = value + $1 WHERE name = $2";
    if tx.execute(update, &[by.into(), name.into()])? == 0 {
        // Two first draws at once: the second waits for the first's row and then adds to it.
        let insert = "INSERT INTO counters (name, value) VALUES ($1, $2)
                      ON CONFLICT (name) DO UPDATE SET value = counters.value + $3";
        tx.execute(insert, &[name.into(), (start + by).into(), by.into()])?;
    }
    tx.query_one("SELECT value FROM counters WHERE name = $1", &[name.into()], |row| row.next())
}

/// Ids of one bucket: with 100,000 rows a deep page reads about a hundred counts and passes over at most this many rows.
const BUCKET: u64 = 1024;

/// The bucket that holds a list's total.
const TOTAL: i64 = -1;

/// Records that `change` rows came to (or left) `list` in the bucket of `id`.
pub(crate) fn list_changed(tx: &mut dyn Tx, list: &str, id: u64, change: i64) -> Result<(), Error> {
    let sql = "INSERT INTO list_counts (list, bucket, count) VALUES ($1, $2, $3), ($1, $4, $3)
               ON CONFLICT (list, bucket) DO UPDATE SET count = list_counts.count + $3";
    tx.execute(sql, &[list.into(), (id / BUCKET).into(), change.into(), TOTAL.into()]).map(drop)
}

/// How many rows `list` has.
pub(crate) fn list_total(tx: &mut dyn Tx, list: &str) -> Result<u64, Error> {
    let sql = "SELECT count FROM list_counts WHERE list = $1 AND bucket = $2";
    Ok(tx.query_opt(sql, &[list.into(), TOTAL.into()], |row| row.next())?.unwrap_or(0))
}

/// In which order a counted list is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Ascending,
    Descending,
}

/// Where to start reading so that few rows are passed over: a bound for `id` and how many rows to skip from there.
pub(crate) struct Seek {
    pub(crate) total: u64,
    pub(crate) bound: u64,
    pub(crate) skip: u64,
}

/// Finds the bucket the page begins in. In descending order `bound` is the highest id to read, otherwise the lowest.
pub(crate) fn seek(tx: &mut dyn Tx, list: &str, skip: u64, order: Order) -> Result<Seek, Error> {
    let total = list_total(tx, list)?;
    let (start, direction) = match order {
        Order::Ascending => (0, "ASC"),
        Order::Descending => (i64::MAX.unsigned_abs(), "DESC"),
    };
    if skip == 0 {
        return Ok(Seek { total, bound: start, skip });
    }
    let sql = format!(
        "SELECT bucket, count FROM list_counts WHERE list = $1 AND bucket >= 0 AND count > 0 ORDER BY bucket {direction}"
    );
    let (mut left, mut found) = (skip, None);
    tx.query_each(&sql, &[list.into()], &mut |row| {
        let (bucket, count): (u64, u64) = (row.next()?, row.next()?);
        if found.is_none() {
            if left < count {
                found = Some(bucket);
            } else {
                left -= count;
            }
        }
        Ok(())
    })?;
    Ok(match (found, order) {
        (Some(bucket), Order::Ascending) => Seek { total, bound: bucket * BUCKET, skip: left },
        (Some(bucket), Order::Descending) => Seek { total, bound: bucket * BUCKET + BUCKET - 1, skip: left },
        // Past the end: a bound that matches nothing.
        (None, Order::Ascending) => Seek { total, bound: i64::MAX as u64, skip: 0 },
        (None, Order::Descending) => Seek { total, bound: 0, skip: 0 },
    })
}

/// Reads a page of a list that has no counts kept: short ones, and filtered ones whose count is an index scan.
///
/// `from_where` begins at FROM; `$1 …` are `values`, the window takes the two numbers after them.
pub(crate) fn page<T>(
    tx: &mut dyn Tx,
    columns: &str,
    from_where: &str,
    order: &str,
    values: &[Value<'_>],
    window: Window,
    read: impl Fn(&mut Row<'_>) -> Result<T, Error>,
) -> Result<Page<T>, Error> {
    let total = tx.query_one(&format!("SELECT COUNT(*) {from_where}"), values, |row| row.next())?;
    let (limit, offset) = (values.len() + 1, values.len() + 2);
    let sql = format!("SELECT {columns} {from_where} ORDER BY {order} LIMIT ${limit} OFFSET ${offset}");
    let mut all = values.to_vec();
    all.extend([window.take.into(), window.skip.into()]);
    Ok(Page { rows: tx.query_all(&sql, &all, read)?, total })
}
