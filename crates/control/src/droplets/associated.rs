//! A Droplet and what belongs to it, destroyed together (DEL-5 to DEL-8): what there is, what is chosen, and the record of it.
//! The work is in `actions/teardown.rs`.

use std::net::IpAddr;

use dewpoint_api::{
    AccountId, ActionId, ActionKind, DropletId, ImageKind, RegionSlug, SelectiveDestroyRequest, VolumeId,
};
use dewpoint_clock::Timestamp;
use dewpoint_store::{
    DropletRecord, ImageRecord, PartKind, ReservedIpRecord, Sequence, TeardownPart, TeardownRecord, Tx, VolumeRecord,
    VolumeSnapshotRecord, Window, actions, counters, droplets, images, images::ImageFilter, reserved_ips, teardowns,
    volume_snapshots, volumes,
};

use crate::{
    Control, Error,
    actions::{NewAction, Resource, TEARDOWN, new_action},
    reserved_ips::BUSY,
};

/// What would cost on after the Droplet is gone.
#[derive(Clone, Debug, Default)]
pub struct Associated {
    /// Its snapshots.
    pub snapshots: Vec<ImageRecord>,
    /// The volumes attached to it.
    pub volumes: Vec<VolumeRecord>,
    /// The snapshots of these volumes.
    pub volume_snapshots: Vec<VolumeSnapshotRecord>,
    /// The reserved IPs that lead to it.
    pub reserved_ips: Vec<ReservedIpRecord>,
}

/// Which of it is to be destroyed with the Droplet.
#[derive(Clone, Debug)]
pub enum Selection {
    /// All there is.
    All,
    /// What is named, and nothing that does not belong to the Droplet.
    Named(SelectiveDestroyRequest),
}

const EVERYTHING: Window = Window { skip: 0, take: u32::MAX };

fn associated(tx: &mut dyn Tx, account: AccountId, droplet: DropletId) -> Result<Associated, Error> {
    let filter = ImageFilter::Of(droplet, ImageKind::Snapshot);
    let mut found =
        Associated { snapshots: images::image_list(tx, account, &filter, EVERYTHING)?.rows, ..Associated::default() };
    let attached = volumes::volumes_of_droplets(tx, &[droplet])?.remove(&droplet).unwrap_or_default();
    for id in attached {
        found.volumes.extend(volumes::volume_get(tx, account, id)?);
        found.volume_snapshots.extend(volume_snapshots::volume_snapshot_list_of(tx, account, id, EVERYTHING)?.rows);
    }
    found.reserved_ips = reserved_ips::reserved_ips_of_droplets(tx, &[droplet])?.remove(&droplet).unwrap_or_default();
    Ok(found)
}

fn part(kind: PartKind, id: &dyn ToString, name: &str) -> TeardownPart {
    TeardownPart { kind, id: id.to_string(), name: name.to_owned(), destroyed_at_ms: None, error: None }
}

/// The parts in the order they are destroyed in: the Droplet first, which frees its volumes.
fn parts_of(droplet: &DropletRecord, found: &Associated) -> Vec<TeardownPart> {
    let mut parts = vec![part(PartKind::Droplet, &droplet.id, &droplet.name)];
    parts.extend(found.volumes.iter().map(|volume| part(PartKind::Volume, &volume.id, &volume.name)));
    parts.extend(found.snapshots.iter().map(|image| part(PartKind::Snapshot, &image.id, &image.name)));
    let snapshots = found.volume_snapshots.iter();
    parts.extend(snapshots.map(|snapshot| part(PartKind::VolumeSnapshot, &snapshot.id, &snapshot.name)));
    parts.extend(found.reserved_ips.iter().map(|ip| part(PartKind::ReservedIp, &ip.address, &ip.address.to_string())));
    parts
}

/// Keeps what was named, and the Droplet; 422 for what does not belong to it (DEL-6). A pure choice.
fn chosen(all: Vec<TeardownPart>, selection: &Selection) -> Result<Vec<TeardownPart>, Error> {
    let Selection::Named(named) = selection else { return Ok(all) };
    // The same by two names.
    let reserved_ips: Vec<String> = named.reserved_ips.iter().chain(&named.floating_ips).cloned().collect();
    let wanted = [
        (PartKind::ReservedIp, &reserved_ips),
        (PartKind::Volume, &named.volumes),
        (PartKind::Snapshot, &named.snapshots),
        (PartKind::VolumeSnapshot, &named.volume_snapshots),
    ];
    for (kind, ids) in wanted {
        if let Some(id) = ids.iter().find(|id| !all.iter().any(|part| part.kind == kind && part.id == **id)) {
            return Err(Error::invalid(format!("{id} is not associated with this Droplet.")));
        }
    }
    let is_wanted = |part: &TeardownPart| {
        part.kind == PartKind::Droplet || wanted.iter().any(|(kind, ids)| *kind == part.kind && ids.contains(&part.id))
    };
    Ok(all.into_iter().filter(is_wanted).collect())
}

