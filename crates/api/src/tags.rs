//! Tags: words put on resources to find or change them together.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    Resource, TagName,
    lenient::{NumberOrText, null_is_default},
    page::{Collection, Single},
};

/// A tag and how much bears it. Source: public OpenAPI, model `tags`; behaviour rules TAG-1, TAG-4.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tag {
    /// The word.
    pub name: TagName,
    /// How much bears it, of what the token may see.
    #[serde(default)]
    pub resources: TagResources,
}

impl Resource for Tag {
    const ONE: &'static str = "tag";
    const MANY: &'static str = "tags";
}

/// The answer that holds one tag.
pub type TagResponse = Single<Tag>;
/// The answer of `GET /v2/tags`.
pub type TagsResponse = Collection<Tag>;

/// What bears a tag, in all and by kind. The description misspells `images` once; godo and its examples do not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TagResources {
    /// How many in all.
    pub count: u64,
    /// The one tagged last; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_tagged_uri: Option<String>,
    /// Droplets.
    pub droplets: TagCount,
    /// Images.
    pub images: TagCount,
    /// Volumes.
    pub volumes: TagCount,
    /// Snapshots of volumes.
    pub volume_snapshots: TagCount,
    /// Databases; always none here.
    pub databases: TagCount,
}

/// How many resources of one kind bear a tag. Source: public OpenAPI, model `tags_metadata`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TagCount {
    /// How many.
    pub count: u64,
    /// The one tagged last; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_tagged_uri: Option<String>,
}

/// The body of `POST /v2/tags`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TagCreateRequest {
    /// The word. Text, so that one that breaks the rule can be a 422.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
}

/// The body of `POST` and `DELETE /v2/tags/{tag}/resources`. Source: public OpenAPI, model `tags_resource`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TagResourcesRequest {
    /// What to tag or untag.
    #[serde(deserialize_with = "null_is_default")]
    pub resources: Vec<TagResource>,
}

/// A resource as a request about tags names it (behaviour rule TAG-3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TagResource {
    /// Its id as text; a number is taken as well.
    #[serde(deserialize_with = "text_of_id")]
    pub resource_id: String,
    /// Its kind, such as `droplet`. Text, so that an unknown one can be a 422.
    #[serde(deserialize_with = "null_is_default")]
    pub resource_type: String,
}

fn text_of_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Option::<NumberOrText>::deserialize(deserializer)? {
        Some(NumberOrText::Number(number)) => number.to_string(),
        Some(NumberOrText::Text(text)) => text,
        None => String::new(),
    })
}
