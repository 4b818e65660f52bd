//! Where the Droplets of one create go, or what they are told.

use dewpoint_api::{OutOfStock, RegionSlug, SizeSlug};
use dewpoint_placement::{Need, Refusal, Stock, Wish};
use dewpoint_store::Tx;

use super::{Unplaced, declared, stock_of};
use crate::{
    Error,
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
    /// Where each goes while nothing is declared.
    pub(crate) plenty: &'a str,
}

/// Where a create goes.
pub(crate) struct Chosen {
    /// Its region.
    pub(crate) region: RegionSlug,
    /// For each Droplet the host and its GPUs there; empty when they have no place yet.
    pub(crate) hosts: Vec<(String, Vec<usize>)>,
    /// What becomes of Droplets without a place.
    pub(crate) unplaced: Option<Unplaced>,
    /// Whether hosts are declared, and what is taken of them counts.
    pub(crate) counts: bool,
    /// Why there is no place.
    pub(crate) reasons: Vec<String>,
}

/// Chooses region and hosts. Where there is no room the size's way of being out of stock decides: [`Error::OutOfStock`] for
/// `refuse`.
pub(crate) fn choose(tx: &mut dyn Tx, catalogue: &Catalogue, room: &Room<'_>) -> Result<Chosen, Error> {
    let first = room.regions.first().ok_or_else(|| Error::invalid("No region is left."))?;
    let Some(declared) = declared(tx)? else {
        let hosts = vec![(room.plenty.to_owned(), Vec::new()); room.count];
        return Ok(Chosen { region: first.clone(), hosts, unplaced: None, counts: false, reasons: Vec::new() });
    };
    let stock = stock_of(tx, &declared, None)?;
    let need = need_of(room.size);
    let mut refusals: Vec<(&RegionSlug, Refusal)> = Vec::new();
    for region in room.regions {
        match place_all(&stock, region, &need, room.count) {
            Ok(hosts) => {
                return Ok(Chosen { region: region.clone(), hosts, unplaced: None, counts: true, reasons: Vec::new() });
            }
            Err(refusal) => refusals.push((region, refusal)),
        }
    }
    let reasons: Vec<String> = refusals.iter().map(|(region, refusal)| format!("{region}: {refusal}")).collect();
    let slug = &room.size.spec.slug;
    let unplaced = match declared.out_of_stock.get(slug).copied().unwrap_or(OutOfStock::Refuse) {
        OutOfStock::Refuse => return Err(refused(&stock, catalogue, room, &need, &reasons)),
        OutOfStock::Vanish => Unplaced::Vanish(format!("size {slug} is out of stock: {}", reasons.join("; "))),
        OutOfStock::Queue => Unplaced::Queue,
    };
    // Where there would be room, were it not for others.
    let region = refusals.iter().find(|(_, refusal)| refusal.may_pass()).map_or(first, |(region, _)| region);
    Ok(Chosen { region: region.clone(), hosts: Vec::new(), unplaced: Some(unplaced), counts: true, reasons })
}

/// What a machine of this size needs.
pub(crate) fn need_of(size: &SizeEntry) -> Need {
    let needs = scheduler::Needs::of(size);
    let gpus = size.gpu().map(|gpu| (gpu.count, gpu.model.clone()));
    Need { vcpus: needs.vcpus, memory_mib: needs.memory_mib, gpus }
}

fn place_all(
    stock: &Stock,
    region: &RegionSlug,
    need: &Need,
    count: usize,
) -> Result<Vec<(String, Vec<usize>)>, Refusal> {
    let wish = Wish { region: Some(region.as_str()), need, apart_from: &[] };
    let placements = stock.clone().place_all(&wish, count)?;
    Ok(placements.into_iter().map(|placement| (placement.host, placement.gpus)).collect())
}

/// What is lacking, where it could be had, and which sizes could be had here.
fn refused(stock: &Stock, catalogue: &Catalogue, room: &Room<'_>, need: &Need, reasons: &[String]) -> Error {
    const NAMED: usize = 3;
    let slug = &room.size.spec.slug;
    let has_room = |region: &RegionSlug, need: &Need| place_all(stock, region, need, room.count).is_ok();
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
