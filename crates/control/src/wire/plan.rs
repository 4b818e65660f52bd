//! The plan: every row that is on the wire, as one value.

use dewpoint_api::DropletId;
use dewpoint_engine::NicKind;
use dewpoint_network::{Link, LinkKind, Plan, Vpc};
use dewpoint_store::{
    Tx,
    droplets::{self, DropletLinks},
    vpcs,
};
use ipnet::{Ipv4Net, Ipv6Net};

use super::{firewalls, peerings, reserved};
use crate::{
    Error, PublicNetwork,
    network::{self, Pool},
};

/// The prefix length of every Droplet's IPv6 network.
const V6_PREFIX: u8 = 64;

/// Reads the whole plan in one transaction.
pub(crate) fn read(tx: &mut dyn Tx, public: PublicNetwork) -> Result<Plan, Error> {
    let vpcs = vpcs::vpc_ranges_of_all(tx)?
        .into_iter()
        .map(|(id, range)| {
            let range: Ipv4Net = range.parse().map_err(|_| unreadable(&format!("the range {range} of VPC {id}")))?;
            Ok(Vpc { id: id.0, range, gateway: Pool::new(range).address(1) })
        })
        .collect::<Result<_, Error>>()?;
    let mut links = Vec::new();
    for droplet in droplets::droplet_links_of_all(tx)? {
        links.extend(public_link(&droplet, public)?);
        links.push(private_link(&droplet)?);
    }
    Ok(Plan {
        vpcs,
        links,
        peerings: peerings::read(tx)?,
        reserved: reserved::read(tx)?,
        firewalls: firewalls::read(tx)?,
    })
}

fn public_link(droplet: &DropletLinks, public: PublicNetwork) -> Result<Option<Link>, Error> {
    let Some(address) = droplet.public_v4 else { return Ok(None) };
    let ipv4 = Ipv4Net::with_netmask(address, public.netmask).map_err(|_| netmask_of(droplet.id))?;
    let ipv6 = droplet.public_v6.map(|address| Ipv6Net::new(address, V6_PREFIX)).transpose();
    Ok(Some(Link {
        machine: droplet.id.0,
        kind: LinkKind::Public,
        mac: network::mac(droplet.id, NicKind::Public).0,
        ipv4: Some(ipv4),
        ipv6: ipv6.map_err(|_| netmask_of(droplet.id))?,
    }))
}

fn private_link(droplet: &DropletLinks) -> Result<Link, Error> {
    let ipv4 = Ipv4Net::with_netmask(droplet.private_v4, droplet.private_netmask);
    Ok(Link {
        machine: droplet.id.0,
        kind: LinkKind::Private(droplet.vpc.0),
        mac: network::mac(droplet.id, NicKind::Private).0,
        ipv4: Some(ipv4.map_err(|_| netmask_of(droplet.id))?),
        ipv6: None,
    })
}

fn netmask_of(droplet: DropletId) -> Error {
    unreadable(&format!("a netmask of Droplet {droplet}"))
}

fn unreadable(what: &str) -> Error {
    Error::invalid(format!("The network cannot be planned: {what} is not readable."))
}
