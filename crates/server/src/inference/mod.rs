//! Chat completions: which models there are, and what answers for them (docs/chat.md).

mod local;
mod registry;
mod scripted;
mod upstream;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use axum::response::Response;
use bytes::Bytes;
use dewpoint_api::{AccountId, ErrorId, TagName};
use dewpoint_clock::Timestamp;
use dewpoint_control::Control;
use dewpoint_inference::scripted as script;
use dewpoint_store::{ModelRecord, ModelSource};
pub(crate) use registry::Models;
use serde::Deserialize;

use crate::{ApiError, App, ModelConfig, Sample, extract::parse_json};

/// What there is of models, and what they did.
#[derive(Debug)]
pub(crate) struct Inference {
    registry: registry::Registry,
    counts: Arc<Counts>,
}

/// A model that can be asked.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) owner: String,
    /// Since when it is served, in seconds since the Unix epoch.
    pub(crate) created: i64,
    source: Source,
}

/// What answers for a model.
#[derive(Debug)]
enum Source {
    /// The simulator's own script.
    Scripted,
    /// Others.
    Upstreams(Arc<upstream::Upstreams>),
    /// A file on this host.
    Local(Arc<local::Local>),
    /// Droplets.
    Droplets(Arc<ByTag>),
    /// Others that cannot be asked, since there is no TLS to ask them with; the log has why.
    Broken,
}

/// Every active Droplet of an account that bears a tag.
#[derive(Debug)]
struct ByTag {
    account: AccountId,
    tag: TagName,
    port: u16,
    added: Timestamp,
}

impl ByTag {
    /// Whether it is the model of this row.
    fn is_of(&self, record: &ModelRecord) -> bool {
        let source = ModelSource::Droplets { tag: self.tag.clone(), port: self.port };
        self.added == record.created_at && self.account == record.account && source == record.source
    }
}

impl Model {
    /// Whether it answers now, and so is listed.
    fn is_ready(&self) -> bool {
        match &self.source {
            Source::Scripted | Source::Upstreams(_) | Source::Broken => true,
            Source::Local(_) | Source::Droplets(_) => false,
        }
    }

    /// It is no model any more.
    fn leave(&self) {
        tracing::info!(model = self.name, "The model {} is no more", self.name);
    }
}

#[derive(Debug, Default)]
struct Counts {
    /// Tokens that models of this server made.
    made: AtomicU64,
    /// Streams that are open.
    streams: AtomicU64,
}

/// The one member of a request that decides who answers it.
#[derive(Deserialize)]
struct Which {
    model: String,
}

impl Inference {
    /// The models of a server that began at `began`, in seconds: the scripted one in the simulator, and those of `configured`.
    pub(crate) fn new(is_simulated: bool, configured: &[ModelConfig], began: i64) -> Self {
        let scripted = is_simulated.then(|| Model {
            name: script::NAME.to_owned(),
            owner: "dewpoint".to_owned(),
            created: began,
            source: Source::Scripted,
        });
        let others = configured.iter().map(|config| Model {
            name: config.name.clone(),
            owner: config.owned_by.clone(),
            created: began,
            source: match upstream::Upstreams::new(config.clone()) {
                Ok(upstreams) => Source::Upstreams(Arc::new(upstreams)),
                Err(error) => {
                    tracing::error!(model = config.name, %error, "The model {} cannot be served: {error}", config.name);
                    Source::Broken
                }
            },
        });
        let fixed = scripted.into_iter().chain(others).map(Arc::new).collect();
        Self { registry: registry::Registry::new(fixed), counts: Arc::default() }
    }

    /// The models that answer now, in the order they are listed in.
    pub(crate) fn listed(&self) -> Vec<Arc<Model>> {
        self.registry.models().iter().filter(|model| model.is_ready()).cloned().collect()
    }

    /// All models, also those that do not answer now.
    pub(crate) fn models(&self) -> Models {
        self.registry.models()
    }

    /// Takes over the models of the store.
    pub(crate) async fn refresh(&self, control: &Control) -> Result<(), dewpoint_control::Error> {
        self.registry.refresh(control).await
    }

    fn find(&self, name: &str) -> Result<Arc<Model>, ApiError> {
        let models = self.models();
        if let Some(model) = models.iter().find(|model| model.name == name) {
            return Ok(Arc::clone(model));
        }
        let names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
        let text = match names.as_slice() {
            [] => format!(
                "There is no model {name:?}, and no other on this server: its operator adds them (docs/chat.md)."
            ),
            _ => format!("There is no model {name:?}. The models here: {}.", names.join(", ")),
        };
        Err(ApiError::new(ErrorId::NotFound, text))
    }

    /// What happened, for whoever runs the server.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        let (name, help) = ("dewpoint_chat_tokens_made_total", "Tokens that models of this server made.");
        let made = Sample { name, help, is_counter: true, value: self.counts.made.load(Relaxed) };
        let (name, help) = ("dewpoint_chat_streams", "Chat completions that are being streamed.");
        vec![made, Sample { name, help, is_counter: false, value: self.counts.streams.load(Relaxed) }]
    }
}

/// Answers the body of a chat completion.
pub(crate) async fn complete(app: &App, body: Bytes, request_id: &str) -> Result<Response, ApiError> {
    if body.is_empty() {
        return Err(ApiError::bad_request("The request body is empty; it has to be a JSON object."));
    }
    let which: Which = parse_json(&body)?;
    let model = app.inference.find(&which.model)?;
    match &model.source {
        Source::Scripted => scripted::complete(app, parse_json(&body)?).await,
        Source::Upstreams(upstreams) => upstreams.complete(body, request_id).await,
        Source::Local(local) => Err(ApiError::new(ErrorId::ServiceUnavailable, local.why_not())),
        Source::Droplets(by_tag) => {
            let text = format!("No Droplet with the tag {} answers for the model {}.", by_tag.tag, model.name);
            Err(ApiError::new(ErrorId::ServiceUnavailable, text))
        }
        Source::Broken => {
            let text = format!("The model {} cannot be served here; the server's log says why.", model.name);
            Err(ApiError::new(ErrorId::ServiceUnavailable, text))
        }
    }
}
