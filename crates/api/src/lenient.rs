//! Reading requests the way the real clients write them (behaviour rule PRO-5).
//!
//! `godo` sends members it has no value for as `null` or `""`, so for those null, missing and empty are one. A wrong JSON
//! type stays an error.

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};

/// Reads the body of a request, which is an object.
///
/// Fails for what is not JSON, not UTF-8, not of the request's types, or not an object: serde alone would read `["web"]` as
/// a request with the name `web`, members in the order of declaration.
pub fn read_object<T: DeserializeOwned>(body: &[u8]) -> Result<T, serde_json::Error> {
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None | Some(b'{') => serde_json::from_slice(body),
        Some(_) => Err(serde_json::Error::custom("expected a JSON object")),
    }
}

/// `null` reads as the default. For members with `#[serde(default)]`, so that missing does too.
pub(crate) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// `null` and `""` read as none; anything else as what its text makes.
pub(crate) fn empty_is_none<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: From<String>,
{
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()).map(T::from))
}

/// What is no such thing reads as none: for members of answers that are not worth an error, such as a gateway written `""`.
pub(crate) fn unreadable_is_none<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr,
{
    Ok(Option::<String>::deserialize(deserializer)?.and_then(|text| text.parse().ok()))
}

/// A number or a text, such as an id that clients write either way.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a whole number or a text")]
pub(crate) enum NumberOrText {
    Number(u64),
    Text(String),
}
