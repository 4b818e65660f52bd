//! What the operator declared that there is, and what each Droplet has of it.

use dewpoint_api::{DropletId, SizeSlug};

use crate::{Error, Row, Tx, row::corrupt};

/// What a Droplet has of its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Whose it is; the Droplet may be gone and its machine not yet.
    pub droplet: DropletId,
    /// The host's name.
    pub host: String,
    /// Processors.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// GPUs, by their place on the host, ascending.
    pub gpus: Vec<usize>,
    /// What the engine calls them, in the same order; empty for a holding from before they had names.
    pub addresses: Vec<String>,
    /// The model of these.
    pub gpu_model: Option<String>,
}

/// What was declared, with how often that was done; `None` when nothing is.
pub fn stock_declared(tx: &mut dyn Tx) -> Result<Option<(u64, String)>, Error> {
    let sql = "SELECT generation, declaration FROM stock WHERE one = 1 AND declaration <> ''";
    tx.query_opt(sql, &[], |row| Ok((row.next()?, row.next()?)))
}

/// Declares anew, or with `None` that nothing is; how often that was done.
pub fn stock_declare(tx: &mut dyn Tx, declaration: Option<&str>) -> Result<u64, Error> {
    let sql = "INSERT INTO stock (one, generation, declaration) VALUES (1, 1, $1)
               ON CONFLICT (one) DO UPDATE SET generation = stock.generation + 1, declaration = $1";
    tx.execute(sql, &[declaration.unwrap_or_default().into()])?;
    tx.query_one("SELECT generation FROM stock WHERE one = 1", &[], |row| row.next())
}

/// Counts that what there is has changed, by whoever told; how often that was so by now.
pub fn stock_changed(tx: &mut dyn Tx) -> Result<u64, Error> {
    let sql = "INSERT INTO stock (one, generation, declaration) VALUES (1, 1, '')
               ON CONFLICT (one) DO UPDATE SET generation = stock.generation + 1";
    tx.execute(sql, &[])?;
    stock_generation(tx)
}

/// How often what there is was changed.
pub fn stock_generation(tx: &mut dyn Tx) -> Result<u64, Error> {
    Ok(tx.query_opt("SELECT generation FROM stock WHERE one = 1", &[], |row| row.next())?.unwrap_or(0))
}

/// Writes down what a Droplet has, in place of what it had. Fails when somebody has one of the GPUs.
pub fn holding_put(tx: &mut dyn Tx, holding: &Holding) -> Result<(), Error> {
    holding_drop(tx, holding.droplet)?;
    let sql = "INSERT INTO holdings (droplet_id, host, vcpus, memory_mib, gpus, addresses, gpu_model)
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let places: Vec<String> = holding.gpus.iter().map(usize::to_string).collect();
    let (host, places, addresses) = (&holding.host, places.join(","), holding.addresses.join(","));
    let (vcpus, memory, model) = (holding.vcpus, holding.memory_mib, holding.gpu_model.as_ref());
    let droplet = holding.droplet;
    let values =
        [droplet.into(), host.into(), vcpus.into(), memory.into(), (&places).into(), (&addresses).into(), model.into()];
    tx.execute(sql, &values)?;
    for &place in &holding.gpus {
        let sql = "INSERT INTO held_gpus (host, place, droplet_id) VALUES ($1, $2, $3)";
        tx.execute(sql, &[host.into(), (place as u64).into(), holding.droplet.into()])?;
    }
    Ok(())
}

/// Gives back what a Droplet has; whether it had anything.
pub fn holding_drop(tx: &mut dyn Tx, droplet: DropletId) -> Result<bool, Error> {
    if tx.execute("DELETE FROM holdings WHERE droplet_id = $1", &[droplet.into()])? == 0 {
        return Ok(false);
    }
    tx.execute("DELETE FROM held_gpus WHERE droplet_id = $1", &[droplet.into()])?;
    Ok(true)
}

/// What a Droplet has; `None` where nothing was declared when it was placed.
pub fn holding_get(tx: &mut dyn Tx, droplet: DropletId) -> Result<Option<Holding>, Error> {
    tx.query_opt(&format!("{SELECT} WHERE droplet_id = $1"), &[droplet.into()], read)
}

/// Those who have something, are gone, and have no action in progress that would give it back.
pub fn holders_gone(tx: &mut dyn Tx) -> Result<Vec<DropletId>, Error> {
    let sql = "SELECT h.droplet_id FROM holdings h
               WHERE NOT EXISTS (SELECT 1 FROM droplets d WHERE d.id = h.droplet_id)
                 AND NOT EXISTS (SELECT 1 FROM actions x WHERE x.resource_type = 'droplet'
                                 AND x.resource_id = h.droplet_id AND x.status = 'in-progress')
               ORDER BY 1";
    tx.query_all(sql, &[], |row| row.next())
}

/// How many creates wait for room; those of `size` before `droplet`, when given.
pub fn unplaced_count(tx: &mut dyn Tx, before: Option<(DropletId, &SizeSlug)>) -> Result<u64, Error> {
    match before {
        None => tx.query_one("SELECT COUNT(*) FROM droplets WHERE host IS NULL", &[], |row| row.next()),
        Some((droplet, size)) => {
            let sql = "SELECT COUNT(*) FROM droplets WHERE host IS NULL AND id < $1 AND size = $2";
            tx.query_one(sql, &[droplet.into(), size.into()], |row| row.next())
        }
    }
}

/// What every Droplet has, by its number.
pub fn holding_list(tx: &mut dyn Tx) -> Result<Vec<Holding>, Error> {
    tx.query_all(&format!("{SELECT} ORDER BY droplet_id"), &[], read)
}

/// Droplets that are off, have GPUs, and have no action in progress.
pub fn holders_off(tx: &mut dyn Tx) -> Result<Vec<DropletId>, Error> {
    let sql = "SELECT h.droplet_id FROM holdings h JOIN droplets d ON d.id = h.droplet_id
               WHERE h.gpus <> '' AND h.addresses <> '' AND d.status = 'off' AND d.running_action IS NULL ORDER BY 1";
    tx.query_all(sql, &[], |row| row.next())
}

/// Droplets on `host` of which nothing is written down: who was there before it was counted.
pub fn holders_missing(tx: &mut dyn Tx, host: &str) -> Result<Vec<DropletId>, Error> {
    let sql = "SELECT d.id FROM droplets d WHERE d.host = $1
               AND NOT EXISTS (SELECT 1 FROM holdings h WHERE h.droplet_id = d.id) ORDER BY 1";
    tx.query_all(sql, &[host.into()], |row| row.next())
}

const SELECT: &str = "SELECT droplet_id, host, vcpus, memory_mib, gpus, addresses, gpu_model FROM holdings";

fn read(row: &mut Row<'_>) -> Result<Holding, Error> {
    let (droplet, host, vcpus, memory_mib) = (row.next()?, row.next()?, row.next()?, row.next()?);
    let (places, addresses): (String, String) = (row.next()?, row.next()?);
    let addresses = addresses.split(',').filter(|address| !address.is_empty()).map(str::to_owned).collect();
    let places = places.split(',').filter(|place| !place.is_empty()).map(str::parse);
    let gpus = places.collect::<Result<_, _>>().map_err(|error| corrupt("gpus", &error))?;
    Ok(Holding { droplet, host, vcpus, memory_mib, gpus, addresses, gpu_model: row.next()? })
}
