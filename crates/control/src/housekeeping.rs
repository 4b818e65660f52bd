//! What nobody asks for any more goes after a while, so that a store does not grow with its history: rows of images that were
//! deleted, which are only names, teardowns that are over, and addresses that have rested.

use dewpoint_api::ImageId;
use dewpoint_store::{Tx, addresses, images, teardowns};

use crate::{Control, Error};

/// Most rows that go in one transaction.
const PAGE: u32 = 500;

impl Control {
    /// Forgets what was deleted or over more than [`crate::ControlConfig::history_keep`] ago; how many rows that were.
    ///
    /// The row of an image stays for as long as a Droplet is there that was made from it.
    pub async fn forget_round(&self) -> Result<u64, Error> {
        let until = self.now() - self.config().history_keep;
        let store = &self.inner.store;
        let (mut forgotten, mut after) = (0, ImageId(0));
        loop {
            let page: Vec<(ImageId, bool)> = store
                .read(move |tx: &mut dyn Tx| images::images_long_deleted(tx, until, after, PAGE).map_err(Error::from))
                .await?;
            let Some((last, _)) = page.last() else { break };
            after = *last;
            let ids: Vec<ImageId> = page.into_iter().filter(|(_, named)| !named).map(|(id, _)| id).collect();
            if !ids.is_empty() {
                forgotten += ids.len() as u64;
                let forget = move |tx: &mut dyn Tx| ids.iter().try_for_each(|id| images::image_forget(tx, *id));
                store.write(move |tx: &mut dyn Tx| forget(tx).map_err(Error::from)).await?;
            }
        }
        let rested = self.rested();
        loop {
            let forget = move |tx: &mut dyn Tx| addresses::address_forget_rested(tx, rested, PAGE);
            let gone: u64 = store.write(move |tx: &mut dyn Tx| forget(tx).map_err(Error::from)).await?;
            if gone < u64::from(PAGE) {
                break;
            }
        }
        loop {
            let gone: u64 = store
                .write(move |tx: &mut dyn Tx| teardowns::teardown_forget(tx, until, PAGE).map_err(Error::from))
                .await?;
            forgotten += gone;
            if gone < u64::from(PAGE) {
                return Ok(forgotten);
            }
        }
    }
}
