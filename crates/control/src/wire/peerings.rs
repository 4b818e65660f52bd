//! VPC peerings on the wire.

use dewpoint_network::Peering;
use dewpoint_store::Tx;

use crate::Error;

/// Every peering that is to be in force. None can be made yet.
pub(super) fn read(_tx: &mut dyn Tx) -> Result<Vec<Peering>, Error> {
    Ok(Vec::new())
}
