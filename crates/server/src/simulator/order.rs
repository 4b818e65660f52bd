//! What can be ordered of the simulator's faults: what each does, and which requests or steps it is about.

use dewpoint_clock::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a fault does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Effect {
    /// The request is refused before it does anything, with this status and the documented body; or fails after it.
    Status {
        /// From 400 to 599.
        status: u16,
        /// The message; otherwise the one that goes with the status.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// Seconds for the header `retry-after`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
        /// Whether what was asked is done first, as when a service fails while it answers.
        #[serde(default, skip_serializing_if = "is_false")]
        after_effect: bool,
    },
    /// 429, as over the limit of a minute (RATE-3).
    TooManyRequests {
        /// Seconds for the header `retry-after`; 1 unless said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
    },
    /// 422, as while another action runs on the Droplet.
    PendingEvent {},
    /// The request waits before anything is done.
    Delay {
        /// How long.
        milliseconds: u64,
        /// Whether that is real time; otherwise it passes on the simulator's clock.
        #[serde(default)]
        real: bool,
    },
    /// What was asked is done, and the connection closed without an answer.
    Drop {},
    /// The Droplet that the request's path names vanishes before the request is done.
    Vanish {
        /// What of it.
        what: Vanishing,
    },
    /// A GET answers what the same GET answered before it changed; see `docs/simulator.md`.
    Stale {},
    /// A step of an action fails. Strikes actions, not requests.
    StepError {
        /// The kind of action, such as `create`; any when left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        action: Option<String>,
        /// The step, such as `boot`; when left out, any that does not take back another one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<String>,
        /// What is said to have happened.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// Whether it may work the next time: the step is then tried again, five times in all.
        #[serde(default)]
        transient: bool,
    },
}

fn is_false(value: &bool) -> bool {
    !value
}

/// What of a Droplet vanishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Vanishing {
    /// Its machine, as if someone had removed it behind the service's back: the Droplet is then found to be off.
    Machine,
    /// The Droplet, as if someone else had deleted it.
    Droplet,
}

/// A fault as it is ordered. What is left out matches everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaultOrder {
    /// What it does.
    pub(crate) effect: Effect,
    /// Requests of this method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<String>,
    /// Requests of this path, without the query; `*` stands for any text. `/v2/*` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    /// Requests about a Droplet with this tag, requests that name it as `tag_name` or in `tags`; actions of such a Droplet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tag: Option<String>,
    /// How likely it strikes what it matches, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) probability: Option<f64>,
    /// What its chances are drawn from: the same seed strikes the same ones. Its own number unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<u64>,
    /// How many that it matches are let pass first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<u64>,
    /// How often it strikes before it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) count: Option<u64>,
    /// From when on, by the simulator's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<Timestamp>,
    /// Until when, by the simulator's clock; then it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<Timestamp>,
    /// The same as seconds from `from`, or from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) for_seconds: Option<u64>,
}

impl FaultOrder {
    /// Why it cannot be taken, as a sentence.
    pub(crate) fn problem(&self) -> Option<String> {
        match &self.effect {
            Effect::Status { status, .. } if !(400..600).contains(status) => {
                return Some("effect.status must be from 400 to 599.".to_owned());
            }
            Effect::Delay { milliseconds, .. } if *milliseconds > 3_600_000 => {
                return Some("effect.milliseconds must be at most 3600000, an hour.".to_owned());
            }
            _ => {}
        }
        if self.probability.is_some_and(|probability| !(0.0..=1.0).contains(&probability)) {
            return Some("probability must be from 0 to 1.".to_owned());
        }
        if self.until.is_some() && self.for_seconds.is_some() {
            return Some("Give until or for_seconds, not both.".to_owned());
        }
        None
    }
}
