//! Values on their way into a statement.

use dewpoint_api as api;
use dewpoint_clock::Timestamp;

/// One bound value. Borrowed where it can be, since binding copies it anyway.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// NULL
    Null,
    /// BIGINT
    Int(i64),
    /// DOUBLE PRECISION
    Real(f64),
    /// BOOLEAN
    Bool(bool),
    /// TEXT
    Text(&'a str),
    /// TEXT made on the way
    Owned(String),
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u64> for Value<'_> {
    fn from(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Value<'_> {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}

impl From<usize> for Value<'_> {
    fn from(value: usize) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Value<'_> {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(value)
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Self::Owned(value)
    }
}

impl From<Timestamp> for Value<'_> {
    fn from(value: Timestamp) -> Self {
        Self::Int(value.as_millis())
    }
}

impl<'a, T> From<Option<T>> for Value<'a>
where
    Value<'a>: From<T>,
{
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Self::from)
    }
}

macro_rules! numbers {
    ($($id:ty),*) => {$(
        impl From<$id> for Value<'_> {
            fn from(id: $id) -> Self {
                id.0.into()
            }
        }
    )*};
}
numbers!(api::DropletId, api::ActionId, api::ImageId, api::SshKeyId, api::AccountId, api::DomainRecordId);

macro_rules! uuids {
    ($($id:ty),*) => {$(
        impl From<$id> for Value<'_> {
            fn from(id: $id) -> Self {
                Self::Owned(id.0.to_string())
            }
        }
    )*};
}
uuids!(
    api::ProjectId,
    api::VpcId,
    api::VpcPeeringId,
    api::FirewallId,
    api::VolumeId,
    api::VolumeSnapshotId,
    api::TokenId
);

macro_rules! slugs {
    ($($slug:ty),*) => {$(
        impl<'a> From<&'a $slug> for Value<'a> {
            fn from(slug: &'a $slug) -> Self {
                Self::Text(slug.as_str())
            }
        }
    )*};
}
slugs!(api::RegionSlug, api::SizeSlug, api::TagName);
