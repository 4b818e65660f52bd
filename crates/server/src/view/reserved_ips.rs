//! Reserved IPs as the API shows them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dewpoint_api as api;
use dewpoint_api::{ActionId, DropletId, Scope};
use dewpoint_control::{Control, droplets::DropletView, reserved_ips::ReservedIpView};

use super::{droplet, region};
use crate::{BaseUrl, Caller};

/// The Droplet it leads to, as far as the token may see Droplets (AUTH-6).
fn led_to(control: &Control, caller: &Caller, view: Option<DropletView>) -> Option<Box<api::Droplet>> {
    view.filter(|_| caller.has(Scope::DropletRead)).map(|view| Box::new(droplet(control, caller, view)))
}

/// A reserved IPv4 address (RIP-2).
pub(crate) fn reserved_ip(control: &Control, caller: &Caller, view: ReservedIpView) -> api::ReservedIp {
    let ReservedIpView { record, droplet, project } = view;
    let ip = match record.address {
        IpAddr::V4(ip) => ip,
        // Listed and looked up by its family: never another one's.
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    };
    api::ReservedIp {
        ip,
        droplet: led_to(control, caller, droplet),
        region: region(control, caller, &record.region),
        locked: record.running_action.is_some(),
        project_id: project.filter(|_| caller.has(Scope::ProjectRead)),
    }
}

/// A reserved IPv6 address (RIP-5).
pub(crate) fn reserved_ipv6(control: &Control, caller: &Caller, view: ReservedIpView) -> api::ReservedIpv6 {
    let ReservedIpView { record, droplet, project: _ } = view;
    let ip = match record.address {
        IpAddr::V6(ip) => ip,
        IpAddr::V4(_) => Ipv6Addr::UNSPECIFIED,
    };
    api::ReservedIpv6 {
        ip,
        region_slug: record.region,
        reserved_at: record.created_at,
        droplet: led_to(control, caller, droplet),
    }
}

/// Where to find the Droplet that an address is being assigned to, and the action that does it (RIP-1).
pub(crate) fn reserved_ip_links(base: &BaseUrl, assigning: Option<(DropletId, ActionId)>) -> api::ReservedIpLinks {
    let Some((droplet, action)) = assigning else { return api::ReservedIpLinks::default() };
    let href = base.address(&format!("/v2/droplets/{droplet}"));
    let droplets = vec![api::DropletLink { id: droplet, rel: "droplet".to_owned(), href }];
    let href = base.address(&format!("/v2/actions/{action}"));
    api::ReservedIpLinks { droplets, actions: vec![api::ActionLink { id: action, rel: "assign_ip".to_owned(), href }] }
}
