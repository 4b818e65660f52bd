//! Taking a request apart. What cannot be taken apart is refused here, with a sentence that says where (rules ERR-2, ERR-3).

use std::{
    error::Error as StdError,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, FromRequestParts, OptionalFromRequest, Request},
    response::{IntoResponse, Response},
};
use dewpoint_api::{
    AccountId, ActionId, DomainRecordId, DropletId, FirewallId, ImageId, ProjectId, SshKeyId, TokenId, VolumeId,
    VolumeSnapshotId, VpcId, VpcPeeringId,
};
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::{Serialize, de::DeserializeOwned, de::IgnoredAny};

use crate::{ApiError, App, context::Context, serve::arriving::TooSlow};

/// Most bytes of a request body.
pub const BODY_MAX: usize = 1024 * 1024;
/// How much more of a too large body is read and thrown away, so that its sender gets to read the refusal.
const DISCARD_MAX: usize = 64 * BODY_MAX;

/// What every JSON answer says it is (behaviour rule PRO-1).
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// A JSON body, coming or going. Any content type will do, none too (rules PRO-3, PRO-4).
///
/// Coming: 413 over [`BODY_MAX`]; 400 when it is empty, not UTF-8 or not JSON; 422 when it is JSON of another shape, with the
/// path to the member. `Option<Json<T>>` takes an empty body as `None`. A zero character
/// in a text is a 422 (our choice).
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let mut text = Vec::with_capacity(1024);
        match serde_json::to_writer(&mut text, &self.0) {
            Ok(()) => {
                let mut response = Response::new(Body::from(text));
                response.headers_mut().insert(header::CONTENT_TYPE, JSON);
                response
            }
            Err(error) => ApiError::internal(error).into_response(),
        }
    }
}

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = ApiError;
    async fn from_request(request: Request, _: &App) -> Result<Self, ApiError> {
        let bytes = body_of(request).await?;
        if bytes.is_empty() {
            return Err(ApiError::bad_request("The request body is empty; it has to be a JSON object."));
        }
        parse_json(&bytes).map(Self)
    }
}

impl<T: DeserializeOwned> OptionalFromRequest<App> for Json<T> {
    type Rejection = ApiError;
    async fn from_request(request: Request, _: &App) -> Result<Option<Self>, ApiError> {
        let bytes = body_of(request).await?;
        if bytes.is_empty() { Ok(None) } else { parse_json(&bytes).map(|value| Some(Self(value))) }
    }
}

async fn body_of(request: Request) -> Result<Bytes, ApiError> {
    let (parts, body) = request.into_parts();
    read_body(&parts.headers, body, BODY_MAX).await
}

