//! Projects: groups of resources, for people.

use dewpoint_clock::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ProjectId, Resource,
    lenient::{empty_is_none, null_is_default},
    page::{Collection, Single},
    word::{Word, words},
};

/// A group of resources. Source: public OpenAPI, model `project`; behaviour rule PRJ-1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// The UUID of its owner.
    pub owner_uuid: String,
    /// The number of its owner.
    pub owner_id: u64,
    /// Its name, unique in the account.
    pub name: String,
    /// What it is, for people.
    pub description: String,
    /// What it is for; `Other: ` stands before what is not one of the known purposes.
    pub purpose: String,
    /// `Development`, `Staging` or `Production`; not sent when it has none, which is no word of the public model's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub environment: String,
    /// Whether resources are in it unless they were put into another.
    pub is_default: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Resource for Project {
    const ONE: &'static str = "project";
    const MANY: &'static str = "projects";
}

/// The answer that holds one project.
pub type ProjectResponse = Single<Project>;
/// A page of projects.
pub type ProjectsResponse = Collection<Project>;

/// The body that makes or changes a project. What must be there depends on the operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProjectRequest {
    /// Its name; at most 175 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is; at most 255 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it is for; at most 255 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// `development`, `staging` or `production`, in any case.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Whether to make it the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_default: Option<bool>,
}

/// Something in a project, or that was to be put there. Source: public OpenAPI, model `resource`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProjectResource {
    /// Its name among all resources, such as `do:droplet:42`.
    pub urn: String,
    /// When it came into the project.
    pub assigned_at: Timestamp,
    /// Where it can be read.
    pub links: ProjectResourceLinks,
    /// How it is with it.
    pub status: Word<ProjectResourceStatus>,
}

impl Resource for ProjectResource {
    const ONE: &'static str = "resource";
    const MANY: &'static str = "resources";
}

/// Where a resource of a project can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProjectResourceLinks {
    /// Its own address; none for one that is not there.
    #[serde(rename = "self", skip_serializing_if = "Option::is_none")]
    pub own: Option<String>,
}

/// A page of a project's resources.
pub type ProjectResourcesResponse = Collection<ProjectResource>;

/// The answer that tells how each resource that was to be put into a project came out. It has no pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProjectAssignResponse {
    /// The resources, in the order of the request.
    pub resources: Vec<ProjectResource>,
}

words! {
    /// How a resource of a project is, or came out.
    pub enum ProjectResourceStatus {
        /// It is in the project.
        Ok = "ok",
        /// There is no such resource.
        NotFound = "not_found",
        /// It is in the project now.
        Assigned = "assigned",
        /// It was in the project already.
        AlreadyAssigned = "already_assigned",
        /// It cannot be looked at now.
        ServiceDown = "service_down",
    }
}

/// The body that puts resources into a project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProjectAssignRequest {
    /// Their names among all resources.
    #[serde(deserialize_with = "null_is_default")]
    pub resources: Vec<String>,
}
