//! The audit log: who asked for which change, from where, and how it was answered. Only ever added to, and cut at its old end.

use dewpoint_api::{AccountId, TokenId};
use dewpoint_clock::Timestamp;

use crate::{Error, Row, Sequence, Tx, Value, counters};

/// A row of `audit`, before it has its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// When it was answered.
    pub at: Timestamp,
    /// Whose token asked; `None` without a good one.
    pub account: Option<AccountId>,
    /// Which token asked.
    pub token: Option<TokenId>,
    /// The operation's name.
    pub operation: String,
    /// The request's method.
    pub method: String,
    /// The resource: the request's path.
    pub path: String,
    /// The answer's status.
    pub status: u16,
    /// Where the request came from.
    pub address: Option<String>,
    /// The request's id, as its answer and the log have it.
    pub request_id: String,
    /// How many refusals before this one were not written down.
    pub left_out: u64,
}

/// An entry as it is read: with its number, and names for account and token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditView {
    /// Its number; later ones are higher.
    pub id: u64,
    /// What was written.
    pub record: AuditRecord,
    /// The account's uuid.
    pub account_uuid: Option<String>,
    /// The token's name.
    pub token_name: Option<String>,
}

/// Which entries are wanted; what is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this account.
    pub account: Option<AccountId>,
    /// Of this token.
    pub token: Option<TokenId>,
    /// Of this operation.
    pub operation: Option<String>,
    /// Of this path.
    pub path: Option<String>,
    /// Of this request.
    pub request_id: Option<String>,
    /// From here.
    pub address: Option<String>,
    /// Answered so.
    pub status: Option<u16>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before this.
    pub until: Option<Timestamp>,
}

const COLUMNS: &str = "id, at, account_id, token_id, operation, method, path, status, address, request_id, left_out";
/// How many columns those are.
const WIDTH: usize = 11;
/// Rows of one INSERT: a statement's cost is shared, and there are two texts of it only.
const TOGETHER: usize = 32;
/// How many entries one question looks at. A filter that matches little then takes several short questions, none long.
const LOOKED_AT: u32 = 20_000;

fn read(row: &mut Row<'_>) -> Result<AuditView, Error> {
    Ok(AuditView {
        id: row.next()?,
        record: AuditRecord {
            at: row.next()?,
            account: row.next()?,
            token: row.next()?,
            operation: row.next()?,
            method: row.next()?,
            path: row.next()?,
            status: u16::try_from(row.next::<u32>()?).unwrap_or(0),
            address: row.next()?,
            request_id: row.next()?,
            left_out: row.next()?,
        },
        account_uuid: row.next()?,
        token_name: row.next()?,
    })
}

/// Adds entries, in their order.
pub fn audit_insert(tx: &mut dyn Tx, entries: &[AuditRecord]) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut id = counters::draw(tx, Sequence::Audit, entries.len() as u64)?;
    let (whole, rest) = entries.as_chunks::<TOGETHER>();
    for chunk in whole.iter().map(|chunk| &chunk[..]).chain(rest.chunks(1)) {
        let rows: Vec<String> =
            (0..chunk.len()).map(|row| format!("({})", crate::placeholders(row * WIDTH + 1, WIDTH))).collect();
        let sql = format!("INSERT INTO audit ({COLUMNS}) VALUES {}", rows.join(", "));
        let mut values: Vec<Value<'_>> = Vec::with_capacity(chunk.len() * WIDTH);
        for entry in chunk {
            values.extend([
                id.into(),
                entry.at.into(),
                entry.account.into(),
                entry.token.into(),
                (&entry.operation).into(),
                (&entry.method).into(),
                (&entry.path).into(),
                u64::from(entry.status).into(),
                entry.address.as_deref().into(),
                (&entry.request_id).into(),
                entry.left_out.into(),
            ]);
            id += 1;
        }
        tx.execute(&sql, &values)?;
    }
    Ok(())
}

