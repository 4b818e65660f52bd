//! What an accepted action is to do: the checks that look at the Droplet, and what its flow is told. Numbers are drawn and
//! choices are made here, once, so that a step done twice does one thing.

use dewpoint_api::{
    ActionKind, BackupPolicy, DropletActionRequest, DropletStatus, ImageId, ImageIdOrSlug, ImageKind, SizeSlug,
};
use dewpoint_clock::Timestamp;
use dewpoint_store::{DropletRecord, Sequence, Sizing, Tx, counters, droplets::DropletChange};
use serde::Serialize;

use super::{
    backup_policy,
    source::{NOT_IN_REGION, Source},
};
use crate::{
    Control, Error,
    actions::{policy::Wanted, rebuild::Target, snapshot::Taking},
    backups,
    catalogue::SizeEntry,
    scheduler,
    stock::{self, GpuWork},
};

/// What is recorded with an action, and what is written to its Droplet at once.
pub(super) struct Prepared {
    pub(super) request: String,
    pub(super) change: DropletChange,
}

impl Prepared {
    /// The same with what the action is to do about GPUs.
    pub(super) fn with_gpus(mut self, work: GpuWork) -> Result<Self, Error> {
        let kept = || Error::Malformed("the request cannot be kept".to_owned());
        let mut request: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&self.request).map_err(|_| kept())?;
        request.insert("gpus".to_owned(), serde_json::to_value(work).map_err(|_| kept())?);
        self.request = serde_json::Value::Object(request).to_string();
        Ok(self)
    }
}

fn told<T: Serialize>(what: &T) -> Result<Prepared, Error> {
    let request = serde_json::to_string(what).map_err(|_| Error::Malformed("the request cannot be kept".to_owned()))?;
    Ok(Prepared { request, change: DropletChange::default() })
}

/// Checks the request against the Droplet and settles what is to be done.
pub(super) fn prepare(
    control: &Control,
    tx: &mut dyn Tx,
    droplet: &DropletRecord,
    kind: ActionKind,
    request: &DropletActionRequest,
    now: Timestamp,
) -> Result<Prepared, Error> {
    match kind {
        ActionKind::Snapshot => {
            let given = request.name.clone().filter(|name| !name.is_empty());
            let name = given.unwrap_or_else(|| format!("{}-{}", droplet.name, now.as_seconds()));
            let image_in_the_making = ImageId(counters::draw(tx, Sequence::Image, 1)?);
            told(&Taking { image_in_the_making, name, days: None })
        }
        ActionKind::Resize => told(&sizing(control, tx, droplet, request.size.as_ref(), request.disk)?),
        ActionKind::Rebuild | ActionKind::Restore => {
            let named = request.image.as_ref().ok_or_else(|| Error::invalid("image is required."))?;
            let target = target(control, tx, droplet, kind, named)?;
            let mut prepared = told(&target)?;
            prepared.change.next_image = Some(Some(target.image_id));
            Ok(prepared)
        }
        ActionKind::EnableBackups => {
            let on = backup_policy(droplet).filter(|_| request.backup_policy.is_none());
            told(&Wanted { policy: Some(policy(on, droplet, request)?) })
        }
        ActionKind::ChangeBackupPolicy if droplet.backups.is_none() => {
            Err(Error::invalid("Backups of this Droplet are off: enable them first."))
        }
        ActionKind::ChangeBackupPolicy => told(&Wanted { policy: Some(policy(None, droplet, request)?) }),
        ActionKind::DisableBackups => told(&Wanted { policy: None }),
        ActionKind::EnableIpv6 if droplet.ipv6 => Err(Error::invalid("IPv6 is already enabled.")),
        ActionKind::EnableIpv6 if !droplet.public_networking => {
            Err(Error::invalid("This Droplet has no public networking, which IPv6 needs."))
        }
        ActionKind::PasswordReset => {
            let image = control.catalogue().image(droplet.image_id);
            if image.is_some_and(|image| image.spec.manages_passwords) {
                return Err(Error::invalid("The Droplet's image manages its passwords itself."));
            }
            told(request)
        }
        _ => told(request),
    }
}

