//! What a machine is made of and how it is doing: plain values, the same for every engine.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use dewpoint_clock::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{GpuAddress, HostGpus};

/// Names a machine to its engine, for life. The control plane uses the Droplet's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MachineId(pub u64);

impl fmt::Display for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the names of images begin with that engines make themselves.
const OWN: &str = "own-";

/// The name of an image on a host: of a base image, a slug such as `micro-x64`; of an image an engine made, `own-` and more.
/// Lower case letters, digits, `.`, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageName(String);

impl ImageName {
    /// `None` when `name` could not be a file name that stays where it is put.
    pub fn new(name: impl Into<String>) -> Option<Self> {
        let name = name.into();
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
        let fits = !name.is_empty() && name.len() <= 128 && !name.starts_with('.') && name.chars().all(plain);
        fits.then_some(Self(name))
    }

    /// The name of an image that an engine makes itself: such names begin with `own-`, which no base image's may.
    pub fn own(rest: impl fmt::Display) -> Option<Self> {
        Self::new(format!("{OWN}{rest}"))
    }

    /// Whether an engine makes it itself, by a snapshot or an import; otherwise it is a base image.
    pub fn is_own(&self) -> bool {
        self.0.starts_with(OWN)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An Ethernet address; the guest's network configuration finds its links by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MacAddress(pub [u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Everything an engine needs to make one machine. Two equal specs mean the same machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineSpec {
    /// The guest's first host name.
    pub hostname: String,
    /// Which of [`crate::Engine::hosts`] it lives on.
    pub host: String,
    /// Virtual processors, at least 1.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Size of the root disk in GiB; the image grows to it.
    pub disk_gib: u64,
    /// The image the root disk starts as: a base image, or one this engine made.
    pub image: ImageName,
    /// Public keys in OpenSSH's one-line form, for root.
    pub ssh_keys: Vec<String>,
    /// What the caller gave for cloud-init, byte for byte; at most 64 KiB.
    pub user_data: Option<String>,
    /// Root's password as crypt(5) writes it, set at the first boot; none leaves root without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
    /// Network links in the order the guest sees them; the public one first where there is one.
    pub nics: Vec<Nic>,
    /// The GPUs that are handed through to it, in the order the guest sees them; [`crate::Engine::take_gpus`] comes first. May
    /// change while it is off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<GpuAddress>,
}

impl MachineSpec {
    /// Whether `other` is this machine but for what may change while it runs: the IPv6 addresses of its links, and the host
    /// name, which the guest keeps until its next start.
    pub fn differs_in_what_may_change(&self, other: &Self) -> bool {
        let without = |spec: &Self| {
            let nics = spec.nics.iter().map(|nic| Nic { ipv6: None, ..nic.clone() }).collect();
            Self { nics, hostname: String::new(), ..spec.clone() }
        };
        without(self) == without(other)
    }
}

/// One network link of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// Which network it is on.
    pub kind: NicKind,
    /// Its address on the wire.
    pub mac: MacAddress,
    /// Its IPv4 address as the API shows it; an engine may translate on the way to the guest.
    pub ipv4: Option<Ipv4Link>,
    /// Its IPv6 address.
    pub ipv6: Option<Ipv6Link>,
}

/// The network a link is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NicKind {
    /// Reached from outside.
    Public,
    /// The Droplet's VPC.
    Private,
}

/// An IPv4 address on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipv4Link {
    /// The address.
    pub address: Ipv4Addr,
    /// Its network's mask.
    pub netmask: Ipv4Addr,
    /// The way out; none on a private link.
    pub gateway: Option<Ipv4Addr>,
}

/// An IPv6 address on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipv6Link {
    /// The address.
    pub address: Ipv6Addr,
    /// Length of its network's prefix, in bits.
    pub prefix: u8,
    /// The way out.
    pub gateway: Ipv6Addr,
}

/// What to do about a machine's power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Power {
    /// Be running.
    On,
    /// Be off, by pulling the plug.
    Off,
    /// Be off, by asking the guest.
    Shutdown,
}

/// Whether a machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PowerState {
    /// It runs.
    On,
    /// It does not.
    Off,
}

/// What an engine sees of one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Whether it runs. A machine whose making was cut off is `Off`.
    pub power: PowerState,
    /// When it last started, as far as that is known.
    pub started_at: Option<Timestamp>,
}

/// How far a guest has come since its machine was first started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// An SSH banner was seen just now.
    pub ssh: bool,
    /// What the guest said about its user data.
    pub user_data: UserDataOutcome,
}

/// How a guest's user data ended, in the guest's own words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome", content = "detail")]
pub enum UserDataOutcome {
    /// Nothing was heard yet.
    Pending,
    /// It ran to its end, or there was none.
    Done,
    /// It ran and failed; the text says how.
    Failed(String),
    /// The image cannot run this kind of user data.
    Unsupported,
}

/// How to reach a machine from its host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Guest ports that are forwarded, in ascending order of guest port.
    pub forwards: Vec<Forward>,
    /// Where the guest's serial console is logged.
    pub console_log: Option<PathBuf>,
}

/// One guest port as seen from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The TCP port in the guest.
    pub guest_port: u16,
    /// Where the host connects to.
    pub host: SocketAddr,
}

/// A host and what it has in all, used or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name, unique within the engine.
    pub name: String,
    /// Processors a single machine can have.
    pub vcpus: u32,
    /// Memory a single machine can have, in MiB.
    pub memory_mib: u64,
    /// Its GPUs, whoever has them.
    pub gpus: HostGpus,
}

/// An engine's default public IPv4 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Networking {
    /// First address of the pool and its prefix length.
    pub pool: (Ipv4Addr, u8),
    /// The mask machines show for their public address.
    pub netmask: Ipv4Addr,
    /// The gateway machines show for it.
    pub gateway: Ipv4Addr,
}
