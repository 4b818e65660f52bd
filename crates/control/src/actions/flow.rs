//! What a flow is: the typed steps of one kind of action.

use std::{
    future::Future,
    sync::{Arc, Mutex},
};

use dewpoint_api::DropletId;
use dewpoint_engine::{Engine, MachineId, MachineSpec, NicKind};
use dewpoint_store::{ActionRecord, DropletRecord, DropletSeed, Tx, droplets, stock};

use super::effect::Effect;
use crate::{Control, Error, network, stock::GpuWork};

/// The step of an action that has none.
pub(crate) const NOTHING: &str = "nothing";

/// A step and its name in the store and in timelines.
pub(crate) type Named<S> = (S, &'static str);

/// The steps of one kind of action. A step may run twice: it must then find its work done.
pub(crate) trait Flow: Copy + PartialEq + Send + Sync + 'static {
    /// The steps, in the order they are done.
    const STEPS: &'static [Named<Self>];

    /// Compensation: what takes everything back when one of them fails for good. None when the resource is whole as it is.
    const BACK: Option<Named<Self>> = None;

    /// All steps there are, the compensation last.
    fn all() -> impl Iterator<Item = Named<Self>> {
        Self::STEPS.iter().copied().chain(Self::BACK)
    }

    /// The step of a name.
    fn named(name: &str) -> Option<Self> {
        Self::all().find(|(_, known)| *known == name).map(|(step, _)| step)
    }

    /// Its name.
    fn name(self) -> &'static str {
        Self::all().find(|(step, _)| *step == self).map_or(NOTHING, |(_, name)| name)
    }

    /// The step after this one; `None` after the last, and after the compensation.
    fn next(self) -> Option<Self> {
        Self::STEPS.iter().skip_while(|(step, _)| *step != self).nth(1).map(|(step, _)| *step)
    }

    /// Whether an action has this step at all; those for GPUs are for Droplets with GPUs alone.
    fn is_for(self, cx: &Context) -> bool {
        let _ = cx;
        true
    }

    /// What to do when this step fails for good; `None` when nothing more can be done.
    fn compensation(self) -> Option<Self> {
        Self::BACK.map(|(back, _)| back).filter(|back| *back != self)
    }

    /// Whether its result may wait to be stored with the next step's, when that comes at once: then it leaves nothing that
    /// doing it again would not find. A crash in between repeats it.
    fn can_wait(self) -> bool {
        false
    }

    /// Does the work and returns what to write about it.
    fn run(self, cx: &Context) -> impl Future<Output = Result<Effect, Error>> + Send;

    /// What to write when this step fails for good and its compensation begins: what the caller is to know of it.
    fn told(self, cx: &Context, error: &Error) -> Effect {
        let _ = (cx, error);
        Effect::default()
    }

    /// What to write when the action ends errored at this step and there is no compensation: the Droplet as it really is.
    fn aftermath(self, cx: &Context) -> impl Future<Output = Effect> + Send {
        let _ = cx;
        async { Effect::default() }
    }
}

/// What a step has to work with.
pub(crate) struct Context {
    pub(crate) control: Control,
    pub(crate) action: ActionRecord,
    /// The Droplet it is done to, or that is locked for it; 0 when there is none.
    pub(crate) droplet: DropletId,
    /// The Droplet's row and seed as they were when the action was claimed, read for a whole claim at once. Used up by the
    /// first to ask: later steps may have changed the row.
    pub(crate) prefetched: Mutex<Option<Machine>>,
}

/// What a Droplet's machine is made from.
pub(crate) struct Machine {
    record: DropletRecord,
    seed: DropletSeed,
    /// The addresses of its GPUs, where they have any.
    gpus: Vec<String>,
}

impl Machine {
    /// Reads it; `None` when there is no such Droplet.
    pub(crate) fn read(tx: &mut dyn Tx, id: DropletId) -> Result<Option<Self>, Error> {
        let Some(record) = droplets::droplet_of_machine(tx, id)? else { return Ok(None) };
        let holding = if record.gpu { stock::holding_get(tx, id)? } else { None };
        let gpus = holding.map(|holding| holding.addresses).unwrap_or_default();
        Ok(Some(Self { record, seed: droplets::droplet_seed(tx, id)?, gpus }))
    }
}

/// What an action's request says about GPUs, among other things.
#[derive(serde::Deserialize)]
struct OfGpus {
    #[serde(default)]
    gpus: Option<GpuWork>,
}

