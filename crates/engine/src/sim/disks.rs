//! The simulator's images and volumes: names, sizes and who has what. There are no bytes in them.

use rusqlite::{Connection, OptionalExtension as _, params};
use uuid::Uuid;

use super::{
    Moment, SimEngine,
    machines::{number, read_machine, to_text},
};
use crate::{Error, ImageFacts, ImageName, MachineId, ObservedVolume, Operation, Storage, VolumeId, VolumeSpec};

const GIB: u64 = 1 << 30;

/// What every imported image turns out to be.
const IMPORTED: ImageFacts = ImageFacts { disk_bytes: 2 * GIB, stored_bytes: GIB / 2 };

/// Whether machines and volumes can be made from `image`: base images are the equipment's business.
pub(super) fn image_is_there(db: &Connection, image: &ImageName) -> rusqlite::Result<bool> {
    Ok(!image.is_own() || read_image(db, image)?.is_some())
}

/// Takes every volume from a machine.
pub(super) fn detach_all(db: &Connection, machine: MachineId) -> rusqlite::Result<()> {
    let sql = "UPDATE volumes SET machine = NULL WHERE machine = ?1";
    db.prepare_cached(sql)?.execute(params![number(machine)]).map(drop)
}

pub(super) fn from_text<T: serde::de::DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    let failed = |error: serde_json::Error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error.into())
    };
    serde_json::from_str(text).map_err(failed)
}

fn read_image(db: &Connection, image: &ImageName) -> rusqlite::Result<Option<ImageFacts>> {
    let sql = "SELECT disk_bytes, stored_bytes FROM images WHERE name = ?1";
    let facts = |row: &rusqlite::Row<'_>| {
        Ok(ImageFacts { disk_bytes: unsigned(row.get(0)?), stored_bytes: unsigned(row.get(1)?) })
    };
    db.prepare_cached(sql)?.query_row(params![image.as_str()], facts).optional()
}

/// Adds the image, or tells what there is under that name already.
fn write_image(db: &Connection, image: &ImageName, facts: ImageFacts) -> rusqlite::Result<ImageFacts> {
    let sql = "INSERT INTO images (name, disk_bytes, stored_bytes) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    let (disk, stored) = (signed(facts.disk_bytes), signed(facts.stored_bytes));
    db.prepare_cached(sql)?.execute(params![image.as_str(), disk, stored])?;
    Ok(read_image(db, image)?.unwrap_or(facts))
}

/// A volume's size and the machine that has it.
fn read_volume(db: &Connection, id: VolumeId) -> rusqlite::Result<Option<ObservedVolume>> {
    let sql = "SELECT size_gib, machine FROM volumes WHERE id = ?1";
    let seen = |row: &rusqlite::Row<'_>| {
        let machine = row.get::<_, Option<i64>>(1)?.map(|id| MachineId(unsigned(id)));
        Ok(ObservedVolume { size_gib: unsigned(row.get(0)?), machine })
    };
    db.prepare_cached(sql)?.query_row(params![id.to_string()], seen).optional()
}

