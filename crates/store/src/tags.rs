//! Tags and what carries them.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
};

use dewpoint_api::{AccountId, DropletId, ImageId, TagName, VolumeId, VolumeSnapshotId};
use dewpoint_clock::Timestamp;

use crate::{
    Error, FromCell, Made, Page, Row, Tx, Value, Window, counters, feed::Thing, firewalls::follow, placeholders,
};

/// Makes sure the tag exists and returns it as it was first written: another case makes no second one (TAG-1).
pub fn tag_ensure(tx: &mut dyn Tx, account: AccountId, name: &TagName) -> Result<TagName, Error> {
    let folded = name.as_str().to_lowercase();
    let sql = "SELECT name FROM tags WHERE account_id = $1 AND name_folded = $2";
    if let Some(found) = tx.query_opt(sql, &[account.into(), (&folded).into()], |row| row.next::<TagName>())? {
        tx.note(Made::Tag(found.as_str().to_owned()));
        return Ok(found);
    }
    tx.note(Made::Tag(name.as_str().to_owned()));
    let sql = "INSERT INTO tags (account_id, name_folded, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    tx.execute(sql, &[account.into(), (&folded).into(), name.into()])?;
    tx.made(account, thing_of(name));
    Ok(name.clone())
}

/// Whether the account has this very tag, in this case.
pub fn tag_exists(tx: &mut dyn Tx, account: AccountId, name: &TagName) -> Result<bool, Error> {
    let sql = "SELECT COUNT(*) FROM tags WHERE account_id = $1 AND name_folded = $2 AND name = $3";
    let values = [account.into(), name.as_str().to_lowercase().into(), name.into()];
    tx.query_one(sql, &values, |row| row.next::<u64>()).map(|count| count > 0)
}

/// Those of these tags that the account has, in this case.
pub fn tags_known(tx: &mut dyn Tx, account: AccountId, names: &[TagName]) -> Result<HashSet<TagName>, Error> {
    if names.is_empty() {
        return Ok(HashSet::new());
    }
    let sql =
        format!("SELECT name FROM tags WHERE account_id = $1 AND name_folded IN ({})", placeholders(2, names.len()));
    let folded = names.iter().map(|name| name.folded().into());
    let values: Vec<Value<'_>> = std::iter::once(account.into()).chain(folded).collect();
    Ok(tx.query_all(&sql, &values, |row| row.next())?.into_iter().collect())
}

/// The account's tags by name.
pub fn tag_list(tx: &mut dyn Tx, account: AccountId, window: Window) -> Result<Page<TagName>, Error> {
    let from = "FROM tags WHERE account_id = $1";
    counters::page(tx, "name", from, "name_folded", &[account.into()], window, |row| row.next())
}

/// Removes the tag from everything and then itself; whether it was there.
pub fn tag_delete(tx: &mut dyn Tx, account: AccountId, name: &TagName) -> Result<bool, Error> {
    let sql = "DELETE FROM tag_resources WHERE account_id = $1 AND tag = $2
               RETURNING resource_type, resource_id, resource_number";
    let read = |row: &mut Row<'_>| Ok(Tagged { kind: row.next()?, id: row.next()?, number: row.next()? });
    let resources = tx.query_all(sql, &[account.into(), name.into()], read)?;
    for resource in &resources {
        resource.note_changed(tx, account);
    }
    let droplets: Vec<DropletId> = resources.iter().filter_map(Tagged::as_droplet).collect();
    follow::tag_gone(tx, account, name, &droplets)?;
    let sql = "DELETE FROM tags WHERE account_id = $1 AND name = $2";
    let removed = tx.execute(sql, &[account.into(), name.into()])? > 0;
    if removed {
        tx.gone(account, thing_of(name));
    }
    Ok(removed)
}

fn thing_of(tag: &TagName) -> Thing {
    Thing::Tag(tag.as_str().into())
}

/// A resource as tags name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tagged {
    /// `droplet`, `image`, `volume`, `volume_snapshot`, `database`.
    pub kind: String,
    /// Its id as text.
    pub id: String,
    /// Its id as a number, 0 when it has none.
    pub number: u64,
}

