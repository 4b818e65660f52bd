//! The client: one connection pool, one token, and the one place where requests go out.

use std::{any::Any, fmt, sync::Arc, time::Duration};

use crate::{Answer, ClientBuilder, Result, RetryPolicy, Token, call::Read, request::Request, transport};

/// A client of a Dewpoint server, or of the real service. Cheap to clone; clones share connections.
///
/// Methods name resources, their methods operations, and nothing is sent before a call is awaited:
/// `client.gpu_droplets().images().actions().list(id).await?`.
#[derive(Clone)]
pub struct Client(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) http: reqwest::Client,
    /// Without a slash at the end.
    pub(crate) url: String,
    pub(crate) inference_url: String,
    pub(crate) token: Token,
    pub(crate) inference_token: Option<Token>,
    pub(crate) retry: RetryPolicy,
    /// Whether a POST with a key may be sent twice to this server.
    pub(crate) knows_keys: bool,
    /// Whether POSTs get a key when the caller gave none.
    pub(crate) sends_keys: bool,
    pub(crate) timeout: Duration,
    /// What has to live as long as the client, such as a server in this process.
    pub(crate) _keeps: Option<Arc<dyn Any + Send + Sync>>,
}

impl Client {
    /// A client from the environment, as the tools people already use read it.
    ///
    /// Fails with [`crate::Error::Config`] when there is no token; see [`ClientBuilder::from_env`] for the variables.
    pub fn from_env() -> Result<Self> {
        ClientBuilder::from_env()?.build()
    }

    /// A client with `token` for the real service, `https://api.digitalocean.com`. For another server, see [`Client::builder`].
    pub fn new(token: impl AsRef<str>) -> Result<Self> {
        Self::builder().token(token).build()
    }

    /// A client that is set up step by step.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// The server's address, without a slash at the end.
    pub fn base_url(&self) -> &str {
        &self.0.url
    }

    pub(crate) async fn answer<T>(&self, request: &Request, read: Read<T>) -> Result<Answer<T>> {
        transport::answer(self, request, read).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base_url", &self.0.url).field("retry", &self.0.retry).finish_non_exhaustive()
    }
}
