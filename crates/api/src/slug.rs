//! Names that people choose or read: slugs of the catalogue, and tags.

use std::{convert::Infallible, fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Invalid, rules};

/// Declares a slug: text in lower case, whatever case it came in (behaviour rule PRO-9).
macro_rules! slug {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        ///
        /// Any text makes one: whether the catalogue has it is the control plane's to say. Upper case is lowered.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The slug, in lower case.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(mut text: String) -> Self {
                text.make_ascii_lowercase();
                Self(text)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_ascii_lowercase())
            }
        }

        impl FromStr for $name {
            type Err = Infallible;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ok(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Ok(String::deserialize(deserializer)?.into())
            }
        }
    };
}

slug!(
    /// Names a region, such as `nyc3`.
    RegionSlug
);
slug!(
    /// Names a size, such as `s-1vcpu-1gb`.
    SizeSlug
);
slug!(
    /// Names the newest image of a public line, such as `debian-12-x64`.
    ImageSlug
);

/// A tag as it was first written. Letters, digits, `_`, `-` and `:`, 1 to 255 of them (behaviour rule TAG-1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct TagName(String);

impl TagName {
    /// A name that was checked before, such as one read back from the store.
    pub fn from_checked(text: String) -> Self {
        Self(text)
    }

    /// The name as it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name by which two tags are the same: in lower case, since `PROD` and `prod` cannot both exist.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl FromStr for TagName {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        rules::tag_name(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for TagName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Answers are taken as they come: what breaks the rule is for requests, which have tags as text, to refuse.
impl<'de> Deserialize<'de> for TagName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_lowered_wherever_it_comes_from() {
        let read: RegionSlug = serde_json::from_str("\"NYC3\"").expect("text");
        assert_eq!(read, RegionSlug::from("nyc3"));
        assert_eq!(serde_json::to_string(&read).expect("text"), "\"nyc3\"");
        assert_eq!("S-1vCPU-1GB".parse::<SizeSlug>().expect("any text").as_str(), "s-1vcpu-1gb");
    }

    #[test]
    fn a_tag_keeps_its_case_and_is_checked() {
        let tag: TagName = "Env:Prod".parse().expect("a good tag");
        assert_eq!((tag.as_str(), tag.folded().as_str()), ("Env:Prod", "env:prod"));
        assert!("a b".parse::<TagName>().is_err());
        assert_eq!(
            serde_json::from_str::<TagName>("\"a b\"").expect("text").as_str(),
            "a b",
            "an answer is not judged"
        );
    }
}
