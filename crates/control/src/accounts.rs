//! Accounts: whose everything is. The first one is the operator's, and its full tokens may make others.

use dewpoint_api::{AccountCreateRequest, AccountId, PageRequest, Scopes, TokenId};
use dewpoint_clock::Timestamp;
use dewpoint_store::{AccountRecord, Page, Sequence, TokenRecord, Tx, accounts, counters, tokens};
use uuid::Uuid;

use crate::{
    Control, Error,
    tokens::{NewToken, hash, hex, new_secret},
    window,
};

/// An account that was just made, with the only token it has.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// The account.
    pub record: AccountRecord,
    /// A token for everything of it, shown once.
    pub token: NewToken,
}

/// What an account is made from; all drawn before the transaction, which may run twice.
struct Plan {
    name: String,
    email: String,
    team_name: String,
    token_name: &'static str,
    secret: String,
    uuid: Uuid,
    team: Uuid,
    token: TokenId,
    now: Timestamp,
}

impl Plan {
    /// Adds the account and its full token.
    fn carry_out(&self, tx: &mut dyn Tx) -> Result<(AccountRecord, TokenRecord), Error> {
        let account = AccountRecord {
            id: AccountId(counters::draw(tx, Sequence::Account, 1)?),
            uuid: self.uuid.simple().to_string(),
            email: self.email.clone(),
            name: self.name.clone(),
            status: "active".to_owned(),
            status_message: String::new(),
            team_uuid: self.team.simple().to_string(),
            team_name: self.team_name.clone(),
            created_at: self.now,
        };
        accounts::account_insert(tx, &account)?;
        let token = TokenRecord {
            id: self.token,
            account: account.id,
            name: self.token_name.to_owned(),
            hash: hex(&hash(&self.secret)),
            scopes: Scopes::Full.to_string(),
            created_at: self.now,
            expires_at: None,
            revoked_at: None,
            last_used_at: None,
        };
        tokens::token_insert(tx, &token)?;
        Ok((account, token))
    }
}

impl Control {
    /// The account, which exists as long as a token of it does.
    pub async fn account_get(&self, account: AccountId) -> Result<AccountRecord, Error> {
        let found: Option<_> =
            self.inner.store.read(move |tx| accounts::account_get(tx, account).map_err(Error::from)).await?;
        found.ok_or(Error::NotFound)
    }

    /// The account of this uuid, in either spelling.
    pub async fn account_by_uuid(&self, uuid: Uuid) -> Result<AccountRecord, Error> {
        let text = uuid.simple().to_string();
        let found: Option<_> =
            self.inner.store.read(move |tx| accounts::account_by_uuid(tx, &text).map_err(Error::from)).await?;
        found.ok_or(Error::NotFound)
    }

    /// Every account, oldest first.
    pub async fn account_list(&self, page: PageRequest) -> Result<Page<AccountRecord>, Error> {
        self.inner.store.read(move |tx| accounts::account_list(tx, window(page)).map_err(Error::from)).await
    }

    /// Makes an account and a full token of it, whose secret is in the answer and nowhere else.
    ///
    /// Refused as [`Error::Conflict`] when there is an account of that name: a request sent twice makes one account.
    pub async fn account_create(&self, request: &AccountCreateRequest) -> Result<NewAccount, Error> {
        let request = request.checked()?;
        let uuid = self.inner.random.uuid();
        let plan = Plan {
            email: request.email.unwrap_or_else(|| format!("{}@dewpoint.invalid", uuid.simple())),
            team_name: request.team_name.unwrap_or_else(|| request.name.clone()),
            name: request.name,
            token_name: "first",
            secret: new_secret(&self.inner.random)?,
            uuid,
            team: self.inner.random.uuid(),
            token: TokenId(self.inner.random.uuid()),
            now: self.now(),
        };
        let secret = plan.secret.clone();
        let (record, token) = self
            .inner
            .store
            .write(move |tx: &mut dyn Tx| {
                if accounts::account_by_name(tx, &plan.name)?.is_some() {
                    return Err(Error::Conflict(format!("There is an account named {:?} already.", plan.name)));
                }
                plan.carry_out(tx)
            })
            .await?;
        Ok(NewAccount { record, token: NewToken { secret, record: token } })
    }

    /// Makes the first account and its admin token in an empty store; `None` when there is an account already.
    ///
    /// `secret` is the token to accept (`DEW_BOOTSTRAP_TOKEN`), or one is made. Fails when no client could send it.
    pub async fn bootstrap(&self, secret: Option<String>) -> Result<Option<NewToken>, Error> {
        let secret = match secret {
            Some(secret) if can_be_sent(&secret) => secret,
            Some(_) => {
                return Err(Error::invalid(
                    "a token is printable ASCII without spaces, and one that begins with dor_v1_ (a refresh token) is none",
                ));
            }
            None => new_secret(&self.inner.random)?,
        };
        let plan = Plan {
            name: "Admin".to_owned(),
            email: "admin@dewpoint.invalid".to_owned(),
            team_name: "My Team".to_owned(),
            token_name: "bootstrap",
            secret: secret.clone(),
            uuid: self.inner.random.uuid(),
            team: self.inner.random.uuid(),
            token: TokenId(self.inner.random.uuid()),
            now: self.now(),
        };
        let record: Option<TokenRecord> = self
            .inner
            .store
            .write(move |tx: &mut dyn Tx| {
                if accounts::account_first(tx)?.is_some() {
                    return Ok(None);
                }
                plan.carry_out(tx).map(|(_, token)| Some(token))
            })
            .await?;
        Ok(record.map(|record| NewToken { secret, record }))
    }
}

/// Whether a client can send this text as a token, and it is of a kind that lets one in (AUTH-1).
fn can_be_sent(secret: &str) -> bool {
    !secret.is_empty() && secret.bytes().all(|byte| byte.is_ascii_graphic()) && !secret.starts_with("dor_v1_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_nobody_could_send_is_none_auth_1() {
        for good in ["dop_v1_a", "doo_v1_a", "ci"] {
            assert!(can_be_sent(good), "{good:?}");
        }
        for bad in ["", "two words", "naïve", "line\n", "dor_v1_a"] {
            assert!(!can_be_sent(bad), "{bad:?}");
        }
    }
}
