//! The account and its SSH keys.

use dewpoint_api::{Account as AccountModel, SshKey, SshKeyCreateRequest, SshKeyIdOrFingerprint, SshKeyUpdateRequest};

use crate::{Call, Kept, List, operations as op, types::KeyName};

groups! {
    /// The account of the token.
    Account;
    /// The account's SSH keys, which new Droplets let in.
    SshKeys;
}

leads! { Account {
    /// SSH keys.
    keys -> SshKeys;
} }

impl Account {
    /// `GET /v2/account`: the account and its limits.
    #[doc(alias = "retrieve")]
    pub fn get(&self) -> Call<Kept<AccountModel>> {
        self.0.one(&op::ACCOUNT_GET, &[])
    }
}

impl SshKeys {
    /// `GET /v2/account/keys`.
    pub fn list(&self) -> List<SshKey> {
        self.0.list(&op::SSH_KEYS_LIST, &[])
    }

    /// `POST /v2/account/keys`: adds a key, given in OpenSSH's one-line form.
    ///
    /// 422 when the account has it already.
    pub fn create(&self, name: &str, public_key: &str) -> Call<Kept<SshKey>> {
        let (name, public_key) = (Some(name.to_owned()), Some(public_key.trim().to_owned()));
        self.0.one_from(&op::SSH_KEYS_CREATE, &[], &SshKeyCreateRequest { name, public_key })
    }

    /// `GET /v2/account/keys/{id}`: by number or fingerprint.
    #[doc(alias = "retrieve")]
    pub fn get(&self, key: impl Into<KeyName>) -> Call<Kept<SshKey>> {
        self.0.one(&op::SSH_KEYS_GET, &[&SshKeyIdOrFingerprint::from(key.into())])
    }

    /// `PUT /v2/account/keys/{id}`: gives a key another name; nothing else of it can change.
    pub fn update(&self, key: impl Into<KeyName>, name: &str) -> Call<Kept<SshKey>> {
        let body = SshKeyUpdateRequest { name: Some(name.to_owned()) };
        self.0.one_from(&op::SSH_KEYS_UPDATE, &[&SshKeyIdOrFingerprint::from(key.into())], &body)
    }

    /// `DELETE /v2/account/keys/{id}`. Droplets keep what they were made with.
    pub fn delete(&self, key: impl Into<KeyName>) -> Call<()> {
        self.0.done(&op::SSH_KEYS_DELETE, &[&SshKeyIdOrFingerprint::from(key.into())])
    }
}
