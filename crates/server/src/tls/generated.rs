//! A certificate of the server's own making: signed by itself, for clients that are told to trust it.

use std::time::Duration;

use dewpoint_clock::Timestamp;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, Error, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PublicKeyData as _,
};
use sha2::{Digest as _, Sha256};

/// How long it is good: the most that every client takes (Apple's take no more of a certificate that a person trusts).
const LIFETIME: Duration = Duration::from_secs(825 * 24 * 3600);
/// How long before its making it begins, for clients whose clock is behind.
const BEFORE: Duration = Duration::from_secs(24 * 3600);

/// A new certificate and its key, both PEM. The key is nowhere else.
pub struct Generated {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl std::fmt::Debug for Generated {
    /// Leaves out the key, so that it reaches no log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generated").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Generated {
    /// Makes one for hosts of these names and addresses, good from `now` for 825 days less one. It can sign no other.
    ///
    /// Fails for a name that no host can have, and when the system has no randomness to give.
    pub fn new(hosts: &[String], now: Timestamp) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(hosts)?;
        let since_1970 = Duration::from_secs(u64::try_from(now.as_seconds()).unwrap_or_default());
        params.not_before = rcgen::date_time_ymd(1970, 1, 1) + since_1970.saturating_sub(BEFORE);
        params.not_after = params.not_before + LIFETIME;
        // A name of its own, so that a client that trusts two of them takes neither for the other.
        let mark = Sha256::digest(key.subject_public_key_info());
        let mark: String = mark.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, format!("Dewpoint {mark}"));
        params.distinguished_name = name;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.self_signed(&key)?;
        Ok(Self { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}
