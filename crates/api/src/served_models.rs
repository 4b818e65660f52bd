//! Models that the operator adds to a running server: `/dew/v1/models`.

use dewpoint_clock::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Resource, TagName,
    lenient::empty_is_none,
    page::{Collection, Single},
    word::{Word, words},
};

words! {
    /// How far a model is.
    pub enum ServedModelState {
        /// Its file is being copied into the server's data directory.
        Copying = "copying",
        /// Its file is being loaded.
        Loading = "loading",
        /// It answers.
        Ready = "ready",
        /// Nothing that could answer for it is there now: no Droplet with its tag, or its file is another server's.
        Waiting = "waiting",
        /// It cannot be served; `why` says why.
        Failed = "failed",
    }
}

/// What the header of a model's file says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ModelFacts {
    /// Such as `llama`.
    pub architecture: Option<String>,
    /// How its weights are written, such as `Q4_K_M`.
    pub quantization: Option<String>,
    /// Most tokens it was trained to hold.
    pub context: Option<u64>,
    /// How many numbers stand for one token.
    pub embedding_length: Option<u64>,
    /// How many weights it has.
    pub parameters: Option<u64>,
}

/// The body of `POST /dew/v1/models`. One of `file` and `droplets`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServedModelRequest {
    /// What requests are to call it: letters, digits, `.`, `-`, `_`, `:` and `/`.
    #[serde(deserialize_with = "empty_is_none")]
    pub name: Option<String>,
    /// A GGUF file on the server's host, by its whole path. The server copies it.
    #[serde(deserialize_with = "empty_is_none")]
    pub file: Option<String>,
    /// Droplets that serve it.
    pub droplets: Option<ServedByDroplets>,
    /// Who runs it, as `/v1/models` tells it; `dewpoint` when nothing is said.
    #[serde(deserialize_with = "empty_is_none")]
    pub owned_by: Option<String>,
}

/// Droplets that serve a model: all with the tag that are active.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServedByDroplets {
    /// Their tag.
    pub tag: TagName,
    /// The port they answer on, behind `/v1`.
    pub port: u16,
}

/// A model's file, and who answers with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServedFile {
    /// Where it was copied from.
    pub from: String,
    /// How long it is.
    pub bytes: u64,
    /// How much of it is copied.
    pub bytes_copied: u64,
    /// SHA-256 in lower-case hex; null until it is copied.
    pub sha256: Option<String>,
    /// What its header says.
    #[serde(flatten)]
    pub facts: ModelFacts,
    /// The process that answers, on the server's host; null when there is none.
    pub pid: Option<u32>,
}

/// A model that was added to a running server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServedModel {
    /// What requests call it.
    pub name: String,
    /// Who runs it.
    pub owned_by: String,
    /// When it was added.
    pub created_at: Timestamp,
    /// How far it is.
    pub state: Word<ServedModelState>,
    /// Why it is no further, and what helps; null when nothing is wrong.
    #[serde(default)]
    pub why: Option<String>,
    /// Its file; null when Droplets serve it.
    #[serde(default)]
    pub file: Option<ServedFile>,
    /// The Droplets that serve it; null when it is a file.
    #[serde(default)]
    pub droplets: Option<ServedByDroplets>,
}

impl Resource for ServedModel {
    const ONE: &'static str = "model";
    const MANY: &'static str = "models";
}

/// The answer that holds one model.
pub type ServedModelResponse = Single<ServedModel>;
/// The answer of `GET /dew/v1/models`.
pub type ServedModelsResponse = Collection<ServedModel>;
