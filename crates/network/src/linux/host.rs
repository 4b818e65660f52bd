//! What the host itself gets: one device, its addresses, and routes to the networks inside. No rule of its firewall, no setting.

use ipnet::IpNet;

use super::{Error, WireConfig, names::UPLINK, observed::Observed};

/// Makes the pair of devices and the routes that are missing, in the namespace of the calling thread.
///
/// [`Error::Taken`] when the device or a route is there and somebody else's.
pub(super) fn connect(config: &WireConfig, has_uplink: bool) -> Result<(), Error> {
    let tools = &config.tools;
    let device = &config.uplink.host_device;
    let alias = format!("Dewpoint network {}", config.name);
    let mut there = Observed::here(tools)?;
    there.routes.extend(Observed::routes_v6(tools)?);
    let mut lines = Vec::new();
    match there.devices.get(device) {
        Some(found) if found.kind != "veth" || found.alias != alias => {
            return Err(Error::Taken(format!(
                "the host has a device {device} that is not the network {}'s: choose another name for `host_device`, \
                 or remove it (`ip link del {device}`)",
                config.name
            )));
        }
        Some(_) if has_uplink => {}
        found => {
            // One whose other side is in a namespace that lost its name leads nowhere.
            lines.extend(found.map(|_| format!("link del dev {device}")));
            lines.push(format!("link add name {device} type veth peer name {UPLINK} netns {}", config.name));
            lines.push(format!("link set dev {device} alias \"{alias}\""));
        }
    }
    let (host, inside) = config.uplink.pair_v4();
    lines.push(format!("address replace {host}/{} dev {device}", config.uplink.v4.prefix_len()));
    let v6 = config.uplink.pair_v6().zip(config.uplink.v6);
    lines.extend(v6.map(|((host, _), net)| format!("address replace {host}/{} dev {device} nodad", net.prefix_len())));
    lines.push(format!("link set dev {device} up"));
    for net in config.inside() {
        let via = match (net, v6) {
            (IpNet::V4(_), _) => inside.to_string(),
            (IpNet::V6(_), Some(((_, inside), _))) => inside.to_string(),
            (IpNet::V6(_), None) => return Err(Error::Config(format!("for {net}, the uplink needs IPv6, too"))),
        };
        let other = there.routes.iter().find(|route| is_main(&route.table) && route.dst == net.to_string());
        if let Some(other) = other.filter(|other| other.dev.as_ref() != Some(device)) {
            let other = other.dev.as_deref().unwrap_or(&other.kind);
            return Err(Error::Taken(format!(
                "the host has a route for {net} already, by {other}: choose another pool"
            )));
        }
        lines.push(format!("route replace {net} via {via} dev {device}"));
    }
    tools.ip(&lines)
}

fn is_main(table: &str) -> bool {
    table.is_empty() || table == "main"
}
