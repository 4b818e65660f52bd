//! What was tried, counted over all seeds.

use std::{collections::BTreeMap, fmt, time::Duration};

#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) seeds: u64,
    pub(crate) events: u64,
    pub(crate) requests: u64,
    pub(crate) retries: u64,
    pub(crate) replies_not_seen: u64,
    pub(crate) starts: u64,
    pub(crate) actions: u64,
    pub(crate) actions_errored: u64,
    pub(crate) steps: u64,
    pub(crate) commits: u64,
    /// By kind.
    pub(crate) faults: BTreeMap<&'static str, u64>,
    /// Answers by status.
    pub(crate) answers: BTreeMap<u16, u64>,
    /// Clock time that went by.
    pub(crate) virtual_time: Duration,
}

impl Tally {
    pub(crate) fn fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.events += other.events;
        self.requests += other.requests;
        self.retries += other.retries;
        self.replies_not_seen += other.replies_not_seen;
        self.starts += other.starts;
        self.actions += other.actions;
        self.actions_errored += other.actions_errored;
        self.steps += other.steps;
        self.commits += other.commits;
        self.virtual_time += other.virtual_time;
        for (kind, count) in &other.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        for (status, count) in &other.answers {
            *self.answers.entry(*status).or_default() += count;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            requests, retries, replies_not_seen, actions, actions_errored, steps, events, commits, starts, ..
        } = self;
        writeln!(
            f,
            "  {requests} requests, {retries} of them sent again, {replies_not_seen} whose answer was not seen"
        )?;
        writeln!(f, "  {actions} actions in {steps} steps, {actions_errored} of them errored as ordered")?;
        writeln!(f, "  {events} events, {commits} commits, {starts} starts of the server")?;
        writeln!(f, "  {} days went by", self.virtual_time.as_secs() / 86_400)?;
        let list = |pairs: Vec<String>| pairs.join(", ");
        writeln!(f, "  faults: {}", list(self.faults.iter().map(|(kind, count)| format!("{count} {kind}")).collect()))?;
        write!(
            f,
            "  answers: {}",
            list(self.answers.iter().map(|(status, count)| format!("{count} {status}")).collect())
        )
    }
}
