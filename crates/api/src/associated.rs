//! What belongs to a Droplet and may be destroyed with it.

use dewpoint_clock::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lenient::null_is_default;

/// Something that costs on after its Droplet is gone. Source: public OpenAPI, model `associated_resource`; behaviour rule DEL-5.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AssociatedResource {
    /// Its id as text, also where it is a number.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// What keeping it would cost, in USD a month, with two decimals.
    pub cost: String,
}

/// The answer of `GET /v2/droplets/{id}/destroy_with_associated_resources`: kind by kind, with no root key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AssociatedResourcesResponse {
    /// Reserved addresses.
    pub reserved_ips: Vec<AssociatedResource>,
    /// The same under their old name.
    pub floating_ips: Vec<AssociatedResource>,
    /// Snapshots of the Droplet.
    pub snapshots: Vec<AssociatedResource>,
    /// Volumes attached to it.
    pub volumes: Vec<AssociatedResource>,
    /// Snapshots of these volumes.
    pub volume_snapshots: Vec<AssociatedResource>,
}

/// The body of `DELETE …/destroy_with_associated_resources/selective`: ids as text. What is not named is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SelectiveDestroyRequest {
    /// Reserved addresses.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub reserved_ips: Vec<String>,
    /// The same under their old name.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub floating_ips: Vec<String>,
    /// Snapshots of the Droplet.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<String>,
    /// Volumes.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// Snapshots of volumes.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub volume_snapshots: Vec<String>,
}

/// How far the destruction of one thing is. Source: public OpenAPI, model `destroyed_associated_resource`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DestroyedResource {
    /// Its id as text.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// When it was destroyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destroyed_at: Option<Timestamp>,
    /// Why it could not be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
}

/// What is destroyed along with a Droplet, kind by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DestroyedResources {
    /// Reserved addresses.
    pub reserved_ips: Vec<DestroyedResource>,
    /// The same under their old name.
    pub floating_ips: Vec<DestroyedResource>,
    /// Snapshots of the Droplet.
    pub snapshots: Vec<DestroyedResource>,
    /// Volumes.
    pub volumes: Vec<DestroyedResource>,
    /// Snapshots of volumes.
    pub volume_snapshots: Vec<DestroyedResource>,
}

/// The answer of `GET …/destroy_with_associated_resources/status`. Source: public OpenAPI, model
/// `associated_resource_status`; behaviour rule DEL-7.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DestroyStatusResponse {
    /// The Droplet.
    pub droplet: DestroyedResource,
    /// What goes with it.
    pub resources: DestroyedResources,
    /// When all was tried; left out while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// How many things could not be destroyed.
    pub failures: u64,
}