/// The policy in force if that is to stay, or else the one asked for.
fn policy(
    on: Option<BackupPolicy>,
    droplet: &DropletRecord,
    request: &DropletActionRequest,
) -> Result<BackupPolicy, Error> {
    on.map_or_else(|| backups::choose(request.backup_policy.as_ref(), droplet.id), Ok)
}

/// What the Droplet is to have after a resize (DAC-3).
fn sizing(
    control: &Control,
    tx: &mut dyn Tx,
    droplet: &DropletRecord,
    wanted: Option<&SizeSlug>,
    disk_too: bool,
) -> Result<Sizing, Error> {
    if droplet.status != DropletStatus::Off {
        return Err(Error::invalid("Droplet must be powered off to be resized: power it off first."));
    }
    let wanted = wanted.ok_or_else(|| Error::invalid("size is required."))?;
    let catalogue = control.catalogue();
    let size = catalogue
        .size(wanted)
        .ok_or_else(|| Error::invalid(format!("You specified an invalid size: there is no {wanted}.")))?;
    let slug = &size.spec.slug;
    if !size.available() {
        return Err(Error::invalid(format!("Size {slug} is not available: no host here can serve it.")));
    }
    if !size.offered_in(&droplet.region) {
        return Err(Error::invalid("Size is not available in this region."));
    }
    if !same_gpus(catalogue.size(&droplet.size), size) || size.is_gpu() != droplet.gpu {
        return Err(Error::invalid(
            "A resize keeps a Droplet's GPUs as they are: their number and model must be the same.",
        ));
    }
    if size.spec.disk_gib < droplet.disk_gib {
        return Err(Error::invalid(format!(
            "Size can not decrease size of Droplet's disk image: it has {} GB, size {slug} {} GB.",
            droplet.disk_gib, size.spec.disk_gib
        )));
    }
    let host = control.inner.hosts.iter().find(|host| Some(&host.name) == droplet.host.as_ref());
    let host = host.map(std::slice::from_ref).unwrap_or_default();
    let counted = stock::make_room(tx, control, droplet, size)?;
    if !counted && scheduler::place(host, scheduler::Needs::of(size)).is_none() {
        return Err(Error::invalid(format!("Size {slug} does not fit on the host the Droplet is on.")));
    }
    Ok(Sizing {
        size: slug.clone(),
        vcpus: size.spec.vcpus,
        memory_mib: size.spec.memory_mib,
        disk_gib: if disk_too { size.spec.disk_gib } else { droplet.disk_gib },
    })
}

/// Whether both have the same GPUs, or both none. Of a size that is no longer offered nothing is known but that.
fn same_gpus(present: Option<&SizeEntry>, wanted: &SizeEntry) -> bool {
    let gpus = |size: &SizeEntry| size.gpu().map(|gpu| (gpu.count, gpu.model.clone()));
    present.is_none_or(|present| gpus(present) == gpus(wanted))
}

/// The image a rebuild or a restore is from (DAC-6).
fn target(
    control: &Control,
    tx: &mut dyn Tx,
    droplet: &DropletRecord,
    kind: ActionKind,
    named: &ImageIdOrSlug,
) -> Result<Target, Error> {
    let source = Source::find(tx, control.catalogue(), droplet.account, named).map_err(|error| match error {
        Error::Invalid(text) if text == super::source::INVALID_IMAGE => {
            Error::invalid(format!("image {named} is no image this Droplet could be built from."))
        }
        other => other,
    })?;
    if kind == ActionKind::Restore {
        let of_this = matches!(&source, Source::Own(image) if image.kind == ImageKind::Backup && image.droplet == Some(droplet.id));
        if !of_this {
            return Err(Error::invalid(format!("image {named} is no backup of this Droplet.")));
        }
    }
    if !source.offered_in(&droplet.region) {
        return Err(Error::invalid(NOT_IN_REGION));
    }
    source.check_fits(droplet.disk_gib, "this Droplet")?;
    control.check_image_is_here(&source)?;
    Ok(Target { image_id: source.id(), image_slug: source.slug() })
}