impl Context {
    /// Whether the machine is known to be gone; not when the engine cannot tell.
    pub(crate) async fn machine_is_gone(&self) -> bool {
        matches!(self.engine().observe(self.machine()).await, Ok(None))
    }

    pub(crate) fn machine(&self) -> MachineId {
        MachineId(self.droplet.0)
    }

    /// The request the action was accepted with, as its kind keeps it.
    pub(crate) fn request<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(&self.action.request)
            .map_err(|error| Error::invalid(format!("the stored request is not readable: {error}")))
    }

    pub(crate) fn engine(&self) -> &Arc<dyn Engine> {
        &self.control.inner.engine
    }

    /// The machine the Droplet's row describes.
    pub(crate) async fn spec(&self) -> Result<MachineSpec, Error> {
        let prefetched = self.prefetched.lock().ok().and_then(|mut prefetched| prefetched.take());
        if let Some(machine) = prefetched {
            return self.control.machine_spec(machine);
        }
        self.spec_with(|_| {}).await
    }

    /// The machine that the Droplet's row would describe after `edit`.
    pub(crate) async fn spec_with(&self, edit: impl FnOnce(&mut DropletRecord)) -> Result<MachineSpec, Error> {
        let id = self.droplet;
        let store = &self.control.inner.store;
        let mut machine: Machine =
            store.read(move |tx: &mut dyn Tx| Machine::read(tx, id)?.ok_or(Error::NotFound)).await?;
        edit(&mut machine.record);
        self.control.machine_spec(machine)
    }

    /// What the action is to do about its Droplet's GPUs.
    pub(crate) fn gpu_work(&self) -> Option<GpuWork> {
        serde_json::from_str(&self.action.request).ok().and_then(|OfGpus { gpus }| gpus)
    }
}

/// What the engine calls an account's image.
pub(crate) fn own_image(id: dewpoint_api::ImageId) -> Option<dewpoint_engine::ImageName> {
    dewpoint_engine::ImageName::own(format_args!("image-{id}"))
}

/// What the engine calls a snapshot of a volume.
pub(crate) fn own_volume_image(id: dewpoint_api::VolumeSnapshotId) -> Option<dewpoint_engine::ImageName> {
    dewpoint_engine::ImageName::own(format_args!("volume-{id}"))
}

impl Control {
    /// Translates a Droplet into a machine.
    fn machine_spec(&self, machine: Machine) -> Result<MachineSpec, Error> {
        use dewpoint_engine::ImageName;
        let Machine { record, seed, gpus } = machine;
        let gpus = gpus.iter().map(|address| address.parse()).collect::<Result<_, _>>();
        let gpus =
            gpus.map_err(|_| Error::invalid("The Droplet's GPUs have no names an engine could find them by."))?;
        let image = match &record.image_slug {
            Some(slug) => ImageName::new(slug.clone()),
            None => own_image(record.image_id),
        };
        let image =
            image.ok_or_else(|| Error::invalid("The Droplet's image has no name an engine could find it by."))?;
        Ok(MachineSpec {
            hostname: record.name.clone(),
            host: record.host.clone().unwrap_or_default(),
            vcpus: record.vcpus,
            memory_mib: record.memory_mib,
            disk_gib: record.disk_gib,
            image,
            ssh_keys: seed.ssh_keys,
            user_data: seed.user_data,
            password_hash: seed.password_hash,
            nics: self.links_of(&record),
            gpus,
        })
    }

    /// The links of a Droplet's machine, the public one first.
    pub(crate) fn links_of(&self, record: &DropletRecord) -> Vec<dewpoint_engine::Nic> {
        use dewpoint_engine::{Ipv4Link, Ipv6Link, Nic};
        let (netmask, gateway) = self.public_network();
        let pool = self.inner.config.public_v6_pool;
        let public = record.public_v4.map(|address| Nic {
            kind: NicKind::Public,
            mac: network::mac(record.id, NicKind::Public),
            ipv4: Some(Ipv4Link { address, netmask, gateway: Some(gateway) }),
            ipv6: record.public_v6.map(|address| Ipv6Link { address, prefix: 64, gateway: network::v6_gateway(pool) }),
        });
        let private = Nic {
            kind: NicKind::Private,
            mac: network::mac(record.id, NicKind::Private),
            ipv4: Some(Ipv4Link { address: record.private_v4, netmask: record.private_netmask, gateway: None }),
            ipv6: None,
        };
        public.into_iter().chain([private]).collect()
    }
}
