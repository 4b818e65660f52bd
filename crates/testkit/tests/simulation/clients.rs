//! What clients ask for, and what they know from the answers they saw.
//!
//! A wish is one thing somebody wants, however often it is sent. Each names what it makes as nothing else is named, so that the
//! store can be asked how often it was made.

use dewpoint_clock::Timestamp;
use dewpoint_testkit::public_key;
use serde_json::{Value, json};

use crate::dice::Dice;

const TAGS: [&str; 3] = ["red", "green", "blue"];
const POWER: [&str; 5] = ["power_on", "power_off", "shutdown", "reboot", "power_cycle"];
/// How many accounts there are.
pub(crate) const ACCOUNTS: usize = 2;

/// What sort of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Droplet,
    Volume,
    VolumeSnapshot,
    Image,
    Key,
    Firewall,
}

impl Kind {
    pub(crate) fn path(self, id: &str) -> String {
        match self {
            Self::Droplet => format!("/v2/droplets/{id}"),
            Self::Volume => format!("/v2/volumes/{id}"),
            Self::VolumeSnapshot => format!("/v2/volumes/snapshots/{id}"),
            Self::Image => format!("/v2/images/{id}"),
            Self::Key => format!("/v2/account/keys/{id}"),
            Self::Firewall => format!("/v2/firewalls/{id}"),
        }
    }

    /// What an answer calls one.
    fn key(self) -> &'static str {
        match self {
            Self::Droplet => "droplet",
            Self::Volume => "volume",
            Self::VolumeSnapshot => "snapshot",
            Self::Image => "image",
            Self::Key => "ssh_key",
            Self::Firewall => "firewall",
        }
    }
}

/// Something a client was told of.
#[derive(Clone, Debug)]
pub(crate) struct Thing {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    pub(crate) who: usize,
    /// Somebody has asked for its end, or for what may be its end.
    pub(crate) doomed: bool,
    /// Somebody was told that it is gone.
    pub(crate) gone: bool,
}

/// How a client says which request it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Key(String),
    Counts,
    Nothing,
}

/// What the answer tells.
#[derive(Clone, Debug)]
pub(crate) enum Aim {
    Make(Kind),
    Remove(Kind, String),
    Look(Kind, String),
    Act,
    ListImages,
    Other,
}

#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) who: usize,
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) body: Value,
    pub(crate) mark: Mark,
    pub(crate) aim: Aim,
    /// What it makes is called so.
    pub(crate) names: Vec<String>,
    pub(crate) first_sent: Timestamp,
    pub(crate) sends: u32,
    /// Whether the server that is there now knows of every answer that was not seen.
    pub(crate) losses_known: bool,
    /// The ids of the first answer that was seen.
    pub(crate) told: Option<Vec<String>>,
}

impl Wish {
    /// Whether sending it again may have no second effect.
    pub(crate) fn is_once(&self, now: Timestamp) -> bool {
        let age = now.since(self.first_sent).as_secs();
        match self.mark {
            Mark::Key(_) => age < 24 * 3600,
            Mark::Counts => age < 600,
            Mark::Nothing => self.losses_known && age < 600,
        }
    }
}

/// Method, path, body, what the answer tells, and what is made is called so.
type Idea = (&'static str, String, Value, Aim, Vec<String>);

/// Everything the clients know.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    pub(crate) wishes: Vec<Wish>,
    pub(crate) things: Vec<Thing>,
    /// Actions somebody was told of, and whose they are.
    pub(crate) actions: Vec<(usize, u64)>,
    /// Wishes that are to be sent again.
    pub(crate) again: Vec<usize>,
    /// Whether some try to get GPUs, of which there are too few.
    gpus_are_scarce: bool,
    named: usize,
    keys: u8,
}

impl Clients {
    /// Clients who know nothing yet; some try to get GPUs where those are scarce.
    pub(crate) fn who_want_gpus(gpus_are_scarce: bool) -> Self {
        Self { gpus_are_scarce, ..Self::default() }
    }

    fn name(&mut self) -> String {
        self.named += 1;
        format!("n{}", self.named)
    }

    /// Things of this kind that may be there.
    fn some(&self, dice: &mut Dice, who: usize, kind: Kind) -> Option<String> {
        let fits = |thing: &&Thing| thing.kind == kind && thing.who == who && !thing.gone;
        let all: Vec<&Thing> = self.things.iter().filter(fits).collect();
        dice.pick_any(&all).map(|thing| thing.id.clone())
    }

    pub(crate) fn thing(&mut self, kind: Kind, id: &str) -> Option<&mut Thing> {
        self.things.iter_mut().find(|thing| thing.kind == kind && thing.id == id)
    }

