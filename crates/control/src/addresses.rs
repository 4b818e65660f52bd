//! Taking addresses from their pools.

use dewpoint_api::DropletId;
use dewpoint_store::{
    Tx,
    addresses::{self, Positions},
};

use crate::Error;

/// Takes a position for a Droplet, or for none. Fails with `full`, a sentence, when all are held or rest.
pub(crate) fn take(tx: &mut dyn Tx, of: &Positions<'_>, droplet: Option<DropletId>, full: &str) -> Result<u64, Error> {
    if let Some(position) = addresses::address_take(tx, of, droplet)? {
        return Ok(position);
    }
    Err(Error::invalid(match addresses::address_resting(tx, of.pool, of.rested)? {
        0 => full.to_owned(),
        resting => format!("{full} {resting} were given back a moment ago and still rest: try again in a while."),
    }))
}
