//! What a Dewpoint server tells of Droplets and actions, and where packets go.

use dewpoint_api::{DropletId, FirewallId};
use dewpoint_clock::Timestamp;
use serde::{Deserialize, Serialize};

/// A Droplet's way to ready.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DropletStory {
    /// Which Droplet.
    pub id: DropletId,
    /// The host it is placed on.
    pub host: Option<String>,
    /// The engine it runs on.
    pub engine: String,
    /// How far its first start is.
    pub readiness: Readiness,
    /// What the guest said about it.
    pub readiness_detail: Option<String>,
    /// What has been reached so far, in order.
    pub milestones: Vec<Milestone>,
}

/// How far the first start of a guest is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Readiness {
    /// Under way.
    Pending,
    /// cloud-init is done.
    Ready,
    /// cloud-init failed.
    Failed,
    /// The image cannot run such user data.
    Unsupported,
    /// Nobody can tell.
    Unknown,
    /// A word that is newer than this crate.
    #[serde(untagged)]
    Other(String),
}

impl std::fmt::Display for Readiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::Unsupported => "unsupported",
            Self::Unknown => "unknown",
            Self::Other(word) => word,
        })
    }
}

/// Something a Droplet reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Milestone {
    /// `accepted`, `placed`, `started`, `active`, `ssh`, `ready`.
    pub name: String,
    /// When.
    pub at: Timestamp,
    /// Milliseconds after `accepted`.
    pub after_ms: u64,
}

/// How a Droplet is reached from its server's host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DropletAccess {
    /// Forwarded TCP ports, by guest port.
    pub ports: Vec<ForwardedPort>,
    /// The command that logs in, when SSH is forwarded.
    pub ssh: Option<String>,
    /// The file that holds the end of the serial console's output.
    pub console_log: Option<String>,
}

/// One forwarded port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ForwardedPort {
    /// The port in the guest.
    pub guest_port: u16,
    /// The address on the host.
    pub host: std::net::SocketAddr,
}

/// A password of root. `Debug` does not show it.
#[derive(Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DropletPassword {
    /// The password. It is nowhere else: whoever asks next is told that there is none.
    pub password: String,
    /// When it was set.
    pub set_at: Timestamp,
}

impl std::fmt::Debug for DropletPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DropletPassword").field("set_at", &self.set_at).finish_non_exhaustive()
    }
}

/// An action as its operator sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ActionStory {
    /// As the public API shows it.
    pub action: dewpoint_api::Action,
    /// Why it errored.
    pub reason: Option<String>,
    /// The step it is at, or the last one it was at.
    pub step: String,
    /// How often a worker took it up.
    pub attempt: u64,
    /// The steps that ended, oldest first.
    pub timeline: Vec<StepStory>,
}

/// One step that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StepStory {
    /// Its name.
    pub step: String,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Milliseconds from the action's start to the step's end.
    pub after_ms: u64,
    /// Why it failed, when it did.
    pub error: Option<String>,
}

/// Whether somebody reaches somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reach {
    /// Whether they do.
    pub reached: bool,
    /// The answer in a sentence: by which rule, or what stands in the way first.
    pub answer: String,
    /// What happens on the way, in its order.
    pub steps: Vec<ReachStep>,
    /// Whether links are real there. Where they are not, this is what would be so if they were.
    pub real: bool,
}

/// Something on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReachStep {
    /// `way`, `reserved`, `firewall` or `obstacle`.
    pub kind: String,
    /// It in a sentence.
    pub says: String,
    /// Whether it ends here.
    pub stops: bool,
    /// The Droplet whose firewalls were asked.
    pub droplet_id: Option<DropletId>,
    /// `inbound` or `outbound`, as that Droplet sees it.
    pub direction: Option<String>,
    /// The firewall that allows it.
    pub firewall_id: Option<FirewallId>,
    /// Which of its rules of that direction does, from 1 on.
    pub rule: Option<u64>,
}
