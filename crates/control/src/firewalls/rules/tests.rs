use dewpoint_api::DropletId;
use serde_json::{Value, json};

use super::*;

fn read(inbound: Value, outbound: Value) -> Result<FirewallPolicy, String> {
    let inbound: Vec<InboundRuleRequest> = serde_json::from_value(inbound).expect("rules");
    let outbound: Vec<OutboundRuleRequest> = serde_json::from_value(outbound).expect("rules");
    policy(&inbound, &outbound)
}

fn inbound(rules: Value) -> FirewallPolicy {
    read(rules, json!([])).expect("they are good")
}

fn with_ports(protocol: &str, ports: &str) -> Result<FirewallRule, String> {
    let rule = json!([{ "protocol": protocol, "ports": ports, "sources": { "addresses": ["::/0"] } }]);
    read(rule, json!([])).map(|policy| policy.inbound[0].clone())
}

#[test]
fn ports_are_one_or_a_range_or_all_of_them_fw_3() {
    let cases = [
        ("80", "80", Some(80..=80)),
        ("080", "80", Some(80..=80)),
        ("1", "1", Some(1..=1)),
        ("65535", "65535", Some(65535..=65535)),
        ("8000-9000", "8000-9000", Some(8000..=9000)),
        ("443-443", "443-443", Some(443..=443)),
        ("1-65535", "1-65535", Some(1..=65535)),
        ("0", "0", None),
        ("all", "0", None),
    ];
    for (text, kept, ports) in cases {
        for protocol in ["tcp", "udp"] {
            let rule = with_ports(protocol, text).expect(text);
            assert_eq!((&*rule.ports, ports_of(&rule)), (kept, ports.clone()), "{text}");
        }
    }
    for bad in [
        "",
        "0-70000",
        "0-80",
        "70000",
        "1-65536",
        "-1",
        "80-",
        "-80",
        "+80",
        "80 ",
        "8000 - 9000",
        "1-2-3",
        "http",
        "ALL",
        "٣",
    ] {
        let said = with_ports("tcp", bad).expect_err(bad);
        assert!(said.starts_with("inbound_rules[0].ports is "), "{said}");
    }
    let said = with_ports("udp", "9000-8000").expect_err("it ends before it begins");
    assert!(said.contains("backwards") && said.contains("8000-9000"), "{said}");
}

#[test]
fn icmp_has_no_ports_whatever_is_sent_along_fw_3() {
    for ports in ["", "0", "all", "1-65535", "whatever"] {
        assert_eq!(with_ports("icmp", ports).expect(ports).ports, "0");
    }
    for bad in ["", "TCP", "gre", "sctp", "6"] {
        assert!(with_ports(bad, "80").expect_err(bad).starts_with("inbound_rules[0].protocol "), "{bad}");
    }
}

#[test]
fn the_other_side_is_somebody_and_each_once_fw_4() {
    let sources = json!({
        "addresses": ["1.2.3.4", "1.2.3.4/32", "10.0.0.0/8", "2001:DB8::1", "2001:db8::1/128", "::/0"],
        "droplet_ids": [7, 8, 7], "tags": ["web", "Web", "web"], "load_balancer_uids": ["a", "a"], "kubernetes_ids": ["k"],
    });
    let policy = inbound(json!([{ "protocol": "tcp", "ports": "22", "sources": sources }]));
    let peers = &policy.inbound[0].peers;
    assert_eq!(peers.addresses, ["1.2.3.4", "10.0.0.0/8", "2001:DB8::1", "::/0"], "as they were written");
    assert_eq!(peers.droplets, [DropletId(7), DropletId(8)]);
    assert_eq!(peers.tags.iter().map(TagName::as_str).collect::<Vec<_>>(), ["web", "Web"]);
    assert_eq!((peers.load_balancers.len(), peers.clusters.len(), peers.count()), (1, 1, 10));

    let bad = |destinations: Value| {
        let rule = json!([
            { "protocol": "tcp", "ports": "1", "destinations": { "tags": ["ok"] } },
            { "protocol": "tcp", "ports": "1", "destinations": destinations },
        ]);
        read(json!([]), rule).expect_err("it is refused")
    };
    for address in
        ["", "1.2.3", "1.2.3.4/33", "1.2.3.4/-1", "10.0.0.0/", "::/129", "example.com", "1.2.3.4-1.2.3.9", " 1.2.3.4"]
    {
        let said = bad(json!({ "addresses": ["::/0", address] }));
        assert!(said.starts_with("outbound_rules[1].destinations.addresses has "), "{said}");
    }
    assert_eq!(
        bad(json!({})),
        "outbound_rules[1].destinations names nobody: it needs addresses, droplet_ids, tags, load_balancer_uids or kubernetes_ids."
    );
    assert!(bad(json!({ "tags": ["two words"] })).starts_with("outbound_rules[1].destinations.tags has \"two words\""));
    assert!(bad(json!({ "load_balancer_uids": [""] })).contains("load_balancer_uids has an id that is empty"));
    assert!(bad(json!({ "kubernetes_ids": ["k".repeat(256)] })).contains("kubernetes_ids"));
    let many: Vec<u64> = (1..=1001).collect();
    assert!(bad(json!({ "droplet_ids": many })).contains("droplet_ids has too many entries (maximum is 1000)."));
}

