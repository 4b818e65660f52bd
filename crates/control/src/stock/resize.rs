//! A Droplet that gets another size on the host it is on.

use dewpoint_api::DropletId;
use dewpoint_placement::{Need, Wish};
use dewpoint_store::{DropletRecord, Tx, actions, droplets, stock, stock::Holding};

use super::{hand::is_let_go, known};
use crate::{Control, Error, catalogue::SizeEntry};

/// Takes what a Droplet would have more of at another size, until its resize is over ([`settle_room`]). Whether its host counts
/// what is taken; fails where that host has too little.
pub(crate) fn make_room(
    tx: &mut dyn Tx,
    control: &Control,
    droplet: &DropletRecord,
    size: &SizeEntry,
) -> Result<bool, Error> {
    let Some(holding) = stock::holding_get(tx, droplet.id)? else { return Ok(false) };
    if is_let_go(&holding) {
        // It has nothing now: whether there is room for it is asked when it is powered on.
        return Ok(true);
    }
    let vcpus = holding.vcpus.max(size.spec.vcpus);
    let memory_mib = holding.memory_mib.max(size.spec.memory_mib);
    let grows = vcpus > holding.vcpus || memory_mib > holding.memory_mib;
    let known = if grows { known(tx, control)? } else { None };
    if let Some(known) = known.map(|known| known.only(&holding.host)) {
        // Its GPUs stay its own: only the rest is asked for.
        let need = Need { vcpus, memory_mib, gpus: None };
        let wish = Wish { region: None, need: &need, apart_from: &[] };
        if let Err(refusal) = known.stock(tx, Some(droplet.id))?.place(&wish) {
            return Err(Error::OutOfStock {
                message: format!(
                    "Size {} does not fit on the host the Droplet is on now ({refusal}). Try a smaller one, or later.",
                    size.spec.slug
                ),
                available_regions: Vec::new(),
            });
        }
    }
    stock::holding_put(tx, &Holding { vcpus, memory_mib, ..holding })?;
    Ok(true)
}

/// A Droplet whose resize is over has what its row says, and no more.
pub(crate) fn settle_room(tx: &mut dyn Tx, droplet: DropletId) -> Result<(), Error> {
    let Some(holding) = stock::holding_get(tx, droplet)?.filter(|holding| !is_let_go(holding)) else { return Ok(()) };
    let Some(row) = droplets::droplet_of_machine(tx, droplet)? else { return Ok(()) };
    stock::holding_put(tx, &Holding { vcpus: row.vcpus, memory_mib: row.memory_mib, ..holding })?;
    actions::action_unpark_all(tx)?;
    Ok(())
}
