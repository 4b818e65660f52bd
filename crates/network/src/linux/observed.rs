//! What is there, asked of the kernel each time.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;
use serde::{Deserialize, de::DeserializeOwned};

use super::{Error, Tools};

/// Devices, rules and IPv4 routes of the namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Observed {
    /// By name.
    pub(super) devices: BTreeMap<String, Device>,
    pub(super) rules: Vec<Rule>,
    pub(super) routes: Vec<Route>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Device {
    /// `bridge`, `tun`, `veth`; empty for the loopback.
    pub(super) kind: String,
    /// The bridge it is on.
    pub(super) master: Option<String>,
    pub(super) is_up: bool,
    pub(super) alias: String,
    /// Without those that the kernel makes of MAC addresses.
    pub(super) addresses: Vec<IpNet>,
    /// Of a bridge: whether what it carries is shown to the firewall.
    pub(super) is_guarded: bool,
}

/// A line of `ip rule`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Rule {
    pub(super) priority: u32,
    /// As hexadecimal digits after 0x.
    pub(super) fwmark: Option<String>,
    /// A name or a number; none for one that only leads on.
    pub(super) table: Option<String>,
}

/// A line of `ip route show table all`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct Route {
    /// `unicast`, `local`, `unreachable`, …
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// `default`, an address or a network.
    pub(super) dst: String,
    pub(super) dev: Option<String>,
    /// Absent for the main one.
    #[serde(default)]
    pub(super) table: String,
}

#[derive(Deserialize)]
struct RawDevice {
    ifname: String,
    #[serde(default)]
    flags: Vec<String>,
    master: Option<String>,
    #[serde(default)]
    ifalias: String,
    #[serde(default)]
    linkinfo: RawInfo,
    #[serde(default)]
    addr_info: Vec<RawAddress>,
}

#[derive(Default, Deserialize)]
struct RawInfo {
    #[serde(default)]
    info_kind: String,
    #[serde(default)]
    info_data: serde_json::Value,
}

#[derive(Deserialize)]
struct RawAddress {
    local: Option<IpAddr>,
    prefixlen: u8,
    #[serde(default)]
    scope: String,
}

impl Observed {
    /// Asks in the namespace of the calling thread.
    pub(super) fn here(tools: &Tools) -> Result<Self, Error> {
        let shown = tools.ip_shows(&["address show", "rule show", "route show table all"])?;
        Self::parse(&shown).map_err(unread)
    }

    /// The IPv6 routes of the namespace of the calling thread.
    pub(super) fn routes_v6(tools: &Tools) -> Result<Vec<Route>, Error> {
        let shown = tools.ip_shows_v6("route show table all")?;
        next(&mut serde_json::Deserializer::from_slice(&shown).into_iter()).map_err(unread)
    }

    fn parse(shown: &[u8]) -> Result<Self, serde_json::Error> {
        let mut values = serde_json::Deserializer::from_slice(shown).into_iter::<serde_json::Value>();
        let devices: Vec<RawDevice> = next(&mut values)?;
        let rules = next(&mut values)?;
        let routes = next(&mut values)?;
        let devices = devices.into_iter().map(|raw| (raw.ifname.clone(), raw.into())).collect();
        Ok(Self { devices, rules, routes })
    }
}

fn unread(error: serde_json::Error) -> Error {
    Error::io("reading what `ip` shows", std::io::Error::new(std::io::ErrorKind::InvalidData, error))
}

/// The next value. `ip` leaves out its empty lists' objects, and prints nothing at all for some of them.
fn next<T: DeserializeOwned + Default>(
    values: &mut impl Iterator<Item = Result<serde_json::Value, serde_json::Error>>,
) -> Result<T, serde_json::Error> {
    values.next().map_or_else(|| Ok(T::default()), |value| serde_json::from_value(value?))
}

impl From<RawDevice> for Device {
    fn from(raw: RawDevice) -> Self {
        let shown = |name: &str| raw.linkinfo.info_data.get(name).and_then(serde_json::Value::as_u64) == Some(1);
        let addresses = raw
            .addr_info
            .iter()
            .filter(|address| address.scope != "link" || address.local.is_some_and(|a| a.is_ipv4()));
        Self {
            is_guarded: shown("nf_call_iptables") && shown("nf_call_ip6tables"),
            addresses: addresses.filter_map(|address| IpNet::new(address.local?, address.prefixlen).ok()).collect(),
            kind: raw.linkinfo.info_kind,
            master: raw.master,
            is_up: raw.flags.iter().any(|flag| flag == "UP"),
            alias: raw.ifalias,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ip_shows_is_read() {
        let shown = br#"[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK"],"addr_info":[]},
            {"ifname":"public","flags":["NO-CARRIER","UP"],"linkinfo":{"info_kind":"bridge",
             "info_data":{"nf_call_iptables":1,"nf_call_ip6tables":1}},"addr_info":[
             {"family":"inet","local":"203.0.113.1","prefixlen":25,"scope":"global"},
             {"family":"inet","local":"169.254.169.254","prefixlen":32,"scope":"link"},
             {"family":"inet6","local":"fe80::1","prefixlen":64,"scope":"link"}]},
            {"ifname":"t7-pub","flags":["UP"],"master":"public","linkinfo":{"info_kind":"tun","info_data":{"type":"tap"}}}]
            [{"priority":10,"src":"all","fwmark":"0","fwmask":"0x10000","goto":30000},
             {"priority":100,"src":"all","fwmark":"0x10005","table":"65541"}]
            [{"type":"unreachable","dst":"default","table":"65541","flags":[]},
             {"type":"unicast","dst":"10.0.0.0/20","dev":"vpc-1","flags":["linkdown"]}]"#;
        let observed = Observed::parse(shown).expect("it is read");
        let public = &observed.devices["public"];
        assert!(public.is_guarded && public.is_up);
        assert_eq!(
            public.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["203.0.113.1/25", "169.254.169.254/32"]
        );
        assert_eq!(observed.devices["t7-pub"].master.as_deref(), Some("public"));
        assert_eq!(observed.devices["t7-pub"].kind, "tun");
        assert_eq!(observed.rules[1].table.as_deref(), Some("65541"));
        assert_eq!(observed.routes[1].dev.as_deref(), Some("vpc-1"));
        assert_eq!(observed.routes[0].table, "65541");
    }

    #[test]
    fn an_empty_namespace_shows_little() {
        let observed = Observed::parse(br#"[{"ifname":"lo","flags":[]}]"#).expect("it is read");
        assert_eq!((observed.devices.len(), observed.rules.len()), (1, 0));
        assert!(Observed::parse(b"{").is_err());
    }
}
