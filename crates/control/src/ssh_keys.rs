//! SSH keys: parsing, fingerprints, and the account's collection of them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use dewpoint_api::{
    AccountId, PageRequest, SshKeyCreateRequest, SshKeyId, SshKeyIdOrFingerprint, SshKeyUpdateRequest, rules,
};
use dewpoint_store::{Error as StoreError, Page, Sequence, SshKeyRecord, Tx, counters, ssh_keys};
use md5::{Digest, Md5};

use crate::{Control, Error, window};

/// The MD5 fingerprint of a public key in OpenSSH's one-line form: 16 colon-separated bytes of the decoded key (KEY-1).
///
/// `None` when the text is no such key: the type at its start must be the one inside the decoded key.
pub fn fingerprint(public_key: &str) -> Option<String> {
    let mut words = public_key.split_ascii_whitespace();
    let (kind, body) = (words.next()?, words.next()?);
    let known = kind.starts_with("ssh-") || kind.starts_with("ecdsa-sha2-") || kind.starts_with("sk-");
    let blob = STANDARD.decode(body).ok()?;
    let fields = fields(&blob)?;
    let (inner, parts) = fields.split_first()?;
    // What a key of another type consists of is not known here; it has at least one part that is not empty.
    let whole = match kind {
        "ssh-ed25519" => matches!(parts, [key] if key.len() == 32),
        "ssh-rsa" => matches!(parts, [exponent, modulus] if !exponent.is_empty() && !modulus.is_empty()),
        _ => parts.iter().any(|part| !part.is_empty()),
    };
    let fits = known && whole && *inner == kind.as_bytes() && !public_key.chars().any(|c| c.is_control() && c != '\t');
    let bytes: Vec<String> = Md5::digest(&blob).iter().map(|byte| format!("{byte:02x}")).collect();
    fits.then(|| bytes.join(":"))
}

/// The fields of a decoded key, each behind its length; `None` when they do not fill it exactly.
fn fields(mut blob: &[u8]) -> Option<Vec<&[u8]>> {
    let mut fields = Vec::new();
    while !blob.is_empty() {
        let (length, rest) = blob.split_first_chunk::<4>()?;
        let (field, behind) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        fields.push(field);
        blob = behind;
    }
    Some(fields)
}

/// Finds a key by number or fingerprint.
pub(crate) fn find(
    tx: &mut dyn Tx,
    account: AccountId,
    key: &SshKeyIdOrFingerprint,
) -> Result<Option<SshKeyRecord>, Error> {
    Ok(match key {
        SshKeyIdOrFingerprint::Id(id) => ssh_keys::ssh_key_get(tx, account, *id)?,
        SshKeyIdOrFingerprint::Fingerprint(text) if rules::is_fingerprint(text) => {
            ssh_keys::ssh_key_by_fingerprint(tx, account, &text.to_ascii_lowercase())?
        }
        SshKeyIdOrFingerprint::Fingerprint(_) => None,
    })
}

fn name_of(name: Option<&String>) -> Result<String, Error> {
    let name = name.ok_or_else(|| Error::invalid("name is required and cannot be empty."))?;
    if name.chars().count() > rules::NAME_MAX {
        return Err(Error::invalid(format!("name is too long (maximum is {} characters).", rules::NAME_MAX)));
    }
    Ok(name.clone())
}

impl Control {
    /// Adds a key (KEY-1).
    pub async fn ssh_key_create(
        &self,
        account: AccountId,
        request: SshKeyCreateRequest,
    ) -> Result<SshKeyRecord, Error> {
        let name = name_of(request.name.as_ref())?;
        let public_key =
            request.public_key.ok_or_else(|| Error::invalid("public_key is required and cannot be empty."))?;
        let public_key = public_key.trim().to_owned();
        let fingerprint = fingerprint(&public_key).ok_or_else(|| {
            Error::invalid("Key invalid: give one public key in OpenSSH's form, such as `ssh-ed25519 AAAA… name`.")
        })?;
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let id = SshKeyId(counters::draw(tx, Sequence::SshKey, 1)?);
                let key = SshKeyRecord {
                    id,
                    name: name.clone(),
                    fingerprint: fingerprint.clone(),
                    public_key: public_key.clone(),
                };
                match ssh_keys::ssh_key_insert(tx, account, &key) {
                    Ok(()) => Ok(key),
                    Err(StoreError::Duplicate) => Err(Error::invalid("SSH Key is already in use on your account")),
                    Err(other) => Err(other.into()),
                }
            })
            .await
    }

    /// The account's keys, oldest first.
    pub async fn ssh_key_list(&self, account: AccountId, page: PageRequest) -> Result<Page<SshKeyRecord>, Error> {
        self.inner.store.read(move |tx| ssh_keys::ssh_key_list(tx, account, window(page)).map_err(Error::from)).await
    }

    /// One key, by number or fingerprint (KEY-2).
    pub async fn ssh_key_get(&self, account: AccountId, key: SshKeyIdOrFingerprint) -> Result<SshKeyRecord, Error> {
        self.inner.store.read(move |tx: &mut dyn Tx| find(tx, account, &key)?.ok_or(Error::NotFound)).await
    }

    /// Gives a key another name; nothing else of it can change (KEY-2).
    pub async fn ssh_key_update(
        &self,
        account: AccountId,
        key: SshKeyIdOrFingerprint,
        request: SshKeyUpdateRequest,
    ) -> Result<SshKeyRecord, Error> {
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let found = find(tx, account, &key)?.ok_or(Error::NotFound)?;
                let name = name_of(request.name.as_ref())?;
                ssh_keys::ssh_key_rename(tx, account, found.id, &name)?.ok_or(Error::NotFound)
            })
            .await
    }

    /// Removes a key; Droplets made with it keep it (KEY-2).
    pub async fn ssh_key_delete(&self, account: AccountId, key: SshKeyIdOrFingerprint) -> Result<(), Error> {
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let found = find(tx, account, &key)?.ok_or(Error::NotFound)?;
                ssh_keys::ssh_key_delete(tx, account, found.id)?;
                Ok::<_, Error>(())
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJvZ3VzLWtleS1mb3ItdGVzdHMtb25seS0zMmJ5dGVz me@host";

    #[test]
    fn a_fingerprint_is_the_md5_of_the_decoded_key_key_1() {
        // md5 of the blob above, by `base64 -d | md5sum`.
        let expected = "49:b1:bb:7e:85:0d:5b:2e:e5:6d:06:60:aa:a6:70:6d";
        assert_eq!(fingerprint(KEY).as_deref(), Some(expected));
    }

    #[test]
    fn what_is_no_key_has_no_fingerprint() {
        let bad = [
            "",
            "ssh-ed25519",
            "ssh-ed25519 !!!!",
            "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIA==",
            "hello world",
            "ssh-ed25519 AAAA",
            // 29 bytes of 32, a type alone, and a length that leads past the end.
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAHQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",
            "ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB/////w==",
        ];
        for text in bad {
            assert_eq!(fingerprint(text), None, "{text:?}");
        }
        assert_eq!(fingerprint(&format!("{KEY}\n{KEY}")), None, "two keys at once");
    }
}
