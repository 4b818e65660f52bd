//! What an operator chooses about an installation's network.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Error;
use crate::Protocol;

/// Where guests ask about themselves.
pub const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// The network of one installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireConfig {
    /// Of the network namespace, `ip netns exec NAME` for operators: 1 to 32 of a-z, 0-9 and `-`.
    pub name: String,
    /// How the host reaches it.
    pub uplink: Uplink,
    /// The public addresses, and the one of them that is the gateway.
    pub public_v4: (Ipv4Net, Ipv4Addr),
    /// The same of IPv6.
    pub public_v6: Option<(Ipv6Net, Ipv6Addr)>,
    /// Pools of reserved addresses, beside the public ones.
    pub reserved: Vec<IpNet>,
    /// What guests may ask of the namespace itself, always, whatever firewalls they have.
    pub services: Vec<Service>,
    /// The programs that are run.
    pub tools: Tools,
}

/// The one pair of devices between host and namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// What its host side is called; at most 15 characters.
    pub host_device: String,
    /// Two addresses for it, a /31 or /30 that nothing else uses: the host has the first one, the namespace the second.
    pub v4: Ipv4Net,
    /// The same of IPv6, /127 or /126; needed where there are public IPv6 addresses.
    pub v6: Option<Ipv6Net>,
}

/// Something that listens inside the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Where guests find it: [`METADATA`]; an address of 169.254.0.0/16 is put on every bridge.
    pub address: Ipv4Addr,
    /// The port.
    pub port: u16,
}

/// The metadata service, over HTTP.
pub const METADATA_HTTP: Service = Service { protocol: Protocol::Tcp, address: METADATA, port: 80 };

/// Programs, found by PATH or by the whole path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tools {
    /// Of iproute2.
    pub ip: PathBuf,
    /// Of nftables.
    pub nft: PathBuf,
}

impl Default for Tools {
    fn default() -> Self {
        Self { ip: "ip".into(), nft: "nft".into() }
    }
}

impl Uplink {
    /// The host's and the namespace's IPv4 address.
    pub fn pair_v4(&self) -> (Ipv4Addr, Ipv4Addr) {
        let first = u32::from(self.v4.network()) + u32::from(self.v4.prefix_len() < 31);
        (first.into(), (first + 1).into())
    }

    /// The host's and the namespace's IPv6 address.
    pub fn pair_v6(&self) -> Option<(Ipv6Addr, Ipv6Addr)> {
        let net = self.v6?;
        let first = u128::from(net.network()) + u128::from(net.prefix_len() < 127);
        Some((first.into(), (first + 1).into()))
    }
}

impl WireConfig {
    /// Says what cannot work, in the words of the one who wrote it.
    pub(super) fn check(&self) -> Result<(), Error> {
        let refuse = |what: String| Err(Error::Config(what));
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name.is_empty() || self.name.len() > 32 || self.name.starts_with('-') || !self.name.chars().all(plain) {
            return refuse(format!("the network's name {:?} must be 1 to 32 of a-z, 0-9 and -", self.name));
        }
        let device = &self.uplink.host_device;
        if device.is_empty() || device.len() > 15 || device.starts_with('-') || !device.chars().all(plain) {
            return refuse(format!("the host's device {device:?} must be 1 to 15 of a-z, 0-9 and -"));
        }
        if !(30..=31).contains(&self.uplink.v4.prefix_len()) {
            return refuse(format!("the uplink's {} must be a /30 or /31", self.uplink.v4));
        }
        let (public, gateway) = &self.public_v4;
        if !public.contains(gateway) {
            return refuse(format!("the gateway {gateway} is not within {public}"));
        }
        if let Some((public, gateway)) = &self.public_v6 {
            if !public.contains(gateway) {
                return refuse(format!("the gateway {gateway} is not within {public}"));
            }
            match self.uplink.v6 {
                Some(net) if (126..=127).contains(&net.prefix_len()) => {}
                Some(net) => return refuse(format!("the uplink's {net} must be a /126 or /127")),
                None => return refuse(format!("with {public}, the uplink needs a /126 or /127 of IPv6, too")),
            }
        }
        let nets = self.pools();
        for (index, net) in nets.iter().enumerate() {
            if let Some(other) = nets[..index].iter().find(|other| other.contains(net) || net.contains(*other)) {
                return refuse(format!("{net} and {other} overlap"));
            }
        }
        Ok(())
    }

