//! Models that Droplets serve: every active Droplet of an account with a tag is an upstream, from the moment it answers until
//! it does not, or is gone.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use dewpoint_api::{AccountId, DropletId, DropletStatus, TagName};
use dewpoint_clock::Timestamp;
use dewpoint_control::{Control, Error};
use dewpoint_engine::MachineId;
use dewpoint_store::{
    Dialect, Feed, ModelRecord, ModelSource, Tx, accounts, droplets,
    feed::{Cursor, Event, Read, Thing, What},
    tags,
};
use tokio::sync::watch;

use super::upstream::Upstreams;
use crate::{App, FoundConfig, ModelConfig, UpstreamConfig};

/// How often rows are read where another server may change them.
const LOOK: Duration = Duration::from_secs(1);
/// How long changes wait for others.
const GATHERED_FOR: Duration = Duration::from_millis(200);

/// Every active Droplet of an account that bears a tag.
#[derive(Debug)]
pub(super) struct ByTag {
    /// Whose Droplets, and since when; `None`: the operator's, as configured.
    added: Option<(AccountId, Timestamp)>,
    tag: TagName,
    config: ModelConfig,
    state: Mutex<State>,
    /// Up to where in the feed of changes it knows the Droplets. Held while rows are read.
    place: tokio::sync::Mutex<Option<Cursor>>,
}

#[derive(Debug, Default)]
struct State {
    /// Those that are asked; `None` before the first Droplet was found, and in the simulator always.
    upstreams: Option<Arc<Upstreams>>,
    /// In the simulator, where Droplets serve nothing: whether there is one for which the script speaks.
    is_scripted: bool,
}

impl ByTag {
    /// The Droplets of a model that an account added.
    pub(super) fn added(record: &ModelRecord, tag: TagName, port: u16) -> Self {
        let config = ModelConfig {
            droplets: Some(FoundConfig { tag: tag.clone(), port, key: None }),
            ..ModelConfig::new(record.name.clone(), Vec::new())
        };
        Self::new(Some((record.account, record.created_at)), tag, config)
    }

    /// The operator's Droplets of a model in the configuration.
    pub(super) fn configured(tag: TagName, config: ModelConfig) -> Self {
        Self::new(None, tag, config)
    }

    fn new(added: Option<(AccountId, Timestamp)>, tag: TagName, config: ModelConfig) -> Self {
        Self { added, tag, config, state: Mutex::default(), place: tokio::sync::Mutex::default() }
    }

