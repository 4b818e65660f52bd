//! Projects, and what is in them.

use std::fmt::Display;

use dewpoint_api::{Project, ProjectAssignRequest, ProjectId, ProjectRequest, ProjectResource};

use crate::{Call, Kept, List, operations as op};

groups! {
    /// Projects: groups of resources, for people.
    Projects;
    /// What is in projects, by URN such as `do:droplet:42`.
    ProjectResources;
    /// The project that resources are in unless they were put into another.
    DefaultProject;
}

leads! { Projects {
    /// What is in projects.
    resources -> ProjectResources;
    /// The default project.
    default -> DefaultProject;
} }

impl Projects {
    /// `GET /v2/projects`.
    pub fn list(&self) -> List<Project> {
        self.0.list(&op::PROJECTS_LIST, &[])
    }

    /// `POST /v2/projects`: name and purpose are required.
    pub fn create(&self, wanted: &ProjectRequest) -> Call<Kept<Project>> {
        self.0.one_from(&op::PROJECTS_CREATE, &[], wanted)
    }

    /// `GET /v2/projects/{id}`.
    #[doc(alias = "retrieve")]
    pub fn get(&self, id: impl Into<ProjectId>) -> Call<Kept<Project>> {
        self.0.one(&op::PROJECTS_GET, &[&id.into()])
    }

    /// `PUT /v2/projects/{id}`: all members are required.
    pub fn update(&self, id: impl Into<ProjectId>, wanted: &ProjectRequest) -> Call<Kept<Project>> {
        self.0.one_from(&op::PROJECTS_UPDATE, &[&id.into()], wanted)
    }

    /// `PATCH /v2/projects/{id}`: what the request does not name stays.
    pub fn patch(&self, id: impl Into<ProjectId>, wanted: &ProjectRequest) -> Call<Kept<Project>> {
        self.0.one_from(&op::PROJECTS_PATCH, &[&id.into()], wanted)
    }

    /// `DELETE /v2/projects/{id}`: 412 while there is something in it.
    pub fn delete(&self, id: impl Into<ProjectId>) -> Call<()> {
        self.0.done(&op::PROJECTS_DELETE, &[&id.into()])
    }
}

impl ProjectResources {
    /// `GET /v2/projects/{id}/resources`.
    pub fn list(&self, id: impl Into<ProjectId>) -> List<ProjectResource> {
        self.0.list(&op::PROJECTS_LIST_RESOURCES, &[&id.into()])
    }

    /// `POST /v2/projects/{id}/resources`: puts resources into it. Tells how each came out.
    pub fn assign(
        &self,
        id: impl Into<ProjectId>,
        urns: impl IntoIterator<Item = impl Display>,
    ) -> Call<Vec<Kept<ProjectResource>>> {
        self.0.many_from(&op::PROJECTS_ASSIGN_RESOURCES, &[&id.into()], &these(urns))
    }
}

impl DefaultProject {
    /// `GET /v2/projects/default`.
    #[doc(alias = "retrieve")]
    pub fn get(&self) -> Call<Kept<Project>> {
        self.0.one(&op::PROJECTS_GET_DEFAULT, &[])
    }

    /// `PUT /v2/projects/default`: all members are required.
    pub fn update(&self, wanted: &ProjectRequest) -> Call<Kept<Project>> {
        self.0.one_from(&op::PROJECTS_UPDATE_DEFAULT, &[], wanted)
    }

    /// `PATCH /v2/projects/default`: what the request does not name stays.
    pub fn patch(&self, wanted: &ProjectRequest) -> Call<Kept<Project>> {
        self.0.one_from(&op::PROJECTS_PATCH_DEFAULT, &[], wanted)
    }

    /// `GET /v2/projects/default/resources`.
    pub fn list_resources(&self) -> List<ProjectResource> {
        self.0.list(&op::PROJECTS_LIST_RESOURCES_DEFAULT, &[])
    }

    /// `POST /v2/projects/default/resources`: puts resources into it. Tells how each came out.
    pub fn assign_resources(&self, urns: impl IntoIterator<Item = impl Display>) -> Call<Vec<Kept<ProjectResource>>> {
        self.0.many_from(&op::PROJECTS_ASSIGN_RESOURCES_DEFAULT, &[], &these(urns))
    }
}

fn these(urns: impl IntoIterator<Item = impl Display>) -> ProjectAssignRequest {
    ProjectAssignRequest { resources: urns.into_iter().map(|urn| urn.to_string()).collect() }
}
