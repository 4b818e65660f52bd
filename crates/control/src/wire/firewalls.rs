//! Firewalls on the wire.

use dewpoint_network::Firewall;
use dewpoint_store::Tx;

use crate::Error;

/// Every firewall, with the Droplets it guards. None can be made yet.
pub(super) fn read(_tx: &mut dyn Tx) -> Result<Vec<Firewall>, Error> {
    Ok(Vec::new())
}
