//! Images, and their actions.

use std::borrow::Borrow;

use dewpoint_api::{
    Action, ActionId, Image, ImageActionRequest, ImageId, ImageUpdateRequest, PublicImageSort, RegionSlug,
};

use crate::{Call, CreateImage, Kept, List, envelope, operations as op, types::ImageName};

groups! {
    /// Images: what a Droplet's disk starts as.
    Images;
    /// Actions of images.
    ImageActions;
}

leads! { Images {
    /// Actions of images.
    actions -> ImageActions;
} }

impl Images {
    /// `GET /v2/images`.
    pub fn list(&self) -> List<Image> {
        self.0.list(&op::IMAGES_LIST, &[])
    }

    /// `POST /v2/images`: fetches an image from an address. Its status is `NEW` until it is there.
    pub fn create(&self, wanted: impl Borrow<CreateImage>) -> Call<Kept<Image>> {
        self.0.one_from(&op::IMAGES_CREATE_CUSTOM, &[], wanted.borrow())
    }

    /// `GET /v2/images/{id}`: by number, or by a public image's slug.
    #[doc(alias = "retrieve")]
    pub fn get(&self, image: impl Into<ImageName>) -> Call<Kept<Image>> {
        self.0.one(&op::IMAGES_GET, &[&image.into()])
    }

    /// `PUT /v2/images/{id}`: what the request does not name stays.
    pub fn update(&self, id: impl Into<ImageId>, wanted: &ImageUpdateRequest) -> Call<Kept<Image>> {
        self.0.one_from(&op::IMAGES_UPDATE, &[&id.into()], wanted)
    }

    /// `PUT /v2/images/{id}` with a new name.
    pub fn rename(&self, id: impl Into<ImageId>, name: &str) -> Call<Kept<Image>> {
        self.update(id, &ImageUpdateRequest { name: Some(name.to_owned()), ..ImageUpdateRequest::default() })
    }

    /// `DELETE /v2/images/{id}`.
    pub fn delete(&self, id: impl Into<ImageId>) -> Call<()> {
        self.0.done(&op::IMAGES_DELETE, &[&id.into()])
    }
}

impl List<Image> {
    /// Only public distributions, or only public applications.
    pub fn public(self, sort: PublicImageSort) -> Self {
        self.query("type", sort)
    }

    /// Only the account's own.
    pub fn private(self) -> Self {
        self.query("private", true)
    }

    /// Only those with a tag.
    pub fn tag(self, tag: &str) -> Self {
        self.query("tag_name", tag)
    }
}

impl ImageActions {
    /// `GET /v2/images/{id}/actions`: all of them, newest first; there are no pages.
    pub fn list(&self, id: impl Into<ImageId>) -> List<Action> {
        self.0.list(&op::IMAGE_ACTIONS_LIST, &[&id.into()])
    }

    /// `GET /v2/images/{id}/actions/{action}`.
    #[doc(alias = "retrieve")]
    pub fn get(&self, id: impl Into<ImageId>, action: impl Into<ActionId>) -> Call<Kept<Action>> {
        self.0.call(&op::IMAGE_ACTIONS_GET, &[&id.into(), &action.into()], None, bare_action)
    }

    /// `POST /v2/images/{id}/actions`: an action of any kind.
    #[doc(alias = "create")]
    pub fn initiate(&self, id: impl Into<ImageId>, wanted: &ImageActionRequest) -> Call<Kept<Action>> {
        self.0.call(&op::IMAGE_ACTIONS_POST, &[&id.into()], Some(wanted), bare_action)
    }

    /// Brings an image to another region.
    pub fn transfer(&self, id: impl Into<ImageId>, region: impl Into<RegionSlug>) -> Call<Kept<Action>> {
        self.initiate(id, &ImageActionRequest { kind: "transfer".to_owned(), region: Some(region.into()) })
    }

    /// Turns a backup into a snapshot, which stays.
    pub fn convert(&self, id: impl Into<ImageId>) -> Call<Kept<Action>> {
        self.initiate(id, &ImageActionRequest { kind: "convert".to_owned(), region: None })
    }
}

/// An image's action stands at the root of the answer, or under its name, or both (behaviour rule ACT-10).
fn bare_action(body: &[u8]) -> Result<Kept<Action>, String> {
    envelope::one(body).or_else(|_| envelope::whole(body))
}
