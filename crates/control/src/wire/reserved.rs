//! Reserved addresses on the wire.

use dewpoint_network::Reserved;
use dewpoint_store::{Tx, reserved_ips};

use crate::Error;

/// Every reserved address that leads to a Droplet.
pub(super) fn read(tx: &mut dyn Tx) -> Result<Vec<Reserved>, Error> {
    let all = reserved_ips::reserved_ips_that_lead(tx)?;
    Ok(all.into_iter().map(|(address, droplet)| Reserved { address, machine: droplet.0 }).collect())
}
