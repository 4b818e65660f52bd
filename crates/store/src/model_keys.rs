//! Model access keys, known by their hash alone. Told as tokens, which they are like but for what they are good for.

use dewpoint_api::{AccountId, KeyLimits, TokenId};
use dewpoint_clock::Timestamp;

use crate::{Error, Made, Page, Row, Tx, Window, counters};

/// A row of `model_keys`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelKeyRecord {
    /// Its name in lists and paths; no token has the same.
    pub id: TokenId,
    /// Whose models it asks.
    pub account: AccountId,
    /// What its owner calls it.
    pub name: String,
    /// SHA-256 of the key, in lower-case hex.
    pub hash: String,
    /// When it was made; a new secret does not change that.
    pub created_at: Timestamp,
    /// What it may have; what is `None` is as for every key.
    pub limits: KeyLimits,
}

const COLUMNS: &str = "id, account_id, name, hash, created_at, requests_per_minute, tokens_per_minute, tokens_per_day";

fn read(row: &mut Row<'_>) -> Result<ModelKeyRecord, Error> {
    Ok(ModelKeyRecord {
        id: row.next()?,
        account: row.next()?,
        name: row.next()?,
        hash: row.next()?,
        created_at: row.next()?,
        limits: KeyLimits {
            requests_per_minute: row.next()?,
            tokens_per_minute: row.next()?,
            tokens_per_day: row.next()?,
        },
    })
}

/// Adds a key.
pub fn model_key_insert(tx: &mut dyn Tx, key: &ModelKeyRecord) -> Result<(), Error> {
    tx.note(Made::Token(key.id));
    let sql = format!("INSERT INTO model_keys ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    let values = [
        key.id.into(),
        key.account.into(),
        (&key.name).into(),
        (&key.hash).into(),
        key.created_at.into(),
        key.limits.requests_per_minute.into(),
        key.limits.tokens_per_minute.into(),
        key.limits.tokens_per_day.into(),
    ];
    tx.execute(&sql, &values)?;
    tx.made(key.account, key.id);
    Ok(())
}

/// The key of this hash.
pub fn model_key_by_hash(tx: &mut dyn Tx, hash: &str) -> Result<Option<ModelKeyRecord>, Error> {
    tx.query_opt(&format!("SELECT {COLUMNS} FROM model_keys WHERE hash = $1"), &[hash.into()], read)
}

/// One of the account's keys.
pub fn model_key_get(tx: &mut dyn Tx, account: AccountId, id: TokenId) -> Result<Option<ModelKeyRecord>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM model_keys WHERE account_id = $1 AND id = $2");
    tx.query_opt(&sql, &[account.into(), id.into()], read)
}

/// The account's keys, oldest first.
pub fn model_key_list(tx: &mut dyn Tx, account: AccountId, window: Window) -> Result<Page<ModelKeyRecord>, Error> {
    let from = "FROM model_keys WHERE account_id = $1";
    counters::page(tx, COLUMNS, from, "created_at, id", &[account.into()], window, read)
}

/// Calls a key otherwise; `false` when the account has no such key.
pub fn model_key_rename(tx: &mut dyn Tx, account: AccountId, id: TokenId, name: &str) -> Result<bool, Error> {
    change(tx, "UPDATE model_keys SET name = $1 WHERE account_id = $2 AND id = $3", name, account, id)
}

/// Gives a key another secret, by its hash; `false` when the account has no such key.
pub fn model_key_rehash(tx: &mut dyn Tx, account: AccountId, id: TokenId, hash: &str) -> Result<bool, Error> {
    change(tx, "UPDATE model_keys SET hash = $1 WHERE account_id = $2 AND id = $3", hash, account, id)
}

/// Gives a key other limits; `false` when the account has no such key.
pub fn model_key_limit(tx: &mut dyn Tx, account: AccountId, id: TokenId, limits: KeyLimits) -> Result<bool, Error> {
    let sql = "UPDATE model_keys SET requests_per_minute = $1, tokens_per_minute = $2, tokens_per_day = $3
               WHERE account_id = $4 AND id = $5";
    let values = [
        limits.requests_per_minute.into(),
        limits.tokens_per_minute.into(),
        limits.tokens_per_day.into(),
        account.into(),
        id.into(),
    ];
    let changed = tx.execute(sql, &values)? > 0;
    if changed {
        tx.changed(account, id);
    }
    Ok(changed)
}

fn change(tx: &mut dyn Tx, sql: &str, text: &str, account: AccountId, id: TokenId) -> Result<bool, Error> {
    let changed = tx.execute(sql, &[text.into(), account.into(), id.into()])? > 0;
    if changed {
        tx.changed(account, id);
    }
    Ok(changed)
}

/// Removes a key; `false` when the account has no such key.
pub fn model_key_delete(tx: &mut dyn Tx, account: AccountId, id: TokenId) -> Result<bool, Error> {
    let sql = "DELETE FROM model_keys WHERE account_id = $1 AND id = $2";
    let deleted = tx.execute(sql, &[account.into(), id.into()])? > 0;
    if deleted {
        tx.gone(account, id);
    }
    Ok(deleted)
}
