//! `dew-llama`: one local model file, served to Dewpoint as an upstream on a Unix socket.
//!
//! ```text
//! http ──Job──> engine (one thread, one llama.cpp context)      embed: the same for models that make no text
//!   │             │   every step decodes the next token of each conversation, and a share of the prompts that wait
//!   │             └─> a Completion of dewpoint-inference hears the tokens; its chunks go back
//!   └ asking: marks ──> template (the model's own, Jinja) ──> tokens; grammar of response_format and tools
//! load: header and memory are checked before llama.cpp sees the file
//! ```
//! It is a process of its own because native code can crash: that ends its generations and not the server. Nothing here
//! is unsafe; llama.cpp is reached through `llama-cpp-2` alone.

pub mod args;
mod asking;
pub mod embed;
pub mod engine;
pub mod http;
pub mod load;
pub mod machine;
pub mod marks;
mod sampler;
mod slots;
pub mod stats;
pub mod template;
#[cfg(test)]
mod testing;
