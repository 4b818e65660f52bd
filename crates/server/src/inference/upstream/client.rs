//! How upstreams are reached: over HTTP, HTTPS, or HTTP on a Unix socket; and what every request to one says.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use axum::body::Bytes;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use percent_encoding::percent_decode_str;
use rustls::{ClientConfig, crypto::ring};
use rustls_platform_verifier::Verifier;
use tokio::{net::UnixStream, time::timeout};
use tower::ServiceExt as _;
use url::Url;

use super::link::{Answer, Broken, Link, Links, Sent};

/// How long a connection to an upstream may take.
const CONNECT: Duration = Duration::from_secs(5);
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
}

/// The address without a name and password before its host, which are nobody's business.
fn without_userinfo(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// Makes connections of one model's upstreams, with TLS where their addresses want it.
#[derive(Clone, Debug)]
pub(super) struct Connectors(HttpsConnector<HttpConnector>);

impl Connectors {
    pub(super) fn new() -> io::Result<Self> {
        let mut plain = HttpConnector::new();
        plain.enforce_http(false);
        plain.set_nodelay(true);
        let https = HttpsConnectorBuilder::new().with_tls_config(tls()?).https_or_http().enable_http1();
        Ok(Self(https.wrap_connector(plain)))
    }
}

/// Sends requests to one upstream. Redirects are not followed, since one would take the key elsewhere; what was sent is not
/// sent again behind our back, since another upstream is asked instead.
pub(super) struct Client {
    to: To,
    links: Links,
    /// What every request says.
    headers: HeaderMap,
    /// The path of the address, without a slash at its end.
    path: String,
}

/// What is connected to.
enum To {
    Address(Connectors, Uri),
    Socket(PathBuf),
}

impl Client {
    /// Fails when the address is none.
    pub(super) fn new(address: &Address, connectors: &Connectors, key: Option<&str>) -> io::Result<Self> {
        let wrong = |error: &dyn std::fmt::Display| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("{} is no address: {error}", address.label))
        };
        let url = Url::parse(&address.base).map_err(|error| wrong(&error))?;
        let host = url.host_str().ok_or_else(|| wrong(&"it has no host"))?;
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(&authority).map_err(|error| wrong(&error))?);
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        let us = concat!("dewpoint/", env!("CARGO_PKG_VERSION"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(us));
        if let Some(authorization) = authorization(&url, key) {
            let mut value = HeaderValue::try_from(authorization).map_err(|error| wrong(&error))?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        let to = match &address.socket {
            Some(path) => To::Socket(path.clone()),
            None => {
                let uri = format!("{}://{authority}/", url.scheme()).parse().map_err(|error| wrong(&error))?;
                To::Address(connectors.clone(), uri)
            }
        };
        let path = url.path().trim_end_matches('/').to_owned();
        Ok(Self { to, links: Links::default(), headers, path })
    }

    /// A request for a path behind the address; fails when that is none.
    pub(super) fn request(&self, method: Method, path: &str, body: Bytes) -> Result<Sent, http::Error> {
        self.request_at(method, &format!("{}{path}", self.path), body)
    }

    /// A request for a path of the address's host.
    pub(super) fn request_at(&self, method: Method, path: &str, body: Bytes) -> Result<Sent, http::Error> {
        let mut request = Sent::new(Full::new(body));
        (*request.method_mut(), *request.uri_mut()) = (method, path.parse()?);
        request.headers_mut().clone_from(&self.headers);
        Ok(request)
    }

    /// Sends a request; returns when the head of its answer is there.
    pub(super) async fn send(&self, request: Sent) -> Result<Answer, Broken> {
        self.links.ask(request, || self.connect()).await
    }

    async fn connect(&self) -> Result<Link, Broken> {
        let connecting = async {
            match &self.to {
                To::Socket(path) => Link::over(TokioIo::new(UnixStream::connect(path).await?)).await,
                To::Address(Connectors(connector), uri) => {
                    Link::over(connector.clone().oneshot(uri.clone()).await.map_err(Broken::Connect)?).await
                }
            }
        };
        timeout(CONNECT, connecting).await.map_err(|_| Broken::Slow(CONNECT))?
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The key, or the name and password before an address's host.
fn authorization(url: &Url, key: Option<&str>) -> Option<String> {
    if let Some(key) = key {
        return Some(format!("Bearer {key}"));
    }
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
    let both = [decoded(url.username()), decoded(url.password().unwrap_or(""))].join(&b':');
    Some(format!("Basic {}", BASE64_STANDARD.encode(both)))
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

    fn request(url: &str, key: Option<&str>) -> Sent {
        let (address, connectors) = (Address::parse(url), Connectors::new().expect("the system has certificates"));
        let client = Client::new(&address, &connectors, key).expect("it is an address");
        client.request(Method::POST, "/chat/completions", Bytes::new()).expect("it is a path")
    }

    #[test]
    fn an_address_has_a_name_without_secrets() {
        let address = Address::parse("http://me:secret@10.0.0.7:8000/v1/");
        assert_eq!(address.base, "http://me:secret@10.0.0.7:8000/v1");
        assert_eq!(address.label, "http://10.0.0.7:8000/v1");
        assert_eq!(Address::parse("https://host").label, "https://host");
        let address = Address::parse("unix:/run/llama.sock");
        assert_eq!(address.label, "unix:/run/llama.sock");
        assert_eq!(address.socket.as_deref(), Some(std::path::Path::new("/run/llama.sock")));
    }

    #[test]
    fn a_request_says_its_host_and_its_key_or_the_addresss_name_and_password() {
        for (url, key, path, host, authorization) in [
            ("http://10.0.0.7:8000/v1/", None, "/v1/chat/completions", "10.0.0.7:8000", None),
            ("https://host", Some("k"), "/chat/completions", "host", Some("Bearer k")),
            ("https://host:443/", None, "/chat/completions", "host", None),
            ("http://[::1]:80/a/b", None, "/a/b/chat/completions", "[::1]", None),
            ("http://me:se%20cret@h/v1", None, "/v1/chat/completions", "h", Some("Basic bWU6c2UgY3JldA==")),
            ("http://me:secret@h/v1", Some("k"), "/v1/chat/completions", "h", Some("Bearer k")),
            ("http://b\u{fc}cher.example/v1", None, "/v1/chat/completions", "xn--bcher-kva.example", None),
            ("unix:/run/llama.sock", None, "/v1/chat/completions", "localhost", None),
        ] {
            let request = request(url, key);
            let says = |name| request.headers().get(name).map(|value| value.to_str().expect("it is text"));
            assert_eq!(request.uri(), path, "{url}");
            assert_eq!(says(header::HOST), Some(host), "{url}");
            assert_eq!(says(header::AUTHORIZATION), authorization, "{url}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_and_no_secret_is_told() {
        for url in ["http://me:secret@", "nonsense", "http://me:secret@h:99999/v1"] {
            let connectors = Connectors::new().expect("the system has certificates");
            let error = Client::new(&Address::parse(url), &connectors, None).expect_err("it is none").to_string();
            assert!(error.contains("is no address") && !error.contains("secret"), "{error}");
        }
    }
}
