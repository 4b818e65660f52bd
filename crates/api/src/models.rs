//! Models that can be asked, and the keys to ask them with.

use dewpoint_clock::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Resource, TokenId,
    lenient::empty_is_none,
    page::{Collection, Single},
};

/// A model as `GET /v1/models` shows it (behaviour rule INF-9).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InferenceModel {
    /// What requests call it.
    pub id: String,
    /// `model`.
    pub object: String,
    /// Since when it is served, in seconds since the Unix epoch.
    pub created: i64,
    /// Who runs it.
    pub owned_by: String,
}

/// The answer of `GET /v1/models`: all of them, not paged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InferenceModelsResponse {
    /// `list`.
    pub object: String,
    /// The models.
    pub data: Vec<InferenceModel>,
}

/// A model as `GET /v2/gen-ai/models` shows it. Source: public OpenAPI, model `apiModel`, of which most is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GenAiModel {
    /// What requests call it.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Since when it is served.
    pub created_at: Timestamp,
    /// Whether it can be asked, which all are that are listed.
    pub upload_complete: bool,
}

impl Resource for GenAiModel {
    const ONE: &'static str = "model";
    const MANY: &'static str = "models";
}

/// The answer of `GET /v2/gen-ai/models`.
pub type GenAiModelsResponse = Collection<GenAiModel>;

/// The body of `POST /v2/gen-ai/models/api_keys` and of the PUT of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ModelKeyRequest {
    /// A name for people.
    #[serde(deserialize_with = "empty_is_none")]
    pub name: Option<String>,
    /// The key of a PUT, which clients may say here too; it is the path that is followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_uuid: Option<String>,
}

/// A model access key. Source: public OpenAPI, model `apiModelAPIKeyInfo`; behaviour rule AUTH-8.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelKey {
    /// Its name in paths.
    pub uuid: TokenId,
    /// Its name for people.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// The account it was made by.
    pub created_by: String,
    /// When it was deleted; in the answer to that alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// The key itself; in the answers that make it or give it another secret alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<String>,
}

impl std::fmt::Debug for ModelKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelKey").field("uuid", &self.uuid).field("name", &self.name).finish_non_exhaustive()
    }
}

impl Resource for ModelKey {
    const ONE: &'static str = "api_key_info";
    const MANY: &'static str = "api_key_infos";
}

/// The answer that holds one key.
pub type ModelKeyResponse = Single<ModelKey>;
/// The answer of `GET /v2/gen-ai/models/api_keys`.
pub type ModelKeysResponse = Collection<ModelKey>;
