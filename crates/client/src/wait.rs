//! Waiting for what takes time, patiently.

use std::{
    fmt,
    future::IntoFuture,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{Client, Error, Kept, Result, call::CallFuture, knock::until_greeted, resources::Readiness};
use dewpoint_api::{Action, ActionId, ActionStatus, Droplet, DropletId, DropletStatus, NetworkKind};

/// How long to wait for an action unless somebody says otherwise.
const DEADLINE: Duration = Duration::from_secs(600);
/// How often to look: at first soon, then ever less often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
    pub(crate) deadline: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { first: Duration::from_millis(250), longest: Duration::from_secs(5), deadline: DEADLINE }
    }
}

/// A wait under way.
pub(crate) struct Watch {
    pace: Pace,
    next: Duration,
    since: Instant,
}

impl Watch {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { pace, next: pace.first, since: Instant::now() }
    }

    /// Sleeps until it is time to look again. Fails when the deadline would pass meanwhile.
    pub(crate) async fn pause(&mut self, what: impl FnOnce() -> String) -> Result<()> {
        let left = self.pace.deadline.saturating_sub(self.since.elapsed());
        if left.is_zero() {
            return Err(Error::WaitedTooLong { what: what().into(), after: self.pace.deadline });
        }
        tokio::time::sleep(self.next.min(left)).await;
        self.next = (self.next * 3 / 2).min(self.pace.longest);
        Ok(())
    }
}

type Progress<T> = Arc<dyn Fn(&T) + Send + Sync>;

/// Waits until an action is over. Made by [`crate::resources::Actions::wait`].
///
/// Gives the action when it is `completed`. Fails with [`Error::ActionFailed`] when it is `errored`, and with
/// [`Error::WaitedTooLong`] when the deadline has passed, 10 minutes unless said; it goes on all the same.
#[must_use = "a wait begins when it is awaited"]
#[derive(Clone)]
pub struct WaitForAction {
    client: Client,
    id: ActionId,
    pace: Pace,
    progress: Option<Progress<Action>>,
}

/// Declares how waits are set up, which is the same for all of them.
macro_rules! paced {
    ($name:ident, $seen:ty) => {
        impl $name {
            /// How long to wait in all; 10 minutes unless said.
            pub const fn deadline(mut self, deadline: Duration) -> Self {
                self.pace.deadline = deadline;
                self
            }

            /// How long to wait before the second look, and how long at most between two. From the one to the other it
            /// grows by half each time. 250 ms and 5 s unless said.
            pub const fn every(mut self, first: Duration, longest: Duration) -> Self {
                self.pace.first = first;
                self.pace.longest = longest;
                self
            }

            /// What to do at each look, with what was seen.
            pub fn on_progress(mut self, told: impl Fn(&$seen) + Send + Sync + 'static) -> Self {
                self.progress = Some(Arc::new(told));
                self
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("id", &self.id)
                    .field("pace", &self.pace)
                    .finish_non_exhaustive()
            }
        }
    };
}

paced!(WaitForAction, Action);
paced!(WaitForDroplet, DropletProgress);

impl WaitForAction {
    pub(crate) fn new(client: Client, id: ActionId) -> Self {
        Self { client, id, pace: Pace::default(), progress: None }
    }

    async fn run(self) -> Result<Kept<Action>> {
        let Self { client, id, pace, progress } = self;
        let mut watch = Watch::new(pace);
        loop {
            let action = client.actions().get(id).await?;
            if let Some(told) = &progress {
                told(&action);
            }
            if action.status == ActionStatus::Completed {
                return Ok(action);
            }
            if action.status == ActionStatus::Errored {
                return Err(Error::ActionFailed(Arc::new(action)));
            }
            watch.pause(|| format!("the end of action {id}")).await?;
        }
    }
}

impl IntoFuture for WaitForAction {
    type Output = Result<Kept<Action>>;
    type IntoFuture = CallFuture<Kept<Action>>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// What a wait for a Droplet has just seen.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum DropletProgress {
    /// The action that makes it, under way or over.
    Action(Box<Kept<Action>>),
    /// The Droplet, not yet active, or active and not yet ready.
    Droplet(Box<Kept<Droplet>>),
    /// How far the guest is, in a Dewpoint server's words: `pending`, `ready`, `failed`, `unsupported`, `unknown`.
    Guest(String),
    /// The address whose SSH port is knocked at.
    Ssh(SocketAddr),
}

