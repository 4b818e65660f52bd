//! Domains and their records: what the API shows, and what the name server answers from.

use dewpoint_api::{AccountId, DomainRecordId, DomainRecordType};
use dewpoint_clock::Timestamp;

use crate::{Error, Made, Page, Row, Tx, Value, Window, counters, feed::Thing, placeholders, projects};

/// A row of `domains`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainRow {
    /// Its name: lower case, without a dot at the end. Of one account alone.
    pub name: String,
    /// Whose it is.
    pub account: AccountId,
    /// The zone's serial number (RFC 1035), which grows with each change.
    pub serial: u32,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A row of `domain_records`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainRecord {
    /// Its number.
    pub id: DomainRecordId,
    /// What sort it is.
    pub kind: DomainRecordType,
    /// Whose record it is, below the domain, in lower case; `@` is the domain itself.
    pub name: String,
    /// What it says: an address, a whole name without a dot at the end or `@`, a text.
    pub data: String,
    /// Of MX and SRV.
    pub priority: Option<u16>,
    /// Of SRV.
    pub port: Option<u16>,
    /// In seconds.
    pub ttl: u32,
    /// Of SRV.
    pub weight: Option<u16>,
    /// Of CAA.
    pub flags: Option<u8>,
    /// Of CAA.
    pub tag: Option<String>,
}

/// Which records of a domain are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainFilter {
    /// Those of this name, as [`DomainRecord::name`] has it.
    pub name: Option<String>,
    /// Those of this sort.
    pub kind: Option<DomainRecordType>,
}

const COLUMNS: &str = "name, account_id, serial, created_at";
const RECORD: &str = "id, type, name, data, priority, port, ttl, weight, flags, tag";

/// Where a name below a domain is in the order of the tree of names: its labels from the domain down, each with a `!` behind it,
/// which comes before everything a label has. What is below a name begins with the name's own place and stands together.
pub fn path_of(name: &str) -> String {
    if name == "@" {
        return String::new();
    }
    name.rsplit('.').flat_map(|label| [label, "!"]).collect()
}

fn read(row: &mut Row<'_>) -> Result<DomainRow, Error> {
    Ok(DomainRow { name: row.next()?, account: row.next()?, serial: row.next()?, created_at: row.next()? })
}

fn read_record(row: &mut Row<'_>) -> Result<DomainRecord, Error> {
    Ok(DomainRecord {
        id: row.next()?,
        kind: row.next()?,
        name: row.next()?,
        data: row.next()?,
        priority: row.next()?,
        port: row.next()?,
        ttl: row.next()?,
        weight: row.next()?,
        flags: row.next()?,
        tag: row.next()?,
    })
}

fn thing(name: &str) -> Thing {
    Thing::Domain(name.into())
}

/// Adds a domain; [`Error::Duplicate`] when any account has it.
pub fn domain_insert(tx: &mut dyn Tx, domain: &DomainRow) -> Result<(), Error> {
    tx.note(Made::Domain(domain.name.clone()));
    let sql = format!("INSERT INTO domains ({COLUMNS}) VALUES ($1, $2, $3, $4)");
    let values =
        [(&domain.name).into(), domain.account.into(), u64::from(domain.serial).into(), domain.created_at.into()];
    tx.execute(&sql, &values)?;
    tx.made(domain.account, thing(&domain.name));
    Ok(())
}

/// The account's domain of this name, or `None`.
pub fn domain_get(tx: &mut dyn Tx, account: AccountId, name: &str) -> Result<Option<DomainRow>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM domains WHERE account_id = $1 AND name = $2");
    tx.query_opt(&sql, &[account.into(), name.into()], read)
}

/// The domain of this name, whosever it is.
pub fn domain_of_anybody(tx: &mut dyn Tx, name: &str) -> Result<Option<DomainRow>, Error> {
    tx.query_opt(&format!("SELECT {COLUMNS} FROM domains WHERE name = $1"), &[name.into()], read)
}

