//! Passwords nobody has seen yet: in the clear until they are shown once.

use dewpoint_api::DropletId;
use dewpoint_clock::Timestamp;

use crate::{Error, Tx};

/// Keeps the password of a Droplet for the one time it is shown, in place of an earlier one.
pub fn password_keep(tx: &mut dyn Tx, droplet: DropletId, password: &str, now: Timestamp) -> Result<(), Error> {
    let sql = "INSERT INTO passwords (droplet_id, password, set_at) VALUES ($1, $2, $3)
               ON CONFLICT (droplet_id) DO UPDATE SET password = $2, set_at = $3";
    tx.execute(sql, &[droplet.into(), password.into(), now.into()]).map(drop)
}

/// The Droplet's password and when it was set, which is forgotten by that; `None` when it was shown or there is none.
pub fn password_take(tx: &mut dyn Tx, droplet: DropletId) -> Result<Option<(String, Timestamp)>, Error> {
    let sql = "DELETE FROM passwords WHERE droplet_id = $1 RETURNING password, set_at";
    tx.query_opt(sql, &[droplet.into()], |row| Ok((row.next()?, row.next()?)))
}
