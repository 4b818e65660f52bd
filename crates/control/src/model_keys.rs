//! Model access keys: what models are asked with, and nothing else (behaviour rule AUTH-8).

use std::{fmt, sync::Arc};

use dewpoint_api::{AccountId, KeyLimits, ModelKeyRequest, PageRequest, Scopes, TokenId, rules};
use dewpoint_store::{ModelKeyRecord, Page, Tx, model_keys};

use crate::{
    Control, Error, Grant,
    tokens::{hash, hex, new_secret_with},
    window,
};

/// What keys begin with.
const PREFIX: &str = "sk-do-";

/// More than this is a mistake.
const LIMIT_MOST: u64 = 1_000_000_000_000;

/// A key as it is shown once: when it is made, and when it gets another secret.
#[derive(Clone)]
pub struct NewModelKey {
    /// The key itself.
    pub secret: String,
    /// What is kept of it.
    pub record: ModelKeyRecord,
}

impl fmt::Debug for NewModelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewModelKey").field("record", &self.record).finish_non_exhaustive()
    }
}

fn name_of(request: &ModelKeyRequest) -> Result<String, Error> {
    let name = request.name.clone().ok_or_else(|| Error::invalid("name is required and cannot be empty."))?;
    if name.chars().count() > rules::NAME_MAX {
        return Err(Error::invalid(format!("name is too long (maximum is {} characters).", rules::NAME_MAX)));
    }
    Ok(name)
}

impl Control {
    /// Who may ask models with `secret`: the bearer of a model access key, or of a token. No I/O for one seen before.
    ///
    /// Fails with [`Error::Unauthenticated`] when it is neither.
    pub async fn authenticate_for_models(&self, secret: &str) -> Result<Arc<Grant>, Error> {
        if !secret.starts_with(PREFIX) {
            return self.authenticate(secret).await;
        }
        let (hash, now) = (hash(secret), self.now());
        if let Some((grant, _)) = self.inner.model_grants.get(&hash, now) {
            return Ok(grant);
        }
        let (text, revocations) = (hex(&hash), self.inner.model_grants.revocations());
        let found =
            self.inner.store.read(move |tx| model_keys::model_key_by_hash(tx, &text).map_err(Error::from)).await?;
        let record = found.ok_or(Error::Unauthenticated)?;
        let grant = Arc::new(Grant {
            account: record.account,
            token: record.id,
            scopes: Scopes::Custom(dewpoint_api::ScopeSet::default()),
            expires_at: None,
            is_operator: false,
            is_model_key: true,
            limits: record.limits,
        });
        self.inner.model_grants.put(hash, &grant, None, now, revocations);
        Ok(grant)
    }

    /// Makes a key. Its secret is in the answer and nowhere else.
    pub async fn model_key_create(&self, account: AccountId, request: &ModelKeyRequest) -> Result<NewModelKey, Error> {
        let secret = new_secret_with(PREFIX, &self.inner.random)?;
        let id = TokenId(self.inner.random.uuid());
        let record = ModelKeyRecord {
            id,
            account,
            name: name_of(request)?,
            hash: hex(&hash(&secret)),
            created_at: self.now(),
            limits: KeyLimits::default(),
        };
        let row = record.clone();
        self.inner.store.write(move |tx| model_keys::model_key_insert(tx, &row).map_err(Error::from)).await?;
        Ok(NewModelKey { secret, record })
    }

    /// The account's keys, oldest first.
    pub async fn model_key_list(&self, account: AccountId, page: PageRequest) -> Result<Page<ModelKeyRecord>, Error> {
        self.inner
            .store
            .read(move |tx| model_keys::model_key_list(tx, account, window(page)).map_err(Error::from))
            .await
    }

    /// Calls a key otherwise.
    pub async fn model_key_rename(
        &self,
        account: AccountId,
        id: TokenId,
        request: &ModelKeyRequest,
    ) -> Result<ModelKeyRecord, Error> {
        let name = name_of(request)?;
        let changed = self.inner.store.write(move |tx: &mut dyn Tx| {
            if !model_keys::model_key_rename(tx, account, id, &name)? {
                return Err(Error::NotFound);
            }
            model_keys::model_key_get(tx, account, id)?.ok_or(Error::NotFound)
        });
        changed.await
    }

    /// Gives a key another secret; the old one is refused from the answer on.
    pub async fn model_key_regenerate(&self, account: AccountId, id: TokenId) -> Result<NewModelKey, Error> {
        let secret = new_secret_with(PREFIX, &self.inner.random)?;
        let new = hex(&hash(&secret));
        let changed = self.inner.store.write(move |tx: &mut dyn Tx| {
            let old = model_keys::model_key_get(tx, account, id)?.ok_or(Error::NotFound)?;
            model_keys::model_key_rehash(tx, account, id, &new)?;
            Ok::<_, Error>((old.hash.clone(), ModelKeyRecord { hash: new.clone(), ..old }))
        });
        let (old, record) = changed.await?;
        self.inner.model_grants.forget(&old);
        Ok(NewModelKey { secret, record })
    }

    /// One of the account's keys.
    pub async fn model_key_get(&self, account: AccountId, id: TokenId) -> Result<ModelKeyRecord, Error> {
        let found = self.inner.store.read(move |tx| model_keys::model_key_get(tx, account, id).map_err(Error::from));
        found.await?.ok_or(Error::NotFound)
    }

    /// Gives a key these limits, which hold from the answer on.
    pub async fn model_key_limit(
        &self,
        account: AccountId,
        id: TokenId,
        limits: KeyLimits,
    ) -> Result<ModelKeyRecord, Error> {
        for (member, limit) in [
            ("requests_per_minute", limits.requests_per_minute),
            ("tokens_per_minute", limits.tokens_per_minute),
            ("tokens_per_day", limits.tokens_per_day),
        ] {
            if limit.is_some_and(|limit| limit > LIMIT_MOST) {
                return Err(Error::invalid(format!("{member} is at most {LIMIT_MOST}; null sets no limit.")));
            }
        }
        let changed = self.inner.store.write(move |tx: &mut dyn Tx| {
            if !model_keys::model_key_limit(tx, account, id, limits)? {
                return Err(Error::NotFound);
            }
            model_keys::model_key_get(tx, account, id)?.ok_or(Error::NotFound)
        });
        let record = changed.await?;
        self.inner.model_grants.forget(&record.hash);
        Ok(record)
    }

    /// Removes a key; it is refused from the answer on.
    pub async fn model_key_delete(&self, account: AccountId, id: TokenId) -> Result<ModelKeyRecord, Error> {
        let deleted = self.inner.store.write(move |tx: &mut dyn Tx| {
            let key = model_keys::model_key_get(tx, account, id)?.ok_or(Error::NotFound)?;
            model_keys::model_key_delete(tx, account, id)?;
            Ok::<_, Error>(key)
        });
        let deleted = deleted.await?;
        self.inner.model_grants.forget(&deleted.hash);
        Ok(deleted)
    }
}
