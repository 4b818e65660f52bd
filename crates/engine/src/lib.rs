//! What makes machines. Knows hosts, disks, devices and processes; knows nothing of Droplets, accounts or rows.
//!
//! An [`Engine`] is small, idempotent and observable. The control plane says what should be ([`Engine::ensure`],
//! [`Engine::power`], [`Engine::destroy`]) as often as it likes, also after a crash in the middle, and asks what is
//! ([`Engine::observe`]). Every engine passes the one suite in [`conformance`].

pub mod conformance;
mod console;
mod error;
mod gpus;
mod machine;
mod metadata;
#[cfg(feature = "qemu")]
pub mod qemu;
pub mod sim;
mod storage;
pub mod survey;

pub use console::{Console, LOG_BYTES};
pub use error::{Error, Operation};
pub use gpus::{GpuAddress, GpuState, HostGpu, HostGpus, ParkedGpu};
pub use machine::{
    Access, Forward, Host, ImageName, Ipv4Link, Ipv6Link, MacAddress, MachineId, MachineSpec, Networking, Nic, NicKind,
    Observed, Power, PowerState, Readiness, UserDataOutcome,
};
pub use metadata::MetadataListener;
pub use storage::{Filesystem, FilesystemKind, ImageFacts, ObservedVolume, Storage, VolumeId, VolumeSpec};

use std::fmt;

use dewpoint_network::Plan;

/// A maker of machines. Shared as `Arc<dyn Engine>`; every method may be called from many tasks at once, and calls for one
/// machine are put in a row by the engine itself.
#[async_trait::async_trait]
pub trait Engine: Storage + fmt::Debug + Send + Sync {
    /// The engine's name in configuration and answers: `sim`, `qemu`.
    fn name(&self) -> &'static str;

    /// The hosts machines can be placed on, with what each has in all.
    async fn hosts(&self) -> Result<Vec<Host>, Error>;

    /// Which public addresses this engine's machines get when the operator configured none.
    fn networking(&self) -> Networking;

    /// Whether a machine can be made from the base image `image` here and now. Cheap: it is asked on each create.
    fn has_image(&self, image: &ImageName) -> bool;

    /// What an operator runs to bring `image` to this host; `None` when nothing can.
    fn image_hint(&self, image: &ImageName) -> Option<String>;

    /// Whether its machines run a Droplet agent when a create insists on one (CRE-18). No engine with real guests has one yet.
    fn has_droplet_agent(&self) -> bool {
        false
    }

    /// Whether a machine that nobody has a key to is to be given a root password. Making one costs milliseconds, which an
    /// engine without real guests may save.
    fn sets_passwords(&self) -> bool {
        true
    }

    /// Whether its guests are ready the moment [`Engine::power`] has started them, so that nobody needs to look.
    fn is_ready_at_once(&self) -> bool {
        false
    }

    /// Makes the machine exist as `spec` says, powered off, its disks and seed written. Calling it again with the same spec
    /// changes nothing, also when the machine runs by now; after a crash in the middle it finishes the work.
    ///
    /// Fails with [`Error::SpecConflict`] if `id` exists otherwise, [`Error::ImageMissing`] or [`Error::ImageInvalid`] for a
    /// base image that is not there or is none.
    async fn ensure(&self, id: MachineId, spec: &MachineSpec) -> Result<(), Error>;

    /// Brings the machine to the wanted power state and returns when it is there; nothing to do is success.
    ///
    /// [`Power::Shutdown`] asks the guest and fails with [`Error::GuestIgnored`] when it is still on after the engine's limit.
    /// [`Power::On`] fails with [`Error::AddressUnusable`] when a public address cannot be had on this host: the machine is
    /// then off and unchanged, and can be given another address by [`Engine::readdress`].
    async fn power(&self, id: MachineId, power: Power) -> Result<(), Error>;

    /// Makes a powered-off machine as `spec` says: other network links, processors, memory, a larger root disk, another
    /// password hash. Image, keys and user data must be as they were. A machine that is so already is left alone.
    ///
    /// Of a running machine only the IPv6 addresses of its links and the host name may differ, and the guest learns of them at
    /// its next start.
    /// A root disk that would shrink, or an image that differs, fails with [`Error::SpecConflict`].
    async fn change(&self, id: MachineId, spec: &MachineSpec) -> Result<(), Error>;

    /// Starts the root disk of a powered-off machine anew from `spec.image`, which may be the one it had; `spec` may differ in
    /// that, in the host name and in the password hash. The guest's first start is then before it again. Done twice, the disk
    /// is new twice.
    async fn rebuild(&self, id: MachineId, spec: &MachineSpec) -> Result<(), Error>;

