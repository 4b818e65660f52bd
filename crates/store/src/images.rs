//! Images of accounts: snapshots and backups of Droplets, and custom images. The public ones are the catalogue's.

use std::collections::HashMap;

use dewpoint_api::{AccountId, DropletId, ImageId, ImageKind, ImageStatus, RegionSlug, TagName};
use dewpoint_clock::Timestamp;

use crate::{
    Error, Made, Page, Row, Tx, Value, Window,
    counters::{self, Order},
    placeholders,
    row::corrupt,
};

/// A row of `images`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRecord {
    /// Its number.
    pub id: ImageId,
    /// Whose it is.
    pub account: AccountId,
    /// How it came to be.
    pub kind: ImageKind,
    /// Its name for people.
    pub name: String,
    /// How far it has come.
    pub status: ImageStatus,
    /// The operating system in it.
    pub distribution: String,
    /// What it is, for people.
    pub description: String,
    /// Where it can be used.
    pub regions: Vec<RegionSlug>,
    /// The Droplet it was taken of, which may be gone.
    pub droplet: Option<DropletId>,
    /// The smallest disk it fits on, in GiB; none until that is known.
    pub min_disk_gib: Option<u64>,
    /// What it takes to keep, in bytes; none until that is known.
    pub size_bytes: Option<u64>,
    /// Where a custom image comes from.
    pub url: Option<String>,
    /// Why it came to nothing.
    pub error_message: String,
    /// When it was made: when its action was accepted.
    pub created_at: Timestamp,
    /// When a backup is no longer kept.
    pub expires_at: Option<Timestamp>,
    /// When it was deleted; such a row is only a name for the Droplets made from it.
    pub deleted_at: Option<Timestamp>,
}

/// Which images of an account a list shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageFilter {
    /// All of them.
    All,
    /// Those of one kind.
    Kind(ImageKind),
    /// Those of one kind, taken of one Droplet.
    Of(DropletId, ImageKind),
    /// Those with a tag.
    Tag(TagName),
}

const COLUMNS: &str = "id, account_id, kind, name, status, distribution, description, regions, droplet_id, min_disk_gib, \
                       size_bytes, url, error_message, created_at, expires_at, deleted_at";

fn read(row: &mut Row<'_>) -> Result<ImageRecord, Error> {
    Ok(ImageRecord {
        id: row.next()?,
        account: row.next()?,
        kind: row.next()?,
        name: row.next()?,
        status: row.next()?,
        distribution: row.next()?,
        description: row.next()?,
        regions: serde_json::from_str(&row.next::<String>()?).map_err(|e| corrupt("list of regions", &e))?,
        droplet: row.next()?,
        min_disk_gib: row.next()?,
        size_bytes: row.next()?,
        url: row.next()?,
        error_message: row.next()?,
        created_at: row.next()?,
        expires_at: row.next()?,
        deleted_at: row.next()?,
    })
}

fn regions_text(regions: &[RegionSlug]) -> Result<String, Error> {
    serde_json::to_string(regions).map_err(|error| Error::Database(error.to_string()))
}

/// The counted lists an image is on: the account's images, and those of its kind.
fn counted(tx: &mut dyn Tx, account: AccountId, kind: ImageKind, id: ImageId, change: i64) -> Result<(), Error> {
    counters::list_changed(tx, &format!("images:{account}"), id.0, change)?;
    counters::list_changed(tx, &kind_list(account, kind), id.0, change)
}

/// Notes for the feed that the Droplet this image was taken of lists others now, if it is still there.
fn droplet_lists_others(tx: &mut dyn Tx, droplet: Option<DropletId>) -> Result<(), Error> {
    let Some(id) = droplet else { return Ok(()) };
    let sql = "SELECT account_id FROM droplets WHERE id = $1";
    if let Some(account) = tx.query_opt(sql, &[id.into()], |row| row.next::<AccountId>())? {
        tx.changed(account, id);
    }
    Ok(())
}

