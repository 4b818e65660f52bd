//! Accounts: whose everything is.

use dewpoint_api::AccountId;
use dewpoint_clock::Timestamp;

use crate::{Error, Page, Row, Tx, Window, counters};

/// A row of `accounts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRecord {
    /// Its number, inside the store only.
    pub id: AccountId,
    /// Its name to the outside.
    pub uuid: String,
    /// Where its owner is written to.
    pub email: String,
    /// Its owner's name.
    pub name: String,
    /// `active`, `warning` or `locked`.
    pub status: String,
    /// Why it is not `active`.
    pub status_message: String,
    /// Its team's uuid.
    pub team_uuid: String,
    /// Its team's name.
    pub team_name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

const COLUMNS: &str = "id, uuid, email, name, status, status_message, team_uuid, team_name, created_at";

fn read(row: &mut Row<'_>) -> Result<AccountRecord, Error> {
    Ok(AccountRecord {
        id: row.next()?,
        uuid: row.next()?,
        email: row.next()?,
        name: row.next()?,
        status: row.next()?,
        status_message: row.next()?,
        team_uuid: row.next()?,
        team_name: row.next()?,
        created_at: row.next()?,
    })
}

/// The account, or `None`.
pub fn account_get(tx: &mut dyn Tx, account: AccountId) -> Result<Option<AccountRecord>, Error> {
    tx.query_opt(&format!("SELECT {COLUMNS} FROM accounts WHERE id = $1"), &[account.into()], read)
}

/// The account with the lowest number, or `None` in an empty store.
pub fn account_first(tx: &mut dyn Tx) -> Result<Option<AccountRecord>, Error> {
    tx.query_opt(&format!("SELECT {COLUMNS} FROM accounts ORDER BY id LIMIT 1"), &[], read)
}

/// Every account, oldest first.
pub fn account_list(tx: &mut dyn Tx, window: Window) -> Result<Page<AccountRecord>, Error> {
    counters::page(tx, COLUMNS, "FROM accounts", "id", &[], window, read)
}

/// The account of this uuid, or `None`.
pub fn account_by_uuid(tx: &mut dyn Tx, uuid: &str) -> Result<Option<AccountRecord>, Error> {
    tx.query_opt(&format!("SELECT {COLUMNS} FROM accounts WHERE uuid = $1"), &[uuid.into()], read)
}

/// The oldest account of this name, or `None`.
pub fn account_by_name(tx: &mut dyn Tx, name: &str) -> Result<Option<AccountRecord>, Error> {
    tx.query_opt(&format!("SELECT {COLUMNS} FROM accounts WHERE name = $1 ORDER BY id LIMIT 1"), &[name.into()], read)
}

/// Adds an account.
pub fn account_insert(tx: &mut dyn Tx, account: &AccountRecord) -> Result<(), Error> {
    let sql = format!("INSERT INTO accounts ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)");
    let a = account;
    let values = [
        a.id.into(),
        (&a.uuid).into(),
        (&a.email).into(),
        (&a.name).into(),
        (&a.status).into(),
        (&a.status_message).into(),
        (&a.team_uuid).into(),
        (&a.team_name).into(),
        a.created_at.into(),
    ];
    tx.execute(&sql, &values).map(drop)
}
