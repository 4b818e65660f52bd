//! Reserved IPs (RIP-1 to RIP-7): addresses that stay an account's, and lead to a Droplet of its choice. Floating IPs are the
//! same, by an older name.
//!
//! ```text
//! (none) ──create──> unassigned <──assign_ip / unassign_ip──> leads to a Droplet
//!                        └────────── delete (release_ip) ──────────┘──> its address rests, and is given again
//! ```
//! Where it leads is a column, which the wire follows: an action ends when the wire does. While one runs the address is
//! locked, and so is the Droplet that it is assigned to; a Droplet that goes away leaves it unassigned (DEL-3).

mod act;
mod create;

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
};

use dewpoint_api::{AccountId, ActionId, ActionKind, DropletId, PageRequest, ProjectId};
use dewpoint_clock::Timestamp;
use dewpoint_store::{
    ActionRecord, Family, Page, ReservedIpRecord, Sequence, Tx, actions, counters, droplets, projects, reserved_ips,
};
use ipnet::Ipv4Net;

pub use create::Created;

use crate::{
    Control, ControlConfig, Error,
    actions::{NewAction, Pointing, Resource, new_action},
    droplets::{DropletView, droplet_views},
    network::{Pool, overlap},
    window,
};

/// What a second action is told (ACT-6). Clients match on it.
pub(crate) const BUSY: &str = "The floating IP already has a pending event.";

/// A reserved IP with what it shows.
#[derive(Clone, Debug)]
pub struct ReservedIpView {
    /// The row.
    pub record: ReservedIpRecord,
    /// The Droplet it leads to.
    pub droplet: Option<DropletView>,
    /// The project it is in; none for IPv6, which is in none.
    pub project: Option<ProjectId>,
}

/// The pool of reserved IPv4 addresses.
///
/// Fails when it is no network, or has addresses that Droplets are given as their own.
pub(crate) fn pool(config: &ControlConfig, public: Pool) -> Result<Pool, Error> {
    let (address, prefix) = config.reserved_v4_pool;
    let pool = Ipv4Net::new(address, prefix)
        .map_err(|_| Error::invalid(format!("network.reserved_v4_pool {address}/{prefix} is no network.")))?;
    let (reserved, public) = (Pool::new(pool), public.network());
    if overlap(&reserved.network(), &public) {
        return Err(Error::invalid(format!(
            "network.reserved_v4_pool {} overlaps with the public pool {public}: a reserved address would be a Droplet's own.",
            reserved.network()
        )));
    }
    if config.reserved_v6_pool == config.public_v6_pool {
        return Err(Error::invalid("network.reserved_v6_pool must be another /64 than network.public_v6_pool."));
    }
    Ok(reserved)
}

/// The reserved IPv6 address of a number.
fn v6_address(pool: Ipv6Addr, number: u64) -> Ipv6Addr {
    Ipv6Addr::from(u128::from(pool) | u128::from(number))
}

/// The name of a reserved IPv4 address among all resources (RIP-7).
pub(crate) fn urn(address: IpAddr) -> String {
    format!("do:floatingip:{address}")
}

fn views(tx: &mut dyn Tx, account: AccountId, rows: Vec<ReservedIpRecord>) -> Result<Vec<ReservedIpView>, Error> {
    let mut records = Vec::new();
    for id in rows.iter().filter_map(|row| row.droplet) {
        records.extend(droplets::droplet_get(tx, account, id)?);
    }
    let shown = droplet_views(tx, records)?;
    let mut shown: HashMap<DropletId, DropletView> = shown.into_iter().map(|one| (one.record.id, one)).collect();
    let default = projects::project_default(tx, account)?.map(|project| project.id);
    let mut views = Vec::with_capacity(rows.len());
    for record in rows {
        let project = match record.address {
            IpAddr::V4(_) => projects::project_of(tx, account, &urn(record.address))?.map(|(id, _)| id).or(default),
            IpAddr::V6(_) => None,
        };
        views.push(ReservedIpView { droplet: record.droplet.and_then(|id| shown.remove(&id)), project, record });
    }
    Ok(views)
}

