//! The NoCloud seed disk: a small FAT volume labelled `CIDATA` that tells a guest who it is.
//!
//! `meta-data`, `user-data` (the caller's, byte for byte), `vendor-data` and `network-config` are cloud-init's
//! (source: cloud-init's documentation, data source NoCloud). YAML is a superset of JSON, so what we make is JSON. The file
//! `dewpoint` says the same in lines that a shell can read, for guests without cloud-init.

use std::{
    fmt::Write as _,
    io::{self, Cursor, Write},
};

use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions, format_volume};
use serde_json::{Value, json};
use uuid::Uuid;

use super::network::GuestLink;
use crate::MachineSpec;

/// What cloud-init runs beside the caller's user data: it lets keys in for root, and reports to the host.
const REPORTER: &str = include_str!("images/cloud-init-reporter.sh");

/// Sets root's password, whose hash takes the place of `HASH`, and lets root in with it. A hook and not a setting: the caller's
/// settings would replace it, and cloud-init's own module for passwords knows different kinds of hash in each version.
const PASSWORD: &str = include_str!("images/cloud-init-password.sh");

/// The volume's size; user data is at most 64 KiB.
const VOLUME_BYTES: usize = 512 * 1024;

/// The whole seed disk, ready to be written.
pub(super) fn volume(uuid: Uuid, spec: &MachineSpec, links: &[GuestLink]) -> io::Result<Vec<u8>> {
    let mut disk = Cursor::new(vec![0; VOLUME_BYTES]);
    let id = u32::try_from(uuid.as_u128() & u128::from(u32::MAX)).expect("it was cut to 32 bits");
    let options = FormatVolumeOptions::new().fat_type(FatType::Fat12).volume_id(id).volume_label(*b"CIDATA     ");
    format_volume(&mut disk, options)?;
    {
        let volume = FileSystem::new(&mut disk, FsOptions::new())?;
        let root = volume.root_dir();
        let user_data = spec.user_data.as_deref().unwrap_or_default();
        let files = [
            ("meta-data", meta_data(uuid, spec).to_string()),
            ("user-data", user_data.to_owned()),
            ("vendor-data", vendor_data(spec)),
            ("network-config", network_config(links).to_string()),
            ("dewpoint", lines(uuid, spec, links)),
        ];
        for (name, text) in files {
            let mut file = root.create_file(name)?;
            file.write_all(text.as_bytes())?;
            file.flush()?;
        }
    }
    Ok(disk.into_inner())
}

fn meta_data(uuid: Uuid, spec: &MachineSpec) -> Value {
    json!({ "instance-id": uuid, "local-hostname": spec.hostname, "public-keys": spec.ssh_keys })
}

fn vendor_data(spec: &MachineSpec) -> String {
    let mut settings = json!({ "disable_root": false });
    let mut parts = vec![json!({ "type": "text/x-shellscript", "content": REPORTER })];
    if let Some(hash) = &spec.password_hash {
        settings["ssh_pwauth"] = true.into();
        let hash = hash.replace('\'', "'\\''");
        let script = PASSWORD.replacen("HASH", &hash, 1);
        parts.push(json!({ "type": "text/cloud-boothook", "content": script }));
    }
    parts.insert(0, json!({ "type": "text/cloud-config", "content": format!("#cloud-config\n{settings}\n") }));
    format!("#cloud-config-archive\n{}\n", Value::from(parts))
}

/// Static addresses, the links found by their MAC. Source: cloud-init's documentation, networking config version 2.
fn network_config(links: &[GuestLink]) -> Value {
    let mut ethernets = serde_json::Map::new();
    for (index, link) in links.iter().enumerate() {
        let addresses: Vec<String> =
            [link.ipv4.map(|(a, p)| format!("{a}/{p}")), link.ipv6.map(|(a, p)| format!("{a}/{p}"))]
                .into_iter()
                .flatten()
                .collect();
        let defaults = [
            link.gateway.map(|via| json!({ "to": "0.0.0.0/0", "via": via })),
            link.gateway6.map(|via| json!({ "to": "::/0", "via": via })),
        ];
        let others = link.routes.iter().map(|(to, via)| json!({ "to": to, "via": via }));
        let routes: Vec<Value> = defaults.into_iter().flatten().chain(others).collect();
        let mut config = json!({
            "match": { "macaddress": link.mac.to_string() },
            "set-name": format!("eth{index}"),
            "dhcp4": false,
            "dhcp6": false,
            "addresses": addresses,
        });
        if !routes.is_empty() {
            config["routes"] = routes.into();
        }
        if !link.nameservers.is_empty() {
            config["nameservers"] = json!({ "addresses": link.nameservers });
        }
        ethernets.insert(format!("eth{index}"), config);
    }
    json!({ "version": 2, "ethernets": ethernets })
}