    fn doom(&mut self, kind: Kind, id: &str) {
        if let Some(thing) = self.thing(kind, id) {
            thing.doomed = true;
        }
    }

    /// Comes up with something to ask for; a new wish's number.
    pub(crate) fn wish(&mut self, dice: &mut Dice, now: Timestamp) -> usize {
        let who = if dice.one_in(5) { 1 } else { 0 };
        let (method, path, body, aim, names) = loop {
            if let Some(found) = self.idea(dice, who) {
                break found;
            }
        };
        let mark = match dice.weighted(&[35, 25, 40]) {
            _ if method != "POST" => Mark::Nothing,
            0 => Mark::Key(format!("key-{}", self.wishes.len())),
            1 => Mark::Counts,
            _ => Mark::Nothing,
        };
        let (first_sent, sends, losses_known, told) = (now, 0, true, None);
        self.wishes.push(Wish { who, method, path, body, mark, aim, names, first_sent, sends, losses_known, told });
        self.wishes.len() - 1
    }

    /// One idea; `None` when it is about something there is none of.
    fn idea(&mut self, dice: &mut Dice, who: usize) -> Option<Idea> {
        let make = |kind, path: &str, body, name| Some(("POST", path.to_owned(), body, Aim::Make(kind), vec![name]));
        let act = |path: String, body| Some(("POST", path, body, Aim::Act, Vec::new()));
        match dice.weighted(&[12, 5, 12, 5, 9, 2, 3, 2, 1, 4, 1, 3, 1, 2, 2, 9, 5, 2, 4]) {
            0 => Some(self.create_droplets(dice, who)),
            1 => self.removal(dice, who, Kind::Droplet),
            2 => {
                let id = self.some(dice, who, Kind::Droplet)?;
                self.act_on_droplet(dice, who, &id)
            }
            3 => {
                let name = self.name();
                let mut body = json!({ "name": name, "region": "nyc3", "size_gigabytes": 10 });
                if dice.one_in(4)
                    && let Some(snapshot) = self.some(dice, who, Kind::VolumeSnapshot)
                {
                    body["snapshot_id"] = json!(snapshot);
                }
                make(Kind::Volume, "/v2/volumes", body, name)
            }
            4 => {
                let (volume, droplet) = (self.some(dice, who, Kind::Volume)?, self.some(dice, who, Kind::Droplet)?);
                let kind = *dice.pick(&["attach", "attach", "detach"]);
                let droplet: u64 = droplet.parse().expect("Droplets are numbered");
                act(format!("/v2/volumes/{volume}/actions"), json!({ "type": kind, "droplet_id": droplet }))
            }
            5 => {
                let volume = self.some(dice, who, Kind::Volume)?;
                let size = 10 + dice.below(30);
                act(format!("/v2/volumes/{volume}/actions"), json!({ "type": "resize", "size_gigabytes": size }))
            }
            6 => {
                let (volume, name) = (self.some(dice, who, Kind::Volume)?, self.name());
                make(Kind::VolumeSnapshot, &format!("/v2/volumes/{volume}/snapshots"), json!({ "name": name }), name)
            }
            7 => self.removal(dice, who, Kind::Volume),
            8 => self.removal(dice, who, Kind::VolumeSnapshot),
            9 => {
                let tag = dice.pick(&TAGS);
                let Some(id) = self.some(dice, who, Kind::Droplet).filter(|_| !dice.one_in(3)) else {
                    return Some(("POST", "/v2/tags".to_owned(), json!({ "name": tag }), Aim::Other, Vec::new()));
                };
                let body = json!({ "resources": [{ "resource_id": id, "resource_type": "droplet" }] });
                let method = if dice.one_in(3) { "DELETE" } else { "POST" };
                Some((method, format!("/v2/tags/{tag}/resources"), body, Aim::Other, Vec::new()))
            }
            10 => {
                for thing in self.things.iter_mut().filter(|thing| thing.kind == Kind::Droplet && thing.who == who) {
                    thing.doomed = true;
                }
                let path = format!("/v2/droplets?tag_name={}", dice.pick(&TAGS));
                Some(("DELETE", path, Value::Null, Aim::Other, Vec::new()))
            }
            11 if self.keys < 200 && !dice.one_in(4) => {
                self.keys += 1;
                let body = json!({ "name": "k", "public_key": public_key(self.keys) });
                Some(("POST", "/v2/account/keys".to_owned(), body, Aim::Make(Kind::Key), Vec::new()))
            }
            11 => self.removal(dice, who, Kind::Key),
            12 => {
                let id = self.some(dice, who, Kind::Droplet)?;
                // What belongs to it goes with it, whatever that is.
                for thing in self.things.iter_mut().filter(|thing| thing.who == who) {
                    thing.doomed |= thing.id == id || thing.kind != Kind::Droplet;
                }
                let path = format!("/v2/droplets/{id}/destroy_with_associated_resources/selective");
                Some(("DELETE", path, Value::Null, Aim::Other, Vec::new()))
            }
            13 => {
                let name = self.name();
                let body = json!({ "name": name, "url": "http://example.com/disk.raw", "region": "nyc3" });
                make(Kind::Image, "/v2/images", body, name)
            }
            14 if dice.one_in(2) => self.removal(dice, who, Kind::Image),
            14 => {
                let image = self.some(dice, who, Kind::Image)?;
                act(format!("/v2/images/{image}/actions"), json!({ "type": "transfer", "region": "lon1" }))
            }
            15 => {
                let mine: Vec<&Thing> = self.things.iter().filter(|thing| thing.who == who).collect();
                let thing = *dice.pick_any(&mine)?;
                let aim = Aim::Look(thing.kind, thing.id.clone());
                Some(("GET", thing.kind.path(&thing.id), Value::Null, aim, Vec::new()))
            }
            16 => {
                let (path, aim) = match dice.below(4) {
                    0 | 1 => ("/v2/images?private=true&per_page=200", Aim::ListImages),
                    2 => ("/v2/droplets?per_page=200", Aim::Other),
                    _ => ("/v2/actions?per_page=20", Aim::Other),
                };
                Some(("GET", path.to_owned(), Value::Null, aim, Vec::new()))
            }
            17 => {
                let path = format!("/v2/droplets/actions?tag_name={}", dice.pick(&TAGS));
                act(path, json!({ "type": dice.pick(&POWER) }))
            }
            _ => self.firewall(dice, who),
        }
    }

