//! A call: made by a method of the client, sent when it is awaited.

use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    time::Duration,
};

use dewpoint_api::Resource;
use http::{HeaderMap, StatusCode};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Client, Kept, Result, envelope, operations::Operation, request::Request};

/// Reads a body, or says what is wrong with it.
pub(crate) type Read<T> = fn(&[u8]) -> Result<T, String>;

/// What awaiting a [`Call`] is.
pub type CallFuture<T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'static>>;

/// A call that is sent when it is awaited, with what a single call may have otherwise than its client.
///
/// Dropping the future while it runs cancels the call: its connection is closed, and nothing is sent again.
///
/// ```no_run
/// # async fn example(client: dewpoint_client::Client) -> dewpoint_client::Result<()> {
/// use std::time::Duration;
///
/// let droplet = client.droplets().get(3164444).await?;
/// let same = client.droplets().get(3164444).timeout(Duration::from_secs(2)).retries(0).await?;
/// # drop((droplet, same)); Ok(()) }
/// ```
#[must_use = "a call is sent when it is awaited"]
pub struct Call<T> {
    client: Client,
    request: Request,
    read: Read<T>,
}

impl<T> Call<T> {
    pub(crate) const fn new(client: Client, request: Request, read: Read<T>) -> Self {
        Self { client, request, read }
    }

    /// Sets a header, in place of what the client would send under that name.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request.header(name, value);
        self
    }

    /// Sets a query parameter that the method has no argument for.
    pub fn query(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.request.query(name, &value);
        self
    }

    /// Names what is asked for, in place of a name made by chance: 1 to 255 visible ASCII characters.
    ///
    /// Two POSTs with one key within a day are carried out once by a Dewpoint server, also when they come from two processes.
    pub fn idempotency_key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    /// How long each attempt may take, from its start to the end of its answer.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.request.timeout = Some(timeout);
        self
    }

    /// Most times that the call is sent again, where that is safe. 0 for never.
    pub const fn retries(mut self, retries: u32) -> Self {
        self.request.retries = Some(retries);
        self
    }

    /// Sends the call and gives its answer with status and headers.
    pub async fn answer(self) -> Result<Answer<T>> {
        let Self { client, request, read } = self;
        client.answer(&request, read).await
    }
}

impl<T: 'static> IntoFuture for Call<T> {
    type Output = Result<T>;
    type IntoFuture = CallFuture<T>;
    fn into_future(self) -> Self::IntoFuture {
        let Self { client, request, read } = self;
        Box::pin(async move { Ok(client.answer(&request, read).await?.value) })
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("method", &self.request.method).field("target", &self.request.target).finish()
    }
}

/// An answer with what came around its body.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer<T> {
    /// What was asked for.
    pub value: T,
    /// The status, 200 to 299.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
}

impl<T> Answer<T> {
    fn text(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The request's name in the server's log.
    pub fn request_id(&self) -> Option<&str> {
        self.text("x-request-id")
    }

    /// Whether the server had carried the request out before, under the same `Idempotency-Key`.
    pub fn was_replayed(&self) -> bool {
        self.text("idempotent-replayed") == Some("true")
    }

    /// How much of the rate limit is left (behaviour rule RATE-1).
    pub fn rate_limit(&self) -> Option<RateLimit> {
        let number = |name| self.text(name)?.parse().ok();
        Some(RateLimit {
            limit: number("ratelimit-limit")?,
            remaining: number("ratelimit-remaining")?,
            reset: number("ratelimit-reset")?,
        })
    }
}

/// How much of a rate limit is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimit {
    /// Requests in the window.
    pub limit: u64,
    /// Requests that are left of them.
    pub remaining: u64,
    /// When the oldest one stops counting, in seconds since the Unix epoch.
    pub reset: u64,
}

/// How the resources make their calls.
impl Client {
    pub(crate) fn call<T>(
        &self,
        operation: &Operation,
        parts: &[&dyn fmt::Display],
        body: Option<&dyn ErasedBody>,
        read: Read<T>,
    ) -> Call<T> {
        let request = Request::of(operation, parts);
        let request = match body {
            Some(body) => body.put_into(request),
            None => request,
        };
        Call::new(self.clone(), request, read)
    }

    /// A call that answers with one object under its name.
    pub(crate) fn one<T: Resource + DeserializeOwned>(
        &self,
        operation: &Operation,
        parts: &[&dyn fmt::Display],
    ) -> Call<Kept<T>> {
        self.call(operation, parts, None, envelope::one)
    }

    /// A call with a body that answers with one object under its name.
    pub(crate) fn one_from<T: Resource + DeserializeOwned>(
        &self,
        operation: &Operation,
        parts: &[&dyn fmt::Display],
        body: &impl Serialize,
    ) -> Call<Kept<T>> {
        self.call(operation, parts, Some(&body), envelope::one)
    }

    /// A call that answers with an object that has no name.
    pub(crate) fn whole<T: DeserializeOwned>(
        &self,
        operation: &Operation,
        parts: &[&dyn fmt::Display],
    ) -> Call<Kept<T>> {
        self.call(operation, parts, None, envelope::whole)
    }

    /// A call with a body that answers with an object that has no name.
    pub(crate) fn whole_from<T: DeserializeOwned>(
        &self,
        operation: &Operation,
        parts: &[&dyn fmt::Display],
        body: &impl Serialize,
    ) -> Call<Kept<T>> {
        self.call(operation, parts, Some(&body), envelope::whole)
    }

    /// A call that answers with several objects under their name, without pages.
    pub(crate) fn many<T: Resource + DeserializeOwned>(
        &self,
        operation: &Operation,
        parts: &[&dyn fmt::Display],
    ) -> Call<Vec<Kept<T>>> {
        self.call(operation, parts, None, envelope::many)
    }

    /// A call with a body that answers with several objects under their name, without pages.
    pub(crate) fn many_from<T: Resource + DeserializeOwned>(
        &self,
        operation: &Operation,
        parts: &[&dyn fmt::Display],
        body: &impl Serialize,
    ) -> Call<Vec<Kept<T>>> {
        self.call(operation, parts, Some(&body), envelope::many)
    }

    /// A call that answers with a text.
    pub(crate) fn text(&self, operation: &Operation, parts: &[&dyn fmt::Display]) -> Call<String> {
        self.call(operation, parts, None, |body| String::from_utf8(body.to_vec()).map_err(|error| error.to_string()))
    }

    /// A call that answers with bytes.
    pub(crate) fn bytes(&self, operation: &Operation, parts: &[&dyn fmt::Display]) -> Call<Vec<u8>> {
        self.call(operation, parts, None, |body| Ok(body.to_vec()))
    }

    /// A call that answers with nothing.
    pub(crate) fn done(&self, operation: &Operation, parts: &[&dyn fmt::Display]) -> Call<()> {
        self.call(operation, parts, None, |_| Ok(()))
    }

    /// A call with a body that answers with nothing.
    pub(crate) fn done_from(
        &self,
        operation: &Operation,
        parts: &[&dyn fmt::Display],
        body: &impl Serialize,
    ) -> Call<()> {
        self.call(operation, parts, Some(&body), |_| Ok(()))
    }
}

/// A body of any type, so that what puts a call together is compiled once.
pub(crate) trait ErasedBody {
    fn put_into(&self, request: Request) -> Request;
}

impl<B: Serialize> ErasedBody for B {
    fn put_into(&self, request: Request) -> Request {
        request.json(self)
    }
}
