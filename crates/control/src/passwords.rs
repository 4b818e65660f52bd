//! Passwords of root: made here, hashed for the guest, shown once (CRE-10).

use std::fmt;

use dewpoint_api::{AccountId, DropletId};
use dewpoint_clock::Timestamp;
use dewpoint_store::{Tx, droplets, passwords};
use sha_crypt::{PasswordHasher as _, ShaCrypt};

use crate::{Control, Error};

/// Letters and digits that nobody takes for one another.
const ALPHABET: &[u8; 57] = b"abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Characters of a password: 116 bits.
const LENGTH: usize = 20;
/// Random bytes of a salt: 16 characters of it, the most there can be.
const SALT: usize = 12;

/// A password and what a guest keeps of it. `Debug` shows neither.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Password {
    /// In the clear.
    pub(crate) clear: String,
    /// As crypt(5) writes it, by SHA-512.
    pub(crate) hash: String,
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// A new password. Hashing takes milliseconds, off the threads that serve requests.
pub(crate) async fn make() -> Result<Password, Error> {
    let made = tokio::task::spawn_blocking(|| {
        let clear = clear()?;
        let hash = hash(&clear, &random::<SALT>()?)?;
        Ok(Password { clear, hash })
    });
    made.await.unwrap_or_else(|_| Err(unavailable("its thread ended")))
}

fn unavailable(why: impl fmt::Display) -> Error {
    Error::Engine(dewpoint_engine::Error::host("make a password", why))
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(unavailable)?;
    Ok(bytes)
}

fn clear() -> Result<String, Error> {
    let mut password = String::with_capacity(LENGTH);
    while password.len() < LENGTH {
        let fits = random::<LENGTH>()?.into_iter().filter_map(letter);
        password.extend(fits.take(LENGTH - password.len()));
    }
    Ok(password)
}

/// The letter a random byte stands for. Every letter by the same number of bytes; the bytes left over stand for none.
fn letter(byte: u8) -> Option<char> {
    let letters = u8::try_from(ALPHABET.len()).unwrap_or(u8::MAX);
    (byte < u8::MAX / letters * letters).then(|| char::from(ALPHABET[usize::from(byte % letters)]))
}

fn hash(password: &str, salt: &[u8]) -> Result<String, Error> {
    let hash = ShaCrypt::SHA512.hash_password_with_salt(password.as_bytes(), salt);
    Ok(hash.map_err(unavailable)?.as_str().to_owned())
}

/// The hash of the password that a new Droplet gets for want of a key; made and kept, for its one showing too, the first time
/// it is asked for.
pub(crate) async fn first_of(control: &Control, droplet: DropletId) -> Result<String, Error> {
    let (made, now) = (make().await?, control.now());
    control
        .inner
        .store
        .write(move |tx: &mut dyn Tx| {
            // Another worker may have been here and have made the machine with its own.
            if let Some(hash) = droplets::droplet_seed(tx, droplet)?.password_hash {
                return Ok(hash);
            }
            keep(tx, droplet, &made, now)?;
            Ok::<_, Error>(made.hash.clone())
        })
        .await
}

/// Keeps the hash with what the Droplet's machine is made from, and the password until it is shown.
pub(crate) fn keep(tx: &mut dyn Tx, droplet: DropletId, password: &Password, now: Timestamp) -> Result<(), Error> {
    droplets::droplet_set_password_hash(tx, droplet, &password.hash)?;
    Ok(passwords::password_keep(tx, droplet, &password.clear, now)?)
}

impl Control {
    /// The Droplet's root password and when it was set, this once; `None` when it was shown before or there is none.
    pub async fn droplet_password(
        &self,
        account: AccountId,
        id: DropletId,
    ) -> Result<Option<(String, Timestamp)>, Error> {
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                droplets::droplet_get(tx, account, id)?.ok_or(Error::NotFound)?;
                Ok(passwords::password_take(tx, id)?)
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_is_as_likely_and_no_byte_stands_for_another_s_letter() {
        let mut counts = std::collections::BTreeMap::new();
        (0..=u8::MAX).filter_map(letter).for_each(|letter| *counts.entry(letter).or_insert(0) += 1);
        assert_eq!(counts.len(), ALPHABET.len());
        assert!(counts.values().all(|count| *count == 4), "{counts:?}");
    }

    #[test]
    fn a_password_is_long_readable_and_never_the_same() {
        let (one, other) = (clear().expect("there is randomness"), clear().expect("there is randomness"));
        assert_eq!(one.len(), LENGTH);
        assert!(one.bytes().all(|byte| ALPHABET.contains(&byte)));
        assert_ne!(one, other);
    }

    #[test]
    fn a_hash_is_what_other_implementations_of_crypt_5_compute() {
        // `openssl passwd -6 -salt 'rounds=5000$SALT' PASSWORD`, with the salt these bytes are written as.
        let hash = hash("correct horse", b"twelve bytes").expect("it can be hashed");
        assert_eq!(
            hash,
            "$6$rounds=5000$oRLNgNLNU6KSoJqQ$vfE3jbfZ.RS7NPzBOclWmn.yUOuz.FqSckXWi8VASoHlhBPQmWJkaJbSfj56b0ZioA8V0FhlLi5h9ReXW/Hfs."
        );
    }

    #[tokio::test]
    async fn a_password_is_not_shown_by_accident() {
        let password = make().await.expect("a password");
        let shown = format!("{password:?}");
        assert!(!shown.contains(&password.clear) && !shown.contains(&password.hash));
    }
}
