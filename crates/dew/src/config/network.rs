//! `[network]`: which addresses there are, and whether machines' links are real.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use dewpoint_control::{ControlConfig, network::Pool};
use dewpoint_engine::qemu::RealNetwork;
use dewpoint_network::linux::{METADATA_HTTP, Tools, Uplink, WireConfig};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::Deserialize;

/// The name of the network namespace, unless the operator gives another: two installations on one host need two.
const NAMESPACE: &str = "dewpoint";

/// The first addresses of the pair of devices between host and namespace: link-local ones, which nobody else routes.
const UPLINK_V4: (Ipv4Addr, u8) = (Ipv4Addr::new(169, 254, 100, 0), 31);
const UPLINK_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0xfd64, 0x6577, 0, 1, 0, 0, 0, 0), 127);

/// What guests ask names of where neither the configuration nor this host names anybody.
const NAMESERVERS: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1)), IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8))];

/// `[network]`: addresses, and what guests may reach.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NetworkFile {
    /// QEMU: whether machines' links are real.
    pub(super) mode: Mode,
    /// Public IPv4 addresses.
    pub(super) public_v4_pool: Option<Ipv4Net>,
    /// Public IPv6 addresses: the network of a /64.
    pub(super) public_v6_pool: Option<Ipv6Addr>,
    /// Reserved IPv4 addresses: none of the public ones.
    pub(super) reserved_v4_pool: Option<Ipv4Net>,
    /// Reserved IPv6 addresses: the network of another /64.
    pub(super) reserved_v6_pool: Option<Ipv6Addr>,
    /// How many seconds an IPv4 address that was given back rests before it is given again.
    pub(super) address_quarantine_seconds: Option<u64>,
    /// Prefix length of VPCs that are made by themselves.
    pub(super) default_vpc_prefix: Option<u8>,
    /// QEMU, real: the network namespace that everything is in.
    pub(super) namespace: Option<String>,
    /// QEMU, real: the one device this host gets.
    pub(super) host_device: Option<String>,
    /// QEMU, real: two addresses between host and namespace, a /31 or /30 that nothing else uses.
    pub(super) uplink_v4: Option<Ipv4Net>,
    /// QEMU, real: the same of IPv6, a /127 or /126.
    pub(super) uplink_v6: Option<Ipv6Net>,
    /// QEMU, real: the name servers that guests are told of.
    pub(super) nameservers: Option<Vec<IpAddr>>,
    /// QEMU, loopback: guest ports forwarded beside 22, 80 and 443.
    pub(crate) forward_ports: Vec<u16>,
    /// QEMU, loopback: whether guests reach anything outside; they then also reach this host's loopback.
    pub(crate) guest_egress: bool,
    /// QEMU: the one user that all machines run as when the server is root, instead of one for each.
    pub(crate) qemu_user: Option<String>,
}

/// Whether machines' links are real.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// Where there are public addresses for it, and the right.
    #[default]
    Auto,
    /// Or the server does not start.
    Real,
    /// Never.
    Loopback,
}

/// What was chosen.
#[derive(Clone, Debug)]
pub(crate) enum Choice {
    /// Links are real.
    Real(Box<RealNetwork>),
    /// Machines are reached over this host's loopback.
    Loopback {
        /// A clause.
        why: String,
        /// Whether more was asked for than can be had.
        is_less: bool,
    },
}

