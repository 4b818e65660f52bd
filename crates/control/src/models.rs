//! Models that are added to a running server. Whether what is named is a model, and what answers for it, is `server`'s to find out.

use dewpoint_api::AccountId;
use dewpoint_clock::Timestamp;
use dewpoint_store::{Error as StoreError, ModelRecord, ModelSource, ModelState, Page, Tx, models};

use crate::{Control, Error, window};

/// Most characters of a model's name.
const NAME_MAX: usize = 128;

/// Checks the name of a model: it is a word of paths, of files and of requests. Names of published models have a slash.
pub fn check_name(name: &str) -> Result<(), Error> {
    let is_good = |character: char| character.is_ascii_alphanumeric() || "-_.:".contains(character);
    let begins_well = |part: &str| part.chars().next().is_some_and(|first| first.is_ascii_alphanumeric());
    if name.len() <= NAME_MAX && name.split('/').all(|part| begins_well(part) && part.chars().all(is_good)) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "name has to have from 1 to {NAME_MAX} letters, digits, dots, dashes, colons, underscores and slashes; it begins with a \
         letter or digit, and so does what follows a slash."
    )))
}

impl Control {
    /// Adds a model of this account's.
    ///
    /// Fails with [`Error::Conflict`] when there is one of that name.
    pub async fn model_add(
        &self,
        account: AccountId,
        (name, owner): (String, String),
        (source, state): (ModelSource, ModelState),
    ) -> Result<ModelRecord, Error> {
        check_name(&name)?;
        let created_at = self.now();
        let record = ModelRecord { name, account, owner, source, state, why: None, revision: 0, created_at };
        let row = record.clone();
        let adding = self.inner.store.write(move |tx: &mut dyn Tx| match models::model_insert(tx, &row) {
            Err(StoreError::Duplicate) => Err(Error::Conflict(format!(
                "There is a model {} already. Delete it first, or take another name.",
                row.name
            ))),
            inserted => Ok(inserted?),
        });
        adding.await?;
        Ok(record)
    }

    /// The models that were added, oldest first.
    pub async fn model_list(&self, page: dewpoint_api::PageRequest) -> Result<Page<ModelRecord>, Error> {
        self.inner.store.read(move |tx| models::model_list(tx, window(page)).map_err(Error::from)).await
    }

    /// The model of this name.
    pub async fn model_get(&self, name: &str) -> Result<ModelRecord, Error> {
        let name = name.to_owned();
        self.inner.store.read(move |tx: &mut dyn Tx| models::model_get(tx, &name)?.ok_or(Error::NotFound)).await
    }

    /// Takes a model away.
    pub async fn model_delete(&self, name: &str) -> Result<ModelRecord, Error> {
        let name = name.to_owned();
        self.inner.store.write(move |tx: &mut dyn Tx| models::model_delete(tx, &name)?.ok_or(Error::NotFound)).await
    }

    /// Notes how far the model is that was added under this name at that time, if it still is there; whether it is.
    pub async fn model_progress(
        &self,
        (name, created_at): (String, Timestamp),
        (state, why): (ModelState, Option<String>),
        source: ModelSource,
    ) -> Result<bool, Error> {
        let noting = self.inner.store.write(move |tx: &mut dyn Tx| {
            Ok::<_, Error>(models::model_progress(tx, &name, created_at, (state, why.as_deref()), &source)?)
        });
        noting.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_goes_into_paths_and_files_as_it_is() {
        for good in ["smollm2", "llama-3.1:8b", "A_b.c", "7", "meta-llama/Llama-3.1-8B", &"x".repeat(NAME_MAX)] {
            assert!(check_name(good).is_ok(), "{good:?}");
        }
        for bad in [
            "",
            ".",
            "..",
            ".hidden",
            "-x",
            "/a",
            "a/",
            "a//b",
            "a/../b",
            "a/.b",
            "a b",
            "ä",
            "a\0",
            "a%2f",
            &"x".repeat(NAME_MAX + 1),
        ] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