fn tcp(port: u32, address: &str) -> Value {
    json!({ "protocol": "tcp", "ports": port, "sources": { "addresses": [address] } })
}

#[test]
fn a_rule_is_removed_by_what_it_means_fw_6() {
    let mut policy = inbound(json!([
        { "protocol": "tcp", "ports": "0", "sources": { "addresses": ["10.1.2.3/8", "1.2.3.4"], "droplet_ids": [7, 8] } },
        tcp(22, "::/0"),
    ]));
    let whole = policy.clone();
    let less = |sources: Value| inbound(json!([{ "protocol": "tcp", "ports": "1-65535", "sources": sources }]));
    for other in [
        json!({ "addresses": ["10.0.0.0/8", "1.2.3.4"], "droplet_ids": [7] }),
        json!({ "addresses": ["10.0.0.0/8"], "droplet_ids": [7, 8] }),
        json!({ "addresses": ["10.0.0.0/8", "1.2.3.4"], "tags": ["7"], "droplet_ids": [8] }),
    ] {
        let said = remove(&mut policy, &less(other)).expect_err("no such rule");
        assert!(said.starts_with("inbound_rules[0] is no rule of this firewall"), "{said}");
        assert_eq!(policy, whole);
    }
    remove(&mut policy, &less(json!({ "addresses": ["1.2.3.4/32", "10.0.0.0/8"], "droplet_ids": [8, 7] })))
        .expect("it is");
    assert_eq!(policy.inbound, whole.inbound[1..]);
    let outbound =
        read(json!([]), json!([{ "protocol": "tcp", "ports": "22", "destinations": { "addresses": ["::/0"] } }]));
    assert!(remove(&mut policy, &outbound.expect("good")).is_err(), "what comes in is not what goes out");
}

#[test]
fn a_rule_that_is_there_is_not_there_twice() {
    let mut policy = inbound(json!([tcp(80, "1.2.3.4"), tcp(80, "1.2.3.4/32"), tcp(81, "1.2.3.4")]));
    assert_eq!(policy.inbound.len(), 2);
    let before = policy.clone();
    add(&mut policy, inbound(json!([tcp(81, "1.2.3.4/32")])));
    assert_eq!(policy, before);
    add(&mut policy, inbound(json!([tcp(82, "1.2.3.4")])));
    assert_eq!(policy.inbound.iter().map(|rule| &*rule.ports).collect::<Vec<_>>(), ["80", "81", "82"]);
}

#[test]
fn a_firewall_has_so_many_rules_and_no_more() {
    let rules = |count: u32| (1..=count).map(|port| tcp(port, "::/0")).collect::<Vec<_>>();
    let mut policy = inbound(json!(rules(1000)));
    assert!(read(json!(rules(1001)), json!([])).expect_err("one too many").contains("at most 1000"));
    add(&mut policy, inbound(json!([tcp(2000, "::/0")])));
    assert!(fits(&policy).expect_err("one too many").contains("this would be 1001"));

    let addresses: Vec<String> = (0..1000).map(|n| format!("10.0.{}.{}", n / 250, n % 250)).collect();
    let wide = |count: u32| {
        let rule = |port| json!({ "protocol": "udp", "ports": port, "sources": { "addresses": addresses } });
        (1..=count).map(rule).collect::<Vec<_>>()
    };
    assert_eq!(inbound(json!(wide(5))).rules().count(), 5);
    assert!(read(json!(wide(6)), json!([])).expect_err("too many").contains("at most 5000 addresses"));
}
