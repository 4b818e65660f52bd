//! What one request costs: noted when it ends, however it ends, in the counts at `/metrics`, in what its key used, and in
//! what its key may still have.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use dewpoint_api::{AccountId, TokenId, UsageTotal};
use dewpoint_control::{Control, Grant};
use dewpoint_inference::{Tally, Usage};
use http::HeaderMap;

use super::{
    Model,
    limits::Admitted,
    meter::{Meter, UpstreamMeter},
};
use crate::App;

/// The account of one request, settled when it goes.
pub(super) struct Account {
    control: Control,
    model: Arc<Model>,
    owner: AccountId,
    key: TokenId,
    meter: Arc<Meter>,
    upstream: Option<Arc<UpstreamMeter>>,
    admitted: Option<Admitted>,
    began: Instant,
    first: Option<Instant>,
    last: Option<Instant>,
    /// Tokens of the request, roughly.
    estimate: u64,
    tally: Tally,
    /// Tokens of the answer that the key's limits know of.
    charged: u64,
    is_error: bool,
    /// Whether the answer used nothing: it was refused.
    is_free: bool,
}

impl Account {
    /// Of a request that began then and has so many tokens, roughly.
    pub(super) fn begin(
        app: &App,
        grant: &Grant,
        model: &Arc<Model>,
        admitted: Option<Admitted>,
        (began, estimate): (Instant, u64),
    ) -> Self {
        Self {
            control: app.control.clone(),
            model: Arc::clone(model),
            owner: grant.account,
            key: grant.token,
            meter: app.inference.meters.of(&model.label, grant.token),
            upstream: None,
            admitted,
            began,
            first: None,
            last: None,
            estimate,
            tally: Tally::default(),
            charged: 0,
            is_error: false,
            is_free: false,
        }
    }

    /// What the key's limits are now, for the answer's headers.
    pub(super) fn headers(&self) -> HeaderMap {
        let now = self.control.clock().now();
        self.admitted.as_ref().map(|admitted| admitted.headers(now)).unwrap_or_default()
    }

    /// There is no answer; whether that is a fault of the server or its upstreams.
    pub(super) fn failed(&mut self, is_error: bool) {
        (self.is_error, self.is_free) = (is_error, true);
    }

    /// It broke off.
    pub(super) fn broke_off(&mut self) {
        self.is_error = true;
    }

    /// Who answers it, and how long it waited for its turn.
    pub(super) fn answered_by(&mut self, upstream: Option<Arc<UpstreamMeter>>, queued: Duration) {
        self.upstream = upstream;
        self.meter.queued_for(queued);
    }

    /// Events of the answer pass.
    pub(super) fn passed(&mut self, events: &[u8]) {
        let spoken = self.tally.look(events);
        if spoken == 0 {
            return;
        }
        let now = Instant::now();
        if self.first.is_none() {
            self.first = Some(now);
            self.meter.first_token_after(now - self.began);
        }
        self.last = Some(now);
        if let Some(admitted) = &self.admitted {
            admitted.used(spoken, self.control.clock().now());
            self.charged += spoken;
        }
    }

    /// All of the answer at once.
    pub(super) fn whole(&mut self, usage: Option<Usage>) {
        self.tally.usage = usage;
    }

    fn settle(&mut self) {
        let is_error = self.is_error || self.tally.has_failed;
        let (tokens_in, tokens_out, is_estimate) = match (self.is_free, self.tally.usage) {
            (true, _) => (0, 0, false),
            (false, Some(usage)) => (usage.prompt, usage.completion, false),
            (false, None) => (self.estimate, self.tally.spoken, true),
        };
        if let (Some(first), Some(last)) = (self.first, self.last) {
            self.meter.came(tokens_out.saturating_sub(1), last - first);
        }
        self.meter.ended(is_error, tokens_in, tokens_out);
        if let Some(upstream) = &self.upstream {
            upstream.used(tokens_in, tokens_out);
        }
        if let Some(admitted) = &self.admitted {
            let (taken, used) = (self.estimate + self.charged, tokens_in + tokens_out);
            match used.checked_sub(taken) {
                Some(more) => admitted.used(more, self.control.clock().now()),
                None => admitted.not_used(taken - used),
            }
        }
        let used = UsageTotal {
            requests: 1,
            errors: u64::from(is_error),
            tokens_in,
            tokens_out,
            estimated: u64::from(is_estimate),
        };
        self.control.usage_note(self.owner, self.key, &self.model.name, used);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.settle();
    }
}
