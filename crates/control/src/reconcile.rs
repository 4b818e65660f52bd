//! Wanted against observed: at the start, and whenever a machine changed by itself.

use std::{
    collections::{BTreeSet, HashSet},
    future::Future,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use dewpoint_api::{ActionKind, DropletId, DropletStatus, ResourceType};
use dewpoint_engine::{MachineId, PowerState};
use dewpoint_store::{
    ActionRecord, DropletRecord, Tx, actions, addresses, droplets, droplets::DropletChange, reserved_ips,
};
use tokio::sync::{
    Notify,
    broadcast::{self, error::RecvError},
    watch,
};

use crate::{
    Control, Error, PUBLIC_POOL,
    actions::chain,
    readiness,
    stock::{self, Parking},
};

/// What a Droplet's status should say, given what its engine sees; `None` when it says so already. A pure judgement.
fn corrected(record: &DropletRecord, observed: Option<PowerState>) -> Option<DropletStatus> {
    // While an action runs the status is the action's business.
    if record.running_action.is_some() {
        return None;
    }
    let truth = match observed {
        Some(PowerState::On) => DropletStatus::Active,
        Some(PowerState::Off) | None => DropletStatus::Off,
    };
    (record.status != truth).then_some(truth)
}

/// Droplets whose machine changed while an action ran on them. What the action then writes may be untrue already.
#[derive(Debug, Default)]
pub(crate) struct Restless {
    droplets: Mutex<HashSet<DropletId>>,
    /// Droplets that could not be looked at: whoever follows changes tries again.
    missed: Mutex<BTreeSet<DropletId>>,
    /// Rung when one is missed.
    bell: Notify,
}

/// The pause before what was missed is looked at again.
const PAUSE: Duration = Duration::from_secs(1);

/// Whether a Droplet's row says what its engine sees.
enum Corrected {
    Yes,
    /// An action began meanwhile, whose end has to look again.
    ActionBegan,
}

impl Restless {
    /// Forgets all of them.
    pub(crate) fn clear(&self) {
        self.droplets.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.missed.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn miss(&self, id: DropletId) {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        self.bell.notify_one();
    }

    fn take_missed(&self) -> BTreeSet<DropletId> {
        std::mem::take(&mut *self.missed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, id: DropletId) {
        self.droplets.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }

    /// Whether the Droplet was among them; it is no longer.
    pub(crate) fn take(&self, id: DropletId) -> bool {
        self.droplets.lock().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }
}

impl Control {
    /// Takes up what an earlier server left: leases, unready Droplets, machines and addresses nobody owns, and Droplets that
    /// went off.
    ///
    /// `alone` is whether no other server can be at work on this store.
    pub async fn resume(&self, alone: bool) -> Result<(), Error> {
        if alone {
            let freed: u64 =
                self.inner.store.write(|tx: &mut dyn Tx| actions::action_release_all(tx).map_err(Error::from)).await?;
            if freed > 0 {
                tracing::info!(freed, "Resuming {freed} actions that were cut off");
            }
            // What could not be bound for the last server may be free now.
            let store = &self.inner.store;
            store.write(|tx: &mut dyn Tx| addresses::address_unban_all(tx, PUBLIC_POOL).map_err(Error::from)).await?;
        }
        // Before any machine is touched. One that needs it and does not find it asks again, and so does whoever keeps it.
        if let Err(error) = self.settle_network().await {
            tracing::error!(error = %chain(&error), "The network is not as it should be: {}", chain(&error));
            self.network_changed();
        }
        // Before any Droplet is placed, and before what is held is given back.
        self.refresh_stock().await?;
        self.sweep(alone).await?;
        readiness::resume(self).await
    }

    /// Compares every machine with its Droplet.
    async fn sweep(&self, alone: bool) -> Result<(), Error> {
        const PAGE: u32 = 500;
        let mut ownerless: BTreeSet<MachineId> = self.inner.engine.machines().await?.into_iter().collect();
        let mut after = DropletId(0);
        loop {
            let page: Vec<DropletRecord> = self
                .inner
                .store
                .read(move |tx: &mut dyn Tx| droplets::droplet_page_of_all(tx, after, PAGE).map_err(Error::from))
                .await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            for record in &page {
                ownerless.remove(&MachineId(record.id.0));
                let corrected = match record.running_action {
                    None => self.correct_or_tell(record).await?,
                    Some(_) => Corrected::ActionBegan,
                };
                if matches!(corrected, Corrected::ActionBegan) {
                    // Its end will look: not every action says in the end whether its Droplet runs.
                    self.look_at(record.id).await?;
                }
            }
        }
        if !alone {
            return Ok(());
        }
        let mut kept = Vec::new();
        for machine in self.without_those_being_destroyed(ownerless).await? {
            tracing::warn!(machine = %machine, "Removing machine {machine}, which belongs to no Droplet");
            if let Err(error) = self.inner.engine.destroy(machine).await {
                tracing::error!(machine = %machine, %error, "Cannot remove machine {machine}");
                kept.push(DropletId(machine.0));
            }
        }
        self.release_ownerless_addresses(kept).await?;
        self.remove_orphans().await
    }

    /// Gives back what Droplets had that are gone, addresses and room, but for those whose machines are still there, and the
    /// addresses of reserved IPs that are gone.
    async fn release_ownerless_addresses(&self, kept: Vec<DropletId>) -> Result<(), Error> {
        let now = self.now();
        let parkings = self.take_back_gpus(&kept).await?;
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                for (id, parking) in &parkings {
                    stock::park(tx, *id, parking)?;
                }
                for id in addresses::address_holders_gone(tx)? {
                    if !kept.contains(&id) {
                        addresses::address_release_all(tx, id, now)?;
                    }
                }
                reserved_ips::reserved_ip_rest_lost(tx, now)?;
                for id in dewpoint_store::stock::holders_gone(tx)? {
                    if !kept.contains(&id) {
                        stock::release(tx, id)?;
                    }
                }
                Ok::<_, Error>(())
            })
            .await
    }

    /// Takes back the GPUs of Droplets that are gone, whose machines are gone too; which of them are parked for it.
    async fn take_back_gpus(&self, kept: &[DropletId]) -> Result<Vec<(DropletId, Parking)>, Error> {
        let gone: Vec<DropletId> = self
            .inner
            .store
            .read(|tx: &mut dyn Tx| {
                let mut gone = dewpoint_store::stock::holders_gone(tx)?;
                let mut have = Vec::new();
                for id in gone.drain(..) {
                    if stock::has_gpus(tx, id)? {
                        have.push(id);
                    }
                }
                Ok::<_, Error>(have)
            })
            .await?;
        let mut parkings = Vec::new();
        for id in gone.into_iter().filter(|id| !kept.contains(id)) {
            let parking = match self.give_back_gpus(id).await {
                Ok(parked) => Parking::Some(parked),
                Err(error) => Parking::All(format!("it could not be given back: {}", chain(&error))),
            };
            parkings.push((id, parking));
        }
        Ok(parkings)
    }

    async fn without_those_being_destroyed(&self, machines: BTreeSet<MachineId>) -> Result<Vec<MachineId>, Error> {
        if machines.is_empty() {
            return Ok(Vec::new());
        }
        let running: Vec<ActionRecord> = self
            .inner
            .store
            .read(|tx: &mut dyn Tx| actions::action_in_progress_on(tx, ResourceType::Droplet).map_err(Error::from))
            .await?;
        let destroyed = |machine: &MachineId| {
            let removes = |action: &&ActionRecord| action.kind == ActionKind::Destroy.as_str();
            running.iter().filter(removes).any(|action| action.resource_id == Some(machine.0))
        };
        Ok(machines.into_iter().filter(|machine| !destroyed(machine)).collect())
    }

    /// The same as [`Control::correct`], but a machine that cannot be looked at, as when its record is damaged, keeps nobody from
    /// the others: it goes to the log.
    async fn correct_or_tell(&self, record: &DropletRecord) -> Result<Corrected, Error> {
        match self.correct(record).await {
            Err(Error::Engine(error)) if !error.is_transient() => {
                tracing::error!(droplet.id = %record.id, %error, "The machine of Droplet {} cannot be looked at: {error}", record.id);
                Ok(Corrected::Yes)
            }
            result => result,
        }
    }

    /// Asks the engine about one Droplet and writes what it says, if that is news.
    async fn correct(&self, record: &DropletRecord) -> Result<Corrected, Error> {
        let observed = self.inner.engine.observe(MachineId(record.id.0)).await?;
        if observed.is_none() {
            tracing::error!(droplet.id = %record.id, "The machine of Droplet {} is gone", record.id);
        }
        let Some(status) = corrected(record, observed.map(|observed| observed.power)) else {
            return Ok(Corrected::Yes);
        };
        tracing::info!(droplet.id = %record.id, status = %status, "Droplet {} is found to be {status}", record.id);
        let id = record.id;
        let corrected = self
            .inner
            .store
            .write(move |tx: &mut dyn Tx| {
                // An action may have begun since: then its word counts.
                match droplets::droplet_of_machine(tx, id)? {
                    Some(record) if record.running_action.is_some() => Ok(Corrected::ActionBegan),
                    Some(_) => {
                        let change = DropletChange { status: Some(status), ..DropletChange::default() };
                        droplets::droplet_change(tx, id, &change)?;
                        Ok::<_, Error>(Corrected::Yes)
                    }
                    None => Ok(Corrected::Yes),
                }
            })
            .await?;
        if record.gpu && status == DropletStatus::Off {
            self.free_stopped().await?;
        }
        Ok(corrected)
    }

    /// Follows machines that change by themselves until `stop` turns true. What cannot be looked at now is looked at again.
    ///
    /// Listens from when it is called: called before [`Control::resume`], nothing that changes beside that is missed.
    pub fn follow_changes(self, stop: watch::Receiver<bool>) -> impl Future<Output = ()> + use<> {
        let changes = self.inner.engine.changes();
        self.follow(changes, stop)
    }

    async fn follow(self, mut changes: broadcast::Receiver<MachineId>, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let changed = tokio::select! {
                biased;
                _ = stop.changed() => return,
                changed = changes.recv() => changed,
                () = self.inner.restless.bell.notified() => {
                    let again = self.clock().now() + PAUSE;
                    tokio::select! {
                        biased;
                        _ = stop.changed() => return,
                        () = self.clock().sleep_until(again) => {}
                    }
                    for id in self.inner.restless.take_missed() {
                        tell(self.look_at(id).await);
                    }
                    continue;
                }
            };
            match changed {
                Ok(machine) => tell(self.look_at(DropletId(machine.0)).await),
                Err(RecvError::Lagged(_)) => tell(self.look_at_all().await),
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Looks at every Droplet there is; who knows which of them changed.
    async fn look_at_all(&self) -> Result<(), Error> {
        while let Err(error) = self.sweep(false).await {
            tell(Err(error));
            self.clock().sleep_until(self.clock().now() + PAUSE).await;
        }
        Ok(())
    }

    /// Looks at a Droplet whose machine changed by itself; once its action ends, if one runs.
    pub(crate) async fn look_at(&self, id: DropletId) -> Result<(), Error> {
        let looked = self.try_to_look_at(id).await;
        if looked.is_err() {
            self.inner.restless.miss(id);
        }
        looked
    }

    async fn try_to_look_at(&self, id: DropletId) -> Result<(), Error> {
        let (store, restless) = (&self.inner.store, &self.inner.restless);
        loop {
            // Noted before the row is read: an action that ends in between finds the note.
            restless.add(id);
            let record: Option<DropletRecord> =
                store.read(move |tx: &mut dyn Tx| droplets::droplet_of_machine(tx, id).map_err(Error::from)).await?;
            match record {
                Some(record) if record.running_action.is_some() => return Ok(()),
                Some(record) => {
                    restless.take(id);
                    match self.correct(&record).await? {
                        Corrected::Yes => return Ok(()),
                        // Its end may have come before it could find a note.
                        Corrected::ActionBegan => {}
                    }
                }
                None => {
                    restless.take(id);
                    return Ok(());
                }
            }
        }
    }
}

fn tell(result: Result<(), Error>) {
    if let Err(error) = result {
        tracing::error!(error = %chain(&error), "Cannot follow a machine's change; trying again");
    }
}