/// The whole body, at most `most` bytes. One from a socket fails when it comes too slowly ([`crate::serve::arriving`]).
pub(crate) async fn read_body(headers: &HeaderMap, mut body: Body, most: usize) -> Result<Bytes, ApiError> {
    let announced: Option<usize> =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_none_or(|length| length <= most) {
        match Limited::new(&mut body, most).collect().await {
            Ok(collected) => return Ok(collected.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => {}
            Err(error) if TooSlow::is_behind(error.as_ref()) => return Err(ApiError::too_slow()),
            Err(error) => return Err(cut_off(error.as_ref())),
        }
    }
    if !waits_for_consent(headers) {
        discard(&mut body).await;
    }
    Err(ApiError::too_large(most))
}

/// Whether the sender holds its body back until it is told to go on, and so will read a refusal at once.
pub(crate) fn waits_for_consent(headers: &HeaderMap) -> bool {
    headers.get(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Reads on without keeping anything: a connection closed on a sender in mid-body may lose the answer on its way.
async fn discard(body: &mut Body) {
    let mut left = DISCARD_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

fn cut_off(error: &(dyn StdError + Send + Sync)) -> ApiError {
    tracing::debug!(%error, "A request body ended early");
    ApiError::bad_request("The request body ended before it was complete.")
}

/// Reads a body that is JSON of this shape: 400 when it is no JSON, 422 with the member's path when it is of another shape.
pub(crate) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let position = error.valid_up_to();
        ApiError::bad_request(format!(
            "The request body is not UTF-8: the byte at position {position} begins no character."
        ))
    })?;
    if has_zero_escape(text) {
        return Err(ApiError::unprocessable(
            "The request body has a zero character (\\u0000), which no text here may hold.",
        ));
    }
    dewpoint_api::read_object(text.as_bytes()).map_err(|error| refusal_of_json::<T>(text, &error))
}

/// Whether a JSON text writes a zero character. PostgreSQL's texts cannot hold one, so no answer could keep its promise.
fn has_zero_escape(json: &str) -> bool {
    json.match_indices("\\u0000").any(|(position, _)| {
        let before = json.as_bytes()[..position].iter().rev().take_while(|byte| **byte == b'\\').count();
        before % 2 == 0
    })
}

/// Says what is wrong with a body that was not taken. Reads it again, which only a wrong one costs.
#[cold]
fn refusal_of_json<T: DeserializeOwned>(text: &str, error: &serde_json::Error) -> ApiError {
    // A wrong member may come before the place where the text stops being JSON; that it is no JSON then counts.
    let not_json = if error.is_data() { serde_json::from_str::<IgnoredAny>(text).err() } else { None };
    let error_of_text = not_json.as_ref().unwrap_or(error);
    if not_json.is_some() || !error.is_data() {
        return ApiError::bad_request(format!("The request body is not JSON: {error_of_text}."));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let (path, problem) = match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Ok(_) => (String::new(), without_place(&error.to_string()).to_owned()),
        Err(error) => (error.path().to_string(), without_place(&error.inner().to_string()).to_owned()),
    };
    let problem = problem.trim_end_matches('.');
    match path.as_str() {
        "" | "." => ApiError::unprocessable(format!("The request body cannot be read: {problem}.")),
        path => ApiError::unprocessable(format!("{path} cannot be read: {problem}.")),
    }
}

/// The text without its last words, ` at line 1 column 9`: the path says it better.
fn without_place(text: &str) -> &str {
    text.rfind(" at line ").map_or(text, |end| &text[..end])
}

/// The query string as the members of `T`, unknown ones ignored. 400 when one cannot be read.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<App> for Query<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        if parts.uri.query().is_some_and(|query| query.contains("%00")) {
            return Err(ApiError::bad_request("The query cannot be read: it contains a zero byte (%00)."));
        }
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                let problem = rejection.source().map_or_else(|| rejection.to_string(), ToString::to_string);
                Err(ApiError::bad_request(format!("The query cannot be read: {problem}.")))
            }
        }
    }
}

/// The parameters of the path: one value, or a tuple of two. One that cannot be read names nothing there is: 404.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<T: PathParameters> FromRequestParts<App> for Path<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        let context = Context::of(parts).ok_or_else(ApiError::not_found)?;
        T::read(&context.parameters).map(Self).ok_or_else(ApiError::not_found)
    }
}

/// What [`Path`] can hold.
pub trait PathParameters: Sized {
    /// Reads all parameters of a path; `None` when one is not what it should be, or their number is wrong.
    fn read(parameters: &[String]) -> Option<Self>;
}

/// A type that one path parameter can be. A list rather than every `FromStr`, so that tuples can be told from them.
pub trait PathParameter: FromStr {}

/// Lets each of these types stand for a path parameter.
macro_rules! path_parameters {
    ($($name:ty),+ $(,)?) => { $(impl PathParameter for $name {})+ };
}

path_parameters!(
    String,
    u64,
    Ipv4Addr,
    Ipv6Addr,
    AccountId,
    ActionId,
    DomainRecordId,
    DropletId,
    FirewallId,
    ImageId,
    ProjectId,
    SshKeyId,
    TokenId,
    VolumeId,
    VolumeSnapshotId,
    VpcId,
    VpcPeeringId
);

impl<T: PathParameter> PathParameters for T {
    fn read(parameters: &[String]) -> Option<Self> {
        match parameters {
            [only] => only.parse().ok(),
            _ => None,
        }
    }
}

