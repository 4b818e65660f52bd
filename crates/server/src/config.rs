//! What an operator can say about how the API is served.

use std::{fmt, path::PathBuf, time::Duration};

use dewpoint_api::{KeyLimits, TagName};
use ipnet::IpNet;

/// How the API is served. Built by `dew serve` from flags, environment and the configuration file.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// What links in answers begin with, such as `https://cloud.example.com`. `None`: what the client called (PAG-8).
    pub public_url: Option<PublicUrl>,
    /// Where everything is kept; `None` where there is nothing to back up.
    pub data_dir: Option<PathBuf>,
    /// Whether and how requests are limited.
    pub limits: Limits,
    /// Proxies whose word about a client's address counts.
    pub trusted_proxies: Vec<IpNet>,
    /// For how long a retry without an `Idempotency-Key` is known as one.
    pub retry_horizon: Duration,
    /// How long a request waits for the one that it repeats, before it is told to ask again.
    pub retry_patience: Duration,
    /// What connections may take.
    pub connections: ConnectionLimits,
    /// How often a stream of events sends something although nothing happens.
    pub event_keep_alive: Duration,
    /// Models that others serve (docs/chat.md).
    pub models: Vec<ModelConfig>,
    /// What asking models may take.
    pub inference: InferenceConfig,
    /// How models of files on this host are served.
    pub llama: LlamaConfig,
}

impl Default for ServerConfig {
    fn default() -> Self {
        let (retry_horizon, retry_patience) = (Duration::from_secs(600), Duration::from_secs(30));
        Self {
            public_url: None,
            data_dir: None,
            limits: Limits::Off,
            trusted_proxies: Vec::new(),
            retry_horizon,
            retry_patience,
            connections: ConnectionLimits::default(),
            event_keep_alive: Duration::from_secs(15),
            models: Vec::new(),
            inference: InferenceConfig::default(),
            llama: LlamaConfig::default(),
        }
    }
}

/// What asking models may take, whichever they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InferenceConfig {
    /// Most bytes of a request's body: 413 over it. A long conversation is long, and pictures are longer.
    pub body_most: usize,
    /// How long answers may go on once the server is told to end; then they are told so. Less than the 20 s that it waits.
    pub ending: Duration,
    /// What model access keys may have that have no limits of their own.
    pub limits: KeyLimits,
}

impl Default for InferenceConfig {
    fn default() -> Self {
        Self { body_most: 32 * 1024 * 1024, ending: Duration::from_secs(10), limits: KeyLimits::default() }
    }
}

/// How models of files on this host are served: one `dew-llama` for each, with these settings; what is `None` it decides itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LlamaConfig {
    /// How long each is waited for.
    pub patience: LlamaPatience,
    /// The program; `None`: the one beside this program, else in PATH, else where DEW_LLAMA says.
    pub binary: Option<PathBuf>,
    /// How many threads each uses.
    pub threads: Option<u32>,
    /// How many tokens each conversation may have.
    pub context: Option<u32>,
    /// How many conversations each holds at once.
    pub parallel: Option<u32>,
    /// How much memory each may take, in MiB.
    pub memory_mib: Option<u32>,
}

/// How long a program that answers for a model is waited for. No setting: tests of programs that do nothing make it short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LlamaPatience {
    /// Until it opens its socket (60 s), which it does before it loads anything.
    pub opening: Duration,
    /// Until it says a word on how far it is (10 s).
    pub answering: Duration,
    /// Until it has ended after SIGTERM (8 s), then it is killed: it gives its answers 5 s, and then says that it ends.
    pub ending: Duration,
}

impl Default for LlamaPatience {
    fn default() -> Self {
        Self { opening: Duration::from_secs(60), answering: Duration::from_secs(10), ending: Duration::from_secs(8) }
    }
}

/// A model that others serve.
#[derive(Clone, Debug)]
pub struct ModelConfig {
    /// What requests call it, and its upstreams too unless they say otherwise.
    pub name: String,
    /// Who runs it, as it is listed.
    pub owned_by: String,
    /// Where it is served; each is asked once for a request.
    pub upstreams: Vec<UpstreamConfig>,
    /// Droplets that serve it too, once they are active.
    pub droplets: Option<FoundConfig>,
    /// Models that are asked instead when none of its upstreams answers, in this order.
    pub fallbacks: Vec<String>,
    /// How upstreams are looked after when nobody asks them anything; `None`: not at all.
    pub check: Option<CheckConfig>,
    /// How long an upstream may take for the first byte of its answer.
    pub first_byte: Duration,
    /// How long it may be silent after that.
    pub between: Duration,
    /// How long all of an answer may take.
    pub whole: Duration,
}

impl ModelConfig {
    /// A model of this name with these upstreams; everything else as usual, and no checks.
    pub fn new(name: impl Into<String>, upstreams: Vec<UpstreamConfig>) -> Self {
        Self {
            name: name.into(),
            owned_by: "operator".to_owned(),
            upstreams,
            droplets: None,
            fallbacks: Vec::new(),
            check: None,
            first_byte: Duration::from_secs(60),
            between: Duration::from_secs(30),
            whole: Duration::from_secs(3600),
        }
    }
}

