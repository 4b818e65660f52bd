//! Reserved addresses, v4 by both their names, and v6.

use std::net::{Ipv4Addr, Ipv6Addr};

use dewpoint_api::{
    Action, ActionId, FloatingIp, RegionSlug, ReservedIp, ReservedIpActionRequest, ReservedIpCreateRequest,
    ReservedIpv6, ReservedIpv6CreateRequest,
};

use crate::{Call, Kept, List, NamesDroplet, operations as op};

groups! {
    /// Reserved IPv4 addresses: an account's own, leading to a Droplet of its choice.
    ReservedIps;
    /// Actions of reserved IPv4 addresses.
    ReservedIpActions;
    /// Reserved IPv4 addresses by their older name.
    FloatingIps;
    /// Actions of reserved IPv4 addresses by their older name.
    FloatingIpActions;
    /// Reserved IPv6 addresses.
    ReservedIpv6s;
    /// Actions of reserved IPv6 addresses.
    ReservedIpv6Actions;
}

/// An address for a Droplet, which it is assigned to at once.
fn of_droplet(droplet: &dyn NamesDroplet) -> ReservedIpCreateRequest {
    ReservedIpCreateRequest { droplet_id: Some(droplet.droplet_id()), ..ReservedIpCreateRequest::default() }
}

/// An address in a region, which leads nowhere yet.
fn in_region(region: RegionSlug) -> ReservedIpCreateRequest {
    ReservedIpCreateRequest { region: Some(region), ..ReservedIpCreateRequest::default() }
}

fn assign(droplet: &dyn NamesDroplet) -> ReservedIpActionRequest {
    ReservedIpActionRequest { kind: "assign".to_owned(), droplet_id: Some(droplet.droplet_id()) }
}

fn unassign() -> ReservedIpActionRequest {
    ReservedIpActionRequest { kind: "unassign".to_owned(), droplet_id: None }
}

/// Declares the operations of IPv4 addresses, which have two names on the wire and are otherwise the same.
macro_rules! addresses {
    ($group:ident, $actions:ident, $model:ident, $path:literal,
     $list:ident $create:ident $get:ident $delete:ident $act_list:ident $act_post:ident $act_get:ident) => {
        leads! { $group {
            /// Their actions.
            actions -> $actions;
        } }

        impl $group {
            #[doc = concat!("`GET /v2/", $path, "`.")]
            pub fn list(&self) -> List<$model> {
                self.0.list(&op::$list, &[])
            }

            #[doc = concat!("`POST /v2/", $path, "`: for a Droplet, in a region, in a project.")]
            pub fn create(&self, wanted: &ReservedIpCreateRequest) -> Call<Kept<$model>> {
                self.0.one_from(&op::$create, &[], wanted)
            }

            /// Reserves an address and assigns it to a Droplet.
            pub fn create_for(&self, droplet: impl NamesDroplet) -> Call<Kept<$model>> {
                self.create(&of_droplet(&droplet))
            }

            /// Reserves an address in a region.
            pub fn create_in(&self, region: impl Into<RegionSlug>) -> Call<Kept<$model>> {
                self.create(&in_region(region.into()))
            }

            #[doc = concat!("`GET /v2/", $path, "/{ip}`.")]
            #[doc(alias = "retrieve")]
            pub fn get(&self, ip: Ipv4Addr) -> Call<Kept<$model>> {
                self.0.one(&op::$get, &[&ip])
            }

            #[doc = concat!("`DELETE /v2/", $path, "/{ip}`: gives the address up.")]
            pub fn delete(&self, ip: Ipv4Addr) -> Call<()> {
                self.0.done(&op::$delete, &[&ip])
            }
        }

        impl $actions {
            #[doc = concat!("`GET /v2/", $path, "/{ip}/actions`.")]
            pub fn list(&self, ip: Ipv4Addr) -> List<Action> {
                self.0.list(&op::$act_list, &[&ip])
            }

            #[doc = concat!("`GET /v2/", $path, "/{ip}/actions/{action}`.")]
            #[doc(alias = "retrieve")]
            pub fn get(&self, ip: Ipv4Addr, action: impl Into<ActionId>) -> Call<Kept<Action>> {
                self.0.one(&op::$act_get, &[&ip, &action.into()])
            }

            #[doc = concat!("`POST /v2/", $path, "/{ip}/actions`: an action of any kind.")]
            pub fn initiate(&self, ip: Ipv4Addr, wanted: &ReservedIpActionRequest) -> Call<Kept<Action>> {
                self.0.one_from(&op::$act_post, &[&ip], wanted)
            }

            /// Leads the address to a Droplet.
            pub fn assign(&self, ip: Ipv4Addr, droplet: impl NamesDroplet) -> Call<Kept<Action>> {
                self.initiate(ip, &assign(&droplet))
            }

            /// Leads the address nowhere.
            pub fn unassign(&self, ip: Ipv4Addr) -> Call<Kept<Action>> {
                self.initiate(ip, &unassign())
            }
        }
    };
}

