//! Our own endpoint for what changes, `/dew/v1/events`.

use dewpoint_clock::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ActionId,
    word::{Word, words},
};

words! {
    /// What kind of thing an event is about.
    pub enum EventKind {
        /// An action.
        Action = "action",
        /// A Droplet.
        Droplet = "droplet",
        /// A domain, or one of its records.
        Domain = "domain",
        /// A firewall, or whom it guards.
        Firewall = "firewall",
        /// A GPU of a host is missing, parked or there again; told to the first account, which is the operator's.
        Gpu = "gpu",
        /// An image of the account: a custom one, or a snapshot or backup of a Droplet.
        Image = "image",
        /// A model that was added to a running server; told to the first account, which is the operator's.
        Model = "model",
        /// A project, or which resources are in it.
        Project = "project",
        /// A reserved IP.
        ReservedIp = "reserved_ip",
        /// An SSH key.
        SshKey = "ssh_key",
        /// A tag, or what it is on.
        Tag = "tag",
        /// An access token.
        Token = "token",
        /// A volume.
        Volume = "volume",
        /// A snapshot of a volume.
        VolumeSnapshot = "volume_snapshot",
        /// A VPC.
        Vpc = "vpc",
        /// A VPC peering.
        VpcPeering = "vpc_peering",
        /// Everything of every account, in the simulator.
        Everything = "everything",
    }
}

words! {
    /// What became of it.
    pub enum EventType {
        /// It is there now.
        Made = "made",
        /// It is not what it was, or may not be.
        Changed = "changed",
        /// It is there no more.
        Gone = "gone",
        /// It is what it was at the start of the server.
        Reset = "reset",
        /// It is what it was when a snapshot was taken.
        Restored = "restored",
    }
}

words! {
    /// Why some events are missing.
    pub enum EventGap {
        /// They are too old: only the newest are kept.
        TooOld = "too_old",
        /// They were told by a server that has ended since, or by another one.
        Restarted = "restarted",
    }
}

words! {
    /// Why a stream of events ends.
    pub enum EventsEnd {
        /// The server ends. Ask again.
        Stopping = "stopping",
        /// The token is good no more.
        Token = "token",
        /// The events were not read as fast as they came.
        TooSlow = "too_slow",
    }
}

/// How a resource is named: by its number, or by its uuid or name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum EventResource {
    /// A number.
    Number(u64),
    /// A uuid, or a tag's or snapshot's name.
    Text(String),
}

/// Something that changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Its place among the events: what `since` and `Last-Event-ID` take.
    pub id: String,
    /// When it was committed.
    pub at: Timestamp,
    /// What kind of thing changed.
    pub kind: Word<EventKind>,
    /// Which one.
    pub resource_id: Option<EventResource>,
    /// What became of it.
    #[serde(rename = "type")]
    pub happened: Word<EventType>,
    /// Where it is in the API; null for what has no path of its own.
    pub path: Option<String>,
    /// The action that did it, where one did.
    pub action_id: Option<ActionId>,
    /// The request that asked for it, as in `x-request-id`, where one did.
    pub request_id: Option<String>,
    /// With `objects=true`: what `GET path` answers now; null when it is gone by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<serde_json::Value>,
}

/// The answer of `GET /dew/v1/events` to who does not ask for a stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventsResponse {
    /// Events, oldest first.
    pub events: Vec<Event>,
    /// Set when events that were asked for are missing before the first.
    pub gap: Option<Word<EventGap>>,
    /// What to give as `since` to go on from here, now or later.
    pub next: String,
}
