//! An object inside another one, that may already be JSON.

use std::{borrow::Cow, sync::Arc};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::Resource;

/// An object held by many others, such as the size of a thousand Droplets: shared, and maybe serialised beforehand.
///
/// Both forms write the same JSON; reading always gives [`Embedded::Value`]. The raw form exists because a Droplet's
/// size, region and image are nine tenths of its bytes and do not change from one Droplet to the next. It only goes
/// through `serde_json`.
#[derive(Clone, Debug)]
pub enum Embedded<T> {
    /// The object itself.
    Value(Arc<T>),
    /// Its JSON.
    Raw(Arc<RawValue>),
}

impl<T> Embedded<T> {
    /// The object, when this is not the raw form.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Raw(_) => None,
        }
    }
}

impl<T: Serialize> Embedded<T> {
    /// Serialises `value` once, for as many answers as will hold it. Fails when `value` has a form JSON cannot write.
    pub fn raw(value: &T) -> Result<Self, serde_json::Error> {
        let json: Box<RawValue> = serde_json::value::to_raw_value(value)?;
        Ok(Self::Raw(json.into()))
    }
}

impl<T> From<T> for Embedded<T> {
    fn from(value: T) -> Self {
        Self::Value(Arc::new(value))
    }
}

impl<T: PartialEq + Serialize> PartialEq for Embedded<T> {
    /// Two values compare as values; otherwise the JSON of both is compared.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Value(a), Self::Value(b)) => a == b,
            (Self::Raw(a), Self::Raw(b)) => a.get() == b.get(),
            (Self::Value(value), Self::Raw(raw)) | (Self::Raw(raw), Self::Value(value)) => {
                serde_json::to_string(value).is_ok_and(|json| json == raw.get())
            }
        }
    }
}

impl<T: Serialize> Serialize for Embedded<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(serializer),
            Self::Raw(raw) => raw.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Embedded<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::from)
    }
}

impl<T: JsonSchema> JsonSchema for Embedded<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T: Resource> Resource for Embedded<T> {
    const ONE: &'static str = T::ONE;
    const MANY: &'static str = T::MANY;
}
