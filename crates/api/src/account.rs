//! The account a token belongs to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Resource,
    lenient::null_is_default,
    page::Single,
    word::{Word, words},
};

/// An account and its limits. Source: public OpenAPI, model `account`; behaviour rule ACC-1.
///
/// `reserved_ip_limit` and `volume_limit` are not in the description, but godo reads them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Account {
    /// Most Droplets it may have at a time.
    pub droplet_limit: u64,
    /// Most reserved addresses, by their old name.
    pub floating_ip_limit: u64,
    /// Most reserved addresses.
    #[serde(default)]
    pub reserved_ip_limit: u64,
    /// Most volumes.
    #[serde(default)]
    pub volume_limit: u64,
    /// Where to write to its owner.
    pub email: String,
    /// Its name for people.
    #[serde(default, deserialize_with = "null_is_default")]
    pub name: String,
    /// Its name for programs.
    pub uuid: String,
    /// Whether mail has reached its owner.
    pub email_verified: bool,
    /// Whether it may be used.
    pub status: Word<AccountStatus>,
    /// Why not, when not.
    pub status_message: String,
    /// The team it works in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<Team>,
}

impl Resource for Account {
    const ONE: &'static str = "account";
    const MANY: &'static str = "accounts";
}

/// The answer of `GET /v2/account`.
pub type AccountResponse = Single<Account>;

words! {
    /// Whether an account may be used.
    pub enum AccountStatus {
        /// It may.
        Active = "active",
        /// It may, with a word of warning.
        Warning = "warning",
        /// It may not.
        Locked = "locked",
    }
}

/// A team of people that share an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Team {
    /// Its name for programs.
    pub uuid: String,
    /// Its name for people.
    pub name: String,
}
