//! Tokens: who is asking, and what they may do. A token is known by its hash alone.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use dewpoint_api::{AccountId, PageRequest, Scopes, TokenCreateRequest, TokenId};
use dewpoint_clock::Timestamp;
use dewpoint_store::{AccountRecord, Dialect, Page, Sequence, TokenRecord, Tx, accounts, counters, tokens};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{Control, Error, window};

/// What a token lets its bearer do. Made by [`Control::authenticate`].
#[derive(Debug, Clone)]
pub struct Grant {
    /// Whose resources it reaches.
    pub account: AccountId,
    /// Which token it is.
    pub token: TokenId,
    /// What it may do.
    pub scopes: Scopes,
    /// From when on it is void.
    pub expires_at: Option<Timestamp>,
}

/// A token as it is shown once, when it is made.
#[derive(Clone)]
pub struct NewToken {
    /// The token itself.
    pub secret: String,
    /// What is kept of it.
    pub record: TokenRecord,
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewToken").field("record", &self.record).finish_non_exhaustive()
    }
}

type Hash = [u8; 32];

/// Grants of tokens seen before. Bounded; a revoked token leaves at once.
pub(crate) struct Cache {
    grants: RwLock<HashMap<Hash, (Arc<Grant>, Timestamp)>>,
    /// How often a token was revoked here: what was read before a revocation is not kept after it.
    revocations: AtomicU64,
    /// How long an entry is believed: with several servers on one store, another one may revoke.
    keep: Option<Duration>,
}

impl Cache {
    const MOST: usize = 10_000;

    pub(crate) fn new(dialect: Dialect) -> Self {
        let keep = match dialect {
            Dialect::Sqlite => None,
            Dialect::Postgres => Some(Duration::from_secs(1)),
        };
        Self { grants: RwLock::default(), revocations: AtomicU64::new(0), keep }
    }

    fn get(&self, hash: &Hash, now: Timestamp) -> Option<Arc<Grant>> {
        let grants = self.grants.read().ok()?;
        let (grant, since) = grants.get(hash)?;
        let fresh = self.keep.is_none_or(|keep| now.since(*since) < keep);
        fresh.then(|| Arc::clone(grant))
    }

    /// Keeps what was read when there had been `revocations` of them, unless there was another since.
    fn put(&self, hash: Hash, grant: &Arc<Grant>, now: Timestamp, revocations: u64) {
        if let Ok(mut grants) = self.grants.write()
            && self.revocations() == revocations
        {
            if grants.len() >= Self::MOST {
                grants.clear();
            }
            grants.insert(hash, (Arc::clone(grant), now));
        }
    }

    fn revocations(&self) -> u64 {
        self.revocations.load(Ordering::SeqCst)
    }

    /// Forgets every token, as when the store is another.
    pub(crate) fn clear(&self) {
        let mut grants = self.grants.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.revocations.fetch_add(1, Ordering::SeqCst);
        grants.clear();
    }

    fn forget(&self, hash: &str) {
        if let Ok(mut grants) = self.grants.write() {
            // While the lock is held, so that nothing older is put in after it.
            self.revocations.fetch_add(1, Ordering::SeqCst);
            grants.retain(|known, _| hex(known) != hash);
        }
    }
}

fn hash(token: &str) -> Hash {
    Sha256::digest(token.as_bytes()).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A new secret: the prefix of personal tokens (AUTH-1) and 32 random bytes in hex.
///
/// Fails when the system has no randomness to give.
fn new_secret() -> Result<String, Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| dewpoint_store::Error::Database(error.to_string()))?;
    Ok(format!("dop_v1_{}", hex(&bytes)))
}

