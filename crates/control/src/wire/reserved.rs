//! Reserved addresses on the wire.

use dewpoint_network::Reserved;
use dewpoint_store::Tx;

use crate::Error;

/// Every reserved address that leads to a Droplet. None can be reserved yet.
pub(super) fn read(_tx: &mut dyn Tx) -> Result<Vec<Reserved>, Error> {
    Ok(Vec::new())
}
