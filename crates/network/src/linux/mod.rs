//! Plans made real by this kernel.
//!
//! ```text
//!   host                      the installation's own network namespace, `ip netns exec NAME …`
//!  ┌──────┐  one veth   ┌──────────────────────────────────────────────────────────────┐
//!  │ dew0 ├─────────────┤ uplink ─┬─ public (bridge) ─┬─ t7-pub ── machine 7            │
//!  └──────┘             │  routes │                   └─ t8-pub ── machine 8            │
//!   routes to pools     │         └─ peerings ─┬─ vpc-… (bridge) ─┬─ t7-vpc ── machine 7 │
//!                       │                      └─ vpc-… (bridge)  └─ t8-vpc ── machine 8 │
//!                       └──────────────────────────────────────────────────────────────┘
//! ```
//! Nothing is remembered: names are made from the plan, and what is there is asked of the kernel each time. A server that
//! starts again finds the namespace and the taps of machines that run on, and nothing they do is interrupted.
//!
//! Everything here blocks: some milliseconds, for a thousand links a second or so.

mod asker;
mod config;
mod devices;
mod error;
mod host;
mod inside;
mod names;
mod namespace;
mod observed;
mod ruleset;
mod settings;
mod tap;
mod tools;

use std::{
    net::{SocketAddr, TcpListener},
    os::fd::{AsFd, OwnedFd},
    sync::{PoisonError, RwLock},
};

pub use asker::Asker;
pub use config::{METADATA, METADATA_HTTP, Service, Tools, Uplink, WireConfig};
pub use error::Error;
pub use names::tap_name;

use crate::{LinkKind, Plan};
use asker::Askers;
use devices::Wanted;
use inside::Inside;
use names::{PUBLIC, UPLINK};
use observed::Observed;

/// One installation's network, on this host.
#[derive(Debug)]
pub struct Wire {
    config: WireConfig,
    inside: Inside,
    askers: RwLock<Askers>,
}

impl Wire {
    /// Makes the namespace, the pair of devices to the host and the public bridge, or finds them; what machines have by the last
    /// [`Wire::apply`] stays as it is. A new one lets no machine send anything until the first plan comes.
    ///
    /// The host is the network namespace of the calling thread.
    pub fn open(config: WireConfig) -> Result<Self, Error> {
        config.check()?;
        namespace::ensure(&config.tools, &config.name)?;
        let inside = Inside::enter(&config.name, &namespace::path(&config.name))?;
        let has_v6 = config.public_v6.is_some();
        let tools = config.tools.clone();
        let there = inside.run(move || settings::first(has_v6).and_then(|()| Observed::here(&tools)))??;
        host::connect(&config, there.devices.contains_key(UPLINK))?;
        let wire = Self { config, inside, askers: RwLock::default() };
        wire.begin(&there)?;
        Ok(wire)
    }

    fn begin(&self, there: &Observed) -> Result<(), Error> {
        let config = self.config.clone();
        let has_public = there.devices.contains_key(PUBLIC);
        self.inside.run(move || {
            let tools = &config.tools;
            let empty = Plan::default();
            if !tools.nft_has_tables()? {
                tools.nft(&ruleset::script(&config, &empty)?)?;
            }
            let wanted = Wanted::new(&config, &empty)?;
            if !has_public {
                tools.ip(&wanted.bridge(PUBLIC))?;
            }
            if config.public_v6.is_some() {
                settings::speak_v6()?;
            }
            // Of machines that run nothing is taken away: the empty plan is not what is wanted, only what is needed.
            tools.ip_unless_gone(&wanted.steps(&Observed::here(tools)?).before, devices::may_be_gone)?;
            tools.ip(&config.way_out())
        })?
    }

    /// Makes everything as planned: what is missing is made, then the ruleset is exchanged at once, then what is not wanted goes.
    ///
    /// Done again it changes nothing. Where it fails, the ruleset from before is in force, or the new one: never a part.
    pub fn apply(&self, plan: &Plan) -> Result<(), Error> {
        let wanted = Wanted::new(&self.config, plan)?;
        let script = ruleset::script(&self.config, plan)?;
        let askers = Askers::new(plan)?;
        let tools = self.config.tools.clone();
        self.inside.run(move || {
            let steps = wanted.steps(&Observed::here(&tools)?);
            tools.ip_unless_gone(&steps.before, devices::may_be_gone)?;
            tools.nft(&script)?;
            tools.ip_unless_gone(&steps.after, devices::may_be_gone)
        })??;
        *self.askers.write().unwrap_or_else(PoisonError::into_inner) = askers;
        Ok(())
    }

