//! The work of a `destroy` with associated resources (DEL-5 to DEL-8): part after part, each recorded with its end. What fails
//! is recorded too, and the others go on. Cut off anywhere, the parts that are not recorded are done again.
//!
//! Of each part the engine's side goes first and the row after it, so what could not be destroyed is still there to be seen
//! and to be tried again.

use std::net::IpAddr;

use dewpoint_api::{DropletId, ImageId, ImageStatus, VolumeId, VolumeSnapshotId};
use dewpoint_engine::{self as engine, ImageName};
use dewpoint_store::{
    ActionRecord, Family, PartKind, ReservedIpRecord, TeardownPart, TeardownRecord, Tx, VolumeRecord, actions,
    addresses, droplets, images, images::ImageChange, reserved_ips, teardowns, volume_snapshots, volumes,
};

use super::{
    drive,
    flow::{Context, own_image, own_volume_image},
    gpus, reserved_ip, volume,
    worker::chain,
};
use crate::{
    Error,
    droplets::delete_backups,
    stock::{self, Parking},
};

const ENGINE_FAILED: &str = "It could not be removed from its host. The server's log says why; try again.";

/// Destroys what is left. Fails when something could not be: with an error that may pass, if there was one.
pub(super) async fn destroy_parts(cx: &Context) -> Result<(), Error> {
    let (account, droplet) = (cx.action.account, cx.droplet);
    let store = &cx.control.inner.store;
    let teardown: TeardownRecord = store
        .read(move |tx: &mut dyn Tx| teardowns::teardown_get(tx, account, droplet)?.ok_or(Error::NotFound))
        .await?;
    let mut failure: Option<Error> = None;
    for part in teardown.parts.into_iter().filter(|part| part.destroyed_at_ms.is_none()) {
        let Err(error) = destroy(cx, &part).await else { continue };
        tracing::warn!(droplet.id = %droplet, error = %chain(&error), "Cannot destroy {:?} {}", part.kind, part.id);
        let told = match &error {
            Error::Engine(_) | Error::Store(_) => ENGINE_FAILED.to_owned(),
            other => other.to_string(),
        };
        record(cx, &part, move |part| part.error = Some(told.clone()), |_| Ok(())).await?;
        if failure.as_ref().is_none_or(|known| !drive::is_transient(known)) {
            failure = Some(error);
        }
    }
    failure.map_or(Ok(()), Err)
}

/// Writes what became of a part together with what `also` does, if this worker still has the action.
async fn record(
    cx: &Context,
    part: &TeardownPart,
    change: impl Fn(&mut TeardownPart) + Send + Sync + 'static,
    also: impl Fn(&mut dyn Tx) -> Result<(), Error> + Send + Sync + 'static,
) -> Result<(), Error> {
    let (action, wanted) = (cx.action.clone(), part.clone());
    cx.control
        .inner
        .store
        .write(move |tx: &mut dyn Tx| {
            still_mine(tx, &action)?;
            let droplet = action.droplet.unwrap_or_default();
            let mut teardown = teardowns::teardown_get(tx, action.account, droplet)?.ok_or(Error::NotFound)?;
            let same = |part: &&mut TeardownPart| part.kind == wanted.kind && part.id == wanted.id;
            if let Some(part) = teardown.parts.iter_mut().find(same) {
                change(part);
            }
            also(tx)?;
            Ok(teardowns::teardown_put(tx, &teardown)?)
        })
        .await
}

fn still_mine(tx: &mut dyn Tx, action: &ActionRecord) -> Result<(), Error> {
    let now = actions::action_get(tx, action.account, action.id)?;
    let mine = now.is_some_and(|now| now.attempt == action.attempt && now.status == action.status);
    mine.then_some(()).ok_or_else(|| Error::Conflict("another worker has this action".to_owned()))
}

