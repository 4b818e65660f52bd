//! Models: which there are, and what answers for them (docs/chat.md).
//!
//! ```text
//! body ─asking─▶ which model, may this key ─▶ scripted                      ─▶ flow: counted, ended in order ─▶ client
//!                (limits, account)          ├▶ local: a file of this host
//!                                           └▶ upstream: HTTP, byte for byte ◀─ found: Droplets with a tag
//! ```

mod account;
mod asking;
mod flow;
mod found;
mod limits;
mod local;
mod meter;
mod registry;
mod scripted;
mod shown;
mod upstream;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

pub(crate) use asking::{Task, answer};
use dewpoint_api::ErrorId;
use dewpoint_control::Control;
use dewpoint_inference::scripted as script;
use found::ByTag;
pub use local::models_without_file;
pub(crate) use local::{Keeper, check};
pub(crate) use registry::Models;
use tokio::sync::watch;

use crate::{ApiError, ModelConfig, Sample, ServerConfig};

/// What there is of models, and what they did.
#[derive(Debug)]
pub(crate) struct Inference {
    registry: registry::Registry,
    /// Keeps files of models, where there is a data directory.
    keeper: Option<Arc<Keeper>>,
    counts: Arc<Counts>,
    meters: meter::Meters,
    gauges: limits::KeyGauges,
    /// Set when answers have to end.
    ending: Arc<watch::Sender<bool>>,
}

/// A model that can be asked.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) owner: String,
    /// Since when it is served, in seconds since the Unix epoch.
    pub(crate) created: i64,
    /// Its name, as counts hold it.
    label: Arc<str>,
    /// Models that are asked when it does not answer.
    fallbacks: Vec<String>,
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

impl Model {
    fn new(name: String, owner: String, created: i64, source: Source) -> Self {
        Self { label: Arc::from(name.as_str()), name, owner, created, fallbacks: Vec::new(), source }
    }

    /// A model of the configuration.
    fn configured(config: &ModelConfig, began: i64) -> Self {
        let tag = config.droplets.as_ref().map(|found| found.tag.clone());
        let source = match tag {
            Some(tag) => Source::Droplets(Arc::new(ByTag::configured(tag, config.clone()))),
            None => match upstream::Upstreams::new(config.clone()) {
                Ok(upstreams) => Source::Upstreams(upstreams),
                Err(error) => {
                    tracing::error!(model = config.name, %error, "The model {} cannot be served: {error}", config.name);
                    Source::Broken
                }
            },
        };
        let fallbacks = config.fallbacks.clone();
        Self { fallbacks, ..Self::new(config.name.clone(), config.owned_by.clone(), began, source) }
    }

    /// The models that are asked instead of it, in this order.
    fn fallbacks(&self) -> &[String] {
        &self.fallbacks
    }

    /// Its upstreams, where it has such.
    fn upstreams(&self) -> Option<Arc<upstream::Upstreams>> {
        match &self.source {
            Source::Upstreams(upstreams) => Some(Arc::clone(upstreams)),
            Source::Droplets(found) => found.upstreams(),
            Source::Local(local) => local.upstreams().ok(),
            Source::Scripted | Source::Broken => None,
        }
    }

    /// Whether it answers now, and so is listed.
    fn is_ready(&self) -> bool {
        match &self.source {
            Source::Scripted | Source::Upstreams(_) | Source::Broken => true,
            Source::Droplets(found) => found.is_ready(),
            Source::Local(local) => local.upstreams().is_ok(),
        }
    }

    /// Looks which Droplets serve it now, where Droplets do.
    async fn settle(&self, control: &Control) {
        if let Source::Droplets(found) = &self.source
            && let Err(error) = found.settle(control).await
        {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, model = self.name, "Which Droplets serve {} cannot be read: {error}", self.name);
        }
    }

    /// What answers on this host, if that is what does.
    fn local(&self) -> Option<&Arc<local::Local>> {
        match &self.source {
            Source::Local(local) => Some(local),
            _ => None,
        }
    }

    /// It is no model any more.
    fn leave(&self) {
        tracing::info!(model = self.name, "The model {} is no more", self.name);
        if let Some(local) = self.local() {
            local.is_gone();
        }
    }
}

