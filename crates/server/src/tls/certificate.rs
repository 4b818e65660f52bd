//! A certificate and its key: read, and looked at before anybody is shown it.

use std::{sync::Arc, time::Duration};

use dewpoint_clock::Timestamp;
use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::{
    Error as TlsError, InconsistentKeys,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName, UnixTime,
        pem::{Error as PemError, PemObject as _},
    },
    sign::CertifiedKey,
};
use webpki::{EndEntityCert, Error as CertError, ring as algorithms};

/// A certificate with the chain it came with and its key, good at the time it was read.
#[derive(Clone, Debug)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    ends: Timestamp,
}

/// Why a certificate or its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The text holds no certificate.
    #[error("there is no certificate in it: it has to begin with -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// The text holds no key.
    #[error("there is no private key in it: it has to hold -----BEGIN PRIVATE KEY-----")]
    NoKey,
    /// The key is under a password.
    #[error("the private key is encrypted; write it out without a password: openssl pkey -in KEY -out NEW-KEY")]
    EncryptedKey,
    /// A part of a text cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// The key is of a kind that TLS here has no use for.
    #[error("the private key cannot be used: {0}")]
    UnusableKey(String),
    /// The key is another certificate's.
    #[error("the private key is not the certificate's: the two files must be of one pair")]
    Mismatch,
    /// The certificate's time is over.
    #[error("the certificate ended at {0}: renew it")]
    Expired(Timestamp),
    /// The certificate's time has not come.
    #[error("the certificate begins at {0} only: is the clock of this machine right?")]
    NotYet(Timestamp),
}

impl CertificateError {
    /// Whether it is the key that is at fault, and not the certificate.
    pub fn is_of_key(&self) -> bool {
        match self {
            Self::NoKey | Self::EncryptedKey | Self::UnusableKey(_) | Self::Mismatch => true,
            Self::NoCertificate | Self::Unreadable(_) | Self::Expired(_) | Self::NotYet(_) => false,
        }
    }
}

impl Certificate {
    /// Reads a chain (the server's own certificate first) and its key, both PEM, and checks that they are of one pair and
    /// good at `now`.
    pub fn from_pem(chain: &[u8], key: &[u8], now: Timestamp) -> Result<Self, CertificateError> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| CertificateError::Unreadable(error.to_string()))?;
        let own = chain.first().ok_or(CertificateError::NoCertificate)?;
        let ends = lifetime(own, now)?;
        let secret = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            PemError::NoItemsFound if contains(key, b"ENCRYPTED PRIVATE KEY") => CertificateError::EncryptedKey,
            PemError::NoItemsFound => CertificateError::NoKey,
            other => CertificateError::UnusableKey(other.to_string()),
        })?;
        let key = CertifiedKey::from_der(chain, secret, &ring::default_provider()).map_err(|error| match error {
            TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => CertificateError::Mismatch,
            other => CertificateError::UnusableKey(other.to_string()),
        })?;
        Ok(Self { key: Arc::new(key), ends })
    }

    /// When it ends.
    pub fn ends(&self) -> Timestamp {
        self.ends
    }

    /// Its SHA-256 fingerprint, in pairs of capital hexadecimal digits with colons between, as `openssl x509` prints it.
    pub fn fingerprint(&self) -> String {
        let own = self.key.cert.first().map(|own| Sha256::digest(own.as_ref()));
        let pairs: Vec<String> = own.iter().flatten().map(|byte| format!("{byte:02X}")).collect();
        pairs.join(":")
    }

    /// Whether it is for the host of this name or address.
    pub fn is_for(&self, host: &str) -> bool {
        let Some(own) = self.key.cert.first() else { return false };
        match (EndEntityCert::try_from(own), ServerName::try_from(host)) {
            (Ok(own), Ok(name)) => own.verify_is_valid_for_subject_name(&name).is_ok(),
            (Err(_), _) | (_, Err(_)) => false,
        }
    }

    pub(super) fn key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.key)
    }
}

