//! Renaming and deleting the account's own images (IMG-5, IMG-6).

use dewpoint_api::{
    AccountId, ActionId, ActionKind, Distribution, ImageId, ImageIdOrSlug, ImageKind, ImageStatus, ImageUpdateRequest,
};
use dewpoint_clock::Timestamp;
use dewpoint_store::{
    ImageRecord, Sequence, Tx, actions, counters,
    images::{self, ImageChange},
};

use super::{ImageView, image_views, import::checked_name, own_image_get, was_deleted};
use crate::{
    Control, Error,
    actions::{NewAction, Resource, new_action},
};

/// Deletes the image's row and records the action that removes what its engine has of it.
pub(crate) fn delete(tx: &mut dyn Tx, image: &ImageRecord, now: Timestamp) -> Result<(), Error> {
    images::image_delete(tx, image.id, now)?;
    let action = new_action(&NewAction {
        id: ActionId(counters::draw(tx, Sequence::Action, 1)?),
        account: image.account,
        kind: ActionKind::Destroy,
        resource: Resource::Image(image.id),
        region: image.regions.first(),
        request: "{}",
        now,
    });
    actions::action_insert(tx, &action)?;
    Ok(())
}

/// Deletes the image if nothing is being made from it.
pub(crate) fn delete_unless_in_use(tx: &mut dyn Tx, image: &ImageRecord, now: Timestamp) -> Result<(), Error> {
    if images::image_is_in_use(tx, image.id)? {
        return Err(Error::invalid(
            "The image is in use: a Droplet is being made from it. Try again when that is done.",
        ));
    }
    delete(tx, image, now)
}

const ALREADY_DELETED: &str = "Image Can not delete an already deleted image.";

impl Control {
    /// Whether `named` is a public image, which nobody may change; otherwise the number of what may be an own one.
    fn own_number(&self, named: &ImageIdOrSlug) -> Result<ImageId, Error> {
        if self.catalogue().image_named(named).is_some() {
            return Err(Error::Forbidden("you do not have access for the attempted action".to_owned()));
        }
        match named {
            ImageIdOrSlug::Id(id) => Ok(*id),
            ImageIdOrSlug::Slug(_) => Err(Error::NotFound),
        }
    }

    /// Gives an own image another name; a custom one also another description or operating system.
    pub async fn image_update(
        &self,
        account: AccountId,
        named: &ImageIdOrSlug,
        request: ImageUpdateRequest,
    ) -> Result<ImageView, Error> {
        let id = self.own_number(named)?;
        let views: Vec<ImageView> = self
            .inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let record = own_image_get(tx, account, id)?;
                let custom = record.kind == ImageKind::Custom;
                if !custom && (request.description.is_some() || request.distribution.is_some()) {
                    return Err(Error::invalid("Only a custom image's description and distribution can be changed."));
                }
                let change = ImageChange {
                    name: request.name.clone().map(checked_name).transpose()?,
                    description: request.description.clone(),
                    distribution: request
                        .distribution
                        .as_deref()
                        .map(|text| Distribution::of(text).as_str().to_owned()),
                    ..ImageChange::default()
                };
                images::image_change(tx, id, &change)?;
                let record = own_image_get(tx, account, id)?;
                image_views(tx, vec![record])
            })
            .await?;
        views.into_iter().next().ok_or(Error::NotFound)
    }

    /// Deletes an own image: gone with the answer. One that is gone already says so (ERR-5).
    pub async fn image_delete(&self, account: AccountId, named: &ImageIdOrSlug) -> Result<(), Error> {
        let id = self.own_number(named)?;
        let now = self.now();
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| match images::image_get(tx, account, id)? {
                Some(image) if image.status == ImageStatus::Deleted => {
                    // An import that came to nothing: its row has told why, and may go now.
                    images::image_delete(tx, id, now)?;
                    Ok(())
                }
                Some(image) => delete_unless_in_use(tx, &image, now),
                None if was_deleted(tx, account, id)? => Err(Error::invalid(ALREADY_DELETED)),
                None => Err(Error::NotFound),
            })
            .await?;
        self.inner.bell.notify_one();
        Ok(())
    }
}