    /// Sets root's password, given as crypt(5) writes it, in the running guest and in what a later start shows it.
    ///
    /// Fails with [`Error::GuestIgnored`] when the machine is off, or nothing in the guest answers to such a wish.
    async fn set_password(&self, id: MachineId, hash: &str) -> Result<(), Error>;

    /// What is true now, asked of the hypervisor and never of memory. `None`: no such machine.
    async fn observe(&self, id: MachineId) -> Result<Option<Observed>, Error>;

    /// How far the guest is: whether SSH shows its banner, and how its user data ended. Returns within a second or two.
    async fn readiness(&self, id: MachineId) -> Result<Readiness, Error>;

    /// How to reach the machine from this host.
    async fn access(&self, id: MachineId) -> Result<Access, Error>;

    /// The machine's serial console: the end of what it wrote, what it writes, and a way to type. Of a machine that is off there
    /// is what it wrote. `None`: this engine keeps none.
    async fn console(&self, id: MachineId) -> Result<Option<Console>, Error> {
        let _ = id;
        Ok(None)
    }

    /// Whether machines' links are real and follow [`Engine::apply_network`]. Where they are not, nobody needs to make a plan.
    fn has_network(&self) -> bool {
        false
    }

    /// Makes what the links of its machines lead to as `plan` says, whole, and returns when it is in force. What was there
    /// before and is not in the plan is gone then. On failure what was in force stays in force.
    ///
    /// Also done at each start, before any machine is touched: it builds everything that is not there.
    async fn apply_network(&self, plan: &Plan) -> Result<(), Error> {
        let _ = plan;
        Ok(())
    }

    /// The name servers that guests are told to ask; none where links are not real.
    fn nameservers(&self) -> Vec<std::net::IpAddr> {
        Vec::new()
    }

    /// Where its machines ask for their own data, once the network of [`Engine::apply_network`] is there; `None` where links are
    /// not real, so that no machine reaches it.
    async fn metadata_listener(&self) -> Result<Option<Box<dyn MetadataListener>>, Error> {
        Ok(None)
    }

    /// Makes `gpus` this machine's own, and no others': when it returns, the host's drivers have let go of each with every
    /// function that goes with it, and all are bound for handing through. Comes before [`Engine::power`] to on of a machine
    /// whose spec names them, and also before [`Engine::ensure`]: the machine need not exist yet. What the machine has already
    /// stays as it is, so that doing it again is success.
    ///
    /// All or nothing: on failure, what was unbound is with its driver again. Fails with [`Error::GpuUnusable`], which says
    /// what to change; with [`Error::GpuTaken`] when another machine has one of them; with [`Error::SpecConflict`] when this
    /// machine has others than these: they are given back first.
    async fn take_gpus(&self, id: MachineId, gpus: &[GpuAddress]) -> Result<(), Error> {
        let _ = id;
        match gpus.first() {
            None => Ok(()),
            Some(&gpu) => Err(Error::GpuUnusable { gpu, why: format!("the engine {} has no GPUs", self.name()) }),
        }
    }

    /// Takes back every GPU the machine has: each is reset, and returned to the driver it had before. Done for a machine that
    /// has none, or does not exist, it is success. A machine that runs keeps them, and the call fails.
    ///
    /// One that cannot be reset, or whose driver does not take it back, is parked: [`Engine::hosts`] shows it so, also after a
    /// restart, until an operator puts it back. Answers with those that were parked now; the machine has none of them any more.
    async fn give_back_gpus(&self, id: MachineId) -> Result<Vec<ParkedGpu>, Error> {
        let _ = id;
        Ok(Vec::new())
    }

    /// Takes a parked GPU of a host back into stock, because the operator says so; one that is not parked is success. Fails when
    /// it still cannot be used, and says why.
    async fn put_back_gpu(&self, host: &str, gpu: &GpuAddress) -> Result<(), Error> {
        let _ = (host, gpu);
        Ok(())
    }

    /// Removes the machine with everything that is its own: process, disks, seed, logs; GPUs it still has
    /// are given back as by [`Engine::give_back_gpus`]. No such machine is success.
    async fn destroy(&self, id: MachineId) -> Result<(), Error>;

    /// Every machine this engine has anything of, also half-made ones, in ascending order.
    async fn machines(&self) -> Result<Vec<MachineId>, Error>;

    /// Machines whose state changed by themselves: a guest that went off, a process that died, a report from inside.
    ///
    /// A hint to [`Engine::observe`] again, never the truth itself; a slow reader may miss some.
    fn changes(&self) -> tokio::sync::broadcast::Receiver<MachineId>;
}