/// The newest entries that match and are older than `before`, newest first, at most `take`; and where to go on from.
///
/// It looks at a limited number of entries: there may be fewer than `take`, none even, and still more to come.
pub fn audit_page(
    tx: &mut dyn Tx,
    filter: &AuditFilter,
    before: Option<u64>,
    take: u32,
) -> Result<(Vec<AuditView>, Option<u64>), Error> {
    let mut values: Vec<Value<'_>> = vec![before.unwrap_or(i64::MAX.unsigned_abs()).into(), LOOKED_AT.into()];
    let mut near = "id < $1".to_owned();
    if let Some(account) = filter.account {
        values.push(account.into());
        near.push_str(" AND account_id = $3");
    }
    let looked_at = format!("(SELECT {COLUMNS} FROM audit WHERE {near} ORDER BY id DESC LIMIT $2) AS looked_at");
    let bounds = values.clone();

    let mut wanted = String::from("TRUE");
    let mut want = |condition: &str, value: Option<Value<'static>>| {
        if let Some(value) = value {
            values.push(value);
            wanted.push_str(&format!(" AND looked_at.{condition} ${}", values.len()));
        }
    };
    let owned = |text: &Option<String>| text.clone().map(Value::Owned);
    want("token_id =", filter.token.map(|token| Value::Owned(token.to_string())));
    want("operation =", owned(&filter.operation));
    want("path =", owned(&filter.path));
    want("request_id =", owned(&filter.request_id));
    want("address =", owned(&filter.address));
    want("status =", filter.status.map(|status| u64::from(status).into()));
    want("at >=", filter.since.map(Into::into));
    want("at <", filter.until.map(Into::into));
    values.push(take.into());
    let columns: Vec<String> = COLUMNS.split(", ").map(|column| format!("looked_at.{column}")).collect();
    let sql = format!(
        "SELECT {}, accounts.uuid, tokens.name FROM {looked_at}
         LEFT JOIN accounts ON accounts.id = looked_at.account_id LEFT JOIN tokens ON tokens.id = looked_at.token_id
         WHERE {wanted} ORDER BY looked_at.id DESC LIMIT ${}",
        columns.join(", "),
        values.len(),
    );
    let rows = tx.query_all(&sql, &values, read)?;
    if rows.len() as u64 == u64::from(take) {
        let next = rows.last().map(|last| last.id);
        return Ok((rows, next));
    }
    let sql = format!("SELECT COUNT(*), MIN(id) FROM {looked_at}");
    let (count, lowest) = tx.query_one(&sql, &bounds, |row| Ok((row.next::<u64>()?, row.next::<Option<u64>>()?)))?;
    Ok((rows, lowest.filter(|_| count == u64::from(LOOKED_AT))))
}

/// Removes entries older than `since`, and what is beyond the newest `most`; at most `limit` of them, oldest first.
/// Returns how many went.
pub fn audit_prune(tx: &mut dyn Tx, since: Timestamp, most: u64, limit: u32) -> Result<u64, Error> {
    let newest: Option<u64> = tx.query_one("SELECT MAX(id) FROM audit", &[], |row| row.next())?;
    let excess = newest.unwrap_or(0).saturating_sub(most);
    let old = |(id, at): &(u64, Timestamp)| *id <= excess || *at < since;
    let sql = "SELECT id, at FROM audit ORDER BY id LIMIT $1";
    let oldest = |tx: &mut dyn Tx, count: u32| tx.query_all(sql, &[count.into()], |row| Ok((row.next()?, row.next()?)));
    // Most of the time nothing is old, which one row tells.
    if !oldest(tx, 1)?.iter().any(old) {
        return Ok(0);
    }
    let gone = oldest(tx, limit)?.into_iter().take_while(old).last();
    let Some((last, _)) = gone else { return Ok(0) };
    tx.execute("DELETE FROM audit WHERE id <= $1", &[last.into()])
}
