//! The SDK against the real server, in process on loopback; and against scripted answers, where the real server gives none.
#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

mod answers;
mod chat;
mod connections;
mod models;
mod retries;
mod sample;
mod script;