/// Locks the Droplet, if it is there, and the volumes and reserved IPs among the parts, and records the action and the teardown.
fn begin(
    tx: &mut dyn Tx,
    mut teardown: TeardownRecord,
    region: Option<&RegionSlug>,
    now: Timestamp,
) -> Result<(), Error> {
    let id = ActionId(counters::draw(tx, Sequence::Action, 1)?);
    if droplets::droplet_of_machine(tx, teardown.droplet)?.is_some()
        && !droplets::droplet_lock(tx, teardown.droplet, id)?
    {
        return Err(Error::Busy);
    }
    for volume in
        left_of(&teardown, PartKind::Volume).filter_map(|part| part.id.parse().ok()).collect::<Vec<VolumeId>>()
    {
        if volumes::volume_any(tx, volume)?.is_some() && !volumes::volume_lock(tx, volume, id)? {
            return Err(Error::Busy);
        }
    }
    for address in
        left_of(&teardown, PartKind::ReservedIp).filter_map(|part| part.id.parse().ok()).collect::<Vec<IpAddr>>()
    {
        if reserved_ips::reserved_ip_get(tx, teardown.account, address)?.is_some()
            && !reserved_ips::reserved_ip_lock(tx, address, id)?
        {
            return Err(Error::invalid(BUSY));
        }
    }
    let mut action = new_action(&NewAction {
        id,
        account: teardown.account,
        kind: ActionKind::Destroy,
        resource: Resource::Droplet(teardown.droplet),
        region,
        request: "{}",
        now,
    });
    TEARDOWN.clone_into(&mut action.step);
    actions::action_insert(tx, &action)?;
    teardown.running_action = Some(id);
    Ok(teardowns::teardown_put(tx, &teardown)?)
}

fn left_of(teardown: &TeardownRecord, kind: PartKind) -> impl Iterator<Item = &TeardownPart> {
    teardown.parts.iter().filter(move |part| part.kind == kind && part.destroyed_at_ms.is_none())
}

impl Control {
    /// What belongs to a Droplet (DEL-5).
    pub async fn droplet_associated(&self, account: AccountId, id: DropletId) -> Result<Associated, Error> {
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                droplets::droplet_get(tx, account, id)?.ok_or(Error::NotFound)?;
                associated(tx, account, id)
            })
            .await
    }

    /// Destroys a Droplet with what is selected of what belongs to it (DEL-6); 422 while an action runs on one of them.
    pub async fn droplet_teardown(&self, account: AccountId, id: DropletId, selection: Selection) -> Result<(), Error> {
        let now = self.now();
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let droplet = droplets::droplet_get(tx, account, id)?.ok_or(Error::NotFound)?;
                let all = parts_of(&droplet, &associated(tx, account, id)?);
                let teardown = TeardownRecord {
                    droplet: id,
                    account,
                    droplet_name: droplet.name.clone(),
                    parts: chosen(all, &selection)?,
                    running_action: None,
                    started_at: now,
                    completed_at: None,
                };
                begin(tx, teardown, Some(&droplet.region), now)
            })
            .await?;
        self.inner.bell.notify_one();
        Ok(())
    }

    /// How the newest teardown of a Droplet goes, also when the Droplet is gone (DEL-7); 404 when none was asked for.
    pub async fn droplet_teardown_status(&self, account: AccountId, id: DropletId) -> Result<TeardownRecord, Error> {
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| teardowns::teardown_get(tx, account, id)?.ok_or(Error::NotFound))
            .await
    }

    /// Tries again what could not be destroyed (DEL-8); 409 while a teardown runs, or something else on what is left.
    pub async fn droplet_teardown_retry(&self, account: AccountId, id: DropletId) -> Result<(), Error> {
        let now = self.now();
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let mut teardown = teardowns::teardown_get(tx, account, id)?.ok_or(Error::NotFound)?;
                if teardown.running_action.is_some() {
                    return Err(Error::Conflict("A destroy of this Droplet is already in progress.".to_owned()));
                }
                if teardown.parts.iter().all(|part| part.destroyed_at_ms.is_some()) {
                    return Ok(());
                }
                teardown.parts.iter_mut().for_each(|part| part.error = None);
                teardown.started_at = now;
                teardown.completed_at = None;
                let region = droplets::droplet_get(tx, account, id)?.map(|droplet| droplet.region);
                match begin(tx, teardown, region.as_ref(), now) {
                    Err(Error::Busy | Error::Invalid(_)) => {
                        Err(Error::Conflict("What is left has a pending event.".to_owned()))
                    }
                    other => other,
                }
            })
            .await?;
        self.inner.bell.notify_one();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_belongs_to_the_droplet_can_be_chosen_del_6() {
        let all = || {
            vec![
                part(PartKind::Droplet, &1, "web"),
                part(PartKind::Volume, &"v", "data"),
                part(PartKind::Snapshot, &7, "before"),
            ]
        };
        let named = |request: SelectiveDestroyRequest| chosen(all(), &Selection::Named(request));
        assert_eq!(chosen(all(), &Selection::All).ok(), Some(all()));
        assert_eq!(
            named(SelectiveDestroyRequest::default()).ok().map(|parts| parts.len()),
            Some(1),
            "the Droplet alone"
        );
        let one = SelectiveDestroyRequest { snapshots: vec!["7".into()], ..SelectiveDestroyRequest::default() };
        assert_eq!(named(one).ok().map(|parts| parts[1].id.clone()), Some("7".to_owned()));
        for wrong in [
            SelectiveDestroyRequest { snapshots: vec!["v".into()], ..SelectiveDestroyRequest::default() },
            SelectiveDestroyRequest { volumes: vec!["7".into()], ..SelectiveDestroyRequest::default() },
            SelectiveDestroyRequest { reserved_ips: vec!["1".into()], ..SelectiveDestroyRequest::default() },
        ] {
            assert!(named(wrong.clone()).is_err(), "{wrong:?}");
        }
    }
}
