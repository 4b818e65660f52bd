//! Things tests need and are not about.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// The body of an ordinary create: one Droplet of this name, with nothing beyond what is required but a region.
pub fn droplet_body(name: &str) -> Value {
    json!({ "name": name, "region": "nyc3", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64" })
}

/// A well-formed Ed25519 public key that nobody has the other half of; each `number` gives another.
pub fn public_key(number: u8) -> String {
    let mut blob = Vec::new();
    for field in [&b"ssh-ed25519"[..], &[number; 32]] {
        blob.extend(u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
        blob.extend(field);
    }
    format!("ssh-ed25519 {} key-{number}", STANDARD.encode(blob))
}

/// The fingerprint of [`public_key`] as the API shows it.
pub fn fingerprint(number: u8) -> String {
    dewpoint_control::ssh_keys::fingerprint(&public_key(number)).expect("a good key")
}
