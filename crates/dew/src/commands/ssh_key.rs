//! `dew ssh-key import`: a key from its file.

use anyhow::Result;
use serde_json::json;

use crate::{
    failure::Failure,
    tables::SSH_KEY,
    tree::{given::Given, kind, session::Session, spec::Verb},
};

/// `dew ssh-key import`. A private key never leaves this host: it is refused before anything is sent.
pub(crate) async fn import(session: &mut Session, _verb: &Verb, given: &Given) -> Result<()> {
    let path = given.text("public-key-file").unwrap_or_default();
    let text = kind::file(path)?;
    if text.contains("PRIVATE KEY") {
        return Err(Failure::usage(format!("{path} is a private key, and stays here"))
            .hint(format!("the public one is in {path}.pub"))
            .into());
    }
    let body = json!({ "name": given.text("name"), "public_key": text.trim() });
    let answer = session.client.send("POST", "/v2/account/keys", &[], Some(&body)).await?.body;
    session.print(&SSH_KEY, &SSH_KEY.objects(&answer))
}
