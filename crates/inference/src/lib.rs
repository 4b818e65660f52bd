//! Chat completions without HTTP: what may be asked, how an answer is put together, and which upstream is asked next.
//!
//! ```text
//! Asked ──check──> Completion ──hear──> Chunk, one after the other, or all of them as one answer
//!                   ^      │
//!    Token of a model      └─ a Speech for each choice: tokens in; text, stop sequences, ends and likelihoods out
//!    (scripted, or dew-llama's)
//! ```
//! Everything here is pure: no clock, no randomness, no I/O. `routing` decides among upstreams, `sse` knows the framing,
//! `tally` what passing answers cost.
#![warn(missing_docs)]

mod asked;
mod asking;
mod calls;
mod completion;
mod embedding;
mod gauge;
pub mod grammar;
mod routing;
mod schema;
pub mod scripted;
mod speech;
pub mod sse;
mod tally;
mod token;
mod tools;
mod wire;

pub use asked::{Asked, Refusal};
pub use asking::{Format, Function, Sampling, ToolChoice};
pub use completion::{Completion, Form, Named, Prompt, Step};
pub use embedding::{EmbeddingAsked, packed};
pub use gauge::{Gauge, told};
pub use routing::{Condition, Pool, Turn};
pub use tally::{NoAnswer, Tally, estimate_of_request, usage_of_answer};
pub use token::Token;
pub use wire::Usage;
