//! What changed, told after the commit: a bounded ring of events that any number of readers follow at their own pace.
//!
//! Store functions note their changes in the transaction ([`Changes`]). What is rolled back is never told; what is kept is
//! told in the order of the commits, before whoever asked for it is answered. A reader that falls behind the ring is told that
//! it did ([`Read::Behind`]): nobody waits for readers.
//!
//! The feed is this process's: with several servers on one PostgreSQL store, it has what was written through this one.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    net::IpAddr,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use dewpoint_api::{
    AccountId, ActionId, DropletId, FirewallId, ImageId, ProjectId, SshKeyId, TokenId, VolumeId, VolumeSnapshotId,
    VpcId, VpcPeeringId,
};
use dewpoint_clock::{Clock, Timestamp};
use tokio::sync::watch;
use uuid::Uuid;

tokio::task_local! {
    static REQUEST: Arc<str>;
}

/// Runs `handler` so that what it writes is known to be asked for by the request of this id. Tasks it spawns do not.
pub async fn asked_by<F: Future>(request: Arc<str>, handler: F) -> F::Output {
    REQUEST.scope(request, handler).await
}

/// The request this task is in.
pub(crate) fn request() -> Option<Arc<str>> {
    REQUEST.try_with(Arc::clone).ok()
}

/// How many events are kept: about 3 MiB.
pub const KEPT: usize = 32_768;
/// How many events a reader looks at before it lets the writer go on.
const LOOKED_AT: usize = 4096;

/// Something that clients know by a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thing {
    /// An action.
    Action(ActionId),
    /// A Droplet.
    Droplet(DropletId),
    /// A domain, or one of its records.
    Domain(Arc<str>),
    /// A firewall, or whom it guards.
    Firewall(FirewallId),
    /// A GPU of a host, as `host/address`: the operator's.
    Gpu(Arc<str>),
    /// An image of an account: a custom one, or a snapshot or backup of a Droplet.
    Image(ImageId),
    /// A model that was added to a running server.
    Model(Arc<str>),
    /// A project, or which resources are in it.
    Project(ProjectId),
    /// A reserved IP.
    ReservedIp(IpAddr),
    /// An SSH key.
    SshKey(SshKeyId),
    /// A tag, or what it is on.
    Tag(Arc<str>),
    /// An access token.
    Token(TokenId),
    /// A volume.
    Volume(VolumeId),
    /// A snapshot of a volume.
    VolumeSnapshot(VolumeSnapshotId),
    /// A VPC.
    Vpc(VpcId),
    /// A VPC peering.
    VpcPeering(VpcPeeringId),
}

macro_rules! things {
    ($($variant:ident($id:ty)),*) => {$(
        impl From<$id> for Thing {
            fn from(id: $id) -> Self {
                Self::$variant(id)
            }
        }
    )*};
}
things!(
    Action(ActionId),
    Droplet(DropletId),
    Firewall(FirewallId),
    Image(ImageId),
    Project(ProjectId),
    ReservedIp(IpAddr),
    SshKey(SshKeyId),
    Token(TokenId),
    Volume(VolumeId),
    VolumeSnapshot(VolumeSnapshotId),
    Vpc(VpcId),
    VpcPeering(VpcPeeringId)
);

/// What became of a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It is there now.
    Made,
    /// It is not what it was.
    Changed,
    /// It is there no more.
    Gone,
}

/// What became of a thing of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whose it is.
    pub account: AccountId,
    /// What it is.
    pub thing: Thing,
    /// What became of it.
    pub happened: Happened,
    /// The action that did it, or that began with it.
    pub action: Option<ActionId>,
}

/// What one transaction changes, noted while it runs.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    request: Option<Arc<str>>,
    action: Option<ActionId>,
    noted: Vec<Change>,
}

/// How far back a thing is looked for that changes once more in the same transaction.
const MERGED_WITHIN: usize = 32;

impl Changes {
    /// What is noted from now on belongs to this action.
    pub fn by_action(&mut self, action: ActionId) {
        self.action = Some(action);
    }

    /// All of it was asked for by this request.
    pub(crate) fn asked_by(&mut self, request: Option<Arc<str>>) {
        self.request = request;
    }

    /// Notes a change; one more of the same thing is the same change.
    pub(crate) fn note(&mut self, account: AccountId, thing: Thing, happened: Happened) {
        let action = if let Thing::Action(itself) = thing { Some(itself) } else { self.action };
        let earlier = self.noted.iter_mut().rev().take(MERGED_WITHIN).find(|known| known.thing == thing);
        match (earlier, happened) {
            (Some(known), Happened::Changed) if known.happened != Happened::Gone => {
                known.action = known.action.or(action);
            }
            _ => self.noted.push(Change { account, thing, happened, action }),
        }
    }
}

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A thing of one account changed.
    Change(Change),
    /// Everything of every account is now what it was at the start.
    Reset,
    /// Everything of every account is now what it was when this snapshot was taken.
    Restored(Arc<str>),
}

/// An event of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its place in the feed.
    pub position: u64,
    /// When it was committed.
    pub at: Timestamp,
    /// The request that asked for it, where one did.
    pub request: Option<Arc<str>>,
    /// What it tells.
    pub what: What,
}

impl Event {
    /// Whether it is about this account, or about all.
    pub fn concerns(&self, account: AccountId) -> bool {
        match &self.what {
            What::Change(change) => change.account == account,
            What::Reset | What::Restored(_) => true,
        }
    }
}