/// Records that the part is gone, with what removes its row.
async fn gone(
    cx: &Context,
    part: &TeardownPart,
    also: impl Fn(&mut dyn Tx) -> Result<(), Error> + Send + Sync + 'static,
) -> Result<(), Error> {
    let now = cx.control.now().as_millis();
    let change = move |part: &mut TeardownPart| {
        part.destroyed_at_ms = Some(now);
        part.error = None;
    };
    record(cx, part, change, also).await
}

fn unreadable<E>(_: E) -> Error {
    Error::invalid("the stored part has no readable id")
}

async fn destroy(cx: &Context, part: &TeardownPart) -> Result<(), Error> {
    match part.kind {
        PartKind::Droplet => destroy_droplet(cx, part).await,
        PartKind::Volume => destroy_volume(cx, part, part.id.parse().map_err(unreadable)?).await,
        PartKind::Snapshot => destroy_snapshot(cx, part, part.id.parse().map_err(unreadable)?).await,
        PartKind::VolumeSnapshot => destroy_volume_snapshot(cx, part, part.id.parse().map_err(unreadable)?).await,
        PartKind::ReservedIp => destroy_reserved_ip(cx, part, part.id.parse().map_err(unreadable)?).await,
    }
}

/// The machine, the row with all that goes with it, the addresses and the backups (DEL-3).
async fn destroy_droplet(cx: &Context, part: &TeardownPart) -> Result<(), Error> {
    if let Err(error) = cx.engine().destroy(cx.machine()).await
        && !cx.machine_is_gone().await
    {
        return Err(error.into());
    }
    let (id, now) = (cx.droplet, cx.control.now());
    let store = &cx.control.inner.store;
    let has_gpus: bool = store.read(move |tx: &mut dyn Tx| stock::has_gpus(tx, id)).await?;
    let parking = match has_gpus {
        true => take_back_gpus(cx).await?,
        false => Parking::Some(Vec::new()),
    };
    gone(cx, part, move |tx| {
        stock::park(tx, id, &parking)?;
        droplets::droplet_delete(tx, id)?;
        addresses::address_release_all(tx, id, now)?;
        stock::release(tx, id)?;
        delete_backups(tx, id, now)
    })
    .await
}

/// Takes back the GPUs of a machine that is gone. Fails only while trying again may help: then they are parked.
async fn take_back_gpus(cx: &Context) -> Result<Parking, Error> {
    match cx.control.give_back_gpus(cx.droplet).await {
        Ok(parked) => Ok(Parking::Some(parked)),
        Err(error) if drive::is_transient(&error) && !drive::is_last_try(&cx.action) => Err(error),
        Err(error) => Ok(Parking::All(gpus::could_not(&error))),
    }
}

async fn destroy_volume(cx: &Context, part: &TeardownPart, id: VolumeId) -> Result<(), Error> {
    let store = &cx.control.inner.store;
    let row: Option<VolumeRecord> =
        store.read(move |tx: &mut dyn Tx| volumes::volume_any(tx, id).map_err(Error::from)).await?;
    let name = engine::VolumeId(id.0);
    if let Some(row) = &row {
        if row.running_action != Some(cx.action.id) {
            return Err(Error::Conflict("volume has a pending event".to_owned()));
        }
        match row.droplet {
            Some(holder) if holder == cx.droplet => cx.engine().detach(name, cx.machine()).await?,
            Some(_) => return Err(Error::Conflict("attached volume cannot be deleted".to_owned())),
            None => {}
        }
    }
    if let Err(error) = volume::remove(cx, id).await
        && !matches!(cx.engine().observe_volume(name).await, Ok(None))
    {
        return Err(error);
    }
    let account = cx.action.account;
    gone(cx, part, move |tx| volumes::volume_delete(tx, account, id).map(drop).map_err(Error::from)).await
}

