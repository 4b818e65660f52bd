//! What `dew doctor` says of networks: whether links can be real here, and the lines that lead guests out and the world in.

use std::{fs, path::Path};

use anyhow::Result;
use dewpoint_engine::qemu::RealNetwork;

use crate::config::{self, Choice, lacks};

/// The lines, each of a subject, a word and a sentence; hints have neither of the first two.
pub(super) fn lines(config: Option<&Path>) -> Result<Vec<String>> {
    let (file, control) = config::network_of(config)?;
    let lacks = lacks();
    let mut lines = vec![match file.choose(&control, &lacks) {
        Ok(Choice::Real(real)) => {
            let (pool, gateway) = real.wire.public_v4;
            line("network", "real", &format!("{pool} by {gateway}, in the network namespace {}", real.wire.name))
        }
        Ok(Choice::Loopback { why, .. }) => line("network", "loopback", &why),
        Err(error) => line("network", "no", &error.to_string()),
    }];
    if lacks.is_empty() {
        lines.push(line("rights", "ok", "networks, nft and /dev/net/tun: links can be real here"));
    }
    lines.extend(lacks.iter().map(|what| line("rights", "no", what)));
    match file.choose(&control, &[]) {
        Ok(Choice::Real(real)) => lines.extend(ways(&real, &|setting| fs::read_to_string(setting).ok())),
        Ok(Choice::Loopback { .. }) | Err(_) => {}
    }
    Ok(lines)
}

fn line(subject: &str, word: &str, sentence: &str) -> String {
    format!("{subject:<8} {word:<7} {sentence}")
}

fn hint(sentence: &str) -> String {
    format!("         hint: {sentence}")
}

/// Whether this host forwards, and what an operator runs so that guests reach the world and the world reaches them. `read` reads
/// one of the kernel's settings. Dewpoint itself changes nothing of the host's.
fn ways(real: &RealNetwork, read: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let wire = &real.wire;
    let (device, pool) = (&wire.uplink.host_device, wire.public_v4.0);
    let mut lines = Vec::new();
    let settings = [
        ("net.ipv4.ip_forward", "/proc/sys/net/ipv4/ip_forward"),
        ("net.ipv6.conf.all.forwarding", "/proc/sys/net/ipv6/conf/all/forwarding"),
    ];
    for (name, path) in settings {
        match read(path).as_deref().map(str::trim) {
            Some("1") => lines.push(line("forward", "ok", &format!("{name} is 1"))),
            found => {
                let found = found.unwrap_or("not there");
                lines.push(line(
                    "forward",
                    "no",
                    &format!("{name} is {found}: this host passes nothing on to guests or from them"),
                ));
                lines.push(hint(&format!("sysctl -w {name}=1")));
            }
        }
    }
    lines.push(line("way out", "-", "guests reach the world by this host, as itself, once these have been run:"));
    lines.push(hint("nft add table inet dewpoint_out"));
    lines.push(hint("nft 'add chain inet dewpoint_out out { type nat hook postrouting priority srcnat; }'"));
    lines.push(hint(&format!(
        "nft 'add rule inet dewpoint_out out ip saddr {pool} oifname != \"{device}\" masquerade'"
    )));
    if let Some((v6, _)) = wire.public_v6 {
        lines.push(hint(&format!(
            "nft 'add rule inet dewpoint_out out ip6 saddr {v6} oifname != \"{device}\" masquerade'"
        )));
    }
    lines.push(line("way in", "-", "the world reaches guests once its router sends their networks here:"));
    lines.push(hint(&format!("ip route add {pool} via ADDRESS-OF-THIS-HOST        (on the router)")));
    if let Some((v6, _)) = wire.public_v6 {
        lines.push(hint(&format!("ip -6 route add {v6} via ADDRESS-OF-THIS-HOST     (on the router)")));
    }
    lines.push(hint("where a firewall of this host drops what it forwards (Docker's does), let it pass:"));
    lines.push(hint(&format!("iptables -I FORWARD -i {device} -j ACCEPT; iptables -I FORWARD -o {device} -j ACCEPT")));
    lines
}

#[cfg(test)]
mod tests {
    use dewpoint_control::ControlConfig;

    use super::*;
    use crate::config::NetworkFile;

    #[test]
    fn the_lines_name_the_operators_own_networks_and_what_is_off() {
        let file: NetworkFile =
            toml::from_str("public_v4_pool = \"203.0.113.0/24\"\nhost_device = \"lab0\"").expect("its shape");
        let Ok(Choice::Real(real)) = file.choose(&ControlConfig::default(), &[]) else { panic!("it can be real") };
        let said = ways(&real, &|path| path.contains("ipv6").then(|| "1\n".to_owned())).join("\n");
        assert!(said.contains("forward  no      net.ipv4.ip_forward is not there"), "{said}");
        assert!(said.contains("hint: sysctl -w net.ipv4.ip_forward=1"), "{said}");
        assert!(said.contains("forward  ok      net.ipv6.conf.all.forwarding is 1"), "{said}");
        assert!(said.contains("ip saddr 203.0.113.0/24 oifname != \"lab0\" masquerade"), "{said}");
        assert!(said.contains("ip route add 203.0.113.0/24 via"), "{said}");
    }
}
