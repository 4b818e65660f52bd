//! Real networks, by real packets: `dew serve` on a host of the test's own, Droplets that boot, a client on the uplink.

#[path = "../support/mod.rs"]
mod support;

mod between;
mod droplet;
mod lab;
mod told;
mod walls;

use lab::{FRIEND, Lab, ok, with_lab};
use serde_json::json;

#[test]
fn droplets_have_the_networks_the_api_promises() {
    with_lab("droplets_have_the_networks_the_api_promises", promises);
}

fn promises(lab: &Lab) {
    let (red, blue) = (lab.vpc("red", "10.10.0.0/24"), lab.vpc("blue", "10.20.0.0/24"));
    let guard = walls::guard(lab);
    let droplets = lab.droplets(&[
        ("red-1", &red, json!({})),
        ("red-2", &red, json!({})),
        ("blue-1", &blue, json!({})),
        ("blue-2", &blue, json!({})),
        ("guarded", &red, json!({ "tags": ["guarded"] })),
    ]);
    let [red_1, red_2, blue_1, blue_2, guarded] = &droplets[..] else { panic!("five Droplets") };
    guarded.ask_from(FRIEND);

    // SSH to the public address, from the uplink's side.
    for droplet in &droplets {
        assert_eq!(droplet.run("hostname"), droplet.name);
    }
    // A QEMU has the two taps that are its own, and nothing else of any network.
    let held = lab.held_processes();
    assert_eq!(held, vec![(vec!["lo".to_owned()], 2); droplets.len()]);
    // Private traffic inside a VPC, and none between two.
    red_1.reaches(red_2.private);
    red_2.reaches(red_1.private);
    blue_1.reaches(blue_2.private);
    blue_2.reaches(blue_1.private);
    for (from, to) in [(red_1, blue_1), (blue_2, red_2)] {
        from.is_kept_from(to.private);
    }
    // IPv6, between Droplets and from the uplink's side.
    red_1.reaches(blue_1.ipv6);
    let over_ipv6 = lab.try_ssh("2001:db8::2", &red_2.ipv6.to_string(), "hostname");
    assert_eq!(String::from_utf8_lossy(&over_ipv6.stdout).trim(), "red-2", "{over_ipv6:?}");

    // A firewall guards the Droplet that was made after it with its tag.
    walls::let_in_a_friend_alone(lab, &guard, guarded, red_1);

    // Some traffic between two VPCs while they are peered.
    between::peered(lab, (&red, red_1), (&blue, blue_1));

    // A reserved address moves while a client keeps asking.
    let gap = between::reserved(lab, red_1, red_2);
    lab::say(&format!("a reserved address was nobody's for {} ms while it moved", gap.as_millis()));

    // Each is told of itself, and of names.
    told::of_themselves(lab, &droplets);
    told::of_names(lab, red_1, blue_1);

    // A server that stops and starts again interrupts nobody.
    lab.stop();
    red_1.reaches(red_2.private);
    lab.serve();
    red_1.reaches(red_2.private);
    red_1.is_kept_from(blue_1.private);

    // A Droplet that is deleted is gone from the wire.
    red_1.reaches(blue_2.public);
    blue_2.delete();
    red_1.is_kept_from(blue_2.public);

    // The network is shown beside the server, and removed without it.
    let (shown, devices) = lab.dew(&["network", "show"]);
    assert!(shown && devices.contains(&format!("t{}-pub", red_1.id)), "{devices}");
    let (removed, why) = lab.dew(&["network", "down"]);
    assert!(!removed && why.contains("in use by another dew serve"), "{why}");
    lab.stop();
    lab.hang_up();
    let (removed, cut_off) = lab.dew(&["network", "down"]);
    assert!(removed && cut_off.contains(&format!("t{}-vpc", red_1.id)), "{cut_off}");
    assert!(
        !ok(std::process::Command::new("ip").args(["-brief", "link"])).contains("dew0"),
        "the host has nothing left"
    );
    assert!(lab.dew(&["network", "down"]).1.contains("Nothing to remove"));

    // Droplets with real addresses are nothing for loopback networks: the server says so, and does not start.
    let config = lab.path("dew.toml");
    let loopback = std::fs::read_to_string(&config).expect("readable").replace("\"real\"", "\"loopback\"");
    std::fs::write(&config, loopback).expect("written");
    let config = config.to_str().expect("a path");
    let (started, why) = lab.dew(&["serve", "--engine", "qemu", "--listen", "127.0.0.1:0", "--config", config]);
    assert!(!started && why.contains(&format!("the first is {}, with {}", red_1.id, red_1.public)), "{why}");
}
