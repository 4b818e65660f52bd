//! Counts of what was done since the start, as `GET /stats` tells them.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// Counts; those that go down again are `queued` and `running`.
#[derive(Debug, Default)]
pub struct Stats {
    /// Choices that wait for a place.
    pub queued: AtomicU64,
    /// Choices that have one.
    pub running: AtomicU64,
    /// Requests that were taken.
    pub requests: AtomicU64,
    /// Tokens that were made.
    pub tokens_made: AtomicU64,
    /// Tokens of prompts that were computed.
    pub prompt_tokens: AtomicU64,
    /// Tokens of prompts that were known from before.
    pub cached_tokens: AtomicU64,
    /// Times that the model was computed.
    pub steps: AtomicU64,
    /// Steps that made tokens of more than one choice.
    pub shared_steps: AtomicU64,
    /// Requests whose client went away before the end.
    pub gone: AtomicU64,
    /// Requests that could not be finished.
    pub failed: AtomicU64,
}

/// Adds to one of them.
pub(crate) fn add(count: &AtomicU64, by: usize) {
    count.fetch_add(by as u64, Relaxed);
}

impl Stats {
    /// All of them by name.
    pub fn told(&self) -> Value {
        let of = |count: &AtomicU64| count.load(Relaxed);
        json!({
            "queued": of(&self.queued), "running": of(&self.running), "requests": of(&self.requests),
            "tokens_made": of(&self.tokens_made), "prompt_tokens": of(&self.prompt_tokens),
            "cached_tokens": of(&self.cached_tokens), "steps": of(&self.steps), "shared_steps": of(&self.shared_steps),
            "gone": of(&self.gone), "failed": of(&self.failed),
        })
    }
}

/// How long an answer waits for its first place.
#[derive(Debug)]
pub struct Wait {
    since: Instant,
    took: OnceLock<Duration>,
}

impl Wait {
    /// It begins to wait.
    pub fn begin() -> Self {
        Self { since: Instant::now(), took: OnceLock::new() }
    }

    /// It has a place.
    pub fn is_over(&self) {
        let _ = self.took.set(self.since.elapsed());
    }

    /// How long it waited, in all or until now.
    pub fn so_far(&self) -> Duration {
        self.took.get().copied().unwrap_or_else(|| self.since.elapsed())
    }
}
