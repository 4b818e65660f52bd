//! Images: the catalogue's public ones and the account's own, as one list.

mod act;
mod change;
mod import;

pub(crate) use change::{delete, delete_unless_in_use};
pub(crate) use import::checked_name;

use dewpoint_api::{AccountId, ImageId, PageRequest, TagName};
use dewpoint_store::{
    ImageRecord, Page, Tx, counters,
    images::{self, ImageFilter},
    tags,
};

use crate::{Control, Error, rest_of, window};

/// An account's own image with its tags.
#[derive(Clone, Debug)]
pub struct ImageView {
    /// The row.
    pub record: ImageRecord,
    /// Its tags.
    pub tags: Vec<TagName>,
}

pub(crate) fn image_views(tx: &mut dyn Tx, records: Vec<ImageRecord>) -> Result<Vec<ImageView>, Error> {
    let ids: Vec<ImageId> = records.iter().map(|record| record.id).collect();
    let mut tags = tags::tags_of_images(tx, &ids)?;
    Ok(records
        .into_iter()
        .map(|record| ImageView { tags: tags.remove(&record.id).unwrap_or_default(), record })
        .collect())
}

/// The account's own image, or why there is none: one that was deleted says so when it is deleted again (ERR-5).
pub(crate) fn own_image_get(tx: &mut dyn Tx, account: AccountId, id: ImageId) -> Result<ImageRecord, Error> {
    images::image_get(tx, account, id)?.ok_or(Error::NotFound)
}

impl Control {
    /// A page of a list that begins with `public` entries of the catalogue and goes on with the account's own: the range of
    /// the first to show, and the own ones after them. `total` counts both.
    pub async fn image_list(
        &self,
        account: AccountId,
        public: u64,
        own: Option<ImageFilter>,
        page: PageRequest,
    ) -> Result<Page<ImageView>, Error> {
        let rest = rest_of(window(page), public);
        let Some(filter) = own else { return Ok(Page { rows: Vec::new(), total: public }) };
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                let found = images::image_list(tx, account, &filter, rest)?;
                Ok(Page { rows: image_views(tx, found.rows)?, total: public + found.total })
            })
            .await
    }

    /// One of the account's own images.
    pub async fn image_get(&self, account: AccountId, id: ImageId) -> Result<ImageView, Error> {
        let found: Vec<ImageView> = self
            .inner
            .store
            .read(move |tx: &mut dyn Tx| {
                let record = own_image_get(tx, account, id)?;
                image_views(tx, vec![record])
            })
            .await?;
        found.into_iter().next().ok_or(Error::NotFound)
    }
}

/// Whether an image of this number and account was there once and is deleted now.
fn was_deleted(tx: &mut dyn Tx, account: AccountId, id: ImageId) -> Result<bool, Error> {
    if !counters::was_drawn(tx, counters::Sequence::Image, id.0)? {
        return Ok(false);
    }
    Ok(images::image_any(tx, id)?.is_some_and(|image| image.account == account && image.deleted_at.is_some()))
}
