//! The raw door: any path, for what has no method yet.

use http::Method;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{ByteStream, Call, Client, Kept, Result, envelope, request::Request};

/// Any request, with the client's token, retries and errors. Made by [`Client::raw`].
///
/// ```no_run
/// # async fn example(client: dewpoint_client::Client) -> dewpoint_client::Result<()> {
/// let answer = client.raw().get("/v2/1-clicks?type=droplet").await?;
/// println!("{}", answer["1_clicks"]);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Raw(Client);

impl Client {
    /// Any path, for what has no method here.
    pub fn raw(&self) -> Raw {
        Raw(self.clone())
    }
}

impl Raw {
    /// `GET target`, a path with or without a query. An empty answer is null.
    pub fn get(&self, target: impl Into<String>) -> Call<Value> {
        self.request(Method::GET, target, None::<&()>)
    }

    /// `POST target` with a body.
    pub fn post(&self, target: impl Into<String>, body: &(impl Serialize + ?Sized)) -> Call<Value> {
        self.request(Method::POST, target, Some(body))
    }

    /// `PUT target` with a body.
    pub fn put(&self, target: impl Into<String>, body: &(impl Serialize + ?Sized)) -> Call<Value> {
        self.request(Method::PUT, target, Some(body))
    }

    /// `PATCH target` with a body.
    pub fn patch(&self, target: impl Into<String>, body: &(impl Serialize + ?Sized)) -> Call<Value> {
        self.request(Method::PATCH, target, Some(body))
    }

    /// `DELETE target`.
    pub fn delete(&self, target: impl Into<String>) -> Call<Value> {
        self.request(Method::DELETE, target, None::<&()>)
    }

    /// Any method. The answer is read as JSON; an empty one is null, one that is no JSON is its text.
    pub fn request(
        &self,
        method: Method,
        target: impl Into<String>,
        body: Option<&(impl Serialize + ?Sized)>,
    ) -> Call<Value> {
        Call::new(self.0.clone(), asked(method, target.into(), body), |body| {
            Ok(match body {
                [] => Value::Null,
                text => serde_json::from_slice(text)
                    .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(text).into_owned())),
            })
        })
    }

    /// The same, the answer as the text that it is: members in the server's order, and nothing of it read.
    pub fn request_text(
        &self,
        method: Method,
        target: impl Into<String>,
        body: Option<&(impl Serialize + ?Sized)>,
    ) -> Call<String> {
        Call::new(self.0.clone(), asked(method, target.into(), body), |body| {
            Ok(String::from_utf8_lossy(body).into_owned())
        })
    }

    /// The same, given as it comes: for answers too large to hold.
    pub async fn stream(
        &self,
        method: Method,
        target: impl Into<String>,
        body: Option<&(impl Serialize + ?Sized)>,
    ) -> Result<ByteStream> {
        let request = asked(method, target.into(), body);
        ByteStream::open(&self.0, &request).await
    }

    /// The same, read as a type of the caller's, the JSON kept beside it.
    pub fn request_as<T: DeserializeOwned>(
        &self,
        method: Method,
        target: impl Into<String>,
        body: Option<&(impl Serialize + ?Sized)>,
    ) -> Call<Kept<T>> {
        Call::new(self.0.clone(), asked(method, target.into(), body), envelope::whole)
    }
}

fn asked(method: Method, target: String, body: Option<&(impl Serialize + ?Sized)>) -> Request {
    let is_path = target.starts_with('/') && !target.starts_with("//");
    let mut request = Request::raw(method, target);
    if !is_path {
        request.problem = Some(crate::Error::config("a path begins with one slash, such as /v2/droplets"));
    }
    match body {
        Some(body) => request.json(body),
        None => request,
    }
}
