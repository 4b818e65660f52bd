//! What is a Dewpoint server's own, below `/dew/v1`. The real service answers 404 there. All of it needs a full token.

use dewpoint_api::{ActionId, DropletId};
use dewpoint_clock::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Call, Kept, NamesDroplet, operations as op};

groups! {
    /// What is a Dewpoint server's own.
    Dewpoint;
    /// What the public API does not tell of Droplets.
    DewpointDroplets;
    /// What the public API does not tell of actions.
    DewpointActions;
}

leads! { Dewpoint {
    /// How far Droplets are on the way to ready, and how to reach them.
    droplets -> DewpointDroplets;
    /// The steps of actions.
    actions -> DewpointActions;
} }

impl DewpointDroplets {
    /// `GET /dew/v1/droplets/{id}`: how far a Droplet is on the way from accepted to ready, and when it got where.
    pub fn get(&self, droplet: impl NamesDroplet) -> Call<Kept<DropletStory>> {
        self.0.whole(&op::DEW_DROPLETS_GET, &[&droplet.droplet_id()])
    }

    /// `GET /dew/v1/droplets/{id}/access`: where on the server's host the Droplet's ports are reached.
    pub fn access(&self, droplet: impl NamesDroplet) -> Call<Kept<DropletAccess>> {
        self.0.whole(&op::DEW_DROPLETS_ACCESS, &[&droplet.droplet_id()])
    }

    /// `GET /dew/v1/droplets/{id}/password`: the root password, shown once. Never sent again when its answer is lost.
    pub fn password(&self, droplet: impl NamesDroplet) -> Call<Kept<DropletPassword>> {
        self.0.whole(&op::DEW_DROPLETS_PASSWORD, &[&droplet.droplet_id()]).retries(0)
    }
}

impl DewpointActions {
    /// `GET /dew/v1/actions/{id}`: an action with the timeline of its steps and, when it errored, the reason.
    pub fn get(&self, id: impl Into<ActionId>) -> Call<Kept<ActionStory>> {
        self.0.whole(&op::DEW_ACTIONS_GET, &[&id.into()])
    }
}

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