fn view(tx: &mut dyn Tx, account: AccountId, row: ReservedIpRecord) -> Result<ReservedIpView, Error> {
    views(tx, account, vec![row])?.pop().ok_or(Error::NotFound)
}

fn get(tx: &mut dyn Tx, account: AccountId, address: IpAddr) -> Result<ReservedIpRecord, Error> {
    reserved_ips::reserved_ip_get(tx, account, address)?.ok_or(Error::NotFound)
}

/// Records an action on a reserved IP; what it locks is for the caller to see to.
fn record(
    tx: &mut dyn Tx,
    ip: &ReservedIpRecord,
    id: ActionId,
    kind: ActionKind,
    pointing: &Pointing,
    now: Timestamp,
) -> Result<ActionRecord, Error> {
    let request = serde_json::to_string(pointing).map_err(|_| Error::invalid("the request cannot be kept"))?;
    let resource = Resource::ReservedIp { address: ip.address, number: ip.number, droplet: pointing.to };
    let action = new_action(&NewAction {
        id,
        account: ip.account,
        kind,
        resource,
        region: Some(&ip.region),
        request: &request,
        now,
    });
    actions::action_insert(tx, &action)?;
    Ok(action)
}

impl Control {
    /// The account's reserved IPs of a family, oldest first.
    pub async fn reserved_ip_list(
        &self,
        account: AccountId,
        family: Family,
        page: PageRequest,
    ) -> Result<Page<ReservedIpView>, Error> {
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                let found = reserved_ips::reserved_ip_list(tx, account, family, window(page))?;
                Ok::<_, Error>(Page { rows: views(tx, account, found.rows)?, total: found.total })
            })
            .await
    }

    /// One reserved IP.
    pub async fn reserved_ip_get(&self, account: AccountId, address: IpAddr) -> Result<ReservedIpView, Error> {
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                let row = get(tx, account, address)?;
                view(tx, account, row)
            })
            .await
    }

    /// Gives a reserved IP up, also one that is assigned; 422 while an action runs on it (RIP-3).
    ///
    /// It is gone from the API at once. Its address stays held until nothing leads there any more.
    pub async fn reserved_ip_delete(&self, account: AccountId, address: IpAddr) -> Result<(), Error> {
        let now = self.now();
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let ip = get(tx, account, address)?;
                if ip.running_action.is_some() {
                    return Err(Error::invalid(BUSY));
                }
                let id = ActionId(counters::draw(tx, Sequence::Action, 1)?);
                let pointing = Pointing { address, from: ip.droplet, to: None };
                tx.changes().by_action(id);
                reserved_ips::reserved_ip_delete(tx, address)?;
                record(tx, &ip, id, ActionKind::ReleaseIp, &pointing, now)?;
                Ok(())
            })
            .await?;
        self.inner.bell.notify_one();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_reserved_address_is_one_that_droplets_are_given() {
        let public = Pool::new("100.64.0.0/10".parse().expect("a network"));
        let with = |v4: (&str, u8)| ControlConfig {
            reserved_v4_pool: (v4.0.parse().expect("an address"), v4.1),
            ..ControlConfig::default()
        };
        assert!(pool(&ControlConfig::default(), public).is_ok());
        for overlapping in [("100.64.0.0", 10), ("100.100.0.0", 24), ("0.0.0.0", 0)] {
            let said = pool(&with(overlapping), public).expect_err("it overlaps").to_string();
            assert!(said.contains("overlaps with the public pool 100.64.0.0/10"), "{said}");
        }
        assert!(pool(&with(("198.19.0.0", 33)), public).is_err(), "no network");
        let same =
            ControlConfig { reserved_v6_pool: ControlConfig::default().public_v6_pool, ..ControlConfig::default() };
        assert!(pool(&same, public).is_err());
    }
}
