//! The simulator's file, looked into without a simulator.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use dewpoint_pages::{Durability, open_beside};
use rusqlite::Connection;
use uuid::Uuid;

use super::disks::{from_text, unsigned};
use crate::{
    Error, ImageName, MachineId, ObservedVolume, VolumeId,
    survey::{Part, Survey, SurveyedMachine},
};

/// How often what looks like damage is looked at again: a running server may have been writing there.
const LOOKS: u32 = 5;

/// What the simulator's file in `path` holds. No file holds nothing.
pub fn survey(path: &Path) -> Result<Survey, Error> {
    let mut found = Survey::default();
    if !path.exists() {
        return Ok(found);
    }
    for look in 1..=LOOKS {
        match dewpoint_pages::verify(path, Durability::WhileTheHostRuns) {
            Ok(_) => break,
            Err(damage) if look == LOOKS => {
                found.note(Part::Everything, damage);
                return Ok(found);
            }
            Err(_) => {}
        }
    }
    let failed = |error: rusqlite::Error| Error::host("look into the simulator's file", error);
    let db = open_beside(path).map_err(failed)?;
    // One snapshot of all of it.
    db.execute_batch("BEGIN").map_err(failed)?;
    machines(&db, &mut found)
        .and_then(|()| disks(&db, &mut found))
        .and_then(|()| gpus(&db, &mut found))
        .map_err(failed)?;
    Ok(found)
}

/// Copies the simulator's file in `path`, as it is at one moment, into a new file. Blocks.
pub fn copy(path: &Path, target: &Path) -> Result<(), Error> {
    dewpoint_pages::copy(path, target).map_err(|error| Error::host("copy the simulator's file", error))
}

fn machines(db: &Connection, found: &mut Survey) -> rusqlite::Result<()> {
    let mut statement = db.prepare("SELECT id, spec, started_at IS NOT NULL FROM machines")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id = MachineId(unsigned(row.get(0)?));
        let spec = from_text(&row.get::<_, String>(1)?);
        if let Err(error) = &spec {
            found.note(Part::Machine(id), error);
        }
        found.machines.insert(id, SurveyedMachine { running: row.get(2)?, spec: spec.ok() });
    }
    Ok(())
}

fn gpus(db: &Connection, found: &mut Survey) -> rusqlite::Result<()> {
    let mut all: BTreeMap<MachineId, BTreeSet<(String, String)>> = BTreeMap::new();
    for (machine, host, address) in super::gpus::holders(db)? {
        all.entry(machine).or_default().insert((host, address));
    }
    found.gpus = Some(all);
    Ok(())
}

fn disks(db: &Connection, found: &mut Survey) -> rusqlite::Result<()> {
    let mut statement = db.prepare("SELECT id, size_gib, machine FROM volumes")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Ok(id) = Uuid::parse_str(&row.get::<_, String>(0)?) else { continue };
        let machine = row.get::<_, Option<i64>>(2)?.map(|id| MachineId(unsigned(id)));
        found.volumes.insert(VolumeId(id), ObservedVolume { size_gib: unsigned(row.get(1)?), machine });
    }
    let mut statement = db.prepare("SELECT name FROM images")?;
    let names = statement.query_map([], |row| row.get::<_, String>(0))?;
    for name in names {
        found.images.extend(ImageName::new(name?));
    }
    Ok(())
}