    fn create_droplets(&mut self, dice: &mut Dice, who: usize) -> Idea {
        let names: Vec<String> = (0..*dice.pick(&[1, 1, 1, 2, 3])).map(|_| self.name()).collect();
        let rarely = if self.gpus_are_scarce { 2 } else { 10 };
        let (size, region) = if dice.one_in(rarely) { ("gpu-h100x1-80gb", "nyc2") } else { ("s-1vcpu-1gb", "nyc3") };
        let mut body = json!({ "size": size, "region": region, "image": "ubuntu-24-04-x64" });
        match &names[..] {
            [name] if dice.one_in(2) => body["name"] = json!(name),
            names => body["names"] = json!(names),
        }
        if dice.one_in(2) {
            body["tags"] = json!([dice.pick(&TAGS)]);
        }
        if dice.one_in(3) {
            // Large enough that the store's file grows, which a full disk notices.
            body["user_data"] = json!(format!("#!/bin/sh\n# {}", "x".repeat(5000 * (1 + dice.below(3)))));
        }
        if dice.one_in(8) {
            body["ipv6"] = json!(true);
        }
        if dice.one_in(5) {
            body["backups"] = json!(true);
            body["backup_policy"] = json!({ "plan": "daily", "hour": 12 });
        }
        if dice.one_in(4)
            && let Some(volume) = self.some(dice, who, Kind::Volume)
        {
            body["volumes"] = json!([volume]);
        }
        if dice.one_in(5)
            && let Some(image) = self.some(dice, who, Kind::Image)
        {
            body["image"] = json!(image.parse::<u64>().expect("images are numbered"));
        }
        ("POST", "/v2/droplets".to_owned(), body, Aim::Make(Kind::Droplet), names)
    }

    /// Makes a firewall, changes a part of one, or removes one. It names tags that may not be there, and Droplets that may be gone.
    fn firewall(&mut self, dice: &mut Dice, who: usize) -> Option<Idea> {
        let droplet = self.some(dice, who, Kind::Droplet).and_then(|id| id.parse::<u64>().ok());
        let mut peers = json!({ "addresses": ["::/0"] });
        if dice.one_in(2) {
            peers["tags"] = json!([dice.pick(&TAGS)]);
        }
        let rules = json!([{ "protocol": "tcp", "ports": (1 + dice.below(3)).to_string(), "sources": peers }]);
        if dice.one_in(2) {
            let name = self.name();
            let mut body = json!({ "name": name, "inbound_rules": rules, "droplet_ids": droplet.as_slice() });
            if dice.one_in(2) {
                body["tags"] = json!([dice.pick(&TAGS)]);
            }
            return Some(("POST", "/v2/firewalls".to_owned(), body, Aim::Make(Kind::Firewall), vec![name]));
        }
        let path = Kind::Firewall.path(&self.some(dice, who, Kind::Firewall)?);
        let method = if dice.one_in(3) { "DELETE" } else { "POST" };
        let (part, body) = match dice.below(4) {
            0 => ("droplets", json!({ "droplet_ids": [droplet?] })),
            1 => ("tags", json!({ "tags": [dice.pick(&TAGS)] })),
            2 => ("rules", json!({ "inbound_rules": rules })),
            _ => return self.removal(dice, who, Kind::Firewall),
        };
        Some((method, format!("{path}/{part}"), body, Aim::Other, Vec::new()))
    }

