//! The simulator steered through the API (docs/simulator.md).

mod clock;
mod delays;
mod faults;
mod requests;
mod state;
