//! Setting a client up: from the environment, by hand, or both.

use std::{any::Any, env, fmt, net::IpAddr, path::Path, sync::Arc, time::Duration};

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use rustls_platform_verifier::Verifier;

use crate::{Client, Error, Result, RetryPolicy, RetryPosts, Token, client::Inner};

/// Where the real service is.
const REAL: &str = "https://api.digitalocean.com";
/// Where the real service's models are.
const REAL_INFERENCE: &str = "https://inference.do-ai.run";
/// How long an attempt may take unless somebody says otherwise.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Sets a [`Client`] up.
///
/// ```
/// use std::time::Duration;
/// use dewpoint_client::Client;
///
/// let client = Client::builder()
///     .base_url("http://127.0.0.1:8080")
///     .token("dop_v1_of-mine")
///     .timeout(Duration::from_secs(10))
///     .user_agent("my-tool/1.0")
///     .build()?;
/// # drop(client); Ok::<(), dewpoint_client::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct ClientBuilder {
    url: Option<String>,
    inference_url: Option<String>,
    token: Option<Result<Token>>,
    inference_token: Option<Result<Token>>,
    retry: RetryPolicy,
    no_keys: bool,
    timeout: Option<Duration>,
    connect_timeout: Option<Duration>,
    user_agent: Option<String>,
    certificates: Vec<CertificateDer<'static>>,
    no_proxy: bool,
    problem: Option<Error>,
    keeps: Kept,
}

#[derive(Clone, Default)]
struct Kept(Option<Arc<dyn Any + Send + Sync>>);

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Some(…)" } else { "None" })
    }
}

impl ClientBuilder {
    /// Reads the environment. Of variables in one row the first that is set and not empty counts.
    ///
    /// | what | variables |
    /// | --- | --- |
    /// | the token | `DIGITALOCEAN_ACCESS_TOKEN` (the Python SDK, doctl), `DIGITALOCEAN_TOKEN` (Terraform, pydo's examples) |
    /// | the server's address | `GRADIENT_BASE_URL` (the Python SDK), `DIGITALOCEAN_API_URL` (doctl, Terraform) |
    /// | the key for models | `GRADIENT_MODEL_ACCESS_KEY`; without it the token |
    /// | the address of models | `GRADIENT_INFERENCE_ENDPOINT`; without it the server's own, or the real service's |
    /// | certificates to trust besides the system's, PEM | `DEW_CA_CERT` |
    ///
    /// The usual proxy variables count too, except for an address on this host.
    pub fn from_env() -> Result<Self> {
        Self::from_vars(|name| env::var(name).ok())
    }

