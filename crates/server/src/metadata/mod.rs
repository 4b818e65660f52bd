//! The metadata service: what a Droplet is told of itself at 169.254.169.254 (behaviour rules MET-*).
//!
//! `tree.rs` says what is where, from facts alone; `serve.rs` tells it to machines, each of which the engine knows by the link it
//! asks from; the operation of `dew/metadata.rs` shows an account what one of its Droplets would see.

mod serve;
pub mod tree;

pub use serve::serve_metadata;
