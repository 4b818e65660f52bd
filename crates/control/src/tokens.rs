//! Tokens: who is asking, and what they may do. A token is known by its hash alone.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, RwLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use dewpoint_api::{AccountId, KeyLimits, PageRequest, Scopes, TokenCreateRequest, TokenId};
use dewpoint_clock::Timestamp;
use dewpoint_store::{Dialect, Page, TokenRecord, Tx, accounts, tokens};
use sha2::{Digest, Sha256};

use crate::{Control, Error, Random, window};

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
    /// Whether its account is the first one, the operator's.
    pub is_operator: bool,
    /// Whether it is a model access key, which is good for models alone.
    pub is_model_key: bool,
    /// What a model access key may have.
    pub limits: KeyLimits,
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

pub(crate) type Hash = [u8; 32];

/// How old a token's last use may be before it is noted anew.
const USE_NOTED_EVERY: Duration = Duration::from_secs(60);

/// A token seen before.
struct Known {
    grant: Arc<Grant>,
    /// When it was read.
    since: Timestamp,
    /// The last use that was noted, in milliseconds.
    noted: AtomicI64,
}

impl Known {
    /// Whether this use is to be noted: true for one caller in [`USE_NOTED_EVERY`].
    fn is_worth_noting(&self, now: Timestamp) -> bool {
        let noted = self.noted.load(Ordering::Relaxed);
        let due = now.since(Timestamp::from_millis(noted)) >= USE_NOTED_EVERY;
        due && self.noted.compare_exchange(noted, now.as_millis(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// Grants of tokens seen before. Bounded; a revoked token leaves at once.
pub(crate) struct Cache {
    grants: RwLock<HashMap<Hash, Known>>,
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

    /// The grant, and whether this use of it is to be noted as the token's last.
    pub(crate) fn get(&self, hash: &Hash, now: Timestamp) -> Option<(Arc<Grant>, bool)> {
        let grants = self.grants.read().ok()?;
        let known = grants.get(hash)?;
        let fresh = self.keep.is_none_or(|keep| now.since(known.since) < keep);
        fresh.then(|| (Arc::clone(&known.grant), known.is_worth_noting(now)))
    }

    /// Keeps what was read when there had been `revocations` of them, unless there was another since.
    pub(crate) fn put(
        &self,
        hash: Hash,
        grant: &Arc<Grant>,
        last_used: Option<Timestamp>,
        now: Timestamp,
        revocations: u64,
    ) {
        if let Ok(mut grants) = self.grants.write()
            && self.revocations() == revocations
        {
            if grants.len() >= Self::MOST {
                grants.clear();
            }
            let stored = last_used.map_or(0, Timestamp::as_millis);
            // What was noted may not be written yet.
            let noted = grants.get(&hash).map_or(0, |known| known.noted.load(Ordering::Relaxed));
            let known = Known { grant: Arc::clone(grant), since: now, noted: AtomicI64::new(noted.max(stored)) };
            grants.insert(hash, known);
        }
    }

    pub(crate) fn revocations(&self) -> u64 {
        self.revocations.load(Ordering::SeqCst)
    }

    /// Forgets every token, as when the store is another.
    pub(crate) fn clear(&self) {
        let mut grants = self.grants.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.revocations.fetch_add(1, Ordering::SeqCst);
        grants.clear();
    }

    pub(crate) fn forget(&self, hash: &str) {
        if let Ok(mut grants) = self.grants.write() {
            // While the lock is held, so that nothing older is put in after it.
            self.revocations.fetch_add(1, Ordering::SeqCst);
            grants.retain(|known, _| hex(known) != hash);
        }
    }
}

pub(crate) fn hash(token: &str) -> Hash {
    Sha256::digest(token.as_bytes()).into()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A new secret: the prefix of personal tokens (AUTH-1) and 32 random bytes in hex.
///
/// Fails when the system has no randomness to give.
pub(crate) fn new_secret(random: &Random) -> Result<String, Error> {
    new_secret_with("dop_v1_", random)
}

/// The same with another prefix.
pub(crate) fn new_secret_with(prefix: &str, random: &Random) -> Result<String, Error> {
    let mut bytes = [0_u8; 32];
    random.fill(&mut bytes)?;
    Ok(format!("{prefix}{}", hex(&bytes)))
}

impl Control {
    /// Who bears `token`; [`Error::Unauthenticated`] for no, unknown, expired or revoked ones. No I/O for a token seen before.
    pub async fn authenticate(&self, token: &str) -> Result<Arc<Grant>, Error> {
        let (hash, now) = (hash(token), self.now());
        let (grant, worth_noting) = match self.inner.grants.get(&hash, now) {
            Some(known) => known,
            None => {
                let (text, revocations) = (hex(&hash), self.inner.grants.revocations());
                let (found, operator) = self
                    .inner
                    .store
                    .read(move |tx: &mut dyn Tx| {
                        let operator = accounts::account_first(tx)?.map(|first| first.id);
                        Ok::<_, Error>((tokens::token_by_hash(tx, &text)?, operator))
                    })
                    .await?;
                let record = found.filter(|record| record.revoked_at.is_none()).ok_or(Error::Unauthenticated)?;
                let scopes = record.scopes.parse().map_err(|_| Error::Unauthenticated)?;
                let grant = Arc::new(Grant {
                    account: record.account,
                    token: record.id,
                    scopes,
                    expires_at: record.expires_at,
                    is_operator: operator == Some(record.account),
                    is_model_key: false,
                    limits: KeyLimits::default(),
                });
                self.inner.grants.put(hash, &grant, record.last_used_at, now, revocations);
                // `None` when a token was revoked meanwhile, perhaps this one: that is not worth noting.
                let worth_noting = self.inner.grants.get(&hash, now).is_some_and(|(_, worth_noting)| worth_noting);
                (grant, worth_noting)
            }
        };
        if grant.expires_at.is_some_and(|end| end <= now) {
            return Err(Error::Unauthenticated);
        }
        if worth_noting {
            self.inner.journal.token_used(grant.token, now);
        }
        Ok(grant)
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
        let secret = new_secret(&self.inner.random)?;
        let record = TokenRecord {
            id: TokenId(self.inner.random.uuid()),
            account,
            name: request.name.clone().unwrap_or_else(|| "token".to_owned()),
            hash: hex(&hash(&secret)),
            scopes: scopes.to_string(),
            created_at: now,
            expires_at: lifetime.map(|lifetime| now + lifetime),
            revoked_at: None,
            last_used_at: None,
        };
        let row = record.clone();
        self.inner.store.write(move |tx| tokens::token_insert(tx, &row).map_err(Error::from)).await?;
        Ok(NewToken { secret, record })
    }

    /// The account's tokens that are not revoked, oldest first.
    pub async fn token_list(&self, account: AccountId, page: PageRequest) -> Result<Page<TokenRecord>, Error> {
        self.write_journal_now().await?;
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Arc<Grant> {
        let token = TokenId(uuid::Uuid::from_u128(1));
        Arc::new(Grant {
            account: AccountId(1),
            token,
            scopes: Scopes::Full,
            expires_at: None,
            is_operator: true,
            is_model_key: false,
            limits: KeyLimits::default(),
        })
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn with_several_servers_a_token_is_believed_for_a_second() {
        let cache = Cache::new(Dialect::Postgres);
        cache.put([1; 32], &grant(), None, at(0), cache.revocations());
        assert!(cache.get(&[1; 32], at(999)).is_some());
        assert!(cache.get(&[1; 32], at(1000)).is_none(), "another server may have revoked it");
        let alone = Cache::new(Dialect::Sqlite);
        alone.put([1; 32], &grant(), None, at(0), alone.revocations());
        assert!(alone.get(&[1; 32], at(1_000_000)).is_some());
    }

    #[test]
    fn what_was_read_before_a_revocation_is_not_kept_after_it() {
        let cache = Cache::new(Dialect::Sqlite);
        let read_at = cache.revocations();
        cache.forget(&hex(&[1; 32]));
        cache.put([1; 32], &grant(), None, at(0), read_at);
        assert!(cache.get(&[1; 32], at(1)).is_none());
    }

    #[test]
    fn a_use_is_noted_once_a_minute_also_when_the_token_is_read_anew() {
        let cache = Cache::new(Dialect::Sqlite);
        let read = |now, last_used| cache.put([1; 32], &grant(), last_used, at(now), cache.revocations());
        let noted = |now| cache.get(&[1; 32], at(now)).expect("it is known").1;
        read(100_000, Some(at(70_000)));
        assert!(!noted(129_999), "another server noted it");
        assert!(noted(130_000));
        assert!(!noted(130_000));
        read(140_000, Some(at(70_000)));
        assert!(!noted(189_999), "noted and not written yet");
        assert!(noted(190_000));
    }
}
