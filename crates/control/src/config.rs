//! What an operator can set about the control plane itself.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use dewpoint_placement::Overcommit;

/// What becomes of the GPUs of a Droplet that is off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenOff {
    /// They stay its own, as the real service keeps them and bills for them.
    #[default]
    Keep,
    /// They are given back when it is powered off or shut down. Powering it on takes some again, and is refused when there are
    /// none.
    Free,
}

/// Settings of the control plane; the defaults are generous (design: limits are config).
#[derive(Clone, Debug)]
pub struct ControlConfig {
    /// Most Droplets an account may have (CRE-20).
    pub droplet_limit: u64,
    /// Most volumes an account may have.
    pub volume_limit: u64,
    /// Most reserved IPs an account may have.
    pub reserved_ip_limit: u64,
    /// Where public IPv4 addresses come from, as first address and prefix length; the engine's own pool when `None`.
    pub public_v4_pool: Option<(Ipv4Addr, u8)>,
    /// Where IPv6 addresses come from: a /64 of unique local addresses.
    pub public_v6_pool: Ipv6Addr,
    /// Where reserved IPv4 addresses come from, as first address and prefix length: outside of the public pool.
    pub reserved_v4_pool: (Ipv4Addr, u8),
    /// Where reserved IPv6 addresses come from: another /64 than [`Self::public_v6_pool`].
    pub reserved_v6_pool: Ipv6Addr,
    /// How long an IPv4 address that was given back rests before it is given again.
    pub address_quarantine: Duration,
    /// Prefix length of VPCs that are made by themselves.
    pub default_vpc_prefix: u8,
    /// The name servers that new domains name, the first one in their SOA records too.
    pub nameservers: Vec<String>,
    /// How long a worker holds an action between signs of life.
    pub lease: Duration,
    /// How many attempts at an action may end without a word, as when the server dies of it, before it is given up.
    pub lost_attempts_most: u64,
    /// How long the rows of deleted images and the status of teardowns are kept. At least as long as a POST is known.
    pub history_keep: Duration,
    /// How long entries of the audit log are kept.
    pub audit_keep: Duration,
    /// Most entries of the audit log; the oldest go first.
    pub audit_most: u64,
    /// After how long a guest that reported nothing counts as `unknown`.
    pub readiness_limit: Duration,
    /// How much more processors and memory are promised than counted hosts have.
    pub overcommit: Overcommit,
    /// Whether processors and memory of the engine's own hosts are counted also where they have no GPUs.
    pub count_hosts: bool,
    /// What becomes of the GPUs of a Droplet that is off.
    pub gpus_when_off: WhenOff,
}

impl Default for ControlConfig {
    fn default() -> Self {
        Self {
            droplet_limit: 1_000_000,
            volume_limit: 1_000_000,
            reserved_ip_limit: 1_000_000,
            public_v4_pool: None,
            public_v6_pool: Ipv6Addr::new(0xfd64, 0x6577, 0x0001, 0, 0, 0, 0, 0),
            reserved_v4_pool: (Ipv4Addr::new(198, 19, 0, 0), 16),
            reserved_v6_pool: Ipv6Addr::new(0xfd64, 0x6577, 0x0002, 0, 0, 0, 0, 0),
            address_quarantine: Duration::from_secs(60),
            default_vpc_prefix: 16,
            nameservers: (1..=3).map(|number| format!("ns{number}.digitalocean.com")).collect(),
            lease: Duration::from_secs(30),
            lost_attempts_most: 50,
            history_keep: Duration::from_secs(30 * 24 * 3600),
            audit_keep: Duration::from_secs(90 * 24 * 3600),
            audit_most: 1_000_000,
            readiness_limit: Duration::from_secs(600),
            overcommit: Overcommit::default(),
            count_hosts: false,
            gpus_when_off: WhenOff::default(),
        }
    }
}
