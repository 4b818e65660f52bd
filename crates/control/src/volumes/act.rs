//! Asking a volume to change: attach, detach, resize (VOL-5 to VOL-7).

use dewpoint_api::{
    AccountId, ActionId, ActionKind, DropletId, PageRequest, RegionSlug, ResourceType, Scope, TagName,
    VolumeActionRequest, VolumeId, rules,
};
use dewpoint_clock::Timestamp;
use dewpoint_store::{
    ActionRecord, Page, Sequence, Tx, VolumeRecord, actions, counters, droplets, tags, tags::Tagged, volumes,
};

use crate::{
    Control, Error, Grant,
    actions::{NewAction, Resource, VolumeWish, new_action},
    window,
};

/// A request that could be carried out, as far as it alone tells.
#[derive(Clone, Debug, PartialEq)]
enum Wanted {
    Attach { droplet: DropletId, tags: Vec<TagName> },
    Detach { droplet: DropletId },
    Resize { size_gib: u64 },
}

/// Reads the action and refuses what can never be.
fn wanted(request: &VolumeActionRequest) -> Result<Wanted, Error> {
    let droplet = || request.droplet_id.ok_or_else(|| Error::invalid("droplet_id is required."));
    match request.kind.as_str() {
        "attach" => {
            let tags = rules::tag_names(&request.tags)?;
            Ok(Wanted::Attach { droplet: droplet()?, tags })
        }
        "detach" => Ok(Wanted::Detach { droplet: droplet()? }),
        "resize" => {
            let size = request.size_gigabytes.ok_or_else(|| Error::invalid("size_gigabytes is required."))?;
            Ok(Wanted::Resize { size_gib: rules::volume_size(size)? })
        }
        "" => Err(Error::invalid("type is required.")),
        other => {
            Err(Error::invalid(format!("type {other:?} is not an action a volume has: attach, detach or resize.")))
        }
    }
}

