//! Store against engine. What an action in progress is about is left out: it is on its way.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use dewpoint_api::{
    ActionKind, DropletId, DropletStatus, ImageId, ImageStatus, ResourceType, VolumeId, VolumeSnapshotId,
};
use dewpoint_engine::{
    ImageName, MachineId, MachineSpec, NicKind, VolumeId as EngineVolumeId,
    survey::{Part, Survey},
};
use dewpoint_store::{ActionRecord, DropletRecord, VolumeRecord, check::Books};

use super::{Finding, Mend, gpus};
use crate::actions::{image_in_the_making, own_image, own_volume_image};

/// A finding a person has to see to.
pub(super) fn by_hand(rule: &str, subject: &dyn ToString, what: String, why: &str, remedy: &str) -> Finding {
    let (rule, why, remedy) = (rule.to_owned(), why.to_owned(), remedy.to_owned());
    Finding { rule, subject: subject.to_string(), what, why, remedy, repairable: false, mend: None }
}

impl Finding {
    pub(super) fn mended(mut self, mend: Mend) -> Self {
        self.repairable = true;
        self.mend = Some(mend);
        self
    }
}

/// The images an engine should have: of these rows, of snapshots of volumes, and those that actions are making.
pub fn images_there_should_be<'a>(
    images: impl IntoIterator<Item = (ImageId, ImageStatus)>,
    snapshots: impl IntoIterator<Item = VolumeSnapshotId>,
    running: impl IntoIterator<Item = &'a ActionRecord>,
) -> HashSet<ImageName> {
    // An import that came to nothing has a row that tells why, and no image.
    let whole = images.into_iter().filter(|(_, status)| *status != ImageStatus::Deleted);
    let mut kept: HashSet<ImageName> = whole.filter_map(|(id, _)| own_image(id)).collect();
    kept.extend(snapshots.into_iter().filter_map(own_volume_image));
    kept.extend(running.into_iter().filter_map(image_in_the_making).filter_map(own_image));
    kept
}

/// What actions in progress are about.
struct Busy {
    droplets: HashSet<DropletId>,
    volumes: HashSet<VolumeId>,
    images: HashSet<ImageName>,
}

impl Busy {
    fn of(books: &Books) -> Self {
        let mut busy = Self { droplets: HashSet::new(), volumes: HashSet::new(), images: HashSet::new() };
        for action in &books.actions {
            busy.droplets.extend(action.droplet);
            match (action.resource_type, action.resource_id, action.resource_uuid) {
                (ResourceType::Droplet, Some(id), _) => drop(busy.droplets.insert(DropletId(id))),
                (ResourceType::Image, Some(id), _) => busy.images.extend(own_image(ImageId(id))),
                (ResourceType::Volume, _, Some(id)) => drop(busy.volumes.insert(VolumeId(id))),
                (ResourceType::VolumeSnapshot, _, Some(id)) => {
                    busy.images.extend(own_volume_image(VolumeSnapshotId(id)))
                }
                _ => {}
            }
            busy.images.extend(image_in_the_making(action).and_then(own_image));
        }
        for id in &books.being_torn_down {
            busy.volumes.extend(id.parse::<VolumeId>().ok());
            busy.images.extend(id.parse().ok().and_then(own_volume_image));
            busy.images.extend(id.parse().ok().and_then(|id| own_image(ImageId(id))));
        }
        busy.droplets
            .extend(books.droplets.iter().filter(|record| record.running_action.is_some()).map(|record| record.id));
        busy.volumes
            .extend(books.volumes.iter().filter(|record| record.running_action.is_some()).map(|record| record.id));
        busy
    }
}

/// Everything in which store and engine differ.
pub fn findings(books: &Books, seen: &Survey) -> Vec<Finding> {
    let busy = Busy::of(books);
    let mut all = Vec::new();
    damage(seen, &mut all);
    if seen.damaged.iter().any(|damaged| damaged.part == Part::Everything) {
        // Of an engine that cannot be read, nothing else is known.
        return all;
    }
    machines(books, seen, &busy, &mut all);
    volumes(books, seen, &busy, &mut all);
    images(books, seen, &busy, &mut all);
    gpus::gpus(books, seen, &busy.droplets, &mut all);
    all
}

fn damage(seen: &Survey, all: &mut Vec<Finding>) {
    for damaged in &seen.damaged {
        let (why, remedy) = match &damaged.part {
            Part::Machine(_) => (
                "the machine cannot be started or changed, only deleted",
                "restore its files from a backup; if its disk alone is missing, rebuild the Droplet",
            ),
            Part::Volume(_) => ("what is on it cannot be reached", "restore its files from a backup"),
            Part::Image(_) => ("nothing can be made from it", "restore its files from a backup, or delete the image"),
            Part::Everything => ("nothing is known of any machine", "restore it from a backup"),
        };
        let what = format!("{}: {}", damaged.part, damaged.problem);
        all.push(by_hand("damaged", &damaged.part, what, why, remedy));
    }
}