fn kind_list(account: AccountId, kind: ImageKind) -> String {
    format!("images:{account}:{kind}")
}

/// Adds an image.
pub fn image_insert(tx: &mut dyn Tx, image: &ImageRecord) -> Result<(), Error> {
    tx.note(Made::Image(image.id));
    let sql = format!(
        "INSERT INTO images ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"
    );
    let i = image;
    let values = [
        i.id.into(),
        i.account.into(),
        i.kind.as_str().into(),
        (&i.name).into(),
        i.status.as_str().into(),
        (&i.distribution).into(),
        (&i.description).into(),
        regions_text(&i.regions)?.into(),
        i.droplet.into(),
        i.min_disk_gib.into(),
        i.size_bytes.into(),
        i.url.as_ref().into(),
        (&i.error_message).into(),
        i.created_at.into(),
        i.expires_at.into(),
        i.deleted_at.into(),
    ];
    tx.execute(&sql, &values)?;
    tx.made(i.account, i.id);
    droplet_lists_others(tx, i.droplet)?;
    counted(tx, i.account, i.kind, i.id, 1)
}

/// The image, unless it is deleted.
pub fn image_get(tx: &mut dyn Tx, account: AccountId, id: ImageId) -> Result<Option<ImageRecord>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM images WHERE id = $1 AND account_id = $2 AND deleted_at IS NULL");
    tx.query_opt(&sql, &[id.into(), account.into()], read)
}

/// The image of a number, whoever owns it and deleted or not: for the worker, and for Droplets made from it.
pub fn image_any(tx: &mut dyn Tx, id: ImageId) -> Result<Option<ImageRecord>, Error> {
    tx.query_opt(&format!("SELECT {COLUMNS} FROM images WHERE id = $1"), &[id.into()], read)
}

/// The images of these numbers, deleted or not, by number.
pub fn images_any(tx: &mut dyn Tx, ids: &[ImageId]) -> Result<HashMap<ImageId, ImageRecord>, Error> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = format!("SELECT {COLUMNS} FROM images WHERE id IN ({})", placeholders(1, ids.len()));
    let values: Vec<Value<'_>> = ids.iter().map(|id| (*id).into()).collect();
    Ok(tx.query_all(&sql, &values, read)?.into_iter().map(|image| (image.id, image)).collect())
}

/// A page of the account's images by ascending number. All and those of a kind: deep pages cost as much as the first.
pub fn image_list(
    tx: &mut dyn Tx,
    account: AccountId,
    filter: &ImageFilter,
    window: Window,
) -> Result<Page<ImageRecord>, Error> {
    match filter {
        ImageFilter::All => {
            let seek = counters::seek(tx, &format!("images:{account}"), window.skip, Order::Ascending)?;
            let sql = format!(
                "SELECT {COLUMNS} FROM images WHERE account_id = $1 AND deleted_at IS NULL AND id >= $2 \
                 ORDER BY id LIMIT $3 OFFSET $4"
            );
            let values = [account.into(), seek.bound.into(), window.take.into(), seek.skip.into()];
            Ok(Page { rows: tx.query_all(&sql, &values, read)?, total: seek.total })
        }
        ImageFilter::Kind(kind) => {
            let seek = counters::seek(tx, &kind_list(account, *kind), window.skip, Order::Ascending)?;
            let sql = format!(
                "SELECT {COLUMNS} FROM images WHERE account_id = $1 AND kind = $2 AND deleted_at IS NULL AND id >= $3 \
                 ORDER BY id LIMIT $4 OFFSET $5"
            );
            let values =
                [account.into(), kind.as_str().into(), seek.bound.into(), window.take.into(), seek.skip.into()];
            Ok(Page { rows: tx.query_all(&sql, &values, read)?, total: seek.total })
        }
        ImageFilter::Of(droplet, kind) => {
            let from = "FROM images WHERE droplet_id = $1 AND kind = $2 AND account_id = $3 AND deleted_at IS NULL";
            let values = [(*droplet).into(), kind.as_str().into(), account.into()];
            counters::page(tx, COLUMNS, from, "id", &values, window, read)
        }
        ImageFilter::Tag(tag) => {
            let from = "FROM images WHERE account_id = $1 AND deleted_at IS NULL AND id IN
                        (SELECT resource_number FROM tag_resources
                         WHERE account_id = $1 AND tag = $2 AND resource_type = 'image')";
            counters::page(tx, COLUMNS, from, "id", &[account.into(), tag.into()], window, read)
        }
    }
}

