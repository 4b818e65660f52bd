//! Chat completions: what a model is asked, what it answers at once, and what it answers bit by bit.
//!
//! Behaviour rules INF-1 to INF-8.

mod chunk;
mod completion;
mod logprobs;
mod request;

pub use chunk::*;
pub use completion::*;
pub use logprobs::*;
pub use request::*;