addresses!(ReservedIps, ReservedIpActions, ReservedIp, "reserved_ips",
    RESERVED_IPS_LIST RESERVED_IPS_CREATE RESERVED_IPS_GET RESERVED_IPS_DELETE
    RESERVED_IPS_ACTIONS_LIST RESERVED_IPS_ACTIONS_POST RESERVED_IPS_ACTIONS_GET);
addresses!(FloatingIps, FloatingIpActions, FloatingIp, "floating_ips",
    FLOATING_IPS_LIST FLOATING_IPS_CREATE FLOATING_IPS_GET FLOATING_IPS_DELETE
    FLOATING_IPS_ACTION_LIST FLOATING_IPS_ACTION_POST FLOATING_IPS_ACTION_GET);

leads! { ReservedIpv6s {
    /// Their actions.
    actions -> ReservedIpv6Actions;
} }

impl ReservedIpv6s {
    /// `GET /v2/reserved_ipv6`.
    pub fn list(&self) -> List<ReservedIpv6> {
        self.0.list(&op::RESERVED_IPV6_LIST, &[])
    }

    /// `POST /v2/reserved_ipv6`: an address in a region.
    pub fn create(&self, region: impl Into<RegionSlug>) -> Call<Kept<ReservedIpv6>> {
        let body = ReservedIpv6CreateRequest { region_slug: Some(region.into()) };
        self.0.one_from(&op::RESERVED_IPV6_CREATE, &[], &body)
    }

    /// `GET /v2/reserved_ipv6/{ip}`.
    #[doc(alias = "retrieve")]
    pub fn get(&self, ip: Ipv6Addr) -> Call<Kept<ReservedIpv6>> {
        self.0.one(&op::RESERVED_IPV6_GET, &[&ip])
    }

    /// `DELETE /v2/reserved_ipv6/{ip}`: gives the address up.
    pub fn delete(&self, ip: Ipv6Addr) -> Call<()> {
        self.0.done(&op::RESERVED_IPV6_DELETE, &[&ip])
    }
}

impl ReservedIpv6Actions {
    /// `POST /v2/reserved_ipv6/{ip}/actions`: an action of any kind.
    pub fn initiate(&self, ip: Ipv6Addr, wanted: &ReservedIpActionRequest) -> Call<Kept<Action>> {
        self.0.one_from(&op::RESERVED_IPV6_ACTIONS_POST, &[&ip], wanted)
    }

    /// Leads the address to a Droplet.
    pub fn assign(&self, ip: Ipv6Addr, droplet: impl NamesDroplet) -> Call<Kept<Action>> {
        self.initiate(ip, &assign(&droplet))
    }

    /// Leads the address nowhere.
    pub fn unassign(&self, ip: Ipv6Addr) -> Call<Kept<Action>> {
        self.initiate(ip, &unassign())
    }
}