/// The snapshots and backups of these Droplets that are there, as `(Droplet, kind, image)` by number.
pub fn images_of_droplets(tx: &mut dyn Tx, ids: &[DropletId]) -> Result<Vec<(DropletId, ImageKind, ImageId)>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT droplet_id, kind, id FROM images WHERE droplet_id IN ({}) AND deleted_at IS NULL ORDER BY id",
        placeholders(1, ids.len())
    );
    let values: Vec<Value<'_>> = ids.iter().map(|id| (*id).into()).collect();
    tx.query_all(&sql, &values, |row| Ok((row.next()?, row.next()?, row.next()?)))
}

/// A change to an image; only what is `Some` is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageChange {
    /// Another name.
    pub name: Option<String>,
    /// Another description.
    pub description: Option<String>,
    /// Another operating system.
    pub distribution: Option<String>,
    /// How far it has come now.
    pub status: Option<ImageStatus>,
    /// Where it can be used now.
    pub regions: Option<Vec<RegionSlug>>,
    /// The smallest disk it fits on, in GiB, and what it takes to keep, in bytes.
    pub sizes: Option<(u64, u64)>,
    /// Why it came to nothing.
    pub error_message: Option<String>,
}

/// Writes `change` to an image that is not deleted; whether it is there.
pub fn image_change(tx: &mut dyn Tx, id: ImageId, change: &ImageChange) -> Result<bool, Error> {
    let Some(mut image) = image_any(tx, id)?.filter(|image| image.deleted_at.is_none()) else { return Ok(false) };
    let c = change.clone();
    image.name = c.name.unwrap_or(image.name);
    image.description = c.description.unwrap_or(image.description);
    image.distribution = c.distribution.unwrap_or(image.distribution);
    image.status = c.status.unwrap_or(image.status);
    image.regions = c.regions.unwrap_or(image.regions);
    image.error_message = c.error_message.unwrap_or(image.error_message);
    if let Some((disk, bytes)) = c.sizes {
        (image.min_disk_gib, image.size_bytes) = (Some(disk), Some(bytes));
    }
    let sql = "UPDATE images SET name = $1, description = $2, distribution = $3, status = $4, regions = $5,
               error_message = $6, min_disk_gib = $7, size_bytes = $8 WHERE id = $9";
    let values = [
        (&image.name).into(),
        (&image.description).into(),
        (&image.distribution).into(),
        image.status.as_str().into(),
        regions_text(&image.regions)?.into(),
        (&image.error_message).into(),
        image.min_disk_gib.into(),
        image.size_bytes.into(),
        id.into(),
    ];
    tx.change_one(sql, &values, id)
}

/// Makes a backup a snapshot, kept until someone deletes it; whether it was a backup.
pub fn image_convert(tx: &mut dyn Tx, id: ImageId) -> Result<bool, Error> {
    let backup = |image: &ImageRecord| image.kind == ImageKind::Backup && image.deleted_at.is_none();
    let Some(image) = image_any(tx, id)?.filter(backup) else { return Ok(false) };
    tx.execute("UPDATE images SET kind = 'snapshot', expires_at = NULL WHERE id = $1", &[id.into()])?;
    tx.changed(image.account, id);
    droplet_lists_others(tx, image.droplet)?;
    counters::list_changed(tx, &kind_list(image.account, ImageKind::Backup), id.0, -1)?;
    counters::list_changed(tx, &kind_list(image.account, ImageKind::Snapshot), id.0, 1)?;
    Ok(true)
}

