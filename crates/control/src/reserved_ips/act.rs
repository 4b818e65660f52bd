//! Asking a reserved IP to lead elsewhere: `assign` and `unassign` (RIP-3).

use std::net::IpAddr;

use dewpoint_api::{AccountId, ActionId, ActionKind, DropletId, RegionSlug, ReservedIpActionRequest, ResourceType};
use dewpoint_clock::Timestamp;
use dewpoint_store::{
    ActionRecord, DropletRecord, Family, Page, ReservedIpRecord, Sequence, Tx, Window, actions, counters, droplets,
    reserved_ips,
};

use super::{BUSY, get, record};
use crate::{Control, Error, actions::Pointing};

/// A request that could be carried out, as far as it alone tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Assign(DropletId),
    Unassign,
}

/// Reads the action and refuses what can never be.
fn wanted(request: &ReservedIpActionRequest) -> Result<Wanted, String> {
    match (request.kind.as_str(), request.droplet_id) {
        ("assign", Some(droplet)) => Ok(Wanted::Assign(droplet)),
        ("assign", None) => Err("droplet_id is required.".to_owned()),
        ("unassign", _) => Ok(Wanted::Unassign),
        ("", _) => Err("type is required.".to_owned()),
        (other, _) => Err(format!("type {other:?} is not an action a reserved IP has: assign or unassign.")),
    }
}

pub(super) fn no_droplet(id: DropletId) -> Error {
    Error::invalid(format!("droplet_id {id} is no Droplet of your account."))
}

pub(super) fn check_region(wanted: &RegionSlug, there: &RegionSlug) -> Result<(), Error> {
    if wanted == there {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "The reserved IP is in region {wanted} and the Droplet in {there}: they must be in one."
    )))
}

/// Whether the address may lead to this Droplet (RIP-3).
pub(super) fn check_assign(tx: &mut dyn Tx, ip: &ReservedIpRecord, droplet: &DropletRecord) -> Result<(), Error> {
    check_region(&ip.region, &droplet.region)?;
    if !droplet.public_networking {
        return Err(Error::invalid("The Droplet has no public networking, which a reserved IP needs."));
    }
    let family = Family::of(ip.address);
    if family == Family::V6 && droplet.public_v6.is_none() {
        return Err(Error::invalid("The Droplet has no IPv6 address, which a reserved IPv6 needs: enable IPv6 first."));
    }
    let held = reserved_ips::reserved_ips_of_droplets(tx, &[droplet.id])?.remove(&droplet.id).unwrap_or_default();
    match held.iter().find(|held| Family::of(held.address) == family) {
        Some(held) if held.address == ip.address => {
            Err(Error::invalid(format!("{} is already assigned to this Droplet.", ip.address)))
        }
        Some(held) => Err(Error::invalid(format!("The Droplet already has the reserved IP {}.", held.address))),
        None => Ok(()),
    }
}

/// Locks the address, and the Droplet it is assigned to, and records the action (ACT-6).
pub(super) fn lock_and_record(
    tx: &mut dyn Tx,
    ip: &ReservedIpRecord,
    id: ActionId,
    kind: ActionKind,
    pointing: &Pointing,
    now: Timestamp,
) -> Result<ActionRecord, Error> {
    if !reserved_ips::reserved_ip_lock(tx, ip.address, id)? {
        return Err(Error::invalid(BUSY));
    }
    if let Some(droplet) = pointing.to
        && !droplets::droplet_lock(tx, droplet, id)?
    {
        return Err(Error::Busy);
    }
    record(tx, ip, id, kind, pointing, now)
}

fn begin(
    tx: &mut dyn Tx,
    account: AccountId,
    ip: &ReservedIpRecord,
    wanted: Wanted,
    now: Timestamp,
) -> Result<ActionRecord, Error> {
    // Before what it would be after: an address on its way is neither here nor there.
    if ip.running_action.is_some() {
        return Err(Error::invalid(BUSY));
    }
    let (kind, to) = match wanted {
        Wanted::Assign(id) => {
            let droplet = droplets::droplet_get(tx, account, id)?.ok_or_else(|| no_droplet(id))?;
            check_assign(tx, ip, &droplet)?;
            (ActionKind::AssignIp, Some(id))
        }
        Wanted::Unassign if ip.droplet.is_none() => {
            return Err(Error::invalid("The reserved IP is not assigned to a Droplet."));
        }
        Wanted::Unassign => (ActionKind::UnassignIp, None),
    };
    let id = ActionId(counters::draw(tx, Sequence::Action, 1)?);
    lock_and_record(tx, ip, id, kind, &Pointing { address: ip.address, from: ip.droplet, to }, now)
}

/// What the actions of an address of this family are actions of.
fn resource_type(address: IpAddr) -> ResourceType {
    match Family::of(address) {
        Family::V4 => ResourceType::ReservedIp,
        Family::V6 => ResourceType::ReservedIpv6,
    }
}

impl Control {
    /// Asks one reserved IP to lead to a Droplet or to none (RIP-3); the action is in progress when this returns.
    pub async fn reserved_ip_act(
        &self,
        account: AccountId,
        address: IpAddr,
        request: &ReservedIpActionRequest,
    ) -> Result<ActionRecord, Error> {
        let (now, wanted) = (self.now(), wanted(request));
        let action = self
            .inner
            .store
            .write(move |tx: &mut dyn Tx| {
                // Existence comes before validation (ERR-9).
                let ip = get(tx, account, address)?;
                begin(tx, account, &ip, wanted.clone().map_err(Error::Invalid)?, now)
            })
            .await?;
        self.inner.bell.notify_one();
        Ok(action)
    }

    /// All actions of a reserved IP, newest first (PAG-10).
    pub async fn reserved_ip_action_list(
        &self,
        account: AccountId,
        address: IpAddr,
    ) -> Result<Page<ActionRecord>, Error> {
        let all = Window { skip: 0, take: u32::MAX };
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                let ip = get(tx, account, address)?;
                Ok(actions::action_list_of(tx, account, resource_type(address), ip.number, all)?)
            })
            .await
    }

    /// One action of one reserved IP, which may be given up by now.
    pub async fn reserved_ip_action_get(
        &self,
        account: AccountId,
        address: IpAddr,
        id: ActionId,
    ) -> Result<ActionRecord, Error> {
        let action = self.action_get(account, id).await?;
        let pointing: Option<Pointing> = serde_json::from_str(&action.request).ok();
        let of_it = action.resource_type == resource_type(address)
            && pointing.is_some_and(|pointing| pointing.address == address);
        if of_it { Ok(action) } else { Err(Error::NotFound) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_of_a_reserved_ip_needs_its_members_rip_3() {
        let read = |json: &str| wanted(&serde_json::from_str(json).expect("its shape is right"));
        for bad in ["{}", r#"{"type":"explode"}"#, r#"{"type":"assign"}"#, r#"{"type":null,"droplet_id":1}"#] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(read(r#"{"type":"assign","droplet_id":1}"#), Ok(Wanted::Assign(DropletId(1))));
        assert_eq!(read(r#"{"type":"unassign","droplet_id":1}"#), Ok(Wanted::Unassign));
    }
}
