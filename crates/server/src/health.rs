//! `/healthz`, `/readyz` and `/metrics`: for whoever runs the server. None of them needs a token.

use std::{fmt, sync::Arc};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use dewpoint_api::ErrorId;
use http::{HeaderValue, header};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{ApiError, App, Operation, Sample, extract::Json};

/// What the rest of the program says of itself. Asked at each `/readyz` and `/metrics`.
#[derive(Clone)]
pub struct Probes {
    /// Whether worker and engine can do their work; if not, why not.
    pub ready: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// Numbers beside the server's own: the store's commits, the worker's backlog.
    pub samples: Arc<dyn Fn() -> Vec<Sample> + Send + Sync>,
}

impl Default for Probes {
    /// Ready at once, with no more numbers: a server whose worker is driven by hand, as in tests.
    fn default() -> Self {
        Self { ready: Arc::new(|| Ok(())), samples: Arc::new(Vec::new) }
    }
}

impl fmt::Debug for Probes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probes").finish_non_exhaustive()
    }
}

/// The answer of a probe that found all well.
#[derive(Debug, Serialize, JsonSchema)]
struct Health {
    /// `ok`
    status: &'static str,
}

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/healthz", healthz)
            .id("healthz")
            .says("Answers as soon as requests are served.")
            .open()
            .answers::<Health>(200),
        Operation::get("/readyz", readyz)
            .id("readyz")
            .says("Answers 200 once worker and engine can do their work, and 503 with the reason until then.")
            .open()
            .answers::<Health>(200),
        Operation::get("/metrics", metrics)
            .id("metrics")
            .says("Counters in the text form that Prometheus reads.")
            .open()
            .answers_empty(200),
    ]
}

/// `GET /healthz`: 200 once requests are served.
async fn healthz() -> Json<impl Serialize> {
    Json(Health { status: "ok" })
}

/// `GET /readyz`: 200 once worker and engine are; 503 `service_unavailable` with the reason until then.
async fn readyz(State(app): State<App>) -> Result<Json<impl Serialize>, ApiError> {
    match (app.probes.ready)() {
        Ok(()) => Ok(Json(Health { status: "ok" })),
        Err(reason) => Err(ApiError::new(ErrorId::ServiceUnavailable, reason)),
    }
}

/// `GET /metrics`: Prometheus text.
async fn metrics(State(app): State<App>) -> Response {
    let mut samples = (app.probes.samples)();
    samples.extend(app.places.samples());
    samples.extend(app.inference.samples());
    let mut text = app.metrics.render(&samples);
    app.inference.render(&mut text);
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}
