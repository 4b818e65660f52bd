//! What Droplets are told: of themselves by the metadata service, and of names by the name server.

use serde_json::{Value, json};

use crate::{droplet::Droplet, lab::Lab, support::eventually};

/// Each Droplet is told its own data and nobody else's, by whichever of its addresses it asks from and whatever it says of itself.
pub(crate) fn of_themselves(lab: &Lab, droplets: &[Droplet<'_>]) {
    for droplet in droplets {
        let told = droplet.run("wget -q -O - http://169.254.169.254/metadata/v1.json");
        let told: Value = serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"));
        assert_eq!((&told["droplet_id"], &told["hostname"]), (&json!(droplet.id), &json!(droplet.name)), "{told}");
        let (public, private) = (&told["interfaces"]["public"][0], &told["interfaces"]["private"][0]);
        assert_eq!(public["ipv4"]["ip_address"], json!(droplet.public), "{told}");
        assert_eq!(public["ipv6"]["ip_address"], json!(droplet.ipv6), "{told}");
        assert_eq!(private["ipv4"]["ip_address"], json!(droplet.private), "{told}");
        assert_eq!(told["dns"]["nameservers"], json!(["192.0.2.1"]), "{told}");
        for (nic, mac) in [("eth0", &public["mac"]), ("eth1", &private["mac"])] {
            assert_eq!(*mac, json!(droplet.run(&format!("cat /sys/class/net/{nic}/address"))), "{told}");
        }
    }
    let [one, other, ..] = droplets else { panic!("two Droplets") };
    for header in ["X-Forwarded-For", "X-Real-IP", "Host", "X-Droplet-Id"] {
        for value in [other.public.to_string(), other.id.to_string()] {
            let asked = format!("wget -q -O - --header '{header}: {value}' http://169.254.169.254/metadata/v1/id");
            assert_eq!(one.run(&asked), one.id.to_string(), "{header}: {value}");
        }
    }
    // By its private link the VPC says who asks, and two VPCs may have the same addresses.
    let gateway = one.run("wget -q -O - http://169.254.169.254/metadata/v1/interfaces/private/0/ipv4/gateway");
    one.run(&format!("ip route add 169.254.169.254/32 via {gateway}"));
    assert_eq!(one.run("wget -q -O - http://169.254.169.254/metadata/v1/hostname"), one.name);
    one.run("ip route del 169.254.169.254/32");
    // Tags are told as they are.
    let tag = json!({ "resources": [{ "resource_id": one.id.to_string(), "resource_type": "droplet" }] });
    lab.ask("POST", "/v2/tags", Some(&json!({ "name": "seen" })), 201);
    lab.ask("POST", "/v2/tags/seen/resources", Some(&tag), 204);
    assert_eq!(one.run("wget -q -O - http://169.254.169.254/metadata/v1/tags/"), "seen");
}

/// Names lead to addresses and addresses to names, asked from inside a Droplet.
pub(crate) fn of_names(lab: &Lab, asker: &Droplet<'_>, named: &Droplet<'_>) {
    let (domain, name) = ("example.com", "web.example.com");
    lab.ask("POST", "/v2/domains", Some(&json!({ "name": domain })), 201);
    let record = json!({ "type": "A", "name": "web", "data": named.public });
    lab.ask("POST", &format!("/v2/domains/{domain}/records"), Some(&record), 201);
    let forward = asker.run(&format!("busybox nslookup {name} 192.0.2.1"));
    assert!(forward.contains(&named.public.to_string()), "{forward}");

    assert!(asker.try_run(&format!("busybox nslookup {} 192.0.2.1", named.public)).is_none(), "it has no name yet");
    let path = format!("/v2/droplets/{}", named.id);
    lab.ask("POST", &format!("{path}/actions"), Some(&json!({ "type": "rename", "name": name })), 201);
    eventually("its new name", || lab.ask("GET", &path, None, 200)["droplet"]["name"] == name);
    for address in [named.public, named.ipv6] {
        let reverse = asker.run(&format!("busybox nslookup {address} 192.0.2.1"));
        assert!(reverse.contains(name), "{reverse}");
    }
}