/// Waits until a Droplet is active, or as ready as can be seen from here. Made by [`crate::Created::wait_ready`].
///
/// *Active* is when the action that makes it is over and its status is `active`. *Ready* is more, as far as one can see. A
/// Dewpoint server is asked, and says when cloud-init was done. One that cannot say, and the real service, leave the SSH port
/// of the public address: it is ready when an SSH server greets there. A Droplet with neither is ready when it is active.
#[must_use = "a wait begins when it is awaited"]
#[derive(Clone)]
pub struct WaitForDroplet {
    client: Client,
    id: DropletId,
    action: Option<ActionId>,
    ready: bool,
    pace: Pace,
    progress: Option<Progress<DropletProgress>>,
}

impl WaitForDroplet {
    pub(crate) fn new(client: Client, id: DropletId, action: Option<ActionId>) -> Self {
        Self { client, id, action, ready: false, pace: Pace::default(), progress: None }
    }

    pub(crate) const fn until_ready(mut self) -> Self {
        self.ready = true;
        self
    }

    fn tell(&self, seen: impl FnOnce() -> DropletProgress) {
        if let Some(told) = &self.progress {
            told(&seen());
        }
    }

    async fn run(self) -> Result<Kept<Droplet>> {
        let mut watch = Watch::new(self.pace);
        let id = self.id;
        if let Some(action) = self.action {
            loop {
                let seen = self.client.actions().get(action).await?;
                self.tell(|| DropletProgress::Action(Box::new(seen.clone())));
                if seen.status == ActionStatus::Completed {
                    break;
                }
                if seen.status == ActionStatus::Errored {
                    return Err(Error::ActionFailed(Arc::new(seen)));
                }
                watch.pause(|| format!("Droplet {id} (its action {action} is not over)")).await?;
            }
        }
        let droplet = loop {
            let seen = self.client.droplets().get(id).await?;
            self.tell(|| DropletProgress::Droplet(Box::new(seen.clone())));
            if seen.status == DropletStatus::Active {
                break seen;
            }
            watch.pause(|| format!("Droplet {id} (it is {})", seen.status)).await?;
        };
        if self.ready {
            self.until_guest_is_ready(&droplet, &mut watch).await?;
        }
        Ok(droplet)
    }

    async fn until_guest_is_ready(&self, droplet: &Droplet, watch: &mut Watch) -> Result<()> {
        let id = self.id;
        loop {
            // The real service has no such path, a token of few scopes may not ask: then one cannot see it this way.
            let story = match self.client.dewpoint().droplets().get(id).retries(0).await {
                Ok(story) => story,
                Err(Error::NotFound(_) | Error::PermissionDenied(_) | Error::Status(_) | Error::Decode(_)) => break,
                Err(other) => return Err(other),
            };
            self.tell(|| DropletProgress::Guest(story.readiness.to_string()));
            match &story.readiness {
                readiness if *readiness == Readiness::Ready => return Ok(()),
                readiness if *readiness == Readiness::Pending => {}
                readiness if *readiness == Readiness::Failed => {
                    let why = story.readiness_detail.clone().unwrap_or_default();
                    return Err(Error::GuestFailed { id, why: why.into() });
                }
                _ => break,
            }
            watch.pause(|| format!("Droplet {id} (its cloud-init is not done)")).await?;
        }
        let public = |address: &&dewpoint_api::NetworkV4| address.kind == NetworkKind::Public;
        let Some(address) = droplet.networks.v4.iter().find(public) else { return Ok(()) };
        let address = SocketAddr::new(IpAddr::V4(address.ip_address), 22);
        until_greeted(
            address,
            watch,
            |address| self.tell(|| DropletProgress::Ssh(address)),
            || format!("Droplet {id} (no SSH server greets at {address})"),
        )
        .await
    }
}

impl IntoFuture for WaitForDroplet {
    type Output = Result<Kept<Droplet>>;
    type IntoFuture = CallFuture<Kept<Droplet>>;
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
