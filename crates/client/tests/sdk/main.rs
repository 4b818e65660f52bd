//! The SDK against the real server, in process on loopback.
#![expect(clippy::unwrap_used, reason = "a test that fails should say where")]

mod sample;