fn machines(books: &Books, seen: &Survey, busy: &Busy, all: &mut Vec<Finding>) {
    let unreadable: BTreeSet<MachineId> = seen
        .damaged
        .iter()
        .filter_map(|damaged| match damaged.part {
            Part::Machine(id) => Some(id),
            Part::Volume(_) | Part::Image(_) | Part::Everything => None,
        })
        .collect();
    for record in books.droplets.iter().filter(|record| !busy.droplets.contains(&record.id)) {
        let id = MachineId(record.id.0);
        let Some(machine) = seen.machines.get(&id) else {
            let what = format!("Droplet {} ({}) has no machine", record.id, record.name);
            let remedy = "restore a backup that has it, or delete the Droplet";
            all.push(by_hand("machine-missing", &record.id, what, "it cannot be started", remedy));
            continue;
        };
        let truth = if machine.running { DropletStatus::Active } else { DropletStatus::Off };
        if [DropletStatus::Active, DropletStatus::Off].contains(&record.status)
            && record.status != truth
            && !unreadable.contains(&id)
        {
            let what = format!(
                "Droplet {} says `{}`, and its machine is {}",
                record.id,
                record.status,
                if machine.running { "running" } else { "off" }
            );
            let finding = by_hand(
                "power",
                &record.id,
                what,
                "clients are told what is not so",
                "writes down what is so; the server's start does the same",
            );
            all.push(finding.mended(Mend::Power(record.id, truth)));
        }
        match &machine.spec {
            Some(spec) => all.extend(other_machine(record, gpus::addresses(books, record.id), spec)),
            None if unreadable.contains(&id) => {}
            None => {
                let what = format!("the machine of Droplet {} was never wholly made, or not wholly removed", record.id);
                all.push(by_hand(
                    "machine-half-made",
                    &record.id,
                    what,
                    "it cannot be started",
                    "delete the Droplet and create it again",
                ));
            }
        }
    }
    let rows: HashSet<u64> = books.droplets.iter().map(|record| record.id.0).collect();
    let destroyed = |id: &MachineId| {
        let removes = |action: &&ActionRecord| action.kind == ActionKind::Destroy.as_str();
        books.actions.iter().filter(removes).any(|action| action.resource_id == Some(id.0))
    };
    for id in seen.machines.keys().filter(|id| !rows.contains(&id.0) && !destroyed(id)) {
        let what = format!("machine {id} belongs to no Droplet");
        let finding = by_hand(
            "machine-ownerless",
            id,
            what,
            "it takes room, and runs for nobody",
            "removes it with its disk; the server's start does the same",
        );
        all.push(finding.mended(Mend::Machine(*id)));
    }
}

/// Whether a machine is another than its Droplet's row says.
fn other_machine(record: &DropletRecord, gpus: &[String], spec: &MachineSpec) -> Option<Finding> {
    let image = record.image_slug.clone().or_else(|| own_image(record.image_id).map(|name| name.as_str().to_owned()));
    let address =
        |kind| spec.nics.iter().find(|nic| nic.kind == kind).and_then(|nic| nic.ipv4).map(|link| link.address);
    let v6 = spec.nics.iter().find_map(|nic| nic.ipv6).map(|link| link.address);
    let mut differs = Vec::new();
    let mut compare = |name: &str, row: String, machine: String| {
        if row != machine {
            differs.push(format!("{name} {machine} and not {row}"));
        }
    };
    let text =
        |address: Option<std::net::Ipv4Addr>| address.map_or_else(|| "none".to_owned(), |address| address.to_string());
    compare("image", image.unwrap_or_default(), spec.image.to_string());
    compare("processors", record.vcpus.to_string(), spec.vcpus.to_string());
    compare("memory (MiB)", record.memory_mib.to_string(), spec.memory_mib.to_string());
    compare("disk (GiB)", record.disk_gib.to_string(), spec.disk_gib.to_string());
    compare("public address", text(record.public_v4), text(address(NicKind::Public)));
    compare("private address", record.private_v4.to_string(), text(address(NicKind::Private)));
    let has: Vec<String> = spec.gpus.iter().map(ToString::to_string).collect();
    compare("GPUs", format!("{gpus:?}"), format!("{has:?}"));
    compare("IPv6 address", format!("{:?}", record.public_v6), format!("{v6:?}"));
    if differs.is_empty() {
        return None;
    }
    let what = format!("the machine of Droplet {} has {}", record.id, differs.join(", "));
    let remedy = "take a snapshot of it, delete it, and create it again from that";
    Some(by_hand("machine-differs", &record.id, what, "clients are told what is not so", remedy))
}

