//! API tokens, known by their hash alone.

use dewpoint_api::{AccountId, TokenId};
use dewpoint_clock::Timestamp;

use crate::{Error, Made, Page, Row, Tx, Window, counters};

/// A row of `tokens`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecord {
    /// Its name in lists and for revoking.
    pub id: TokenId,
    /// Whose resources it reaches.
    pub account: AccountId,
    /// What its owner calls it.
    pub name: String,
    /// SHA-256 of the token, in lower-case hex.
    pub hash: String,
    /// What it may do, as `dewpoint_api::Scopes` writes it.
    pub scopes: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is void.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, to within a minute or so.
    pub last_used_at: Option<Timestamp>,
}

const COLUMNS: &str = "id, account_id, name, hash, scopes, created_at, expires_at, revoked_at, last_used_at";

fn read(row: &mut Row<'_>) -> Result<TokenRecord, Error> {
    Ok(TokenRecord {
        id: row.next()?,
        account: row.next()?,
        name: row.next()?,
        hash: row.next()?,
        scopes: row.next()?,
        created_at: row.next()?,
        expires_at: row.next()?,
        revoked_at: row.next()?,
        last_used_at: row.next()?,
    })
}

/// Adds a token.
pub fn token_insert(tx: &mut dyn Tx, token: &TokenRecord) -> Result<(), Error> {
    tx.note(Made::Token(token.id));
    let sql = format!("INSERT INTO tokens ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)");
    let values = [
        token.id.into(),
        token.account.into(),
        (&token.name).into(),
        (&token.hash).into(),
        (&token.scopes).into(),
        token.created_at.into(),
        token.expires_at.into(),
        token.revoked_at.into(),
        token.last_used_at.into(),
    ];
    tx.execute(&sql, &values)?;
    tx.made(token.account, token.id);
    Ok(())
}

/// The token of this hash, also an expired or revoked one.
pub fn token_by_hash(tx: &mut dyn Tx, hash: &str) -> Result<Option<TokenRecord>, Error> {
    tx.query_opt(&format!("SELECT {COLUMNS} FROM tokens WHERE hash = $1"), &[hash.into()], read)
}

/// The account's tokens that are not revoked, oldest first.
pub fn token_list(tx: &mut dyn Tx, account: AccountId, window: Window) -> Result<Page<TokenRecord>, Error> {
    let from = "FROM tokens WHERE account_id = $1 AND revoked_at IS NULL";
    counters::page(tx, COLUMNS, from, "created_at, id", &[account.into()], window, read)
}

/// Revokes the token and returns its hash; `None` when the account has no such token, or it was revoked before.
pub fn token_revoke(tx: &mut dyn Tx, account: AccountId, id: TokenId, now: Timestamp) -> Result<Option<String>, Error> {
    let sql =
        "UPDATE tokens SET revoked_at = $1 WHERE account_id = $2 AND id = $3 AND revoked_at IS NULL RETURNING hash";
    let revoked = tx.query_opt(sql, &[now.into(), account.into(), id.into()], |row| row.next())?;
    if revoked.is_some() {
        tx.gone(account, id);
    }
    Ok(revoked)
}

/// Notes that the token was in use at `at`; an older note never replaces a newer one.
pub fn token_used(tx: &mut dyn Tx, id: TokenId, at: Timestamp) -> Result<(), Error> {
    let sql = "UPDATE tokens SET last_used_at = $1 WHERE id = $2 AND (last_used_at IS NULL OR last_used_at < $1)";
    tx.execute(sql, &[at.into(), id.into()]).map(drop)
}
