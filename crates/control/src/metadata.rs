//! What a Droplet is told of itself (behaviour rules MET-*): facts, read from what is true at the moment.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dewpoint_api::{AccountId, DropletId, RegionSlug, TagName};
use dewpoint_engine::{Nic, NicKind};
use dewpoint_store::{DropletRecord, DropletSeed, Tx, droplets, reserved_ips, tags};
use ipnet::Ipv4Net;

use crate::{Control, Error, network::Pool};

/// Everything the metadata service tells a Droplet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Its number.
    pub id: DropletId,
    /// Its name.
    pub hostname: String,
    /// The caller's user data, byte for byte (MET-8).
    pub user_data: Option<String>,
    /// Public keys for root, as they were at the create.
    pub public_keys: Vec<String>,
    /// Where it is.
    pub region: RegionSlug,
    /// Its links, the public one first. Every IPv4 address has a gateway here: a private one its network's own address.
    pub links: Vec<Nic>,
    /// The name servers its guest is told to ask.
    pub nameservers: Vec<IpAddr>,
    /// The reserved IPv4 address that leads to it.
    pub reserved_v4: Option<Ipv4Addr>,
    /// The reserved IPv6 address that leads to it.
    pub reserved_v6: Option<Ipv6Addr>,
    /// Its tags.
    pub tags: Vec<TagName>,
}

impl Control {
    /// What a Droplet is told of itself, whoever owns it: for who asks by its link. [`Error::NotFound`] when it is gone.
    pub async fn metadata_of_machine(&self, id: DropletId) -> Result<Metadata, Error> {
        self.metadata(id, None).await
    }

    /// What the account's Droplet is told of itself.
    pub async fn droplet_metadata(&self, account: AccountId, id: DropletId) -> Result<Metadata, Error> {
        self.metadata(id, Some(account)).await
    }

    async fn metadata(&self, id: DropletId, account: Option<AccountId>) -> Result<Metadata, Error> {
        let control = self.clone();
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                let record = droplets::droplet_of_machine(tx, id)?;
                let record = record.filter(|record| account.is_none_or(|account| record.account == account));
                let record = record.ok_or(Error::NotFound)?;
                let seed = droplets::droplet_seed(tx, id)?;
                let tags = tags::tags_of_droplets(tx, &[id])?.remove(&id).unwrap_or_default();
                let mut facts = control.metadata_from(record, seed, tags);
                for reserved in reserved_ips::reserved_ips_of_droplets(tx, &[id])?.remove(&id).unwrap_or_default() {
                    match reserved.address {
                        IpAddr::V4(address) => facts.reserved_v4 = Some(address),
                        IpAddr::V6(address) => facts.reserved_v6 = Some(address),
                    }
                }
                Ok(facts)
            })
            .await
    }

    /// All of it but what leads to the Droplet from elsewhere.
    fn metadata_from(&self, record: DropletRecord, seed: DropletSeed, tags: Vec<TagName>) -> Metadata {
        let mut links = self.links_of(&record);
        for link in links.iter_mut().filter(|link| link.kind == NicKind::Private) {
            if let Some(ipv4) = &mut link.ipv4 {
                let range = Ipv4Net::with_netmask(ipv4.address, ipv4.netmask);
                ipv4.gateway = range.ok().map(|range| Pool::new(range).address(1));
            }
        }
        Metadata {
            id: record.id,
            hostname: record.name,
            user_data: seed.user_data,
            public_keys: seed.ssh_keys,
            region: record.region,
            links,
            nameservers: self.inner.engine.nameservers(),
            reserved_v4: None,
            reserved_v6: None,
            tags,
        }
    }
}