impl Control {
    /// Who bears `token`; [`Error::Unauthenticated`] for no, unknown, expired or revoked ones. No I/O for a token seen before.
    pub async fn authenticate(&self, token: &str) -> Result<Arc<Grant>, Error> {
        let (hash, now) = (hash(token), self.now());
        let grant = match self.inner.grants.get(&hash, now) {
            Some(grant) => grant,
            None => {
                let (text, revocations) = (hex(&hash), self.inner.grants.revocations());
                let found: Option<TokenRecord> =
                    self.inner.store.read(move |tx| tokens::token_by_hash(tx, &text).map_err(Error::from)).await?;
                let record = found.filter(|record| record.revoked_at.is_none()).ok_or(Error::Unauthenticated)?;
                let scopes = record.scopes.parse().map_err(|_| Error::Unauthenticated)?;
                let grant = Arc::new(Grant {
                    account: record.account,
                    token: record.id,
                    scopes,
                    expires_at: record.expires_at,
                });
                self.inner.grants.put(hash, &grant, now, revocations);
                grant
            }
        };
        match grant.expires_at {
            Some(end) if end <= now => Err(Error::Unauthenticated),
            Some(_) | None => Ok(grant),
        }
    }

    /// Makes a token of the account. Its secret is in the answer and nowhere else.
    pub async fn token_create(&self, account: AccountId, request: &TokenCreateRequest) -> Result<NewToken, Error> {
        let scopes = request.checked_scopes()?;
        let now = self.now();
        let lifetime = match request.expires_in {
            Some(0) => return Err(Error::invalid("expires_in must be at least 1 second; leave it out for no end.")),
            Some(seconds) => Some(Duration::from_secs(seconds)),
            None => None,
        };
        let secret = new_secret()?;
        let record = TokenRecord {
            id: TokenId(Uuid::new_v4()),
            account,
            name: request.name.clone().unwrap_or_else(|| "token".to_owned()),
            hash: hex(&hash(&secret)),
            scopes: scopes.to_string(),
            created_at: now,
            expires_at: lifetime.map(|lifetime| now + lifetime),
            revoked_at: None,
        };
        let row = record.clone();
        self.inner.store.write(move |tx| tokens::token_insert(tx, &row).map_err(Error::from)).await?;
        Ok(NewToken { secret, record })
    }

    /// The account's tokens that are not revoked, oldest first.
    pub async fn token_list(&self, account: AccountId, page: PageRequest) -> Result<Page<TokenRecord>, Error> {
        self.inner.store.read(move |tx| tokens::token_list(tx, account, window(page)).map_err(Error::from)).await
    }

    /// Revokes a token; it is refused from the answer on.
    pub async fn token_revoke(&self, account: AccountId, id: TokenId) -> Result<(), Error> {
        let now = self.now();
        let revoked: Option<String> =
            self.inner.store.write(move |tx| tokens::token_revoke(tx, account, id, now).map_err(Error::from)).await?;
        self.inner.grants.forget(&revoked.ok_or(Error::NotFound)?);
        Ok(())
    }

    /// Makes the first account and its admin token in an empty store; `None` when there is an account already.
    ///
    /// `secret` is the token to accept (`DEW_BOOTSTRAP_TOKEN`), or one is made.
    pub async fn bootstrap(&self, secret: Option<String>) -> Result<Option<NewToken>, Error> {
        let secret = secret.map_or_else(new_secret, Ok)?;
        let now = self.now();
        let (uuid, team, token) = (Uuid::new_v4(), Uuid::new_v4(), TokenId(Uuid::new_v4()));
        let hash = hex(&hash(&secret));
        let record: Option<TokenRecord> = self
            .inner
            .store
            .write(move |tx: &mut dyn Tx| {
                if accounts::account_first(tx)?.is_some() {
                    return Ok::<_, Error>(None);
                }
                let account = AccountId(counters::draw(tx, Sequence::Account, 1)?);
                let row = AccountRecord {
                    id: account,
                    uuid: uuid.simple().to_string(),
                    email: "admin@dewpoint.invalid".to_owned(),
                    name: "Admin".to_owned(),
                    status: "active".to_owned(),
                    status_message: String::new(),
                    team_uuid: team.simple().to_string(),
                    team_name: "My Team".to_owned(),
                    created_at: now,
                };
                accounts::account_insert(tx, &row)?;
                let record = TokenRecord {
                    id: token,
                    account,
                    name: "bootstrap".to_owned(),
                    hash: hash.clone(),
                    scopes: Scopes::Full.to_string(),
                    created_at: now,
                    expires_at: None,
                    revoked_at: None,
                };
                tokens::token_insert(tx, &record)?;
                Ok(Some(record))
            })
            .await?;
        Ok(record.map(|record| NewToken { secret, record }))
    }
}
