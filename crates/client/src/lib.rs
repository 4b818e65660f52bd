//! Droplets and GPU Droplets from Rust: for a Dewpoint of your own and for the real service alike.
#![deny(missing_docs)]

/// The objects of the API: what answers hold and requests name. Units and sources are in their docs.
pub mod models {
    pub use dewpoint_api::*;
    pub use dewpoint_clock::Timestamp;
}
/// The groups of operations that [`Client`]'s methods lead to.
pub mod resources;

#[cfg(feature = "blocking")]
pub mod blocking;
pub mod chat;
#[cfg(feature = "testing")]
pub mod testing;

mod builder;
mod call;
mod client;
mod create;
mod created;
mod envelope;
mod error;
mod kept;
mod operations;
mod page;
mod raw;
mod request;
mod retry;
mod secret;
mod sse;
mod stream;
mod transport;
mod types;
mod wait;

pub use builder::ClientBuilder;
pub use call::{Answer, Call, CallFuture, RateLimit};
pub use client::Client;
pub use create::{CreateDroplet, CreateDroplets, CreateImage, CreateVolume};
pub use created::Created;
pub use error::{Broken, Error, Refusal, Result, StreamFailure, Undecodable};
pub use kept::Kept;
pub use operations::{OPERATIONS, Operation};
pub use page::{List, ListStream, Page};
pub use raw::Raw;
pub use retry::{RetryPolicy, RetryPosts};
pub use secret::Token;
pub use stream::{ByteStream, EventStream};
pub use types::{ImageName, KeyName, NamesDroplet, VolumeName};
pub use wait::{DropletProgress, WaitForAction, WaitForDroplet};