impl Tagged {
    /// A Droplet.
    pub fn droplet(id: DropletId) -> Self {
        Self { kind: "droplet".into(), id: id.to_string(), number: id.0 }
    }

    /// An image of an account.
    pub fn image(id: ImageId) -> Self {
        Self { kind: "image".into(), id: id.to_string(), number: id.0 }
    }

    /// A volume.
    pub fn volume(id: VolumeId) -> Self {
        Self { kind: "volume".into(), id: id.to_string(), number: 0 }
    }

    /// A snapshot of a volume.
    pub fn volume_snapshot(id: VolumeSnapshotId) -> Self {
        Self { kind: "volume_snapshot".into(), id: id.to_string(), number: 0 }
    }

    fn as_droplet(&self) -> Option<DropletId> {
        (self.kind == "droplet").then_some(DropletId(self.number))
    }

    /// Notes for the feed that its tags are others now.
    fn note_changed(&self, tx: &mut dyn Tx, account: AccountId) {
        let thing = match self.kind.as_str() {
            "droplet" => Some(DropletId(self.number).into()),
            "image" => Some(ImageId(self.number).into()),
            "volume" => self.id.parse::<VolumeId>().ok().map(Thing::from),
            "volume_snapshot" => self.id.parse::<VolumeSnapshotId>().ok().map(Thing::from),
            _ => None,
        };
        if let Some(thing) = thing {
            tx.changed(account, thing);
        }
    }
}

/// Puts the tag on a resource; already there is fine.
pub fn tag_resource(
    tx: &mut dyn Tx,
    account: AccountId,
    tag: &TagName,
    resource: &Tagged,
    now: Timestamp,
) -> Result<(), Error> {
    let sql = "INSERT INTO tag_resources (account_id, tag, resource_type, resource_id, resource_number, tagged_at)
               VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
    let values = [
        account.into(),
        tag.into(),
        (&resource.kind).into(),
        (&resource.id).into(),
        resource.number.into(),
        now.into(),
    ];
    if tx.execute(sql, &values)? > 0 {
        tx.changed(account, thing_of(tag));
        resource.note_changed(tx, account);
        if let Some(droplet) = resource.as_droplet() {
            follow::droplet_tagged(tx, account, droplet, tag)?;
        }
    }
    Ok(())
}

/// Takes the tag off a resource; not there is fine.
pub fn untag_resource(tx: &mut dyn Tx, account: AccountId, tag: &TagName, resource: &Tagged) -> Result<(), Error> {
    let sql = "DELETE FROM tag_resources WHERE account_id = $1 AND tag = $2 AND resource_type = $3
               AND resource_number = $4 AND resource_id = $5";
    let values = [account.into(), tag.into(), (&resource.kind).into(), resource.number.into(), (&resource.id).into()];
    if tx.execute(sql, &values)? > 0 {
        tx.changed(account, thing_of(tag));
        resource.note_changed(tx, account);
        if let Some(droplet) = resource.as_droplet() {
            follow::droplet_untagged(tx, account, droplet, tag)?;
        }
    }
    Ok(())
}

/// Takes every tag off a resource that goes away.
pub(crate) fn untag_everywhere(tx: &mut dyn Tx, kind: &str, number: u64, id: &str) -> Result<(), Error> {
    let sql = "DELETE FROM tag_resources WHERE resource_type = $1 AND resource_number = $2 AND resource_id = $3
               RETURNING account_id, tag";
    let read = |row: &mut Row<'_>| Ok((row.next::<AccountId>()?, row.next::<TagName>()?));
    for (account, tag) in tx.query_all(sql, &[kind.into(), number.into(), id.into()], read)? {
        tx.changed(account, thing_of(&tag));
    }
    Ok(())
}

/// The tags of these Droplets, by Droplet, in alphabetical order.
pub fn tags_of_droplets(tx: &mut dyn Tx, ids: &[DropletId]) -> Result<HashMap<DropletId, Vec<TagName>>, Error> {
    tags_of_numbered(tx, "droplet", ids)
}

/// The tags of these images of accounts, by image, in alphabetical order.
pub fn tags_of_images(tx: &mut dyn Tx, ids: &[ImageId]) -> Result<HashMap<ImageId, Vec<TagName>>, Error> {
    tags_of_numbered(tx, "image", ids)
}