impl NetworkFile {
    /// The namespace that real links are in.
    fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or(NAMESPACE)
    }

    /// The name servers that guests with real links are told of.
    fn nameservers(&self) -> Vec<IpAddr> {
        let own = self.nameservers.clone();
        own.unwrap_or_else(|| resolvers(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default()))
    }

    /// Whether links are to be real, where this process and host lack `lacks` of what that takes. A pure judgement.
    ///
    /// Fails when they must be and cannot.
    pub(crate) fn choose(&self, control: &ControlConfig, lacks: &[String]) -> Result<Choice> {
        let pool = self.public_v4_pool.filter(|pool| !pool.network().is_loopback());
        let loopback = |why: String, is_less| Ok(Choice::Loopback { why, is_less });
        let lacking = lacks.join("; ");
        match (self.mode, pool) {
            (Mode::Loopback, _) => loopback("the configuration says so (network.mode)".to_owned(), false),
            (Mode::Auto, None) => {
                loopback("network.public_v4_pool names no addresses outside 127.0.0.0/8".to_owned(), false)
            }
            (Mode::Real, None) => bail!(
                "network.mode is \"real\", which needs addresses for it: network.public_v4_pool, a network that is routed to \
                 this host, such as \"203.0.113.0/24\""
            ),
            (Mode::Auto, Some(pool)) if !lacks.is_empty() => {
                loopback(format!("real links for {pool} cannot be had here: {lacking}"), true)
            }
            (Mode::Real, Some(_)) if !lacks.is_empty() => {
                bail!("network.mode is \"real\", and that cannot be had here: {lacking}. `dew doctor` says more")
            }
            (Mode::Auto | Mode::Real, Some(pool)) => Ok(Choice::Real(Box::new(self.real(pool, control)?))),
        }
    }

    fn real(&self, pool: Ipv4Net, control: &ControlConfig) -> Result<RealNetwork> {
        let pool = pool.trunc();
        if !(8..=29).contains(&pool.prefix_len()) {
            bail!("network.public_v4_pool is {pool}: real links need a /8 to a /29");
        }
        let v6 = Ipv6Net::new(control.public_v6_pool, 64).context("network.public_v6_pool")?;
        let (address, prefix) = control.reserved_v4_pool;
        let reserved_v4 = Ipv4Net::new(address, prefix).context("network.reserved_v4_pool")?;
        let reserved_v6 = Ipv6Net::new(control.reserved_v6_pool, 64).context("network.reserved_v6_pool")?;
        let uplink_v4 = self.uplink_v4.map_or_else(|| Ipv4Net::new(UPLINK_V4.0, UPLINK_V4.1), Ok);
        let uplink_v6 = self.uplink_v6.map_or_else(|| Ipv6Net::new(UPLINK_V6.0, UPLINK_V6.1), Ok);
        let wire = WireConfig {
            name: self.namespace().to_owned(),
            uplink: Uplink {
                host_device: self.host_device.clone().unwrap_or_else(|| "dew0".to_owned()),
                v4: uplink_v4.context("network.uplink_v4")?,
                v6: Some(uplink_v6.context("network.uplink_v6")?),
            },
            public_v4: (pool, Pool::new(pool).address(1)),
            public_v6: Some((v6.trunc(), dewpoint_control::network::v6_gateway(control.public_v6_pool))),
            reserved: vec![IpNet::V4(reserved_v4.trunc()), IpNet::V6(reserved_v6.trunc())],
            services: vec![METADATA_HTTP],
            tools: Tools::default(),
        };
        Ok(RealNetwork { wire, nameservers: self.nameservers() })
    }
}

/// Whom this host asks for names, but for those that listen on its loopback, where no guest finds them.
fn resolvers(resolv_conf: &str) -> Vec<IpAddr> {
    let words = resolv_conf.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let found: Vec<IpAddr> =
        words.filter_map(|word| word.trim().parse().ok()).filter(|address: &IpAddr| !address.is_loopback()).collect();
    if found.is_empty() { NAMESERVERS.to_vec() } else { found }
}

