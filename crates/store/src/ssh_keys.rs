//! SSH public keys.

use dewpoint_api::{AccountId, SshKeyId};

use crate::{Error, Made, Page, Row, Tx, Window, counters};

/// A row of `ssh_keys`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshKeyRecord {
    /// Its number.
    pub id: SshKeyId,
    /// What its owner calls it.
    pub name: String,
    /// MD5 of the decoded key, 16 colon-separated bytes (KEY-1).
    pub fingerprint: String,
    /// The key in OpenSSH's one-line form.
    pub public_key: String,
}

const COLUMNS: &str = "id, name, fingerprint, public_key";

fn read(row: &mut Row<'_>) -> Result<SshKeyRecord, Error> {
    Ok(SshKeyRecord { id: row.next()?, name: row.next()?, fingerprint: row.next()?, public_key: row.next()? })
}

/// Adds a key; [`Error::Duplicate`] when the account has one of that fingerprint.
pub fn ssh_key_insert(tx: &mut dyn Tx, account: AccountId, key: &SshKeyRecord) -> Result<(), Error> {
    tx.note(Made::SshKey(key.id));
    let sql = "INSERT INTO ssh_keys (account_id, id, name, fingerprint, public_key) VALUES ($1, $2, $3, $4, $5)";
    let values =
        [account.into(), key.id.into(), (&key.name).into(), (&key.fingerprint).into(), (&key.public_key).into()];
    tx.execute(sql, &values)?;
    tx.made(account, key.id);
    Ok(())
}

/// The key of this number.
pub fn ssh_key_get(tx: &mut dyn Tx, account: AccountId, id: SshKeyId) -> Result<Option<SshKeyRecord>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM ssh_keys WHERE account_id = $1 AND id = $2");
    tx.query_opt(&sql, &[account.into(), id.into()], read)
}

/// The key of this fingerprint.
pub fn ssh_key_by_fingerprint(
    tx: &mut dyn Tx,
    account: AccountId,
    fingerprint: &str,
) -> Result<Option<SshKeyRecord>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM ssh_keys WHERE account_id = $1 AND fingerprint = $2");
    tx.query_opt(&sql, &[account.into(), fingerprint.into()], read)
}

/// The account's keys, oldest first.
pub fn ssh_key_list(tx: &mut dyn Tx, account: AccountId, window: Window) -> Result<Page<SshKeyRecord>, Error> {
    counters::page(tx, COLUMNS, "FROM ssh_keys WHERE account_id = $1", "id", &[account.into()], window, read)
}

/// Gives the key another name; `None` when there is no such key.
pub fn ssh_key_rename(
    tx: &mut dyn Tx,
    account: AccountId,
    id: SshKeyId,
    name: &str,
) -> Result<Option<SshKeyRecord>, Error> {
    let sql = format!("UPDATE ssh_keys SET name = $1 WHERE account_id = $2 AND id = $3 RETURNING {COLUMNS}");
    let renamed = tx.query_opt(&sql, &[name.into(), account.into(), id.into()], read)?;
    if renamed.is_some() {
        tx.changed(account, id);
    }
    Ok(renamed)
}

/// Removes the key; whether there was one.
pub fn ssh_key_delete(tx: &mut dyn Tx, account: AccountId, id: SshKeyId) -> Result<bool, Error> {
    let sql = "DELETE FROM ssh_keys WHERE account_id = $1 AND id = $2";
    let removed = tx.execute(sql, &[account.into(), id.into()])? > 0;
    if removed {
        tx.gone(account, id);
    }
    Ok(removed)
}