/// The disk of a snapshot, with a tenth of it in use.
fn taken_of(disk_gib: u64) -> ImageFacts {
    ImageFacts { disk_bytes: disk_gib * GIB, stored_bytes: disk_gib * GIB / 10 }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(number: i64) -> u64 {
    number.unsigned_abs()
}

/// Faults of volumes that are attached to nothing are ordered for no machine.
pub(super) const NO_MACHINE: MachineId = MachineId(0);

impl SimEngine {
    async fn machine_of(&self, id: VolumeId) -> Result<MachineId, Error> {
        Ok(self.observe_volume(id).await?.and_then(|volume| volume.machine).unwrap_or(NO_MACHINE))
    }
}

#[async_trait::async_trait]
impl Storage for SimEngine {
    async fn images(&self) -> Result<Vec<ImageName>, Error> {
        let names: Vec<String> = self
            .machines
            .call(|db| {
                let mut statement = db.prepare_cached("SELECT name FROM images ORDER BY name")?;
                let names = statement.query_map([], |row| row.get(0))?;
                names.collect()
            })
            .await?;
        Ok(names.into_iter().filter_map(ImageName::new).collect())
    }

    async fn snapshot(&self, machine: MachineId, image: &ImageName) -> Result<ImageFacts, Error> {
        self.faults.check(Operation::Snapshot, machine, Moment::Before)?;
        self.pause(|delays| delays.snapshot).await;
        let name = image.clone();
        let facts = self
            .machines
            .call(move |db| match read_machine(db, machine)? {
                Some((spec, _)) => write_image(db, &name, taken_of(spec.disk_gib)).map(Some),
                None => Ok(None),
            })
            .await?;
        self.faults.check(Operation::Snapshot, machine, Moment::After)?;
        facts.ok_or(Error::NoSuchMachine(machine))
    }

    async fn snapshot_volume(&self, volume: VolumeId, image: &ImageName) -> Result<ImageFacts, Error> {
        let machine = self.machine_of(volume).await?;
        self.faults.check(Operation::SnapshotVolume, machine, Moment::Before)?;
        self.pause(|delays| delays.snapshot).await;
        let name = image.clone();
        let facts = self
            .machines
            .call(move |db| match read_volume(db, volume)? {
                Some(seen) => write_image(db, &name, taken_of(seen.size_gib)).map(Some),
                None => Ok(None),
            })
            .await?;
        self.faults.check(Operation::SnapshotVolume, machine, Moment::After)?;
        facts.ok_or(Error::NoSuchVolume(volume))
    }

    async fn import(&self, image: &ImageName, _url: &str) -> Result<ImageFacts, Error> {
        self.faults.check(Operation::Import, NO_MACHINE, Moment::Before)?;
        self.pause(|delays| delays.import).await;
        let name = image.clone();
        let facts = self.machines.call(move |db| write_image(db, &name, IMPORTED)).await?;
        self.faults.check(Operation::Import, NO_MACHINE, Moment::After)?;
        Ok(facts)
    }

    async fn remove_image(&self, image: &ImageName) -> Result<(), Error> {
        self.faults.check(Operation::RemoveImage, NO_MACHINE, Moment::Before)?;
        let name = image.clone();
        self.machines
            .call(move |db| db.prepare_cached("DELETE FROM images WHERE name = ?1")?.execute(params![name.as_str()]))
            .await?;
        self.faults.check(Operation::RemoveImage, NO_MACHINE, Moment::After)
    }

    async fn volumes(&self) -> Result<Vec<VolumeId>, Error> {
        let ids: Vec<String> = self
            .machines
            .call(|db| {
                let mut statement = db.prepare_cached("SELECT id FROM volumes ORDER BY id")?;
                let ids = statement.query_map([], |row| row.get(0))?;
                ids.collect()
            })
            .await?;
        Ok(ids.iter().filter_map(|id| Uuid::parse_str(id).ok()).map(VolumeId).collect())
    }

    async fn ensure_volume(&self, id: VolumeId, spec: &VolumeSpec) -> Result<(), Error> {
        self.faults.check(Operation::EnsureVolume, NO_MACHINE, Moment::Before)?;
        let (text, wanted) = (to_text(spec)?, spec.clone());
        let made = self
            .machines
            .call(move |db| {
                let sql = "SELECT spec = ?2 FROM volumes WHERE id = ?1";
                let same =
                    db.prepare_cached(sql)?.query_row(params![id.to_string(), text], |row| row.get(0)).optional()?;
                match same {
                    Some(true) => return Ok(Ok(())),
                    Some(false) => return Ok(Err(Error::VolumeConflict(id))),
                    None => {}
                }
                if let Some(image) = &wanted.source
                    && !image_is_there(db, image)?
                {
                    return Ok(Err(Error::ImageMissing(image.clone())));
                }
                let sql = "INSERT INTO volumes (id, spec, size_gib) VALUES (?1, ?2, ?3)";
                db.prepare_cached(sql)?.execute(params![id.to_string(), text, signed(wanted.size_gib)])?;
                Ok(Ok(()))
            })
            .await?;
        made?;
        self.faults.check(Operation::EnsureVolume, NO_MACHINE, Moment::After)
    }

    async fn observe_volume(&self, id: VolumeId) -> Result<Option<ObservedVolume>, Error> {
        self.machines.call(move |db| read_volume(db, id)).await
    }

    async fn attach(&self, id: VolumeId, machine: MachineId) -> Result<(), Error> {
        self.faults.check(Operation::Attach, machine, Moment::Before)?;
        self.pause(|delays| delays.attach).await;
        let done = self
            .machines
            .call(move |db| {
                let Some(seen) = read_volume(db, id)? else { return Ok(Err(Error::NoSuchVolume(id))) };
                match seen.machine {
                    Some(other) if other == machine => return Ok(Ok(())),
                    Some(other) => return Ok(Err(Error::VolumeElsewhere { volume: id, machine: other })),
                    None => {}
                }
                if read_machine(db, machine)?.is_none() {
                    return Ok(Err(Error::NoSuchMachine(machine)));
                }
                let sql = "UPDATE volumes SET machine = ?2 WHERE id = ?1";
                db.prepare_cached(sql)?.execute(params![id.to_string(), number(machine)])?;
                Ok(Ok(()))
            })
            .await?;
        done?;
        self.faults.check(Operation::Attach, machine, Moment::After)
    }

    async fn detach(&self, id: VolumeId, machine: MachineId) -> Result<(), Error> {
        self.faults.check(Operation::Detach, machine, Moment::Before)?;
        self.pause(|delays| delays.attach).await;
        self.machines
            .call(move |db| {
                let sql = "UPDATE volumes SET machine = NULL WHERE id = ?1 AND machine = ?2";
                db.prepare_cached(sql)?.execute(params![id.to_string(), number(machine)])
            })
            .await?;
        self.faults.check(Operation::Detach, machine, Moment::After)
    }

    async fn resize_volume(&self, id: VolumeId, size_gib: u64) -> Result<(), Error> {
        let machine = self.machine_of(id).await?;
        self.faults.check(Operation::ResizeVolume, machine, Moment::Before)?;
        let found = self
            .machines
            .call(move |db| {
                let sql = "UPDATE volumes SET size_gib = MAX(size_gib, ?2) WHERE id = ?1";
                db.prepare_cached(sql)?.execute(params![id.to_string(), signed(size_gib)])
            })
            .await?;
        if found == 0 {
            return Err(Error::NoSuchVolume(id));
        }
        self.faults.check(Operation::ResizeVolume, machine, Moment::After)
    }

    async fn remove_volume(&self, id: VolumeId) -> Result<(), Error> {
        self.faults.check(Operation::RemoveVolume, NO_MACHINE, Moment::Before)?;
        let done = self
            .machines
            .call(move |db| {
                if let Some(ObservedVolume { machine: Some(machine), .. }) = read_volume(db, id)? {
                    return Ok(Err(Error::VolumeElsewhere { volume: id, machine }));
                }
                db.prepare_cached("DELETE FROM volumes WHERE id = ?1")?.execute(params![id.to_string()])?;
                Ok(Ok(()))
            })
            .await?;
        done?;
        self.faults.check(Operation::RemoveVolume, NO_MACHINE, Moment::After)
    }
}
