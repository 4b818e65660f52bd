//! Enums that are one word each on the wire: the macro that writes them and the error for any other word.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A word that the wire enum it was parsed as does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownWord {
    /// The enum's name, for the message.
    pub what: &'static str,
    /// What was given.
    pub word: String,
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a known {}", self.word, self.what)
    }
}

impl std::error::Error for UnknownWord {}

/// An enum of words, declared by `words!`.
pub trait Known: Copy + 'static {
    /// The word on the wire.
    fn word(self) -> &'static str;
    /// The value of a word, if there is one.
    fn of(word: &str) -> Option<Self>;
}

/// A word in an answer: one that the enum `T` has, or another one that a server has come to say since.
///
/// The server only ever writes known ones. Who reads answers must not fail for a new one, and must not lose it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Word<T> {
    /// One of those there are.
    Known(T),
    /// Any other.
    Other(Box<str>),
}

impl<T: Known> Word<T> {
    /// The word on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(known) => known.word(),
            Self::Other(word) => word,
        }
    }

    /// The value; `None` for a word that `T` does not have.
    pub const fn known(&self) -> Option<T> {
        match self {
            Self::Known(known) => Some(*known),
            Self::Other(_) => None,
        }
    }
}

impl<T> From<T> for Word<T> {
    fn from(known: T) -> Self {
        Self::Known(known)
    }
}

impl<T: PartialEq> PartialEq<T> for Word<T> {
    fn eq(&self, other: &T) -> bool {
        matches!(self, Self::Known(known) if known == other)
    }
}

impl<T: Known> fmt::Display for Word<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<T: Known> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de, T: Known> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Ok(T::of(&text).map_or_else(|| Self::Other(text.into()), Self::Known))
    }
}

impl<T: JsonSchema> JsonSchema for Word<T> {
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

/// Declares an enum whose variants are words on the wire: `as_str`, `ALL`, `Display`, `FromStr`, serde and the schema.
///
/// A macro because the seven impls are the same for each of some twenty enums and a derive cannot give `as_str`.
macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)+
        }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl $crate::word::Known for $name {
            fn word(self) -> &'static str {
                self.as_str()
            }
            fn of(word: &str) -> Option<Self> {
                word.parse().ok()
            }
        }

        impl PartialEq<$crate::Word<$name>> for $name {
            fn eq(&self, other: &$crate::Word<$name>) -> bool {
                other == self
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::UnknownWord;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    other => Err($crate::UnknownWord { what: stringify!($name), word: other.to_owned() }),
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'_, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "enum": [$($word,)+] })
            }
        }
    };
}

pub(crate) use words;

#[cfg(test)]
mod tests {
    use crate::{DropletStatus, Word};

    #[test]
    fn a_word_that_nobody_knew_is_kept() {
        let read = |text| serde_json::from_str::<Word<DropletStatus>>(text).expect("any word will do");
        assert_eq!((read("\"off\""), read("\"off\"").known()), (DropletStatus::Off.into(), Some(DropletStatus::Off)));
        let new = read("\"hibernating\"");
        assert_eq!((new.as_str(), new.known(), new == DropletStatus::Off), ("hibernating", None, false));
        assert_eq!(serde_json::to_string(&new).expect("text"), "\"hibernating\"");
        assert!(serde_json::from_str::<Word<DropletStatus>>("7").is_err(), "a number is no word");
    }
}
