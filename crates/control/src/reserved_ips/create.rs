//! Reserving an address, for a region or for a Droplet (RIP-1, RIP-5).

use std::net::IpAddr;

use dewpoint_api::{
    AccountId, ActionId, ActionKind, ProjectId, RegionSlug, ReservedIpCreateRequest, ReservedIpv6CreateRequest,
};
use dewpoint_clock::Timestamp;
use dewpoint_store::{
    ActionRecord, Family, ReservedIpRecord, Sequence, Tx, counters, droplets, projects,
    reserved_ips::{self, RESERVED_V4},
};

use super::{ReservedIpView, act, urn, v6_address, view};
use crate::{Control, Error, actions::Pointing, addresses::take, projects::default_of};

/// An address that was reserved.
#[derive(Clone, Debug)]
pub struct Created {
    /// The address.
    pub view: ReservedIpView,
    /// The action that assigns it.
    pub action: Option<ActionRecord>,
}

impl Control {
    fn check_open_region(&self, slug: &RegionSlug) -> Result<(), Error> {
        let open = self.catalogue().region(slug).is_some_and(|region| region.spec.available);
        open.then_some(()).ok_or_else(|| Error::invalid(format!("region {slug} is not available.")))
    }

    /// The row of an address that is taken in this transaction. 422 when the account has as many as it may, or none is left.
    fn reserve(
        &self,
        tx: &mut dyn Tx,
        account: AccountId,
        family: Family,
        region: RegionSlug,
        now: Timestamp,
    ) -> Result<ReservedIpRecord, Error> {
        let config = self.config();
        if reserved_ips::reserved_ip_count(tx, account)? >= config.reserved_ip_limit {
            return Err(Error::invalid("reserving this IP will exceed your reserved IP limit"));
        }
        let (address, number) = match family {
            Family::V4 => {
                let positions = self.inner.reserved_v4.numbers(RESERVED_V4, now - config.address_quarantine);
                let full = "No reserved IPv4 address is left: network.reserved_v4_pool is exhausted.";
                let number = take(tx, &positions, None, full)?;
                let address = u32::try_from(number).map_err(|_| Error::invalid(full))?;
                (IpAddr::V4(address.into()), number)
            }
            Family::V6 => {
                let number = counters::draw(tx, Sequence::ReservedIpv6, 1)?;
                (IpAddr::V6(v6_address(config.reserved_v6_pool, number)), number)
            }
        };
        Ok(ReservedIpRecord { address, account, number, region, droplet: None, running_action: None, created_at: now })
    }

    /// Reserves an IPv4 address and, when a Droplet is named, begins to assign it (RIP-1).
    pub async fn reserved_ip_create(
        &self,
        account: AccountId,
        request: ReservedIpCreateRequest,
    ) -> Result<Created, Error> {
        let (control, now, fresh) = (self.clone(), self.now(), self.fresh_default());
        let project: Option<ProjectId> = match request.project_id.as_deref().map(str::parse).transpose() {
            Ok(project) => project,
            Err(_) => return Err(unknown_project()),
        };
        if let (Some(region), None) = (&request.region, request.droplet_id) {
            self.check_open_region(region)?;
        }
        let created = self
            .inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let droplet = match request.droplet_id {
                    Some(id) => Some(droplets::droplet_get(tx, account, id)?.ok_or_else(|| act::no_droplet(id))?),
                    None => None,
                };
                let region = droplet.as_ref().map(|droplet| droplet.region.clone()).or_else(|| request.region.clone());
                let region = region.ok_or_else(|| Error::invalid("droplet_id or region is required."))?;
                let default = default_of(tx, account, &fresh)?;
                let mut ip = control.reserve(tx, account, Family::V4, region, now)?;
                if let Some(wanted) = &request.region {
                    act::check_region(wanted, &ip.region)?;
                }
                reserved_ips::reserved_ip_insert(tx, &ip)?;
                if let Some(project) = project.filter(|project| *project != default.id) {
                    projects::project_get(tx, account, project)?.ok_or_else(unknown_project)?;
                    projects::project_assign(tx, account, project, &urn(ip.address), now)?;
                }
                let action = match droplet {
                    Some(droplet) => {
                        act::check_assign(tx, &ip, &droplet)?;
                        let id = ActionId(counters::draw(tx, Sequence::Action, 1)?);
                        let pointing = Pointing { address: ip.address, from: None, to: Some(droplet.id) };
                        ip.running_action = Some(id);
                        Some(act::lock_and_record(tx, &ip, id, ActionKind::AssignIp, &pointing, now)?)
                    }
                    None => None,
                };
                Ok::<_, Error>(Created { view: view(tx, account, ip)?, action })
            })
            .await?;
        if created.action.is_some() {
            self.inner.bell.notify_one();
        }
        Ok(created)
    }

    /// Reserves an IPv6 address in a region (RIP-5).
    pub async fn reserved_ipv6_create(
        &self,
        account: AccountId,
        request: ReservedIpv6CreateRequest,
    ) -> Result<ReservedIpView, Error> {
        let (control, now) = (self.clone(), self.now());
        let region = request.region_slug.ok_or_else(|| Error::invalid("region_slug is required."))?;
        self.check_open_region(&region)?;
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let ip = control.reserve(tx, account, Family::V6, region.clone(), now)?;
                reserved_ips::reserved_ip_insert(tx, &ip)?;
                view(tx, account, ip)
            })
            .await
    }
}

fn unknown_project() -> Error {
    Error::invalid("project_id is no project of your account.")
}
