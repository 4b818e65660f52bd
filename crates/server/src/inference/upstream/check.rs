//! Looking after upstreams that nobody asks anything: each is asked for its models, now and then, and how it answers decides
//! whether requests go to it.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use axum::body::Bytes;
use futures_util::future::join_all;
use http::Method;
use tokio::{sync::Notify, time::timeout};

use super::{Upstream, Upstreams};
use crate::CheckConfig;

/// When to look.
#[derive(Debug)]
pub(super) struct Checks {
    are_wanted: bool,
    bell: Arc<Notify>,
}

impl Checks {
    pub(super) fn new(are_wanted: bool) -> Self {
        Self { are_wanted, bell: Arc::default() }
    }

    /// Somebody is new.
    pub(super) fn look_now(&self) {
        self.bell.notify_one();
    }
}

/// Looks after the upstreams, if that is wanted, for as long as they are there.
pub(super) fn begin(upstreams: &Arc<Upstreams>) {
    if upstreams.checks.are_wanted {
        tokio::spawn(look_after(Arc::downgrade(upstreams), Arc::clone(&upstreams.checks.bell)));
    }
}

async fn look_after(upstreams: Weak<Upstreams>, bell: Arc<Notify>) {
    let mut round: u64 = 0;
    loop {
        let every = {
            let Some(upstreams) = upstreams.upgrade() else { return };
            let check = upstreams.config.check.clone().unwrap_or_default();
            upstreams.look(&check).await;
            round += 1;
            spread(check.every, round ^ upstreams.began.elapsed().subsec_nanos() as u64)
        };
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = bell.notified() => {}
        }
    }
}

/// A fifth more or less, so that many servers do not ask at once. Any number will do for chance.
fn spread(every: Duration, chance: u64) -> Duration {
    let mixed = chance.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let part = u32::try_from(mixed % 401).unwrap_or(0);
    every * (800 + part) / 1000
}

impl Upstreams {
    /// Asks every upstream once.
    async fn look(&self, check: &CheckConfig) {
        let all = self.members().all.clone();
        join_all(all.iter().map(|upstream| self.look_at(upstream, check))).await;
    }

    async fn look_at(&self, upstream: &Upstream, check: &CheckConfig) {
        let is_well = upstream.answers(check).await;
        let changed = self.members().pool.checked(upstream.id, is_well, check.ill_after);
        let (name, label) = (&self.config.name, &upstream.address.label);
        match changed {
            Some(true) => tracing::info!(model = name, upstream = label, "An upstream of {name} is well: {label}"),
            Some(false) => {
                tracing::warn!(model = name, upstream = label, "An upstream of {name} does not answer checks: {label}");
            }
            None => {}
        }
    }
}

impl Upstream {
    /// Whether it answers a check: with a success, in time.
    async fn answers(&self, check: &CheckConfig) -> bool {
        let path = match (&check.path, &self.address.socket) {
            (Some(path), _) => path.as_str(),
            (None, None) => "models",
            (None, Some(_)) => "/health",
        };
        let request = match path.starts_with('/') {
            true => self.client.request_at(Method::GET, path, Bytes::new()),
            false => self.client.request(Method::GET, &format!("/{path}"), Bytes::new()),
        };
        let Ok(request) = request else { return false };
        // Its body is not read: it may be long, and says nothing more.
        let answered = timeout(check.time, self.client.send(request)).await;
        answered.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status().is_success()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_a_fifth_apart_at_most_and_not_all_at_once() {
        let every = Duration::from_secs(10);
        let times: Vec<Duration> = (0..100).map(|round| spread(every, round)).collect();
        assert!(times.iter().all(|time| (Duration::from_secs(8)..=Duration::from_secs(12)).contains(time)));
        assert!(times.iter().max() > times.iter().min());
    }
}
