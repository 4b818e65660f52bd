//! Droplets that were accepted without a place.

use dewpoint_clock::Timestamp;
use dewpoint_store::{
    ActionRecord, DropletRecord, Tx, actions, droplets, droplets::DropletChange, stock, stock::Holding,
};
use serde::{Deserialize, Serialize};

use super::{Seat, choose::need_of, known};
use crate::{Control, Error};

/// What becomes of a Droplet that was accepted without a place; its create's request keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unplaced {
    /// Its create fails, in these words.
    Vanish(String),
    /// It waits for its turn.
    Queue,
}

/// Gives a waiting Droplet its place, if there is one and nobody of its size was there before; otherwise sets its action aside
/// until something is given back. Whether it has a place.
pub(crate) fn place_waiting(
    tx: &mut dyn Tx,
    control: &Control,
    action: &ActionRecord,
    now: Timestamp,
) -> Result<bool, Error> {
    let id = action.droplet.unwrap_or_default();
    let record = droplets::droplet_of_machine(tx, id)?.ok_or(Error::NotFound)?;
    if record.host.is_some() {
        return Ok(true);
    }
    match room_for(tx, control, &record)? {
        Some((seat, counts)) => {
            let host = seat.host.clone();
            if counts {
                hold(tx, &record, seat, control)?;
            }
            let change = DropletChange { placed: Some((host, now)), ..DropletChange::default() };
            droplets::droplet_change(tx, id, &change)?;
            // Who came after it may be the first now.
            actions::action_unpark_all(tx)?;
            Ok(true)
        }
        None => {
            actions::action_park(tx, action.id, action.attempt)?;
            Ok(false)
        }
    }
}

/// The Droplet's seat, if there is one for it now, and whether what it has there counts.
fn room_for(tx: &mut dyn Tx, control: &Control, record: &DropletRecord) -> Result<Option<(Seat, bool)>, Error> {
    if stock::unplaced_count(tx, Some((record.id, &record.size)))? > 0 {
        return Ok(None);
    }
    let Some(known) = known(tx, control)? else {
        // Nothing is declared any more: there is plenty.
        let host = control.inner.hosts.first().map(|host| host.name.clone());
        return Ok(host.map(|host| (Seat { host, gpus: Vec::new(), addresses: Vec::new() }, false)));
    };
    let size = control.catalogue().size(&record.size).ok_or(Error::NotFound)?;
    let stock = known.stock(tx, None)?;
    let seats = known.seats(&stock, &record.region, &need_of(size), 1).unwrap_or_default();
    Ok(seats.into_iter().next().map(|seat| (seat, true)))
}

/// Writes down what a Droplet has of its host, where that is counted.
pub(crate) fn hold(tx: &mut dyn Tx, record: &DropletRecord, seat: Seat, control: &Control) -> Result<(), Error> {
    let gpu_model = control.catalogue().size(&record.size).and_then(|size| size.gpu()).map(|gpu| gpu.model.clone());
    let (droplet, vcpus, memory_mib) = (record.id, record.vcpus, record.memory_mib);
    let Seat { host, gpus, addresses } = seat;
    stock::holding_put(tx, &Holding { droplet, host, vcpus, memory_mib, gpus, addresses, gpu_model })?;
    Ok(())
}
