//! Reserved IPs: addresses that stay an account's and lead to a Droplet of its choice. Floating IPs are the same, by an older
//! name (behaviour rules RIP-1 to RIP-7).

use std::net::{Ipv4Addr, Ipv6Addr};

use dewpoint_clock::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Droplet, DropletId, Embedded, ProjectId, Region, RegionSlug, Resource,
    lenient::{empty_is_none, null_is_default},
    page::{ActionLink, Collection, Single},
};

/// A reserved IPv4 address. Source: public OpenAPI, model `reserved_ip`; behaviour rule RIP-2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReservedIp {
    /// The address, which is also its id.
    #[schemars(with = "String", extend("format" = "ipv4"))]
    pub ip: Ipv4Addr,
    /// The Droplet it leads to; null when none, or for a token that may not see Droplets (behaviour rule AUTH-6).
    pub droplet: Option<Box<Droplet>>,
    /// Its region.
    pub region: Embedded<Region>,
    /// Whether an action runs on it: others are refused then.
    pub locked: bool,
    /// The project it is in; left out for a token that may not see projects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
}

impl Resource for ReservedIp {
    const ONE: &'static str = "reserved_ip";
    const MANY: &'static str = "reserved_ips";
}

/// A reserved IPv4 address by its older name. Source: public OpenAPI, model `floating_ip`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct FloatingIp(pub ReservedIp);

impl Resource for FloatingIp {
    const ONE: &'static str = "floating_ip";
    const MANY: &'static str = "floating_ips";
}

/// A reserved IPv6 address. Source: public OpenAPI, model `reserved_ipv6`; behaviour rule RIP-5.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReservedIpv6 {
    /// The address, which is also its id.
    #[schemars(with = "String", extend("format" = "ipv6"))]
    pub ip: Ipv6Addr,
    /// Its region.
    pub region_slug: RegionSlug,
    /// When it was reserved.
    pub reserved_at: Timestamp,
    /// The Droplet it leads to; null when none, or for a token that may not see Droplets.
    pub droplet: Option<Box<Droplet>>,
}

impl Resource for ReservedIpv6 {
    const ONE: &'static str = "reserved_ipv6";
    const MANY: &'static str = "reserved_ipv6s";
}

/// The answer that holds one reserved IP.
pub type ReservedIpResponse = Single<ReservedIp>;
/// A page of reserved IPs.
pub type ReservedIpsResponse = Collection<ReservedIp>;
/// The answer that holds one floating IP.
pub type FloatingIpResponse = Single<FloatingIp>;
/// A page of floating IPs.
pub type FloatingIpsResponse = Collection<FloatingIp>;
/// The answer that holds one reserved IPv6 address.
pub type ReservedIpv6Response = Single<ReservedIpv6>;
/// A page of reserved IPv6 addresses.
pub type ReservedIpv6sResponse = Collection<ReservedIpv6>;

/// Where a Droplet is that an answer speaks of. Source: public OpenAPI, model `action_link`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DropletLink {
    /// The Droplet.
    pub id: DropletId,
    /// `droplet`.
    pub rel: String,
    /// Its absolute address.
    pub href: String,
}

/// The `links` of an answer that reserved an address: empty unless it is being assigned (behaviour rule RIP-1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReservedIpLinks {
    /// The Droplet it is being assigned to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub droplets: Vec<DropletLink>,
    /// The action that does it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<ActionLink>,
}

/// The answer of `POST /v2/reserved_ips`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReservedIpCreated {
    /// The address.
    pub reserved_ip: ReservedIp,
    /// What it is being assigned to, and by what.
    pub links: ReservedIpLinks,
}

/// The answer of `POST /v2/floating_ips`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FloatingIpCreated {
    /// The address.
    pub floating_ip: FloatingIp,
    /// What it is being assigned to, and by what.
    pub links: ReservedIpLinks,
}

/// The body of `POST /v2/reserved_ips` and `/v2/floating_ips`: a Droplet, a region, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ReservedIpCreateRequest {
    /// The Droplet to assign it to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub droplet_id: Option<DropletId>,
    /// Where; the Droplet's region when there is one.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionSlug>,
    /// The project to put it into; the default one when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
}

/// The body of `POST /v2/reserved_ipv6`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ReservedIpv6CreateRequest {
    /// Where. Required.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub region_slug: Option<RegionSlug>,
}

/// The body of `POST /v2/reserved_ips/{ip}/actions` and its like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ReservedIpActionRequest {
    /// `assign` or `unassign`. Required.
    #[serde(rename = "type", deserialize_with = "null_is_default")]
    pub kind: String,
    /// The Droplet. Required for `assign`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub droplet_id: Option<DropletId>,
}
