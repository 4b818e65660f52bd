//! Tags, and what bears them.

use dewpoint_api::{Tag, TagCreateRequest, TagResource, TagResourcesRequest};

use crate::{Call, Kept, List, operations as op};

groups! {
    /// Tags: words put on resources to find or change them together.
    Tags;
    /// Putting tags on resources, and taking them off.
    TagResources;
}

leads! { Tags {
    /// Putting tags on resources.
    resources -> TagResources;
} }

impl Tags {
    /// `GET /v2/tags`.
    pub fn list(&self) -> List<Tag> {
        self.0.list(&op::TAGS_LIST, &[])
    }

    /// `POST /v2/tags`.
    pub fn create(&self, name: &str) -> Call<Kept<Tag>> {
        self.0.one_from(&op::TAGS_CREATE, &[], &TagCreateRequest { name: name.to_owned() })
    }

    /// `GET /v2/tags/{name}`: with how much bears it.
    #[doc(alias = "retrieve")]
    pub fn get(&self, name: &str) -> Call<Kept<Tag>> {
        self.0.one(&op::TAGS_GET, &[&name])
    }

    /// `DELETE /v2/tags/{name}`: takes it off everything.
    pub fn delete(&self, name: &str) -> Call<()> {
        self.0.done(&op::TAGS_DELETE, &[&name])
    }
}

impl TagResources {
    /// `POST /v2/tags/{name}/resources`: puts the tag on resources.
    pub fn assign(&self, name: &str, resources: impl IntoIterator<Item = TagResource>) -> Call<()> {
        let body = TagResourcesRequest { resources: resources.into_iter().collect() };
        self.0.done_from(&op::TAGS_ASSIGN_RESOURCES, &[&name], &body)
    }

    /// `DELETE /v2/tags/{name}/resources`: takes the tag off resources.
    pub fn unassign(&self, name: &str, resources: impl IntoIterator<Item = TagResource>) -> Call<()> {
        let body = TagResourcesRequest { resources: resources.into_iter().collect() };
        self.0.done_from(&op::TAGS_UNASSIGN_RESOURCES, &[&name], &body)
    }
}
