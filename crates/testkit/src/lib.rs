//! What tests of the whole need: Dewpoint in one process, with a store and a simulator in files of their own, a clock that
//! stands still, and a worker that works when told to. Nothing here sleeps; nothing is asked of a network.
//!
//! ```no_run
//! # async fn example() {
//! let app = dewpoint_testkit::TestApp::start().await;
//! let id = app.admin().create_droplet("web-1").await;
//! app.run_actions_to_end().await;
//! assert_eq!(app.admin().droplet(id).await["status"], "active");
//! app.books_balance().await;
//! # }
//! ```

mod app;
mod books;
mod client;
mod crash;
mod fixtures;
pub mod upstream;

pub use app::{HeldWrites, Setup, Steppers, TestApp};
pub use client::{Answer, Client};
pub use fixtures::{droplet_body, fingerprint, public_key};
pub use upstream::{FakeUpstream, Then};
