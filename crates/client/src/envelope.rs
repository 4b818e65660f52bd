//! Taking bodies apart: one object under its name, many with links, or an object as it is.

use std::{borrow::Cow, collections::BTreeMap};

use dewpoint_api::{Links, Meta, Resource};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::Kept;

/// The members of a body, unread.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Envelope<'a>(#[serde(borrow)] BTreeMap<Cow<'a, str>, &'a RawValue>);

impl<'a> Envelope<'a> {
    pub(crate) fn open(body: &'a [u8]) -> Result<Self, String> {
        serde_json::from_slice(body).map_err(|error| error.to_string())
    }

    fn member(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied().filter(|raw| raw.get() != "null")
    }

    pub(crate) fn one<T: DeserializeOwned>(&self, name: &str) -> Result<Kept<T>, String> {
        let raw = self.member(name).ok_or_else(|| format!("it has no {name}"))?;
        Kept::read(raw).map_err(|error| format!("{name}: {error}"))
    }

    /// Null reads as none; what is missing is an error, since it means another operation's answer.
    pub(crate) fn many<T: DeserializeOwned>(&self, name: &str) -> Result<Vec<Kept<T>>, String> {
        let raw = self.0.get(name).ok_or_else(|| format!("it has no {name}"))?;
        let raws: Option<Vec<&RawValue>> =
            serde_json::from_str(raw.get()).map_err(|error| format!("{name}: {error}"))?;
        let read =
            |(place, raw): (usize, &RawValue)| Kept::read(raw).map_err(|error| format!("{name}[{place}]: {error}"));
        raws.unwrap_or_default().into_iter().enumerate().map(read).collect()
    }

    /// A member that may be missing.
    pub(crate) fn maybe<T: DeserializeOwned + Default>(&self, name: &str) -> T {
        self.member(name).and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }
}

pub(crate) fn one<T: Resource + DeserializeOwned>(body: &[u8]) -> Result<Kept<T>, String> {
    Envelope::open(body)?.one(T::ONE)
}

pub(crate) fn many<T: Resource + DeserializeOwned>(body: &[u8]) -> Result<Vec<Kept<T>>, String> {
    Envelope::open(body)?.many(T::MANY)
}

pub(crate) fn whole<T: DeserializeOwned>(body: &[u8]) -> Result<Kept<T>, String> {
    let raw: &RawValue = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    Kept::read(raw).map_err(|error| error.to_string())
}

/// The objects of a page with where the others are and how many there are in all.
pub(crate) fn page<T: Resource + DeserializeOwned>(body: &[u8]) -> Result<(Vec<Kept<T>>, Links, Meta), String> {
    let envelope = Envelope::open(body)?;
    let items = envelope.many(T::MANY)?;
    let meta: Option<Meta> = envelope.maybe("meta");
    let total = u64::try_from(items.len()).unwrap_or(u64::MAX);
    Ok((items, envelope.maybe("links"), meta.unwrap_or(Meta { total })))
}

impl Envelope<'_> {
    /// The members of an object of objects.
    pub(crate) fn by_name<T: DeserializeOwned>(&self, name: &str) -> Result<Vec<(String, Kept<T>)>, String> {
        let raw = self.0.get(name).ok_or_else(|| format!("it has no {name}"))?;
        let raws: Option<BTreeMap<String, &RawValue>> =
            serde_json::from_str(raw.get()).map_err(|error| format!("{name}: {error}"))?;
        let read = |(key, raw): (String, &RawValue)| match Kept::read(raw) {
            Ok(kept) => Ok((key, kept)),
            Err(error) => Err(format!("{name}.{key}: {error}")),
        };
        raws.unwrap_or_default().into_iter().map(read).collect()
    }
}
