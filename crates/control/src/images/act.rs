//! Actions on the account's own images: `transfer` to another region, `convert` of a backup (IMG-7).

use dewpoint_api::{
    AccountId, ActionId, ActionKind, ImageActionRequest, ImageId, ImageKind, ImageStatus, RegionSlug, ResourceType,
};
use dewpoint_store::{ActionRecord, ImageRecord, Page, Sequence, Tx, Window, actions, counters};

use super::own_image_get;
use crate::{
    Catalogue, Control, Error,
    actions::{NewAction, Resource, new_action},
};

/// What is asked, checked as far as that goes without the image.
fn wanted(catalogue: &Catalogue, request: &ImageActionRequest) -> Result<(ActionKind, Option<RegionSlug>), Error> {
    match request.kind.parse() {
        Ok(ActionKind::Transfer) => {
            let region =
                request.region.clone().ok_or_else(|| Error::invalid("region is required to transfer an image."))?;
            if catalogue.region(&region).is_none() {
                return Err(Error::invalid(format!("There is no region {region}.")));
            }
            Ok((ActionKind::Transfer, Some(region)))
        }
        Ok(ActionKind::Convert) => Ok((ActionKind::Convert, None)),
        Ok(_) | Err(_) if request.kind.is_empty() => Err(Error::invalid("type is required.")),
        Ok(_) | Err(_) => Err(Error::invalid(format!("type {:?} is not an action an image has.", request.kind))),
    }
}

/// Whether the image's state allows it: a pure check.
fn allowed(image: &ImageRecord, kind: ActionKind, region: Option<&RegionSlug>) -> Result<(), Error> {
    if image.status != ImageStatus::Available {
        return Err(Error::invalid("The image is not available yet."));
    }
    match kind {
        ActionKind::Convert if image.kind != ImageKind::Backup => {
            Err(Error::invalid("Only a backup can be converted to a snapshot."))
        }
        _ => match region {
            Some(region) if image.regions.contains(region) => {
                Err(Error::invalid(format!("The image is in region {region} already.")))
            }
            _ => Ok(()),
        },
    }
}

impl Control {
    /// Asks for a change of an own image; the action is in progress when this returns.
    pub async fn image_act(
        &self,
        account: AccountId,
        id: ImageId,
        request: &ImageActionRequest,
    ) -> Result<ActionRecord, Error> {
        if self.catalogue().image(id).is_some() {
            return Err(Error::invalid("A public image is in all its regions, and stays what it is."));
        }
        let now = self.now();
        let wanted = wanted(self.catalogue(), request).map_err(|refusal| refusal.to_string());
        let text =
            serde_json::to_string(request).map_err(|_| Error::Malformed("the request cannot be kept".to_owned()))?;
        let action = self
            .inner
            .store
            .write(move |tx: &mut dyn Tx| {
                // Existence comes before validation (ERR-9).
                let image = own_image_get(tx, account, id)?;
                let (kind, region) = wanted.clone().map_err(Error::Invalid)?;
                allowed(&image, kind, region.as_ref())?;
                let action = new_action(&NewAction {
                    id: ActionId(counters::draw(tx, Sequence::Action, 1)?),
                    account,
                    kind,
                    resource: Resource::Image(id),
                    region: region.as_ref().or(image.regions.first()),
                    request: &text,
                    now,
                });
                actions::action_insert(tx, &action)?;
                Ok::<_, Error>(action)
            })
            .await?;
        self.inner.bell.notify_one();
        Ok(action)
    }

    /// All actions of an image, newest first. A public one has none.
    pub async fn image_action_list(&self, account: AccountId, id: ImageId) -> Result<Page<ActionRecord>, Error> {
        if self.catalogue().image(id).is_some() {
            return Ok(Page { rows: Vec::new(), total: 0 });
        }
        let all = Window { skip: 0, take: u32::MAX };
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                own_image_get(tx, account, id)?;
                Ok(actions::action_list_of(tx, account, ResourceType::Image, id.0, all)?)
            })
            .await
    }

    /// One action of one image, which may be deleted by now.
    pub async fn image_action_get(
        &self,
        account: AccountId,
        image: ImageId,
        id: ActionId,
    ) -> Result<ActionRecord, Error> {
        let action = self.action_get(account, id).await?;
        let of_image = action.resource_type == ResourceType::Image && action.resource_id == Some(image.0);
        if of_image { Ok(action) } else { Err(Error::NotFound) }
    }
}