    /// Every network that the host finds inside, and the uplink's own.
    fn pools(&self) -> Vec<IpNet> {
        let mut nets = vec![IpNet::from(self.uplink.v4.trunc()), self.public_v4.0.trunc().into()];
        nets.extend(self.uplink.v6.map(|net| IpNet::from(net.trunc())));
        nets.extend(self.public_v6.map(|(net, _)| IpNet::from(net.trunc())));
        nets.extend(self.reserved.iter().map(IpNet::trunc));
        nets
    }

    /// The networks that the host finds inside.
    pub(super) fn inside(&self) -> impl Iterator<Item = IpNet> {
        let public_v6 = self.public_v6.map(|(net, _)| IpNet::from(net.trunc()));
        let public = [Some(self.public_v4.0.trunc().into()), public_v6];
        public.into_iter().flatten().chain(self.reserved.iter().map(IpNet::trunc))
    }

    /// Addresses of services, once each; all bridges have them.
    pub(super) fn service_addresses(&self) -> Vec<IpAddr> {
        let mut addresses: Vec<IpAddr> = self.services.iter().map(|service| service.address.into()).collect();
        addresses.sort();
        addresses.dedup();
        addresses
    }
}

#[cfg(test)]
impl WireConfig {
    /// One that tests of the parts begin with.
    pub(super) fn example() -> Self {
        Self {
            name: "lab".into(),
            uplink: Uplink {
                host_device: "dew0".into(),
                v4: "192.0.2.0/31".parse().expect("a network"),
                v6: Some("fd64::/126".parse().expect("a network")),
            },
            public_v4: ("203.0.113.0/25".parse().expect("a network"), "203.0.113.1".parse().expect("an address")),
            public_v6: Some(("fd65::/64".parse().expect("a network"), "fd65::1".parse().expect("an address"))),
            reserved: vec!["203.0.113.128/25".parse().expect("a network")],
            services: vec![METADATA_HTTP],
            tools: Tools::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_configuration_is_taken_and_tells_its_uplink() {
        let config = WireConfig::example();
        config.check().expect("it can be made");
        assert_eq!(config.uplink.pair_v4(), ([192, 0, 2, 0].into(), [192, 0, 2, 1].into()));
        let (host, inside) = config.uplink.pair_v6().expect("a pair");
        assert_eq!((host.to_string().as_str(), inside.to_string().as_str()), ("fd64::1", "fd64::2"));
    }

    #[test]
    fn what_cannot_work_is_said() {
        let said = |change: fn(&mut WireConfig)| {
            let mut config = WireConfig::example();
            change(&mut config);
            config.check().expect_err("it cannot be made").to_string()
        };
        assert!(said(|c| c.name = "a b".into()).contains("1 to 32"));
        assert!(said(|c| c.name = "../x".into()).contains("1 to 32"));
        assert!(said(|c| c.uplink.host_device = "sixteen-letters-".into()).contains("1 to 15"));
        assert!(said(|c| c.uplink.v4 = "192.0.2.0/24".parse().expect("a network")).contains("/30 or /31"));
        assert!(said(|c| c.uplink.v6 = None).contains("/126 or /127"));
        assert!(said(|c| c.public_v4.1 = [10, 0, 0, 1].into()).contains("not within"));
        assert!(said(|c| c.reserved.push("203.0.113.0/26".parse().expect("a network"))).contains("overlap"));
    }
}
