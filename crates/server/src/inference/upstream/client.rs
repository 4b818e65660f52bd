//! How upstreams are reached: over HTTP, HTTPS, or HTTP on a Unix socket.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use rustls::{ClientConfig, crypto::ring};
use rustls_platform_verifier::Verifier;

/// How long a connection to an upstream may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a connection may lie unused. Less than the 5 s after which servers written in Python close theirs: a request that
/// is sent on one that is just being closed fails.
const IDLE: Duration = Duration::from_secs(4);
/// What address of a Unix socket begins with.
pub(super) const UNIX: &str = "unix:";

/// Where an upstream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// What paths are put behind, without a slash at its end.
    pub(super) base: String,
    /// The socket that is connected to instead of the address's host.
    pub(super) socket: Option<PathBuf>,
    /// How logs and counts name it.
    pub(super) label: String,
}

impl Address {
    pub(super) fn parse(url: &str) -> Self {
        match url.strip_prefix(UNIX) {
            Some(path) => {
                Self { base: "http://localhost/v1".to_owned(), socket: Some(path.into()), label: url.to_owned() }
            }
            None => {
                let base = url.trim_end_matches('/').to_owned();
                Self { label: without_userinfo(&base), base, socket: None }
            }
        }
    }

    /// The address without its path: what a path that begins with a slash is put behind.
    pub(super) fn host(&self) -> &str {
        let begin = self.base.find("://").map_or(0, |at| at + 3);
        self.base[begin..].find('/').map_or(&*self.base, |end| &self.base[..begin + end])
    }
}

/// The address without a name and password before its host, which are nobody's business.
fn without_userinfo(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// Makes the clients of one model's upstreams: one for all that are reached by their address, one for each socket.
#[derive(Debug)]
pub(super) struct Http {
    tls: ClientConfig,
    by_address: reqwest::Client,
}

impl Http {
    pub(super) fn new() -> io::Result<Self> {
        let tls = tls()?;
        let by_address = builder(&tls).build().map_err(io::Error::other)?;
        Ok(Self { tls, by_address })
    }

    pub(super) fn client_for(&self, address: &Address) -> io::Result<reqwest::Client> {
        match &address.socket {
            None => Ok(self.by_address.clone()),
            Some(path) => builder(&self.tls).unix_socket(path.clone()).build().map_err(io::Error::other),
        }
    }
}

fn builder(tls: &ClientConfig) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls.clone())
        // A redirect would take the key elsewhere.
        .redirect(reqwest::redirect::Policy::none())
        // What one upstream said is not asked for again behind our back: the next one is asked instead.
        .retry(reqwest::retry::never())
        .no_proxy()
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .tcp_nodelay(true)
        .user_agent(concat!("dewpoint/", env!("CARGO_PKG_VERSION")))
}

/// TLS over ring with the system's certificates, without touching what the process has as its default.
fn tls() -> io::Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let versions = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let verifier = Verifier::new(provider).map_err(io::Error::other)?;
    let config = versions.map_err(io::Error::other)?.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    Ok(config.with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_base_a_host_and_a_name_without_secrets() {
        let address = Address::parse("http://me:secret@10.0.0.7:8000/v1/");
        assert_eq!(address.base, "http://me:secret@10.0.0.7:8000/v1");
        assert_eq!(address.host(), "http://me:secret@10.0.0.7:8000");
        assert_eq!(address.label, "http://10.0.0.7:8000/v1");
        let address = Address::parse("https://host");
        assert_eq!((address.base.as_str(), address.host(), &address.socket), ("https://host", "https://host", &None));
        let address = Address::parse("unix:/run/llama.sock");
        assert_eq!((address.base.as_str(), address.host()), ("http://localhost/v1", "http://localhost"));
        assert_eq!(address.socket.as_deref(), Some(std::path::Path::new("/run/llama.sock")));
    }
}