    /// The same with an environment of the caller's.
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let first = |names: &[&str]| {
            names.iter().find_map(|name| var(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
        };
        let mut builder = Self::default();
        let token = first(&["DIGITALOCEAN_ACCESS_TOKEN", "DIGITALOCEAN_TOKEN"]).ok_or_else(|| {
            Error::config("there is no access token: set DIGITALOCEAN_ACCESS_TOKEN, or give one to Client::builder()")
        })?;
        builder = builder.token(token);
        if let Some(url) = first(&["GRADIENT_BASE_URL", "DIGITALOCEAN_API_URL"]) {
            builder = builder.base_url(url);
        }
        if let Some(key) = first(&["GRADIENT_MODEL_ACCESS_KEY"]) {
            builder = builder.inference_token(key);
        }
        if let Some(url) = first(&["GRADIENT_INFERENCE_ENDPOINT"]) {
            builder = builder.inference_url(url);
        }
        if let Some(path) = first(&["DEW_CA_CERT"]) {
            builder = builder.ca_certificate_file(path);
        }
        Ok(builder)
    }

    /// The access token. Without one nothing can be built.
    pub fn token(mut self, token: impl AsRef<str>) -> Self {
        self.token = Some(Token::new(token));
        self
    }

    /// A key for models, where it is another than the token.
    pub fn inference_token(mut self, token: impl AsRef<str>) -> Self {
        self.inference_token = Some(Token::new(token));
        self
    }

    /// The server's address, such as `http://127.0.0.1:8080`. A path at its end stays in front of every path, but for `/v2`,
    /// which some tools want there. `https://api.digitalocean.com` unless said.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// Where models answer. The server's own address when that was given, else the real service's.
    pub fn inference_url(mut self, url: impl Into<String>) -> Self {
        self.inference_url = Some(url.into());
        self
    }

    /// How long each attempt of a call may take, with its answer's body; 60 s unless said. See also [`crate::Call::timeout`].
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How long a connection may take to come about; 10 s unless said.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// When calls are sent again.
    pub const fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Most times that a call is sent again; 3 unless said. The rest of the policy stays.
    pub const fn retries(mut self, retries: u32) -> Self {
        self.retry.retries = retries;
        self
    }

    /// Sends no `Idempotency-Key` but those that calls name themselves. Then a POST is not sent again once it may have arrived.
    pub const fn without_idempotency_keys(mut self) -> Self {
        self.no_keys = true;
        self
    }

    /// What to call oneself, in front of this crate's own name and version.
    pub fn user_agent(mut self, name: impl Into<String>) -> Self {
        self.user_agent = Some(name.into());
        self
    }

    /// Certificates to trust besides the system's, in PEM: as `dew serve --tls` writes one to `tls-cert.pem`.
    pub fn ca_certificate(mut self, pem: impl AsRef<[u8]>) -> Self {
        let before = self.certificates.len();
        for found in CertificateDer::pem_slice_iter(pem.as_ref()) {
            match found {
                Ok(certificate) => self.certificates.push(certificate),
                Err(error) => self.problem = Some(Error::config(format!("a certificate cannot be read: {error:?}"))),
            }
        }
        if self.certificates.len() == before {
            self.problem.get_or_insert_with(|| {
                Error::config(
                    "there is no certificate in what was given: it has to be PEM, -----BEGIN CERTIFICATE-----",
                )
            });
        }
        self
    }

    /// The same from a file.
    pub fn ca_certificate_file(mut self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        match std::fs::read(path) {
            Ok(pem) => self.ca_certificate(pem),
            Err(error) => {
                self.problem = Some(Error::config(format!("cannot read certificates, {}: {error}", path.display())));
                self
            }
        }
    }

    /// Goes to the server straight, whatever proxy the environment names. An address on this host is always gone to straight.
    pub const fn no_proxy(mut self) -> Self {
        self.no_proxy = true;
        self
    }

    /// Lets something live for as long as the client and its clones.
    #[cfg(feature = "testing")]
    pub(crate) fn keeping(mut self, kept: Arc<dyn Any + Send + Sync>) -> Self {
        self.keeps = Kept(Some(kept));
        self
    }

    /// The client. Nothing is sent.
    ///
    /// Fails with [`Error::Config`] when there is no token, an address is no http or https URL, or a certificate cannot be read.
    pub fn build(self) -> Result<Client> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let token = self.token.ok_or_else(|| Error::config("a client needs an access token"))??;
        let inference_token = self.inference_token.transpose()?;
        let url = address(self.url.as_deref().unwrap_or(REAL), "/v2")?;
        let inference_url = match (&self.inference_url, &self.url) {
            (Some(given), _) => address(given, "/v1")?,
            (None, Some(_)) => url.clone(),
            (None, None) => address(REAL_INFERENCE, "/v1")?,
        };
        let is_secure = url.as_str().starts_with("https:") || inference_url.as_str().starts_with("https:");
        let host = url.host_str().unwrap_or_default().to_owned();
        let is_here = is_loopback(&host);
        if !is_here && !url.as_str().starts_with("https:") {
            tracing::warn!(host, "the access token travels unencrypted; https:// is safer");
        }
        let own = concat!("dewpoint-client/", env!("CARGO_PKG_VERSION"));
        let name = self.user_agent.map_or_else(|| own.to_owned(), |name| format!("{name} {own}"));
        let mut http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(is_secure, self.certificates)?)
            // A redirect would take the token elsewhere; the API has none.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(self.connect_timeout.unwrap_or(CONNECT_TIMEOUT))
            .tcp_nodelay(true)
            .user_agent(name);
        if is_here || self.no_proxy {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| Error::config(format!("no HTTP client can be made: {error}")))?;
        let knows_keys = match self.retry.posts {
            RetryPosts::Keyed => true,
            RetryPosts::NotSent => false,
            RetryPosts::ByServer => host != "digitalocean.com" && !host.ends_with(".digitalocean.com"),
        };
        Ok(Client(Arc::new(Inner {
            http,
            url: bare(&url),
            inference_url: bare(&inference_url),
            token,
            inference_token,
            retry: self.retry,
            knows_keys,
            sends_keys: !self.no_keys,
            timeout: self.timeout.unwrap_or(TIMEOUT),
            _keeps: self.keeps.0,
        })))
    }
}