fn volumes(books: &Books, seen: &Survey, busy: &Busy, all: &mut Vec<Finding>) {
    let droplets: HashSet<DropletId> = books.droplets.iter().map(|record| record.id).collect();
    let unreadable: BTreeSet<EngineVolumeId> = seen
        .damaged
        .iter()
        .filter_map(|damaged| match damaged.part {
            Part::Volume(id) => Some(id),
            Part::Machine(_) | Part::Image(_) | Part::Everything => None,
        })
        .collect();
    let rows: HashMap<VolumeId, &VolumeRecord> = books.volumes.iter().map(|record| (record.id, record)).collect();
    let ordered: BTreeMap<_, _> = books.volumes.iter().map(|record| (record.id.0, record)).collect();
    for record in ordered.values().filter(|record| !busy.volumes.contains(&record.id)) {
        let id = EngineVolumeId(record.id.0);
        let Some(volume) = seen.volumes.get(&id) else {
            // One whose making came to nothing has a row that tells why.
            let excused = !record.made && record.droplet.is_none();
            if !excused && !unreadable.contains(&id) {
                let what = format!("volume {} ({}) has a row and is not there", record.id, record.name);
                let remedy = "restore a backup that has it, or delete the volume";
                all.push(by_hand("volume-missing", &record.id, what, "what was on it cannot be reached", remedy));
            }
            continue;
        };
        if volume.size_gib > record.size_gib {
            let what =
                format!("volume {} has {} GiB, and its row says {}", record.id, volume.size_gib, record.size_gib);
            let finding = by_hand(
                "volume-size",
                &record.id,
                what,
                "clients are told what is not so",
                "writes down the larger size",
            );
            all.push(finding.mended(Mend::Size(record.id, volume.size_gib)));
        } else if volume.size_gib < record.size_gib {
            let what =
                format!("volume {} has only {} GiB, and its row says {}", record.id, volume.size_gib, record.size_gib);
            let remedy = "resize it to one GiB more than its row says";
            all.push(by_hand(
                "volume-size",
                &record.id,
                what,
                "programs in the guest find less than was promised",
                remedy,
            ));
        }
        let place = volume.machine.map(|machine| DropletId(machine.0));
        let on_its_way = [place, record.droplet].into_iter().flatten().any(|id| busy.droplets.contains(&id));
        if place != record.droplet && !on_its_way && place.is_none_or(|id| droplets.contains(&id)) {
            let at =
                |place: Option<DropletId>| place.map_or_else(|| "nothing".to_owned(), |id| format!("Droplet {id}"));
            let what =
                format!("volume {} is attached to {}, and its row says {}", record.id, at(place), at(record.droplet));
            let why = "it can be neither attached nor detached nor deleted as clients expect";
            all.push(
                by_hand("attachment", &record.id, what, why, "writes down where it is")
                    .mended(Mend::Place(record.id, place)),
            );
        }
    }
    for id in seen.volumes.keys() {
        let row = VolumeId(id.0);
        if !rows.contains_key(&row) && !busy.volumes.contains(&row) {
            let what = format!("the engine's volume {id} has no row");
            let finding = by_hand(
                "volume-ownerless",
                id,
                what,
                "it takes room, and belongs to nobody",
                "removes it with its content; the server's start does the same",
            );
            all.push(finding.mended(Mend::Volume(*id)));
        }
    }
}

fn images(books: &Books, seen: &Survey, busy: &Busy, all: &mut Vec<Finding>) {
    let why = "nothing can be made from it";
    let made = [ImageStatus::Available, ImageStatus::Retired];
    for (id, _) in books.images.iter().filter(|(_, status)| made.contains(status)) {
        if let Some(name) = own_image(*id)
            && !seen.images.contains(&name)
            && !busy.images.contains(&name)
        {
            let what = format!("image {id} has a row and is not there");
            all.push(by_hand("image-missing", id, what, why, "restore a backup that has it, or delete the image"));
        }
    }
    for (id, _) in books.snapshots.iter().filter(|(_, available)| *available) {
        if let Some(name) = own_volume_image(*id)
            && !seen.images.contains(&name)
            && !busy.images.contains(&name)
        {
            let what = format!("snapshot {id} of a volume has a row and is not there");
            all.push(by_hand("image-missing", id, what, why, "restore a backup that has it, or delete the snapshot"));
        }
    }
    let snapshots = books.snapshots.iter().map(|(id, _)| *id);
    let kept = images_there_should_be(books.images.iter().copied(), snapshots, &books.actions);
    for name in seen.images.iter().filter(|name| !kept.contains(name) && !busy.images.contains(name)) {
        let what = format!("the engine's image {name} has no row");
        let finding = by_hand(
            "image-ownerless",
            name,
            what,
            "it takes room, and belongs to nobody",
            "removes it; the server's start does the same",
        );
        all.push(finding.mended(Mend::Image(name.clone())));
    }
}
