//! Deleting Droplets: gone from the API with the answer, from the engine by the destroy action.

use dewpoint_api::{AccountId, ActionId, ActionKind, ActionStatus, DropletId, ImageId, ImageKind, TagName};
use dewpoint_clock::Timestamp;
use dewpoint_store::{ActionRecord, DropletRecord, Sequence, Tx, actions, addresses, counters, droplets, images, tags};

use crate::{
    Control, Error,
    actions::{NewAction, Resource, new_action},
    stock,
};

/// Removes the Droplet's row and its backups' rows, and records the actions that remove its machine and their bytes (DEL-3).
fn delete(tx: &mut dyn Tx, droplet: &DropletRecord, now: Timestamp) -> Result<(), Error> {
    match droplet.running_action {
        Some(create) if droplet.host.is_none() => return withdraw(tx, droplet, create, now),
        Some(_) => return Err(Error::Busy),
        None => {}
    }
    let has_gpus = droplet.gpu && stock::has_gpus(tx, droplet.id)?;
    let action = new_action(&NewAction {
        id: ActionId(counters::draw(tx, Sequence::Action, 1)?),
        account: droplet.account,
        kind: ActionKind::Destroy,
        resource: Resource::Droplet(droplet.id),
        region: Some(&droplet.region),
        request: if has_gpus { r#"{"gpus":"give_back"}"# } else { "{}" },
        now,
    });
    droplets::droplet_delete(tx, droplet.id)?;
    actions::action_insert(tx, &action)?;
    delete_backups(tx, droplet.id, now)
}

/// Withdraws a Droplet that still waits for room: it has no machine, and its create is over.
fn withdraw(tx: &mut dyn Tx, droplet: &DropletRecord, create: ActionId, now: Timestamp) -> Result<(), Error> {
    let action = actions::action_get(tx, droplet.account, create)?.ok_or(Error::Busy)?;
    let ended = ActionRecord {
        status: ActionStatus::Errored,
        reason: Some("the Droplet was deleted while it waited for room".to_owned()),
        completed_at: Some(now),
        ..action
    };
    if !actions::action_save(tx, &ended)? {
        return Err(Error::Busy);
    }
    droplets::droplet_delete(tx, droplet.id)?;
    addresses::address_release_all(tx, droplet.id, now)?;
    stock::release(tx, droplet.id)
}

/// Deletes the backups of a Droplet that goes (DEL-3).
pub(crate) fn delete_backups(tx: &mut dyn Tx, droplet: DropletId, now: Timestamp) -> Result<(), Error> {
    for (_, kind, image) in images::images_of_droplets(tx, &[droplet])? {
        if kind == ImageKind::Backup {
            delete_backup(tx, image, now)?;
        }
    }
    Ok(())
}

/// Deletes a backup; one that another Droplet is being made from right now is kept until that is done, and no longer.
fn delete_backup(tx: &mut dyn Tx, id: ImageId, now: Timestamp) -> Result<(), Error> {
    match images::image_any(tx, id)? {
        Some(_) if images::image_is_in_use(tx, id)? => Ok(images::image_expire(tx, id, now)?),
        Some(image) => crate::images::delete(tx, &image, now),
        None => Ok(()),
    }
}

impl Control {
    /// Deletes a Droplet: GET answers 404 from here on (DEL-1); refused while an action runs (DEL-2).
    pub async fn droplet_delete(&self, account: AccountId, id: DropletId) -> Result<(), Error> {
        let now = self.now();
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let droplet = droplets::droplet_get(tx, account, id)?.ok_or(Error::NotFound)?;
                delete(tx, &droplet, now)
            })
            .await?;
        self.links_changed();
        self.inner.bell.notify_one();
        Ok(())
    }

    /// Deletes every Droplet that carries the tag, or none if one of them is busy (DEL-4).
    pub async fn droplet_delete_by_tag(&self, account: AccountId, tag: &str) -> Result<(), Error> {
        let tag: TagName = tag.parse().map_err(|_| Error::NotFound)?;
        let now = self.now();
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                if !tags::tag_exists(tx, account, &tag)? {
                    return Err(Error::NotFound);
                }
                for id in tags::droplets_with_tag(tx, account, &tag)? {
                    if let Some(droplet) = droplets::droplet_get(tx, account, id)? {
                        delete(tx, &droplet, now)?;
                    }
                }
                Ok(())
            })
            .await?;
        self.links_changed();
        self.inner.bell.notify_one();
        Ok(())
    }
}