/// Where a model is served.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// What `/chat/completions` is put behind, such as `http://10.0.0.7:8000/v1`; or `unix:/path/to/socket`, where it is put
    /// behind `/v1`.
    pub url: String,
    /// How much of the requests it gets, compared with the others.
    pub weight: u32,
    /// What it is asked with.
    pub key: Option<Secret>,
    /// What it calls the model, when that is another name.
    pub model: Option<String>,
}

impl UpstreamConfig {
    /// An upstream at this address, with weight 1 and without a key.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), weight: 1, key: None, model: None }
    }
}

/// Which of the operator's Droplets serve a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundConfig {
    /// The tag they bear.
    pub tag: TagName,
    /// The port they serve it on, below `/v1`.
    pub port: u16,
    /// What they are asked with.
    pub key: Option<Secret>,
}

/// How upstreams are looked after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckConfig {
    /// What is asked for: behind the upstream's address, or behind its host alone when it begins with `/`. `None`: `models`,
    /// and `/health` of a Unix socket.
    pub path: Option<String>,
    /// How long from one check to the next, give or take a fifth.
    pub every: Duration,
    /// How long an answer may take.
    pub time: Duration,
    /// After how many failures in a row an upstream gets no more requests.
    pub ill_after: u32,
}

impl Default for CheckConfig {
    fn default() -> Self {
        Self { path: None, every: Duration::from_secs(10), time: Duration::from_secs(3), ill_after: 2 }
    }
}

/// A text that no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// How many connections there may be, and how long their clients are waited for. Who is slower is cut off, so that slow or
/// silent clients take nothing from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Most connections at once; one more is turned away with a 503.
    pub most: usize,
    /// Most of them from one address (an IPv6 /64 is one); a trusted proxy's are not counted so.
    pub most_per_address: usize,
    /// How long a TLS handshake may take.
    pub handshake_time: Duration,
    /// How long a request's head may take, from its first byte on.
    pub head_time: Duration,
    /// Most bytes of a request's head: 431 over it. At least 8192.
    pub head_bytes: usize,
    /// How long a connection may lie without a request.
    pub idle_time: Duration,
    /// How long a request's body may take to arrive, beside what its length allows it.
    pub body_time: Duration,
    /// Bytes a second that a body has to come at after that: 408 when it does not.
    pub body_rate: u32,
    /// How long the client may take nothing of an answer.
    pub write_time: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            most: 10_000,
            most_per_address: 2_500,
            handshake_time: Duration::from_secs(10),
            head_time: Duration::from_secs(20),
            head_bytes: 64 * 1024,
            idle_time: Duration::from_secs(75),
            body_time: Duration::from_secs(30),
            body_rate: 1024,
            write_time: Duration::from_secs(30),
        }
    }
}

/// Which request limits hold (behaviour rules RATE-1 to RATE-4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limits {
    /// None. The headers are sent all the same: 5000, 5000, an hour from now.
    #[default]
    Off,
    /// The real service's: 5000 an hour and 250 a minute for each token, and 10 listings of keys a minute.
    DigitalOcean,
}

/// An absolute http or https address without query, fragment or trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// Checks and keeps `text`; a trailing slash is dropped.
    ///
    /// Fails when it does not begin with `http://` or `https://`, names no host, or has a query or fragment.
    pub fn parse(text: &str) -> Result<Self, InvalidPublicUrl> {
        let trimmed = text.trim_end_matches('/');
        let wrong = || InvalidPublicUrl(text.to_owned());
        let uri: http::Uri = trimmed.parse().map_err(|_| wrong())?;
        let scheme_known = matches!(uri.scheme_str(), Some("http" | "https"));
        if !scheme_known || uri.host().is_none_or(str::is_empty) || uri.query().is_some() || trimmed.contains('#') {
            return Err(wrong());
        }
        Ok(Self(trimmed.to_owned()))
    }

    /// The address, without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name or address of its host, an IPv6 address without brackets.
    pub fn host(&self) -> String {
        let uri = self.0.parse::<http::Uri>().unwrap_or_default();
        uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned()
    }

    /// Whether it is one of HTTPS.
    pub fn is_secure(&self) -> bool {
        self.0.starts_with("https://")
    }
}

/// The text is no address that links could begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPublicUrl(String);

impl fmt::Display for InvalidPublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not an address such as https://cloud.example.com", self.0)
    }
}

impl std::error::Error for InvalidPublicUrl {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_loses_its_slash_and_must_be_absolute() {
        let url = PublicUrl::parse("https://cloud.example.com/dew/").expect("a good address");
        assert_eq!(
            (url.as_str(), url.host().as_str(), url.is_secure()),
            ("https://cloud.example.com/dew", "cloud.example.com", true)
        );
        assert_eq!(PublicUrl::parse("http://[::1]:8080").map(|url| url.host()).as_deref(), Ok("::1"));
        for bad in ["", "cloud.example.com", "ftp://a", "http://", "http://a/?b=c", "http://a/#b", "/v2"] {
            assert!(PublicUrl::parse(bad).is_err(), "{bad:?}");
        }
    }
}
