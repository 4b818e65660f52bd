//! VPCs: private networks, each in one region; every Droplet is in exactly one.

use dewpoint_clock::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    RegionSlug, Resource, VpcId,
    lenient::{empty_is_none, null_is_default},
    page::{Collection, Single},
};

/// A private network. Source: public OpenAPI, model `vpc`; behaviour rules VPC-1, VPC-2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Vpc {
    /// Its id.
    pub id: VpcId,
    /// Its name among all resources: `do:vpc:` and the id.
    pub urn: String,
    /// Its name for people, unique in the account.
    pub name: String,
    /// What it is for.
    #[serde(default, deserialize_with = "null_is_default")]
    pub description: String,
    /// Its region.
    pub region: RegionSlug,
    /// Its addresses, such as `10.10.10.0/24`.
    pub ip_range: String,
    /// Whether Droplets of the region are in it unless they say otherwise.
    pub default: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Resource for Vpc {
    const ONE: &'static str = "vpc";
    const MANY: &'static str = "vpcs";
}

/// The answer that holds one VPC.
pub type VpcResponse = Single<Vpc>;
/// The answer of `GET /v2/vpcs`.
pub type VpcsResponse = Collection<Vpc>;

/// Something in a VPC. Source: public OpenAPI, model `vpc_member`; behaviour rule VPC-4.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VpcMember {
    /// Its name among all resources, such as `do:droplet:42`.
    pub urn: String,
    /// Its name for people.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Resource for VpcMember {
    const ONE: &'static str = "member";
    const MANY: &'static str = "members";
}

/// The answer of `GET /v2/vpcs/{id}/members`.
pub type VpcMembersResponse = Collection<VpcMember>;

/// The body of `POST /v2/vpcs`. Source: public OpenAPI, models `vpc_updatable` and `vpc_create`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct VpcCreateRequest {
    /// Its name. Required; see [`crate::rules::vpc_name`].
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
    /// What it is for; see [`crate::rules::vpc_description`].
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where. Required.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionSlug>,
    /// Its addresses; none means that the server chooses.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub ip_range: Option<String>,
}

/// The body of `PUT` and `PATCH /v2/vpcs/{id}`; for `PUT` a missing `description` empties it (behaviour rule VPC-5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct VpcUpdateRequest {
    /// A new name; `PUT` requires it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Another description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// True makes it the region's default; false changes nothing (behaviour rule VPC-2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<bool>,
}
