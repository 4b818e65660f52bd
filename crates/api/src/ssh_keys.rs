//! SSH keys of an account, which new Droplets let in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Resource, SshKeyId,
    lenient::empty_is_none,
    page::{Collection, Single},
};

/// A public key. Source: public OpenAPI, model `sshKeys`; behaviour rule KEY-1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SshKey {
    /// Its number.
    pub id: SshKeyId,
    /// MD5 of the key's bytes: 16 bytes in hex, colons between.
    pub fingerprint: String,
    /// The key in OpenSSH's one-line form.
    pub public_key: String,
    /// Its name for people.
    pub name: String,
}

impl Resource for SshKey {
    const ONE: &'static str = "ssh_key";
    const MANY: &'static str = "ssh_keys";
}

/// The answer that holds one key.
pub type SshKeyResponse = Single<SshKey>;
/// The answer of `GET /v2/account/keys`.
pub type SshKeysResponse = Collection<SshKey>;

/// The body of `POST /v2/account/keys`. Both members are required; which is missing is the control plane's to say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SshKeyCreateRequest {
    /// A name for people.
    #[serde(deserialize_with = "empty_is_none")]
    pub name: Option<String>,
    /// The key in OpenSSH's one-line form.
    #[serde(deserialize_with = "empty_is_none")]
    pub public_key: Option<String>,
}

/// The body of `PUT /v2/account/keys/{id}`; nothing but the name can change (behaviour rule KEY-2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SshKeyUpdateRequest {
    /// The new name.
    #[serde(deserialize_with = "empty_is_none")]
    pub name: Option<String>,
}
