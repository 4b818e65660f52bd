//! The whole API as it is served, through the front door: real router, fresh files, the simulator, a clock that stands still.
//! A file a subject; names of rules are those of the behaviour contract.
#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod smoke;
