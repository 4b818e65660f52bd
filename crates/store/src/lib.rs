//! All SQL: a file a resource, the same text on SQLite and PostgreSQL.
//!
//! Query functions are synchronous and take `&mut dyn Tx`; [`Store::write`] and [`Store::read`] bring a closure of them to the
//! database's own thread. What a caller asked for takes the `AccountId` first, so no query forgets whose data it is.

pub mod accounts;
pub mod actions;
pub mod addresses;
pub mod audit;
pub mod check;
pub mod counters;
mod db;
mod deed;
pub mod domains;
pub mod droplets;
mod error;
pub mod feed;
pub mod firewalls;
pub mod hosts;
pub mod images;
mod migrate;
pub mod model_keys;
pub mod model_usage;
pub mod models;
pub mod once;
pub mod passwords;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod projects;
mod queue;
pub mod reserved_ips;
mod row;
pub mod sqlite;
pub mod ssh_keys;
pub mod stock;
pub mod tags;
pub mod teardowns;
pub mod tokens;
pub mod untold;
mod value;
pub mod volume_snapshots;
pub mod volumes;
pub mod vpc_peerings;
pub mod vpcs;

pub use accounts::AccountRecord;
pub use actions::{ActionRecord, TimelineEntry};
pub use audit::{AuditFilter, AuditRecord, AuditView};
pub use counters::Sequence;
pub use db::{Dialect, Retry, Store, Tx};
pub use deed::{Deed, Ending};
pub use dewpoint_pages::Closing;
pub use domains::{DomainFilter, DomainRecord, DomainRow};
pub use droplets::{DropletFilter, DropletRecord, DropletSeed, ReadinessState, Sizing};
pub use error::Error;
pub use feed::{Changes, Feed};
pub use firewalls::{
    FirewallPeers, FirewallPolicy, FirewallRecord, FirewallRule,
    force::{FirewallChange, FirewallPending},
};
pub use images::ImageRecord;
pub use model_keys::ModelKeyRecord;
pub use model_usage::{UsageFilter, UsageOf, UsageRecord};
pub use models::{ModelFile, ModelRecord, ModelSource, ModelState};
pub use once::{Claim, Claimed, Made, OnceRecord};
pub use projects::{ProjectEntry, ProjectRecord, VisibleKinds};
pub use reserved_ips::{Family, ReservedIpRecord};
pub use row::{Cell, FromCell, Row};
pub use ssh_keys::SshKeyRecord;
pub use teardowns::{PartKind, TeardownPart, TeardownRecord};
pub use tokens::TokenRecord;
pub use untold::{Untold, UntoldRecord};
pub use value::Value;
pub use volume_snapshots::VolumeSnapshotRecord;
pub use volumes::VolumeRecord;
pub use vpc_peerings::VpcPeeringRecord;
pub use vpcs::{VpcMemberRecord, VpcRecord};

/// Which part of an ordered list to read: `skip` rows are passed over, at most `take` returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Rows before the page.
    pub skip: u64,
    /// Rows on the page.
    pub take: u32,
}

/// One page and how many rows there are in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows of the page, in order.
    pub rows: Vec<T>,
    /// Rows of the whole list.
    pub total: u64,
}

/// `$first, $first+1, …`: the placeholders of an IN list of `count` values.
pub(crate) fn placeholders(first: usize, count: usize) -> String {
    let names: Vec<String> = (first..first + count).map(|n| format!("${n}")).collect();
    names.join(", ")
}
