//! Droplets and GPU Droplets from Rust: for a Dewpoint of your own and for the real service alike.
//!
//! ```
//! # use dewpoint_client::testing::Simulator;
//! # tokio::runtime::Runtime::new().expect("a runtime").block_on(async {
//! # let simulator = Simulator::setup().documented().start()?;
//! # let cloud_config = "#cloud-config\n";
//! # fn from_env(simulator: &Simulator) -> dewpoint_client::Result<Client> { Ok(simulator.client()) }
//! use dewpoint_client::{Client, CreateDroplet};
//!
//! # #[cfg(any())]
//! let client = Client::from_env()?; // DIGITALOCEAN_ACCESS_TOKEN, GRADIENT_BASE_URL, …
//! # let client = from_env(&simulator)?;
//! let created = client
//!     .gpu_droplets()
//!     .create(
//!         CreateDroplet::new("example.com", "gpu-h100x1-80gb", "gpu-h100x1-base")
//!             .region("nyc2")
//!             .ssh_key(289794)
//!             .ssh_key("3b:16:e4:bf:8b:00:8b:b8:59:8c:a9:d3:f0:19:fa:45")
//!             .tag("web")
//!             .user_data(cloud_config),
//!     )
//!     .await?;
//! let droplet = created.wait_ready(&client).await?; // active, SSH up, cloud-init done, as far as one can see
//! # assert_eq!(droplet.id, created.id);
//! # Ok::<(), dewpoint_client::Error>(()) }).expect("it works");
//! ```
//!
//! * **Calls.** A method gives a [`Call`] or a [`List`], which is sent when it is awaited and can be changed before: a timeout, a
//!   header, a key. Dropping the future cancels it. Without async: feature `blocking`, and `.blocking()` on whatever can be awaited.
//! * **Answers.** Objects are typed and keep the JSON they came from ([`Kept`]). Words and members that are newer than this crate
//!   are kept, never an error. Prices are exact ([`models::Decimal`]).
//! * **Pages.** A list is one [`Page`], or a stream over all of them.
//! * **Waits** have a deadline, look less and less often, and tell what they see: [`Created::wait_ready`], [`WaitForAction`].
//! * **Retries** happen only where nothing is done twice ([`RetryPolicy`]): what repeats without harm, what was not carried out, and
//!   POSTs with their `Idempotency-Key` where the server knows such. `Retry-After` and `x-should-retry` are obeyed.
//! * **Errors** are one variant a status, with the server's words and the request's id ([`Error`]).
//! * **Models** answer at once or bit by bit: [`chat`].
//! * **Tests** of your program need no server: feature `testing`, `testing::Simulator`.
//! * **What has no method** goes through [`Client::raw`]. What there is: [`OPERATIONS`].
//!
//! Each call is a `tracing` span `dewpoint_call`, without headers, queries and bodies, which may hold secrets. TLS is rustls over ring
//! with the system's certificates; nothing of the process's defaults is changed. Recipes: [`cookbook`].
//!
//! The least Rust version is 1.95. Without features this crate has no server in it, and no C but what ring has.
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
pub mod cookbook;
#[cfg(feature = "testing")]
pub mod testing;

mod builder;
mod call;
mod client;
mod create;
mod created;
mod embeddings;
mod envelope;
mod error;
mod kept;
mod knock;
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
pub use embeddings::Embeddings;
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