    /// Makes the tap of a machine's link and opens it for its QEMU, which needs no right for it (`-netdev tap,fd=N`).
    ///
    /// It is there as long as the file is open anywhere, so a running machine keeps it when the server starts again. It leads to
    /// its network from now on, or from the [`Wire::apply`] that makes this; what it may send is the plan's to say.
    /// [`Error::Taken`] while another process has it open.
    pub fn tap(&self, machine: u64, kind: LinkKind) -> Result<OwnedFd, Error> {
        let name = tap_name(machine, kind);
        let bridge = names::bridge(kind);
        let tools = self.config.tools.clone();
        self.inside.run(move || {
            let tap = tap::open(&name)?;
            let has_bridge = nix::net::if_::if_nametoindex(bridge.as_str()).is_ok();
            let master = if has_bridge { format!(" master {bridge}") } else { String::new() };
            tools.ip(&[format!("link set dev {name}{master} up")])?;
            Ok(tap)
        })?
    }

    /// Listens inside the namespace, at the address of one of [`WireConfig::services`] or nobody gets there.
    pub fn listen_inside(&self, address: SocketAddr) -> Result<TcpListener, Error> {
        let listener = self.inside(move || TcpListener::bind(address))?;
        listener.map_err(|error| Error::io(format!("listening at {address} inside {}", self.config.name), error))
    }

    /// Runs something inside the namespace, such as opening a socket, which belongs to it wherever it is used. Everything else
    /// that changes the network waits for it.
    pub fn inside<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        self.inside.run(job)
    }

    /// Which machine's link a connection came by that was accepted inside. `None` when it was no machine's of the plan that was
    /// applied last.
    pub fn asker(&self, connection: &impl AsFd) -> Option<Asker> {
        self.askers.read().unwrap_or_else(PoisonError::into_inner).of(connection)
    }

    /// Takes everything down, as [`down`] does; nothing else works afterwards.
    pub fn down(&self) -> Result<Removed, Error> {
        let tools = self.config.tools.clone();
        let removed = self.inside.run(move || remove_devices(&tools))??;
        self.inside.leave();
        namespace::remove(&self.config.tools, &self.config.name)?;
        Ok(removed)
    }
}

/// What there was before it was taken down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// The taps of machines that still ran; they are cut off, and start with a new tap only.
    pub taps: Vec<String>,
}

/// Takes an installation's network down by its name: taps, bridges, the pair of devices with the host's routes, ruleset and
/// namespace. `None` when there is none. Done again after a crash, it goes on.
pub fn down(tools: &Tools, name: &str) -> Result<Option<Removed>, Error> {
    if !namespace::exists(name)? {
        // A crash may have left the name alone.
        namespace::remove(tools, name)?;
        return Ok(None);
    }
    let inside = Inside::enter(name, &namespace::path(name))?;
    let own = tools.clone();
    let removed = inside.run(move || remove_devices(&own))??;
    inside.leave();
    namespace::remove(tools, name)?;
    Ok(Some(removed))
}

/// Removes all devices of the namespace: a QEMU that runs on keeps the namespace itself from ending, but finds nothing in it.
fn remove_devices(tools: &Tools) -> Result<Removed, Error> {
    let there = Observed::here(tools)?;
    let of = |kinds: &'static [&str]| {
        there.devices.iter().filter(|(_, device)| kinds.contains(&&*device.kind)).map(|(name, _)| name.clone())
    };
    let taps: Vec<String> = of(&["tun"]).collect();
    let gone = of(&["tun", "veth", "bridge"]).map(|name| format!("link del dev {name}"));
    tools.ip_unless_gone(&gone.collect::<Vec<_>>(), devices::may_be_gone)?;
    Ok(Removed { taps })
}
