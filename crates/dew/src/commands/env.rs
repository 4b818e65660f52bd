//! `dew env`: what points the SDKs, doctl, Terraform and other tools at the server, for a shell to evaluate.

use std::path::Path;

use anyhow::Result;

use crate::{
    output::print,
    tree::{given::Given, session::Session, spec::Verb},
};

/// Prints an export for each variable that one of the tools reads.
pub(crate) async fn run(session: &mut Session, _verb: &Verb, given: &Given) -> Result<()> {
    let is_fish = given.text("shell") == Some("fish");
    let client = &session.client;
    print(
        &variables(client.url(), client.token(), client.ca_cert().map(std::path::PathBuf::as_path))
            .into_iter()
            .map(|(name, value)| line(name, &value, is_fish))
            .collect::<String>(),
    )
}

fn variables(url: &str, token: &str, ca_cert: Option<&Path>) -> Vec<(&'static str, String)> {
    let mut found = vec![
        // doctl, godo, Terraform, pydo; and this program.
        ("DIGITALOCEAN_API_URL", url.to_owned()),
        ("DIGITALOCEAN_ACCESS_TOKEN", token.to_owned()),
        ("DIGITALOCEAN_TOKEN", token.to_owned()),
        // gradient, then do-gradientai.
        ("GRADIENT_BASE_URL", url.to_owned()),
        ("GRADIENT_AI_BASE_URL", url.to_owned()),
        ("GRADIENTAI_API_KEY", token.to_owned()),
    ];
    if let Some(path) = ca_cert {
        let path = path.display().to_string();
        // Go and most others; Python's requests; this program and the Rust SDK.
        found.extend([("SSL_CERT_FILE", path.clone()), ("REQUESTS_CA_BUNDLE", path.clone()), ("DEW_CA_CERT", path)]);
    }
    found
}

fn line(name: &str, value: &str, is_fish: bool) -> String {
    let quoted = match is_fish {
        true => value.replace('\\', "\\\\").replace('\'', "\\'"),
        false => value.replace('\'', "'\\''"),
    };
    match is_fish {
        true => format!("set -gx {name} '{quoted}'\n"),
        false => format!("export {name}='{quoted}'\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_stays_inside_its_quotes() {
        assert_eq!(line("A", "it's", false), "export A='it'\\''s'\n");
        assert_eq!(line("A", "it's", true), "set -gx A 'it\\'s'\n");
    }
}
