//! VPC peerings on the wire.

use dewpoint_network::Peering;
use dewpoint_store::{Tx, vpc_peerings};

use crate::Error;

/// Every peering that is to be in force.
pub(super) fn read(tx: &mut dyn Tx) -> Result<Vec<Peering>, Error> {
    let all = vpc_peerings::vpc_peerings_in_force(tx)?;
    Ok(all.into_iter().map(|(id, first, second)| Peering { id: id.0, between: (first.0, second.0) }).collect())
}
