//! A Droplet of the lab: made by the API, and asked over SSH what it sees.

use std::{cell::Cell, net::IpAddr, time::Duration};

use serde_json::{Value, json};

use crate::{
    lab::{CLIENT, Lab, body},
    support::{eventually, eventually_within},
};

/// How long guests may take to boot side by side; some ten seconds when nothing else runs.
const BOOT_LIMIT: Duration = Duration::from_secs(240);

/// A Droplet with its addresses.
pub(crate) struct Droplet<'lab> {
    lab: &'lab Lab,
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) public: IpAddr,
    pub(crate) private: IpAddr,
    pub(crate) ipv6: IpAddr,
    /// The client's address that commands come from.
    asked_from: Cell<&'static str>,
}

impl Lab {
    /// A VPC of this range; its id.
    pub(crate) fn vpc(&self, name: &str, range: &str) -> Value {
        let body = json!({ "name": name, "region": "nyc3", "ip_range": range });
        self.ask("POST", "/v2/vpcs", Some(&body), 201)["vpc"]["id"].clone()
    }

    /// Makes Droplets side by side, each as named in its VPC and with more in its body, and waits until each of them is ready.
    pub(crate) fn droplets(&self, wanted: &[(&str, &Value, Value)]) -> Vec<Droplet<'_>> {
        let keys = self.ask("GET", "/v2/account/keys", None, 200)["ssh_keys"].clone();
        let key = match keys[0]["id"].as_u64() {
            Some(id) => json!(id),
            None => {
                let body = json!({ "name": "lab", "public_key": self.public_key() });
                self.ask("POST", "/v2/account/keys", Some(&body), 201)["ssh_key"]["id"].clone()
            }
        };
        let made: Vec<u64> = wanted
            .iter()
            .map(|(name, vpc, more)| {
                let mut body = body(name, vpc, &key);
                body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
                let made = self.ask("POST", "/v2/droplets", Some(&body), 202);
                made["droplet"]["id"].as_u64().expect("a number")
            })
            .collect();
        made.into_iter().map(|id| self.droplet(id)).collect()
    }

    fn droplet(&self, id: u64) -> Droplet<'_> {
        eventually_within(BOOT_LIMIT, &format!("Droplet {id}, ready"), || {
            let told = self.ask("GET", &format!("/dew/v1/droplets/{id}"), None, 200);
            let state = &told["readiness"];
            assert!(!["failed", "unknown"].contains(&state.as_str().unwrap_or_default()), "{told}");
            state == "ready"
        });
        let droplet = self.ask("GET", &format!("/v2/droplets/{id}"), None, 200)["droplet"].clone();
        let address = |family: &str, kind: &str| {
            let all = droplet["networks"][family].as_array().expect("a list");
            let one =
                all.iter().find(|one| one["type"] == kind).unwrap_or_else(|| panic!("{kind} {family}: {droplet}"));
            one["ip_address"].as_str().expect("an address").parse().expect("an address")
        };
        Droplet {
            lab: self,
            id,
            name: droplet["name"].as_str().expect("a name").to_owned(),
            public: address("v4", "public"),
            private: address("v4", "private"),
            ipv6: address("v6", "public"),
            asked_from: Cell::new(CLIENT),
        }
    }
}

impl Droplet<'_> {
    /// What a shell command in it says; `None` when it fails.
    pub(crate) fn try_run(&self, command: &str) -> Option<String> {
        let output = self.lab.try_ssh(self.asked_from.get(), &self.public.to_string(), command);
        // 255 is SSH's own: it could not even ask.
        assert_ne!(
            output.status.code(),
            Some(255),
            "SSH to {} for `{command}`: {}",
            self.name,
            String::from_utf8_lossy(&output.stderr)
        );
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// The same of a command that has to work.
    pub(crate) fn run(&self, command: &str) -> String {
        self.try_run(command).unwrap_or_else(|| panic!("`{command}` failed in {}", self.name))
    }

    /// Waits until a ping from it is answered: a busy machine's guests are slow.
    pub(crate) fn reaches(&self, address: IpAddr) {
        eventually(&format!("answer to {} from {address}", self.name), || self.ping(address, 5));
    }

    /// Makes sure that pings from it are not answered.
    pub(crate) fn is_kept_from(&self, address: IpAddr) {
        assert!(!self.ping(address, 2), "{} reaches {address}", self.name);
    }

    fn ping(&self, address: IpAddr, seconds: u32) -> bool {
        let ping = if address.is_ipv6() { "ping6" } else { "ping" };
        self.try_run(&format!("{ping} -c 1 -W {seconds} {address}")).is_some()
    }

    /// Commands come from another of the client's addresses from here on.
    pub(crate) fn ask_from(&self, address: &'static str) {
        self.asked_from.set(address);
    }

    /// Deletes it, and waits until nothing of it is left.
    pub(crate) fn delete(&self) {
        self.lab.ask("DELETE", &format!("/v2/droplets/{}", self.id), None, 204);
        let files = self.lab.path(&format!("data/machines/{}", self.id));
        eventually(&format!("end of {}", self.name), || !files.exists());
    }
}