/// Deletes an image: only its row stays, as a name for Droplets made from it. Whether it was there.
pub fn image_delete(tx: &mut dyn Tx, id: ImageId, now: Timestamp) -> Result<bool, Error> {
    let Some(image) = image_any(tx, id)?.filter(|image| image.deleted_at.is_none()) else { return Ok(false) };
    tx.execute("UPDATE images SET status = 'deleted', deleted_at = $1 WHERE id = $2", &[now.into(), id.into()])?;
    tx.gone(image.account, id);
    droplet_lists_others(tx, image.droplet)?;
    crate::tags::untag_everywhere(tx, "image", id.0, &id.to_string())?;
    counted(tx, image.account, image.kind, id, -1)?;
    Ok(true)
}

/// Backups that are kept no longer, the oldest first, at most `most`.
pub fn images_expired(tx: &mut dyn Tx, now: Timestamp, most: u32) -> Result<Vec<ImageRecord>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM images WHERE deleted_at IS NULL AND expires_at IS NOT NULL AND expires_at <= $1 \
         ORDER BY expires_at LIMIT $2"
    );
    tx.query_all(&sql, &[now.into(), most.into()], read)
}

/// Whether a Droplet is being made from this image, or built anew from it, right now.
pub fn image_is_in_use(tx: &mut dyn Tx, id: ImageId) -> Result<bool, Error> {
    // A Droplet is `new` for as long as its create runs. Each half has an index of its own.
    let sql = "SELECT (SELECT COUNT(*) FROM droplets WHERE image_id = $1 AND image_slug IS NULL AND status = 'new')
               + (SELECT COUNT(*) FROM droplets WHERE next_image_id = $1)";
    tx.query_one(sql, &[id.into()], |row| row.next::<u64>()).map(|count| count > 0)
}

/// Images that were deleted at `until` or before, above `after` by ascending number, at most `most`; with whether a Droplet is
/// there that was made from it, or is about to be.
pub fn images_long_deleted(
    tx: &mut dyn Tx,
    until: Timestamp,
    after: ImageId,
    most: u32,
) -> Result<Vec<(ImageId, bool)>, Error> {
    let sql = "SELECT id, EXISTS (SELECT 1 FROM droplets WHERE image_id = images.id AND image_slug IS NULL)
               OR EXISTS (SELECT 1 FROM droplets WHERE next_image_id = images.id)
               FROM images WHERE deleted_at IS NOT NULL AND deleted_at <= $1 AND id > $2 ORDER BY id LIMIT $3";
    tx.query_all(sql, &[until.into(), after.into(), most.into()], |row| Ok((row.next()?, row.next()?)))
}

/// Forgets a deleted image for good.
pub fn image_forget(tx: &mut dyn Tx, id: ImageId) -> Result<(), Error> {
    tx.execute("DELETE FROM images WHERE id = $1 AND deleted_at IS NOT NULL", &[id.into()]).map(drop)
}

/// Keeps a backup until `at` and no longer.
pub fn image_expire(tx: &mut dyn Tx, id: ImageId, at: Timestamp) -> Result<(), Error> {
    let sql = "UPDATE images SET expires_at = $1 WHERE id = $2 AND kind = 'backup' AND deleted_at IS NULL";
    tx.execute(sql, &[at.into(), id.into()]).map(drop)
}

/// When the next image stops being kept.
pub fn next_image_expiry(tx: &mut dyn Tx) -> Result<Option<Timestamp>, Error> {
    let sql = "SELECT MIN(expires_at) FROM images WHERE deleted_at IS NULL AND expires_at IS NOT NULL";
    tx.query_one(sql, &[], |row| row.next())
}

/// Images that are there, above `after` by ascending number, whoever owns them, at most `most`.
pub fn image_page_of_all(tx: &mut dyn Tx, after: ImageId, most: u32) -> Result<Vec<ImageRecord>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM images WHERE id > $1 AND deleted_at IS NULL ORDER BY id LIMIT $2");
    tx.query_all(&sql, &[after.into(), most.into()], read)
}