/// Whether another account has a domain below this one.
pub fn domain_is_above_anothers(tx: &mut dyn Tx, account: AccountId, name: &str) -> Result<bool, Error> {
    let sql = "SELECT COUNT(*) FROM domains WHERE account_id <> $1 AND name LIKE $2";
    let below = format!("%.{name}");
    tx.query_one(sql, &[account.into(), (&below).into()], |row| row.next::<u64>()).map(|count| count > 0)
}

/// The account's domains, oldest first.
pub fn domain_list(tx: &mut dyn Tx, account: AccountId, window: Window) -> Result<Page<DomainRow>, Error> {
    let from = "FROM domains WHERE account_id = $1";
    counters::page(tx, COLUMNS, from, "created_at, name", &[account.into()], window, read)
}

/// Removes a domain with all its records; whether there was one.
pub fn domain_delete(tx: &mut dyn Tx, account: AccountId, name: &str) -> Result<bool, Error> {
    let sql = "DELETE FROM domains WHERE account_id = $1 AND name = $2";
    if tx.execute(sql, &[account.into(), name.into()])? == 0 {
        return Ok(false);
    }
    tx.execute("DELETE FROM domain_records WHERE domain = $1", &[name.into()])?;
    projects::project_forget(tx, account, &format!("do:domain:{name}"))?;
    tx.gone(account, thing(name));
    Ok(true)
}

/// Gives the zone a higher serial number: `now` in seconds, or one more than it has (RFC 1912).
pub fn domain_touch(tx: &mut dyn Tx, name: &str, now: Timestamp) -> Result<(), Error> {
    let sql = "UPDATE domains SET serial = CASE WHEN serial < $1 THEN $1 ELSE serial + 1 END WHERE name = $2";
    tx.change_one(sql, &[(now.as_millis() / 1000).into(), name.into()], thing(name)).map(drop)
}

/// Adds a record to a domain.
pub fn domain_record_insert(tx: &mut dyn Tx, domain: &str, record: &DomainRecord) -> Result<(), Error> {
    let sql = format!(
        "INSERT INTO domain_records (domain, {RECORD}, path) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
    );
    let (r, path) = (record, path_of(&record.name));
    let values = [
        domain.into(),
        r.id.into(),
        r.kind.as_str().into(),
        (&r.name).into(),
        (&r.data).into(),
        r.priority.map(u64::from).into(),
        r.port.map(u64::from).into(),
        u64::from(r.ttl).into(),
        r.weight.map(u64::from).into(),
        r.flags.map(u64::from).into(),
        r.tag.as_ref().into(),
        (&path).into(),
    ];
    tx.execute(&sql, &values).map(drop)
}

/// Stores what a record is now.
pub fn domain_record_update(tx: &mut dyn Tx, domain: &str, record: &DomainRecord) -> Result<(), Error> {
    let sql =
        "UPDATE domain_records SET type = $1, name = $2, data = $3, priority = $4, port = $5, ttl = $6, weight = $7,
               flags = $8, tag = $9, path = $10 WHERE domain = $11 AND id = $12";
    let (r, path) = (record, path_of(&record.name));
    let values = [
        r.kind.as_str().into(),
        (&r.name).into(),
        (&r.data).into(),
        r.priority.map(u64::from).into(),
        r.port.map(u64::from).into(),
        u64::from(r.ttl).into(),
        r.weight.map(u64::from).into(),
        r.flags.map(u64::from).into(),
        r.tag.as_ref().into(),
        (&path).into(),
        domain.into(),
        r.id.into(),
    ];
    tx.execute(sql, &values).map(drop)
}

/// One record of a domain, or `None`.
pub fn domain_record_get(tx: &mut dyn Tx, domain: &str, id: DomainRecordId) -> Result<Option<DomainRecord>, Error> {
    let sql = format!("SELECT {RECORD} FROM domain_records WHERE domain = $1 AND id = $2");
    tx.query_opt(&sql, &[domain.into(), id.into()], read_record)
}

