//! Events as clients see them: their words, and the frames of a stream.

use std::{fmt::Write as _, net::IpAddr};

use dewpoint_api as api;
use dewpoint_api::{EventGap, EventKind, EventResource, EventType, EventsEnd};
use dewpoint_store::feed::{Change, Cursor, Event, Happened, Thing, What};
use serde::Serialize;

/// The kind of a thing.
pub(super) fn kind(thing: &Thing) -> EventKind {
    match thing {
        Thing::Action(_) => EventKind::Action,
        Thing::Droplet(_) => EventKind::Droplet,
        Thing::Firewall(_) => EventKind::Firewall,
        Thing::Gpu(_) => EventKind::Gpu,
        Thing::Image(_) => EventKind::Image,
        Thing::Model(_) => EventKind::Model,
        Thing::Project(_) => EventKind::Project,
        Thing::ReservedIp(_) => EventKind::ReservedIp,
        Thing::SshKey(_) => EventKind::SshKey,
        Thing::Domain(_) => EventKind::Domain,
        Thing::Tag(_) => EventKind::Tag,
        Thing::Token(_) => EventKind::Token,
        Thing::Volume(_) => EventKind::Volume,
        Thing::VolumeSnapshot(_) => EventKind::VolumeSnapshot,
        Thing::Vpc(_) => EventKind::Vpc,
        Thing::VpcPeering(_) => EventKind::VpcPeering,
    }
}

pub(super) fn happened(happened: Happened) -> EventType {
    match happened {
        Happened::Made => EventType::Made,
        Happened::Changed => EventType::Changed,
        Happened::Gone => EventType::Gone,
    }
}

fn resource(thing: &Thing) -> EventResource {
    match thing {
        Thing::Action(id) => EventResource::Number(id.0),
        Thing::Droplet(id) => EventResource::Number(id.0),
        Thing::Image(id) => EventResource::Number(id.0),
        Thing::SshKey(id) => EventResource::Number(id.0),
        Thing::Project(id) => EventResource::Text(id.to_string()),
        Thing::Domain(name) | Thing::Gpu(name) | Thing::Model(name) | Thing::Tag(name) => {
            EventResource::Text(name.to_string())
        }
        Thing::Firewall(id) => EventResource::Text(id.to_string()),
        Thing::Token(id) => EventResource::Text(id.to_string()),
        Thing::Volume(id) => EventResource::Text(id.to_string()),
        Thing::VolumeSnapshot(id) => EventResource::Text(id.to_string()),
        Thing::Vpc(id) => EventResource::Text(id.to_string()),
        Thing::VpcPeering(id) => EventResource::Text(id.to_string()),
        Thing::ReservedIp(address) => EventResource::Text(address.to_string()),
    }
}

/// The name of a thing as text.
pub(super) fn name(thing: &Thing) -> String {
    match resource(thing) {
        EventResource::Number(number) => number.to_string(),
        EventResource::Text(text) => text,
    }
}

/// Where a model is, whose name may have slashes.
pub(crate) fn model_path(name: &str) -> String {
    format!("/dew/v1/models/{}", name.replace('/', "%2F"))
}

fn path(thing: &Thing) -> Option<String> {
    Some(match thing {
        Thing::Action(id) => format!("/v2/actions/{id}"),
        Thing::Droplet(id) => format!("/v2/droplets/{id}"),
        Thing::Firewall(id) => format!("/v2/firewalls/{id}"),
        Thing::Image(id) => format!("/v2/images/{id}"),
        Thing::Model(name) => model_path(name),
        Thing::Project(id) => format!("/v2/projects/{id}"),
        Thing::SshKey(id) => format!("/v2/account/keys/{id}"),
        Thing::Domain(name) => format!("/v2/domains/{name}"),
        Thing::Tag(name) => format!("/v2/tags/{name}"),
        Thing::Gpu(_) | Thing::Token(_) => return None,
        Thing::Volume(id) => format!("/v2/volumes/{id}"),
        Thing::VolumeSnapshot(id) => format!("/v2/volumes/snapshots/{id}"),
        Thing::Vpc(id) => format!("/v2/vpcs/{id}"),
        Thing::VpcPeering(id) => format!("/v2/vpc_peerings/{id}"),
        Thing::ReservedIp(IpAddr::V4(address)) => format!("/v2/reserved_ips/{address}"),
        Thing::ReservedIp(IpAddr::V6(address)) => format!("/v2/reserved_ipv6/{address}"),
    })
}

/// An event as clients see it; `next` is any place of its feed.
pub(crate) fn shown(event: Event, next: Cursor) -> api::Event {
    let id = next.after(&event).to_string();
    let Event { position: _, at, request, what } = event;
    let request_id = request.map(|id| id.to_string());
    let everything = |happened, name: Option<String>| api::Event {
        id: id.clone(),
        at,
        kind: EventKind::Everything.into(),
        resource_id: name.map(EventResource::Text),
        happened,
        path: None,
        action_id: None,
        request_id: None,
        object: None,
    };
    match what {
        What::Reset => everything(EventType::Reset.into(), None),
        What::Restored(name) => everything(EventType::Restored.into(), Some(name.to_string())),
        What::Change(Change { account: _, thing, happened: became, action }) => api::Event {
            kind: kind(&thing).into(),
            resource_id: Some(resource(&thing)),
            happened: happened(became).into(),
            path: path(&thing),
            action_id: action,
            id,
            at,
            request_id,
            object: None,
        },
    }
}

/// Frames of a stream, one after the other.
#[derive(Debug, Default)]
pub(super) struct Frames(String);

#[derive(Serialize)]
struct Gap {
    reason: EventGap,
}

#[derive(Serialize)]
struct End {
    reason: EventsEnd,
}

#[derive(Serialize)]
struct Nothing {}

impl Frames {
    fn push(&mut self, name: &str, id: &str, data: &impl Serialize) {
        let data = serde_json::to_string(data).expect("strings, numbers and words always serialize");
        write!(self.0, "event: {name}\nid: {id}\ndata: {data}\n\n").expect("a string takes all");
    }

    /// A change, or that everything changed.
    pub(super) fn event(&mut self, event: &api::Event) {
        let name = match event.happened.known() {
            Some(EventType::Reset) => "reset",
            Some(EventType::Restored) => "restored",
            Some(EventType::Made | EventType::Changed | EventType::Gone) | None => "change",
        };
        self.push(name, &event.id, event);
    }

    /// Events are missing here.
    pub(super) fn gap(&mut self, reason: EventGap, next: Cursor) {
        self.push("gap", &next.to_string(), &Gap { reason });
    }

    /// All events up to here were sent, or are none of this client's.
    pub(super) fn position(&mut self, next: Cursor) {
        self.push("position", &next.to_string(), &Nothing {});
    }

    /// The stream ends; whoever wants to may go on from here with another.
    pub(super) fn end(&mut self, reason: EventsEnd, next: Cursor) {
        self.push("end", &next.to_string(), &End { reason });
    }

    /// Nothing, so that everybody on the way sees that the connection lives.
    pub(super) fn comment(&mut self) {
        self.0.push_str(": still here\n\n");
    }

    /// Whether there is nothing to send.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes, to be sent.
    pub(super) fn into_bytes(self) -> bytes::Bytes {
        self.0.into()
    }
}
