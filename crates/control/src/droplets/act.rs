//! Asking a Droplet to change: which action is allowed in which state, then the action's record.

use dewpoint_api::{
    AccountId, ActionId, ActionKind, BackupPolicyRequest, DropletActionRequest, DropletId, DropletStatus,
    ImageIdOrSlug, Scope, TagName, rules,
};
use dewpoint_clock::Timestamp;
use dewpoint_store::{ActionRecord, DropletRecord, Sequence, Tx, actions, counters, droplets, tags};

use super::prepare::prepare;
use crate::{
    Control, Error, Grant,
    actions::{NewAction, Resource, new_action},
    images::checked_name,
    stock,
};

/// The types an action by tag may have (ACT-12).
const BY_TAG: [ActionKind; 8] = [
    ActionKind::PowerCycle,
    ActionKind::PowerOn,
    ActionKind::PowerOff,
    ActionKind::Shutdown,
    ActionKind::EnableIpv6,
    ActionKind::EnableBackups,
    ActionKind::DisableBackups,
    ActionKind::Snapshot,
];

/// The scopes an action needs beside `droplet:update` (AUTH-5).
fn more_scopes(kind: ActionKind) -> &'static [Scope] {
    match kind {
        ActionKind::Restore | ActionKind::PasswordReset | ActionKind::Rebuild => &[Scope::DropletAdmin],
        ActionKind::Resize => &[Scope::DropletCreate],
        ActionKind::Snapshot => &[Scope::ImageCreate],
        _ => &[],
    }
}

/// Reads the action's type and refuses what can never be (DAC-10).
fn kind_of(request: &DropletActionRequest) -> Result<ActionKind, Error> {
    use ActionKind as K;
    if request.kind.is_empty() {
        return Err(Error::invalid("type is required."));
    }
    let unknown = || Error::invalid(format!("type {:?} is not an action a Droplet has.", request.kind));
    let kind: ActionKind = request.kind.parse().map_err(|_| unknown())?;
    match kind {
        K::PowerOn | K::PowerOff | K::Shutdown | K::Reboot | K::PowerCycle | K::EnablePrivateNetworking => Ok(kind),
        K::Rename => {
            let name =
                request.name.as_deref().ok_or_else(|| Error::invalid("name is required to rename a Droplet."))?;
            rules::droplet_name(name)?;
            Ok(kind)
        }
        K::Resize if request.size.is_none() => Err(Error::invalid("size is required to resize a Droplet.")),
        K::Rebuild if request.image.is_none() => Err(Error::invalid("image is required to rebuild a Droplet.")),
        K::Restore => match &request.image {
            Some(ImageIdOrSlug::Id(_)) => Ok(kind),
            Some(ImageIdOrSlug::Slug(_)) => Err(Error::invalid("image must be the number of a backup.")),
            None => Err(Error::invalid("image is required to restore a Droplet: the number of a backup.")),
        },
        K::ChangeBackupPolicy if request.backup_policy.is_none() => {
            Err(Error::invalid("backup_policy is required to change the policy."))
        }
        K::EnableBackups | K::ChangeBackupPolicy => {
            request.backup_policy.as_ref().map(BackupPolicyRequest::checked).transpose()?;
            Ok(kind)
        }
        K::Snapshot => {
            request.name.clone().filter(|name| !name.is_empty()).map(checked_name).transpose()?;
            Ok(kind)
        }
        K::Resize | K::Rebuild | K::DisableBackups | K::PasswordReset | K::EnableIpv6 => Ok(kind),
        K::ChangeKernel => {
            Err(Error::invalid("This Droplet's kernel is managed from inside it: change it with its package manager."))
        }
        K::Create
        | K::Destroy
        | K::Backup
        | K::Transfer
        | K::Convert
        | K::AttachVolume
        | K::DetachVolume
        | K::AssignIp
        | K::UnassignIp
        | K::ReserveIp
        | K::ReleaseIp => Err(unknown()),
    }
}

/// Whether the Droplet's state allows the action (DAC-1): a pure check.
fn allowed(kind: ActionKind, status: DropletStatus) -> Result<(), Error> {
    match (kind, status) {
        (ActionKind::PowerOn, DropletStatus::Active) => Err(Error::invalid("Droplet is already powered on")),
        (ActionKind::PowerOff, DropletStatus::Off) => Err(Error::invalid("Droplet is already powered off")),
        (ActionKind::Reboot, DropletStatus::Off) => {
            Err(Error::invalid("Droplet is powered off: use power_on to start it."))
        }
        (ActionKind::PasswordReset, DropletStatus::Off) => {
            Err(Error::invalid("Droplet is powered off: its guest must run to be given a password."))
        }
        (_, DropletStatus::Archive) => Err(Error::invalid("Droplet is archived.")),
        (_, DropletStatus::New | DropletStatus::Active | DropletStatus::Off) => Ok(()),
    }
}