/// The records of a domain that `filter` lets through, in the order they were made in.
pub fn domain_record_list(
    tx: &mut dyn Tx,
    domain: &str,
    filter: &DomainFilter,
    window: Window,
) -> Result<Page<DomainRecord>, Error> {
    let (mut from, mut values) = ("FROM domain_records WHERE domain = $1".to_owned(), vec![domain.into()]);
    if let Some(name) = &filter.name {
        values.push(name.into());
        from = format!("{from} AND name = ${}", values.len());
    }
    if let Some(kind) = filter.kind {
        values.push(kind.as_str().into());
        from = format!("{from} AND type = ${}", values.len());
    }
    counters::page(tx, RECORD, &from, "id", &values, window, read_record)
}

/// Every record of one name in a domain.
pub fn domain_records_of(tx: &mut dyn Tx, domain: &str, name: &str) -> Result<Vec<DomainRecord>, Error> {
    let sql = format!("SELECT {RECORD} FROM domain_records WHERE domain = $1 AND name = $2 ORDER BY id");
    tx.query_all(&sql, &[domain.into(), name.into()], read_record)
}

/// Removes a record; whether it was there.
pub fn domain_record_delete(tx: &mut dyn Tx, domain: &str, id: DomainRecordId) -> Result<bool, Error> {
    let sql = "DELETE FROM domain_records WHERE domain = $1 AND id = $2";
    tx.execute(sql, &[domain.into(), id.into()]).map(|removed| removed > 0)
}

/// The domain that answers for a name, whosever it is: the longest of `names`, which are the name and what it is below.
pub fn zone_of(tx: &mut dyn Tx, names: &[&str]) -> Result<Option<DomainRow>, Error> {
    if names.is_empty() {
        return Ok(None);
    }
    let sql = format!("SELECT {COLUMNS} FROM domains WHERE name IN ({})", placeholders(1, names.len()));
    let values: Vec<Value<'_>> = names.iter().map(|name| (*name).into()).collect();
    let found = tx.query_all(&sql, &values, read)?;
    Ok(found.into_iter().max_by_key(|domain| domain.name.len()))
}

/// The records of one name of a domain that are of one of `kinds`, in the order they were made in, at most `most`.
pub fn zone_records(
    tx: &mut dyn Tx,
    domain: &str,
    name: &str,
    kinds: &[DomainRecordType],
    most: u32,
) -> Result<Vec<DomainRecord>, Error> {
    let sql = format!(
        "SELECT {RECORD} FROM domain_records WHERE domain = $1 AND name = $2 AND type IN ({}) ORDER BY id LIMIT $3",
        placeholders(4, kinds.len())
    );
    let mut values: Vec<Value<'_>> = vec![domain.into(), name.into(), most.into()];
    values.extend(kinds.iter().map(|kind| Value::from(kind.as_str())));
    tx.query_all(&sql, &values, read_record)
}

/// The NS records that hand a part of a domain on: those of the shortest of `names` that has some, in the order they were made in.
pub fn zone_cut(tx: &mut dyn Tx, domain: &str, names: &[&str]) -> Result<Vec<DomainRecord>, Error> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT {RECORD} FROM domain_records WHERE domain = $1 AND type = 'NS' AND name IN ({}) ORDER BY id",
        placeholders(2, names.len())
    );
    let values: Vec<Value<'_>> = std::iter::once(domain).chain(names.iter().copied()).map(Into::into).collect();
    let mut found = tx.query_all(&sql, &values, read_record)?;
    let shortest = found.iter().map(|record| record.name.len()).min();
    found.retain(|record| Some(record.name.len()) == shortest);
    Ok(found)
}

/// The places ([`path_of`]) of records next to `path`: the last one before it, and the first that is it or after it.
pub fn zone_neighbours(tx: &mut dyn Tx, domain: &str, path: &str) -> Result<[Option<String>; 2], Error> {
    let before = "SELECT path FROM domain_records WHERE domain = $1 AND path < $2 ORDER BY path DESC LIMIT 1";
    let after = "SELECT path FROM domain_records WHERE domain = $1 AND path >= $2 ORDER BY path LIMIT 1";
    let mut found = [None, None];
    for (place, sql) in found.iter_mut().zip([before, after]) {
        *place = tx.query_opt(sql, &[domain.into(), path.into()], |row| row.next())?;
    }
    Ok(found)
}
