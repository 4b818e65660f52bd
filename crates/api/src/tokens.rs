//! Our own endpoint for access tokens, `/dew/v1/tokens`: not part of the public API, whose tokens are made elsewhere.

use dewpoint_clock::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Invalid, Resource, Scopes, TokenId, lenient::empty_is_none, page::Collection};

/// The body of `POST /dew/v1/tokens`. A member that is not known is refused: a scope or an end that was written wrongly would
/// otherwise make a token that may do everything, for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TokenCreateRequest {
    /// What the token is for, for people.
    #[serde(deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it may do; absent means everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<ScopeNames>,
    /// Seconds until it ends; absent means never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
}

impl TokenCreateRequest {
    /// The scopes asked for. Fails, as a 422, for an unknown name or an empty list.
    pub fn checked_scopes(&self) -> Result<Scopes, Invalid> {
        match &self.scopes {
            None => Ok(Scopes::Full),
            Some(ScopeNames::One(text)) => text.parse(),
            Some(ScopeNames::Many(names)) => Scopes::from_names(names.iter().map(String::as_str)),
        }
    }
}

/// Names of scopes as a request has them: a list, or one text with spaces or commas between. `*`, `full` and `read` count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ScopeNames {
    /// One text.
    One(String),
    /// A list.
    Many(Vec<String>),
}

/// A token as it is listed: all about it but itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Token {
    /// Its name for programs.
    pub id: TokenId,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; null for never.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to within about a minute; null for never.
    #[serde(default)]
    pub last_used_at: Option<Timestamp>,
}

impl Resource for Token {
    const ONE: &'static str = "token";
    const MANY: &'static str = "tokens";
}

/// The answer of `GET /dew/v1/tokens`.
pub type TokensResponse = Collection<Token>;

/// The answer of `POST /dew/v1/tokens`, the only one that holds the token itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenCreateResponse {
    /// The token. It is kept nowhere and cannot be shown again.
    pub token: String,
    /// What the list will show of it.
    #[serde(flatten)]
    pub about: Token,
}

impl std::fmt::Debug for TokenCreateResponse {
    /// Leaves out the token, so that it reaches no log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenCreateResponse").field("about", &self.about).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(json: &str) -> Result<Scopes, Invalid> {
        serde_json::from_str::<TokenCreateRequest>(json).expect("its shape is right").checked_scopes()
    }

    #[test]
    fn scopes_are_all_unless_named() {
        assert_eq!(scopes(r#"{"name":"ci"}"#), Ok(Scopes::Full));
        assert_eq!(scopes(r#"{"scopes":null}"#), Ok(Scopes::Full));
        assert_eq!(scopes(r#"{"scopes":["*"]}"#), Ok(Scopes::Full));
        assert_eq!(scopes(r#"{"scopes":"full"}"#), Ok(Scopes::Full));
        assert_eq!(scopes(r#"{"scopes":"read"}"#), Ok(Scopes::ReadOnly));
        assert_eq!(scopes(r#"{"scopes":["droplet:read","image:read"]}"#), "image:read,droplet:read".parse());
        assert!(scopes(r#"{"scopes":[]}"#).is_err() && scopes(r#"{"scopes":["droplet:fly"]}"#).is_err());
    }
}