/// An address without the version at its end, which the paths begin with.
fn address(text: &str, version: &str) -> Result<reqwest::Url> {
    let text = text.trim();
    let whole = text.trim_end_matches('/');
    let url: reqwest::Url = whole
        .strip_suffix(version)
        .unwrap_or(whole)
        .parse()
        .map_err(|error| Error::config(format!("{text:?} is no address of a server: {error}")))?;
    let is_plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if !matches!(url.scheme(), "http" | "https") || url.password().is_some() || !is_plain {
        return Err(Error::config("the address of a server is http:// or https://, a host, a port and maybe a path"));
    }
    Ok(url)
}

fn bare(url: &reqwest::Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// TLS over ring, without touching what the process has as its default. The system's certificates are read only when there is
/// use for them.
fn tls(is_used: bool, more: Vec<CertificateDer<'static>>) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let failed = |error: rustls::Error| Error::config(format!("TLS cannot be set up: {error}"));
    let config =
        ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().map_err(failed)?;
    if !is_used {
        return Ok(config.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
    }
    let verifier = Verifier::new_with_extra_roots(more, provider).map_err(failed)?;
    Ok(config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(vars: &[(&str, &str)]) -> Result<Client> {
        let found = |name: &str| vars.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned());
        ClientBuilder::from_vars(found)?.build()
    }

    #[test]
    fn the_environment_is_read_as_other_tools_read_it_pro_10() {
        let token = ("DIGITALOCEAN_ACCESS_TOKEN", "t\n");
        let url = |vars: &[(&str, &str)]| from(vars).expect("a client").base_url().to_owned();
        assert_eq!(url(&[token]), "https://api.digitalocean.com");
        assert_eq!(
            url(&[("DIGITALOCEAN_TOKEN", "t"), ("DIGITALOCEAN_API_URL", "http://localhost:1/")]),
            "http://localhost:1"
        );
        let both = [token, ("DIGITALOCEAN_API_URL", "http://a.test"), ("GRADIENT_BASE_URL", "http://b.test/base/")];
        assert_eq!(url(&both), "http://b.test/base");
        assert_eq!(url(&[token, ("GRADIENT_BASE_URL", "http://c.test/v2")]), "http://c.test");
        let error = from(&[("DIGITALOCEAN_ACCESS_TOKEN", " ")]).expect_err("no token").to_string();
        assert!(error.contains("DIGITALOCEAN_ACCESS_TOKEN"), "{error}");
    }

    #[test]
    fn models_are_asked_where_the_server_is_unless_told() {
        let client = |builder: ClientBuilder| builder.token("t").build().expect("a client").0.inference_url.clone();
        assert_eq!(client(Client::builder()), "https://inference.do-ai.run");
        assert_eq!(client(Client::builder().base_url("http://localhost:1")), "http://localhost:1");
        let elsewhere = Client::builder().base_url("http://localhost:1").inference_url("http://localhost:2/v1/");
        assert_eq!(client(elsewhere), "http://localhost:2");
    }

    #[test]
    fn a_token_is_never_printed() {
        let builder =
            Client::builder().token("dop_v1_secret").inference_token("sk-secret").base_url("http://localhost:1");
        let text = format!("{builder:?} {:?}", builder.clone().build().expect("a client"));
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn what_cannot_work_is_said_before_anything_is_sent() {
        let fails = |builder: ClientBuilder| builder.build().expect_err("it cannot work").to_string();
        assert!(fails(Client::builder()).contains("needs an access token"));
        for bad in ["", "example.com", "ftp://a.test", "http://me:pw@a.test", "http://a.test/?q=1", "http://"] {
            let text = fails(Client::builder().token("t").base_url(bad));
            assert!(text.contains("address") && !text.contains("pw"), "{bad}: {text}");
        }
        assert!(fails(Client::builder().token("t").ca_certificate("none")).contains("BEGIN CERTIFICATE"));
        assert!(fails(Client::builder().token("a\nb")).contains("characters"));
    }

    #[test]
    fn a_post_is_sent_again_only_where_keys_are_known() {
        let knows = |url: &str, posts| {
            let policy = RetryPolicy { posts, ..RetryPolicy::default() };
            Client::builder().token("t").base_url(url).retry(policy).build().expect("a client").0.knows_keys
        };
        assert!(knows("https://dewpoint.test", RetryPosts::ByServer));
        assert!(!knows("https://api.digitalocean.com", RetryPosts::ByServer));
        assert!(knows("https://api.digitalocean.com", RetryPosts::Keyed));
        assert!(!knows("https://dewpoint.test", RetryPosts::NotSent));
    }
}
