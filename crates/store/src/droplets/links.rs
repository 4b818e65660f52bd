//! What of each Droplet is on the wire.

use std::net::{Ipv4Addr, Ipv6Addr};

use dewpoint_api::{DropletId, VpcId};

use crate::{Error, Row, Tx, row::corrupt};

/// The addresses of one Droplet, and where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropletLinks {
    /// Its number.
    pub id: DropletId,
    /// Its VPC.
    pub vpc: VpcId,
    /// Its public IPv4 address, if it has public networking.
    pub public_v4: Option<Ipv4Addr>,
    /// Its address in the VPC.
    pub private_v4: Ipv4Addr,
    /// The VPC's netmask.
    pub private_netmask: Ipv4Addr,
    /// Its public IPv6 address.
    pub public_v6: Option<Ipv6Addr>,
}

/// The links of every Droplet there is, of all accounts, by ascending id.
pub fn droplet_links_of_all(tx: &mut dyn Tx) -> Result<Vec<DropletLinks>, Error> {
    let sql = "SELECT id, vpc_id, public_v4, private_v4, private_netmask, public_v6 FROM droplets ORDER BY id";
    tx.query_all(sql, &[], read)
}

fn read(row: &mut Row<'_>) -> Result<DropletLinks, Error> {
    Ok(DropletLinks {
        id: row.next()?,
        vpc: row.next()?,
        public_v4: row.next::<Option<u32>>()?.map(Ipv4Addr::from),
        private_v4: row.next::<u32>()?.into(),
        private_netmask: row.next::<u32>()?.into(),
        public_v6: match row.next::<Option<String>>()? {
            Some(text) => Some(text.parse().map_err(|e| corrupt("IPv6 address", &e))?),
            None => None,
        },
    })
}
