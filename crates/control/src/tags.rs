//! Tags and what they are put on.

use dewpoint_api::{
    AccountId, DropletId, ImageId, PageRequest, Scope, TagName, TagResource, VolumeId, VolumeSnapshotId, rules,
};
use dewpoint_store::{Page, Tx, droplets, tags, tags::TagUse, tags::Tagged, volume_snapshots, volumes};

use crate::{Control, Error, Grant, images::own_image_get, window};

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

/// A kind of resource that can carry tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Droplet,
    Volume,
    Image,
    VolumeSnapshot,
    /// One of which there are none yet.
    Absent,
}

/// The kind a request names, and what changing the tags of such a resource needs beside the right to tag (AUTH-5).
fn kind_of(resource: &TagResource) -> Result<(Kind, Option<Scope>), Error> {
    match resource.resource_type.as_str() {
        "droplet" => Ok((Kind::Droplet, Some(Scope::DropletUpdate))),
        "volume" => Ok((Kind::Volume, Some(Scope::BlockStorageUpdate))),
        "image" => Ok((Kind::Image, Some(Scope::ImageUpdate))),
        "volume_snapshot" => Ok((Kind::VolumeSnapshot, Some(Scope::BlockStorageSnapshotUpdate))),
        "database" => Ok((Kind::Absent, None)),
        other => Err(Error::invalid(format!(
            "resource_type {other:?} cannot be tagged: it must be droplet, image, volume, volume_snapshot or database."
        ))),
    }
}

/// The resource, if it is there for `account`: 404 otherwise (TAG-3).
fn resolve(tx: &mut dyn Tx, account: AccountId, kind: Kind, id: &str) -> Result<Tagged, Error> {
    match kind {
        Kind::Droplet => {
            let id: DropletId = id.parse().map_err(|_| Error::NotFound)?;
            droplets::droplet_get(tx, account, id)?.ok_or(Error::NotFound)?;
            Ok(Tagged::droplet(id))
        }
        Kind::Volume => {
            let id: VolumeId = id.parse().map_err(|_| Error::NotFound)?;
            volumes::volume_get(tx, account, id)?.ok_or(Error::NotFound)?;
            Ok(Tagged::volume(id))
        }
        Kind::Image => {
            let id: ImageId = id.parse().map_err(|_| Error::NotFound)?;
            own_image_get(tx, account, id)?;
            Ok(Tagged::image(id))
        }
        Kind::VolumeSnapshot => {
            let id: VolumeSnapshotId = id.parse().map_err(|_| Error::NotFound)?;
            volume_snapshots::volume_snapshot_get(tx, account, id)?.ok_or(Error::NotFound)?;
            Ok(Tagged::volume_snapshot(id))
        }
        Kind::Absent => Err(Error::NotFound),
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
            .await?;
        // Firewalls may go by it.
        self.network_changed();
        Ok(())
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
        rules::listed("resources", resources.len())?;
        // What the token may do comes before what there is (ERR-9).
        let mut wanted = Vec::with_capacity(resources.len());
        for resource in resources {
            let (kind, scope) = kind_of(&resource)?;
            if scope.is_some_and(|scope| !grant.scopes.allows(scope)) {
                return Err(Error::Forbidden("You are not authorized to perform this operation.".to_owned()));
            }
            wanted.push((kind, resource.resource_id));
        }
        let (account, now) = (grant.account, self.now());
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                if !tags::tag_exists(tx, account, &name)? {
                    return Err(Error::NotFound);
                }
                for (kind, id) in &wanted {
                    let tagged = resolve(tx, account, *kind, id)?;
                    match change {
                        TagChange::Put => tags::tag_resource(tx, account, &name, &tagged, now)?,
                        TagChange::Remove => tags::untag_resource(tx, account, &name, &tagged)?,
                    }
                }
                Ok::<_, Error>(())
            })
            .await?;
        // Firewalls may go by it.
        self.network_changed();
        Ok(())
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
