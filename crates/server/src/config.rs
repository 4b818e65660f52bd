//! What an operator can say about how the API is served.

use std::{fmt, time::Duration};

use ipnet::IpNet;

/// How the API is served. Built by `dew serve` from flags, environment and the configuration file.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// What links in answers begin with, such as `https://cloud.example.com`. `None`: what the client called (PAG-8).
    pub public_url: Option<PublicUrl>,
    /// Whether and how requests are limited.
    pub limits: Limits,
    /// Proxies whose word about a client's address counts.
    pub trusted_proxies: Vec<IpNet>,
    /// For how long a retry without an `Idempotency-Key` is known as one.
    pub retry_horizon: Duration,
    /// How long a request waits for the one that it repeats, before it is told to ask again.
    pub retry_patience: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        let (retry_horizon, retry_patience) = (Duration::from_secs(600), Duration::from_secs(30));
        Self { public_url: None, limits: Limits::Off, trusted_proxies: Vec::new(), retry_horizon, retry_patience }
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
        assert_eq!(url.as_str(), "https://cloud.example.com/dew");
        for bad in ["", "cloud.example.com", "ftp://a", "http://", "http://a/?b=c", "http://a/#b", "/v2"] {
            assert!(PublicUrl::parse(bad).is_err(), "{bad:?}");
        }
    }
}
