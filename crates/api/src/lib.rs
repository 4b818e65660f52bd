//! The wire types of the public API, and nothing else: models, requests, envelopes, error bodies, scopes.
//!
//! A file a resource. Shapes follow the public OpenAPI description, behaviour follows the rules of `behaviour.md`, cited by
//! name. Nothing here knows HTTP, SQL or engines. Requests read leniently, as the real clients need; what is of the right
//! JSON type but wrong otherwise is for the control plane to refuse.
#![warn(missing_docs)]

pub mod chat;
pub mod page;
pub mod rules;

mod account;
mod accounts;
mod actions;
mod associated;
mod audit;
mod backups;
mod decimal;
mod domains;
mod droplet_requests;
mod droplets;
mod embedded;
mod embeddings;
mod error;
mod events;
mod firewalls;
mod host_backup;
mod id;
mod images;
mod lenient;
mod models;
mod projects;
mod regions;
mod reserved_ips;
mod scope;
mod served_models;
mod sizes;
mod slug;
mod snapshots;
mod ssh_keys;
mod stock;
mod tags;
mod tokens;
mod usage;
mod volumes;
mod vpc_peerings;
mod vpcs;
mod word;

pub use account::*;
pub use accounts::*;
pub use actions::*;
pub use associated::*;
pub use audit::*;
pub use backups::*;
pub use decimal::{Decimal, NotADecimal};
pub use domains::*;
pub use droplet_requests::*;
pub use droplets::*;
pub use embedded::Embedded;
pub use embeddings::*;
pub use error::{ErrorAttributes, ErrorBody, ErrorId, Invalid};
pub use events::*;
pub use firewalls::*;
pub use host_backup::*;
pub use id::*;
pub use images::{
    Distribution, Image, ImageActionRequest, ImageActionResponse, ImageCreateRequest, ImageIdOrSlug, ImageKind,
    ImageResponse, ImageStatus, ImageUpdateRequest, ImagesResponse, PublicImageSort,
};
pub use lenient::read_object;
pub use models::*;
pub use page::{ActionLink, ActionLinks, Collection, Links, Meta, PageRequest, Pages, Resource, Single};
pub use projects::*;
pub use regions::*;
pub use reserved_ips::*;
pub use scope::{Scope, ScopeSet, Scopes};
pub use served_models::*;
pub use sizes::*;
pub use slug::{ImageSlug, RegionSlug, SizeSlug, TagName};
pub use snapshots::*;
pub use ssh_keys::*;
pub use stock::*;
pub use tags::*;
pub use tokens::*;
pub use usage::*;
pub use volumes::*;
pub use vpc_peerings::*;
pub use vpcs::*;
pub use word::{Known, UnknownWord, Word};
