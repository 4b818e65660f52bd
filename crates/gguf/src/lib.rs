//! GGUF, the files of models: their headers read with suspicion, and tiny ones made for tests.
//!
//! [`read`] looks at the header alone and believes nothing of it: each count and length is held against a bound and against
//! the length of the file before anything is allocated, and every tensor has to lie within the file, beside the others. What
//! it takes can be handed to native code that maps the file; what it refuses never gets there.
//!
//! The format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>, versions 2 and 3, little-endian.
#![warn(missing_docs)]

mod cursor;
mod header;
mod kind;
pub mod tiny;
mod write;

pub use cursor::Error;
pub use header::{Header, Tensor, bounds, read};
pub use kind::TensorKind;
pub use write::{Builder, Value};