#[derive(Debug, Default)]
struct Counts {
    /// Tokens that models of this server made.
    made: AtomicU64,
    /// Streams that are open.
    streams: AtomicU64,
}

impl Inference {
    /// The models of a server that began at `began`, in seconds: the scripted one in the simulator, and those of the
    /// configuration.
    pub(crate) fn new(is_simulated: bool, config: &ServerConfig, began: i64) -> Self {
        let scripted =
            is_simulated.then(|| Model::new(script::NAME.to_owned(), "dewpoint".to_owned(), began, Source::Scripted));
        let others = config.models.iter().map(|config| Model::configured(config, began));
        let fixed = scripted.into_iter().chain(others).map(Arc::new).collect();
        let keeper = config.data_dir.as_deref().and_then(|dir| match Keeper::open(dir, config.llama.clone()) {
            Ok(keeper) => Some(Arc::new(keeper)),
            Err(error) => {
                tracing::error!(%error, "No model can be a file: {} cannot be used: {error}", dir.join("models").display());
                None
            }
        });
        Self {
            registry: registry::Registry::new(fixed),
            keeper,
            counts: Arc::default(),
            meters: meter::Meters::default(),
            gauges: limits::KeyGauges::default(),
            ending: Arc::default(),
        }
    }

    /// The models that answer now, in the order they are listed in.
    pub(crate) async fn listed(&self, control: &Control) -> Vec<Arc<Model>> {
        self.settle(control).await;
        self.registry.models().iter().filter(|model| model.is_ready()).cloned().collect()
    }

    /// All models, also those that do not answer now.
    pub(crate) fn models(&self) -> Models {
        self.registry.models()
    }

    /// Takes over the models of the store.
    pub(crate) async fn refresh(&self, control: &Control) -> Result<(), dewpoint_control::Error> {
        self.registry.refresh(control, self.keeper.as_ref()).await
    }

    /// Whether the configuration has a model of this name, or the simulator.
    pub(crate) fn is_fixed(&self, name: &str) -> bool {
        self.registry.is_fixed(name)
    }

    /// What keeps files of models here.
    pub(crate) fn keeper(&self) -> Option<&Arc<Keeper>> {
        self.keeper.as_ref()
    }

    /// Removes files that an earlier server left and no row names.
    async fn clear_leftovers(&self, control: &Control) {
        let Some(keeper) = self.keeper.clone() else { return };
        let cleared = self.registry.with_rows(control, move |rows| keeper.keep_only(rows)).await;
        if let Err(error) = cleared {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "What may be left of models' files is left: {error}");
        }
    }

    /// Ends what answers for models of files here, and returns once it has ended.
    pub(crate) async fn end(&self) {
        self.registry.end().await;
    }

    /// Looks which Droplets serve models now.
    async fn settle(&self, control: &Control) {
        for model in self.models().iter() {
            model.settle(control).await;
        }
    }

    /// Ends all answers after this time, with a word to their clients.
    pub(crate) fn end_after(&self, time: Duration) {
        let ending = Arc::clone(&self.ending);
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            ending.send_replace(true);
        });
    }

    /// Returns when answers have to end.
    fn stopping(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut ending = self.ending.subscribe();
        let kept = Arc::clone(&self.ending);
        async move {
            // The sender is kept, so there is no other end.
            let _ = ending.wait_for(|ends| *ends).await;
            drop(kept);
        }
    }

    /// Forgets what keys had of what they may have, as when the clock was set back.
    pub(crate) fn forget_limits(&self) {
        self.gauges.forget();
    }

    /// The model of this name; 404 with the models there are.
    pub(crate) fn find(&self, name: &str) -> Result<Arc<Model>, ApiError> {
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

    /// What models, keys and upstreams did, as Prometheus reads it.
    pub(crate) fn render(&self, text: &mut String) {
        self.meters.render(text);
        let mut all = Vec::new();
        for model in self.models().iter() {
            let Some(upstreams) = model.upstreams() else { continue };
            let conditions = upstreams.conditions().into_iter();
            all.extend(conditions.map(|(meter, condition)| (model.name.clone(), meter, condition)));
        }
        meter::render_upstreams(text, &all);
    }
}
