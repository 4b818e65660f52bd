//! How long actions take, by kind and by resource: not at all, a time, or until somebody looked often enough.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use dewpoint_clock::Clock;
use dewpoint_store::ActionRecord;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Most paths whose reads are counted; past it counting begins anew.
const PATHS_MAX: usize = 100_000;
/// Most delays at once.
pub(crate) const DELAYS_MAX: usize = 1000;

/// How long some actions take. Of several that fit, the first in the list counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Delay {
    /// Actions on this type of resource, such as `droplet`; on any when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resource_type: Option<String>,
    /// Actions on the resource of this number or UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resource_id: Option<String>,
    /// Actions of this kind, such as `create` or `power_off`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    /// True: they take no longer than their work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) instant: Option<bool>,
    /// They begin their work so long after they were accepted, by the simulator's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seconds: Option<f64>,
    /// They begin their work once they, or what they are done to, were read so often after they were accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reads: Option<u64>,
}

impl Delay {
    /// Why it makes no sense, as a sentence.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let ways = [self.instant == Some(true), self.seconds.is_some(), self.reads.is_some()];
        if ways.into_iter().filter(|way| *way).count() != 1 {
            return Some("Each delay has one of instant: true, seconds, and reads.");
        }
        let bounded = self.seconds.is_none_or(|seconds| (0.0..=31_536_000.0).contains(&seconds));
        (!bounded).then_some("seconds must be from 0 to 31536000, a year.")
    }

    fn fits(&self, action: &ActionRecord) -> bool {
        self.resource_type.as_ref().is_none_or(|wanted| wanted == action.resource_type.as_str())
            && self.resource_id.as_ref().is_none_or(|wanted| Some(wanted) == resource_of(action).as_ref())
            && self.kind.as_ref().is_none_or(|wanted| *wanted == action.kind)
    }
}

fn resource_of(action: &ActionRecord) -> Option<String> {
    match (action.resource_id, action.resource_uuid) {
        (Some(number), _) => Some(number.to_string()),
        (None, uuid) => uuid.map(|uuid| uuid.to_string()),
    }
}

/// The delays there are, and how often what was read.
#[derive(Debug, Default)]
pub(crate) struct Delays {
    state: Mutex<State>,
    /// Changes whenever a hold may be over.
    news: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    delays: Vec<Delay>,
    reads: HashMap<String, u64>,
}

impl Delays {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The delays there are.
    pub(crate) fn list(&self) -> Vec<Delay> {
        self.state().delays.clone()
    }

    /// These and no others from now on, also for actions that wait already.
    pub(crate) fn set(&self, delays: Vec<Delay>) {
        self.state().delays = delays;
        self.news.send_replace(());
    }

    /// The same as after a start: nothing was read yet.
    pub(crate) fn set_anew(&self, delays: Vec<Delay>) {
        self.state().reads.clear();
        self.set(delays);
    }

    /// A GET of `path` was answered.
    pub(crate) fn was_read(&self, path: &str) {
        let mut state = self.state();
        if state.delays.iter().any(|delay| delay.reads.is_some()) {
            if state.reads.len() >= PATHS_MAX {
                state.reads.clear();
            }
            *state.reads.entry(path.trim_end_matches('/').to_owned()).or_default() += 1;
            drop(state);
            self.news.send_replace(());
        }
    }

    /// Something was asked of the resource that this path is below: what was read of it so far does not count any more.
    pub(crate) fn was_changed(&self, path: &str) {
        let mut state = self.state();
        if let Some((resource, _)) = path.rsplit_once("/actions") {
            state.reads.remove(resource);
        }
        state.reads.remove(path);
    }

    /// Returns once the action may begin its work.
    pub(crate) async fn hold(&self, action: &ActionRecord, clock: &dyn Clock) {
        let mut news = self.news.subscribe();
        loop {
            news.borrow_and_update();
            let delay = self.state().delays.iter().find(|delay| delay.fits(action)).cloned();
            let Some(delay) = delay else { return };
            let until = delay.seconds.map(|seconds| action.started_at + Duration::from_secs_f64(seconds));
            let over = until.is_none_or(|until| until <= clock.now())
                && delay.reads.is_none_or(|wanted| self.reads_of(action) >= wanted);
            if over {
                return;
            }
            tokio::select! {
                biased;
                // The sender lives as long as `self`.
                _ = news.changed() => {}
                () = async { match until { Some(until) => clock.sleep_until(until).await, None => std::future::pending().await } } => {}
            }
        }
    }

    fn reads_of(&self, action: &ActionRecord) -> u64 {
        let state = self.state();
        let read = |path: &str| state.reads.get(path).copied().unwrap_or(0);
        let by_itself = read(&format!("/v2/actions/{}", action.id));
        let of_resource = resource_of(action).map_or(0, |resource| {
            let path = format!("/v2/{}s/{resource}", action.resource_type.as_str());
            read(&path) + read(&format!("{path}/actions/{}", action.id))
        });
        by_itself + of_resource
    }
}