/// What this process or host lacks of what real links take, a sentence each. Source: capabilities(7).
pub(crate) fn lacks() -> Vec<String> {
    const NET_ADMIN: u32 = 12;
    const SYS_ADMIN: u32 = 21;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    let mut lacks = Vec::new();
    if [NET_ADMIN, SYS_ADMIN].into_iter().any(|right| effective & (1 << right) == 0) {
        lacks.push("the server has not the right to (CAP_NET_ADMIN and CAP_SYS_ADMIN, which root has)".to_owned());
    }
    for (program, package) in [("ip", "iproute2"), ("nft", "nftables")] {
        if find_program(program).is_none() {
            lacks.push(format!("`{program}` is not installed (apt-get install {package})"));
        }
    }
    if !Path::new("/dev/net/tun").exists() {
        lacks.push("/dev/net/tun is not there (modprobe tun)".to_owned());
    }
    if !Path::new("/proc/sys/net/bridge").exists() {
        lacks.push("the kernel's br_netfilter is not loaded (modprobe br_netfilter)".to_owned());
    }
    lacks
}

/// Where a program is by PATH.
fn find_program(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> NetworkFile {
        toml::from_str(text).expect("its shape")
    }

    fn choose(text: &str, lacks: &[&str]) -> Result<Choice> {
        let lacks: Vec<String> = lacks.iter().map(|what| (*what).to_owned()).collect();
        file(text).choose(&ControlConfig::default(), &lacks)
    }

    #[test]
    fn links_are_real_only_with_addresses_for_them_and_the_right() {
        let loopback = |text, lacks: &[&str]| match choose(text, lacks).expect("a choice") {
            Choice::Loopback { why, is_less } => (why, is_less),
            Choice::Real(real) => panic!("{real:?}"),
        };
        assert!(loopback("", &[]).0.contains("public_v4_pool"));
        assert!(!loopback("", &["nft"]).1, "nobody asked for more");
        assert!(loopback("public_v4_pool = \"127.65.0.0/16\"", &[]).0.contains("outside"));
        let (why, is_less) = loopback("public_v4_pool = \"203.0.113.0/24\"", &["no nft", "no tun"]);
        assert!(is_less && why.contains("no nft; no tun"), "{why}");
        assert!(loopback("mode = \"loopback\"\npublic_v4_pool = \"203.0.113.0/24\"", &[]).0.contains("mode"));
        for mode in ["auto", "real"] {
            let text = format!("mode = \"{mode}\"\npublic_v4_pool = \"203.0.113.0/24\"\nnameservers = [\"9.9.9.9\"]");
            let Ok(Choice::Real(real)) = choose(&text, &[]) else { panic!("{mode} is not real") };
            assert_eq!(real.wire.public_v4.1, Ipv4Addr::new(203, 0, 113, 1));
            assert_eq!(real.nameservers, [IpAddr::from([9, 9, 9, 9])]);
            assert_eq!(real.wire.name, NAMESPACE);
            let reserved: Vec<String> = real.wire.reserved.iter().map(ToString::to_string).collect();
            assert_eq!(reserved, ["198.19.0.0/16", "fd64:6577:2::/64"]);
        }
    }

    #[test]
    fn what_must_be_real_and_cannot_is_refused_with_what_is_missing() {
        let refused = |text, lacks: &[&str]| choose(text, lacks).expect_err("no choice").to_string();
        assert!(refused("mode = \"real\"", &[]).contains("network.public_v4_pool"));
        assert!(refused("mode = \"real\"\npublic_v4_pool = \"203.0.113.0/24\"", &["no tun"]).contains("no tun"));
        assert!(refused("mode = \"real\"\npublic_v4_pool = \"203.0.113.0/30\"", &[]).contains("/29"));
        assert!(toml::from_str::<NetworkFile>("mode = \"bridge\"").is_err());
    }

    #[test]
    fn guests_ask_whom_this_host_asks_but_not_its_loopback() {
        let text = "# made by hand\nnameserver 127.0.0.53\nnameserver 10.0.0.2\nsearch lab\nnameserver fd00::53\n";
        assert_eq!(resolvers(text), ["10.0.0.2", "fd00::53"].map(|text| text.parse::<IpAddr>().expect("an address")));
        assert_eq!(resolvers("nameserver 127.0.0.1"), NAMESERVERS);
    }
}