fn tags_of_numbered<I>(tx: &mut dyn Tx, kind: &str, ids: &[I]) -> Result<HashMap<I, Vec<TagName>>, Error>
where
    I: Copy + Eq + Hash + FromCell + Into<Value<'static>>,
{
    let mut found: HashMap<I, Vec<TagName>> = HashMap::new();
    if ids.is_empty() {
        return Ok(found);
    }
    let sql = format!(
        "SELECT resource_number, tag FROM tag_resources WHERE resource_type = '{kind}' AND resource_number IN ({}) \
         ORDER BY tag",
        placeholders(1, ids.len())
    );
    let values: Vec<Value<'_>> = ids.iter().map(|id| (*id).into()).collect();
    tx.query_each(&sql, &values, &mut |row| {
        found.entry(row.next()?).or_default().push(row.next()?);
        Ok(())
    })?;
    Ok(found)
}

/// The tags of one volume, in alphabetical order.
pub fn tags_of_volume(tx: &mut dyn Tx, id: VolumeId) -> Result<Vec<TagName>, Error> {
    let sql =
        "SELECT tag FROM tag_resources WHERE resource_type = 'volume' AND resource_number = 0 AND resource_id = $1
               ORDER BY tag";
    tx.query_all(sql, &[id.into()], |row| row.next())
}

/// The tags of these snapshots of volumes, by snapshot, in alphabetical order.
pub fn tags_of_volume_snapshots(
    tx: &mut dyn Tx,
    ids: &[VolumeSnapshotId],
) -> Result<HashMap<VolumeSnapshotId, Vec<TagName>>, Error> {
    let mut found: HashMap<VolumeSnapshotId, Vec<TagName>> = HashMap::new();
    if ids.is_empty() {
        return Ok(found);
    }
    let sql = format!(
        "SELECT resource_id, tag FROM tag_resources WHERE resource_type = 'volume_snapshot' AND resource_number = 0 \
         AND resource_id IN ({}) ORDER BY tag",
        placeholders(1, ids.len())
    );
    let values: Vec<Value<'_>> = ids.iter().map(|id| (*id).into()).collect();
    tx.query_each(&sql, &values, &mut |row| {
        found.entry(row.next()?).or_default().push(row.next()?);
        Ok(())
    })?;
    Ok(found)
}

/// How many resources of one kind carry a tag, and which was tagged last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagUse {
    /// The kind: `droplet`, `volume`, …
    pub kind: String,
    /// How many.
    pub count: u64,
    /// The id of the one tagged last.
    pub last: String,
    /// When that was.
    pub tagged_at: Timestamp,
}

/// What carries the tag, kind by kind.
pub fn tag_uses(tx: &mut dyn Tx, account: AccountId, tag: &TagName) -> Result<Vec<TagUse>, Error> {
    let sql = "SELECT resource_type, COUNT(*), MAX(tagged_at) FROM tag_resources WHERE account_id = $1 AND tag = $2
               GROUP BY resource_type ORDER BY resource_type";
    let mut uses = tx.query_all(sql, &[account.into(), tag.into()], |row| {
        Ok(TagUse { kind: row.next()?, count: row.next()?, tagged_at: row.next()?, last: String::new() })
    })?;
    for one in &mut uses {
        let sql = "SELECT resource_id FROM tag_resources WHERE account_id = $1 AND tag = $2 AND resource_type = $3
                   AND tagged_at = $4 ORDER BY resource_number DESC, resource_id DESC LIMIT 1";
        let values = [account.into(), tag.into(), (&one.kind).into(), one.tagged_at.into()];
        one.last = tx.query_one(sql, &values, |row| row.next())?;
    }
    Ok(uses)
}

/// The Droplets that carry the tag, by ascending id.
pub fn droplets_with_tag(tx: &mut dyn Tx, account: AccountId, tag: &TagName) -> Result<Vec<DropletId>, Error> {
    let sql =
        "SELECT resource_number FROM tag_resources WHERE account_id = $1 AND tag = $2 AND resource_type = 'droplet'
               ORDER BY resource_number";
    tx.query_all(sql, &[account.into(), tag.into()], |row| row.next())
}
