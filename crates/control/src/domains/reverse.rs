//! Which name an address has: the PTR records, which nobody writes (CRE-4).

use std::net::IpAddr;

use dewpoint_store::{DropletRecord, Error, Tx, addresses, domains, droplets};
use ipnet::{Ipv4Net, Ipv6Net};

use super::names;
use crate::{Control, PUBLIC_POOL};

/// Of how many bits the network of public IPv6 addresses is.
const V6_PREFIX: u8 = 64;

/// The name and what it is below, longest first, down to two labels: no domain is shorter.
pub fn suffixes(name: &str) -> Vec<&str> {
    let mut all = vec![name];
    all.extend(name.match_indices('.').map(|(dot, _)| &name[dot + 1..]));
    all.retain(|name| name.contains('.'));
    all
}

impl Control {
    /// The networks that Droplets' public addresses come from.
    pub fn public_ranges(&self) -> (Ipv4Net, Ipv6Net) {
        let v6 = Ipv6Net::new(self.inner.config.public_v6_pool, V6_PREFIX).expect("64 is a prefix of IPv6");
        (self.inner.public_v4.pool.network(), v6.trunc())
    }

    /// The name of a public address: that of the Droplet that has it, if it is a host in a domain of the Droplet's account.
    ///
    /// Read from what is true at the moment, so that it follows a rename, a delete and the domain itself.
    pub fn name_of_address(&self, tx: &mut dyn Tx, address: IpAddr) -> Result<Option<String>, Error> {
        let droplet = match self.droplet_with(tx, address)? {
            Some(droplet) => droplet,
            None => return Ok(None),
        };
        let Ok(name) = names::domain(&droplet.name) else { return Ok(None) };
        let zone = domains::zone_of(tx, &suffixes(&name))?;
        Ok(zone.filter(|zone| zone.account == droplet.account).map(|_| name))
    }

    fn droplet_with(&self, tx: &mut dyn Tx, address: IpAddr) -> Result<Option<DropletRecord>, Error> {
        let (v4, v6) = self.public_ranges();
        let id = match address {
            IpAddr::V4(address) if v4.contains(&address) => {
                addresses::address_holder(tx, PUBLIC_POOL, self.inner.public_v4.pool.position(address))?
            }
            IpAddr::V6(address) if v6.contains(&address) => Some(crate::network::v6_droplet(address)),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        };
        let Some(id) = id else { return Ok(None) };
        let found = droplets::droplet_of_machine(tx, id)?;
        // An address may be held for a Droplet that has given it up, or has not got it yet.
        Ok(found.filter(|droplet| match address {
            IpAddr::V4(address) => droplet.public_v4 == Some(address),
            IpAddr::V6(address) => droplet.public_v6 == Some(address),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_name_is_below_has_two_labels_or_more() {
        assert_eq!(suffixes("a.b.example.com"), ["a.b.example.com", "b.example.com", "example.com"]);
        assert_eq!(suffixes("com"), [] as [&str; 0]);
    }
}