/// A place in the feed of one process, as text `EPOCH-POSITION`: after the event of that position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    epoch: u32,
    position: u64,
}

impl Cursor {
    /// A place that is in no feed.
    pub const NOWHERE: Self = Self { epoch: 0, position: u64::MAX };

    /// The place after this event of the same feed.
    pub fn after(self, event: &Event) -> Self {
        Self { position: event.position, ..self }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}", self.epoch, self.position)
    }
}

impl FromStr for Cursor {
    type Err = NoCursor;
    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let (epoch, position) = text.split_once('-').ok_or(NoCursor)?;
        let epoch = u32::from_str_radix(epoch, 16).map_err(|_| NoCursor)?;
        Ok(Self { epoch, position: position.parse().map_err(|_| NoCursor)? })
    }
}

/// The text names no place in a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoCursor;

/// What a reader got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// These events, oldest first, and where to go on: nothing between was left out.
    Events(Vec<Event>, Cursor),
    /// Some events are no longer kept. Where to go on: before the oldest that is.
    Behind(Cursor),
    /// The place is in the feed of another process. Where to go on: before the oldest event of this one.
    Elsewhere(Cursor),
}

/// The feed of a store. It tells nothing until it knows the time.
#[derive(Debug)]
pub struct Feed {
    epoch: u32,
    clock: OnceLock<Arc<dyn Clock>>,
    ring: Mutex<Ring>,
    /// The newest position, for readers that wait.
    newest: watch::Sender<u64>,
}

#[derive(Debug)]
struct Ring {
    events: VecDeque<Event>,
    newest: u64,
    most: usize,
}

impl Default for Feed {
    fn default() -> Self {
        Self::of(KEPT)
    }
}

impl Feed {
    /// A feed that keeps the newest `most` events.
    pub(crate) fn of(most: usize) -> Self {
        let ring = Mutex::new(Ring { events: VecDeque::new(), newest: 0, most });
        // Of 128 random bits these are enough: a client has known few processes.
        let epoch = Uuid::new_v4().as_fields().0;
        Self { epoch, clock: OnceLock::new(), ring, newest: watch::Sender::new(0) }
    }

    /// Tells from now on what changes, with times of this clock. The first clock stays.
    pub fn open(&self, clock: Arc<dyn Clock>) {
        // Another one was there before: that one stays.
        let _ = self.clock.set(clock);
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what was committed, in the order it was.
    pub(crate) fn publish(&self, committed: Vec<Changes>) {
        let told = committed.into_iter().flat_map(|changes| {
            let Changes { request, action: _, noted } = changes;
            noted.into_iter().map(move |change| (request.clone(), What::Change(change)))
        });
        self.push(told);
    }

    /// Tells all accounts that everything is another.
    pub fn tell_all(&self, what: What) {
        self.push([(None, what)]);
    }

    fn push(&self, told: impl IntoIterator<Item = (Option<Arc<str>>, What)>) {
        let Some(clock) = self.clock.get() else { return };
        let at = clock.now();
        let newest = {
            let mut ring = self.ring();
            let before = ring.newest;
            for (request, what) in told {
                ring.newest += 1;
                if ring.events.len() >= ring.most {
                    ring.events.pop_front();
                }
                let position = ring.newest;
                ring.events.push_back(Event { position, at, request, what });
            }
            if ring.newest == before {
                return;
            }
            ring.newest
        };
        if self.newest.receiver_count() > 0 {
            // Whoever tells second may be the first to get here.
            self.newest.send_modify(|known| *known = newest.max(*known));
        }
    }

    /// The place after the newest event.
    pub fn end(&self) -> Cursor {
        Cursor { epoch: self.epoch, position: self.ring().newest }
    }

    /// The place before the oldest event that is kept.
    pub fn beginning(&self) -> Cursor {
        Cursor { epoch: self.epoch, position: self.ring().oldest() - 1 }
    }

    /// The next events after `from` that are `wanted`, at most `most`; none when there is none yet.
    pub fn read(&self, from: Cursor, most: usize, wanted: impl Fn(&Event) -> bool) -> Read {
        let mut position = from.position;
        let mut found = Vec::new();
        loop {
            let ring = self.ring();
            let oldest = ring.oldest();
            let restart = Cursor { epoch: self.epoch, position: oldest - 1 };
            if from.epoch != self.epoch || position > ring.newest {
                return Read::Elsewhere(restart);
            }
            if position + 1 < oldest {
                return Read::Behind(restart);
            }
            let passed = usize::try_from(position + 1 - oldest).unwrap_or(usize::MAX);
            for event in ring.events.iter().skip(passed).take(LOOKED_AT) {
                position = event.position;
                if wanted(event) {
                    found.push(event.clone());
                    if found.len() == most {
                        break;
                    }
                }
            }
            if found.len() == most || position == ring.newest {
                return Read::Events(found, Cursor { epoch: self.epoch, position });
            }
        }
    }

    /// Returns once there is an event after `from`, wanted or not.
    pub async fn grown(&self, from: Cursor) {
        let mut newest = self.newest.subscribe();
        // What was told before the subscription was not sent to it.
        if self.ring().newest == from.position {
            // The sender lives as long as `self`.
            let _ = newest.wait_for(|newest| *newest > from.position).await;
        }
    }
}

impl Ring {
    /// The position of the oldest event kept, or of the next one when none is.
    fn oldest(&self) -> u64 {
        self.events.front().map_or(self.newest + 1, |event| event.position)
    }
}
