//! A typed object that has kept the JSON it was read from.

use std::{fmt, ops::Deref};

use serde::{Serialize, Serializer, de::DeserializeOwned};
use serde_json::{Map, Value, value::RawValue};

/// An object of the API, typed, with all of what the server sent beside it.
///
/// It derefs to the typed object, so `droplet.name` and `droplet.networks.v4` read as usual. What the server sent and the
/// types here do not have (yet) is not lost: [`Kept::member`] has one such member, [`Kept::extra`] has all, and serialising
/// writes what came, member by member.
#[derive(Clone)]
pub struct Kept<T> {
    value: T,
    raw: Box<RawValue>,
}

impl<T: DeserializeOwned> Kept<T> {
    pub(crate) fn read(raw: &RawValue) -> Result<Self, serde_json::Error> {
        Ok(Self { value: serde_json::from_str(raw.get())?, raw: raw.to_owned() })
    }
}

impl<T> Kept<T> {
    /// The typed object alone.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// The JSON as it came.
    pub fn json(&self) -> &str {
        self.raw.get()
    }

    /// The JSON as it came, as a tree.
    pub fn to_json(&self) -> Value {
        serde_json::from_str(self.raw.get()).unwrap_or(Value::Null)
    }

    /// One member of what the server sent, whether the type has it or not. `None` when there is none.
    pub fn member(&self, name: &str) -> Option<Value> {
        match self.to_json() {
            Value::Object(mut members) => members.remove(name),
            _ => None,
        }
    }
}

impl<T: Serialize> Kept<T> {
    /// The members that the server sent and the type does not have. Only of the object itself, not of those inside it.
    pub fn extra(&self) -> Map<String, Value> {
        let Value::Object(mut sent) = self.to_json() else { return Map::new() };
        if let Ok(Value::Object(known)) = serde_json::to_value(&self.value) {
            sent.retain(|name, value| !known.contains_key(name) && !value.is_null());
        }
        sent
    }
}

impl<T> Deref for Kept<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> AsRef<T> for Kept<T> {
    fn as_ref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Kept<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for Kept<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: PartialEq> PartialEq for Kept<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: PartialEq> PartialEq<T> for Kept<T> {
    fn eq(&self, other: &T) -> bool {
        self.value == *other
    }
}

impl<T> Serialize for Kept<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw.serialize(serializer)
    }
}
