//! What was used of models, by account, minute, key and model. Rows are only ever added to, and removed when they are old.

use dewpoint_api::{AccountId, TokenId, UsageTotal};
use dewpoint_clock::Timestamp;

use crate::{Error, Page, Row, Tx, Value, Window, counters};

/// Whose use of what, in which minute.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UsageOf {
    /// Whose key it is.
    pub account: AccountId,
    /// When the minute began.
    pub minute: Timestamp,
    /// The model access key, or token.
    pub key: TokenId,
    /// The model that was asked for.
    pub model: String,
}

/// A row of `model_usage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRecord {
    /// Whose use of what.
    pub of: UsageOf,
    /// How much.
    pub used: UsageTotal,
}

/// Which rows are wanted; what is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageFilter {
    /// Minutes that began then or later.
    pub from: Option<Timestamp>,
    /// Minutes that began before.
    pub to: Option<Timestamp>,
    /// Of this key.
    pub key: Option<TokenId>,
    /// Of this model.
    pub model: Option<String>,
}

const COLUMNS: &str = "account_id, minute, key_id, model, requests, errors, tokens_in, tokens_out, estimated";

fn read(row: &mut Row<'_>) -> Result<UsageRecord, Error> {
    let of = UsageOf { account: row.next()?, minute: row.next()?, key: row.next()?, model: row.next()? };
    Ok(UsageRecord { of, used: read_total(row)? })
}

fn read_total(row: &mut Row<'_>) -> Result<UsageTotal, Error> {
    Ok(UsageTotal {
        requests: row.next()?,
        errors: row.next()?,
        tokens_in: row.next()?,
        tokens_out: row.next()?,
        estimated: row.next()?,
    })
}

/// Adds what was used to what is known of the same minute.
pub fn usage_add(tx: &mut dyn Tx, records: &[UsageRecord]) -> Result<(), Error> {
    let sql = format!(
        "INSERT INTO model_usage ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (account_id, minute, key_id, model) DO UPDATE SET
         requests = model_usage.requests + excluded.requests, errors = model_usage.errors + excluded.errors,
         tokens_in = model_usage.tokens_in + excluded.tokens_in, tokens_out = model_usage.tokens_out + excluded.tokens_out,
         estimated = model_usage.estimated + excluded.estimated"
    );
    for UsageRecord { of, used } in records {
        let values = [
            of.account.into(),
            of.minute.into(),
            of.key.into(),
            (&of.model).into(),
            used.requests.into(),
            used.errors.into(),
            used.tokens_in.into(),
            used.tokens_out.into(),
            used.estimated.into(),
        ];
        tx.execute(&sql, &values)?;
    }
    Ok(())
}

/// The condition of a filter, and its values.
fn condition(account: AccountId, filter: &UsageFilter) -> (String, Vec<Value<'static>>) {
    let mut values: Vec<Value<'static>> = vec![account.into()];
    let mut wanted = String::from("FROM model_usage WHERE account_id = $1");
    let mut want = |condition: &str, value: Option<Value<'static>>| {
        if let Some(value) = value {
            values.push(value);
            wanted.push_str(&format!(" AND {condition} ${}", values.len()));
        }
    };
    want("minute >=", filter.from.map(Into::into));
    want("minute <", filter.to.map(Into::into));
    want("key_id =", filter.key.map(|key| Value::Owned(key.to_string())));
    want("model =", filter.model.clone().map(Value::Owned));
    (wanted, values)
}

/// What the account used, by minute, the newest first.
pub fn usage_list(
    tx: &mut dyn Tx,
    account: AccountId,
    filter: &UsageFilter,
    window: Window,
) -> Result<Page<UsageRecord>, Error> {
    let (from, values) = condition(account, filter);
    counters::page(tx, COLUMNS, &from, "minute DESC, key_id, model", &values, window, read)
}

/// What the account used in all.
pub fn usage_total(tx: &mut dyn Tx, account: AccountId, filter: &UsageFilter) -> Result<UsageTotal, Error> {
    let (from, values) = condition(account, filter);
    let sum = |column: &str| format!("CAST(COALESCE(SUM({column}), 0) AS BIGINT)");
    let sums: Vec<String> = ["requests", "errors", "tokens_in", "tokens_out", "estimated"].map(sum).into();
    tx.query_one(&format!("SELECT {} {from}", sums.join(", ")), &values, read_total)
}

/// Removes minutes that began before `since`, at most about `limit` rows of them, the oldest first. How many rows went.
pub fn usage_prune(tx: &mut dyn Tx, since: Timestamp, limit: u32) -> Result<u64, Error> {
    let sql = "SELECT minute FROM model_usage WHERE minute < $1 ORDER BY minute LIMIT $2";
    let old: Vec<Timestamp> = tx.query_all(sql, &[since.into(), limit.into()], |row| row.next())?;
    let Some(last) = old.last() else { return Ok(0) };
    tx.execute("DELETE FROM model_usage WHERE minute <= $1", &[(*last).into()])
}
