//! What a Droplet finds at which path, as a pure function of what is known about it.

use std::{borrow::Cow, fmt::Display, net::IpAddr};

use dewpoint_control::metadata::Metadata;
use dewpoint_engine::{Nic, NicKind};
use serde_json::{Value, json};

/// The path all of it is below.
const TOP: &str = "/metadata";

/// What is at a path.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Text: a value, a list with one entry a line, or an index, whose entries end in `/` where there is more below.
    Text(String),
    /// All of it as one object.
    Json(Value),
    /// An index, which is at this path with a slash at its end (MET-3).
    Moved,
    /// Nothing.
    Nothing,
}

/// One place of the tree.
enum Node {
    /// What is below it, by name, in order.
    Index(Vec<(Cow<'static, str>, Node)>),
    /// Like an index, with entries that are values themselves.
    List(Vec<String>),
    /// A value.
    Value(String),
    /// A value that no index names.
    Unlisted(String),
}

/// What is at `path`, which begins with a slash and is not decoded: nothing of ours needs to be.
pub fn answer(facts: &Metadata, path: &str) -> Answer {
    let Some(rest) = path.strip_prefix(TOP) else { return Answer::Nothing };
    if rest.is_empty() {
        return Answer::Moved;
    }
    let Some(rest) = rest.strip_prefix('/') else { return Answer::Nothing };
    match rest {
        "" => return Answer::Text("v1/\nv1.json".to_owned()),
        "v1.json" => return Answer::Json(object(facts)),
        _ => {}
    }
    let mut words = rest.split('/');
    if words.next() != Some("v1") {
        return Answer::Nothing;
    }
    let mut node = top(facts);
    let mut words = words.peekable();
    loop {
        let Some(word) = words.next() else {
            return match node {
                Node::Index(_) | Node::List(_) => Answer::Moved,
                Node::Value(text) | Node::Unlisted(text) => Answer::Text(text),
            };
        };
        if word.is_empty() && words.peek().is_none() {
            return match node {
                Node::Index(entries) => Answer::Text(index(&entries)),
                Node::List(lines) => Answer::Text(lines.join("\n")),
                Node::Value(_) | Node::Unlisted(_) => Answer::Nothing,
            };
        }
        let Node::Index(entries) = node else { return Answer::Nothing };
        match entries.into_iter().find(|(name, _)| name == word) {
            Some((_, below)) => node = below,
            None => return Answer::Nothing,
        }
    }
}

/// The same with one slash at the end or none, as it comes, for who looks from outside.
pub fn answer_at_either(facts: &Metadata, path: &str) -> Answer {
    match answer(facts, path) {
        Answer::Moved => answer(facts, &format!("{path}/")),
        Answer::Nothing => path.strip_suffix('/').map_or(Answer::Nothing, |bare| answer(facts, bare)),
        found => found,
    }
}

fn index(entries: &[(Cow<'static, str>, Node)]) -> String {
    let line = |(name, node): &(Cow<'static, str>, Node)| match node {
        Node::Index(_) | Node::List(_) => Some(format!("{name}/")),
        Node::Value(_) => Some(name.to_string()),
        Node::Unlisted(_) => None,
    };
    entries.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

fn below<const N: usize>(entries: [(&'static str, Node); N]) -> Node {
    Node::Index(entries.into_iter().map(|(name, node)| (name.into(), node)).collect())
}

fn value(value: impl Display) -> Node {
    Node::Value(value.to_string())
}

fn lines<T: Display>(all: &[T]) -> String {
    all.iter().map(T::to_string).collect::<Vec<_>>().join("\n")
}

/// MET-2.
fn top(facts: &Metadata) -> Node {
    let v4 = || reserved(facts.reserved_v4.map(Into::into));
    below([
        ("id", value(facts.id)),
        ("hostname", value(&facts.hostname)),
        ("user-data", value(facts.user_data.as_deref().unwrap_or_default())),
        ("vendor-data", value("")),
        ("public-keys", Node::Value(lines(&facts.public_keys))),
        ("region", value(&facts.region)),
        ("interfaces", interfaces(&facts.links)),
        ("dns", below([("nameservers", Node::Value(lines(&facts.nameservers)))])),
        ("floating_ip", below([("ipv4", v4())])),
        ("reserved_ip", below([("ipv4", v4()), ("ipv6", reserved(facts.reserved_v6.map(Into::into)))])),
        ("tags", Node::List(facts.tags.iter().map(ToString::to_string).collect())),
        ("features", below([("dhcp_enabled", value(false))])),
        // Nothing is ever moved away from under a guest.
        ("maintenance_event", Node::Unlisted(String::new())),
    ])
}

/// MET-5.
fn reserved(address: Option<IpAddr>) -> Node {
    let mut entries = vec![("active".into(), value(address.is_some()))];
    entries.extend(address.map(|address| ("ip_address".into(), value(address))));
    Node::Index(entries)
}

/// MET-4.
fn interfaces(links: &[Nic]) -> Node {
    let kind = |(name, kind): (&'static str, NicKind)| {
        let of_kind = links.iter().filter(|link| link.kind == kind).enumerate();
        let entries: Vec<_> =
            of_kind.map(|(number, link)| (number.to_string().into(), interface(name, link))).collect();
        (!entries.is_empty()).then(|| (name.into(), Node::Index(entries)))
    };
    Node::Index(KINDS.into_iter().filter_map(kind).collect())
}

const KINDS: [(&str, NicKind); 2] = [("public", NicKind::Public), ("private", NicKind::Private)];

fn interface(kind: &'static str, link: &Nic) -> Node {
    let mut entries = vec![("mac".into(), value(link.mac)), ("type".into(), value(kind))];
    if let Some(ipv4) = &link.ipv4 {
        let mut parts = vec![("address".into(), value(ipv4.address)), ("netmask".into(), value(ipv4.netmask))];
        parts.extend(ipv4.gateway.map(|gateway| ("gateway".into(), value(gateway))));
        entries.push(("ipv4".into(), Node::Index(parts)));
    }
    if let Some(ipv6) = &link.ipv6 {
        let (address, gateway) = (value(ipv6.address), value(ipv6.gateway));
        entries
            .push(("ipv6".into(), below([("address", address), ("cidr", value(ipv6.prefix)), ("gateway", gateway)])));
    }
    Node::Index(entries)
}

/// `v1.json` (MET-6). What a path calls `address` is `ip_address` here.
fn object(facts: &Metadata) -> Value {
    let reserved = |address: Option<IpAddr>| match address {
        Some(address) => json!({ "active": true, "ip_address": address }),
        None => json!({ "active": false }),
    };
    let v4 = reserved(facts.reserved_v4.map(Into::into));
    let mut interfaces = json!({});
    for (name, kind) in KINDS {
        let of_kind: Vec<Value> =
            facts.links.iter().filter(|link| link.kind == kind).map(|link| interface_object(name, link)).collect();
        if !of_kind.is_empty() {
            interfaces[name] = of_kind.into();
        }
    }
    let mut all = json!({
        "droplet_id": facts.id,
        "hostname": facts.hostname,
        "vendor_data": "",
        "public_keys": facts.public_keys,
        "region": facts.region,
        "interfaces": interfaces,
        "dns": { "nameservers": facts.nameservers },
        "floating_ip": { "ipv4": v4.clone() },
        "reserved_ip": { "ipv4": v4, "ipv6": reserved(facts.reserved_v6.map(Into::into)) },
        "tags": facts.tags,
        "features": { "dhcp_enabled": false },
    });
    if let Some(text) = &facts.user_data {
        all["user_data"] = json!(text);
    }
    all
}

fn interface_object(kind: &str, link: &Nic) -> Value {
    let mut all = json!({ "mac": link.mac.to_string(), "type": kind });
    if let Some(ipv4) = &link.ipv4 {
        all["ipv4"] = json!({ "ip_address": ipv4.address, "netmask": ipv4.netmask });
        if let Some(gateway) = ipv4.gateway {
            all["ipv4"]["gateway"] = json!(gateway);
        }
    }
    if let Some(ipv6) = &link.ipv6 {
        all["ipv6"] = json!({ "ip_address": ipv6.address, "cidr": ipv6.prefix, "gateway": ipv6.gateway });
    }
    all
}

#[cfg(test)]
mod tests {
    use dewpoint_api::DropletId;
    use dewpoint_engine::{Ipv4Link, Ipv6Link, MacAddress};

    use super::*;

    fn facts() -> Metadata {
        let v4 = |address: [u8; 4], netmask: [u8; 4], gateway: [u8; 4]| {
            Some(Ipv4Link { address: address.into(), netmask: netmask.into(), gateway: Some(gateway.into()) })
        };
        let public = Nic {
            kind: NicKind::Public,
            mac: MacAddress([6, 1, 0, 0, 0, 7]),
            ipv4: v4([192, 0, 2, 7], [255, 255, 255, 0], [192, 0, 2, 1]),
            ipv6: Some(Ipv6Link {
                address: "2001:db8::7".parse().expect("an address"),
                prefix: 64,
                gateway: "2001:db8::1".parse().expect("an address"),
            }),
        };
        let private = Nic {
            kind: NicKind::Private,
            mac: MacAddress([6, 2, 0, 0, 0, 7]),
            ipv4: v4([10, 0, 0, 9], [255, 255, 240, 0], [10, 0, 0, 1]),
            ipv6: None,
        };
        Metadata {
            id: DropletId(7),
            hostname: "web-1".to_owned(),
            user_data: Some("#!/bin/sh\necho \"hello\"\n".to_owned()),
            public_keys: vec!["ssh-ed25519 AAAA one".to_owned(), "ssh-ed25519 BBBB two".to_owned()],
            region: "nyc3".parse().expect("a slug"),
            links: vec![public, private],
            nameservers: vec!["192.0.2.53".parse().expect("an address"), "2001:db8::53".parse().expect("an address")],
            reserved_v4: Some([198, 51, 100, 4].into()),
            reserved_v6: None,
            tags: vec!["web".parse().expect("a tag"), "prod".parse().expect("a tag")],
        }
    }

    #[track_caller]
    fn text(path: &str) -> String {
        match answer(&facts(), path) {
            Answer::Text(text) => text,
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn the_top_names_what_there_is_met_2() {
        assert_eq!(
            text("/metadata/v1/"),
            "id\nhostname\nuser-data\nvendor-data\npublic-keys\nregion\ninterfaces/\ndns/\nfloating_ip/\nreserved_ip/\n\
             tags/\nfeatures/"
        );
        assert_eq!(text("/metadata/"), "v1/\nv1.json");
    }

    #[test]
    fn values_are_bare_and_lists_have_a_line_each_met_3_met_4_met_5() {
        for (path, expected) in [
            ("id", "7"),
            ("hostname", "web-1"),
            ("user-data", "#!/bin/sh\necho \"hello\"\n"),
            ("vendor-data", ""),
            ("public-keys", "ssh-ed25519 AAAA one\nssh-ed25519 BBBB two"),
            ("region", "nyc3"),
            ("interfaces/", "public/\nprivate/"),
            ("interfaces/public/", "0/"),
            ("interfaces/public/0/", "mac\ntype\nipv4/\nipv6/"),
            ("interfaces/public/0/mac", "06:01:00:00:00:07"),
            ("interfaces/public/0/type", "public"),
            ("interfaces/public/0/ipv4/", "address\nnetmask\ngateway"),
            ("interfaces/public/0/ipv4/address", "192.0.2.7"),
            ("interfaces/public/0/ipv4/netmask", "255.255.255.0"),
            ("interfaces/public/0/ipv4/gateway", "192.0.2.1"),
            ("interfaces/public/0/ipv6/", "address\ncidr\ngateway"),
            ("interfaces/public/0/ipv6/address", "2001:db8::7"),
            ("interfaces/public/0/ipv6/cidr", "64"),
            ("interfaces/private/0/type", "private"),
            ("interfaces/private/0/ipv4/address", "10.0.0.9"),
            ("interfaces/private/0/ipv4/gateway", "10.0.0.1"),
            ("dns/", "nameservers"),
            ("dns/nameservers", "192.0.2.53\n2001:db8::53"),
            ("floating_ip/ipv4/active", "true"),
            ("floating_ip/ipv4/ip_address", "198.51.100.4"),
            ("reserved_ip/", "ipv4/\nipv6/"),
            ("reserved_ip/ipv4/", "active\nip_address"),
            ("reserved_ip/ipv4/ip_address", "198.51.100.4"),
            ("reserved_ip/ipv6/", "active"),
            ("reserved_ip/ipv6/active", "false"),
            ("tags/", "web\nprod"),
            ("features/", "dhcp_enabled"),
            ("features/dhcp_enabled", "false"),
            ("maintenance_event", ""),
        ] {
            assert_eq!(text(&format!("/metadata/v1/{path}")), expected, "{path}");
        }
    }

    #[test]
    fn an_index_has_a_slash_and_what_is_not_there_is_not_met_3() {
        for path in ["", "/v1", "/v1/interfaces", "/v1/interfaces/public/0/ipv4", "/v1/dns", "/v1/tags", "/v1/features"]
        {
            assert_eq!(answer(&facts(), &format!("/metadata{path}")), Answer::Moved, "{path}");
        }
        for path in [
            "/",
            "",
            "/metadata2/v1/id",
            "/metadata//v1/id",
            "/metadata/v1//id",
            "/metadata/v1/id/",
            "/metadata/v1/id/x",
            "/metadata/v1/tags/web",
            "/metadata/v1/tags//",
            "/metadata/v1/interfaces/public/1/",
            "/metadata/v1/interfaces/public/00/mac",
            "/metadata/v1/interfaces/private/0/ipv6/",
            "/metadata/v1/reserved_ip/ipv6/ip_address",
            "/metadata/v1/../v1/id",
            "/metadata/v1/%69d",
            "/metadata/v1/ID",
            "/metadata/v1.json/",
            "/metadata/v2/",
            "/latest/meta-data/",
        ] {
            assert_eq!(answer(&facts(), path), Answer::Nothing, "{path}");
        }
        assert_eq!(answer_at_either(&facts(), "/metadata/v1/dns"), answer(&facts(), "/metadata/v1/dns/"));
        assert_eq!(answer_at_either(&facts(), "/metadata/v1/id/"), answer(&facts(), "/metadata/v1/id"));
    }

    #[test]
    fn all_of_it_is_one_object_met_6() {
        let Answer::Json(all) = answer(&facts(), "/metadata/v1.json") else { panic!("no object") };
        assert_eq!(
            all,
            json!({
                "droplet_id": 7,
                "hostname": "web-1",
                "user_data": "#!/bin/sh\necho \"hello\"\n",
                "vendor_data": "",
                "public_keys": ["ssh-ed25519 AAAA one", "ssh-ed25519 BBBB two"],
                "region": "nyc3",
                "interfaces": {
                    "public": [{
                        "ipv4": { "ip_address": "192.0.2.7", "netmask": "255.255.255.0", "gateway": "192.0.2.1" },
                        "ipv6": { "ip_address": "2001:db8::7", "cidr": 64, "gateway": "2001:db8::1" },
                        "mac": "06:01:00:00:00:07",
                        "type": "public",
                    }],
                    "private": [{
                        "ipv4": { "ip_address": "10.0.0.9", "netmask": "255.255.240.0", "gateway": "10.0.0.1" },
                        "mac": "06:02:00:00:00:07",
                        "type": "private",
                    }],
                },
                "dns": { "nameservers": ["192.0.2.53", "2001:db8::53"] },
                "floating_ip": { "ipv4": { "active": true, "ip_address": "198.51.100.4" } },
                "reserved_ip": { "ipv4": { "active": true, "ip_address": "198.51.100.4" }, "ipv6": { "active": false } },
                "tags": ["web", "prod"],
                "features": { "dhcp_enabled": false },
            })
        );
    }

    #[test]
    fn a_droplet_with_little_has_little() {
        let mut facts = facts();
        facts.links.remove(0);
        (facts.user_data, facts.tags) = (None, Vec::new());
        facts.public_keys.clear();
        let told = |path: &str| answer(&facts, path);
        assert_eq!(told("/metadata/v1/interfaces/"), Answer::Text("private/".to_owned()));
        assert_eq!(told("/metadata/v1/interfaces/public/"), Answer::Nothing);
        for path in ["user-data", "public-keys", "tags/"] {
            assert_eq!(told(&format!("/metadata/v1/{path}")), Answer::Text(String::new()), "{path}");
        }
        let Answer::Json(all) = told("/metadata/v1.json") else { panic!("no object") };
        assert!(all.get("user_data").is_none() && all["interfaces"].get("public").is_none(), "{all}");
    }
}