/// The lines that `images/micro/boot.sh` reads.
fn lines(uuid: Uuid, spec: &MachineSpec, links: &[GuestLink]) -> String {
    let mut text = format!("instance {uuid}\nhostname {}\n", spec.hostname);
    let mut say = |word: &str, what: &dyn std::fmt::Display| {
        writeln!(text, "{word} {what}").expect("a String takes everything");
    };
    for link in links {
        say("link", &link.mac);
        if let Some((address, prefix)) = link.ipv4 {
            say("ipv4", &format_args!("{address}/{prefix}"));
        }
        if let Some(gateway) = link.gateway {
            say("gateway", &gateway);
        }
        if let Some((address, prefix)) = link.ipv6 {
            say("ipv6", &format_args!("{address}/{prefix}"));
        }
        if let Some(gateway) = link.gateway6 {
            say("gateway6", &gateway);
        }
        for (to, via) in &link.routes {
            say("route", &format_args!("{to} {via}"));
        }
        for nameserver in &link.nameservers {
            say("nameserver", nameserver);
        }
    }
    for key in &spec.ssh_keys {
        // One key, one line, whatever the caller's looked like.
        say("key", &key.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    if let Some(hash) = &spec.password_hash {
        say("password", hash);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::qemu::{network::loopback::guest_links, test_spec};

    fn read(volume: &[u8], name: &str) -> String {
        let volume = FileSystem::new(Cursor::new(volume.to_vec()), FsOptions::new()).expect("a volume");
        let mut text = String::new();
        volume.root_dir().open_file(name).expect("a file").read_to_string(&mut text).expect("text");
        text
    }

    #[test]
    fn user_data_is_there_byte_for_byte_up_to_64_kib() {
        let mut spec = test_spec();
        let data = format!("#!/bin/sh\r\n{}", "ü\t".repeat(21_000));
        spec.user_data = Some(data.clone());
        let volume = volume(Uuid::from_u128(7), &spec, &guest_links(&spec)).expect("a volume");
        assert_eq!(read(&volume, "user-data"), data);
        let label =
            FileSystem::new(Cursor::new(volume), FsOptions::new()).expect("a volume").volume_label_as_bytes().to_vec();
        assert_eq!(label, b"CIDATA");
    }

    #[test]
    fn the_network_is_static_and_found_by_mac() {
        let spec = test_spec();
        let config = network_config(&guest_links(&spec));
        assert_eq!(
            config["ethernets"]["eth0"],
            json!({
                "match": { "macaddress": "02:00:00:00:00:01" },
                "set-name": "eth0",
                "dhcp4": false,
                "dhcp6": false,
                "addresses": ["198.18.0.2/24", "fd00:64::5/64"],
                "routes": [{ "to": "0.0.0.0/0", "via": "198.18.0.1" }, { "to": "::/0", "via": "fd00:64::1" }],
                "nameservers": { "addresses": ["198.18.0.3"] },
            })
        );
    }

    #[test]
    fn a_password_is_in_the_seed_only_when_there_is_one() {
        let mut spec = test_spec();
        let links = guest_links(&spec);
        assert!(!vendor_data(&spec).contains("ssh_pwauth"));
        assert!(!lines(Uuid::nil(), &spec, &links).contains("password"));
        spec.password_hash = Some("$6$salt$hash".to_owned());
        let data = vendor_data(&spec);
        let parts: Value = serde_json::from_str(data.lines().nth(1).expect("a line")).expect("JSON");
        assert!(parts[0]["content"].as_str().expect("text").contains(r#""ssh_pwauth":true"#), "{data}");
        assert!(parts[2]["content"].as_str().expect("text").contains("'root:$6$salt$hash'"), "{data}");
        assert!(lines(Uuid::nil(), &spec, &links).ends_with("\npassword $6$salt$hash\n"));
    }

    #[test]
    fn the_lines_for_a_shell_say_the_same() {
        let spec = test_spec();
        let text = lines(Uuid::from_u128(7), &spec, &guest_links(&spec));
        assert_eq!(
            text,
            "instance 00000000-0000-0000-0000-000000000007\nhostname web-1\nlink 02:00:00:00:00:01\n\
             ipv4 198.18.0.2/24\ngateway 198.18.0.1\nipv6 fd00:64::5/64\ngateway6 fd00:64::1\nnameserver 198.18.0.3\n\
             key ssh-ed25519 AAAA me\n"
        );
    }
}
