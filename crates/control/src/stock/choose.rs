//! Where the Droplets of one create go, or what they are told.

use dewpoint_api::{OutOfStock, RegionSlug, SizeSlug};
use dewpoint_placement::{Need, Refusal, Stock};
use dewpoint_store::Tx;

use super::{Known, Seat, Unplaced, known};
use crate::{
    Control, Error,
    catalogue::{Catalogue, SizeEntry},
    scheduler,
};

/// What a create wants.
pub(crate) struct Room<'a> {
    /// Its size.
    pub(crate) size: &'a SizeEntry,
    /// Where it could be, best first; never empty.
    pub(crate) regions: &'a [RegionSlug],
    /// How many Droplets it makes.
    pub(crate) count: usize,
    /// Where each goes while there is plenty.
    pub(crate) plenty: &'a str,
}

/// Where a create goes.
pub(crate) struct Chosen {
    /// Its region.
    pub(crate) region: RegionSlug,
    /// For each Droplet its seat; empty when they have no place yet.
    pub(crate) seats: Vec<Seat>,
    /// What becomes of Droplets without a place.
    pub(crate) unplaced: Option<Unplaced>,
    /// Whether what is taken of hosts counts.
    pub(crate) counts: bool,
    /// Why there is no place.
    pub(crate) reasons: Vec<String>,
}

/// Chooses region and hosts. Where there is no room the size's way of being out of stock decides: [`Error::OutOfStock`] for
/// `refuse`.
pub(crate) fn choose(tx: &mut dyn Tx, control: &Control, room: &Room<'_>) -> Result<Chosen, Error> {
    let first = room.regions.first().ok_or_else(|| Error::invalid("No region is left."))?;
    let Some(known) = known(tx, control)? else {
        let seat = Seat { host: room.plenty.to_owned(), gpus: Vec::new(), addresses: Vec::new() };
        let seats = vec![seat; room.count];
        return Ok(Chosen { region: first.clone(), seats, unplaced: None, counts: false, reasons: Vec::new() });
    };
    let stock = known.stock(tx, None)?;
    let need = need_of(room.size);
    let mut refusals: Vec<(&RegionSlug, Refusal)> = Vec::new();
    for region in room.regions {
        match known.seats(&stock, region, &need, room.count) {
            Ok(seats) => {
                return Ok(Chosen { region: region.clone(), seats, unplaced: None, counts: true, reasons: Vec::new() });
            }
            Err(refusal) => refusals.push((region, refusal)),
        }
    }
    let reasons: Vec<String> = refusals.iter().map(|(region, refusal)| format!("{region}: {refusal}")).collect();
    let slug = &room.size.spec.slug;
    let unplaced = match known.out_of_stock.get(slug).copied().unwrap_or(OutOfStock::Refuse) {
        OutOfStock::Refuse => return Err(refused((&known, &stock), control.catalogue(), room, &need, &reasons)),
        OutOfStock::Vanish => Unplaced::Vanish(format!("size {slug} is out of stock: {}", reasons.join("; "))),
        OutOfStock::Queue => Unplaced::Queue,
    };
    // Where there would be room, were it not for others.
    let region = refusals.iter().find(|(_, refusal)| refusal.may_pass()).map_or(first, |(region, _)| region);
    Ok(Chosen { region: region.clone(), seats: Vec::new(), unplaced: Some(unplaced), counts: true, reasons })
}

/// What a machine of this size needs.
pub(crate) fn need_of(size: &SizeEntry) -> Need {
    let needs = scheduler::Needs::of(size);
    let gpus = size.gpu().map(|gpu| (gpu.count, gpu.model.clone()));
    Need { vcpus: needs.vcpus, memory_mib: needs.memory_mib, gpus }
}

/// What is lacking, where it could be had, and which sizes could be had here.
fn refused(
    (known, stock): (&Known, &Stock),
    catalogue: &Catalogue,
    room: &Room<'_>,
    need: &Need,
    reasons: &[String],
) -> Error {
    const NAMED: usize = 3;
    let slug = &room.size.spec.slug;
    let has_room = |region: &RegionSlug, need: &Need| known.seats(stock, region, need, room.count).is_ok();
    let sold = catalogue.regions().iter().map(|region| &region.spec).filter(|region| region.available);
    let available_regions: Vec<RegionSlug> = sold
        .map(|region| region.slug.clone())
        .filter(|region| room.size.offered_in(region) && has_room(region, need))
        .collect();
    let alike = |size: &&SizeEntry| size.available() && size.is_gpu() == room.size.is_gpu();
    let fits = |size: &&SizeEntry| {
        room.regions.iter().any(|region| size.offered_in(region) && has_room(region, &need_of(size)))
    };
    let others: Vec<&SizeSlug> =
        catalogue.sizes().iter().filter(alike).filter(fits).map(|size| &size.spec.slug).take(NAMED).collect();
    let mut message = format!("Size {slug} is out of stock ({}).", reasons.join("; "));
    let listed = |slugs: Vec<String>| slugs.join(", ");
    if !available_regions.is_empty() {
        let regions = listed(available_regions.iter().map(ToString::to_string).collect());
        message.push_str(&format!(" It can be had in {regions}."));
    }
    if !others.is_empty() {
        let sizes = listed(others.iter().map(ToString::to_string).collect());
        message.push_str(&format!(" Sizes with room here: {sizes}."));
    }
    if available_regions.is_empty() && others.is_empty() {
        message.push_str(" Try again later.");
    }
    Error::OutOfStock { message, available_regions }
}