impl<A: PathParameter, B: PathParameter> PathParameters for (A, B) {
    fn read(parameters: &[String]) -> Option<Self> {
        match parameters {
            [first, second] => Some((first.parse().ok()?, second.parse().ok()?)),
            _ => None,
        }
    }
}

/// The answer 204: done, and nothing to say.
#[derive(Clone, Copy, Debug)]
pub struct Done;

impl IntoResponse for Done {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only whether it can be read matters here")]
    struct Outer {
        name: String,
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only whether it can be read matters here")]
    struct Inner {
        size: u32,
    }

    fn refusal(body: &[u8]) -> (u16, String) {
        let error = parse_json::<Outer>(body).expect_err("a wrong body");
        (error.status().as_u16(), error.message().to_owned())
    }

    #[test]
    fn a_body_that_is_no_json_is_a_400_that_says_where() {
        let (status, text) = refusal(b"{\"name\": \"a\", }");
        assert_eq!((status, text.contains("line 1 column 15")), (400, true), "{text}");
        let (status, text) = refusal(b"{\"name\": \"\xff\"}");
        assert_eq!((status, text.contains("position 10")), (400, true), "{text}");
        let (status, text) = refusal(b"{\"name\": 5, \"inner\": [");
        assert_eq!((status, text.contains("not JSON")), (400, true), "wrong shape and cut short: {text}");
        assert_eq!(refusal(&[b'['; 5000]).0, 400, "nested too deep");
    }

    #[test]
    fn json_of_another_shape_is_a_422_that_names_the_member_err_3() {
        let (status, text) = refusal(br#"{"name": "a", "inner": [{"size": 1}, {"size": "big"}]}"#);
        assert_eq!(status, 422);
        assert_eq!(text, "inner[1].size cannot be read: invalid type: string \"big\", expected u32.");
        let (status, text) = refusal(br#"{"inner": []}"#);
        assert_eq!((status, text.as_str()), (422, "The request body cannot be read: missing field `name`."));
        assert_eq!(refusal(b"[]").0, 422);
        assert_eq!(refusal(b"null").0, 422);
    }

    #[test]
    fn a_zero_character_is_refused_and_the_letters_of_one_are_not() {
        let (status, text) = refusal(br#"{"name": "a\u0000b", "inner": []}"#);
        assert_eq!((status, text.contains("zero character")), (422, true), "{text}");
        assert!(parse_json::<Outer>(br#"{"name": "printf '\\u0000'", "inner": []}"#).is_ok());
        assert_eq!(refusal(br#"{"name": "\\\u0000", "inner": []}"#).0, 422);
    }

    async fn read(body: Body, headers: &[(&'static str, &'static str)]) -> Result<usize, u16> {
        let mut request = Request::new(body);
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_static(value));
        }
        body_of(request).await.map(|bytes| bytes.len()).map_err(|error| error.status().as_u16())
    }

    #[tokio::test]
    async fn a_body_of_one_mebibyte_is_taken_and_one_byte_more_is_a_413() {
        assert_eq!(read(Body::from(vec![b' '; BODY_MAX]), &[]).await, Ok(BODY_MAX));
        assert_eq!(read(Body::from(vec![b' '; BODY_MAX + 1]), &[]).await, Err(413));
        assert_eq!(read(Body::empty(), &[("content-length", "10485760"), ("expect", "100-continue")]).await, Err(413));
        assert_eq!(read(Body::empty(), &[]).await, Ok(0));
    }

    #[test]
    fn a_path_parameter_that_cannot_be_read_names_nothing() {
        let texts = |values: &[&str]| values.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(DropletId::read(&texts(&["7"])), Some(DropletId(7)));
        assert_eq!(<(DropletId, ActionId)>::read(&texts(&["7", "8"])), Some((DropletId(7), ActionId(8))));
        for wrong in ["seven", "-1", "", "7.5", "99999999999999999999", "7/8"] {
            assert_eq!(DropletId::read(&texts(&[wrong])), None, "{wrong:?}");
        }
        assert_eq!(VpcId::read(&texts(&["7"])), None);
    }
}
