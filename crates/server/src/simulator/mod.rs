//! What makes the simulator unkind on demand, and lets a test look at what was asked: one value beside the control plane,
//! steered below `/dew/v1` (docs/simulator.md). Without the simulator none of it exists.
//!
//! The product's code knows nothing of it: the edge shows it every request, and the worker asks it before each step.

pub(crate) mod delays;
pub(crate) mod faults;
mod meddle;
pub(crate) mod order;
pub(crate) mod requests;
mod stale;
pub(crate) mod state;
pub(crate) mod strike;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use dewpoint_clock::{Clock as _, SimClock, Timestamp};
use dewpoint_control::{Control, Error};
use dewpoint_engine::sim::SimEngine;
use http::request::Parts;

use crate::{ApiError, App};
use delays::Delays;
use faults::Faults;
use requests::RequestLog;
pub use state::Files;
use state::Kept;

/// The simulator's strings. Cheap to clone; every clone pulls the same.
#[derive(Clone, Debug)]
pub struct Simulator(Arc<Strings>);

#[derive(Debug)]
struct Strings {
    control: Control,
    clock: Arc<SimClock>,
    engine: Arc<SimEngine>,
    requests: RequestLog,
    faults: Faults,
    delays: Delays,
    files: Option<Files>,
    kept: Kept,
}

impl Simulator {
    /// The strings of this engine, whose control plane runs by this clock. Without files nothing can be kept and put back.
    pub fn new(control: Control, clock: Arc<SimClock>, engine: Arc<SimEngine>, files: Option<Files>) -> Self {
        let (requests, faults, delays) = (RequestLog::default(), Faults::default(), Delays::default());
        Self(Arc::new(Strings { control, clock, engine, requests, faults, delays, files, kept: Kept::default() }))
    }

    pub(crate) fn control(&self) -> &Control {
        &self.0.control
    }

    pub(crate) fn clock(&self) -> &SimClock {
        &self.0.clock
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    pub(crate) fn engine(&self) -> &SimEngine {
        &self.0.engine
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.0.faults
    }

    pub(crate) fn delays(&self) -> &Delays {
        &self.0.delays
    }

    pub(crate) fn kept(&self) -> &Kept {
        &self.0.kept
    }

    pub(crate) fn requests(&self) -> &RequestLog {
        &self.0.requests
    }
}

/// The simulator, for handlers that steer it. 409 when the engine is another: nothing there can be steered so.
pub(crate) struct Steered(pub(crate) Simulator);

impl FromRequestParts<App> for Steered {
    type Rejection = ApiError;
    async fn from_request_parts(_: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let engine = app.control.engine().name();
        let text = format!("This is the simulator's alone, and the engine here is {engine}: serve with --engine sim.");
        app.simulator.clone().map(Self).ok_or_else(|| Error::Conflict(text).into())
    }
}
