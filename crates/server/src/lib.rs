//! How the outside reaches Dewpoint: HTTP, and nothing that is not HTTP.
//!
//! [`app`] makes the service, [`serve`] puts it on a socket. A request passes one [`Edge`] (`edge.rs`), which knows from the
//! table of [`Operation`]s what is meant and who may; the handler behind it (`v2/`) takes the request apart with the
//! extractors here, calls the control plane once and answers. `docs/adding-an-endpoint.md` shows how to add one.

mod ambiguous;
mod audit;
mod auth;
mod backup;
mod config;
mod context;
mod cors;
mod dew;
mod docs;
mod edge;
mod error;
mod events;
mod extract;
#[cfg(test)]
mod frame_tests;
mod health;
mod inference;
mod leftover;
pub mod metadata;
mod metrics;
mod once;
mod openapi;
mod operation;
mod page;
mod peer;
mod rate;
mod serve;
mod simulator;
mod table;
mod tls;
mod v1;
mod v2;
mod view;

use std::{io, ops::Deref, path::Path as FilePath, sync::Arc};

use dewpoint_control::Control;

pub use auth::{Caller, RequestId};
pub use config::{
    CheckConfig, ConnectionLimits, FoundConfig, InferenceConfig, InvalidPublicUrl, Limits, LlamaConfig, LlamaPatience,
    ModelConfig, PublicUrl, Secret, ServerConfig, UpstreamConfig,
};
pub use edge::Edge;
pub use error::ApiError;
pub use extract::{BODY_MAX, Done, Json, Path, Query};
pub use health::Probes;
pub use inference::models_without_file;
pub use metrics::Sample;
pub(crate) use once::Again;
pub use operation::{Access, Operation};
pub use page::{BaseUrl, Paging};
pub use peer::Peer;
pub use serve::serve;
pub use simulator::{Files, Simulator};
pub use tls::{Certificate, CertificateError, Generated, Tls, is_host};

/// What every request shares. One pointer, so a clone costs nothing.
#[derive(Clone, Debug)]
pub struct App(Arc<AppState>);

/// What is behind an [`App`].
#[derive(Debug)]
pub struct AppState {
    /// What does the work.
    pub control: Control,
    /// How the operator wants it served.
    pub config: ServerConfig,
    /// What the rest of the program says of itself.
    pub probes: Probes,
    pub(crate) table: table::Table,
    pub(crate) rates: rate::RateLimiter,
    pub(crate) metrics: metrics::Metrics,
    pub(crate) once: once::Once,
    pub(crate) backups: backup::Backups,
    pub(crate) places: Arc<serve::places::Places>,
    pub(crate) events: events::Events,
    pub(crate) inference: inference::Inference,
    /// What steers the simulator, when that is the engine.
    pub(crate) simulator: Option<Simulator>,
}

impl App {
    /// Puts together what requests need.
    pub fn new(control: Control, config: ServerConfig, probes: Probes) -> Self {
        Self::with_operations(control, config, probes, operations())
    }

    /// The same over a simulator, which can then be steered through the API.
    pub fn simulated(control: Control, config: ServerConfig, probes: Probes, simulator: Simulator) -> Self {
        Self(Arc::new(AppState::new(control, config, probes, operations(), Some(simulator))))
    }

    /// Takes up which clients a server that was killed had not answered, and keeps that in the file `path`, which is this
    /// server's own (`docs/once.md`). Before anything is served; without it nothing of that is known after a crash.
    pub async fn recall(&self, path: &FilePath) -> io::Result<()> {
        once::recall(self, path).await
    }

    pub(crate) fn with_operations(
        control: Control,
        config: ServerConfig,
        probes: Probes,
        operations: Vec<Operation>,
    ) -> Self {
        Self(Arc::new(AppState::new(control, config, probes, operations, None)))
    }
}

impl AppState {
    fn new(
        control: Control,
        config: ServerConfig,
        probes: Probes,
        operations: Vec<Operation>,
        simulator: Option<Simulator>,
    ) -> Self {
        let rates = rate::RateLimiter::new(config.limits);
        let metrics = metrics::Metrics::new(operations.iter().map(Operation::name).collect());
        let table = table::Table::new(operations);
        let (once, events) = (once::Once::default(), events::Events::default());
        let backups = backup::Backups::default();
        let inference = inference::Inference::new(simulator.is_some(), &config, control.clock().now().as_seconds());
        let places = Arc::new(serve::places::Places::new(config.connections));
        Self { control, config, probes, table, rates, metrics, once, backups, places, events, inference, simulator }
    }
}

impl Deref for App {
    type Target = AppState;
    fn deref(&self) -> &AppState {
        &self.0
    }
}

/// The whole server as a tower service.
pub fn app(app: App) -> Edge {
    Edge::new(app)
}

/// Every operation that is served.
pub fn operations() -> Vec<Operation> {
    [
        v2::operations(),
        v1::operations(),
        dew::operations(),
        health::operations(),
        openapi::operations(),
        docs::operations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
