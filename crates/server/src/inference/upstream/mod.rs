//! A model that others serve: its requests go to one of its upstreams and the answers come back, byte for byte both ways.
//!
//! Until the first byte of an answer a failure means that the next upstream is asked; after it the client is told (INF-6).
//! Dropping an answer closes the connection to its upstream, so a client that leaves stops the generation. Upstreams may come
//! and go ([`Upstreams::are_now`]); requests that one has go on.

mod ask;
mod check;
mod client;
mod link;
mod passing;

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::response::Response;
use dewpoint_api::ErrorId;
use dewpoint_inference::{Condition, Pool, Turn};
use http::StatusCode;

pub(super) use self::ask::Wanted;
use self::{
    ask::{Begun, Failure},
    check::Checks,
    client::{Address, Client, Connectors},
};
use super::meter::{Answered, UpstreamMeter};
use crate::{ApiError, ModelConfig, UpstreamConfig};

/// The upstreams of one model.
#[derive(Debug)]
pub(super) struct Upstreams {
    config: ModelConfig,
    connectors: Connectors,
    began: Instant,
    members: Mutex<Members>,
    checks: Checks,
}

#[derive(Debug, Default)]
struct Members {
    pool: Pool,
    all: Vec<Arc<Upstream>>,
    /// The number of the last one.
    last: u64,
}

/// Where a model is served.
#[derive(Debug)]
pub(super) struct Upstream {
    id: u64,
    config: UpstreamConfig,
    address: Address,
    client: Client,
    pub(super) meter: Arc<UpstreamMeter>,
}

/// A request that an upstream has. When it goes, the upstream is less busy.
#[derive(Debug)]
struct Held {
    upstreams: Arc<Upstreams>,
    upstream: Arc<Upstream>,
    turn: Turn,
    /// How it ended; `None`: its client left.
    well: Option<bool>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let now = self.upstreams.began.elapsed();
        self.upstreams.members().pool.ended(self.turn, self.well, now);
        if self.well == Some(false) {
            self.upstream.meter.failed();
        }
    }
}

/// No upstream answered, and nothing was sent to the client yet.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// An upstream refused, and said so.
    Refused(Box<Response>),
    /// None said anything.
    Silence(ApiError),
}

impl Upstreams {
    /// The upstreams of a configured model, looked after from now on if it says so.
    pub(super) fn new(config: ModelConfig) -> io::Result<Arc<Self>> {
        let checks = Checks::new(config.check.is_some() || config.droplets.is_some());
        let connectors = Connectors::new()?;
        let configured = config.upstreams.clone();
        let upstreams = Self { config, connectors, began: Instant::now(), members: Mutex::default(), checks };
        for one in configured {
            upstreams.join(one, false)?;
        }
        let upstreams = Arc::new(upstreams);
        check::begin(&upstreams);
        Ok(upstreams)
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, config: UpstreamConfig, is_unproven: bool) -> io::Result<()> {
        let address = Address::parse(&config.url);
        let client = Client::new(&address, &self.connectors, config.key.as_ref().map(|key| key.as_str()))?;
        let meter = Arc::new(UpstreamMeter::new(address.label.clone()));
        let mut members = self.members();
        members.last += 1;
        let id = members.last;
        members.pool.join(id, config.weight, is_unproven);
        members.all.push(Arc::new(Upstream { id, config, address, client, meter }));
        Ok(())
    }

    /// The upstreams that were found are now these: those that are new join when a check finds them well, others leave.
    pub(super) fn are_now(&self, found: Vec<UpstreamConfig>) -> io::Result<()> {
        let configured: Vec<&str> = self.config.upstreams.iter().map(|one| one.url.as_str()).collect();
        let is_there = |url: &str| configured.contains(&url) || found.iter().any(|one| one.url == url);
        let known: Vec<String> = {
            let mut members = self.members();
            let gone: Vec<u64> =
                members.all.iter().filter(|one| !is_there(&one.config.url)).map(|one| one.id).collect();
            members.all.retain(|one| !gone.contains(&one.id));
            gone.into_iter().for_each(|id| members.pool.leave(id));
            members.all.iter().map(|one| one.config.url.clone()).collect()
        };
        for one in found.into_iter().filter(|one| !known.contains(&one.url)) {
            tracing::info!(
                model = self.config.name,
                upstream = one.url,
                "An upstream of {} was found",
                self.config.name
            );
            self.join(one, true)?;
        }
        self.checks.look_now();
        Ok(())
    }

    /// Each upstream's counts, and how it is.
    pub(super) fn conditions(&self) -> Vec<(Arc<UpstreamMeter>, Condition)> {
        let (members, now) = (self.members(), self.began.elapsed());
        let of = |one: &Arc<Upstream>| Some((Arc::clone(&one.meter), members.pool.condition(one.id, now)?));
        members.all.iter().filter_map(of).collect()
    }

    /// Whether one of them is well.
    pub(super) fn any_well(&self) -> bool {
        self.members().pool.well(self.began.elapsed()) > 0
    }

    fn begin(self: &Arc<Self>, tried: &[u64]) -> Option<Held> {
        let mut members = self.members();
        let turn = members.pool.begin(tried, self.began.elapsed())?;
        let upstream = Arc::clone(members.all.iter().find(|one| one.id == turn.upstream)?);
        drop(members);
        upstream.meter.asked();
        Some(Held { upstreams: Arc::clone(self), upstream, turn, well: None })
    }

    /// Answers a request by the first upstream that does. What upstreams refuse themselves is an answer; what is none says so.
    pub(super) async fn answer(self: &Arc<Self>, wanted: &Wanted<'_>) -> Result<Response, Unanswered> {
        let mut tried = Vec::new();
        let mut last = None;
        while let Some(mut held) = self.begin(&tried) {
            tried.push(held.turn.upstream);
            let asked_at = Instant::now();
            match self.ask(&held.upstream, wanted).await {
                Ok(begun) => {
                    let answered = Answered { by: Arc::clone(&held.upstream.meter), asked_at, queued: begun.queued };
                    let mut response = match begun.what {
                        Begun::Whole(response) => {
                            held.well = Some(true);
                            response
                        }
                        Begun::Stream(response, first) => passing::passed_on(held, response, first),
                    };
                    response.extensions_mut().insert(answered);
                    return Ok(response);
                }
                Err(failure) => {
                    // One that has too much to do is not ill.
                    let is_full = matches!(&failure, Failure::Refused(answer) if answer.status() == StatusCode::TOO_MANY_REQUESTS);
                    held.well = (!is_full).then_some(false);
                    let url = &held.upstream.address.label;
                    tracing::warn!(model = self.config.name, upstream = url, "An upstream gave no answer: {failure}");
                    last = Some(failure);
                }
            }
        }
        Err(self.unanswered(last, tried.len()))
    }

    fn unanswered(&self, last: Option<Failure>, tried: usize) -> Unanswered {
        let name = &self.config.name;
        let text = match last {
            Some(Failure::Refused(response)) => return Unanswered::Refused(response),
            Some(failure) => {
                format!("None of the upstreams of {name} answers ({tried} asked). The last one: {failure}.")
            }
            None => match &self.config.droplets {
                Some(found) => format!("No Droplet with the tag {} answers for the model {name} yet.", found.tag),
                None => format!("The model {name} has no upstream."),
            },
        };
        Unanswered::Silence(ApiError::new(ErrorId::ServiceUnavailable, text))
    }

    /// How long a piece of an answer may take to come.
    fn between(&self) -> Duration {
        self.config.between
    }
}