/// When a certificate ends. Fails when that was before `now`, or it begins after.
fn lifetime(own: &CertificateDer<'_>, now: Timestamp) -> Result<Timestamp, CertificateError> {
    let unreadable = |error: CertError| CertificateError::Unreadable(error.to_string());
    let own = EndEntityCert::try_from(own).map_err(unreadable)?;
    // Nobody is trusted here, so it is never found good; but its time is looked at before that.
    let fault_at = |time: UnixTime| {
        let usage = webpki::KeyUsage::server_auth();
        own.verify_for_usage(&[algorithms::ECDSA_P256_SHA256], &[], &[], time, usage, None, None).err()
    };
    let stamp =
        |time: UnixTime| Timestamp::from_millis(i64::try_from(time.as_secs()).unwrap_or(i64::MAX / 1000) * 1000);
    let seconds = u64::try_from(now.as_seconds()).unwrap_or_default();
    match fault_at(UnixTime::since_unix_epoch(Duration::from_secs(seconds))) {
        Some(CertError::CertExpired { not_after, .. }) => return Err(CertificateError::Expired(stamp(not_after))),
        Some(CertError::CertNotValidYet { not_before, .. }) => return Err(CertificateError::NotYet(stamp(not_before))),
        Some(CertError::BadDer | CertError::BadDerTime | CertError::InvalidCertValidity) => {
            return Err(CertificateError::Unreadable("its time cannot be read".to_owned()));
        }
        // That its issuer is not known, or that it is its own, is for its clients to judge.
        Some(_) | None => {}
    }
    match fault_at(UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX))) {
        Some(CertError::CertExpired { not_after, .. }) => Ok(stamp(not_after)),
        Some(_) | None => Ok(Timestamp::from_millis(i64::MAX)),
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Generated;

    const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);
    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn generated() -> Generated {
        Generated::new(&["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()], NOW).expect("a pair")
    }

    fn fault(chain: &str, key: &str, now: Timestamp) -> CertificateError {
        Certificate::from_pem(chain.as_bytes(), key.as_bytes(), now).expect_err("a fault")
    }

    #[test]
    fn a_pair_says_for_whom_and_until_when_it_is() {
        let made = generated();
        let read = Certificate::from_pem(made.certificate.as_bytes(), made.key.as_bytes(), NOW).expect("a good pair");
        for (host, is_for) in [
            ("localhost", true),
            ("127.0.0.1", true),
            ("::1", true),
            ("127.0.0.2", false),
            ("other", false),
            ("", false),
        ] {
            assert_eq!(read.is_for(host), is_for, "{host:?}");
        }
        assert!(read.ends() > NOW + DAY * 800 && read.ends() < NOW + DAY * 826, "{}", read.ends());
        assert_eq!(read.fingerprint().split(':').count(), 32);
        assert_ne!(made.key, generated().key, "each has a key of its own");
    }

    #[test]
    fn what_is_wrong_with_a_pair_is_said() {
        let (made, other) = (generated(), generated());
        let (chain, key) = (made.certificate.as_str(), made.key.as_str());
        use CertificateError as E;
        assert!(matches!(fault(chain, &other.key, NOW), E::Mismatch));
        assert!(matches!(fault("", key, NOW), E::NoCertificate));
        assert!(matches!(fault(key, key, NOW), E::NoCertificate));
        assert!(matches!(fault(chain, chain, NOW), E::NoKey));
        assert!(matches!(fault(chain, &key.replace("PRIVATE", "ENCRYPTED PRIVATE"), NOW), E::EncryptedKey));
        assert!(matches!(
            fault(chain, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", NOW),
            E::UnusableKey(_)
        ));
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
        assert!(matches!(fault(garbage, key, NOW), E::Unreadable(_)));
        assert!(matches!(fault("-----BEGIN CERTIFICATE-----\n", key, NOW), E::Unreadable(_)));
        let (early, late) = (NOW - DAY * 30, NOW + DAY * 900);
        let E::NotYet(begins) = fault(chain, key, early) else { panic!("its time has not come") };
        let E::Expired(ends) = fault(chain, key, late) else { panic!("its time is over") };
        assert!(early < begins && begins <= NOW && NOW < ends && ends < late);
    }
}