/// Removes what the engine has of an image. One that is gone in spite of a refusal is gone, as with machines and volumes.
async fn remove_image(cx: &Context, image: Option<ImageName>) -> Result<(), Error> {
    let Some(image) = image else { return Ok(()) };
    match cx.engine().remove_image(&image).await {
        Err(error) if cx.engine().images().await.map_or(true, |there| there.contains(&image)) => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

async fn destroy_snapshot(cx: &Context, part: &TeardownPart, id: ImageId) -> Result<(), Error> {
    // Nothing is made from it from here on: what could not be removed stays to be seen, as retired, and to be tried again.
    let retired = ImageChange { status: Some(ImageStatus::Retired), ..ImageChange::default() };
    let store = &cx.control.inner.store;
    let in_use: bool = store
        .write(move |tx: &mut dyn Tx| {
            let in_use = images::image_is_in_use(tx, id)?;
            if !in_use {
                images::image_change(tx, id, &retired)?;
            }
            Ok::<_, Error>(in_use)
        })
        .await?;
    if in_use {
        return Err(Error::invalid("A Droplet is being made from this snapshot."));
    }
    remove_image(cx, own_image(id)).await?;
    let now = cx.control.now();
    gone(cx, part, move |tx| images::image_delete(tx, id, now).map(drop).map_err(Error::from)).await
}

async fn destroy_volume_snapshot(cx: &Context, part: &TeardownPart, id: VolumeSnapshotId) -> Result<(), Error> {
    let store = &cx.control.inner.store;
    let in_use: bool = store
        .read(move |tx: &mut dyn Tx| volume_snapshots::volume_snapshot_is_in_use(tx, id).map_err(Error::from))
        .await?;
    if in_use {
        return Err(Error::invalid("A volume is being made from this snapshot."));
    }
    remove_image(cx, own_volume_image(id)).await?;
    gone(cx, part, move |tx| volume_snapshots::volume_snapshot_delete(tx, id).map(drop).map_err(Error::from)).await
}

/// Lets the address lead nowhere, and then gives it up.
async fn destroy_reserved_ip(cx: &Context, part: &TeardownPart, address: IpAddr) -> Result<(), Error> {
    let (id, now) = (cx.action.id, cx.control.now());
    let store = &cx.control.inner.store;
    let account = cx.action.account;
    let row: Option<ReservedIpRecord> = store
        .read(move |tx: &mut dyn Tx| reserved_ips::reserved_ip_get(tx, account, address).map_err(Error::from))
        .await?;
    match row {
        Some(row) if row.running_action != Some(id) => return Err(Error::invalid(crate::reserved_ips::BUSY)),
        Some(row) if row.droplet.is_some_and(|holder| holder != cx.droplet) => {
            return Err(Error::Conflict("It is assigned to another Droplet since.".to_owned()));
        }
        Some(_) => reserved_ip::point(cx, address, None).await?,
        None => {}
    }
    gone(cx, part, move |tx| {
        // Given up by hand since, and maybe somebody else's by now: then it is not this teardown's any more.
        if reserved_ips::reserved_ip_any(tx, address)?.is_some_and(|row| row.running_action == Some(id)) {
            reserved_ips::reserved_ip_delete(tx, address)?;
            reserved_ips::reserved_ip_rest(tx, address, now)?;
        }
        Ok(())
    })
    .await
}

/// Writes the end of a teardown: its time, and that its volumes and reserved IPs are free again.
pub(super) fn end(tx: &mut dyn Tx, action: &ActionRecord, droplet: DropletId) -> Result<(), Error> {
    let Some(mut teardown) = teardowns::teardown_get(tx, action.account, droplet)? else { return Ok(()) };
    teardown.running_action = None;
    teardown.completed_at = action.completed_at;
    for part in teardown.parts.iter().filter(|part| part.kind == PartKind::Volume) {
        if let Ok(volume) = part.id.parse() {
            volumes::volume_unlock(tx, volume, action.id)?;
        }
    }
    for part in teardown.parts.iter().filter(|part| part.kind == PartKind::ReservedIp) {
        if let Ok(address) = part.id.parse()
            && let Some(ip) = reserved_ips::reserved_ip_any(tx, address)?
        {
            reserved_ips::reserved_ip_unlock(tx, Family::of(address), ip.number, action.id)?;
        }
    }
    Ok(teardowns::teardown_put(tx, &teardown)?)
}
