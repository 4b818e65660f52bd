//! Tags and what they are put on.

use dewpoint_api::{AccountId, DropletId, PageRequest, Scope, TagName, TagResource, VolumeId};
use dewpoint_store::{Page, Tx, tags, tags::TagUse, tags::Tagged, volumes};

use crate::{Control, Error, Grant, window};

/// A tag and what carries it.
#[derive(Clone, Debug)]
pub struct TagView {
    /// Its name as it was first written.
    pub name: TagName,
    /// What carries it, kind by kind.
    pub uses: Vec<TagUse>,
}

fn tag_view(tx: &mut dyn Tx, account: AccountId, name: TagName) -> Result<TagView, Error> {
    let uses = tags::tag_uses(tx, account, &name)?;
    Ok(TagView { name, uses })
}

/// Whether the resource is there for `account`, and what tagging it needs: 404 otherwise (TAG-3).
fn resolve(tx: &mut dyn Tx, account: AccountId, resource: &TagResource) -> Result<(Tagged, Scope), Error> {
    match resource.resource_type.as_str() {
        "droplet" => {
            let id: DropletId = resource.resource_id.parse().map_err(|_| Error::NotFound)?;
            dewpoint_store::droplets::droplet_get(tx, account, id)?.ok_or(Error::NotFound)?;
            Ok((Tagged::droplet(id), Scope::DropletUpdate))
        }
        "volume" => {
            let id: VolumeId = resource.resource_id.parse().map_err(|_| Error::NotFound)?;
            volumes::volume_get(tx, account, id)?.ok_or(Error::NotFound)?;
            Ok((Tagged::volume(id), Scope::BlockStorageUpdate))
        }
        "image" | "volume_snapshot" | "database" => Err(Error::NotFound),
        other => Err(Error::invalid(format!(
            "resource_type {other:?} cannot be tagged: it must be droplet, image, volume, volume_snapshot or database."
        ))),
    }
}

impl Control {
    /// Makes the tag, or returns the one that is there (TAG-2).
    pub async fn tag_create(&self, account: AccountId, name: &str) -> Result<TagView, Error> {
        let name: TagName = name.parse()?;
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let name = tags::tag_ensure(tx, account, &name)?;
                tag_view(tx, account, name)
            })
            .await
    }

    /// One tag; another case does not match (TAG-1).
    pub async fn tag_get(&self, account: AccountId, name: &str) -> Result<TagView, Error> {
        let name: TagName = name.parse().map_err(|_| Error::NotFound)?;
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                if !tags::tag_exists(tx, account, &name)? {
                    return Err(Error::NotFound);
                }
                tag_view(tx, account, name.clone())
            })
            .await
    }

    /// The account's tags by name.
    pub async fn tag_list(&self, account: AccountId, page: PageRequest) -> Result<Page<TagView>, Error> {
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                let names = tags::tag_list(tx, account, window(page))?;
                let rows: Result<Vec<_>, Error> =
                    names.rows.into_iter().map(|name| tag_view(tx, account, name)).collect();
                Ok(Page { rows: rows?, total: names.total })
            })
            .await
    }

    /// Takes the tag off everything and removes it (TAG-2).
    pub async fn tag_delete(&self, account: AccountId, name: &str) -> Result<(), Error> {
        let name: TagName = name.parse().map_err(|_| Error::NotFound)?;
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| tags::tag_delete(tx, account, &name)?.then_some(()).ok_or(Error::NotFound))
            .await
    }

    /// Puts the tag on resources, or takes it off: on all of them or on none (TAG-3).
    pub async fn tag_resources(
        &self,
        grant: &Grant,
        name: &str,
        resources: Vec<TagResource>,
        change: TagChange,
    ) -> Result<(), Error> {
        let name: TagName = name.parse().map_err(|_| Error::NotFound)?;
        if resources.is_empty() {
            return Err(Error::invalid("resources is required and cannot be empty."));
        }
        let (account, scopes, now) = (grant.account, grant.scopes, self.now());
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                if !tags::tag_exists(tx, account, &name)? {
                    return Err(Error::NotFound);
                }
                for resource in &resources {
                    let (tagged, scope) = resolve(tx, account, resource)?;
                    if !scopes.allows(scope) {
                        return Err(Error::Forbidden("You are not authorized to perform this operation.".to_owned()));
                    }
                    match change {
                        TagChange::Put => tags::tag_resource(tx, account, &name, &tagged, now)?,
                        TagChange::Remove => tags::untag_resource(tx, account, &name, &tagged)?,
                    }
                }
                Ok(())
            })
            .await
    }
}

/// What to do with a tag and some resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagChange {
    /// Put it on them.
    Put,
    /// Take it off them.
    Remove,
}