/// Checks the state and records the action, which locks the volume, and the Droplet it is moved to or from (ACT-6).
fn record(
    tx: &mut dyn Tx,
    account: AccountId,
    volume: &VolumeRecord,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<ActionRecord, Error> {
    let (kind, droplet, wish) = match wanted {
        Wanted::Attach { droplet, tags } => {
            check_attach(tx, account, volume, *droplet)?;
            for tag in tags {
                let tag = tags::tag_ensure(tx, account, tag)?;
                tags::tag_resource(tx, account, &tag, &Tagged::volume(volume.id), now)?;
            }
            (ActionKind::AttachVolume, Some(*droplet), VolumeWish { droplet: Some(*droplet), size_gib: None })
        }
        Wanted::Detach { droplet } => {
            if volume.droplet != Some(*droplet) {
                return Err(Error::invalid("Attachment not found"));
            }
            (ActionKind::DetachVolume, Some(*droplet), VolumeWish { droplet: Some(*droplet), size_gib: None })
        }
        Wanted::Resize { size_gib } => {
            if *size_gib <= volume.size_gib {
                return Err(Error::invalid(format!(
                    "size_gigabytes must be larger than {}, which the volume has: volumes only grow.",
                    volume.size_gib
                )));
            }
            (ActionKind::Resize, None, VolumeWish { droplet: None, size_gib: Some(*size_gib) })
        }
    };
    lock(tx, account, volume, droplet, kind, &wish, now)
}

/// Whether the volume may be given to this Droplet (VOL-5).
fn check_attach(tx: &mut dyn Tx, account: AccountId, volume: &VolumeRecord, droplet: DropletId) -> Result<(), Error> {
    if volume.droplet.is_some() {
        return Err(Error::invalid("This volume is already attached"));
    }
    let found = droplets::droplet_get(tx, account, droplet)?;
    let found = found.ok_or_else(|| Error::invalid(format!("droplet_id {droplet} is no Droplet of your account.")))?;
    if found.region != volume.region {
        return Err(Error::invalid(format!(
            "The volume is in region {} and the Droplet in {}: they must be in the same one.",
            volume.region, found.region
        )));
    }
    let held = volumes::volumes_of_droplets(tx, &[droplet])?.remove(&droplet).map_or(0, |held| held.len());
    if held >= rules::VOLUMES_MAX {
        return Err(Error::invalid(format!("The Droplet has {held} volumes, and cannot have more.")));
    }
    Ok(())
}

/// Records an action that locks its volume, and a Droplet with it.
pub(super) fn lock(
    tx: &mut dyn Tx,
    account: AccountId,
    volume: &VolumeRecord,
    droplet: Option<DropletId>,
    kind: ActionKind,
    wish: &impl serde::Serialize,
    now: Timestamp,
) -> Result<ActionRecord, Error> {
    let request = serde_json::to_string(wish).map_err(|_| Error::invalid("the request cannot be kept"))?;
    let id = ActionId(counters::draw(tx, Sequence::Action, 1)?);
    if !volumes::volume_lock(tx, volume.id, id)? {
        return Err(Error::Busy);
    }
    if let Some(droplet) = droplet
        && !droplets::droplet_lock(tx, droplet, id)?
    {
        return Err(Error::Busy);
    }
    let resource = Resource::Volume(volume.id, droplet);
    let region = Some(&volume.region);
    let action = new_action(&NewAction { id, account, kind, resource, region, request: &request, now });
    actions::action_insert(tx, &action)?;
    Ok(action)
}

/// The volume an action is asked of.
#[derive(Clone, Debug)]
enum Which {
    Id(VolumeId),
    Name(String, RegionSlug),
}

impl Control {
    /// Asks one volume to change (VOL-5 to VOL-7); the action is in progress when this returns.
    pub async fn volume_act(
        &self,
        grant: &Grant,
        id: VolumeId,
        request: &VolumeActionRequest,
    ) -> Result<ActionRecord, Error> {
        self.act_on_volume(grant, Which::Id(id), request).await
    }

    /// Asks the volume of a name in a region to change (VOL-8).
    pub async fn volume_act_by_name(
        &self,
        grant: &Grant,
        request: &VolumeActionRequest,
    ) -> Result<ActionRecord, Error> {
        match (&request.volume_name, &request.region) {
            (Some(name), Some(region)) => {
                self.act_on_volume(grant, Which::Name(name.clone(), region.clone()), request).await
            }
            (None, _) | (_, None) => Err(Error::invalid("volume_name and region are required.")),
        }
    }

    async fn act_on_volume(
        &self,
        grant: &Grant,
        which: Which,
        request: &VolumeActionRequest,
    ) -> Result<ActionRecord, Error> {
        let (account, now) = (grant.account, self.now());
        if !request.tags.is_empty() && !grant.scopes.allows(Scope::TagCreate) {
            return Err(Error::Forbidden("You are not authorized to perform this operation.".to_owned()));
        }
        let asked = wanted(request);
        let refusal = asked.as_ref().err().map(ToString::to_string);
        let (asked, region) = (asked.ok(), request.region.clone());
        let action = self
            .inner
            .store
            .write(move |tx: &mut dyn Tx| {
                // Existence comes before validation (ERR-9).
                let volume = match &which {
                    Which::Id(id) => volumes::volume_get(tx, account, *id)?,
                    Which::Name(name, region) => volumes::volume_by_name(tx, account, region, name)?,
                };
                let volume = volume.ok_or(Error::NotFound)?;
                if region.as_ref().is_some_and(|region| *region != volume.region) {
                    return Err(Error::invalid(format!("The volume is in region {}.", volume.region)));
                }
                match (&asked, &refusal) {
                    (Some(wanted), _) => record(tx, account, &volume, wanted, now),
                    (None, refusal) => Err(Error::invalid(refusal.clone().unwrap_or_default())),
                }
            })
            .await?;
        self.inner.bell.notify_one();
        Ok(action)
    }

    /// The actions of one volume, newest first.
    pub async fn volume_action_list(
        &self,
        account: AccountId,
        volume: VolumeId,
        page: PageRequest,
    ) -> Result<Page<ActionRecord>, Error> {
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                volumes::volume_get(tx, account, volume)?.ok_or(Error::NotFound)?;
                Ok(actions::action_list_of_uuid(tx, account, ResourceType::Volume, volume.0, window(page))?)
            })
            .await
    }

    /// One action of one volume.
    pub async fn volume_action_get(
        &self,
        account: AccountId,
        volume: VolumeId,
        id: ActionId,
    ) -> Result<ActionRecord, Error> {
        let action = self.action_get(account, id).await?;
        let of_volume = action.resource_type == ResourceType::Volume && action.resource_uuid == Some(volume.0);
        if of_volume { Ok(action) } else { Err(Error::NotFound) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_of_a_volume_needs_its_members_vol_6_vol_7() {
        let read = |json: &str| wanted(&serde_json::from_str(json).expect("its shape is right"));
        for bad in [
            "{}",
            r#"{"type":"explode"}"#,
            r#"{"type":"attach"}"#,
            r#"{"type":"detach"}"#,
            r#"{"type":"resize"}"#,
            r#"{"type":"resize","size_gigabytes":0}"#,
            r#"{"type":"resize","size_gigabytes":16385}"#,
            r#"{"type":"attach","droplet_id":1,"tags":["no good"]}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(read(r#"{"type":"detach","droplet_id":1}"#).ok(), Some(Wanted::Detach { droplet: DropletId(1) }));
        assert_eq!(read(r#"{"type":"resize","size_gigabytes":9}"#).ok(), Some(Wanted::Resize { size_gib: 9 }));
    }
}
