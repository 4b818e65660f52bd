//! What joins VPCs and moves between Droplets: peerings, and reserved addresses.

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{droplet::Droplet, lab::Lab, support::eventually};

/// Two VPCs reach each other as long as they are peered.
pub(crate) fn peered(lab: &Lab, (one, a): (&Value, &Droplet<'_>), (other, b): (&Value, &Droplet<'_>)) {
    a.is_kept_from(b.private);
    b.is_kept_from(a.private);
    let body = json!({ "name": "red-and-blue", "vpc_ids": [one, other] });
    let made = lab.ask("POST", "/v2/vpc_peerings", Some(&body), 202)["vpc_peering"].clone();
    let path = format!("/v2/vpc_peerings/{}", made["id"].as_str().expect("an id"));
    eventually("peering that is ACTIVE", || lab.ask("GET", &path, None, 200)["vpc_peering"]["status"] == "ACTIVE");
    a.reaches(b.private);
    b.reaches(a.private);

    lab.ask("DELETE", &path, None, 202);
    eventually("end of the peering", || lab.api().get(&path).status == 404);
    a.is_kept_from(b.private);
    b.is_kept_from(a.private);
}

/// A reserved address moves from one Droplet to another while a client keeps asking whose it is; how long nobody answered.
pub(crate) fn reserved(lab: &Lab, from: &Droplet<'_>, to: &Droplet<'_>) -> Duration {
    for droplet in [from, to] {
        droplet.run(&format!("mkdir -p /srv && echo {} > /srv/name && httpd -h /srv", droplet.name));
    }
    let body = json!({ "droplet_id": from.id });
    let made = lab.ask("POST", "/v2/reserved_ips", Some(&body), 202)["reserved_ip"]["ip"].clone();
    let address: IpAddr = made.as_str().expect("an address").parse().expect("an address");
    eventually("the address at its first Droplet", || lab.as_client(move || whose(address)) == Some(from.name.clone()));

    let (stop, next) = (Arc::new(AtomicBool::new(false)), to.name.clone());
    let told = StopWhenDropped(Arc::clone(&stop));
    let asking = lab.begin_as_client(move || ask_until(address, &next, &stop));
    let assign = json!({ "type": "assign", "droplet_id": to.id });
    let action =
        lab.ask("POST", &format!("/v2/reserved_ips/{address}/actions"), Some(&assign), 201)["action"]["id"].clone();
    eventually("end of the move", || {
        lab.ask("GET", &format!("/v2/actions/{action}"), None, 200)["action"]["status"] == "completed"
    });
    eventually("the address at its second Droplet", || asking.is_finished());
    drop(told);
    let (last, first) = asking.join().expect("it asked").expect("both have answered");

    // Its own address led to each all the time, and the reserved one leads nowhere once it is nobody's.
    assert_eq!(from.run("hostname"), from.name);
    lab.ask("POST", &format!("/v2/reserved_ips/{address}/actions"), Some(&json!({ "type": "unassign" })), 201);
    eventually("the address at no Droplet", || lab.as_client(move || whose(address)).is_none());
    lab.ask("DELETE", &format!("/v2/reserved_ips/{address}"), None, 204);
    first.duration_since(last)
}

/// Tells who asks to stop, also when the test fails meanwhile.
struct StopWhenDropped(Arc<AtomicBool>);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Asks whose an address is until it is `next`'s: when the one before answered last, and when `next` did first. `None` when it
/// was told to stop before.
fn ask_until(address: IpAddr, next: &str, stop: &AtomicBool) -> Option<(Instant, Instant)> {
    let mut last = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        match whose(address) {
            Some(name) if name == next => return Some((last, Instant::now())),
            Some(_) => last = Instant::now(),
            None => {}
        }
    }
    None
}

/// What the Droplet behind an address says its name is, if one answers soon.
fn whose(address: IpAddr) -> Option<String> {
    const SOON: Duration = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&(address, 80).into(), SOON).ok()?;
    stream.set_read_timeout(Some(SOON)).ok()?;
    stream.write_all(b"GET /name HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer.split_once("\r\n\r\n")?.1.trim().to_owned())
}