/// Locks the Droplet and records the action.
fn record(
    control: &Control,
    tx: &mut dyn Tx,
    droplet: &DropletRecord,
    kind: ActionKind,
    request: &DropletActionRequest,
    now: Timestamp,
) -> Result<ActionRecord, Error> {
    if droplet.running_action.is_some() {
        return Err(Error::Busy);
    }
    allowed(kind, droplet.status)?;
    let prepared = prepare(control, tx, droplet, kind, request, now)?;
    let prepared = match stock::work_for(tx, control, droplet, kind)? {
        None => prepared,
        Some(work) => prepared.with_gpus(work)?,
    };
    droplets::droplet_change(tx, droplet.id, &prepared.change)?;
    let id = ActionId(counters::draw(tx, Sequence::Action, 1)?);
    if !droplets::droplet_lock(tx, droplet.id, id)? {
        return Err(Error::Busy);
    }
    let action = new_action(&NewAction {
        id,
        account: droplet.account,
        kind,
        resource: Resource::Droplet(droplet.id),
        region: Some(&droplet.region),
        request: &prepared.request,
        now,
    });
    actions::action_insert(tx, &action)?;
    Ok(action)
}

fn require(grant: &Grant, scopes: &[Scope]) -> Result<(), Error> {
    let all = scopes.iter().all(|scope| grant.scopes.allows(*scope));
    all.then_some(()).ok_or_else(|| Error::Forbidden("You are not authorized to perform this operation.".to_owned()))
}

impl Control {
    /// Asks one Droplet to change (DAC-*); the action is in progress when this returns.
    pub async fn droplet_act(
        &self,
        grant: &Grant,
        id: DropletId,
        request: &DropletActionRequest,
    ) -> Result<ActionRecord, Error> {
        let (account, now) = (grant.account, self.now());
        let (control, request) = (self.clone(), request.clone());
        let kind = kind_of(&request);
        if let Ok(kind) = &kind {
            require(grant, more_scopes(*kind))?;
        }
        let refusal = kind.as_ref().err().map(ToString::to_string);
        let kind = kind.ok();
        let action = self
            .inner
            .store
            .write(move |tx: &mut dyn Tx| {
                // Existence comes before validation (ERR-9).
                let droplet = droplets::droplet_get(tx, account, id)?.ok_or(Error::NotFound)?;
                match (kind, &refusal) {
                    (Some(kind), _) => record(&control, tx, &droplet, kind, &request, now),
                    (None, refusal) => Err(Error::invalid(refusal.clone().unwrap_or_default())),
                }
            })
            .await?;
        self.inner.bell.notify_one();
        Ok(action)
    }

    /// Asks every Droplet with the tag to change: one action each, or none at all if one of them refuses (ACT-12).
    pub async fn droplet_act_by_tag(
        &self,
        grant: &Grant,
        tag: &str,
        request: &DropletActionRequest,
    ) -> Result<Vec<ActionRecord>, Error> {
        let kind = kind_of(request)?;
        if !BY_TAG.contains(&kind) {
            return Err(Error::invalid(format!("The action {kind} cannot be asked of a tag.")));
        }
        require(grant, more_scopes(kind))?;
        let (account, now): (AccountId, _) = (grant.account, self.now());
        let tag: Option<TagName> = tag.parse().ok();
        let (control, request) = (self.clone(), request.clone());
        let found = self
            .inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let mut all = Vec::new();
                let Some(tag) = &tag else { return Ok(all) };
                for id in tags::droplets_with_tag(tx, account, tag)? {
                    if let Some(droplet) = droplets::droplet_get(tx, account, id)? {
                        all.push(record(&control, tx, &droplet, kind, &request, now)?);
                    }
                }
                Ok::<_, Error>(all)
            })
            .await?;
        self.inner.bell.notify_one();
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_off_of_a_droplet_that_is_off_is_refused_in_the_words_clients_match_err_5() {
        let refusal = allowed(ActionKind::PowerOff, DropletStatus::Off).expect_err("it is off");
        assert_eq!(refusal.to_string(), "Droplet is already powered off");
        assert!(allowed(ActionKind::Shutdown, DropletStatus::Off).is_ok(), "shutdown of one that is off is no error");
    }

    #[test]
    fn a_type_that_is_unknown_or_lacks_its_member_is_refused_dac_10() {
        let kind = |json: &str| kind_of(&serde_json::from_str(json).expect("its shape is right"));
        assert!(kind(r#"{"type":"explode"}"#).is_err());
        assert!(kind(r#"{"type":"create"}"#).is_err());
        assert!(kind(r#"{}"#).is_err());
        assert!(kind(r#"{"type":"rename"}"#).is_err());
        assert!(kind(r#"{"type":"rename","name":"a b"}"#).is_err());
        assert_eq!(kind(r#"{"type":"rename","name":"web-2"}"#).ok(), Some(ActionKind::Rename));
    }
}
