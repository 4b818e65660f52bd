//! Our own endpoint for accounts, `/dew/v1/accounts`: each is a customer of its own, as an account of the public service is.

use dewpoint_clock::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Invalid, Resource, TokenId, lenient::empty_is_none, page::Collection};

/// Most characters of a name or an address here.
const TEXT_MAX: usize = 255;

/// The body of `POST /dew/v1/accounts`. A member that is not known is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountCreateRequest {
    /// Whose it is, for people; no two accounts have one name.
    pub name: String,
    /// Where its owner is written to; absent means nowhere.
    #[serde(default, deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// What its team is called; absent means as the account.
    #[serde(default, deserialize_with = "empty_is_none", skip_serializing_if = "Option::is_none")]
    pub team_name: Option<String>,
}

impl AccountCreateRequest {
    /// The request with its texts trimmed. Fails, as a 422, for one that is missing, too long or no text of one line.
    pub fn checked(&self) -> Result<Self, Invalid> {
        let text = |field: &'static str, text: &str| {
            let text = text.trim();
            match () {
                () if text.is_empty() => Err(Invalid::new(field, "is required and cannot be empty.")),
                () if text.chars().count() > TEXT_MAX => {
                    Err(Invalid::new(field, format!("is too long (maximum is {TEXT_MAX} characters).")))
                }
                () if text.chars().any(char::is_control) => Err(Invalid::new(field, "must be one line of text.")),
                () => Ok(text.to_owned()),
            }
        };
        let optional = |field, value: &Option<String>| value.as_deref().map(|value| text(field, value)).transpose();
        let email = optional("email", &self.email)?;
        if email.as_ref().is_some_and(|email| !email.contains('@')) {
            return Err(Invalid::new("email", "is no mail address."));
        }
        Ok(Self { name: text("name", &self.name)?, email, team_name: optional("team_name", &self.team_name)? })
    }
}

/// An account as the operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountEntry {
    /// Its name for programs, as `GET /v2/account` has it.
    pub uuid: String,
    /// Its name for people.
    pub name: String,
    /// Where its owner is written to.
    pub email: String,
    /// What its team is called.
    pub team_name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Resource for AccountEntry {
    const ONE: &'static str = "account";
    const MANY: &'static str = "accounts";
}

/// The answer of `GET /dew/v1/accounts`.
pub type AccountsResponse = Collection<AccountEntry>;

/// The answer of `POST /dew/v1/accounts`, the only one that holds the account's first token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountCreateResponse {
    /// The account.
    pub account: AccountEntry,
    /// A token for everything of it. It is kept nowhere and cannot be shown again.
    pub token: String,
    /// What the token is called where tokens are listed and revoked.
    pub token_id: TokenId,
}

impl std::fmt::Debug for AccountCreateResponse {
    /// Leaves out the token, so that it reaches no log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccountCreateResponse").field("account", &self.account).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_needs_a_name_of_one_line() {
        let checked = |json: &str| serde_json::from_str::<AccountCreateRequest>(json).expect("its shape").checked();
        let good = checked(r#"{"name":" Team A ","email":"a@example.com","team_name":""}"#).expect("a good one");
        assert_eq!(
            (good.name.as_str(), good.email.as_deref(), good.team_name),
            ("Team A", Some("a@example.com"), None)
        );
        for bad in [r#"{"name":" "}"#, r#"{"name":"a\nb"}"#, r#"{"name":"a","email":"nobody"}"#] {
            assert!(checked(bad).is_err(), "{bad}");
        }
        assert!(AccountCreateRequest { name: "a".repeat(256), ..Default::default() }.checked().is_err());
    }
}