    fn act_on_droplet(&mut self, dice: &mut Dice, who: usize, id: &str) -> Option<Idea> {
        let mut names = Vec::new();
        let body = match dice.below(12) {
            0..5 => json!({ "type": dice.pick(&POWER) }),
            5 => json!({ "type": "rename", "name": self.name() }),
            6 | 7 => {
                names.push(self.name());
                json!({ "type": "snapshot", "name": names[0] })
            }
            8 => json!({ "type": "rebuild", "image": dice.pick(&["debian-12-x64", "ubuntu-24-04-x64"]) }),
            9 => json!({ "type": "resize", "size": "s-1vcpu-2gb", "disk": dice.one_in(2) }),
            10 => json!({ "type": dice.pick(&["enable_ipv6", "enable_backups", "disable_backups"]) }),
            _ => {
                let image: u64 = self.some(dice, who, Kind::Image)?.parse().expect("images are numbered");
                json!({ "type": "restore", "image": image })
            }
        };
        Some(("POST", format!("/v2/droplets/{id}/actions"), body, Aim::Act, names))
    }

    fn removal(&mut self, dice: &mut Dice, who: usize, kind: Kind) -> Option<Idea> {
        let id = self.some(dice, who, kind)?;
        self.doom(kind, &id);
        Some(("DELETE", kind.path(&id), Value::Null, Aim::Remove(kind, id), Vec::new()))
    }

    /// Learns from an answer that was seen. `Err` when it contradicts what was told before.
    pub(crate) fn learn(&mut self, wish: usize, status: u16, body: &Value) -> Result<(), String> {
        let Wish { who, aim, told, path, .. } = self.wishes[wish].clone();
        if !(200..300).contains(&status) {
            return match &aim {
                Aim::Remove(kind, id) if status == 404 => {
                    // It is gone, or what made it has failed.
                    self.doom(*kind, id);
                    Ok(())
                }
                _ => Ok(()),
            };
        }
        match aim {
            Aim::Make(kind) => {
                let many = body[format!("{}s", kind.key())].as_array().cloned();
                let made = many.unwrap_or_else(|| vec![body[kind.key()].clone()]);
                let ids: Vec<String> = made.iter().map(|one| text(&one["id"])).collect();
                // Of several that were made, those are told that are still there.
                let told_before = |id: &String| told.as_ref().is_none_or(|before| before.contains(id));
                if let Some(other) = ids.iter().find(|id| !told_before(id)) {
                    return Err(format!("{path} was told of {other}, and of {told:?} before"));
                }
                self.wishes[wish].told = Some(told.unwrap_or_else(|| ids.clone()));
                for id in ids {
                    if self.thing(kind, &id).is_none() {
                        self.things.push(Thing { kind, id, who, doomed: false, gone: false });
                    }
                }
                self.learn_actions(who, &body["links"]["actions"]);
            }
            Aim::Remove(kind, id) => {
                if let Some(thing) = self.thing(kind, &id) {
                    thing.gone = true;
                }
            }
            Aim::Act => {
                self.learn_actions(who, &json!([body["action"]]));
                self.learn_actions(who, &body["actions"]);
            }
            Aim::ListImages => {
                for image in body["images"].as_array().into_iter().flatten() {
                    let id = text(&image["id"]);
                    if self.thing(Kind::Image, &id).is_none() {
                        // A backup goes by itself when its time is over, a snapshot with a teardown.
                        let doomed = image["type"] == "backup";
                        self.things.push(Thing { kind: Kind::Image, id, who, doomed, gone: false });
                    }
                }
            }
            Aim::Look(..) | Aim::Other => {}
        }
        Ok(())
    }

    fn learn_actions(&mut self, who: usize, list: &Value) {
        for id in list.as_array().into_iter().flatten().filter_map(|action| action["id"].as_u64()) {
            if !self.actions.contains(&(who, id)) {
                self.actions.push((who, id));
            }
        }
    }
}

/// A number or a text as text.
fn text(id: &Value) -> String {
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}
