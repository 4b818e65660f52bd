//! What `dew-llama` is started with.

use std::path::PathBuf;

use clap::Parser;

/// Most conversations at once, which are as many sequences of llama.cpp.
pub const MOST_PARALLEL: i64 = 64;

/// Serves one model file (GGUF) to Dewpoint, as OpenAI's chat completions over HTTP on a Unix socket.
///
/// Ends when its standard input closes, so that it never outlives the server that started it, and on SIGTERM.
/// Exit codes: 2 wrong arguments, 3 the model cannot be loaded (the last line on standard error says why).
#[derive(Clone, Debug, Parser)]
#[command(name = "dew-llama", version)]
pub struct Args {
    /// The model's file
    #[arg(long, value_name = "FILE")]
    pub model: PathBuf,
    /// What the model is called in answers
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// Where to listen; made anew, open to this user alone
    #[arg(long, value_name = "PATH")]
    pub socket: PathBuf,
    /// Threads that compute; without it one less than the machine has cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=512))]
    pub threads: Option<u32>,
    /// Tokens that one conversation may have; without it what the model was made for, 8192 at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(16..=4_194_304))]
    pub context: Option<u32>,
    /// Conversations at once; more wait
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=MOST_PARALLEL))]
    pub parallel: u32,
    /// Most memory for the model and its conversations; without it what the machine has free
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub memory_mib: Option<u64>,
}
