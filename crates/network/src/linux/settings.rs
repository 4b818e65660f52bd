//! The kernel's settings of the namespace. Files below /proc/sys/net are those of the namespace of the thread that opens them.

use std::{fs, io, path::Path};

use super::{
    Error,
    names::{PUBLIC, UPLINK},
};

/// Before there is any device: new ones begin with `default`.
const FIRST: [(&str, &str); 20] = [
    ("ipv4/ip_forward", "1"),
    // What the namespace answers goes by the mark of what it answers: into the VPC that asked.
    ("ipv4/fwmark_reflect", "1"),
    ("ipv4/tcp_fwmark_accept", "1"),
    ("ipv4/conf/all/src_valid_mark", "1"),
    ("ipv4/conf/default/src_valid_mark", "1"),
    // Who may send what is judged at the tap; VPCs may have the same ranges, and a source is looked up in no VPC's table.
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
    ("ipv4/conf/all/accept_redirects", "0"),
    ("ipv4/conf/default/accept_redirects", "0"),
    // A bridge answers for its own addresses alone, and asks with them.
    ("ipv4/conf/all/arp_ignore", "1"),
    ("ipv4/conf/default/arp_ignore", "1"),
    ("ipv4/conf/all/arp_announce", "2"),
    ("ipv4/conf/default/arp_announce", "2"),
    // Bridges are shown to the firewall one by one, where it is needed.
    ("bridge/bridge-nf-call-iptables", "0"),
    ("bridge/bridge-nf-call-ip6tables", "0"),
    ("bridge/bridge-nf-call-arptables", "0"),
    ("bridge/bridge-nf-filter-vlan-tagged", "0"),
    ("bridge/bridge-nf-filter-pppoe-tagged", "0"),
];

/// Of IPv6: only the public bridge and the uplink speak it.
const FIRST_V6: [(&str, &str); 6] = [
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv6/conf/default/forwarding", "1"),
    ("ipv6/conf/all/accept_ra", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv6/conf/all/accept_redirects", "0"),
    ("ipv6/conf/default/disable_ipv6", "1"),
];

/// Sets what devices begin with, in the namespace of the calling thread.
pub(super) fn first(has_v6: bool) -> Result<(), Error> {
    if !Path::new("/proc/sys/net/bridge").exists() {
        return Err(Error::Kernel(
            "the kernel's module br_netfilter is not loaded, without which firewalls do not see what machines of one network \
             send to each other: load it (`modprobe br_netfilter`, and name it in /etc/modules-load.d), then try again. Other \
             bridges of this host pass its iptables rules from then on, unless net.bridge.bridge-nf-call-iptables is 0"
                .into(),
        ));
    }
    FIRST.iter().try_for_each(|(name, value)| set(name, value))?;
    if Path::new("/proc/sys/net/ipv6").exists() {
        FIRST_V6.iter().try_for_each(|(name, value)| set(name, value))
    } else if has_v6 {
        Err(Error::Kernel("the kernel has no IPv6, but the network has public IPv6 addresses: leave them out".into()))
    } else {
        Ok(())
    }
}

/// Lets the public bridge and the uplink speak IPv6.
pub(super) fn speak_v6() -> Result<(), Error> {
    [PUBLIC, UPLINK].iter().try_for_each(|device| set(&format!("ipv6/conf/{device}/disable_ipv6"), "0"))
}

fn set(name: &str, value: &str) -> Result<(), Error> {
    let path = Path::new("/proc/sys/net").join(name);
    match fs::write(&path, value) {
        // A kernel built without it has nothing to turn off.
        Err(error) if error.kind() == io::ErrorKind::NotFound && value == "0" => Ok(()),
        result => result.map_err(|error| Error::io(format!("setting {} to {value}", path.display()), error)),
    }
}