    /// Whether it is the model of this row.
    pub(super) fn is_of(&self, record: &ModelRecord) -> bool {
        let port = self.config.droplets.as_ref().map_or(0, |found| found.port);
        let source = ModelSource::Droplets { tag: self.tag.clone(), port };
        self.added == Some((record.account, record.created_at)) && source == record.source
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The upstreams there are.
    pub(super) fn upstreams(&self) -> Option<Arc<Upstreams>> {
        self.state().upstreams.clone()
    }

    /// Whether the script speaks for a Droplet of the simulator.
    pub(super) fn is_scripted(&self) -> bool {
        self.state().is_scripted
    }

    /// Why it does not answer.
    pub(super) fn why_not(&self) -> String {
        format!("No Droplet with the tag {} answers for the model {} yet.", self.tag, self.config.name)
    }

    /// Whether it answers now.
    pub(super) fn is_ready(&self) -> bool {
        let state = self.state();
        state.is_scripted || state.upstreams.as_ref().is_some_and(|upstreams| upstreams.any_well())
    }

    /// Takes over which Droplets there are now, if that changed since it was looked at last.
    pub(super) async fn settle(&self, control: &Control) -> Result<(), Error> {
        let mut place = self.place.lock().await;
        let feed = control.store().feed();
        // With several servers on one store the feed has this one's changes alone.
        let is_whole = control.store().dialect() == Dialect::Sqlite;
        if is_whole
            && let Some(place) = place.as_mut()
            && !concerns_droplets(feed, place)
        {
            return Ok(());
        }
        // Until the rows are read it knows nothing: a reading that fails, or whose request goes away, is done again.
        *place = None;
        // What changes while the rows are read is read again.
        let before = feed.end();
        let droplets = self.active(control).await?;
        if control.engine().name() == "sim" {
            self.state().is_scripted = !droplets.is_empty();
        }
        if control.engine().name() != "sim" || !self.config.upstreams.is_empty() {
            self.found(self.addresses(control, droplets).await)?;
        }
        *place = Some(before);
        Ok(())
    }

    /// The active Droplets with the tag, and their public addresses.
    async fn active(&self, control: &Control) -> Result<Vec<(DropletId, Option<Ipv4Addr>)>, Error> {
        let (account, tag) = (self.added.map(|(account, _)| account), self.tag.clone());
        let read = move |tx: &mut dyn Tx| {
            let account = match account {
                Some(account) => account,
                None => accounts::account_first(tx)?.ok_or(Error::NotFound)?.id,
            };
            let mut active = Vec::new();
            for id in tags::droplets_with_tag(tx, account, &tag)? {
                if let Some(droplet) = droplets::droplet_get(tx, account, id)?
                    && droplet.status == DropletStatus::Active
                {
                    active.push((id, droplet.public_v4));
                }
            }
            Ok::<_, Error>(active)
        };
        control.store().read(read).await
    }

    /// Where this host reaches them: the port that the engine forwards, where it forwards ports, else the public address.
    async fn addresses(&self, control: &Control, droplets: Vec<(DropletId, Option<Ipv4Addr>)>) -> Vec<UpstreamConfig> {
        let Some(FoundConfig { port, key, .. }) = self.config.droplets.clone() else { return Vec::new() };
        let mut found = Vec::new();
        if control.engine().name() == "sim" {
            return found;
        }
        for (id, public) in droplets {
            let access = control.engine().access(MachineId(id.0)).await;
            let forwards = access.map(|access| access.forwards).unwrap_or_default();
            let address = match forwards.iter().find(|forward| forward.guest_port == port) {
                Some(forward) => Some(forward.host),
                // Other ports of it are forwarded: its public address is not on this host's network.
                None if !forwards.is_empty() => None,
                None => public.map(|address| SocketAddr::new(address.into(), port)),
            };
            match address {
                Some(address) => found
                    .push(UpstreamConfig { key: key.clone(), ..UpstreamConfig::new(format!("http://{address}/v1")) }),
                None => tracing::warn!(
                    droplet.id = %id,
                    model = self.config.name,
                    "Droplet {id} has the tag {} and cannot be asked: nothing leads to its port {port} (network.forward_ports)",
                    self.tag
                ),
            }
        }
        found
    }

    fn found(&self, found: Vec<UpstreamConfig>) -> Result<(), Error> {
        let failed = |error: io::Error| Error::Conflict(format!("upstreams cannot be asked: {error}"));
        let known = self.upstreams();
        let upstreams = match known {
            Some(upstreams) => upstreams,
            None => {
                let upstreams = Upstreams::new(self.config.clone()).map_err(failed)?;
                self.state().upstreams = Some(Arc::clone(&upstreams));
                upstreams
            }
        };
        upstreams.are_now(found).map_err(failed)
    }
}

/// Whether Droplets or their tags changed after `place`, which is moved to where the feed is then.
fn concerns_droplets(feed: &Feed, place: &mut Cursor) -> bool {
    let wanted = |event: &Event| match &event.what {
        What::Change(change) => matches!(change.thing, Thing::Droplet(_) | Thing::Tag(_)),
        What::Reset | What::Restored(_) => true,
    };
    match feed.read(*place, 1, wanted) {
        Read::Events(found, next) => {
            *place = next;
            !found.is_empty()
        }
        Read::Behind(next) | Read::Elsewhere(next) => {
            *place = next;
            true
        }
    }
}

impl App {
    /// Keeps an eye on Droplets that serve models, until `stopped` says so, so that each is known to be well before it is asked.
    pub async fn keep_found(self, mut stopped: watch::Receiver<bool>) {
        let feed = Arc::clone(self.control.store().feed());
        loop {
            let place = feed.end();
            self.inference.settle(&self.control).await;
            let is_shared = self.control.store().dialect() == Dialect::Postgres;
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stop| *stop) => return,
                () = async {
                    match is_shared {
                        true => tokio::time::sleep(LOOK).await,
                        false => feed.grown(place).await,
                    }
                } => {}
            }
            // Many changes come together, and nobody waits for this.
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(GATHERED_FOR) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{Future as _, poll_fn},
        task::Poll,
    };

    use dewpoint_clock::ManualClock;
    use dewpoint_control::{ControlConfig, Parts, Random, catalogue::Catalogue};
    use dewpoint_engine::sim::SimEngine;
    use dewpoint_store::sqlite;

    use super::*;

    #[tokio::test]
    async fn what_changed_is_read_again_when_who_read_it_went_away() {
        let directory = tempfile::tempdir().expect("a directory");
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_600_000_000_500)));
        let engine = SimEngine::open(&directory.path().join("sim.db"), clock.clone()).expect("a new simulator");
        let parts = Parts {
            random: Random::default(),
            store: sqlite::open(&directory.path().join("dew.db")).expect("a new store"),
            engine: Arc::new(engine),
            clock,
            catalogue: Catalogue::built_in(),
            config: ControlConfig::default(),
        };
        let control = Control::new(parts).await.expect("parts that fit");
        let account = control.bootstrap(None).await.expect("a write").expect("an empty store").record.account;
        let by_tag = ByTag::configured("llm".parse().expect("a tag"), ModelConfig::new("llama", Vec::new()));
        by_tag.settle(&control).await.expect("it is read");
        for number in 0.. {
            assert!(by_tag.place.lock().await.is_some());
            control.tag_create(account, &format!("tag-{number}")).await.expect("a tag");
            let mut settling = Box::pin(by_tag.settle(&control));
            if poll_fn(|cx| Poll::Ready(settling.as_mut().poll(cx).is_pending())).await {
                break;
            }
            // The store was faster than the look.
        }
        assert!(by_tag.place.lock().await.is_none(), "it believes to know what it did not read");
        by_tag.settle(&control).await.expect("it is read");
        assert!(by_tag.place.lock().await.is_some());
    }
}
